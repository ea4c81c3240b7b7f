import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bundle import BundleIntegrityError, ManifestError, read_bundle
from tests.fakes.bundles import edit_manifest, write_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path)


def _manifest(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return document


def _rehash(folder: Path, part: str, data: bytes) -> None:
    """Replace a file and make the manifest agree with it."""
    entry = _manifest(folder)[part]
    (folder / entry["file"]).write_bytes(data)
    edit_manifest(folder, **{part: {**entry, "sha256": hashlib.sha256(data).hexdigest()}})


def test_a_good_bundle_reads_as_the_bytes_that_were_hashed(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert bundle.generator == (folder / "generator.onnx").read_bytes()
    assert bundle.discriminator == (folder / "discriminator.onnx").read_bytes()
    assert bundle.digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert bundle.golden.shape == (3, 8, 8, 1)


@pytest.mark.parametrize("file", ["generator.onnx", "discriminator.onnx", "golden.npy"])
def test_one_flipped_bit_is_found(folder: Path, file: str) -> None:
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(BundleIntegrityError, match="SHA-256"):
        read_bundle(folder)


@pytest.mark.parametrize("file", ["generator.onnx", "discriminator.onnx", "golden.npy"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(BundleIntegrityError, match=file):
        read_bundle(folder)


def test_an_encoder_is_read_and_verified_like_the_others(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, encoder=True)
    assert read_bundle(folder).encoder == (folder / "encoder.onnx").read_bytes()
    (folder / "encoder.onnx").write_bytes(b"another")
    with pytest.raises(BundleIntegrityError, match="SHA-256"):
        read_bundle(folder)
    (folder / "encoder.onnx").unlink()
    with pytest.raises(BundleIntegrityError, match=r"encoder\.onnx"):
        read_bundle(folder)


def test_a_manifest_from_before_there_were_encoders_is_read(folder: Path) -> None:
    document = _manifest(folder)
    assert document.pop("encoder") is None
    (folder / "manifest.json").write_text(json.dumps(document))
    bundle = read_bundle(folder)
    assert bundle.encoder is None
    assert bundle.manifest.encoder is None


def test_a_calibration_may_tell_how_its_scores_spread(tmp_path: Path) -> None:
    calibration = read_bundle(write_bundle(tmp_path, scores=True)).manifest.calibration
    assert calibration is not None
    assert calibration.scores is not None
    assert (len(calibration.scores.real), calibration.scores.generated[19], calibration.scores.n) == (20, 0.05, 40)


def test_a_manifest_from_before_there_were_scores_is_read(folder: Path) -> None:
    calibration = _manifest(folder)["calibration"]
    assert calibration.pop("scores") is None
    edit_manifest(folder, calibration=calibration)
    found = read_bundle(folder).manifest.calibration
    assert found is not None
    assert found.scores is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"real": [0.1] * 10}, "at least 20", id="too few bins"),
        pytest.param({"generated": [0.04] * 25}, "at most 20", id="too many bins"),
        pytest.param({"generated": [0.06] * 20}, "the shares of generated images sum to 1.2", id="more than all"),
        pytest.param({"real": [0.0] * 20}, "the shares of real images sum to 0", id="nothing"),
        pytest.param({"real": [-0.05, 0.15, *[0.05] * 18]}, "greater than or equal to 0", id="a negative share"),
        pytest.param({"n": 0}, "greater than 0", id="of no image"),
    ],
)
def test_scores_that_are_no_distribution_are_refused(
    tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    folder = write_bundle(tmp_path, scores=True)
    calibration = _manifest(folder)["calibration"]
    edit_manifest(folder, calibration={**calibration, "scores": {**calibration["scores"], **changes}})
    with pytest.raises(ManifestError, match=complaint):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("where", "tensors"),
    [
        pytest.param("outputs", ["z"], id="no class logits for a model with classes"),
        pytest.param("outputs", ["class_logits", "z"], id="another order"),
        pytest.param("inputs", ["image", "image"], id="one input too many"),
    ],
)
def test_an_encoder_that_does_not_fit_the_generator_is_refused(tmp_path: Path, where: str, tensors: list[str]) -> None:
    folder = write_bundle(tmp_path, encoder=True)
    encoder = _manifest(folder)["encoder"]
    by_name = {tensor["name"]: tensor for tensor in encoder["inputs"] + encoder["outputs"]}
    edit_manifest(folder, encoder={**encoder, where: [by_name[name] for name in tensors]})
    with pytest.raises(ManifestError, match=rf"encoder\.{where} must be"):
        read_bundle(folder)


def test_an_encoder_of_a_model_without_classes_finds_z_alone(tmp_path: Path) -> None:
    manifest = read_bundle(write_bundle(tmp_path, encoder=True, conditional=False)).manifest
    assert manifest.encoder is not None
    assert [output.name for output in manifest.encoder.outputs] == ["z"]


def test_a_missing_manifest_or_folder_is_named(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_bundle(folder)
    with pytest.raises(ManifestError, match="nowhere"):
        read_bundle(folder / "nowhere")


@pytest.mark.parametrize("file", ["generator.onnx", "manifest.json"])
def test_a_link_is_refused_even_to_the_right_bytes(folder: Path, file: str) -> None:
    real = folder.parent / "elsewhere"
    (folder / file).rename(real)
    (folder / file).symlink_to(real)
    with pytest.raises(BundleIntegrityError, match="not a plain file"):
        read_bundle(folder)


@pytest.mark.parametrize("name", ["../generator.onnx", "/etc/passwd", "a/b.onnx", ".hidden.onnx", "", "generator"])
def test_a_file_outside_the_folder_cannot_be_named(folder: Path, name: str) -> None:
    edit_manifest(folder, generator={**_manifest(folder)["generator"], "file": name})
    with pytest.raises(ManifestError, match="file"):
        read_bundle(folder)


def test_external_data_is_refused_though_the_hash_is_right(folder: Path) -> None:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="weights.bin")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])],
        "external",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [weight],
    )
    _rehash(folder, "generator", helper.make_model(graph).SerializeToString())
    with pytest.raises(BundleIntegrityError, match="external data"):
        read_bundle(folder)


def test_the_external_data_check_spares_graphs_that_keep_their_own(folder: Path) -> None:
    model = onnx.load_from_string((folder / "generator.onnx").read_bytes())
    model.doc_string = "location, location, location"
    _rehash(folder, "generator", model.SerializeToString())
    assert read_bundle(folder).generator


def test_a_pickle_in_place_of_golden_images_is_refused(folder: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    _rehash(folder, "golden", buffer.getvalue())
    with pytest.raises(BundleIntegrityError, match=r"not a \.npy array"):
        read_bundle(folder)


@pytest.mark.parametrize("array", [np.zeros((3, 8, 8, 1), np.float32), np.zeros((2, 8, 8, 1), np.uint8)])
def test_golden_images_of_another_kind_are_refused(folder: Path, array: np.ndarray[Any, Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    _rehash(folder, "golden", buffer.getvalue())
    with pytest.raises(BundleIntegrityError, match="golden images must be uint8"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"surprise": 1}, "surprise"),
        ({"schema_version": 2}, "schema_version"),
        ({"name": "No Good"}, "name"),
        ({"version": 0}, "version"),
        ({"latent": {"distribution": "cauchy", "dim": 6, "sampler": "numpy.RandomState"}}, "latent.distribution"),
        ({"latent": {"distribution": "normal", "dim": 7, "sampler": "numpy.RandomState"}}, "generator.inputs"),
        ({"image": {"height": 8, "width": 9, "channels": 1}}, "generator.output"),
        ({"image": {"height": 8, "width": 8, "channels": 2}}, "image.channels"),
        ({"truncation": {"supported": False, "kind": None}}, "generator.inputs"),
        ({"truncation": {"supported": True, "kind": None}}, "truncation.kind"),
        ({"classes": None}, "generator.inputs"),
        ({"classes": []}, "classes"),
        ({"discriminator": None}, "there is none"),
        ({"generator": None}, "generator"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    folder: Path, changes: dict[str, object], complaint: str
) -> None:
    edit_manifest(folder, **changes)
    with pytest.raises(ManifestError, match=complaint):
        read_bundle(folder)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'{"schema_version": 1}', b"\xff\xfe"])
def test_a_manifest_that_is_no_manifest_is_refused(folder: Path, raw: bytes) -> None:
    (folder / "manifest.json").write_bytes(raw)
    with pytest.raises(ManifestError):
        read_bundle(folder)
