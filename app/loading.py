"""From a bundle's folder to a model that may serve: verified, compared with its golden images, warmed."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from app.batching import Batcher, BatchObserver
from app.catalogue import LiveModel
from app.devices import parse_devices
from app.engines.admission import admit_discriminator, admit_encoder, admit_generator, golden_inputs
from app.engines.base import GPU_PROVIDERS, Arrays, Engine
from app.engines.feeds import discriminator_inputs, encoder_inputs
from app.engines.layout import Wanted, lay_out
from app.errors import ModelLoadError
from app.processors import available_threads
from app.settings import Settings
from bundle import BundleError, read_bundle

logger = logging.getLogger(__name__)

_INLINE_S = 0.002
"""So long may a network keep the event loop; nobody else is there at such a time."""
_SESSIONS_ON_A_GPU = 2
"""While one copies its images back, the other computes."""


class OpenEngine(Protocol):
    """Makes an engine of ONNX bytes, such as engines.onnx.open_engine."""

    def __call__(self, model: bytes, *, device: str, threads: int) -> Engine:
        """On one of app.devices; raises ProviderUnavailable or ModelLoadError."""
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
        limit, devices = self._settings.max_batch_size, parse_devices(self._settings.device)
        generator = self._open(
            devices,
            _Network(path, bundle.manifest.name, "generator", bundle.generator, golden_inputs(bundle)),
            lambda engine: admit_generator(bundle, engine, max_batch_size=limit),
        )
        others: dict[str, Batcher] = {}
        if generator.provider not in GPU_PROVIDERS:
            devices = ("cpu",)  # where auto has landed
        try:
            if bundle.discriminator is not None and self._settings.discriminator:
                scored = discriminator_inputs(bundle.manifest, bundle.golden, None)
                others["discriminator"] = self._open(
                    devices,
                    _Network(path, bundle.manifest.name, "discriminator", bundle.discriminator, scored),
                    lambda engine: admit_discriminator(bundle, engine, max_batch_size=limit),
                )
            if bundle.encoder is not None:
                others["encoder"] = self._open(
                    devices,
                    _Network(path, bundle.manifest.name, "encoder", bundle.encoder, encoder_inputs(bundle.golden)),
                    lambda engine: admit_encoder(bundle, engine, max_batch_size=limit),
                )
        except BaseException:
            for batcher in (generator, *others.values()):
                batcher.close()
            raise
        return LiveModel(
            path,
            bundle.manifest,
            bundle.digest,
            generator.provider,
            generator,
            others.get("discriminator"),
            others.get("encoder"),
        )

    def _open(self, devices: Sequence[str], network: "_Network", admit: Callable[[Engine], int]) -> Batcher:
        """A batcher in front of engines that were admitted, at the batch size that they were admitted for."""
        first = self._engine(network, devices[0], self._settings.threads or 1)
        engines = [first]
        try:
            batch_size = admit(first)
            if first.provider in GPU_PROVIDERS:
                share_rows, inline_s = 1, 0.0
                sessions = self._settings.sessions or _SESSIONS_ON_A_GPU
                # The first that is idle gets the work, so each device comes once before one comes twice.
                for device in (list(devices) * sessions)[1:]:
                    engines.append(self._engine(network, device, 1))
                    batch_size = min(batch_size, admit(engines[-1]))
            else:
                engines = self._laid_out(network, first)
                if engines[0] is not first:
                    batch_size = admit(engines[0])
                share_rows, inline_s = max(1, batch_size // 2), _INLINE_S
        except BaseException:
            for engine in engines:
                engine.close()
            raise
        return Batcher(
            engines,
            max_batch_size=batch_size,
            max_queue_delay_s=self._settings.max_queue_delay_ms / 1000,
            max_queue_images=self._settings.max_queue_images,
            observer=self._observe(network.model),
            share_rows=share_rows,
            inline_s=inline_s,
        )

    def _laid_out(self, network: "_Network", first: Engine) -> list[Engine]:
        """Engines on the CPU, `first` among them or closed."""
        try:
            engines, layout = lay_out(
                first,
                lambda threads: self._engine(network, "cpu", threads),
                network.rows,
                wanted=Wanted(self._settings.sessions, self._settings.threads),
                cores=available_threads(),
                weight_bytes=len(network.graph),
            )
        except ModelLoadError:
            raise
        except Exception as error:  # an engine raises what its library raises
            raise ModelLoadError(f"{network.path}: a graph cannot be run: {type(error).__name__}") from error
        logger.info("%s's %s: %d session(s) of %d thread(s)", network.model, network.name, *layout)
        return engines

    def _engine(self, network: "_Network", device: str, threads: int) -> Engine:
        return self._open_engine(network.graph, device=device, threads=threads)


class _Network:
    """One graph of a bundle, whose it is, and rows that it takes."""

    def __init__(self, path: Path, model: str, name: str, graph: bytes, rows: Arrays) -> None:
        self.path = path
        self.model = model
        self.name = name
        self.graph = graph
        self.rows = rows
