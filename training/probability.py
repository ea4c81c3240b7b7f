"""The probability that a discriminator's graph states: put behind its logit anew, and nothing else changed."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from training.calibration import Platt
from training.errors import ExportError
from training.players import open_session
from training.wiring import Wiring, every_graph, maker

TOLERANCE = 1e-6
"""The graph's sigmoid may differ from NumPy's by this much, which is float32's rounding."""
_LOGIT, _PROBABILITY, _FEATURES, _CLASS = "logit", "probability", "features", "class_id"
_BEFORE = "bundle/probability_before"


def with_probability(graph: bytes, *, stated: Platt, not_stated: Platt) -> bytes:
    """The discriminator's graph with `probability` = sigmoid(slope * logit + intercept), checked.

    What computed the probability before goes, unless the logit or the features are made of it. Raises ExportError when
    nothing did.
    """
    model = onnx.load_from_string(graph)
    network = model.graph
    if maker(network, _PROBABILITY) is None:
        raise ExportError("no node of the discriminator's graph computes its probability")
    _keep(network, {_LOGIT, _FEATURES})
    _rename(network, _PROBABILITY, _BEFORE)
    after = Wiring("bundle/calibration/")
    if any(value.name == _CLASS for value in network.input):
        unstated = after.add("Less", _CLASS, after.constant(0))
        after.add("Where", unstated, _scaled(after, not_stated), _scaled(after, stated), output=_PROBABILITY)
    else:
        after.add("Identity", _scaled(after, not_stated), output=_PROBABILITY)
    network.node.extend(after.nodes)
    network.initializer.extend(after.constants)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def require_probability(
    before: bytes,
    after: bytes,
    batches: Iterable[Mapping[str, NDArray[Any]]],
    *,
    stated: Platt,
    not_stated: Platt,
) -> float:
    """Run both graphs on every batch; return how far `probability` is from the formula at most.

    Raises ExportError where it is further than TOLERANCE, or where logits or features are not the same bit for bit.
    """
    first, second, worst = open_session(before), open_session(after), 0.0
    for batch in batches:
        was = first.run([_LOGIT, _FEATURES], dict(batch))
        logit, features, probability = second.run([_LOGIT, _FEATURES, _PROBABILITY], dict(batch))
        for name, mine, theirs in ((_LOGIT, was[0], logit), (_FEATURES, was[1], features)):
            if mine.shape != theirs.shape or mine.tobytes() != theirs.tobytes():
                raise ExportError(f"{name} of the graph with another probability differs from those before")
        unstated = batch[_CLASS] < 0 if _CLASS in batch else np.ones(len(logit), dtype=np.bool_)
        expected = np.where(unstated, _formula(logit, not_stated), _formula(logit, stated))
        apart = float(np.abs(probability - expected).max())
        if not apart <= TOLERANCE:  # NaN is refused too
            raise ExportError(f"the graph's probability is {apart:.1e} from the calibrated logit")
        worst = max(worst, apart)
    return worst


def _formula(logit: NDArray[np.float32], platt: Platt) -> NDArray[np.float64]:
    """The line in the graph's own precision, so that what is told apart is the formula and no rounding of it."""
    line = logit * np.float32(platt.slope) + np.float32(platt.intercept)
    return np.asarray(0.5 * (1 + np.tanh(line.astype(np.float64) / 2)))


def _scaled(after: Wiring, platt: Platt) -> str:
    product = after.add("Mul", _LOGIT, after.constant(platt.slope, np.float32))
    return after.add("Sigmoid", after.add("Add", product, after.constant(platt.intercept, np.float32)))


def _keep(graph: onnx.GraphProto, wanted: Iterable[str]) -> None:
    """Drop the nodes and constants that none of the `wanted` tensors needs; a graph's nodes come in order."""
    needed, kept = set(wanted), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= _taken(node)
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def _taken(node: onnx.NodeProto) -> set[str]:
    """The tensors that a node takes, by the graphs within it too."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for part in every_graph(inner):
                names.update(name for each in part.node for name in each.input)
                names.update(value.name for value in part.output)
    return names


def _rename(graph: onnx.GraphProto, name: str, other: str) -> None:
    for part in every_graph(graph):
        for node in part.node:
            node.input[:] = [other if each == name else each for each in node.input]
            node.output[:] = [other if each == name else each for each in node.output]
