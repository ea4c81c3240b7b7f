"""An ONNX file as somebody else wrote it, read into one self-contained model."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import inliner, version_converter
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from training.errors import PackageError
from training.wiring import every_graph

LEAST_OPSET = 13
"""Older graphs are converted: from here on Squeeze and Unsqueeze take their axes as tensors."""
_LEAST_IR = 8
_ORIGIN = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Non-zero status code returned while )?")
_LIMIT_BYTES = 2**31 - 1
"""Protobuf's own limit, which a graph without external data cannot pass."""


@dataclass(frozen=True)
class Source:
    """A model whose tensors are all inside it, and the SHA-256 of each file that it came from."""

    path: Path
    model: onnx.ModelProto
    hashes: dict[str, str]

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return opset(self.model)


def read_source(path: Path) -> Source:
    """Read the ONNX file `path`; external tensor data is taken in, local functions are inlined.

    Raises PackageError for what is no ONNX model, lacks its data, or is too large for a file without external data.
    """
    try:
        raw = path.read_bytes()
        model = onnx.load_from_string(raw)
    except OSError as error:
        raise PackageError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except Exception:  # protobuf has a type of its own for it, and is no dependency of ours
        raise PackageError(f"{path}: not an ONNX file") from None
    if not model.graph.node or not model.graph.output:
        raise PackageError(f"{path}: not an ONNX file, or one without a graph")
    hashes = {path.name: hashlib.sha256(raw).hexdigest(), **_take_in(model, path)}
    if model.functions:
        model = inliner.inline_local_functions(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]  # before IR 4 weights were inputs too
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, _LEAST_IR)
    return Source(path, model, hashes)


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model is written in."""
    return max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0)


def modernised(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model in an opset that the bundle's head can be added to; raises PackageError when it cannot be converted."""
    if opset(model) >= LEAST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, LEAST_OPSET)
    except (RuntimeError, ValueError) as error:
        raise PackageError(
            f"{path}: its opset is {opset(model)} and cannot be converted to {LEAST_OPSET} ({first_line(error)}); "
            f"export it again with opset_version={LEAST_OPSET} or later"
        ) from None


def first_line(error: Exception, *, limit: int = 200) -> str:
    """The start of an error's message, short enough for one line of another."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return _ORIGIN.sub("", lines[0])[:limit].rstrip(" .:")


def _take_in(model: onnx.ModelProto, path: Path) -> dict[str, str]:
    """Load external tensor data into the model; the SHA-256 of every file it was in."""
    files = {
        entry.value
        for graph in every_graph(model.graph)
        for tensor in graph.initializer
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    try:
        if sum((path.parent / file).stat().st_size for file in files) > _LIMIT_BYTES:
            raise PackageError(f"{path}: its tensors are larger than 2 GiB, more than one ONNX file can hold")
        load_external_data_for_model(model, str(path.parent))  # refuses links, and names that lead out of the folder
        hashes = {file: _sha256(path.parent / file) for file in sorted(files)}
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        told = ", ".join(sorted(files))
        raise PackageError(
            f"{path}: its external data ({told}) cannot be read ({type(error).__name__}); keep it beside the file"
        ) from None
    return hashes


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
