"""Models that are being served: from folders of bundles to live batchers, by name and version."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from app.batching import Batcher, BatchObserver
from app.engines.admission import admit_discriminator, admit_generator
from app.engines.base import Engine
from app.errors import ModelLoadError, ModelNotFound
from app.settings import Settings
from bundle import BundleError, Manifest, read_bundle

logger = logging.getLogger(__name__)

PREFERRED_DEFAULT = "mnist"
_REFERENCE = re.compile(r"([a-z0-9-]{1,63})(?:@([1-9][0-9]{0,8}))?")


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
        loaded: dict[str, dict[int, LiveModel]] = {}
        try:
            for path in _bundle_folders(self._settings.models):
                model = self._load(path)
                loaded.setdefault(model.name, {})[model.version] = model
                if (model.name, str(model.version)) != (path.parent.name, path.name):
                    raise ModelLoadError(f"{path}: the manifest says {model.name}/{model.version}")
                logger.info("model %s is ready on %s (%s)", model.label, model.provider, model.digest[:12])
            # All at once: other threads ask meanwhile.
            self._models = loaded
            self._default = self._pick_default()
        except BaseException:
            self._models = loaded
            self.close()
            raise

    def load(self, path: Path) -> LiveModel:
        """Load, verify and warm the one bundle in folder `path`, wherever that lies; raises as load_all."""
        model = self._load(path)
        self._models.setdefault(model.name, {})[model.version] = model
        return model

    def get(self, reference: str | None) -> LiveModel:
        """The model of "name" (its highest version), "name@version", or None (the default). Raises ModelNotFound."""
        match = _REFERENCE.fullmatch((self._default or "") if reference is None else reference)
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
        name, limit = bundle.manifest.name, self._settings.max_batch_size
        generator = self._open(
            bundle.generator, name, lambda engine: admit_generator(bundle, engine, max_batch_size=limit)
        )
        discriminator = None
        if bundle.discriminator is not None and self._settings.discriminator:
            try:
                discriminator = self._open(
                    bundle.discriminator, name, lambda engine: admit_discriminator(bundle, engine, max_batch_size=limit)
                )
            except BaseException:
                generator.close()
                raise
        return LiveModel(path, bundle.manifest, bundle.digest, generator.provider, generator, discriminator)

    def _open(self, graph: bytes, name: str, admit: Callable[[Engine], int]) -> Batcher:
        """A batcher in front of an engine that was admitted, at the batch size that it was admitted for."""
        engine = self._open_engine(graph, device=self._settings.device, threads=self._settings.threads)
        try:
            batch_size = admit(engine)
        except BaseException:
            engine.close()
            raise
        return Batcher(
            engine,
            max_batch_size=batch_size,
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
