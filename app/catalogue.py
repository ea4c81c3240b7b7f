"""What is served at one moment: an immutable table of model versions, and what could not join them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from app.batching import Batcher
from app.errors import ModelNotFound, QueueFull
from bundle import Manifest

PREFERRED_DEFAULT = "mnist"
_REFERENCE = re.compile(r"([a-z0-9-]{1,63})(?:@([1-9][0-9]{0,8}))?")
_ABSOLUTE_PATH = re.compile(r"(?<!\w)/[^\s'\"]+")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_MAX_REASON_CHARS = 300


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A verified, warmed model version and the batchers in front of its networks."""

    path: Path
    manifest: Manifest
    digest: str
    provider: str
    generator: Batcher
    discriminator: Batcher | None
    encoder: Batcher | None = None

    @cached_property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @cached_property
    def version(self) -> int:
        """The version's number."""
        return self.manifest.version

    @cached_property
    def label(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def queue_depth(self) -> int:
        """Images that wait for any of its networks."""
        return sum(batcher.queue_depth for batcher in self._batchers)

    @property
    def alive(self) -> bool:
        """Whether its batchers run."""
        return all(batcher.alive for batcher in self._batchers)

    def close(self) -> None:
        """Stop its batchers and free its engines; once."""
        for batcher in self._batchers:
            batcher.close()

    @cached_property
    def _batchers(self) -> tuple[Batcher, ...]:
        every = (self.generator, self.discriminator, self.encoder)
        return tuple(batcher for batcher in every if batcher is not None)


@dataclass(frozen=True)
class LoadFailure:
    """A version that is in the repository but not served as it lies there; all of it may be shown to clients.

    `name` and `version` are None when it was the repository itself that could not be read.
    """

    name: str | None
    version: int | None
    reason: str

    @classmethod
    def of_folder(cls, folder: Path, reason: str) -> "LoadFailure":
        """The failure of `<name>/<version>`; paths are taken out of `reason`, which may be an error's message."""
        own = reason.replace(f"{folder}/", "").removeprefix(f"{folder}: ")
        return cls(shown_name(folder), int(folder.name), shown(own))


@dataclass(frozen=True)
class Catalogue:
    """Model versions by name and number, never changed once made: another state is another catalogue."""

    models: Mapping[str, Mapping[int, LiveModel]] = field(default_factory=lambda: MappingProxyType({}))
    default: str | None = None
    failed: Sequence[LoadFailure] = ()

    def get(self, reference: str | None) -> LiveModel:
        """The model of "name" (its highest version), "name@version", or None (the default). Raises ModelNotFound."""
        match = _REFERENCE.fullmatch((self.default or "") if reference is None else reference)
        versions = self.models.get(match[1], {}) if match else {}
        if not match or not versions:
            raise ModelNotFound("no model has this name; GET /models lists them")
        version = int(match[2]) if match[2] else max(versions)
        if version not in versions:
            raise ModelNotFound("this model has no such version; GET /models lists them")
        return versions[version]

    def listed(self) -> list[LiveModel]:
        """Every model version, by name and then by version, highest first."""
        return [self.models[name][v] for name in sorted(self.models) for v in sorted(self.models[name], reverse=True)]

    def refusal(self, time_s: float) -> QueueFull | None:
        """Why any request for an image would be refused that has `time_s` seconds; None if one model at least has room.

        Of several reasons it is the one that passes first.
        """
        refusals = [model.generator.refusal(1, time_s) for model in self.listed()]
        if not refusals or None in refusals:
            return None
        return min((one for one in refusals if one is not None), key=lambda one: one.retry_after_s)

    def holding(self, models: Iterable[LiveModel], *, wanted: str | None) -> "Catalogue":
        """A catalogue of these models. Its default is `wanted`, or the one there is now while that is served, or mnist,
        or the first by name. Raises ModelNotFound when there is no such model, or none at all.
        """
        table: dict[str, dict[int, LiveModel]] = {}
        for model in models:
            table.setdefault(model.name, {})[model.version] = model
        default = wanted
        if default is None:
            default = next(
                (name for name in (self.default, PREFERRED_DEFAULT) if name in table), min(table, default="")
            )
        found = replace(self, models=MappingProxyType(table), default=default)
        found.get(None)
        return found


def shown_name(folder: Path) -> str:
    """The name in `<name>/<version>`, as far as it is printable."""
    return _UNPRINTABLE.sub("?", folder.parent.name)


def shown(reason: str) -> str:
    """A message in one line without absolute paths, short enough for an answer."""
    return _UNPRINTABLE.sub(" ", _ABSOLUTE_PATH.sub("(path)", reason)).strip()[:_MAX_REASON_CHARS]
