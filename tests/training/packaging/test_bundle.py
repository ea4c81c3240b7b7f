import hashlib
import io
import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from app.cli import main as ganserve
from app.main import create_app
from app.settings import Settings
from bundle import read_bundle, sample_latents
from tests.fakes.client import running
from tests.fakes.foreign import (
    Critic,
    Flat,
    StyleGan,
    export,
)
from tests.training.conftest import DIGITS
from tests.training.packaging.packaged import (
    Z8,
    apart,
    bundle_of,
    levels,
    packaged,
    refusal_of_another,
    run,
    z_of,
)
from training.players import OnnxPlayers


def test_with_data_the_discriminator_is_calibrated_and_the_bundle_measured(tmp_path: Path) -> None:
    g = export(Flat(side=28), [Z8], tmp_path / "g.onnx", names=["z"])
    d = export(Critic(channels=1, side=28), [torch.randn(2, 1, 28, 28)], tmp_path / "d.onnx", names=["image"])
    folder = packaged(g, "--discriminator", str(d), "--data", str(DIGITS))
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
    assert [packaged(path).name for _ in range(2)] == ["1", "2"]
    assert "never overwritten" in refusal_of_another(path, "--version", "1")
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
    bundle = bundle_of(path)
    z, psi = z_of(bundle), np.linspace(0.5, 1, 7, dtype=np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"z": z, "psi": psi})[0]
    assert apart(run(bundle.generator, {"z": z, "truncation": psi}), levels(expected)) <= 1


def test_a_bundle_of_ours_can_be_packaged_again(tmp_path: Path) -> None:
    ours = read_bundle(Path(__file__).parents[3] / "models" / "mnist" / "1")
    path = tmp_path / "g.onnx"
    path.write_bytes(ours.generator)
    again = bundle_of(path, "--classes", "10")
    assert again.manifest.truncation.kind == "scale_z"
    feed: dict[str, NDArray[Any]] = {"z": z_of(again), "class_id": np.arange(7), "truncation": np.ones(7, np.float32)}
    assert np.array_equal(run(again.generator, feed), run(ours.generator, feed))


def test_nothing_of_the_machine_that_exported_is_left_in_the_graph(tmp_path: Path) -> None:
    model = onnx.load(export(Flat(), [Z8], tmp_path / "first.onnx", names=["z"]))
    model.doc_string = model.graph.doc_string = "/their/folder"
    for node in model.graph.node:
        node.doc_string = "/their/folder/train.py"
    onnx.save(model, tmp_path / "g.onnx")
    assert b"/their/folder" not in bundle_of(tmp_path / "g.onnx").generator


def test_ganserve_serves_the_bundle_with_the_pixels_of_the_original(tmp_path: Path) -> None:
    network = StyleGan().eval()
    example = [torch.randn(2, 12), torch.tensor(1.0)]
    path = export(network, example, tmp_path / "g.onnx", names=["z", "psi"], scalars=["psi"])
    d = export(Critic(), [torch.randn(2, 3, 16, 16)], tmp_path / "d.onnx", names=["image"])
    folder = packaged(path, "--discriminator", str(d))
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
            expected = levels(run(path, {"z": z, "psi": np.array(psi, np.float32)}))[0]
            assert apart(served, expected) <= 1
        scored = client.post("/discriminate", files=[("images", ("a.png", answer.content))])
        assert scored.status_code == 200, scored.text


def test_the_manifest_is_plain_json(tmp_path: Path) -> None:
    folder = packaged(export(Flat(), [Z8], tmp_path / "g.onnx", names=["z"]))
    document = json.loads((folder / "manifest.json").read_text())
    assert document["training"]["preset"] == "third-party"
    assert document["generator"]["sha256"] == hashlib.sha256((folder / "generator.onnx").read_bytes()).hexdigest()
