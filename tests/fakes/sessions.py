"""ONNX Runtime sessions on the CPU that misbehave as those of a GPU can."""

from typing import Any

import onnxruntime

from app.engines.cuda import session_options


class Sessions:
    """Opens sessions on a graph, as BoundEngine asks for them, and remembers which were to capture CUDA graphs.

    `refuse_graphs`: a session that should capture cannot be made; `break_capture`: it can, and its first run fails.
    """

    def __init__(self, model: bytes, *, refuse_graphs: bool = False, break_capture: str = "") -> None:
        self._model = model
        self._refuse_graphs = refuse_graphs
        self._break_capture = break_capture
        self.opened: list[bool] = []
        self.runs = 0

    def __call__(self, *, graphs: bool) -> Any:  # noqa: ANN401 -- onnxruntime has no type hints
        """See OpenSession."""
        self.opened.append(graphs)
        if graphs and self._refuse_graphs:
            raise RuntimeError("this session cannot use the graph capture feature\nand more")
        session = onnxruntime.InferenceSession(self._model, session_options(), providers=["CPUExecutionProvider"])
        return _Session(self, session, self._break_capture if graphs else "")


class _Session:
    def __init__(self, owner: Sessions, session: Any, breaks: str) -> None:  # noqa: ANN401 -- as above
        self._owner, self._session, self._breaks = owner, session, breaks

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- as above
        return getattr(self._session, name)

    def run_with_iobinding(self, binding: Any, options: Any) -> None:  # noqa: ANN401 -- as above
        self._owner.runs += 1
        if self._breaks:
            raise RuntimeError(self._breaks)
        self._session.run_with_iobinding(binding, options)
