"""What the service needs of whatever runs a graph."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """One graph, loaded. `run` is called from one thread at a time."""

    @property
    def provider(self) -> str:
        """The execution provider that really runs it, such as CPUExecutionProvider."""
        ...

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """All outputs by name; the rows of an output answer the rows of the inputs. Raises whatever went wrong."""
        ...

    def close(self) -> None:
        """Free what it holds; `run` is not called again."""
        ...
