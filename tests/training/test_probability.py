from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.calibration import Platt
from training.errors import ExportError
from training.players import open_session
from training.probability import require_probability, with_probability

STATED, NOT_STATED = Platt(2.0, 1.0), Platt(0.5, -1.0)
SIGMOID = helper.make_node("Sigmoid", ["logit"], ["probability"])
LOGIT = helper.make_node("Add", ["mean", "bias"], ["logit"])


def _images(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 2, 2, 1), dtype=np.uint8)


def _graph(nodes: Sequence[onnx.NodeProto], *, conditional: bool = False) -> bytes:
    """`nodes` behind `mean`, that of each image's grey levels over 255, and a `bias` of -0.5."""
    before = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["float", "row"], ["rows"]),
        helper.make_node("Div", ["rows", "white"], ["features"]),
        helper.make_node("ReduceMean", ["features", "one"], ["mean"], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 2, 2, 1])]
    if conditional:
        inputs.append(helper.make_tensor_value_info("class_id", TensorProto.INT64, ["batch"]))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in ("logit", "probability")]
    outputs.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 4]))
    constants = {"white": np.float32(255), "bias": np.float32(-0.5), "row": np.array([-1, 4]), "one": np.array([1])}
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph([*before, *nodes], "small", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _prove(before: bytes, after: bytes, *, conditional: bool = False) -> None:
    batch: dict[str, NDArray[np.generic]] = {"image": _images(6)}
    if conditional:
        batch["class_id"] = np.array([-1, 0, 1, 2, -1, 0])
    require_probability(before, after, [batch], stated=STATED, not_stated=NOT_STATED)


def test_the_probability_is_the_line_of_each_row_by_whether_its_class_is_stated() -> None:
    before = _graph([LOGIT, SIGMOID], conditional=True)
    after = with_probability(before, stated=STATED, not_stated=NOT_STATED)
    feed = {"image": _images(4), "class_id": np.array([-1, 0, 2, -1])}
    logit, probability = open_session(after).run(["logit", "probability"], feed)
    line = np.where(feed["class_id"] < 0, 0.5 * logit - 1, 2 * logit + 1)
    assert probability == pytest.approx(1 / (1 + np.exp(-line)), abs=1e-6)
    _prove(before, after, conditional=True)


def test_what_computed_the_probability_before_is_gone() -> None:
    first = with_probability(_graph([LOGIT, SIGMOID]), stated=Platt(7.0, 7.0), not_stated=Platt(7.0, 7.0))
    again = with_probability(first, stated=STATED, not_stated=NOT_STATED)
    assert again == with_probability(_graph([LOGIT, SIGMOID]), stated=STATED, not_stated=NOT_STATED)


def test_a_logit_that_is_made_of_the_probability_stays_what_it_was() -> None:
    odds = [
        helper.make_node("Sigmoid", ["mean"], ["probability"]),
        helper.make_node("Sub", ["probability", "bias"], ["shifted"]),
        helper.make_node("Log", ["shifted"], ["logit"]),
    ]
    before = _graph(odds)
    after = with_probability(before, stated=STATED, not_stated=NOT_STATED)
    _prove(before, after)
    _prove(before, with_probability(after, stated=STATED, not_stated=NOT_STATED))


def test_a_graph_within_a_node_keeps_what_it_takes_from_outside() -> None:
    def branch(name: str, operator: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"])
        return helper.make_graph([helper.make_node(operator, ["probability", "bias"], [name])], name, [], [out])

    inside = [
        helper.make_node("Sigmoid", ["mean"], ["probability"]),
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),  # noqa: FBT003 -- data
        helper.make_node("If", ["yes"], ["logit"], then_branch=branch("a", "Add"), else_branch=branch("b", "Sub")),
    ]
    before = _graph(inside)
    _prove(before, with_probability(before, stated=STATED, not_stated=NOT_STATED))


def test_a_probability_that_nothing_computes_is_refused() -> None:
    model = onnx.load_from_string(_graph([LOGIT, SIGMOID]))
    del model.graph.node[-1]
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "probability"))
    with pytest.raises(ExportError, match="no node"):
        with_probability(model.SerializeToString(), stated=STATED, not_stated=NOT_STATED)


def test_another_logit_is_refused() -> None:
    other = _graph([helper.make_node("Sub", ["mean", "bias"], ["logit"]), SIGMOID])
    with pytest.raises(ExportError, match="logit"):
        _prove(_graph([LOGIT, SIGMOID]), with_probability(other, stated=STATED, not_stated=NOT_STATED))


def test_a_probability_that_is_not_the_formula_is_refused() -> None:
    before = _graph([LOGIT, SIGMOID])
    with pytest.raises(ExportError, match="from the calibrated logit"):
        _prove(before, before)
