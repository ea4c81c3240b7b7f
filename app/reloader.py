"""When the model repository is looked at again: on request, and at intervals if asked to; on a thread of its own."""

import asyncio
import logging
import threading
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol

logger = logging.getLogger(__name__)


class Look(Protocol):
    """Looks at the repository once, such as ModelRegistry.reload."""

    def __call__(self, *, retry_failed: bool) -> None:
        """Serve what is new and let go of what has gone; blocks for as long as that takes."""
        ...


class Reloader:
    """Runs one look at a time; requests that come while one runs share the next.

    `watch_s` is the pause between the looks that nobody asks for; None: there are none.
    """

    def __init__(self, look: Look, *, watch_s: float | None) -> None:
        self._look = look
        self._watch_s = watch_s
        # A signal handler may interrupt the very thread that puts: SimpleQueue allows for that, a lock does not.
        self._asked: SimpleQueue[Future[None] | None] = SimpleQueue()

    def start(self) -> None:
        """Begin; what was asked for before is done first."""
        threading.Thread(target=self._run, name="reloader", daemon=True).start()

    def request(self) -> None:
        """Ask for a look and do not wait; safe in a signal handler."""
        self._asked.put(Future())

    async def reload(self) -> None:
        """Wait for a look that began after this call; raises what it raised, CancelledError once closed.

        Who stops waiting does not stop the look.
        """
        done: Future[None] = Future()
        self._asked.put(done)
        await asyncio.wrap_future(done)

    def close(self) -> None:
        """No look begins from now on; who waits for one is cancelled."""
        self._asked.put(None)

    def _run(self) -> None:
        while True:
            asked = self._requests()
            if None in asked:
                for waiting in asked:
                    if waiting is not None:
                        waiting.cancel()
                return
            self._answer([waiting for waiting in asked if waiting is not None])

    def _requests(self) -> list[Future[None] | None]:
        """Wait for a request, or the next look's turn, and take all that there are."""
        asked: list[Future[None] | None] = []
        with suppress(Empty):
            asked.append(self._asked.get(timeout=self._watch_s))
            while True:
                asked.append(self._asked.get_nowait())
        return asked

    def _answer(self, asked: list[Future[None]]) -> None:
        waiting = [future for future in asked if future.set_running_or_notify_cancel()]
        try:
            self._look(retry_failed=bool(asked))
        except Exception as error:  # whatever it is: the models are served as before, and the next look comes
            logger.exception("the look at the model repository failed")
            for future in waiting:
                future.set_exception(error)
        else:
            for future in waiting:
                future.set_result(None)
