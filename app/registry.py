"""Models that are being served: from folders of bundles to live batchers, swapped while requests come in."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from app.batching import BatchObserver
from app.catalogue import Catalogue, LiveModel, LoadFailure, shown_name
from app.errors import ModelLoadError, ModelNotFound, ProviderUnavailable
from app.loading import BundleLoader, OpenEngine
from app.repository import Stamp, digest_of, has_manifest, stamp_of, version_folders
from app.settings import Settings

__all__ = ["LiveModel", "ModelRegistry", "OpenEngine", "RegistryObserver"]

logger = logging.getLogger(__name__)

_SETTLED_TRIES = 2
"""A folder that failed so often without changing in between is not being copied in any more."""


class RegistryObserver(Protocol):
    """Hears what becomes of models, such as metrics.Metrics; called under a lock, so it must not call back."""

    def batch_observer(self, model: str) -> BatchObserver:
        """Who listens to the batchers of a model."""
        ...

    def serve_model(self, name: str, version: int, digest: str, provider: str, queue_depth: Callable[[], int]) -> None:
        """A version is being served from now on."""
        ...

    def withdraw_model(self, name: str, version: int, digest: str, provider: str) -> None:
        """A version gets no new requests."""
        ...

    def forget_model(self, name: str) -> None:
        """No version of a model is served, in use, or failing any more."""
        ...

    def load_failed(self, name: str) -> None:
        """A version of a model could not be loaded while others were served."""
        ...


@dataclass(frozen=True)
class _Seen:
    """What the last look made of a folder, and how often it came to that."""

    stamp: Stamp
    failure: LoadFailure | None = None
    tries: int = 1


class ModelRegistry:
    """Every model version under one folder, `<name>/<version>/`; the highest version answers for a name alone.

    `load_all` fills it, `reload` follows the folder. A model that is in `use` stays open until its last user has
    finished, whatever happens to its folder.
    """

    def __init__(self, settings: Settings, open_engine: OpenEngine, observer: RegistryObserver) -> None:
        self._settings = settings
        self._loader = BundleLoader(settings, open_engine, observer.batch_observer)
        self._observer = observer
        self._catalogue = Catalogue()
        self._seen: dict[Path, _Seen] = {}
        self._looking = threading.Lock()
        # Guards all below, and the changing of _catalogue; held for moments only, since the event loop takes it too.
        self._lock = threading.Lock()
        self._users: Counter[LiveModel] = Counter()
        self._retired: set[LiveModel] = set()
        self._closing: set[LiveModel] = set()
        self._announced: set[str] = set()
        self._closed = False

    @property
    def catalogue(self) -> Catalogue:
        """What is served now."""
        return self._catalogue

    def load_all(self) -> None:
        """Load, verify and warm every bundle; blocks for as long as that takes.

        Raises ModelLoadError when a bundle cannot be served or there is none, ProviderUnavailable for a device that
        cannot be used; what was loaded until then is closed.
        """
        loaded: list[LiveModel] = []
        try:
            for path in version_folders(self._settings.models):
                self._seen[path] = _Seen(stamp_of(path))
                loaded.append(self._loader.load_version(path))
            wanted = self._settings.default_model
            try:
                catalogue = self._catalogue.holding(loaded, wanted=wanted)
            except ModelNotFound:
                served = ", ".join(model.label for model in Catalogue().holding(loaded, wanted=None).listed())
                raise ModelLoadError(f"the default model {wanted!r} is not among {served}") from None
            self._become(catalogue, added=loaded)
        except BaseException:
            for model in loaded:
                model.close()
            raise

    def load(self, path: Path) -> LiveModel:
        """Load, verify and warm the one bundle in folder `path`, wherever that lies; raises as load_all."""
        model = self._loader.load(path)
        self._become(self._catalogue.holding([*self._catalogue.listed(), model], wanted=None), added=[model])
        return model

    def reload(self, *, retry_failed: bool = True) -> None:
        """Follow the folder: serve versions that are new or replaced, let go of those that are gone.

        Each is loaded beside what is served and takes its place once it is verified and warm. What fails is told in
        `catalogue.failed`, and what it would have replaced is kept. Without `retry_failed`, a version that has failed
        twice is only tried again once its files change. Raises nothing for what is in the folder.
        """
        with self._looking:
            try:
                folders = version_folders(self._settings.models)
            except ModelLoadError as error:
                logger.debug("%s", error)
                reason = "the model repository cannot be read, or is empty: everything is served as before"
                self._tell_failures([LoadFailure(None, None, reason)])
                return
            self._seen = {path: seen for path, seen in self._seen.items() if path in set(folders)}
            failures = []
            for path in folders:
                if self._closed:
                    return
                if (failure := self._look_at(path, retry_failed=retry_failed)) is not None:
                    failures.append(failure)
            if self._catalogue.models:
                failures += self._let_go(folders, failures)
            self._tell_failures(failures)

    def get(self, reference: str | None) -> LiveModel:
        """The model of "name" (its highest version), "name@version", or None (the default). Raises ModelNotFound.

        It may be closed as soon as its folder is gone; `use` keeps it open.
        """
        return self._catalogue.get(reference)

    def use(self, reference: str | None) -> "Use":
        """The model that `get` finds, for a `with` block that keeps it open. Raises ModelNotFound on entering it."""
        return Use(self, reference)

    def borrow(self, reference: str | None) -> LiveModel:
        """The model that `get` finds, kept open until it is given back. Raises ModelNotFound."""
        with self._lock:
            model = self._catalogue.get(reference)
            self._users[model] += 1
            return model

    def give_back(self, model: LiveModel) -> None:
        """End what `borrow` began."""
        with self._lock:
            self._users[model] -= 1
            if not self._users[model]:
                del self._users[model]
                if self._retired:
                    self._close_unused()

    def models(self) -> list[LiveModel]:
        """Every model version, by name and then by version, highest first."""
        return self._catalogue.listed()

    @property
    def default(self) -> LiveModel:
        """What requests without a model get. Raises ModelNotFound before loading."""
        return self.get(None)

    @property
    def alive(self) -> bool:
        """Whether every batcher runs."""
        dead = [model for model in self.models() if not model.alive]
        # One that was closed since the list was made is no longer served, and its end says nothing.
        return not dead or not set(dead) & set(self.models())

    def queue_depth(self, name: str) -> int:
        """Images that wait for any version of a model."""
        return sum(model.queue_depth for model in self._catalogue.models.get(name, {}).values())

    def close(self) -> None:
        """Stop every batcher and free every engine, those in use too; nothing is served afterwards."""
        with self._lock:
            self._closed = True
            models, self._catalogue = [*self.models(), *self._retired], Catalogue()
            self._retired.clear()
        for model in models:
            model.close()

    def _look_at(self, path: Path, *, retry_failed: bool) -> LoadFailure | None:
        stamp, before = stamp_of(path), self._seen.get(path)
        unchanged = before is not None and before.stamp == stamp
        if before is not None and unchanged:
            settled = not retry_failed and before.tries >= _SETTLED_TRIES
            if before.failure is None or settled:
                return before.failure
        failure = self._refresh(path)
        tries = before.tries + 1 if before is not None and unchanged else 1
        self._seen[path] = _Seen(stamp, failure, tries)
        return failure

    def _refresh(self, path: Path) -> LoadFailure | None:
        """Serve what is in the folder now, or say why not."""
        if not has_manifest(path):
            return LoadFailure.of_folder(path, "manifest.json is not there yet")
        served = next((model for model in self.models() if model.path == path), None)
        if served is not None and digest_of(path) == served.digest:
            return None
        try:
            model = self._loader.load_version(path)
        except ModelLoadError as error:
            return self._failed(path, str(error))
        except ProviderUnavailable as error:
            logger.error("%s: %s", path, error)
            return self._failed(path, "the device cannot be used; the log says why")
        except Exception:  # an engine raises what its library raises, and what is served must go on
            logger.exception("%s could not be loaded", path)
            return self._failed(path, "it could not be loaded; the log says why")
        catalogue = self._catalogue
        kept = [other for other in catalogue.listed() if other is not served]
        self._become(catalogue.holding([*kept, model], wanted=self._settings.default_model), added=[model])
        return None

    def _failed(self, path: Path, reason: str) -> LoadFailure:
        failure = LoadFailure.of_folder(path, reason)
        with self._lock:
            self._announced.add(shown_name(path))
            self._observer.load_failed(shown_name(path))
        return failure

    def _let_go(self, folders: Sequence[Path], failures: Sequence[LoadFailure]) -> list[LoadFailure]:
        """Withdraw the versions whose folders are gone; returns those that are kept all the same, and why."""
        there, failing = set(folders), {failure.name for failure in failures}
        catalogue, wanted = self._catalogue, self._settings.default_model
        kept = [model for model in catalogue.listed() if model.path in there]
        told = []
        for model in catalogue.listed():
            # Highest first, so it is the highest that stays when what should replace it does not load.
            if model not in kept and model.name in failing and all(other.name != model.name for other in kept):
                kept.append(model)
                told.append(_kept(model, "no other version of this model could be loaded"))
        try:
            left = catalogue.holding(kept, wanted=wanted)
        except ModelNotFound:
            default = catalogue.get(None)
            told.append(_kept(default, "requests that name no model need it"))
            left = catalogue.holding([*kept, default], wanted=wanted)
        self._become(left, added=[])
        return told

    def _become(self, catalogue: Catalogue, *, added: Sequence[LiveModel]) -> None:
        """Serve exactly this from now on, of which `added` is new; close what goes as soon as nobody uses it."""
        with self._lock:
            if self._closed:
                self._retired.update(added)
                self._close_unused()
                return
            removed = set(self.models()) - set(catalogue.listed())
            self._catalogue = catalogue
            for model in removed:
                self._observer.withdraw_model(model.name, model.version, model.digest, model.provider)
            for model in added:
                self._announced.add(model.name)
                self._observer.serve_model(
                    model.name, model.version, model.digest, model.provider, self._depth(model.name)
                )
            self._retired.update(removed)
            self._close_unused()
        for model in added:
            logger.info("model %s is ready on %s (%s)", model.label, model.provider, model.digest[:12])
        for model in removed:
            logger.info("model %s is withdrawn (%s)", model.label, model.digest[:12])

    def _tell_failures(self, failures: Sequence[LoadFailure]) -> None:
        for failure in failures:
            if failure not in self._catalogue.failed:
                logger.warning("model %s@%s: %s", failure.name or "?", failure.version or "?", failure.reason)
        with self._lock:
            self._catalogue = replace(self._catalogue, failed=tuple(failures))
            self._forget_names()

    def _depth(self, name: str) -> Callable[[], int]:
        return lambda: self.queue_depth(name)

    def _close_unused(self) -> None:
        """Close what is retired and not in use, on threads, since that waits for a worker; the lock is held."""
        unused = {model for model in self._retired if not self._users[model]}
        self._retired -= unused
        self._closing |= unused
        for model in unused:
            threading.Thread(target=self._close_model, args=(model,), name="model-closer", daemon=True).start()

    def _close_model(self, model: LiveModel) -> None:
        try:
            model.close()
        finally:
            with self._lock:
                self._closing.discard(model)
                self._forget_names()

    def _forget_names(self) -> None:
        """Drop the series of names that have nothing to tell any more; the lock is held."""
        told = {failure.name for failure in self._catalogue.failed}
        told |= {model.name for model in (*self.models(), *self._retired, *self._closing)}
        for name in self._announced - told:
            self._observer.forget_model(name)
        self._announced &= told


class Use:
    """A model that is borrowed for a `with` block."""

    def __init__(self, registry: ModelRegistry, reference: str | None) -> None:
        self._registry = registry
        self._reference = reference

    def __enter__(self) -> LiveModel:
        """Borrow it."""
        self._model = self._registry.borrow(self._reference)
        return self._model

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self._registry.give_back(self._model)


def _kept(model: LiveModel, why: str) -> LoadFailure:
    return LoadFailure(model.name, model.version, f"its folder is gone, and it is served all the same: {why}")
