"""The bundle's inputs and outputs, grafted onto a graph that was made elsewhere."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from training.errors import PackageError
from training.packaging.picture import Picture
from training.packaging.ports import GeneratorPorts, Port, one_hot
from training.packaging.source import first_line
from training.wiring import Wiring, prefixed

SOURCE = "source/"
"""What the names of the original's tensors begin with in the bundle's graph."""
_LIMIT_BYTES = 2**31 - 1


def generator_graph(
    model: onnx.ModelProto, ports: GeneratorPorts, picture: Picture, *, psi_form: Sequence[int], scale_z: bool
) -> bytes:
    """The generator in the bundle's form (docs/bundle.md), checked; the network gets psi reshaped to `psi_form`."""
    before, after = Wiring("bundle/in/"), Wiring("bundle/out/")
    inputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", ports.dim])]
    z = "z"
    if scale_z:
        z = before.add("Mul", z, before.add("Unsqueeze", "truncation", before.constant([1])))
    shaped = before.add("Reshape", z, before.constant([-1, *ports.z_shape]))
    before.add("Cast", shaped, to=ports.z.kind, output=SOURCE + ports.z.name)
    if ports.class_id is not None:
        inputs.append(helper.make_tensor_value_info("class_id", TensorProto.INT64, ["batch"]))
        add_class(before, "class_id", ports.class_id)
    if scale_z or ports.truncation is not None:
        inputs.append(helper.make_tensor_value_info("truncation", TensorProto.FLOAT, ["batch"]))
    if ports.truncation is not None:
        psi = before.add("Reshape", "truncation", before.constant(list(psi_form)))
        before.add("Cast", psi, to=ports.truncation.kind, output=SOURCE + ports.truncation.name)
    factor, summand = (after.constant(number, np.float32) for number in picture.to_levels)
    levels = after.add("Cast", SOURCE + ports.image.name, to=TensorProto.FLOAT)
    levels = after.add("Add", after.add("Mul", levels, factor), summand)
    levels = after.add("Clip", levels, after.constant(0, np.float32), after.constant(255, np.float32))
    if picture.layout == "nchw":
        levels = after.add("Transpose", levels, perm=[0, 2, 3, 1])
    after.add("Cast", levels, to=TensorProto.UINT8, output="image")
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *picture.shape])
    return grafted(model, before, after, inputs, [image])


def add_class(wiring: Wiring, ids: str, port: Port) -> None:
    """Feed the class ids int64 [n] in the tensor `ids` to an input that takes ids [n] or [n, 1], or one-hot floats."""
    count = one_hot(port)
    if count is not None:
        off_and_on = wiring.constant([0, 1], np.float32)
        given = wiring.add("OneHot", ids, wiring.constant(count), off_and_on, axis=-1)
    else:
        given = wiring.add("Reshape", ids, wiring.constant([-1, *(1 for _ in port.shape[1:])]))
    wiring.add("Cast", given, to=port.kind, output=SOURCE + port.name)


def grafted(
    model: onnx.ModelProto,
    before: Wiring,
    after: Wiring,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> bytes:
    """The model between the nodes of `before` and `after`, with new inputs and outputs, checked."""
    whole = prefixed(model, SOURCE)
    graph = whole.graph
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*before.constants, *after.constants])
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    graph.name = "bundle"
    if whole.ByteSize() > _LIMIT_BYTES:
        raise PackageError("the graph is larger than 2 GiB, more than one ONNX file can hold")
    try:
        onnx.checker.check_model(whole)
    except onnx.checker.ValidationError as error:
        raise PackageError(f"the graph is not valid ONNX: {first_line(error)}") from None
    return bytes(whole.SerializeToString())
