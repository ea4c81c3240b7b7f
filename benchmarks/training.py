"""The training loop against a plain one over the same networks: `python -m benchmarks.training --help`.

The plain loop is what a tutorial has: a DataLoader of float images, Adam as it comes, a loss for each player, no moving
average and no figures. Both take turns on the same threads.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import machine
from benchmarks.systems import ROOT
from training.config import PRESETS, TrainingConfig
from training.data import ImageSet, load
from training.game import build_networks, new_game, to_floats
from training.loop import play
from training.losses import OBJECTIVES
from training.penalties import gradient_penalty, squared_gradient

DIGITS = ROOT / "tests" / "data" / "digits"


def main() -> None:
    """Measure in alternation, print the table and keep it where `--out` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=["mlp", "dcgan", "sngan", "r3gan"])
    parser.add_argument("--data", type=Path, default=DIGITS)
    parser.add_argument("--steps", type=int, default=20, help="of each figure")
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="of both loops")
    parser.add_argument("--compile", action="store_true", help="compile our networks")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of our networks")
    parser.add_argument("--out", type=Path, default=None, help="Markdown file to write")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    data = load(chosen.data).train
    lines = ["| preset | ours, images/s | plain loop, images/s | ratio |", "| --- | ---: | ---: | ---: |"]
    for preset in chosen.presets:
        config = TrainingConfig.from_preset(
            preset,
            data=chosen.data,
            kimg=1e6,
            device=chosen.device,
            compile=chosen.compile,
            precision=chosen.precision,
        )
        turn_images = chosen.steps * config.batch_size * config.d_steps
        config = config.model_copy(update={"report_every_kimg": turn_images / 1000})
        ours, plain = OurLoop(config, data), PlainLoop(config, data, steps=chosen.steps)
        for one in (ours, plain):
            one.images_per_s()  # with what is done once
        pairs = []
        for turn in range(chosen.alternations):
            order = (ours, plain) if turn % 2 == 0 else (plain, ours)
            rates = {one: one.images_per_s() for one in order}
            pairs.append((rates[ours], rates[plain]))
        ratios = sorted(mine / theirs for mine, theirs in pairs)
        mine, theirs = (median(pair[side] for pair in pairs) for side in (0, 1))
        spread = f"{median(ratios):.2f} ({ratios[0]:.2f}..{ratios[-1]:.2f})"
        lines.append(f"| {preset} | {mine:.0f} | {theirs:.0f} | {spread} |")
        print(lines[-1], flush=True)
    about = machine.describe()
    text = "\n".join(
        [
            "# The training loop against a plain one",
            "",
            f"- command: `python -m benchmarks.training --presets {' '.join(chosen.presets)} --steps {chosen.steps}`",
            f"- machine: {_hardware(chosen.device, chosen.threads, str(about['cpu']))}, torch {torch.__version__}",
            f"- commit {about['commit']}",
            f"- {chosen.precision}, compiled: {chosen.compile}; medians of {chosen.alternations} alternations, "
            "ratios within one, least and most",
            "",
            *lines,
        ]
    )
    print(text)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text + "\n", encoding="utf-8")
        print(json.dumps({"written": chosen.out.name}))


def _hardware(device: str, threads: int, cpu: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"{cpu}, {threads} thread(s)"


class OurLoop:
    """`gantrain fit`'s loop: moving average, figures, schedules and all; a report is due after every turn's steps."""

    def __init__(self, config: TrainingConfig, data: ImageSet) -> None:
        self._reports = play(new_game(config, data), data)

    def images_per_s(self) -> float:
        """Images shown to D a second over a turn."""
        return next(self._reports).images_per_s


class PlainLoop:
    """The loop of a tutorial."""

    def __init__(self, config: TrainingConfig, data: ImageSet, *, steps: int) -> None:
        torch.manual_seed(config.seed)
        self._config, self._objective = config, OBJECTIVES[config.loss]
        self._classes = data.classes if config.conditional else None
        self._device = torch.device(config.device)
        networks = build_networks(config, data.shape, self._classes)
        self._generator, self._discriminator = (network.to(self._device) for network in networks)
        betas = (config.beta1, config.beta2)
        self._g_optimizer = torch.optim.Adam(self._generator.parameters(), lr=config.g_lr, betas=betas)
        self._d_optimizer = torch.optim.Adam(self._discriminator.parameters(), lr=config.d_lr, betas=betas)
        labels = torch.zeros(len(data), dtype=torch.int64) if data.labels is None else torch.from_numpy(data.labels)
        images = TensorDataset(to_floats(data.images).contiguous(), labels)
        self._loader = DataLoader(images, batch_size=config.batch_size, shuffle=True, drop_last=True)
        self._batches = self._endless()
        self._step, self._turn = 0, steps

    def images_per_s(self) -> float:
        """As above."""
        began = time.perf_counter()
        for _ in range(self._turn):
            for _ in range(self._config.d_steps):
                real, real_class = (part.to(self._device) for part in next(self._batches))
                self._play_d(real, real_class)
            self._play_g(real, real_class)
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return self._turn * self._config.batch_size * self._config.d_steps / (time.perf_counter() - began)

    def _endless(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            yield from self._loader

    def _draw(self, real_class: torch.Tensor | None, count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        z = torch.randn(count, self._config.z_dim, device=self._device)
        if self._classes is None or self._objective.pairs:
            return z, real_class
        return z, torch.randint(len(self._classes), (count,), device=self._device)

    def _play_d(self, real: torch.Tensor, labels: torch.Tensor) -> None:
        config, real_class = self._config, labels if self._classes else None
        z, fake_class = self._draw(real_class, len(real))
        fake = self._generator(z, fake_class).detach()
        penalised = self._step % config.penalty_every == 0 and (
            config.r1_gamma or config.r2_gamma or config.gradient_penalty
        )
        self._step += 1
        if penalised:
            real, fake = real.requires_grad_(), fake.requires_grad_()
        real_logits, fake_logits = self._discriminator(real, real_class), self._discriminator(fake, fake_class)
        loss = self._objective.discriminator(real_logits, fake_logits)
        if penalised and config.r1_gamma:
            loss = loss + config.penalty_every * config.r1_gamma * squared_gradient(real_logits, real)
        if penalised and config.r2_gamma:
            loss = loss + config.penalty_every * config.r2_gamma * squared_gradient(fake_logits, fake)
        if penalised and config.gradient_penalty:
            between = gradient_penalty(
                lambda x: self._discriminator(x, real_class), real, fake, torch.rand(len(real), device=self._device)
            )
            loss = loss + config.gradient_penalty * between
        self._d_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        self._d_optimizer.step()

    def _play_g(self, real: torch.Tensor, labels: torch.Tensor) -> None:
        real_class = labels if self._classes else None
        z, fake_class = self._draw(real_class, len(real))
        fake_logits = self._discriminator(self._generator(z, fake_class), fake_class)
        real_logits = fake_logits.detach()
        if self._objective.pairs:
            with torch.no_grad():
                real_logits = self._discriminator(real, real_class)
        loss = self._objective.generator(fake_logits, real_logits)
        self._g_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # as above
        self._g_optimizer.step()


if __name__ == "__main__":
    main()
