"""Tiny bundles with real graphs and real manifests, written in milliseconds."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bundle import Manifest, classes_of, sample_latents
from bundle.manifest import (
    Calibration,
    DiscriminatorSpec,
    EncoderSpec,
    GeneratorSpec,
    Golden,
    ImageSpec,
    LatentSpec,
    ScoreHistogram,
    TensorSpec,
    TrainingRecord,
    TruncationSpec,
    tensor,
)

CLASSES = ("zero", "one", "two")
DIM = 6
FEATURES = 4
TIMIDITY = 0.7
"""Of the z that the tiny encoder should find, the part that it does."""
_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "uint8": TensorProto.UINT8}


def write_bundle(
    models: Path,
    *,
    name: str = "tiny",
    version: int = 1,
    conditional: bool = True,
    truncation: bool = True,
    discriminator: bool = True,
    encoder: bool = False,
    scores: bool = False,
    height: int = 8,
    width: int = 8,
    channels: Literal[1, 3] = 1,
    distribution: Literal["normal", "uniform"] = "normal",
    seed: int = 0,
) -> Path:
    """Write `models/name/version` and return it.

    G is an affine map of z and the class, D an affine map of the mean, and E inverts G but for the class, too timidly.
    """
    chance = np.random.default_rng(seed)
    image = tensor("image", "uint8", "batch", height, width, channels)
    class_input = (tensor("class_id", "int64", "batch"),) if conditional else ()
    psi_input = (tensor("truncation", "float32", "batch"),) if truncation else ()
    g_inputs = (tensor("z", "float32", "batch", DIM), *class_input, *psi_input)
    files = {"generator.onnx": _generator(chance, g_inputs, image, conditional=conditional, truncation=truncation)}
    d_spec = None
    if discriminator:
        files["discriminator.onnx"] = _discriminator(chance, image, conditional=conditional)
        outputs = (
            tensor("logit", "float32", "batch"),
            tensor("probability", "float32", "batch"),
            tensor("features", "float32", "batch", FEATURES),
        )
        d_spec = DiscriminatorSpec(
            file="discriminator.onnx",
            sha256=_sha256(files["discriminator.onnx"]),
            inputs=(image, *class_input),
            outputs=outputs,
        )
    latent = LatentSpec(distribution=distribution, dim=DIM)
    e_spec = None
    if encoder:
        e_outputs: tuple[TensorSpec, ...] = (tensor("z", "float32", "batch", DIM),)
        e_outputs += (tensor("class_logits", "float32", "batch", len(CLASSES)),) if conditional else ()
        files["encoder.onnx"] = _encoder(files["generator.onnx"], image, e_outputs)
        e_spec = EncoderSpec(
            file="encoder.onnx", sha256=_sha256(files["encoder.onnx"]), inputs=(image,), outputs=e_outputs
        )
    golden, seeds = _golden(files["generator.onnx"], latent, conditional=conditional, truncation=truncation)
    files["golden.npy"] = golden
    manifest = Manifest.model_validate(
        {
            "schema_version": 1,
            "name": name,
            "version": version,
            "created": "2026-01-01T00:00:00Z",
            "generator": GeneratorSpec(
                file="generator.onnx", sha256=_sha256(files["generator.onnx"]), inputs=g_inputs, output=image
            ),
            "discriminator": d_spec,
            "encoder": e_spec,
            "latent": latent,
            "image": ImageSpec(height=height, width=width, channels=channels),
            "classes": CLASSES if conditional else None,
            "truncation": TruncationSpec(supported=truncation, kind="scale_z" if truncation else None),
            "calibration": _calibration(scores=scores) if discriminator else None,
            "golden": Golden(
                file="golden.npy",
                sha256=_sha256(golden),
                seeds=seeds,
                class_ids=tuple(seed % len(CLASSES) for seed in seeds) if conditional else None,
                tolerance=1,
            ),
            "training": TrainingRecord(preset="tiny", dataset="none", images_seen=0, seed=0, git_commit=None),
            "metrics": {},
            "license": "Apache-2.0",
            "opset": 18,
        }
    )
    folder = models / name / str(version)
    folder.mkdir(parents=True)
    for file, data in files.items():
        (folder / file).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest.model_dump(mode="json"), indent=2))
    (folder / "README.md").write_text(f"# {name} {version}\n")
    return folder


def edit_manifest(folder: Path, **changes: object) -> None:
    """Overwrite top-level fields of a bundle's manifest, unchecked."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def expected_pixels(folder: Path, seed: int, class_id: int | None = None, truncation: float = 1.0) -> NDArray[np.uint8]:
    """What the tiny generator in `folder` makes of a seed, computed without ONNX Runtime: uint8 [h, w, c]."""
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    graph = onnx.load_from_string((folder / "generator.onnx").read_bytes()).graph
    weights = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    z = sample_latents(manifest.latent, [seed])
    flat = (z * np.float32(truncation)) @ weights["weight"] + weights["bias"]
    if manifest.classes is not None:
        flat = flat + weights["shift"][classes_of(z, len(manifest.classes))[0] if class_id is None else class_id]
    spec = manifest.image
    return np.asarray(flat.clip(0, 255).astype(np.uint8).reshape(spec.height, spec.width, spec.channels))


def _calibration(*, scores: bool) -> Calibration:
    return Calibration(
        method="platt",
        parameters={"slope": 1.0, "intercept": 0.0},
        expected_calibration_error=0.0,
        n=2,
        scores=ScoreHistogram(real=(0.0,) * 10 + (0.1,) * 10, generated=(0.05,) * 20, n=40) if scores else None,
    )


def _generator(
    chance: np.random.Generator,
    inputs: tuple[TensorSpec, ...],
    image: TensorSpec,
    *,
    conditional: bool,
    truncation: bool,
) -> bytes:
    size = int(np.prod([int(side) for side in image.shape[1:]]))
    weights = {
        "weight": chance.normal(0, 30, (DIM, size)),
        "bias": np.full(size, 128.0),
        "low": np.array(0.0),
        "high": np.array(255.0),
    }
    nodes, z, flat = [], "z", "affine"
    if truncation:
        nodes += [
            helper.make_node("Unsqueeze", ["truncation", "one"], ["psi"]),
            helper.make_node("Mul", ["z", "psi"], ["z_truncated"]),
        ]
        z = "z_truncated"
    nodes += [helper.make_node("MatMul", [z, "weight"], ["product"])]
    nodes += [helper.make_node("Add", ["product", "bias"], ["affine"])]
    if conditional:
        weights["shift"] = chance.normal(0, 20, (len(CLASSES), size))
        nodes += [
            helper.make_node("Gather", ["shift", "class_id"], ["class_shift"], axis=0),
            helper.make_node("Add", ["affine", "class_shift"], ["shifted"]),
        ]
        flat = "shifted"
    nodes += [
        helper.make_node("Clip", [flat, "low", "high"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["levels"], to=TensorProto.UINT8),
        helper.make_node("Reshape", ["levels", "shape"], ["image"]),
    ]
    whole = {"shape": np.array([-1, *image.shape[1:]])} | ({"one": np.array([1])} if truncation else {})
    return _model(nodes, inputs, (image,), weights, whole)


def _discriminator(chance: np.random.Generator, image: TensorSpec, *, conditional: bool) -> bytes:
    size = int(np.prod([int(side) for side in image.shape[1:]]))
    weights = {
        "weight": chance.normal(0, 1 / size, (size, FEATURES)),
        "half": np.array(127.5),
        "sum": np.full((FEATURES, 1), 0.1),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "half"], ["centred"]),
        helper.make_node("Flatten", ["centred"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weight"], ["features"]),
        helper.make_node("MatMul", ["features", "sum"], ["column"]),
        helper.make_node("Squeeze", ["column", "one"], ["score"]),
    ]
    inputs: tuple[TensorSpec, ...] = (image,)
    if conditional:
        inputs = (image, tensor("class_id", "int64", "batch"))
        nodes += [
            helper.make_node("Cast", ["class_id"], ["class_float"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["score", "class_float"], ["logit"]),
        ]
    else:
        nodes += [helper.make_node("Identity", ["score"], ["logit"])]
    nodes += [helper.make_node("Sigmoid", ["logit"], ["probability"])]
    outputs = (
        tensor("logit", "float32", "batch"),
        tensor("probability", "float32", "batch"),
        tensor("features", "float32", "batch", FEATURES),
    )
    return _model(nodes, inputs, outputs, weights, {"one": np.array([1])})


def _encoder(generator: bytes, image: TensorSpec, outputs: tuple[TensorSpec, ...]) -> bytes:
    made_of = {array.name: numpy_helper.to_array(array) for array in onnx.load_from_string(generator).graph.initializer}
    weights = {"weight": TIMIDITY * np.linalg.pinv(made_of["weight"].astype(np.float64)), "middle": np.array(128.0)}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "middle"], ["centred"]),
        helper.make_node("Flatten", ["centred"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weight"], ["z"]),
    ]
    if len(outputs) > 1:
        weights["shift"] = made_of["shift"].T.astype(np.float64)
        nodes += [helper.make_node("MatMul", ["flat", "shift"], ["class_logits"])]
    return _model(nodes, (image,), outputs, weights, {})


def _model(
    nodes: list[onnx.NodeProto],
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    weights: dict[str, NDArray[np.float64]],
    whole: dict[str, NDArray[np.int64]],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(spec.name, _TYPES[spec.dtype], list(spec.shape)) for spec in inputs],
        [helper.make_tensor_value_info(spec.name, _TYPES[spec.dtype], list(spec.shape)) for spec in outputs],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()]
        + [numpy_helper.from_array(np.asarray(value, np.int64), name) for name, value in whole.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _golden(graph: bytes, latent: LatentSpec, *, conditional: bool, truncation: bool) -> tuple[bytes, tuple[int, ...]]:
    import onnxruntime  # noqa: PLC0415 -- only here: the fakes run nothing else

    seeds = (0, 1, 2)
    feed: dict[str, NDArray[Any]] = {"z": sample_latents(latent, seeds)}
    if conditional:
        feed["class_id"] = np.array([seed % len(CLASSES) for seed in seeds])
    if truncation:
        feed["truncation"] = np.ones(len(seeds), np.float32)
    images = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, feed)[0]
    buffer = io.BytesIO()
    np.save(buffer, images, allow_pickle=False)
    return buffer.getvalue(), seeds


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
