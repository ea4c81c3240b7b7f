"""Who may use the GPU while a CUDA graph is being captured: nobody else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class CaptureGate:
    """Shared by all engines of a process: any number run at the same time, one captures alone.

    ONNX Runtime captures in CUDA's global mode, in which an allocation on another thread fails and spoils the capture.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._capturing = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Wait while somebody captures; not to be entered twice on a thread."""
        with self._changed:
            while self._capturing:
                self._changed.wait()
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                if not self._running:
                    self._changed.notify_all()

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """Wait until nobody runs, and keep everybody out."""
        with self._changed:
            while self._capturing:
                self._changed.wait()
            self._capturing = True
            while self._running:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._capturing = False
                self._changed.notify_all()
