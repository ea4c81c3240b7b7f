"""A third-party generator -> the bundle's generator graph, proven equal to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from bundle import LatentSpec, sample_latents
from bundle.manifest import Precision
from training.errors import ConfigError, PackageError
from training.graphs import GREY_LEVELS
from training.packaging.batch import TRIED, find_batch, not_dynamic, with_dynamic_batch
from training.packaging.chance import draw_noise, fix_input, freeze_nodes, require_frozen, require_no_training_mode
from training.packaging.grafting import generator_graph
from training.packaging.original import Original
from training.packaging.picture import Layout, Picture, Range, find_picture
from training.packaging.ports import GeneratorNames, GeneratorPorts, find_generator_ports
from training.packaging.proof import SIZES, GoldenRows, require_independence, require_parity, truncation_kind
from training.packaging.source import Source, modernised, opset
from training.publication import GOLDEN_SEEDS
from training.wiring import maker

Truncation = Literal["auto", "none", "input", "scale-z"]
Kind = Literal["scale_z", "toward_mean_w"]

_FORMS = ((-1,), (-1, 1), (-1, 1, 1), (-1, 1, 1, 1))
"""What a scalar psi becomes with one value per row, so that it spreads over [n], [n, dim], [n, layers, dim], images."""


@dataclass(frozen=True)
class GeneratorOptions:
    """What was said of a generator; what was not said is found out."""

    names: GeneratorNames = field(default_factory=GeneratorNames)
    z_dim: int | None = None
    distribution: Literal["normal", "uniform"] = "normal"
    classes: tuple[str, ...] | int | None = None
    truncation: Truncation = "auto"
    layout: Layout | None = None
    range: Range | None = None
    freeze_noise: int | None = None


@dataclass(frozen=True)
class PackagedGenerator:
    """The graph in the bundle's form, what it makes of what, and the facts that its card tells."""

    graph: bytes = field(repr=False)
    picture: Picture
    latent: LatentSpec
    classes: tuple[str, ...] | None
    truncation: Kind | None
    precision: Precision
    opset: int
    facts: tuple[str, ...]


def package_generator(source: Source, options: GeneratorOptions) -> PackagedGenerator:
    """Find out what the generator takes and makes, give it the bundle's inputs and pixels, and prove the result.

    Raises ConfigError where a flag has to say what is meant, PackageError for what a bundle cannot hold, ExportError
    when an image depends on its batch mates.
    """
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    require_no_training_mode(model)
    ports = find_generator_ports(model.graph, options.names, z_dim=options.z_dim)
    classes = _classes(ports, options.classes)
    require_frozen(model, ports.noise, seed=options.freeze_noise)
    ports, scale_z = _fix(model, ports, options)
    rows = GoldenRows(LatentSpec(distribution=options.distribution, dim=ports.dim), ports, classes)
    _require_last_class(model, rows)
    batch = _batch(model, ports, rows)
    facts = [f"z is `{ports.z}`" + (f", the class `{ports.class_id}`" if ports.class_id else "")]
    if options.freeze_noise is not None:
        count = len(ports.noise) + _freeze(model, ports, rows, batch, options.freeze_noise)
        facts.append(f"its noise besides z ({count} source(s)) is drawn once, with seed {options.freeze_noise}")
    original = _open(model, ports, batch)
    values = original.run(rows.feed(len(GOLDEN_SEEDS)), [ports.image.name])[0]
    last = maker(model.graph, ports.image.name)
    picture = find_picture(values, last and last.op_type, layout=options.layout, range_=options.range)
    facts += _told(picture, values)
    modern = modernised(model, source.path)
    if modern is not model:
        facts.append(f"its opset is converted from {source.opset} to {opset(modern)}")
    if batch is not None:
        modern = _thaw(modern, ports, rows, picture, batch=batch, values=values)
        facts.append(f"its batch, frozen at {batch}, is made dynamic")
    graph, worst = _graft(modern, ports, picture, original, rows, scale_z=scale_z)
    alone = require_independence(graph, rows, truncation=scale_z or ports.truncation is not None)
    facts.append(
        f"{worst} grey level(s) at most from the original in ONNX Runtime at batches of "
        f"{', '.join(str(size) for size in SIZES)}; {alone:g} from its row alone"
    )
    kind: Kind | None = "scale_z" if scale_z else None
    if ports.truncation is not None:
        kind = truncation_kind(original, ports, rows)
        facts.append(f"truncation is its input `{ports.truncation}`, now one value per row: {kind}")
    half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in modern.graph.initializer)
    precision: Precision = "float16" if half else "float32"
    return PackagedGenerator(graph, picture, rows.latent, classes, kind, precision, opset(modern), tuple(facts))


def _classes(ports: GeneratorPorts, asked: tuple[str, ...] | int | None) -> tuple[str, ...] | None:
    if ports.class_id is None:
        if asked is not None:
            raise ConfigError("--classes: the generator takes no class; if it does, name the input with --class-input")
        return None
    count = ports.one_hot
    if asked is None and count is None:
        raise ConfigError(f"{ports.class_id} does not say how many classes there are; say it with --classes FILE or N")
    names = asked if isinstance(asked, tuple) else tuple(str(number) for number in range(asked or count or 0))
    if count is not None and len(names) != count:
        raise ConfigError(f"--classes names {len(names)} classes, and {ports.class_id} holds {count}")
    return names


def _fix(model: onnx.ModelProto, ports: GeneratorPorts, options: GeneratorOptions) -> tuple[GeneratorPorts, bool]:
    """Give those inputs their values that a request cannot; whether psi is to scale z."""
    if options.truncation == "input" and ports.truncation is None:
        raise ConfigError("--truncation input: the generator has no such input; name it with --truncation-input")
    for port, value in ports.fixed:
        fix_input(model, port, value, z=ports.z.name)
    stream = np.random.RandomState(options.freeze_noise or 0)
    for port in ports.noise:
        fix_input(model, port, draw_noise(port, stream), z=ports.z.name)
    if ports.truncation is not None and options.truncation in {"none", "scale-z"}:
        fix_input(model, ports.truncation, 1.0, z=ports.z.name)
        ports = replace(ports, truncation=None)
    for row in ports.moving[1:]:
        if row.batch not in {None, ports.z.batch}:
            raise PackageError(f"{row} holds one value for the whole batch; a bundle's requests share batches")
    return ports, options.truncation == "scale-z"


def _open(model: onnx.ModelProto, ports: GeneratorPorts, batch: int | None) -> Original:
    psi = ports.truncation
    return Original(model, batch=batch, scalars={psi.name: _known(psi.shape)} if psi and psi.scalar else {})


def _known(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(side or 1 for side in shape)


def _batch(model: onnx.ModelProto, ports: GeneratorPorts, rows: GoldenRows) -> int | None:
    whole = _open(model, ports, None)
    return find_batch(model, ports.z.batch, lambda size: whole.run(rows.feed(size), [ports.image.name]))


def _freeze(model: onnx.ModelProto, ports: GeneratorPorts, rows: GoldenRows, batch: int | None, seed: int) -> int:
    def run(probe: onnx.ModelProto, outputs: list[str]) -> list[NDArray[Any]]:
        count = batch or 5
        feed = {
            name: np.resize(values, (count, *values.shape[1:])) for name, values in rows.feed(min(count, 8)).items()
        }
        return _open(probe, ports, batch).once(feed, outputs)

    return freeze_nodes(model, seed, batch=batch, run=run)


def _told(picture: Picture, values: NDArray[np.float32]) -> list[str]:
    outside = picture.outside(values)
    told = f"its values, {picture.layout.upper()}, stand for [{picture.range}] and lie between {values.min():.3g} and "
    told += f"{values.max():.3g}"
    return [told + (f"; {outside:.2%} of them leave the range, and are clipped" if outside else "")]


def _require_last_class(model: onnx.ModelProto, rows: GoldenRows) -> None:
    """Raise PackageError when the last class cannot be asked for, though the first one can."""
    if rows.classes is None:
        return
    original = _open(model, rows.ports, rows.ports.z.batch)
    z, psi, last = sample_latents(rows.latent, [0]), np.ones(1, np.float32), len(rows.classes) - 1
    for class_id in (0, last):
        try:
            original.run(rows.ports.feed(z, np.array([class_id]), psi), [rows.ports.image.name])
        except PackageError as error:
            if class_id == 0:
                return  # then it is not the class
            raise PackageError(f"class {last}, the last of --classes, is refused: {error}") from None


def _thaw(
    model: onnx.ModelProto,
    ports: GeneratorPorts,
    rows: GoldenRows,
    picture: Picture,
    *,
    batch: int,
    values: NDArray[np.float32],
) -> onnx.ModelProto:
    """The model with a dynamic batch, proven by running it at batches of 1, 2 and 5."""
    thawed = with_dynamic_batch(model, batch, [port.name for port in ports.moving])
    expected = picture.pixels(values).astype(np.int16)
    try:
        opened = _open(thawed, ports, None)
        for size in TRIED:
            found = picture.pixels(opened.run(rows.feed(size), [ports.image.name])[0])
            if found.shape != expected[:size].shape:
                raise PackageError(f"{size} rows become images {list(found.shape)}")
            if (apart := int(np.abs(found - expected[:size]).max())) > GREY_LEVELS:
                raise PackageError(f"at a batch of {size} its images differ by {apart} grey levels")
    except PackageError as error:
        raise not_dynamic("generator", batch, str(error)) from None
    return thawed


def _graft(
    model: onnx.ModelProto,
    ports: GeneratorPorts,
    picture: Picture,
    original: Original,
    rows: GoldenRows,
    *,
    scale_z: bool,
) -> tuple[bytes, int]:
    """The bundle's graph, and the grey levels by which it differs from the original at most."""
    port = ports.truncation
    forms: Sequence[Sequence[int]] = [()]
    if port is not None:
        forms = _FORMS if port.scalar else [(-1, *(1 for _ in port.shape[1:]))]
    problems = []
    for form in forms:
        try:
            graph = generator_graph(model, ports, picture, psi_form=form, scale_z=scale_z)
            return graph, require_parity(graph, ports, picture, original, rows, scale_z=scale_z)
        except PackageError as error:
            problems.append(str(error))
    if port is not None and port.scalar:
        raise PackageError(
            f"{port} holds one psi for the whole batch, and cannot be given one per row ({problems[1]}); export the "
            "network with a truncation of shape [n], or leave it out with --truncation none"
        )
    raise PackageError(problems[0])
