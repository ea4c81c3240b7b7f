"""A batch that was frozen by the export, made dynamic again."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference

from training.errors import PackageError
from training.wiring import constant_of

TRIED = (1, 2, 5)
"""Batch sizes that a graph has to run at before it is taken for one with a dynamic batch."""


def find_batch(model: onnx.ModelProto, declared: int | None, run: Callable[[int], object]) -> int | None:
    """The only batch size that a graph takes, None where it takes any; `run` runs it with so many rows.

    A graph may call its batch dynamic and yet hold reshapes that are not: then they say the size. Raises PackageError,
    as `run` does, for a graph that takes no size at all.
    """
    if declared is not None:
        return declared
    problem = _runs_at(TRIED, run)
    if problem is None:
        return None
    leading = {int(shape[0]) for _, shape in _constant_shapes(model.graph, "Reshape") if shape.size}
    for size in sorted(size for size in leading if size > 0):
        if _runs_at([size], run) is None:
            return size
    raise problem


def _runs_at(sizes: Sequence[int], run: Callable[[int], object]) -> PackageError | None:
    for size in sizes:
        try:
            run(size)
        except PackageError as error:
            return error
    return None


def not_dynamic(who: str, size: int, why: str) -> PackageError:
    """The refusal of a graph whose batch stays frozen."""
    return PackageError(
        f"the {who}'s batch is frozen at {size} and cannot be made dynamic ({why}); export it again with "
        "dynamic_axes={'<input>': {0: 'batch'}, '<output>': {0: 'batch'}} for each input and output"
    )


def with_dynamic_batch(model: onnx.ModelProto, size: int, inputs: Sequence[str]) -> onnx.ModelProto:
    """A copy whose batch, frozen at `size`, is meant to be dynamic: `inputs` are those that have a row per image.

    Whether it is, only running it can say: what is rewritten are the shapes that exporters are known to freeze, those
    of Reshape, Expand, Tile, ConstantOfShape and Resize.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    sides = _known_shapes(model)
    for value in graph.input:
        if value.name in inputs:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    del graph.value_info[:]
    moving = _depending(graph, set(inputs))
    for node, shape in _constant_shapes(graph, "Reshape"):
        if node.input[0] in moving and shape.size and shape[0] > 0:
            # A -1 that is already there takes up what is left: then only 0, "as in the input", can hold the batch.
            _set_shape(graph, node, 1, [0 if -1 in shape[1:] else -1, *shape[1:]])
    for kind, place in (("Expand", 1), ("Tile", 1), ("ConstantOfShape", 0)):
        for node, shape in _constant_shapes(graph, kind, place=place):
            if size > 1 and shape.size and shape[0] == size:
                _set_shape(graph, node, place, [1, *shape[1:]])  # one row, which the next operator spreads
    for node, shape in _constant_shapes(graph, "Resize", place=3):
        before = sides.get(node.input[0])
        if before is not None and shape.size == len(before):
            scales = np.array([1.0, *(shape[1:] / np.array(before[1:]))], dtype=np.float32)
            name = f"dynamic/{node.output[0]}/scales"
            graph.initializer.append(numpy_helper.from_array(scales, name))
            node.input[:] = [node.input[0], node.input[1], name]
    return copy


def _constant_shapes(
    graph: onnx.GraphProto, kind: str, *, place: int = 1
) -> list[tuple[onnx.NodeProto, NDArray[np.int64]]]:
    """The nodes of a kind whose shape, the input at `place`, is a constant; and that shape."""
    found = []
    for node in graph.node:
        if node.op_type == kind and len(node.input) > place and node.input[place]:
            value = constant_of(graph, node.input[place])
            if value is not None:
                found.append((node, value.astype(np.int64)))
    return found


def _set_shape(graph: onnx.GraphProto, node: onnx.NodeProto, place: int, shape: Sequence[Any]) -> None:
    name = f"dynamic/{node.output[0]}/shape"
    graph.initializer.append(numpy_helper.from_array(np.array(shape, dtype=np.int64), name))
    node.input[place] = name


def _depending(graph: onnx.GraphProto, names: set[str]) -> set[str]:
    """The tensors that depend on these; nodes come in order."""
    found = set(names)
    for node in graph.node:
        if found & set(node.input):
            found |= set(node.output)
    return found


def _known_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    try:
        graph = shape_inference.infer_shapes(model).graph
    except onnx.shape_inference.InferenceError:  # a frozen Resize then stays, and the proof refuses the graph
        return {}
    return {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input)
        if all(side.HasField("dim_value") for side in value.type.tensor_type.shape.dim)
    }
