"""Every network at every size, exported and compared with torch: `python -m benchmarks.export_parity --help`.

Weights are random, those that start at zero too, and batch statistics are those of a few batches.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch

from benchmarks import machine
from bundle import LatentSpec, sample_latents
from training.calibration import Platt
from training.config import PRESETS, TrainingConfig
from training.game import build_networks
from training.graphs import (
    PARITY_BATCHES,
    DiscriminatorGraph,
    GeneratorGraph,
    export_graph,
    require_batch_independence,
    require_parity,
)
from training.networks import FAMILIES, Discriminator, Generator

SIZES = (28, 32, 64, 128)
_CLASSES = ("one", "two", "three")


@dataclass(frozen=True)
class Parity:
    """What the graphs of a pair differ by from torch, and a row from itself beside other rows."""

    network: str
    size: int
    channels: int
    conditional: bool
    grey_levels: float
    scores: float
    mates: float
    megabytes: float


def main() -> None:
    """Print the table, and keep it where `--out` says; ends with an error where a pair does not agree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export_parity", description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--sizes", nargs="+", type=int, choices=SIZES, default=list(SIZES))
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--out", type=Path, default=None, help="Markdown file to write")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["| network | size | classes | G, grey levels | D, relative | row beside others | MB |"]
    lines += ["| --- | --- | --- | ---: | ---: | ---: | ---: |"]
    print("\n".join(lines))
    for one in _parities(chosen.networks, chosen.sizes, width=chosen.width):
        classes = "yes" if one.conditional else "no"
        figures = f"{one.grey_levels:g} | {one.scores:.1e} | {one.mates:.1e} | {one.megabytes:.1f}"
        lines.append(f"| {one.network} | {one.size}x{one.size}x{one.channels} | {classes} | {figures} |")
        print(lines[-1], flush=True)
    if chosen.out is not None:
        about = machine.describe()
        head = ["# Exported graphs against torch", ""]
        head += ["- command: `python -m benchmarks.export_parity`", f"- {about['cpu']}, torch {torch.__version__}"]
        head += [f"- at batches of {', '.join(map(str, PARITY_BATCHES))}; D's scores relative to the largest", ""]
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


def _parities(networks: list[str], sizes: list[int], *, width: int) -> Iterator[Parity]:
    for network, size, conditional in product(networks, sizes, (True, False)):
        # Grey and colour in turn: which of the two has no part in how anything else is exported.
        channels = 1 if (size // 4 + conditional) % 2 else 3
        yield parity(network, size=size, channels=channels, conditional=conditional, width=width)


def parity(network: str, *, size: int, channels: int, conditional: bool, width: int) -> Parity:
    """Export a pair with random weights and compare; raises ExportError where it does not agree."""
    torch.manual_seed(0)
    preset = next(name for name, settings in PRESETS.items() if settings["network"] == network)
    config = TrainingConfig.from_preset(
        preset, data=Path("none"), z_dim=16, generator_width=width, discriminator_width=width, latent="normal"
    )
    classes = _CLASSES if conditional else None
    generator, discriminator = build_networks(config, (size, size, channels), classes)
    _liven(generator, discriminator)

    def latents(rows: int) -> dict[str, torch.Tensor]:
        z = sample_latents(LatentSpec(distribution="normal", dim=16), range(rows))
        given = {"z": torch.from_numpy(z)}
        if conditional:
            given["class_id"] = torch.arange(rows) % len(_CLASSES)
        return {**given, "truncation": torch.linspace(1.0, 0.25, rows)}

    def images(rows: int) -> dict[str, torch.Tensor]:
        pixels = np.random.default_rng(rows).integers(0, 256, (rows, size, size, channels), dtype=np.uint8)
        given = {"image": torch.from_numpy(pixels)}
        if conditional:
            given["class_id"] = torch.arange(rows) % (len(_CLASSES) + 1) - 1
        return given

    graphs, worst, mates = [], [], []
    modules = (
        (GeneratorGraph(generator), latents, ["image"]),
        (DiscriminatorGraph(discriminator, stated=Platt(1, 0), not_stated=Platt(1, 0)), images, None),
    )
    for module, make, outputs in modules:
        graph = export_graph(module, make(2), outputs or ["logit", "probability", "features"])
        worst.append(require_parity(module, graph, {rows: make(rows) for rows in PARITY_BATCHES}))
        batch = {name: value.numpy() for name, value in make(64).items()}
        row, rest = ({name: value[part] for name, value in batch.items()} for part in (slice(1), slice(1, None)))
        mates.append(require_batch_independence(graph, row, [rest]))
        graphs.append(len(graph))
    return Parity(network, size, channels, conditional, worst[0], worst[1], max(mates), sum(graphs) / 1e6)


def _liven(generator: Generator, discriminator: Discriminator) -> None:
    """Leave no weight at zero and no batch statistic at its start."""
    for network in (generator, discriminator):
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
    with torch.no_grad():
        for _ in range(3):
            class_id = torch.arange(8) % len(_CLASSES) if generator.classes else None
            discriminator(generator(torch.randn(8, generator.z_dim), class_id), class_id)
    generator.eval()
    discriminator.eval()


if __name__ == "__main__":
    main()
