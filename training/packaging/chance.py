"""Randomness in a graph, and what else would make a seed's image another one each time: found, and frozen."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from training.errors import PackageError
from training.packaging.ports import Port
from training.wiring import Wiring, constant_of, every_graph

_NORMAL = frozenset({"RandomNormal", "RandomNormalLike"})
_UNIFORM = frozenset({"RandomUniform", "RandomUniformLike"})
_DISCRETE = frozenset({"Bernoulli", "Multinomial"})


def require_no_training_mode(model: onnx.ModelProto) -> None:
    """Raise PackageError for batch statistics or dropout that were exported at work."""
    for graph in every_graph(model.graph):
        for node in graph.node:
            training = any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute)
            if node.op_type == "BatchNormalization" and (training or len([name for name in node.output if name]) > 1):
                raise PackageError(
                    f"{node.name or node.op_type} takes the statistics of its batch (training mode), so that an image "
                    "would depend on its batch mates; export the network again after .eval()"
                )
            if node.op_type == "Dropout" and len(node.input) > 2 and _is_true(graph, node.input[2]):
                raise PackageError(f"{node.name or 'Dropout'} is at work (training mode); export again after .eval()")


def random_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that draw random numbers, those within If, Loop and Scan included."""
    kinds = _NORMAL | _UNIFORM | _DISCRETE
    return [node for graph in every_graph(model.graph) for node in graph.node if node.op_type in kinds]


def require_frozen(model: onnx.ModelProto, noise: Sequence[Port], *, seed: int | None) -> None:
    """Raise PackageError when the graph draws random numbers, or takes them, and no seed says how to freeze them."""
    drawn = random_nodes(model)
    if seed is not None or not (drawn or noise):
        return
    told = ", ".join([*(node.name or node.op_type for node in drawn), *(str(port) for port in noise)][:6])
    raise PackageError(
        f"the generator needs random numbers besides z ({told}), and a seed has to give the same image every time; "
        "--freeze-noise SEED draws them once, or export with constant noise"
    )


def freeze_nodes(
    model: onnx.ModelProto,
    seed: int,
    *,
    batch: int | None,
    run: Callable[[onnx.ModelProto, list[str]], list[NDArray[Any]]],
) -> int:
    """Replace, in place, every random node by numbers drawn once, the same for each row; returns how many there were.

    `run(model, outputs)` runs a copy with more outputs on `batch` rows (5 when the batch is dynamic), which says what
    shapes are drawn. Raises PackageError for what cannot be frozen so.
    """
    nodes = random_nodes(model)
    outer = {node.output[0] for node in model.graph.node if node in nodes}
    for node in nodes:
        if node.op_type in _DISCRETE or node.output[0] not in outer:
            raise PackageError(
                f"{node.name or node.op_type} cannot be frozen: only normal and uniform noise outside loops and "
                "branches can; export with constant noise"
            )
    if not nodes:
        return 0
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    for node in nodes:
        probe.graph.output.append(helper.make_empty_tensor_value_info(node.output[0]))
    drawn = run(probe, [node.output[0] for node in nodes])
    stream = np.random.RandomState(seed)
    for node, example in zip(nodes, drawn, strict=True):
        rows = example.shape[:1] == (batch or 5,)
        shape = (1, *example.shape[1:]) if rows else example.shape
        _replace(model.graph, node, _draw(node, shape, stream).astype(example.dtype), expand=rows)
    return len(nodes)


def fix_input(model: onnx.ModelProto, port: Port, value: float | NDArray[Any], *, z: str) -> None:
    """Give an input, in place, one value or row of values for good; `z` is an input that has the batch's rows."""
    graph = model.graph
    kept = [entry for entry in graph.input if entry.name != port.name]
    del graph.input[:]
    graph.input.extend(kept)
    sides = [1 if side is None and place == 0 else side for place, side in enumerate(port.shape)]
    if None in sides:
        raise PackageError(f"{port} cannot be fixed: its shape is not known")
    array = np.broadcast_to(np.asarray(value, dtype=port.dtype), [side or 1 for side in sides])
    if not port.shape or port.shape[0] is not None:
        graph.initializer.append(numpy_helper.from_array(np.array(array), port.name))
        return
    wiring = Wiring(f"fixed/{port.name}/")
    row = numpy_helper.from_array(np.array(array), f"fixed/{port.name}/row")
    rows = wiring.add("Gather", wiring.add("Shape", z), wiring.constant([0]))
    shape = wiring.add("Concat", rows, wiring.constant([1] * (len(sides) - 1)), axis=0)
    wiring.add("Expand", row.name, shape, output=port.name)
    _insert(graph, 0, wiring)
    graph.initializer.append(row)


def draw_noise(port: Port, stream: np.random.RandomState) -> NDArray[Any]:
    """One row of standard normal numbers for a noise input."""
    return stream.standard_normal([1, *(side or 1 for side in port.shape[1:])])


def _replace(graph: onnx.GraphProto, node: onnx.NodeProto, value: NDArray[Any], *, expand: bool) -> None:
    place = next(index for index, candidate in enumerate(graph.node) if candidate.output[:1] == node.output[:1])
    made = node.output[0]
    wiring = Wiring(f"frozen/{made}/")
    like = node.input[0] if node.input else None
    name = f"frozen/{made}/row" if expand and like else made
    if expand and like:
        wiring.add("Expand", name, wiring.add("Shape", like), output=made)
    del graph.node[place]
    _insert(graph, place, wiring)
    graph.initializer.append(numpy_helper.from_array(np.array(value), name))


def _insert(graph: onnx.GraphProto, place: int, wiring: Wiring) -> None:
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes[:place], *wiring.nodes, *nodes[place:]])
    graph.initializer.extend(wiring.constants)


def _draw(node: onnx.NodeProto, shape: Sequence[int], stream: np.random.RandomState) -> NDArray[Any]:
    given: Mapping[str, Any] = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if node.op_type in _NORMAL:
        return np.asarray(stream.normal(given.get("mean", 0.0), given.get("scale", 1.0), shape))
    return np.asarray(stream.uniform(given.get("low", 0.0), given.get("high", 1.0), shape))


def _is_true(graph: onnx.GraphProto, name: str) -> bool:
    value = constant_of(graph, name)
    return value is not None and bool(value.any())
