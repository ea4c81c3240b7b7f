"""What the service needs of whatever runs a graph."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

GPU_PROVIDERS = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
"""Where a batch is copied to a device of its own and back."""


class EngineLost(Exception):  # noqa: N818 -- a state of the device, not a mistake of the caller
    """An engine will not run again: whoever meets this ends, so that the process is restarted."""


class Engine(Protocol):
    """One graph, loaded. `run` is called from one thread at a time."""

    @property
    def provider(self) -> str:
        """The execution provider that really runs it, such as CPUExecutionProvider."""
        ...

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """All outputs by name; the rows of an output answer the rows of the inputs.

        Raises whatever went wrong, and EngineLost when it will not run again.
        """
        ...

    def close(self) -> None:
        """Free what it holds; `run` is not called again."""
        ...
