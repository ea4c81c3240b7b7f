from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from torch import nn

from tests.fakes.foreign import (
    BatchMean,
    Dcgan,
    Flat,
    NotFinite,
    export,
)
from tests.training.conftest import DIGITS
from tests.training.packaging.packaged import Z4, Z8, apart, bundle_of, levels, refusal, run, z_of


@pytest.mark.parametrize(
    ("network", "flags", "complaint"),
    [
        (Flat(channels=4), [], "no axis of 1 (grey) or 3 (RGB) channels"),
        (Flat(channels=4), ["--layout", "nchw"], "4 channels as nchw"),
        (Flat(finish=NotFinite()), [], "not finite"),
        (Flat(finish=BatchMean()), [], "depends on its batch mates"),
        (Flat(finish=nn.Hardtanh(-100, -50)), [], "--range"),
        (Flat(), ["--truncation", "input"], "no such input"),
        (Flat(), ["--classes", "3"], "takes no class"),
        (Flat(), ["--z-input", "latent"], "has no 'latent'"),
        (Flat(), ["--z-dim", "9"], "holds 8 numbers"),
        (Flat(), ["--image-output", "y"], "has no 'y'"),
        (Flat(), ["--fix", "alpha=1"], "has no 'alpha'"),
        (Flat(), ["--name", "No Good"], "--name"),
        (Flat(), ["--classes", "/nowhere"], "cannot be read"),
        (Flat(), ["--d-output", "y"], "--discriminator"),
        (Flat(), ["--extractor", "x"], "--data"),
        (Flat(), ["--data", str(DIGITS)], "its images are 28x28, not 16"),
    ],
)
def test_what_a_bundle_cannot_hold_is_refused(
    tmp_path: Path, network: nn.Module, flags: list[str], complaint: str
) -> None:
    path = export(network, [Z8], tmp_path / "g.onnx", names=["z"])
    assert complaint in refusal(path, *flags)


def test_a_network_that_was_exported_in_training_mode_is_refused(tmp_path: Path) -> None:
    path = export(Dcgan(), [Z4], tmp_path / "g.onnx", names=["z"], training=True)
    assert "training mode" in refusal(path)


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    assert "No such file" in refusal(path)
    for data in (b"\x00\x01nothing", b"", b"PK\x03\x04" * 9):
        path.write_bytes(data)
        assert "not an ONNX file" in refusal(path)


def _graph(path: Path, inputs: Mapping[str, list[Any]], *, operator: str = "MatMul", domain: str = "") -> Path:
    """One operator on the inputs, reshaped to 16x16 grey images."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [8, 256], np.full(8 * 256, 0.1).tolist())
    shape = helper.make_tensor("s", TensorProto.INT64, [4], [-1, 1, 16, 16])
    first = next(iter(inputs))
    nodes = [
        helper.make_node(operator, [first, "w"], ["flat"], domain=domain),
        helper.make_node("Reshape", ["flat", "s"], ["raw"]),
        helper.make_node("Tanh", ["raw"], ["image"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in inputs.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    graph = helper.make_graph(nodes, "g", values, [image], [weight, shape])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({"a": ["n", 8], "b": ["n", 8]}, "several of the generator's tensors might be meant"),
        ({"a": [8]}, "no input of the generator looks like z"),
        ({"z": ["n", 8], "alpha": []}, "--fix NAME=VALUE"),
        ({"z": ["n", "m"]}, "--z-dim"),
        ({"z": ["n", 8], "label": ["n", "m"]}, "cannot be a class"),
        ({"z": ["n", 8], "psi": ["n", 4]}, "cannot be a truncation"),
        ({"z": ["n", 8], "label": [1, 3]}, "one value for the whole batch"),
        ({"z": ["n", 8], "psi": ["n"]}, "changes no image"),
    ],
)
def test_inputs_that_a_bundle_has_no_place_for_are_named(
    tmp_path: Path, inputs: dict[str, list[Any]], complaint: str
) -> None:
    assert complaint in refusal(_graph(tmp_path / "g.onnx", inputs))


def test_flags_say_what_names_do_not(tmp_path: Path) -> None:
    path = _graph(tmp_path / "g.onnx", {"a": ["n", "m"], "alpha": []})
    bundle = bundle_of(path, "--z-input", "a", "--z-dim", "8", "--fix", "alpha=0.5", "--image-output", "image")
    expected = run(path, {"a": z_of(bundle), "alpha": np.array(0, np.float32)})
    assert apart(run(bundle.generator, {"z": z_of(bundle)}), levels(expected)) <= 1


def test_an_operator_that_onnx_runtime_does_not_know_is_refused(tmp_path: Path) -> None:
    path = _graph(tmp_path / "g.onnx", {"z": ["n", 8]}, operator="Upfirdn", domain="their.own")
    told = refusal(path)
    assert "ONNX Runtime cannot load the graph" in told
    assert "Upfirdn" in told
