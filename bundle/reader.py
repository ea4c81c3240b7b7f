"""Reading a bundle folder: every file once, hashed, and the hashed bytes are what is handed on."""

import hashlib
import io
import stat
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bundle.errors import BundleIntegrityError, ManifestError
from bundle.manifest import MANIFEST_FILE, Manifest

_MANIFEST_LIMIT_BYTES = 4 * 2**20
_GRAPH_LIMIT_BYTES = 2 * 2**30  # protobuf's own limit: a larger graph would need external data
# A TensorProto that keeps its data elsewhere holds the protobuf string entry key="location".
_EXTERNAL_DATA = b"\x0a\x08location"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. `digest` is the SHA-256 of manifest.json, which names every other hash."""

    path: Path
    manifest: Manifest
    digest: str
    generator: bytes = field(repr=False)
    discriminator: bytes | None = field(repr=False)
    golden: NDArray[np.uint8] = field(repr=False)
    encoder: bytes | None = field(default=None, repr=False)


def read_bundle(path: Path) -> Bundle:
    """Read and verify the bundle in folder `path`.

    Raises ManifestError when manifest.json is absent or wrong, BundleIntegrityError when a file is
    absent, a link, of another SHA-256, or an ONNX graph with external data.
    """
    raw = _read(path / MANIFEST_FILE, _MANIFEST_LIMIT_BYTES)
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ManifestError(f"{path / MANIFEST_FILE}: {where}: {first['msg']}") from None
    generator = _graph(path / manifest.generator.file, manifest.generator.sha256)
    spec = manifest.discriminator
    discriminator = None if spec is None else _graph(path / spec.file, spec.sha256)
    inverse = manifest.encoder
    encoder = None if inverse is None else _graph(path / inverse.file, inverse.sha256)
    golden = _golden(path / manifest.golden.file, manifest)
    return Bundle(path, manifest, hashlib.sha256(raw).hexdigest(), generator, discriminator, golden, encoder)


def _graph(path: Path, sha256: str) -> bytes:
    data = _verified(path, sha256)
    if _EXTERNAL_DATA in data:
        raise BundleIntegrityError(f"{path}: the graph keeps tensors in other files (external data)")
    return data


def _golden(path: Path, manifest: Manifest) -> NDArray[np.uint8]:
    try:
        images = np.load(io.BytesIO(_verified(path, manifest.golden.sha256)), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise BundleIntegrityError(f"{path}: not a .npy array") from None
    spec = manifest.image
    expected = (len(manifest.golden.seeds), spec.height, spec.width, spec.channels)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != expected:
        raise BundleIntegrityError(f"{path}: golden images must be uint8 {list(expected)}")
    return images


def _verified(path: Path, sha256: str) -> bytes:
    data = _read(path, _GRAPH_LIMIT_BYTES)
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise BundleIntegrityError(f"{path}: SHA-256 is {found}, the manifest says {sha256}")
    return data


def _read(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a plain file; links are refused, so a bundle is the folder and nothing outside it."""
    missing = ManifestError if path.name == MANIFEST_FILE else BundleIntegrityError
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise BundleIntegrityError(f"{path}: not a plain file")
        if status.st_size > limit_bytes:
            raise BundleIntegrityError(f"{path}: larger than {limit_bytes} bytes")
        return path.read_bytes()
    except OSError as error:
        raise missing(f"{path}: {error.strerror or 'cannot be read'}") from None
