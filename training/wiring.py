"""Nodes and constants that are added to a graph, and names that cannot clash."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Wiring:
    """Collects nodes and constants whose names begin with `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:  # noqa: ANN401 -- as ONNX has them
        """Add a node with one output; returns the name of that output."""
        name = f"{self._prefix}{operator}_{len(self.nodes)}"
        made = output or name
        self.nodes.append(helper.make_node(operator, list(inputs), [made], name=name, **attributes))
        return made

    def constant(self, value: object, dtype: type[np.generic] = np.int64) -> str:
        """Add a tensor; returns its name."""
        name = f"{self._prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def cast(self, name: str, kind: int, *, now: int) -> str:
        """The tensor `name`, of ONNX's type `now`, as type `kind`."""
        return name if kind == now else self.add("Cast", name, to=kind)

    def reduce(self, operator: str, name: str, axis: int, *, opset: int) -> str:
        """Reduce one axis away; up to opset 17 the axis is an attribute."""
        if opset < 18:
            return self.add(operator, name, axes=[axis], keepdims=0)
        return self.add(operator, name, self.constant([axis]), keepdims=0)


def prefixed(model: onnx.ModelProto, prefix: str) -> onnx.ModelProto:
    """A copy in which every tensor and node is called `prefix` and what it was called before."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for graph in every_graph(copy.graph):
        for named in (*graph.input, *graph.output, *graph.initializer, *graph.node):
            named.name = named.name and prefix + named.name
        for sparse in graph.sparse_initializer:
            sparse.values.name = prefix + sparse.values.name
        for node in graph.node:
            node.input[:] = [name and prefix + name for name in node.input]
            node.output[:] = [name and prefix + name for name in node.output]
            node.ClearField("doc_string")
            del node.metadata_props[:]
        del graph.value_info[:]
        graph.ClearField("doc_string")
        del graph.metadata_props[:]
    copy.ClearField("doc_string")
    del copy.metadata_props[:]
    return copy


def every_graph(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph, and those within its If, Loop and Scan nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField("g") else []
            for part in [*inner, *attribute.graphs]:
                yield from every_graph(part)


def constant_of(graph: onnx.GraphProto, name: str) -> NDArray[Any] | None:
    """The value of a tensor that is a constant of the graph; None for one that is computed."""
    for tensor in graph.initializer:
        if tensor.name == name:
            return np.array(numpy_helper.to_array(tensor))
    for node in graph.node:
        if node.op_type == "Constant" and name in node.output:
            value = helper.get_attribute_value(node.attribute[0])
            return np.array(numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value)
    return None


def maker(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The node that computes a tensor."""
    return next((node for node in graph.node if name in node.output), None)
