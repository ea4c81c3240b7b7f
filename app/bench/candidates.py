"""The settings that are worth trying on a machine, as candidates that differ from the defaults."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from app.settings import variable

Number = int | float

_TUNED = ("sessions", "threads", "max_batch_size", "max_queue_delay_ms")
_BATCH_SIZES = (16, 64, 256)
_DELAYS_MS = (0, 1, 2)


@dataclass(frozen=True)
class Candidate:
    """Values of settings, by field name, that differ from the defaults; none are the defaults themselves."""

    values: Mapping[str, Number] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The variables of these values."""
        return {variable(name): f"{value:g}" for name, value in self.values.items()}

    def __str__(self) -> str:
        return " ".join(f"{name}={value:g}" for name, value in self.values.items()) or "defaults"


DEFAULTS = Candidate()


@dataclass(frozen=True)
class Space:
    """The settings that can be tried, each with its default; what a service has no setting for is not tried."""

    defaults: Mapping[str, Number]

    @classmethod
    def of(cls, settings: type[BaseModel]) -> "Space":
        """The space of a service with these settings."""
        fields = settings.model_fields
        return cls({name: fields[name].get_default() for name in _TUNED if name in fields})

    def layouts(self, best: Candidate, cpus: int) -> list[Candidate]:
        """Sessions x threads that share `cpus`; beside them one of each, and one core left to HTTP and encoding.

        Without a setting for sessions it comes down to threads alone.
        """
        pairs = [(count, cpus // count) for count in range(1, cpus + 1) if cpus % count == 0]
        pairs += [(1, 1), (1, cpus - 1), (cpus - 1, 1)] if cpus > 1 else []
        if "sessions" not in self.defaults:
            # As many threads as CPUs are the default, in another word.
            pairs = [(sessions, threads) for sessions, threads in pairs if sessions == 1 and threads != cpus]
        return self._others(best, ({"sessions": sessions, "threads": threads} for sessions, threads in pairs))

    def batch_sizes(self, best: Candidate, most_images: int) -> list[Candidate]:
        """Batch sizes, where at most `most_images` are ever asked for at once: all that hold those are alike."""
        sizes = [size for size in _BATCH_SIZES if size < most_images]
        if self.defaults["max_batch_size"] < most_images:
            sizes += [size for size in _BATCH_SIZES if size >= most_images][:1]
        return self._others(best, ({"max_batch_size": size} for size in sizes))

    def queue_delays(self, best: Candidate) -> list[Candidate]:
        """How long a batch that is not full waits."""
        return self._others(best, ({"max_queue_delay_ms": delay} for delay in _DELAYS_MS))

    def _others(self, best: Candidate, changes: Iterable[Mapping[str, Number]]) -> list[Candidate]:
        """`best` with each of the changes, once each and without `best` itself; defaults are not written out."""
        found: list[Candidate] = []
        for change in changes:
            wanted = {**self.defaults, **best.values, **change}
            candidate = Candidate(
                {name: wanted[name] for name, value in self.defaults.items() if wanted[name] != value}
            )
            if candidate != best and candidate not in found:
                found.append(candidate)
        return found
