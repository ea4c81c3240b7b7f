"""How a bundle gets into its place: built beside it, read back as a service would, and only then renamed."""

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import MANIFEST_FILE, Bundle, Manifest, read_bundle, sample_latents
from training.errors import ConfigError, ExportError
from training.players import OnnxPlayers

GOLDEN_SEEDS = tuple(range(8))
GOLDEN_TOLERANCE = 2
"""Grey levels; covers the rounding of another provider, not another model."""
HALF_TOLERANCE = 4
"""The same in float16, which rounds 8192 times as coarsely; also what the graph may differ by from torch in float32."""


def publish(models: Path, name: str, version: int | None, write: Callable[[Path, int], None]) -> Path:
    """Have `write(folder, version)` fill the bundle `models/<name>/<version>` and return that folder.

    What is written is read back, its golden images are made again, and only then is it renamed into its place; when
    anything raises, nothing is left. Version None is the next free number. Raises ConfigError when the version is
    taken, ExportError when the golden images come out otherwise.
    """
    number = version or next_version(models / name)
    target = models / name / str(number)
    if target.exists():
        raise ConfigError(f"{target} exists; a published version is never overwritten")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target.parent))
    try:
        write(unfinished, number)
        _require_golden(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return target


def publish_next(bundle: Bundle, models: Path, write: Callable[[Path, int], None]) -> Path:
    """Publish what `write` makes of `bundle` as the version in `models` after it and after all that are there."""
    name = bundle.manifest.name
    return publish(models, name, max(bundle.manifest.version + 1, next_version(models / name)), write)


def now() -> datetime:
    """When a manifest is written: this moment in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def next_manifest(manifest: Manifest, version: int, **changes: object) -> Manifest:
    """The manifest of a later `version`, made now, in which `changes` are all that is different."""
    return manifest.model_copy(update={"version": version, "created": now(), **changes})


def golden_classes(classes: tuple[str, ...] | None) -> NDArray[np.int64] | None:
    """The class of each golden image, int64 [8], or None without classes."""
    return np.arange(len(GOLDEN_SEEDS), dtype=np.int64) % len(classes) if classes else None


def npy(images: NDArray[np.uint8]) -> bytes:
    """The .npy file of some images."""
    buffer = io.BytesIO()
    np.save(buffer, images, allow_pickle=False)
    return buffer.getvalue()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `folder/manifest.json`."""
    fields = manifest.model_dump(mode="json")
    if manifest.generator.precision == "float32":
        # What it means when it is not said, so that readers from before it could be said take the bundle.
        del fields["generator"]["precision"]
    if manifest.encoder is None:  # for the same readers
        del fields["encoder"]
    if manifest.calibration is not None and manifest.calibration.scores is None:  # for the same readers
        del fields["calibration"]["scores"]
    document = json.dumps(fields, indent=2, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(document + "\n", encoding="utf-8")


def copy_files(bundle: Bundle, folder: Path, *, without: Collection[str]) -> None:
    """Copy what the bundle's manifest names, as it was verified, and the plain files that lie beside it for people.

    The manifest itself and the files called in `without` are left out.
    """
    manifest = bundle.manifest
    verified = {manifest.generator.file: bundle.generator}
    if manifest.discriminator is not None and bundle.discriminator is not None:
        verified[manifest.discriminator.file] = bundle.discriminator
    if manifest.encoder is not None and bundle.encoder is not None:
        verified[manifest.encoder.file] = bundle.encoder
    beside = {path.name for path in bundle.path.iterdir() if path.is_file() and not path.is_symlink()}
    for file in (beside | verified.keys()) - {MANIFEST_FILE, *without}:
        (folder / file).write_bytes(verified[file] if file in verified else (bundle.path / file).read_bytes())


def _require_golden(folder: Path) -> None:
    """Read the finished bundle as a service would, and make its golden images again."""
    bundle = read_bundle(folder)
    golden = bundle.manifest.golden
    classes = None if golden.class_ids is None else np.array(golden.class_ids, dtype=np.int64)
    found = OnnxPlayers(folder).images(sample_latents(bundle.manifest.latent, golden.seeds), classes)
    apart = int(np.abs(found.astype(np.int16) - bundle.golden.astype(np.int16)).max())
    if apart > golden.tolerance:
        raise ExportError(f"the bundle makes its golden images {apart} grey levels off")


def next_version(folder: Path) -> int:
    """The number after the highest version in a model's folder."""
    taken = [int(path.name) for path in folder.glob("*") if path.name.isdigit()]
    return max(taken, default=0) + 1
