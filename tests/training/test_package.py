import hashlib
import io
import itertools
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.external_data_helper import convert_model_to_external_data
from PIL import Image
from torch import nn

from app.cli import main as ganserve
from app.main import create_app
from app.settings import Settings
from bundle import Bundle, read_bundle, sample_latents
from tests.fakes.client import running
from tests.fakes.foreign import (
    CLASSES,
    BatchMean,
    Critic,
    Dcgan,
    Drawn,
    Flat,
    Grouped,
    Levels,
    Map,
    Named,
    NotFinite,
    OneHot,
    OneHotCritic,
    StyleGan,
    export,
)
from tests.training.conftest import DIGITS
from training.cli import main
from training.players import CLASS_NOT_STATED, OnnxPlayers, open_session

SEEDS = range(20, 27)
Z4 = torch.randn(2, 100, 1, 1)
Z8 = torch.randn(2, 8)


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(1)


def _package(path: Path, *flags: str) -> Result:
    models = str(path.parent / "models")
    return CliRunner().invoke(main, ["package", str(path), "--name", "m", "--license", "MIT", "--out", models, *flags])


def _packaged(path: Path, *flags: str) -> Path:
    result = _package(path, *flags)
    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip())


def _refusal(path: Path, *flags: str) -> str:
    result = _package(path, *flags)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    folder = path.parent / "models" / "m"
    assert not folder.exists() or list(folder.iterdir()) == []
    last = result.stderr.splitlines()[-1]
    assert last.startswith("gantrain: ")
    return last


def _bundle(path: Path, *flags: str) -> Bundle:
    return read_bundle(_packaged(path, *flags))


def _run(graph: bytes | Path, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    made: NDArray[Any] = open_session(graph.read_bytes() if isinstance(graph, Path) else graph).run(None, dict(feed))[0]
    return made


def _levels(values: NDArray[Any], *, low: float = -1, high: float = 1) -> NDArray[np.uint8]:
    """Floats NCHW -> the nearest grey levels NHWC, written apart from the code that is tested."""
    share = (values.astype(np.float64).transpose(0, 2, 3, 1) - low) / (high - low)
    return np.floor(share.clip(0, 1) * 255 + 0.5).clip(0, 255).astype(np.uint8)


def _apart(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def _z(bundle: Bundle) -> NDArray[np.float32]:
    return sample_latents(bundle.manifest.latent, SEEDS)


def test_a_dcgan_with_a_dynamic_batch(tmp_path: Path) -> None:
    path = export(Dcgan().eval(), [Z4], tmp_path / "g.onnx", names=["input"])
    folder = _packaged(path, "--latent", "uniform", "--dataset", "faces")
    bundle = read_bundle(folder)
    manifest, z = bundle.manifest, _z(bundle)
    assert (manifest.latent.dim, manifest.latent.distribution) == (100, "uniform")
    assert (manifest.image.height, manifest.image.width, manifest.image.channels) == (16, 16, 3)
    assert manifest.license == "MIT"
    assert manifest.training.dataset == "faces"
    assert not manifest.truncation.supported
    assert (manifest.classes, manifest.discriminator, manifest.calibration) == (None, None, None)
    expected = _levels(_run(path, {"input": z.reshape(7, 100, 1, 1)}))
    assert expected.std() > 1
    assert _apart(_run(bundle.generator, {"z": z}), expected) <= 1
    card = (folder / "README.md").read_text()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert "| licence | MIT |" in card
    assert "Measured" not in card
    with Image.open(folder / "samples.png") as samples:
        assert samples.size == (160, 160)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_that_the_export_froze_is_made_dynamic(tmp_path: Path, batch: int) -> None:
    z4 = torch.randn(batch, 100, 1, 1)
    path = export(Dcgan().eval(), [z4], tmp_path / "g.onnx", names=["input"], dynamic=False)
    bundle = _bundle(path)
    z = np.resize(_z(bundle), (6, 100))
    parts = [_run(path, {"input": z[i : i + batch].reshape(batch, 100, 1, 1)}) for i in range(0, 6, batch)]
    assert _apart(_run(bundle.generator, {"z": z}), _levels(np.concatenate(parts))) <= 1


@pytest.mark.parametrize(("batch", "dynamic"), [(1, False), (2, False), (2, True)])
def test_reshapes_that_hold_the_batch_size_are_rewritten(tmp_path: Path, batch: int, dynamic: bool) -> None:  # noqa: FBT001 -- pytest's arguments
    z = torch.randn(batch, 8)
    path = export(Flat(batch=batch), [z], tmp_path / "g.onnx", names=["z"], dynamic=dynamic)
    bundle = _bundle(path)
    rows = np.resize(_z(bundle), (4, 8))
    expected = np.concatenate([_run(path, {"z": rows[i : i + batch]}) for i in range(0, 4, batch)])
    assert _apart(_run(bundle.generator, {"z": rows}), _levels(expected)) <= 1


@pytest.mark.parametrize("batch", [1, 2])
def test_a_graph_that_is_tied_to_its_batch_is_refused_with_the_remedy(tmp_path: Path, batch: int) -> None:
    path = export(Grouped(), [torch.randn(batch, 8)], tmp_path / "g.onnx", names=["z"], dynamic=False)
    refusal = _refusal(path)
    assert f"frozen at {batch} and cannot be made dynamic" in refusal
    assert "dynamic_axes" in refusal


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("scalar", [True, False])
def test_a_stylegan_truncates_each_row_toward_its_mean(tmp_path: Path, scalar: bool, batch: int | None) -> None:  # noqa: FBT001 -- as above
    network = StyleGan().eval()
    z, psi = torch.randn(batch or 2, 12), torch.tensor(0.7) if scalar else torch.full((batch or 2,), 0.7)
    scalars = ["psi"] if scalar else []
    path = export(network, [z, psi], tmp_path / "g.onnx", names=["z", "psi"], dynamic=batch is None, scalars=scalars)
    bundle = _bundle(path)
    assert bundle.manifest.truncation.kind == "toward_mean_w"
    rows, psis = _z(bundle), np.linspace(1.5, 0, 7, dtype=np.float32)
    alone = [
        _run(path, {"z": rows[i : i + 1], "psi": psis[i : i + 1].reshape(() if scalar else 1)})
        for i in range(7 if scalar or batch else 0)
    ]
    expected = np.concatenate(alone) if alone else _run(path, {"z": rows, "psi": psis})
    made = _run(bundle.generator, {"z": rows, "truncation": psis})
    assert _apart(made, _levels(expected)) <= 1
    assert _apart(made[:1], _run(bundle.generator, {"z": rows[:1], "truncation": psis[-1:]})) > 10


def test_truncation_can_be_left_out_or_scale_z_instead(tmp_path: Path) -> None:
    network = StyleGan().eval()
    path = export(network, [torch.randn(2, 12), torch.ones(2)], tmp_path / "g.onnx", names=["z", "psi"])
    none = _bundle(path, "--truncation", "none")
    assert [spec.name for spec in none.manifest.generator.inputs] == ["z"]
    plain = _run(path, {"z": _z(none), "psi": np.ones(7, np.float32)})
    assert _apart(_run(none.generator, {"z": _z(none)}), _levels(plain)) <= 1
    flat = export(Flat(), [Z8], tmp_path / "flat.onnx", names=["z"])
    scaled = _bundle(flat, "--truncation", "scale-z")
    assert scaled.manifest.truncation.kind == "scale_z"
    z, psi = _z(scaled), np.linspace(0, 1, 7, dtype=np.float32)
    expected = _levels(_run(flat, {"z": z * psi[:, None]}))
    assert _apart(_run(scaled.generator, {"z": z, "truncation": psi}), expected) <= 1


@pytest.mark.parametrize("finish", [Drawn(), Map()])
@pytest.mark.parametrize("dynamic", [True, False])
def test_random_noise_is_refused_or_frozen(tmp_path: Path, finish: nn.Module, dynamic: bool) -> None:  # noqa: FBT001 -- as above
    path = export(Flat(finish=finish), [Z8], tmp_path / "g.onnx", names=["z"], dynamic=dynamic)
    assert "--freeze-noise" in _refusal(path)
    first, again, other = (_bundle(path, "--freeze-noise", seed) for seed in ("3", "3", "4"))
    assert first.generator == again.generator
    z = _z(first)
    images, others = (_run(bundle.generator, {"z": z}) for bundle in (first, other))
    assert np.array_equal(images, _run(first.generator, {"z": z}))
    assert not np.array_equal(images, others)
    free = export(Flat(), [Z8], tmp_path / "free.onnx", names=["z"])
    assert not np.array_equal(images, _run(_bundle(free).generator, {"z": z}))
    twice = _run(first.generator, {"z": np.repeat(z[:1], 2, axis=0)})
    assert np.array_equal(twice[0], twice[1])


def test_a_stylegan_with_drawn_noise_is_frozen_whether_its_batch_is_or_not(tmp_path: Path) -> None:
    network = StyleGan(noise="drawn").eval()
    for batch in (1, 2):
        example = [torch.randn(batch, 12), torch.ones(batch)]
        path = export(network, example, tmp_path / "g.onnx", names=["z", "psi"], dynamic=batch > 1)
        bundle = _bundle(path, "--freeze-noise", "1")
        assert "Random" not in {node.op_type for node in onnx.load_from_string(bundle.generator).graph.node}
        z = np.repeat(_z(bundle)[:1], 3, axis=0)
        first, second, _ = _run(bundle.generator, {"z": z, "truncation": np.ones(3, np.float32)})
        assert np.array_equal(first, second)


def test_noise_that_is_an_input_is_refused_frozen_or_fixed(tmp_path: Path) -> None:
    example = [torch.randn(2, 12), torch.ones(2), torch.randn(1, 1, 16, 16)]
    names = ["z", "psi", "noise"]
    path = export(StyleGan(noise="input"), example, tmp_path / "g.onnx", names=names, scalars=["noise"])
    assert "noise float32[1, 1, 16, 16]" in _refusal(path)
    frozen, fixed = _bundle(path, "--freeze-noise", "0"), _bundle(path, "--fix", "noise=0")
    feed = {"z": _z(fixed), "psi": np.ones(7, np.float32), "noise": np.zeros((1, 1, 16, 16), np.float32)}
    asked = {"z": feed["z"], "truncation": feed["psi"]}
    expected = _levels(_run(path, feed))
    assert _apart(_run(fixed.generator, asked), expected) <= 1
    assert _apart(_run(frozen.generator, asked), expected) > 1


def test_a_one_hot_class_becomes_a_class_id(tmp_path: Path) -> None:
    path = export(OneHot(), [torch.randn(3, 8), torch.eye(CLASSES)], tmp_path / "g.onnx", names=["latent", "label"])
    bundle = _bundle(path)
    assert bundle.manifest.classes == ("0", "1", "2")
    z, ids = _z(bundle), np.arange(7) % CLASSES
    values = _run(path, {"latent": z, "label": np.eye(CLASSES, dtype=np.float32)[ids]})
    expected = _levels(values.transpose(0, 3, 1, 2), low=0)
    assert _apart(_run(bundle.generator, {"z": z, "class_id": ids}), expected) <= 1
    names = tmp_path / "names.txt"
    names.write_text("ant\nbee\ncat\n")
    assert _bundle(path, "--classes", str(names)).manifest.classes == ("ant", "bee", "cat")
    assert "names 2 classes" in _refusal_of_another(path, "--classes", "2")


def _refusal_of_another(path: Path, *flags: str) -> str:
    """A refusal beside bundles that are there already."""
    result = _package(path, *flags)
    assert result.exit_code == 1
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize("column", [False, True])
def test_class_ids_need_their_number_said(tmp_path: Path, column: bool) -> None:  # noqa: FBT001 -- as above
    label = torch.tensor([[0], [1]]) if column else torch.tensor([0, 1])
    path = export(Named(), [Z8, label.int()], tmp_path / "g.onnx", names=["z", "y"])
    assert "say it with --classes" in _refusal(path)
    assert "class 3, the last of --classes, is refused" in _refusal(path, "--classes", "4")
    bundle = _bundle(path, "--classes", "3")
    z, ids = _z(bundle), np.arange(7) % 3
    given = (ids[:, None] if column else ids).astype(np.int32)
    expected = _levels(_run(path, {"z": z, "y": given}))
    assert _apart(_run(bundle.generator, {"z": z, "class_id": ids}), expected) <= 1


def test_a_generator_in_half_precision_says_so(tmp_path: Path) -> None:
    path = export(Flat().half(), [Z8.half()], tmp_path / "g.onnx", names=["z"])
    bundle = _bundle(path)
    assert bundle.manifest.generator.precision == "float16"
    expected = _levels(_run(path, {"z": _z(bundle).astype(np.float16)}))
    assert _apart(_run(bundle.generator, {"z": _z(bundle)}), expected) <= 1


def test_an_old_opset_is_converted(tmp_path: Path) -> None:
    path = export(Flat(), [Z8], tmp_path / "g.onnx", names=["z"], opset=9)
    bundle = _bundle(path)
    assert bundle.manifest.opset == 13
    assert _apart(_run(bundle.generator, {"z": _z(bundle)}), _levels(_run(path, {"z": _z(bundle)}))) <= 1


def test_the_graph_of_another_exporter_keeps_its_external_data_in_the_bundle(tmp_path: Path) -> None:
    whole = export(Flat(), [Z8], tmp_path / "whole.onnx", names=["z"])
    model = onnx.load(whole)
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    path = tmp_path / "g.onnx"
    onnx.save(model, path)
    folder = _packaged(path)
    bundle = read_bundle(folder)
    assert _apart(_run(bundle.generator, {"z": _z(bundle)}), _levels(_run(whole, {"z": _z(bundle)}))) <= 1
    weights = tmp_path / "weights.bin"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in (folder / "README.md").read_text()
    weights.unlink()
    assert "external data (weights.bin) cannot be read" in _refusal_of_another(path)
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = "../outside.bin"
    (tmp_path.parent / "outside.bin").write_bytes(bytes(2**20))
    path.write_bytes(model.SerializeToString())
    assert "external data (../outside.bin) cannot be read" in _refusal_of_another(path)


@pytest.mark.parametrize(
    ("finish", "low", "high", "found"),
    [
        (nn.Tanh(), -1, 1, "-1,1"),
        (nn.Sigmoid(), 0, 1, "0,1"),
        (Levels(), 0, 255, "0,255"),
        (nn.Softsign(), -1, 1, "-1,1"),
    ],
)
def test_the_range_is_found_out(tmp_path: Path, finish: nn.Module, low: int, high: int, found: str) -> None:
    path = export(Flat(finish=finish), [Z8], tmp_path / "g.onnx", names=["z"])
    result = _package(path)
    assert f"stand for [{found}]" in result.stderr
    bundle = read_bundle(Path(result.stdout.strip()))
    expected = _levels(_run(path, {"z": _z(bundle)}), low=low, high=high)
    made = _run(bundle.generator, {"z": _z(bundle)})
    assert _apart(made, expected) <= 1
    assert (made == expected).mean() > 0.99  # half a level off, every other pixel would be another


def test_values_outside_the_range_are_reported(tmp_path: Path) -> None:
    path = export(Flat(finish=nn.Identity()), [Z8], tmp_path / "g.onnx", names=["z"])
    result = _package(path, "--range", "0,1")
    assert "of them leave the range, and are clipped" in result.stderr
    assert "leave the range" in (Path(result.stdout.strip()) / "README.md").read_text()


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
    assert complaint in _refusal(path, *flags)


def test_a_network_that_was_exported_in_training_mode_is_refused(tmp_path: Path) -> None:
    path = export(Dcgan(), [Z4], tmp_path / "g.onnx", names=["z"], training=True)
    assert "training mode" in _refusal(path)


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    assert "No such file" in _refusal(path)
    for data in (b"\x00\x01nothing", b"", b"PK\x03\x04" * 9):
        path.write_bytes(data)
        assert "not an ONNX file" in _refusal(path)


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
    assert complaint in _refusal(_graph(tmp_path / "g.onnx", inputs))


def test_flags_say_what_names_do_not(tmp_path: Path) -> None:
    path = _graph(tmp_path / "g.onnx", {"a": ["n", "m"], "alpha": []})
    bundle = _bundle(path, "--z-input", "a", "--z-dim", "8", "--fix", "alpha=0.5", "--image-output", "image")
    expected = _run(path, {"a": _z(bundle), "alpha": np.array(0, np.float32)})
    assert _apart(_run(bundle.generator, {"z": _z(bundle)}), _levels(expected)) <= 1


def test_an_operator_that_onnx_runtime_does_not_know_is_refused(tmp_path: Path) -> None:
    path = _graph(tmp_path / "g.onnx", {"z": ["n", 8]}, operator="Upfirdn", domain="their.own")
    refusal = _refusal(path)
    assert "ONNX Runtime cannot load the graph" in refusal
    assert "Upfirdn" in refusal


@pytest.mark.parametrize("probability", [False, True])
@pytest.mark.parametrize("batch", [None, 1])
def test_a_discriminator_scores_as_it_did(tmp_path: Path, probability: bool, batch: int | None) -> None:  # noqa: FBT001 -- as above
    g = export(Dcgan(), [Z4], tmp_path / "g.onnx", names=["input"])
    network, example = Critic(probability=probability), torch.randn(batch or 2, 3, 16, 16)
    d = export(network, [example], tmp_path / "d.onnx", names=["image"], dynamic=batch is None)
    bundle = _bundle(g, "--discriminator", str(d), "--features-output", "/body/body.3/LeakyRelu_output_0")
    assert bundle.discriminator is not None
    assert bundle.manifest.calibration is None
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    floats = (images.astype(np.float32).transpose(0, 3, 1, 2) - 127.5) / 127.5
    scores = np.concatenate([_run(d, {"image": floats[i : i + 1]}) for i in range(5)]).reshape(-1)
    logit, found, features = open_session(bundle.discriminator).run(None, {"image": images})
    expected = scores if probability else 1 / (1 + np.exp(-scores))
    assert found == pytest.approx(expected, abs=1e-5)
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(expected, abs=1e-5)
    assert features.shape == (5, 16 * 4 * 4)
    assert bundle.manifest.discriminator is not None
    assert bundle.manifest.discriminator.outputs[2].shape == ("batch", 256)


@pytest.mark.parametrize("opset", [15, 18])
def test_a_conditional_discriminator_averages_over_classes_where_none_is_stated(tmp_path: Path, opset: int) -> None:
    g = export(OneHot(), [torch.randn(3, 8), torch.eye(CLASSES)], tmp_path / "g.onnx", names=["z", "label"])
    example = [torch.randn(2, 1, 16, 16), torch.tensor([0, 1])]
    critic = Critic(channels=1, classes=CLASSES)
    d = export(critic, example, tmp_path / "d.onnx", names=["image", "label"], opset=opset)
    bundle = _bundle(g, "--discriminator", str(d), "--d-range", "-1,1")
    assert bundle.discriminator is not None
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), dtype=np.uint8)
    floats = (images.astype(np.float32).transpose(0, 3, 1, 2) - 127.5) / 127.5
    every = [_run(d, {"image": floats, "label": np.full(4, number)}).reshape(-1) for number in range(CLASSES)]
    by_class = np.stack(every, axis=1)
    asked = np.array([2, 0, CLASS_NOT_STATED, 1])
    logit, probability, features = open_session(bundle.discriminator).run(None, {"image": images, "class_id": asked})
    assert logit[[0, 1, 3]] == pytest.approx(by_class[[0, 1, 3], asked[[0, 1, 3]]], abs=1e-5)
    assert logit[2] == pytest.approx(np.log(np.exp(by_class[2]).mean()), abs=1e-5)
    assert probability == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)
    assert features.shape == (4, 1)


@pytest.mark.parametrize("batch", [None, 1])
def test_a_discriminator_may_take_its_class_one_hot(tmp_path: Path, batch: int | None) -> None:
    g = export(OneHot(), [torch.randn(3, 8), torch.eye(CLASSES)], tmp_path / "g.onnx", names=["z", "label"])
    example = [torch.randn(batch or 2, 1, 16, 16), torch.eye(CLASSES)[: batch or 2]]
    names = ["image", "onehot"]
    d = export(OneHotCritic(), example, tmp_path / "d.onnx", names=names, dynamic=batch is None)
    players = OnnxPlayers(_packaged(g, "--discriminator", str(d)))
    images = players.images(sample_latents(players.latent, range(3)), np.arange(3))
    floats = (images.astype(np.float32) / 255).transpose(0, 3, 1, 2)
    hot = np.eye(CLASSES, dtype=np.float32)
    expected = [_run(d, {"image": floats[i : i + 1], "onehot": hot[i : i + 1]}).item() for i in range(3)]
    assert players.logits(images, np.arange(3)) == pytest.approx(expected, abs=1e-4)


def test_an_unconditional_discriminator_beside_a_conditional_generator_looks_away_from_the_class(
    tmp_path: Path,
) -> None:
    g = export(OneHot(), [torch.randn(3, 8), torch.eye(CLASSES)], tmp_path / "g.onnx", names=["z", "label"])
    d = export(Critic(channels=1), [torch.randn(2, 1, 16, 16)], tmp_path / "d.onnx", names=["image"])
    players = OnnxPlayers(_packaged(g, "--discriminator", str(d)))
    images = players.images(sample_latents(players.latent, range(3)), np.arange(3))
    assert np.array_equal(players.logits(images, np.arange(3)), players.logits(images, np.full(3, CLASS_NOT_STATED)))


@pytest.mark.parametrize(
    ("network", "example", "flags", "complaint"),
    [
        (Critic(channels=1), [torch.randn(2, 1, 16, 16)], [], "the generator makes 16x16 with 3 channel(s)"),
        (Critic(patches=True), [torch.randn(2, 3, 16, 16)], [], None),
        (Critic(patches=True), [torch.randn(2, 3, 32, 32)], [], "takes images [?, 3, 32, 32]"),
        (Critic(classes=3), [torch.randn(2, 3, 16, 16), torch.tensor([0, 1])], [], "the generator has none"),
        (Critic(), [torch.randn(2, 3, 16, 16)], ["--features-output", "f"], "no tensor 'f'"),
        (Critic(), [torch.randn(2, 3, 16, 16)], ["--d-output", "f"], "has no 'f'"),
        (Critic(), [torch.randn(2, 3, 16, 16)], ["--d-scale", "probability"], "its scores reach from"),
        (
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 1, 1), nn.Hardsigmoid()),
            [torch.randn(2, 3, 16, 16)],
            [],
            "--d-scale",
        ),
        (nn.Sequential(nn.Conv2d(3, 1, 4, 4)), [torch.randn(2, 3, 16, 16)], [], "[1, 4, 4] scores an image"),
        (
            nn.Sequential(BatchMean(), nn.Conv2d(3, 1, 16)),
            [torch.randn(2, 3, 16, 16)],
            [],
            "depends on its batch mates",
        ),
    ],
)
def test_what_a_discriminator_cannot_be(
    tmp_path: Path, network: nn.Module, example: list[torch.Tensor], flags: list[str], complaint: str | None
) -> None:
    g = export(Dcgan(), [Z4], tmp_path / "g.onnx", names=["input"])
    d = export(network, example, tmp_path / "d.onnx", names=["image", "label"][: len(example)])
    if complaint is None:
        assert _bundle(g, "--discriminator", str(d), *flags).discriminator is not None
    else:
        assert complaint in _refusal(g, "--discriminator", str(d), *flags)


def test_with_data_the_discriminator_is_calibrated_and_the_bundle_measured(tmp_path: Path) -> None:
    g = export(Flat(side=28), [Z8], tmp_path / "g.onnx", names=["z"])
    d = export(Critic(channels=1, side=28), [torch.randn(2, 1, 28, 28)], tmp_path / "d.onnx", names=["image"])
    folder = _packaged(g, "--discriminator", str(d), "--data", str(DIGITS))
    manifest = read_bundle(folder).manifest
    assert manifest.training.dataset == "digits"
    assert manifest.metrics.keys() == {"auc_real_against_noise", "auc_real_against_generated"}
    assert manifest.calibration is not None
    assert manifest.calibration.scores is not None
    line = manifest.calibration.parameters
    players = OnnxPlayers(folder)
    images = players.images(sample_latents(players.latent, range(4)), None)
    assert players._discriminator is not None
    logit, probability = players._discriminator.run(["logit", "probability"], {"image": images})
    suffix = "_class_not_stated"
    expected = 1 / (1 + np.exp(-(line[f"slope{suffix}"] * logit + line[f"intercept{suffix}"])))
    assert np.allclose(probability, expected, atol=1e-6)
    assert "calibrated (Platt)" in (folder / "README.md").read_text()


def test_versions_count_up_and_are_never_overwritten(tmp_path: Path) -> None:
    path = export(Flat(), [Z8], tmp_path / "g.onnx", names=["z"])
    assert [_packaged(path).name for _ in range(2)] == ["1", "2"]
    assert "never overwritten" in _refusal_of_another(path, "--version", "1")
    assert sorted(entry.name for entry in (tmp_path / "models" / "m").iterdir()) == ["1", "2"]


@pytest.mark.slow
def test_what_the_newer_exporter_writes_is_taken(tmp_path: Path) -> None:
    path, batch = tmp_path / "g.onnx", torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own internals
        torch.onnx.export(
            StyleGan().eval(),
            (torch.randn(2, 12), torch.ones(2)),
            path,
            dynamo=True,
            input_names=["z", "psi"],
            dynamic_shapes=({0: batch}, {0: batch}),
            verbose=False,
        )
    assert path.with_suffix(".onnx.data").is_file()
    bundle = _bundle(path)
    z, psi = _z(bundle), np.linspace(0.5, 1, 7, dtype=np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"z": z, "psi": psi})[0]
    assert _apart(_run(bundle.generator, {"z": z, "truncation": psi}), _levels(expected)) <= 1


def test_a_bundle_of_ours_can_be_packaged_again(tmp_path: Path) -> None:
    ours = read_bundle(Path(__file__).parents[2] / "models" / "mnist" / "1")
    path = tmp_path / "g.onnx"
    path.write_bytes(ours.generator)
    again = _bundle(path, "--classes", "10")
    assert again.manifest.truncation.kind == "scale_z"
    feed: dict[str, NDArray[Any]] = {"z": _z(again), "class_id": np.arange(7), "truncation": np.ones(7, np.float32)}
    assert np.array_equal(_run(again.generator, feed), _run(ours.generator, feed))


def test_nothing_of_the_machine_that_exported_is_left_in_the_graph(tmp_path: Path) -> None:
    model = onnx.load(export(Flat(), [Z8], tmp_path / "first.onnx", names=["z"]))
    model.doc_string = model.graph.doc_string = "/their/folder"
    for node in model.graph.node:
        node.doc_string = "/their/folder/train.py"
    onnx.save(model, tmp_path / "g.onnx")
    assert b"/their/folder" not in _bundle(tmp_path / "g.onnx").generator


def test_ganserve_serves_the_bundle_with_the_pixels_of_the_original(tmp_path: Path) -> None:
    network = StyleGan().eval()
    example = [torch.randn(2, 12), torch.tensor(1.0)]
    path = export(network, example, tmp_path / "g.onnx", names=["z", "psi"], scalars=["psi"])
    d = export(Critic(), [torch.randn(2, 3, 16, 16)], tmp_path / "d.onnx", names=["image"])
    folder = _packaged(path, "--discriminator", str(d))
    inspected = CliRunner().invoke(ganserve, ["inspect", str(folder)])
    assert "toward_mean_w" in inspected.output
    bundle = read_bundle(folder)
    settings = Settings.from_environment({}, models=tmp_path / "models", device="cpu", sessions=1, threads=1)
    with running(create_app(settings)) as client:
        for seed, psi in itertools.product((1, 42), (1.0, 0.5)):
            body = {"seed": seed, "truncation": psi}
            answer = client.post("/generate", json=body, headers={"accept": "image/png"})
            assert answer.status_code == 200, answer.text
            served = np.asarray(Image.open(io.BytesIO(answer.content)))
            z = sample_latents(bundle.manifest.latent, [seed])
            expected = _levels(_run(path, {"z": z, "psi": np.array(psi, np.float32)}))[0]
            assert _apart(served, expected) <= 1
        scored = client.post("/discriminate", files=[("images", ("a.png", answer.content))])
        assert scored.status_code == 200, scored.text


def test_the_manifest_is_plain_json(tmp_path: Path) -> None:
    folder = _packaged(export(Flat(), [Z8], tmp_path / "g.onnx", names=["z"]))
    document = json.loads((folder / "manifest.json").read_text())
    assert document["training"]["preset"] == "third-party"
    assert document["generator"]["sha256"] == hashlib.sha256((folder / "generator.onnx").read_bytes()).hexdigest()
