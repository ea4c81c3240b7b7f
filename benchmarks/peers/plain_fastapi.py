"""A plain FastAPI `def` route: what most people write first. FastAPI runs it on its thread pool; nothing batches."""

from typing import Literal

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

from benchmarks.peers.settings import PeerSettings
from benchmarks.peers.work import Order, Work, reply


class GenerateRequest(BaseModel):
    """The body of a request."""

    seeds: list[int]
    format: Literal["png", "jpeg", "npy"] = "png"


def create_app() -> FastAPI:
    """The app of one process."""
    settings = PeerSettings.from_environment()
    work = Work(settings.bundle, threads=settings.threads)
    app = FastAPI()

    @app.post("/generate")
    def generate(wanted: GenerateRequest) -> Response:
        (rows,) = work.pixels([Order(wanted.seeds, wanted.format)])
        answer = reply(rows, wanted.format)
        return Response(answer.body, media_type=answer.media_type)

    return app


def main() -> None:
    """As `uvicorn --factory --workers N` would."""
    settings = PeerSettings.from_environment()
    uvicorn.run(
        "benchmarks.peers.plain_fastapi:create_app",
        factory=True,
        port=settings.port,
        workers=settings.workers,
        access_log=False,
    )


if __name__ == "__main__":
    main()
