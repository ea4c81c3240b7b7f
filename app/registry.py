"""Models that are being served: from folders of bundles to live batchers, by name and version."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from app.batching import Batcher, BatchObserver
from app.engines.base import Engine
from app.errors import ModelLoadError, ModelNotFound
from app.settings import Settings
from bundle import Bundle, BundleError, Manifest, read_bundle, sample_latents

logger = logging.getLogger(__name__)

PREFERRED_DEFAULT = "mnist"
_REFERENCE = re.compile(r"([a-z0-9-]{1,63})(?:@([1-9][0-9]{0,8}))?")
_WARM_UP_ROWS = (1, 2)


class OpenEngine(Protocol):
    """Makes an engine of ONNX bytes, such as engines.onnx.open_engine."""

    def __call__(self, model: bytes, *, device: Literal["auto", "cuda", "cpu"], threads: int) -> Engine:
        """Raises ProviderUnavailable or ModelLoadError."""
        ...


@dataclass(frozen=True)
class LiveModel:
    """A verified, warmed model version and the batchers in front of its networks."""

    path: Path
    manifest: Manifest
    digest: str
    provider: str
    generator: Batcher
    discriminator: Batcher | None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """The version's number."""
        return self.manifest.version

    @property
    def label(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def queue_depth(self) -> int:
        """Images that wait for either network."""
        return self.generator.queue_depth + (self.discriminator.queue_depth if self.discriminator else 0)

    @property
    def alive(self) -> bool:
        """Whether its batchers run."""
        return self.generator.alive and (self.discriminator is None or self.discriminator.alive)

    def close(self) -> None:
        """Stop its batchers and free its engines."""
        self.generator.close()
        if self.discriminator is not None:
            self.discriminator.close()


class ModelRegistry:
    """Every model version under one folder, `<name>/<version>/`; the highest version answers for a name alone."""

    def __init__(self, settings: Settings, open_engine: OpenEngine, observe: Callable[[str], BatchObserver]) -> None:
        self._settings = settings
        self._open_engine = open_engine
        self._observe = observe
        self._models: dict[str, dict[int, LiveModel]] = {}
        self._default: str | None = None

    def load_all(self) -> None:
        """Load, verify and warm every bundle; blocks for as long as that takes.

        Raises ModelLoadError when a bundle cannot be served or there is none, ProviderUnavailable for a device that
        cannot be used; what was loaded until then is closed.
        """
        try:
            for path in _bundle_folders(self._settings.models):
                model = self.load(path)
                if (model.name, str(model.version)) != (path.parent.name, path.name):
                    raise ModelLoadError(f"{path}: the manifest says {model.name}/{model.version}")
                logger.info("model %s is ready on %s (%s)", model.label, model.provider, model.digest[:12])
            self._default = self._pick_default()
        except BaseException:
            self.close()
            raise

    def load(self, path: Path) -> LiveModel:
        """Load, verify and warm the one bundle in folder `path`, wherever that lies; raises as load_all."""
        model = self._load(path)
        self._models.setdefault(model.name, {})[model.version] = model
        return model

    def get(self, reference: str | None) -> LiveModel:
        """The model of "name" (its highest version), "name@version", or None (the default). Raises ModelNotFound."""
        match = _REFERENCE.fullmatch(reference or self._default or "")
        versions = self._models.get(match[1], {}) if match else {}
        if not match or not versions:
            raise ModelNotFound("no model has this name; GET /models lists them")
        version = int(match[2]) if match[2] else max(versions)
        if version not in versions:
            raise ModelNotFound("this model has no such version; GET /models lists them")
        return versions[version]

    def models(self) -> list[LiveModel]:
        """Every model version, by name and then by version, highest first."""
        return [
            self._models[name][v] for name in sorted(self._models) for v in sorted(self._models[name], reverse=True)
        ]

    @property
    def default(self) -> LiveModel:
        """What requests without a model get. Raises ModelNotFound before loading."""
        return self.get(None)

    @property
    def alive(self) -> bool:
        """Whether every batcher runs."""
        return all(model.alive for model in self.models())

    def queue_depth(self, name: str) -> int:
        """Images that wait for any version of a model."""
        return sum(model.queue_depth for model in self._models.get(name, {}).values())

    def close(self) -> None:
        """Stop every batcher and free every engine."""
        models, self._models = self.models(), {}
        for model in models:
            model.close()

    def _load(self, path: Path) -> LiveModel:
        try:
            bundle = read_bundle(path)
        except BundleError as error:
            raise ModelLoadError(str(error)) from None
        manifest = bundle.manifest
        generator = self._open(bundle.generator)
        discriminator = None
        try:
            _require_golden(bundle, generator)
            if bundle.discriminator is not None and self._settings.discriminator:
                discriminator = self._open(bundle.discriminator)
                _warm_up_discriminator(bundle, discriminator)
        except BaseException:
            generator.close()
            if discriminator is not None:
                discriminator.close()
            raise
        return LiveModel(
            path=path,
            manifest=manifest,
            digest=bundle.digest,
            provider=generator.provider,
            generator=self._batcher(generator, manifest.name),
            discriminator=self._batcher(discriminator, manifest.name) if discriminator is not None else None,
        )

    def _open(self, graph: bytes) -> Engine:
        return self._open_engine(graph, device=self._settings.device, threads=self._settings.threads)

    def _batcher(self, engine: Engine, name: str) -> Batcher:
        return Batcher(
            engine,
            max_batch_size=self._settings.max_batch_size,
            max_queue_delay_s=self._settings.max_queue_delay_ms / 1000,
            max_queue_images=self._settings.max_queue_images,
            observer=self._observe(name),
        )

    def _pick_default(self) -> str:
        wanted = self._settings.default_model
        if wanted is not None:
            try:
                self.get(wanted)
            except ModelNotFound:
                served = ", ".join(model.label for model in self.models())
                raise ModelLoadError(f"the default model {wanted!r} is not among {served}") from None
            return wanted
        return PREFERRED_DEFAULT if PREFERRED_DEFAULT in self._models else min(self._models)


def generator_inputs(
    manifest: Manifest, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None, truncation: float
) -> dict[str, NDArray[np.generic]]:
    """What the generator graph takes for latent rows `z`, float32 [n, dim], with one truncation psi for all."""
    inputs: dict[str, NDArray[np.generic]] = {"z": z}
    if manifest.classes is not None and class_ids is not None:
        inputs["class_id"] = class_ids
    if manifest.truncation.supported:
        inputs["truncation"] = np.full(len(z), truncation, dtype=np.float32)
    return inputs


def discriminator_inputs(
    manifest: Manifest, pixels: NDArray[np.uint8], class_ids: NDArray[np.int64] | None
) -> dict[str, NDArray[np.generic]]:
    """What the discriminator graph takes for pixels uint8 [n, h, w, c]; without classes, -1: "not stated"."""
    inputs: dict[str, NDArray[np.generic]] = {"image": pixels}
    if manifest.classes is not None:
        inputs["class_id"] = np.full(len(pixels), -1, dtype=np.int64) if class_ids is None else class_ids
    return inputs


def _bundle_folders(models: Path) -> Sequence[Path]:
    """The folders `<name>/<version>` that hold something; what begins with a dot is somebody's unfinished work."""
    try:
        found = sorted(_versions(models))
    except OSError as error:
        raise ModelLoadError(f"{models}: {error.strerror or 'cannot be read'}") from None
    if not found:
        raise ModelLoadError(f"{models}: no model bundle is there (GANSERVE_MODELS names the folder)")
    return found


def _versions(models: Path) -> Iterator[Path]:
    for name in models.iterdir():
        if name.is_dir() and not name.name.startswith("."):
            for version in name.iterdir():
                if version.is_dir() and re.fullmatch(r"[1-9][0-9]{0,8}", version.name):
                    yield version


def _require_golden(bundle: Bundle, engine: Engine) -> None:
    """Make the golden images, which warms the engine too, and compare: a graph can load and yet be wrong."""
    golden, manifest = bundle.manifest.golden, bundle.manifest
    z = sample_latents(manifest.latent, golden.seeds)
    classes = None if golden.class_ids is None else np.array(golden.class_ids, dtype=np.int64)
    inputs = generator_inputs(manifest, z, classes, 1.0)
    images = _run(bundle, engine, inputs)["image"]
    if images.shape != bundle.golden.shape or images.dtype != np.uint8:
        raise ModelLoadError(f"{bundle.path}: the generator makes {images.dtype}{list(images.shape)} images")
    apart = int(np.abs(images.astype(np.int16) - bundle.golden.astype(np.int16)).max())
    if apart > golden.tolerance:
        raise ModelLoadError(
            f"{bundle.path}: the golden images come out {apart} grey levels off, {golden.tolerance} are allowed"
        )
    for rows in _WARM_UP_ROWS:
        _run(bundle, engine, {name: values[:rows] for name, values in inputs.items()})


def _warm_up_discriminator(bundle: Bundle, engine: Engine) -> None:
    for rows in _WARM_UP_ROWS:
        outputs = _run(bundle, engine, discriminator_inputs(bundle.manifest, bundle.golden[:rows], None))
        if not all(np.isfinite(values).all() for values in outputs.values()):
            raise ModelLoadError(f"{bundle.path}: the discriminator's scores of the golden images are not finite")


def _run(bundle: Bundle, engine: Engine, inputs: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    try:
        return engine.run(inputs)
    except Exception as error:  # an engine raises what its library raises
        raise ModelLoadError(f"{bundle.path}: a graph cannot be run: {type(error).__name__}") from error
