"""An engine that is made anew when its device fails it, once."""

import logging
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from app.engines.base import Arrays, Engine, EngineLost
from app.engines.failures import device_failed, first_line

logger = logging.getLogger(__name__)


class RebuiltEngine:
    """Stands in front of an engine; see Engine.

    After running out of memory a CUDA session can fail for ever, so it is closed, made anew, and the batch run again.
    If that fails too, `run` raises EngineLost: the process should end, and its supervisor start another.
    """

    def __init__(self, open_engine: Callable[[], Engine]) -> None:
        self._open = open_engine
        self._engine: Engine | None = open_engine()
        self.provider: str = self._engine.provider

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See Engine. Raises EngineLost when a device fails twice in a row."""
        if self._engine is None:
            raise EngineLost("the engine could not be made anew")
        try:
            return self._engine.run(inputs)
        except Exception as error:  # an engine raises what its library raises
            if not device_failed(error):
                raise
            logger.error("the device failed a batch, and its session is made anew: %s", first_line(error))
        # Outside the handler: the error's traceback would keep the old session's memory.
        return self._run_anew(inputs)

    def close(self) -> None:
        """See Engine."""
        if self._engine is not None:
            self._engine.close()

    def _run_anew(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        broken, self._engine = self._engine, None
        try:
            if broken is not None:
                broken.close()
            del broken
            self._engine = self._open()
            return self._engine.run(inputs)
        except Exception as error:  # as above
            raise EngineLost(f"a session made anew failed as well: {first_line(error)}") from error
