"""A 256x256 RGB generator with fixed random weights, as a whole bundle: `python -m benchmarks.models`."""

import argparse
import hashlib
import io
import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers.work import feed
from benchmarks.systems import ROOT
from bundle import Manifest, read_bundle
from bundle.manifest import GeneratorSpec, Golden, ImageSpec, LatentSpec, TrainingRecord, TruncationSpec, tensor
from training.half import in_half_precision

NAME = "rgb256"
FOLDER = ROOT / "build" / "bench-models"
Z_DIM = 256
WIDTHS = (512, 384, 256, 128, 64, 32, 16)
"""Channels at 4x4, 8x8, ... up to 256x256: 5.3 million parameters, 1.6 billion multiplications an image."""
_SEED = 20260101
_GOLDEN_SEEDS = (0, 1)
_SLOPE = 0.2
_HALF_TOLERANCE = 4
"""Grey levels, as the trainer allows its own bundles in float16."""


class _Graph:
    """Nodes and weights of the network, in the order they are added."""

    def __init__(self) -> None:
        self._chance = np.random.default_rng(_SEED)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """A fixed tensor."""
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, name: str, shape: tuple[int, ...], fan_in: int, gain: float) -> str:
        """Normal random weights that keep the variance of what flows through them (He et al., 2015)."""
        values = self._chance.standard_normal(shape) * gain / np.sqrt(fan_in)
        return self.constant(name, values.astype(np.float32))

    def add(
        self, operation: str, inputs: Sequence[str], output: str, **attributes: int | float | str | list[int]
    ) -> str:
        """One node."""
        node = helper.make_node(operation, list(inputs), [output])
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self.nodes.append(node)
        return output

    def convolution(self, x: str, name: str, channels: tuple[int, int], gain: float) -> str:
        """3x3, same size."""
        into, out = channels
        weight = self.weight(f"{name}.weight", (out, into, 3, 3), into * 9, gain)
        return self.add("Conv", [x, weight], name, pads=[1, 1, 1, 1], kernel_shape=[3, 3])


def generator(widths: Sequence[int] = WIDTHS, z_dim: int = Z_DIM) -> bytes:
    """The ONNX graph: z -> 4x4 -> nearest upsampling and 3x3 convolutions -> uint8 NHWC, as a bundle wants it."""
    side, net, gain = 4 * 2 ** (len(widths) - 1), _Graph(), np.sqrt(2 / (1 + _SLOPE**2))
    net.add("Unsqueeze", ["truncation", net.constant("one", np.array([1], np.int64))], "psi")
    net.add("Mul", ["z", "psi"], "scaled")
    net.add("MatMul", ["scaled", net.weight("stem.weight", (z_dim, widths[0] * 16), z_dim, 1.0)], "stem")
    x = net.add("Reshape", ["stem", net.constant("4x4", np.array([-1, widths[0], 4, 4], np.int64))], "x0")
    scales = net.constant("twice", np.array([1, 1, 2, 2], np.float32))
    for level, channels in enumerate(itertools.pairwise(widths), start=1):
        x = net.add("LeakyRelu", [x], f"active{level}", alpha=_SLOPE)
        x = net.add("Resize", [x, "", scales], f"wide{level}", mode="nearest")
        x = net.convolution(x, f"conv{level}", channels, float(gain))
    x = net.add("LeakyRelu", [x], "active", alpha=_SLOPE)
    x = net.add("Tanh", [net.convolution(x, "rgb", (widths[-1], 3), 0.5)], "tanh")
    x = net.add("Mul", [x, net.constant("half", np.array(127.5, np.float32))], "levels")
    x = net.add("Add", [x, net.constant("middle", np.array(128.0, np.float32))], "shifted")
    low, high = (net.constant(name, np.array(value, np.float32)) for name, value in (("low", 0), ("high", 255)))
    x = net.add("Clip", [x, low, high], "clipped")
    x = net.add("Transpose", [x], "nhwc", perm=[0, 2, 3, 1])
    net.add("Cast", [x], "image", to=TensorProto.UINT8)
    inputs = [
        helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", z_dim]),
        helper.make_tensor_value_info("truncation", TensorProto.FLOAT, ["batch"]),
    ]
    outputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 3])]
    graph = helper.make_graph(net.nodes, NAME, inputs, outputs, net.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def parameter_count(graph: bytes) -> int:
    """Weights of the graph."""
    return sum(int(np.prod(array.dims)) for array in onnx.load_from_string(graph).graph.initializer)


def write_bundle(models: Path, *, widths: Sequence[int] = WIDTHS, z_dim: int = Z_DIM) -> Path:
    """Write `models/rgb256/1`, where it is not there yet, and return it; fewer widths make a smaller image."""
    folder = models / NAME / "1"
    if (folder / "manifest.json").exists():
        return folder
    side = 4 * 2 ** (len(widths) - 1)
    graph, latent = generator(widths, z_dim), LatentSpec(distribution="normal", dim=z_dim)
    image = ImageSpec(height=side, width=side, channels=3)
    manifest = Manifest(
        schema_version=1,
        name=NAME,
        version=1,
        created="2026-01-01T00:00:00Z",  # type: ignore[arg-type]  # pydantic reads it
        generator=GeneratorSpec(
            file="generator.onnx",
            sha256=hashlib.sha256(graph).hexdigest(),
            inputs=(tensor("z", "float32", "batch", z_dim), tensor("truncation", "float32", "batch")),
            output=tensor("image", "uint8", "batch", side, side, 3),
        ),
        discriminator=None,
        latent=latent,
        image=image,
        classes=None,
        truncation=TruncationSpec(supported=True, kind="scale_z"),
        calibration=None,
        golden=Golden(file="golden.npy", sha256="0" * 64, seeds=_GOLDEN_SEEDS, class_ids=None, tolerance=2),
        training=TrainingRecord(preset="random weights", dataset="none", images_seen=0, seed=_SEED, git_commit=None),
        metrics={},
        license="Apache-2.0",
        opset=18,
    )
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    golden = io.BytesIO()
    np.save(golden, session.run(None, feed(manifest, _GOLDEN_SEEDS))[0], allow_pickle=False)
    document = manifest.model_dump(mode="json")
    document["golden"]["sha256"] = hashlib.sha256(golden.getvalue()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "generator.onnx").write_bytes(graph)
    (folder / "golden.npy").write_bytes(golden.getvalue())
    (folder / "README.md").write_text("# rgb256\n\nRandom weights: a measure of cost, not of beauty.\n", "utf-8")
    (folder / "manifest.json").write_text(json.dumps(document, indent=2), "utf-8")
    return folder


def in_half(bundle: Path, models: Path) -> Path:
    """Write the same generator in float16 as the next version under `models/<name>/`, and return it."""
    found = read_bundle(bundle)
    graph, golden = in_half_precision(found.generator), io.BytesIO()
    document = found.manifest.model_dump(mode="json")
    spec = document["golden"]
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    inputs = feed(found.manifest, spec["seeds"])
    if spec["class_ids"] is not None:
        inputs["class_id"] = np.array(spec["class_ids"], np.int64)
    np.save(golden, session.run(None, inputs)[0], allow_pickle=False)
    spec["sha256"] = hashlib.sha256(golden.getvalue()).hexdigest()
    spec["tolerance"] = _HALF_TOLERANCE
    document["version"] += 1
    document["generator"] |= {"sha256": hashlib.sha256(graph).hexdigest(), "precision": "float16"}
    folder = models / str(document["name"]) / str(document["version"])
    shutil.copytree(bundle, folder)
    (folder / document["generator"]["file"]).write_bytes(graph)
    (folder / spec["file"]).write_bytes(golden.getvalue())
    (folder / "manifest.json").write_text(json.dumps(document, indent=2), "utf-8")
    return folder


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="models folder (%(default)s)")
    folder = write_bundle(parser.parse_args().out)
    graph = (folder / "generator.onnx").read_bytes()
    print(f"{folder}: {parameter_count(graph) / 1e6:.1f} million parameters, {len(graph) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
