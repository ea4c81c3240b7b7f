"""Small ONNX graphs, one float32 input `x` and one float32 output `y`."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def graph(
    nodes: Sequence[onnx.NodeProto], constants: Mapping[str, NDArray[Any]], *, shape: tuple[int | None, ...]
) -> bytes:
    """`nodes` take `x`, float32 [batch, *shape], and `constants` to `y`, as ONNX bytes."""
    model = helper.make_model(
        helper.make_graph(
            list(nodes),
            "small",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    return bytes(model.SerializeToString())
