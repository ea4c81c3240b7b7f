"""LitServe: FastAPI in front, worker processes that batch behind it."""

from typing import Any

import litserve
from fastapi import Response

from benchmarks.peers.settings import PeerSettings
from benchmarks.peers.work import Order, Reply, Work


class Images(litserve.LitAPI):
    """Decode, batch, predict, unbatch, encode, as its guides have it."""

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        settings = PeerSettings.from_environment()
        self._work = Work(settings.bundle, threads=settings.threads)
        self._batching = settings.max_batch_size > 1

    def decode_request(self, request: dict[str, Any]) -> Order:
        """JSON -> order."""
        return Order.of(request)

    def batch(self, inputs: list[Order]) -> list[Order]:
        """Orders stay orders; Work merges their rows."""
        return inputs

    def predict(self, orders: Any) -> Any:  # noqa: ANN401 -- one order, or a list when batching is on
        """Order -> file."""
        replies = self._work.replies(orders if self._batching else [orders])
        return replies if self._batching else replies[0]

    def unbatch(self, output: list[Reply]) -> list[Reply]:
        """One answer each."""
        return output

    def encode_response(self, output: Reply) -> Response:
        """File -> response."""
        return Response(output.body, media_type=output.media_type)


def main() -> None:
    """Serve until killed."""
    settings = PeerSettings.from_environment()
    api = Images(
        max_batch_size=settings.max_batch_size, batch_timeout=settings.max_wait_ms / 1000, api_path="/generate"
    )
    server = litserve.LitServer(
        api, accelerator="cpu", devices=1, workers_per_device=settings.workers, timeout=120, fast_queue=True
    )
    server.run(host="127.0.0.1", port=settings.port, num_api_servers=1, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
