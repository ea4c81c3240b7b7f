"""What the subcommands that measure have in common: the data set of a network's size, and the extractor."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from training.cli.reading import read
from training.data.published import PUBLISHED
from training.errors import ConfigError

if TYPE_CHECKING:
    from bundle import Manifest
    from training.data import Split
    from training.metrics.features import AnyExtractor

EXTRACTOR = click.option(
    "--extractor",
    type=click.Path(path_type=Path),
    default=None,
    help="Feature extractor file; by default the one shipped for this data set, if there is one.",
)


def data_of(manifest: "Manifest") -> Path:
    """Where the data set of a bundle lies unless `--data` says otherwise: in data/, if it is a published one.

    Raises ConfigError for another one.
    """
    dataset = manifest.training.dataset
    if dataset not in PUBLISHED:
        raise ConfigError(f"--data says where the images are; the bundle was trained on {dataset}")
    return Path("data", dataset)


def load_like(data: Path, shape: tuple[int, int, int]) -> "Split":
    """The data set at `data`, its images of the size that networks of `shape` make."""
    return read(data, resolution=shape[0])


def extractor_for(path: Path | None, split: "Split") -> "AnyExtractor | None":
    """The extractor in the file `path`, or else the one that is shipped for the data set, if there is one."""
    from training.metrics.features import load_extractor, shipped_extractor  # noqa: PLC0415

    return load_extractor(path) if path is not None else shipped_extractor(split.held_out)
