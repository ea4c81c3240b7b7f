"""A thread that one engine does all its work on."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class OwnThread:
    """Runs what it is given, one after another, on the same thread.

    CUDA state that ONNX Runtime keeps per thread (cuDNN and cuBLAS handles, captured graphs) is then warm for the
    requests too, whichever thread they come from. The thread is a daemon: a device that hangs delays no exit.
    """

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], T]) -> T:
        """What `work()` returns or raises on the thread."""
        answer: Future[T] = Future()
        self._work.put((work, answer))
        return answer.result()

    def close(self) -> None:
        """End the thread after what it was given; `call` is not called again."""
        self._work.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (job := self._work.get()) is not None:
            work, answer = job
            try:
                answer.set_result(work())
            except BaseException as error:
                answer.set_exception(error)
            # What the last job holds, a session's rows or its error, must not live on until the next.
            del job, work, answer
