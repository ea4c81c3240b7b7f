"""The command line; `run.sh` beside it sets everything up."""

import argparse
import itertools
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.engines.cuda import CPU, CUDA
from app.errors import ProviderUnavailable
from benchmarks import bare, load, machine, models, servers
from benchmarks.gpu.features import FEATURES, Effect, flags
from benchmarks.gpu.parity import Device, Parity, parity
from benchmarks.orders import Format, Template, generate, write_templates
from benchmarks.service import SCRATCH, say
from benchmarks.systems import OURS, ROOT, one_model_folder, systems

_TINY_WIDTHS = (16, 8, 8)
_MNIST = ROOT / "models" / "mnist" / "1"
_MOST_OUTSTANDING = 2048
"""As many images as the service's queue holds."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    seconds: float
    connections: tuple[int, ...]
    images: tuple[int, ...]
    batches: tuple[int, ...]
    seeds: int
    rounds: int


_FORMATS: tuple[Format, ...] = ("png", "npy")
_PLAIN: tuple[Format, ...] = ("npy",)
"""Hardly any encoding, so that what the GPU gains is seen."""
_ALL, _HALF = "everything on", "fp16 bundle"
FULL = Sizes(2.0, (1, 16, 64, 256), (1, 64), (1, 4, 16, 64), 1024, 3)
TINY = Sizes(0.2, (1, 4), (1,), (1, 4), 8, 1)


@dataclass(frozen=True)
class Served:
    """The service beside the bare session's best with the same encoding."""

    images_a_request: int
    image_format: str
    connections: int
    images_per_s: float
    p99_ms: float
    errors: int
    to_session: float


class Failed(Exception):  # noqa: N818 -- a verdict, not a mistake
    """What was measured is not what was asked for."""


@dataclass(frozen=True)
class Subject:
    """One model on one device."""

    bundle: Path
    device: Device
    sizes: Sizes

    @property
    def provider(self) -> str:
        """The execution provider that has to be in use."""
        return CUDA if self.device == "cuda" else CPU

    def measure(self, half: Path) -> dict[str, Any]:
        """All figures; `half` is the same generator in float16. Raises Failed when the provider is not as asked for."""
        same = self.parity()
        sessions = bare.spawn(
            self.bundle,
            threads=0,
            encoders=machine.cores(),
            seconds=self.sizes.seconds,
            batches=self.sizes.batches,
            provider=self.provider,
        )
        served = self._served(sessions, _FORMATS, flags())
        coarse = replace(self, bundle=half)
        same_in_half = coarse.parity()
        return {
            "parity": asdict(same) | {"kept": same.kept},
            "parity_fp16": asdict(same_in_half) | {"kept": same_in_half.kept},
            "sessions": [asdict(one) for one in sessions],
            "served": [asdict(one) for one in served],
            "features": {name: asdict(effect) for name, effect in self._effects(coarse, sessions).items()},
        }

    def _effects(self, coarse: "Subject", sessions: list[bare.Limit]) -> dict[str, Effect]:
        """What each feature is worth: servers with and without take turns, and the medians of each cell count."""
        ways = {_ALL: (self, flags()), _HALF: (coarse, flags())}
        ways |= {name: (self, flags(without=name)) for name in FEATURES}
        rates: dict[str, list[list[float]]] = {name: [] for name in ways}
        for _, (name, (subject, words)) in itertools.product(range(self.sizes.rounds), ways.items()):
            cells = subject._served(sessions, _PLAIN, words)
            rates[name].append([one.images_per_s for one in cells])
            say(f"{self.bundle.parent.name}: {name}: {rates[name][-1]}")
        middle = {name: np.median(found, axis=0).tolist() for name, found in rates.items()}
        effects = {name: Effect.of(middle[_ALL], middle[name]) for name in FEATURES}
        return effects | {_HALF: Effect.of(middle[_HALF], middle[_ALL])}

    def parity(self) -> Parity:
        """With the CPU. Raises Failed when the provider is not the one asked for."""
        try:
            same = parity(self.bundle, device=self.device, seeds=range(self.sizes.seeds))
        except ProviderUnavailable as error:
            raise Failed(str(error)) from None
        if same.provider != self.provider:
            raise Failed(f"the session runs on {same.provider}")
        say(f"{self.bundle.parent.name}@{self.bundle.name}: parity with the CPU: {same}")
        return same

    def _served(
        self, sessions: list[bare.Limit], formats: tuple[Format, ...], features: tuple[str, ...]
    ) -> list[Served]:
        system = systems(machine.cores())[OURS]
        with servers.running(
            system,
            system.variants[0],
            self.bundle,
            probe=generate(1, "png"),
            logs=SCRATCH / "logs",
            flags=("--device", self.device, *features),
        ) as server:
            _, ready = servers.ask(server.port, Template("/readyz", "GET"), serial=0, timeout_s=10)
            if self.provider not in ready.decode():
                raise Failed(f"the service says {ready.decode()[:200]} and not {self.provider}")
            return [
                self._cell(server.port, generate(images, image_format), image_format, connections, sessions)
                for images, image_format, connections in itertools.product(
                    self.sizes.images, formats, self.sizes.connections
                )
                if images * connections <= _MOST_OUTSTANDING
            ]

    def _cell(
        self, port: int, template: Template, image_format: Format, connections: int, sessions: list[bare.Limit]
    ) -> Served:
        templates, seconds = SCRATCH / "gpu.json", self.sizes.seconds
        write_templates(templates, [template])
        driver = load.spawn(port, templates, seconds=seconds, warm_up_s=0.2, connections=connections)
        found = load.collect(driver, timeout_s=10 * seconds + 120)
        share = found.images_per_s / bare.best(sessions, image_format).images_per_s
        return Served(template.images, image_format, connections, found.images_per_s, found.p99_ms, found.errors, share)


def table(model: str, found: dict[str, Any]) -> str:
    """One model's part of the table."""
    same, in_half = (
        Parity(**{name: value for name, value in found[which].items() if name != "kept"})
        for which in ("parity", "parity_fp16")
    )
    rows = [
        ("provider", same.provider),
        ("CUDA graphs", "captured" if same.cuda_graphs else "not captured: there is no GPU, or the log says why"),
        (f"parity with the CPU, {same.images} seeds", _shown(same)),
        ("the same of the fp16 bundle", _shown(in_half)),
    ]
    for one in found["sessions"]:
        kind = "" if one["image_format"] == "none" else f" + {one['image_format']}"
        rows.append((f"bare session{kind}, batch {one['batch']}", f"{one['images_per_s']:.0f} images/s"))
    for one in found["served"]:
        what = f"service, {one['images_a_request']} x {one['image_format']}, {one['connections']} connection(s)"
        figures = f"{one['images_per_s']:.0f} images/s, p99 {one['p99_ms']:.1f} ms, {one['errors']} errors"
        rows.append((what, f"{figures}, {one['to_session']:.2f} of the bare session with encoding"))
    for name, effect in found["features"].items():
        rows.append((name, str(Effect(**effect))))
    return "\n".join(f"| {model} | {name} | {value} |" for name, value in rows)


def _shown(same: Parity) -> str:
    return (
        f"at most {same.most_grey_levels_apart} grey level(s) apart ({same.allowed_grey_levels} allowed), "
        f"{same.equal_pixels_share:.4%} of the pixels equal"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="all of it on the CPU with tiny sizes")
    parser.add_argument(
        "--mnist", default=ROOT / "models" / "mnist" / "1", type=Path, help="folder of the small bundle"
    )
    parser.add_argument("--only", choices=["mnist", models.NAME], help="one of the two models; default: both")
    parser.add_argument("--rounds", type=int, help="turns of each server when features are measured; default: 3")
    parser.add_argument("--out", type=Path, help="folder of the results; default: benchmarks/results/<date>-<machine>")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # what the engines say of CUDA graphs
    device: Device = "cpu" if chosen.dry_run else "cuda"
    sizes = TINY if chosen.dry_run else FULL
    sizes = replace(sizes, rounds=chosen.rounds or sizes.rounds)
    out = (
        chosen.out or (SCRATCH if chosen.dry_run else ROOT / "benchmarks" / "results") / f"{machine.folder_name()}-gpu"
    )
    found: dict[str, Any] = {}
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.dry_run:
            bundles = [models.write_bundle(Path(scratch) / "tiny", widths=_TINY_WIDTHS, z_dim=8)]
        else:
            bundles = [chosen.mnist, models.write_bundle(models.FOLDER)]
            bundles = [bundle for bundle in bundles if chosen.only in (None, bundle.parent.name)]
        for bundle in bundles:
            name = bundle.parent.name
            try:
                copy = one_model_folder(bundle, Path(scratch))
                half = models.in_half(copy, Path(scratch) / "half" / name)
                found[name] = Subject(copy, device, sizes).measure(half)
            except Failed as error:
                sys.exit(f"{name}: {error}")
            for which in ("parity", "parity_fp16"):
                wrong += [] if found[name][which]["kept"] else [f"{name}: {which}: the images are not those of the CPU"]
            wrong += [f"{name}: {one['errors']} errors" for one in found[name]["served"] if one["errors"]]
    text = "| model | | |\n|---|---|---|\n" + "\n".join(table(name, figures) for name, figures in found.items())
    out.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine.describe(), "command": machine.command_line(), "models": found, "wrong": wrong}
    (out / "gpu.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (out / "gpu.md").write_text(f"# GPU\n\n`{machine.command_line()}`\n\n{text}\n", encoding="utf-8")
    print(text)
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
