import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.external_data_helper import convert_model_to_external_data
from PIL import Image
from torch import nn

from bundle import read_bundle
from tests.fakes.foreign import (
    CLASSES,
    Dcgan,
    Drawn,
    Flat,
    Grouped,
    Levels,
    Map,
    Named,
    OneHot,
    StyleGan,
    export,
)
from tests.training.packaging.packaged import (
    Z4,
    Z8,
    apart,
    bundle_of,
    levels,
    package,
    packaged,
    refusal,
    refusal_of_another,
    run,
    z_of,
)


def test_a_dcgan_with_a_dynamic_batch(tmp_path: Path) -> None:
    path = export(Dcgan().eval(), [Z4], tmp_path / "g.onnx", names=["input"])
    folder = packaged(path, "--latent", "uniform", "--dataset", "faces")
    bundle = read_bundle(folder)
    manifest, z = bundle.manifest, z_of(bundle)
    assert (manifest.latent.dim, manifest.latent.distribution) == (100, "uniform")
    assert (manifest.image.height, manifest.image.width, manifest.image.channels) == (16, 16, 3)
    assert manifest.license == "MIT"
    assert manifest.training.dataset == "faces"
    assert not manifest.truncation.supported
    assert (manifest.classes, manifest.discriminator, manifest.calibration) == (None, None, None)
    expected = levels(run(path, {"input": z.reshape(7, 100, 1, 1)}))
    assert expected.std() > 1
    assert apart(run(bundle.generator, {"z": z}), expected) <= 1
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
    bundle = bundle_of(path)
    z = np.resize(z_of(bundle), (6, 100))
    parts = [run(path, {"input": z[i : i + batch].reshape(batch, 100, 1, 1)}) for i in range(0, 6, batch)]
    assert apart(run(bundle.generator, {"z": z}), levels(np.concatenate(parts))) <= 1


@pytest.mark.parametrize(("batch", "dynamic"), [(1, False), (2, False), (2, True)])
def test_reshapes_that_hold_the_batch_size_are_rewritten(tmp_path: Path, batch: int, dynamic: bool) -> None:  # noqa: FBT001 -- pytest's arguments
    z = torch.randn(batch, 8)
    path = export(Flat(batch=batch), [z], tmp_path / "g.onnx", names=["z"], dynamic=dynamic)
    bundle = bundle_of(path)
    rows = np.resize(z_of(bundle), (4, 8))
    expected = np.concatenate([run(path, {"z": rows[i : i + batch]}) for i in range(0, 4, batch)])
    assert apart(run(bundle.generator, {"z": rows}), levels(expected)) <= 1


@pytest.mark.parametrize("batch", [1, 2])
def test_a_graph_that_is_tied_to_its_batch_is_refused_with_the_remedy(tmp_path: Path, batch: int) -> None:
    path = export(Grouped(), [torch.randn(batch, 8)], tmp_path / "g.onnx", names=["z"], dynamic=False)
    told = refusal(path)
    assert f"frozen at {batch} and cannot be made dynamic" in told
    assert "dynamic_axes" in told


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("scalar", [True, False])
def test_a_stylegan_truncates_each_row_toward_its_mean(tmp_path: Path, scalar: bool, batch: int | None) -> None:  # noqa: FBT001 -- as above
    network = StyleGan().eval()
    z, psi = torch.randn(batch or 2, 12), torch.tensor(0.7) if scalar else torch.full((batch or 2,), 0.7)
    scalars = ["psi"] if scalar else []
    path = export(network, [z, psi], tmp_path / "g.onnx", names=["z", "psi"], dynamic=batch is None, scalars=scalars)
    bundle = bundle_of(path)
    assert bundle.manifest.truncation.kind == "toward_mean_w"
    rows, psis = z_of(bundle), np.linspace(1.5, 0, 7, dtype=np.float32)
    alone = [
        run(path, {"z": rows[i : i + 1], "psi": psis[i : i + 1].reshape(() if scalar else 1)})
        for i in range(7 if scalar or batch else 0)
    ]
    expected = np.concatenate(alone) if alone else run(path, {"z": rows, "psi": psis})
    made = run(bundle.generator, {"z": rows, "truncation": psis})
    assert apart(made, levels(expected)) <= 1
    assert apart(made[:1], run(bundle.generator, {"z": rows[:1], "truncation": psis[-1:]})) > 10


def test_truncation_can_be_left_out_or_scale_z_instead(tmp_path: Path) -> None:
    network = StyleGan().eval()
    path = export(network, [torch.randn(2, 12), torch.ones(2)], tmp_path / "g.onnx", names=["z", "psi"])
    none = bundle_of(path, "--truncation", "none")
    assert [spec.name for spec in none.manifest.generator.inputs] == ["z"]
    plain = run(path, {"z": z_of(none), "psi": np.ones(7, np.float32)})
    assert apart(run(none.generator, {"z": z_of(none)}), levels(plain)) <= 1
    flat = export(Flat(), [Z8], tmp_path / "flat.onnx", names=["z"])
    scaled = bundle_of(flat, "--truncation", "scale-z")
    assert scaled.manifest.truncation.kind == "scale_z"
    z, psi = z_of(scaled), np.linspace(0, 1, 7, dtype=np.float32)
    expected = levels(run(flat, {"z": z * psi[:, None]}))
    assert apart(run(scaled.generator, {"z": z, "truncation": psi}), expected) <= 1


@pytest.mark.parametrize("finish", [Drawn(), Map()])
@pytest.mark.parametrize("dynamic", [True, False])
def test_random_noise_is_refused_or_frozen(tmp_path: Path, finish: nn.Module, dynamic: bool) -> None:  # noqa: FBT001 -- as above
    path = export(Flat(finish=finish), [Z8], tmp_path / "g.onnx", names=["z"], dynamic=dynamic)
    assert "--freeze-noise" in refusal(path)
    first, again, other = (bundle_of(path, "--freeze-noise", seed) for seed in ("3", "3", "4"))
    assert first.generator == again.generator
    z = z_of(first)
    images, others = (run(bundle.generator, {"z": z}) for bundle in (first, other))
    assert np.array_equal(images, run(first.generator, {"z": z}))
    assert not np.array_equal(images, others)
    free = export(Flat(), [Z8], tmp_path / "free.onnx", names=["z"])
    assert not np.array_equal(images, run(bundle_of(free).generator, {"z": z}))
    twice = run(first.generator, {"z": np.repeat(z[:1], 2, axis=0)})
    assert np.array_equal(twice[0], twice[1])


def test_a_stylegan_with_drawn_noise_is_frozen_whether_its_batch_is_or_not(tmp_path: Path) -> None:
    network = StyleGan(noise="drawn").eval()
    for batch in (1, 2):
        example = [torch.randn(batch, 12), torch.ones(batch)]
        path = export(network, example, tmp_path / "g.onnx", names=["z", "psi"], dynamic=batch > 1)
        bundle = bundle_of(path, "--freeze-noise", "1")
        assert "Random" not in {node.op_type for node in onnx.load_from_string(bundle.generator).graph.node}
        z = np.repeat(z_of(bundle)[:1], 3, axis=0)
        first, second, _ = run(bundle.generator, {"z": z, "truncation": np.ones(3, np.float32)})
        assert np.array_equal(first, second)


def test_noise_that_is_an_input_is_refused_frozen_or_fixed(tmp_path: Path) -> None:
    example = [torch.randn(2, 12), torch.ones(2), torch.randn(1, 1, 16, 16)]
    names = ["z", "psi", "noise"]
    path = export(StyleGan(noise="input"), example, tmp_path / "g.onnx", names=names, scalars=["noise"])
    assert "noise float32[1, 1, 16, 16]" in refusal(path)
    frozen, fixed = bundle_of(path, "--freeze-noise", "0"), bundle_of(path, "--fix", "noise=0")
    feed = {"z": z_of(fixed), "psi": np.ones(7, np.float32), "noise": np.zeros((1, 1, 16, 16), np.float32)}
    asked = {"z": feed["z"], "truncation": feed["psi"]}
    expected = levels(run(path, feed))
    assert apart(run(fixed.generator, asked), expected) <= 1
    assert apart(run(frozen.generator, asked), expected) > 1


def test_a_one_hot_class_becomes_a_class_id(tmp_path: Path) -> None:
    path = export(OneHot(), [torch.randn(3, 8), torch.eye(CLASSES)], tmp_path / "g.onnx", names=["latent", "label"])
    bundle = bundle_of(path)
    assert bundle.manifest.classes == ("0", "1", "2")
    z, ids = z_of(bundle), np.arange(7) % CLASSES
    values = run(path, {"latent": z, "label": np.eye(CLASSES, dtype=np.float32)[ids]})
    expected = levels(values.transpose(0, 3, 1, 2), low=0)
    assert apart(run(bundle.generator, {"z": z, "class_id": ids}), expected) <= 1
    names = tmp_path / "names.txt"
    names.write_text("ant\nbee\ncat\n")
    assert bundle_of(path, "--classes", str(names)).manifest.classes == ("ant", "bee", "cat")
    assert "names 2 classes" in refusal_of_another(path, "--classes", "2")


@pytest.mark.parametrize("column", [False, True])
def test_class_ids_need_their_number_said(tmp_path: Path, column: bool) -> None:  # noqa: FBT001 -- as above
    label = torch.tensor([[0], [1]]) if column else torch.tensor([0, 1])
    path = export(Named(), [Z8, label.int()], tmp_path / "g.onnx", names=["z", "y"])
    assert "say it with --classes" in refusal(path)
    assert "class 3, the last of --classes, is refused" in refusal(path, "--classes", "4")
    bundle = bundle_of(path, "--classes", "3")
    z, ids = z_of(bundle), np.arange(7) % 3
    given = (ids[:, None] if column else ids).astype(np.int32)
    expected = levels(run(path, {"z": z, "y": given}))
    assert apart(run(bundle.generator, {"z": z, "class_id": ids}), expected) <= 1


def test_a_generator_in_half_precision_says_so(tmp_path: Path) -> None:
    path = export(Flat().half(), [Z8.half()], tmp_path / "g.onnx", names=["z"])
    bundle = bundle_of(path)
    assert bundle.manifest.generator.precision == "float16"
    expected = levels(run(path, {"z": z_of(bundle).astype(np.float16)}))
    assert apart(run(bundle.generator, {"z": z_of(bundle)}), expected) <= 1


def test_an_old_opset_is_converted(tmp_path: Path) -> None:
    path = export(Flat(), [Z8], tmp_path / "g.onnx", names=["z"], opset=9)
    bundle = bundle_of(path)
    assert bundle.manifest.opset == 13
    assert apart(run(bundle.generator, {"z": z_of(bundle)}), levels(run(path, {"z": z_of(bundle)}))) <= 1


def test_the_graph_of_another_exporter_keeps_its_external_data_in_the_bundle(tmp_path: Path) -> None:
    whole = export(Flat(), [Z8], tmp_path / "whole.onnx", names=["z"])
    model = onnx.load(whole)
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    path = tmp_path / "g.onnx"
    onnx.save(model, path)
    folder = packaged(path)
    bundle = read_bundle(folder)
    assert apart(run(bundle.generator, {"z": z_of(bundle)}), levels(run(whole, {"z": z_of(bundle)}))) <= 1
    weights = tmp_path / "weights.bin"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in (folder / "README.md").read_text()
    weights.unlink()
    assert "external data (weights.bin) cannot be read" in refusal_of_another(path)
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = "../outside.bin"
    (tmp_path.parent / "outside.bin").write_bytes(bytes(2**20))
    path.write_bytes(model.SerializeToString())
    assert "external data (../outside.bin) cannot be read" in refusal_of_another(path)


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
    result = package(path)
    assert f"stand for [{found}]" in result.stderr
    bundle = read_bundle(Path(result.stdout.strip()))
    expected = levels(run(path, {"z": z_of(bundle)}), low=low, high=high)
    made = run(bundle.generator, {"z": z_of(bundle)})
    assert apart(made, expected) <= 1
    assert (made == expected).mean() > 0.99  # half a level off, every other pixel would be another


def test_values_outside_the_range_are_reported(tmp_path: Path) -> None:
    path = export(Flat(finish=nn.Identity()), [Z8], tmp_path / "g.onnx", names=["z"])
    result = package(path, "--range", "0,1")
    assert "of them leave the range, and are clipped" in result.stderr
    assert "leave the range" in (Path(result.stdout.strip()) / "README.md").read_text()
