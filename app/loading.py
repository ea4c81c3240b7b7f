"""From a bundle's folder to a model that may serve: verified, compared with its golden images, warmed."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from app.batching import Batcher, BatchObserver
from app.catalogue import LiveModel
from app.engines.admission import admit_discriminator, admit_generator
from app.engines.base import GPU_PROVIDERS, Engine
from app.errors import ModelLoadError
from app.settings import Settings
from bundle import BundleError, read_bundle

_ON_A_GPU = 2


class OpenEngine(Protocol):
    """Makes an engine of ONNX bytes, such as engines.onnx.open_engine."""

    def __call__(self, model: bytes, *, device: Literal["auto", "cuda", "cpu"], threads: int) -> Engine:
        """Raises ProviderUnavailable or ModelLoadError."""
        ...


class BundleLoader:
    """Makes live models as the settings say; `observe` gives the listener to the batchers of a model."""

    def __init__(self, settings: Settings, open_engine: OpenEngine, observe: Callable[[str], BatchObserver]) -> None:
        self._settings = settings
        self._open_engine = open_engine
        self._observe = observe

    def load_version(self, path: Path) -> LiveModel:
        """The bundle in folder `<name>/<version>`, which has to be what it says of itself. Raises as load."""
        model = self.load(path)
        if (model.name, str(model.version)) != (path.parent.name, path.name):
            model.close()
            raise ModelLoadError(f"{path}: the manifest says {model.name}/{model.version}")
        return model

    def load(self, path: Path) -> LiveModel:
        """The bundle in a folder, wherever that lies; blocks for as long as that takes.

        Raises ModelLoadError when it cannot be served, ProviderUnavailable for a device that cannot be used.
        """
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
        """A batcher in front of engines that were admitted, at the batch size that they were admitted for."""
        engines: list[Engine] = []
        batch_sizes = []
        try:
            while len(engines) < self._in_flight(engines):
                engines.append(self._open_engine(graph, device=self._settings.device, threads=self._settings.threads))
                batch_sizes.append(admit(engines[-1]))
        except BaseException:
            for engine in engines:
                engine.close()
            raise
        return Batcher(
            engines,
            max_batch_size=min(batch_sizes),
            max_queue_delay_s=self._settings.max_queue_delay_ms / 1000,
            max_queue_images=self._settings.max_queue_images,
            share_rows=1 if engines[0].provider in GPU_PROVIDERS else max(1, min(batch_sizes) // 2),
            observer=self._observe(name),
        )

    def _in_flight(self, engines: list[Engine]) -> int:
        """How many engines a network gets: while one copies its images back, the next computes."""
        if self._settings.batches_in_flight is not None:
            return self._settings.batches_in_flight
        return _ON_A_GPU if engines and engines[0].provider in GPU_PROVIDERS else 1
