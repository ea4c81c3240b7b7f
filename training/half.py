"""A generator's graph in half precision: convolutions and products in float16, what needs the range in float32."""

from collections.abc import Iterable

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

_HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""What takes the time, and the accuracy of which float16 tensor cores are made for."""
_STATISTICS = (
    *("BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization"),
    *("ReduceMean", "ReduceSum", "Pow", "Sqrt", "Reciprocal", "Exp", "Log", "Softmax"),
)
"""Operators that lose more than they gain: sums over maps, and what is done with them."""
_LARGEST = 65504.0


def in_half_precision(graph: bytes) -> bytes:
    """`graph` with float16 in its middle, checked; inputs and outputs keep their types.

    In float32 stay the statistics of normalisations, the truncation of z, and all that follows the last convolution
    or product: the squashing to [-1, 1], and the scaling to grey levels.
    """
    model = onnx.load_from_string(graph)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    half = convert_float_to_float16(
        model,
        keep_io_types=True,
        max_finite_val=_LARGEST,
        op_block_list=list(_STATISTICS),
        node_block_list=sorted(_ends(model.graph)),
    )
    _drop_detours(half.graph)
    _sort(half.graph)
    onnx.checker.check_model(half, full_check=True)
    return bytes(half.SerializeToString())


def _ends(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes before the first heavy one on the way from z and truncation, and of those after the last."""
    from_inputs = _light(graph.node, {"z", "truncation"})
    behind: set[str] = set()
    needed: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type in _HEAVY or needed & set(node.output):
            needed.update(node.input)
        else:
            behind.add(node.name)
    return from_inputs | behind


def _light(nodes: Iterable[onnx.NodeProto], known: set[str]) -> set[str]:
    """Names of the nodes that can be reached from these tensors without passing a heavy one; nodes come in order."""
    reached, names = set(known), set()
    for node in nodes:
        if node.op_type not in _HEAVY and reached & set(node.input):
            reached |= set(node.output)
            names.add(node.name)
    return names


def _drop_detours(graph: onnx.GraphProto) -> None:
    """Join float32 neighbours directly, between which the conversion leaves float32 -> float16 -> float32."""
    down = {node.output[0]: node.input[0] for node in graph.node if _casts_to(node, onnx.TensorProto.FLOAT16)}
    back = {
        node.output[0]: down[node.input[0]]
        for node in graph.node
        if _casts_to(node, onnx.TensorProto.FLOAT) and node.input[0] in down
    }
    for node in graph.node:
        node.input[:] = [back.get(name, name) for name in node.input]
    while unused := _unused_casts(graph):
        for node in unused:
            graph.node.remove(node)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and node.attribute[0].i == kind


def _unused_casts(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    return [node for node in graph.node if node.op_type == "Cast" and node.output[0] not in used]


def _sort(graph: onnx.GraphProto) -> None:
    """Put every node behind those whose outputs it takes, as ONNX asks and the conversion does not keep to."""
    waiting = list(graph.node)
    known = {value.name for value in (*graph.input, *graph.initializer)} | {""}
    ordered: list[onnx.NodeProto] = []
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise ValueError("the graph has a cycle")
        known.update(name for node in ready for name in node.output)
        ordered += ready
        waiting = [node for node in waiting if not known.issuperset(node.output)]
    del graph.node[:]
    graph.node.extend(ordered)
