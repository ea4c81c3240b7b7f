"""What a peer server is told, in BENCH_* variables: every framework's own processes inherit them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "BENCH_"


@dataclass(frozen=True)
class PeerSettings:
    """Where to find the bundle and listen, and how to run.

    `threads` is ONNX Runtime's for one session, `workers` how many processes hold a session; `max_batch_size` 1 leaves
    batching off, and `max_wait_ms` is how long a batch may wait for more.
    """

    bundle: Path
    port: int
    threads: int = 1
    workers: int = 1
    max_batch_size: int = 1
    max_wait_ms: float = 0.0

    def environment(self) -> dict[str, str]:
        """The variables that `from_environment` reads."""
        return {_PREFIX + name.upper(): str(value) for name, value in vars(self).items()}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "PeerSettings":
        """Raises KeyError for a variable that is not set."""
        return cls(
            bundle=Path(environ[_PREFIX + "BUNDLE"]),
            port=int(environ[_PREFIX + "PORT"]),
            threads=int(environ[_PREFIX + "THREADS"]),
            workers=int(environ[_PREFIX + "WORKERS"]),
            max_batch_size=int(environ[_PREFIX + "MAX_BATCH_SIZE"]),
            max_wait_ms=float(environ[_PREFIX + "MAX_WAIT_MS"]),
        )
