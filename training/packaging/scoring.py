"""The bundle's discriminator graph around a network that scores an image, under one class or none."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper

from training.calibration import Platt
from training.packaging.grafting import SOURCE, add_class, grafted
from training.packaging.picture import Picture
from training.packaging.ports import Port
from training.packaging.source import opset
from training.wiring import Wiring, maker


@dataclass(frozen=True)
class ScorerPorts:
    """What a discriminator takes and gives; `classes` are those of the bundle, `picture` how it takes an image."""

    image: Port
    class_id: Port | None
    score: str
    features: str | None
    classes: int
    picture: Picture


def discriminator_graph(
    model: onnx.ModelProto,
    ports: ScorerPorts,
    scale: Literal["logit", "probability"],
    feature_dim: int,
    *,
    stated: Platt,
    not_stated: Platt,
    sure: float,
) -> bytes:
    """The graph in the bundle's form (docs/bundle.md), checked.

    A network that takes a class scores every image under each of them, so that class -1 can be their log-mean-exp.
    """
    before, after = Wiring("bundle/in/"), Wiring("bundle/out/")
    tiled = ports.classes if ports.class_id is not None else 0
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *ports.picture.shape])]
    if ports.classes:
        inputs.append(helper.make_tensor_value_info("class_id", TensorProto.INT64, ["batch"]))
    _add_images(before, ports, tiled)
    logit = _logit(after, model.graph, ports, scale, sure)
    features = after.add("Cast", SOURCE + ports.features, to=TensorProto.FLOAT) if ports.features else logit
    features = after.add("Reshape", features, after.constant([-1, feature_dim]))
    if tiled:
        weights, unstated = _weights(after, tiled)
        every = after.add("Reshape", logit, after.constant([-1, tiled]))
        mean = after.add("Sub", after.reduce("ReduceLogSumExp", every, 1, opset=opset(model)), _log(after, tiled))
        chosen = after.add("ReduceSum", after.add("Mul", every, weights), after.constant([1]), keepdims=0)
        after.add("Where", unstated, mean, chosen, output="logit")
        rows = after.add("Unsqueeze", weights, after.constant([1]))
        shaped = after.add("Reshape", features, after.constant([-1, tiled, feature_dim]))
        after.add("Squeeze", after.add("MatMul", rows, shaped), after.constant([1]), output="features")
    else:
        after.add("Identity", logit, output="logit")
        after.add("Identity", features, output="features")
    probability = _probability(after, not_stated if not ports.classes else stated)
    if ports.classes:
        negative = after.add("Less", "class_id", after.constant(0))
        probability = after.add("Where", negative, _probability(after, not_stated), probability)
    after.add("Identity", probability, output="probability")
    outputs = [
        helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch"]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", feature_dim]),
    ]
    return grafted(model, before, after, inputs, outputs)


def _add_images(before: Wiring, ports: ScorerPorts, tiled: int) -> None:
    """uint8 NHWC -> what the network takes, each image once per class where there are classes to score it under."""
    height, width, channels = ports.picture.shape
    image = "image"
    if tiled:
        repeated = before.add(
            "Expand", before.add("Unsqueeze", image, before.constant([1])), before.constant([1, tiled, 1, 1, 1])
        )
        image = before.add("Reshape", repeated, before.constant([-1, height, width, channels]))
    summand, divisor = (before.constant(number, np.float32) for number in ports.picture.from_levels)
    values = before.add("Cast", image, to=TensorProto.FLOAT)
    values = before.add("Div", before.add("Add", values, summand), divisor)
    if ports.picture.layout == "nchw":
        values = before.add("Transpose", values, perm=[0, 3, 1, 2])
    before.add("Cast", values, to=ports.image.kind, output=SOURCE + ports.image.name)
    if ports.class_id is not None:
        rows = before.add("Unsqueeze", before.add("Mul", "class_id", before.constant(0)), before.constant([1]))
        every = before.add("Add", rows, before.constant(np.arange(tiled)))
        add_class(before, before.add("Reshape", every, before.constant([-1])), ports.class_id)


def _logit(after: Wiring, graph: onnx.GraphProto, ports: ScorerPorts, scale: str, sure: float) -> str:
    """The network's score as a logit float32 [n]; before a sigmoid it is there already, without its rounding."""
    last = maker(graph, ports.score)
    behind = scale == "probability" and last is not None and last.op_type == "Sigmoid"
    score = last.input[0] if behind and last is not None else ports.score
    flat = after.add("Reshape", SOURCE + score, after.constant([-1]))
    logit = after.add("Cast", flat, to=TensorProto.FLOAT)
    if scale == "logit" or behind:
        return logit
    kept = after.add("Clip", logit, after.constant(sure, np.float32), after.constant(1 - sure, np.float32))
    rest = after.add("Sub", after.constant(1, np.float32), kept)
    return after.add("Log", after.add("Div", kept, rest))


def _weights(after: Wiring, classes: int) -> tuple[str, str]:
    """float32 [n, classes]: all on the stated class, or evenly on all where none is stated; and where that is."""
    unstated = after.add("Less", "class_id", after.constant(0))
    ids = after.add("Max", "class_id", after.constant(0))
    one = after.add("OneHot", ids, after.constant(classes), after.constant([0, 1], np.float32), axis=-1)
    even = after.constant(np.full((1, classes), 1 / classes), np.float32)
    column = after.add("Unsqueeze", unstated, after.constant([1]))
    return after.add("Where", column, even, one), unstated


def _log(after: Wiring, classes: int) -> str:
    return after.constant(np.log(classes), np.float32)


def _probability(after: Wiring, platt: Platt) -> str:
    scaled = after.add("Mul", "logit", after.constant(platt.slope, np.float32))
    return after.add("Sigmoid", after.add("Add", scaled, after.constant(platt.intercept, np.float32)))
