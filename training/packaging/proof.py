"""The proof that a packaged generator does what the original does, row by row, whatever the batch."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bundle import LatentSpec, sample_latents
from training.errors import PackageError
from training.graphs import GREY_LEVELS, require_batch_independence
from training.packaging.batch import TRIED
from training.packaging.original import Original, Rows
from training.packaging.picture import Picture
from training.packaging.ports import GeneratorPorts
from training.packaging.source import first_line
from training.players import open_session
from training.publication import GOLDEN_SEEDS, golden_classes

SIZES = (*TRIED, len(GOLDEN_SEEDS))
"""Batch sizes at which the two are compared."""


@dataclass(frozen=True)
class GoldenRows:
    """The golden rows, as the original takes them and as the bundle's graph does."""

    latent: LatentSpec
    ports: GeneratorPorts
    classes: tuple[str, ...] | None

    def feed(
        self, count: int, *, psi: NDArray[np.float32] | None = None, scale: float = 1.0
    ) -> dict[str, NDArray[Any]]:
        """Inputs of the original for the first `count` golden seeds, z times `scale`."""
        z = sample_latents(self.latent, GOLDEN_SEEDS[:count]) * np.float32(scale)
        return self.ports.feed(z, self.class_ids(count), np.ones(count, np.float32) if psi is None else psi)

    def bundle_feed(self, count: int, *, psi: NDArray[np.float32] | None) -> dict[str, NDArray[Any]]:
        """The same for the bundle's graph; psi None for one without truncation."""
        feed: dict[str, NDArray[Any]] = {"z": sample_latents(self.latent, GOLDEN_SEEDS[:count])}
        if (class_ids := self.class_ids(count)) is not None:
            feed["class_id"] = class_ids
        return feed if psi is None else {**feed, "truncation": psi}

    def class_ids(self, count: int) -> NDArray[np.int64] | None:
        """The classes of the first golden seeds."""
        every = golden_classes(self.classes)
        return None if every is None else every[:count]


def require_parity(
    graph: bytes,
    ports: GeneratorPorts,
    picture: Picture,
    original: Original,
    rows: GoldenRows,
    *,
    scale_z: bool,
) -> int:
    """Run both at several batch sizes, each row with a psi of its own where there is one; the largest difference.

    Raises PackageError where they differ by more than one grey level.
    """
    session, worst = open_session(graph), 0
    for size in SIZES:
        psi = np.linspace(1.0, 0.25, size, dtype=np.float32)
        asked = rows.feed(size, psi=psi)
        if scale_z:
            asked[ports.z.name] = asked[ports.z.name] * psi.reshape(size, *(1 for _ in ports.z_shape)).astype(
                ports.z.dtype
            )
        expected = picture.pixels(original.run(asked, [ports.image.name])[0])
        feed = rows.bundle_feed(size, psi=psi if scale_z or ports.truncation is not None else None)
        try:
            found: NDArray[np.uint8] = session.run(["image"], feed)[0]
        except Exception as error:  # ONNX Runtime raises types of its own
            raise PackageError(f"it cannot be run at a batch of {size}: {first_line(error)}") from None
        if found.shape != expected.shape:
            raise PackageError(f"at a batch of {size} it makes {list(found.shape)}, not {list(expected.shape)}")
        worst = max(worst, apart := int(np.abs(found.astype(np.int16) - expected).max()))
        if apart > GREY_LEVELS:
            raise PackageError(f"at a batch of {size} its images are {apart} grey levels from the original's")
    return worst


def require_independence(graph: bytes, rows: GoldenRows, *, truncation: bool) -> float:
    """The grey levels by which an image depends on its batch mates; raises ExportError when they are more than one."""
    count = len(GOLDEN_SEEDS)
    feed: Rows = rows.bundle_feed(count, psi=np.ones(count, np.float32) if truncation else None)
    mates = {name: values[1:] for name, values in feed.items()}
    return require_batch_independence(graph, {name: values[:1] for name, values in feed.items()}, [mates])


def truncation_kind(original: Original, ports: GeneratorPorts, rows: GoldenRows) -> Literal["scale_z", "toward_mean_w"]:
    """Whether the network's truncation does what scaling z would, or pulls toward a mean elsewhere.

    Raises PackageError when it does nothing.
    """

    def images(feed: Rows) -> NDArray[np.float64]:
        return original.run(feed, [ports.image.name])[0].astype(np.float64)

    truncated = images(rows.feed(2, psi=np.full(2, 0.5, np.float32)))
    moved = np.abs(truncated - images(rows.feed(2))).max()
    if moved == 0:
        raise PackageError(f"{ports.truncation} changes no image at 0.5; leave it out with --truncation none")
    apart = np.abs(truncated - images(rows.feed(2, scale=0.5))).max()
    return "scale_z" if apart < moved / 100 else "toward_mean_w"
