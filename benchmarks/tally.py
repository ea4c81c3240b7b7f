"""What a load generator counts: latencies, statuses and images, and their summary as plain data."""

import resource
import time
from array import array
from collections import Counter
from dataclasses import asdict, dataclass, field

from benchmarks.orders import Template
from benchmarks.statistics import percentile


@dataclass(frozen=True)
class Summary:
    """One run of a load generator.

    Rates and latencies are those of good answers, within the measured window. `statuses` counts all answers of the
    window and beside them what had none: "timeout", "lost" (the connection closed) and "unsent" (open loop alone: due,
    and no connection free until the end). `client_cpu_share` is the CPU time of the load generator over the window:
    near 1.0 it would be the bottleneck.
    """

    seconds: float
    requests_per_s: float
    images_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    good: int
    errors: int
    statuses: dict[str, int]
    refused_with_retry_after: int
    refused_p99_ms: float
    bytes_received: int
    client_cpu_share: float
    timeline: list[tuple[float, float, str]] = field(default_factory=list)
    """Per answer: seconds into the run when it was due, milliseconds it took, its status; only where asked for."""

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


class Tally:
    """Counts answers; nothing counts before `open_window`."""

    def __init__(self, templates: list[Template], *, keep_timeline: bool = False) -> None:
        self._templates = templates
        self._timeline: list[tuple[float, float, str]] | None = [] if keep_timeline else None
        self._began = time.perf_counter()
        self._reset()

    def _reset(self) -> None:
        self._latencies_ms = array("d")
        self._refusals_ms = array("d")
        self._statuses: Counter[str] = Counter()
        self._images = self._good = self._retry_after = self._bytes = 0
        self._opened: float | None = None
        self._opened_cpu_s = _cpu_s()

    def open_window(self) -> None:
        """Begin to count, from nothing."""
        self._reset()
        self._opened = time.perf_counter()

    @property
    def good(self) -> int:
        """Good answers in the window."""
        return self._good

    def answer(self, template: int, status: int, head: bytes, size_bytes: int, due: float) -> None:
        """Count one answer to a request that was due at perf_counter time `due`."""
        took_ms = (time.perf_counter() - due) * 1000
        if self._timeline is not None:
            self._timeline.append((due - self._began, took_ms, str(status)))
        if self._opened is None:
            return
        self._statuses[str(status)] += 1
        self._bytes += size_bytes
        if status == self._templates[template].good:
            self._good += 1
            self._images += self._templates[template].images
            self._latencies_ms.append(took_ms)
        elif status in {429, 503}:
            self._refusals_ms.append(took_ms)
            self._retry_after += b"\r\nretry-after:" in head

    def failure(self, kind: str, due: float) -> None:
        """Count a request without an answer."""
        if self._timeline is not None:
            took_ms = (time.perf_counter() - due) * 1000
            self._timeline.append((due - self._began, took_ms, kind))
        if self._opened is not None:
            self._statuses[kind] += 1

    def summary(self) -> Summary:
        """What was counted since open_window, which must have been called."""
        assert self._opened is not None  # noqa: S101 -- the drivers open it first
        seconds = max(time.perf_counter() - self._opened, 1e-9)
        latencies = self._latencies_ms or array("d", [0.0])
        return Summary(
            seconds=seconds,
            requests_per_s=self._good / seconds,
            images_per_s=self._images / seconds,
            p50_ms=percentile(latencies, 0.50),
            p99_ms=percentile(latencies, 0.99),
            max_ms=max(latencies),
            good=self._good,
            errors=sum(self._statuses.values()) - self._good,
            statuses=dict(sorted(self._statuses.items())),
            refused_with_retry_after=self._retry_after,
            refused_p99_ms=percentile(self._refusals_ms, 0.99) if self._refusals_ms else 0.0,
            bytes_received=self._bytes,
            client_cpu_share=(_cpu_s() - self._opened_cpu_s) / seconds,
            timeline=self._timeline or [],
        )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
