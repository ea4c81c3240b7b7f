import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from bundle import Bundle, classes_of, read_bundle, sample_latents
from tests.architecture.checkout import ROOT
from training.half import in_half_precision
from training.players import run_generator


@pytest.fixture(scope="module", params=["mnist", "fashion-mnist"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return read_bundle(max((ROOT / "models" / request.param).iterdir(), key=lambda folder: int(folder.name)))


def _images(bundle: Bundle, graph: bytes, seeds: range) -> NDArray[np.int16]:
    z = sample_latents(bundle.manifest.latent, seeds)
    return run_generator(graph, z, classes_of(z, len(bundle.manifest.classes or ()))).astype(np.int16)


def test_half_precision_moves_pixels_by_a_grey_level_or_two(bundle: Bundle) -> None:
    half = in_half_precision(bundle.generator)
    apart = np.abs(_images(bundle, bundle.generator, range(64)) - _images(bundle, half, range(64)))
    assert apart.max() <= 2
    assert (apart == 0).mean() > 0.95
    assert 0.45 < len(half) / len(bundle.generator) < 0.6


def test_types_outside_stay_and_what_needs_the_range_stays_float32(bundle: Bundle) -> None:
    before, after = (onnx.load_from_string(g) for g in (bundle.generator, in_half_precision(bundle.generator)))
    for kind in ("input", "output"):
        assert [(v.name, v.type) for v in getattr(before.graph, kind)] == [
            (v.name, v.type) for v in getattr(after.graph, kind)
        ]
    inferred = onnx.shape_inference.infer_shapes(after, strict_mode=True).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    halves = {node.op_type for node in inferred.node if kinds.get(node.output[0]) == TensorProto.FLOAT16}
    wholes = {node.op_type for node in inferred.node if kinds.get(node.output[0]) == TensorProto.FLOAT}
    assert {"Conv", "ConvTranspose", "Gemm"} <= halves - wholes
    assert {"BatchNormalization", "Tanh", "Clip"} <= wholes - halves


def test_nothing_is_rounded_to_half_between_two_float32_nodes(bundle: Bundle) -> None:
    nodes = onnx.load_from_string(in_half_precision(bundle.generator)).graph.node
    makers = {node.output[0]: node for node in nodes}
    casts = [node for node in nodes if node.op_type == "Cast"]
    assert not [node for node in casts if node.input[0] in makers and makers[node.input[0]].op_type == "Cast"]
