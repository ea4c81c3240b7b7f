"""mosec: a Rust front that batches, and Python workers behind it."""

import sys
from typing import Any

from mosec import Server, Worker, get_logger

from benchmarks.peers.settings import PeerSettings
from benchmarks.peers.work import Order, Reply, Work

logger = get_logger()


class Images(Worker):
    """Answers a batch of requests; mosec hands lists over when batching is on, single ones when it is off."""

    def __init__(self) -> None:
        super().__init__()
        settings = PeerSettings.from_environment()
        self._work = Work(settings.bundle, threads=settings.threads)
        self._batching = settings.max_batch_size > 1

    def forward(self, data: Any) -> Any:  # noqa: ANN401 -- mosec's own signature
        """A list of JSON bodies -> a list of files."""
        orders = [Order.of(body) for body in (data if self._batching else [data])]
        replies = self._work.replies(orders)
        return replies if self._batching else replies[0]

    def serialize(self, data: Reply) -> bytes:
        """The body as it is; mosec's own way is JSON."""
        return data.body


def main() -> None:
    """Serve until killed."""
    settings = PeerSettings.from_environment()
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", str(settings.port), "--timeout", "120000"]
    sys.argv += ["--capacity", "100000"]
    server = Server()
    server.append_worker(
        Images,
        num=settings.workers,
        max_batch_size=settings.max_batch_size,
        max_wait_time=max(1, round(settings.max_wait_ms)) if settings.max_batch_size > 1 else 0,
        route="/generate",
    )
    server.run()


if __name__ == "__main__":
    main()
