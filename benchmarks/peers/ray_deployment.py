"""Ray Serve: its proxy in front, replicas that batch behind it."""

import signal

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.peers.settings import PeerSettings
from benchmarks.peers.work import Order, Reply, Work


def deployment(settings: PeerSettings) -> serve.Application:
    """The application for these settings."""

    @serve.deployment(num_replicas=settings.workers, max_ongoing_requests=4096, ray_actor_options={"num_cpus": 1})
    class Images:
        def __init__(self) -> None:
            self._work = Work(settings.bundle, threads=settings.threads)

        @serve.batch(
            max_batch_size=settings.max_batch_size,
            batch_wait_timeout_s=settings.max_wait_ms / 1000,
            max_concurrent_batches=1,
        )
        async def replies(self, orders: list[Order]) -> list[Reply]:
            return self._work.replies(orders)

        async def __call__(self, request: Request) -> Response:
            answer = await self.replies(Order.of(await request.json()))
            return Response(answer.body, media_type=answer.media_type)

    return Images.bind()  # type: ignore[attr-defined]  # the decorator adds it


def main() -> None:
    """Serve until killed."""
    settings = PeerSettings.from_environment()
    ray.init(
        num_cpus=settings.workers + 1,
        include_dashboard=False,
        object_store_memory=256 * 2**20,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    serve.start(http_options={"host": "127.0.0.1", "port": settings.port})
    serve.run(deployment(settings), route_prefix="/generate")
    signal.pause()  # Ray ends the process and its own on SIGTERM


if __name__ == "__main__":
    main()
