"""A third-party discriminator -> the bundle's discriminator graph, proven equal to it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from training.calibration import Platt
from training.errors import ConfigError, PackageError
from training.graphs import SCORE_TOLERANCE, require_batch_independence
from training.packaging.batch import TRIED, find_batch, not_dynamic, with_dynamic_batch
from training.packaging.chance import random_nodes, require_no_training_mode
from training.packaging.original import Original, Rows
from training.packaging.picture import Layout, Picture, Range, find_layout
from training.packaging.ports import FLOATS, Ports, class_rows, is_class, one_hot, ports, require_class_port
from training.packaging.scoring import ScorerPorts, discriminator_graph
from training.packaging.source import Source, modernised
from training.players import CLASS_NOT_STATED, open_session
from training.wiring import maker

Scale = Literal["logit", "probability"]

MOST_CLASSES = 100
"""A score over all classes takes a run per class: past this a discriminator is too slow to serve."""
UNCALIBRATED = Platt(slope=1.0, intercept=0.0)
_SCORE = re.compile(r"logit|score|valid|prob|real|disc|^out|^d$", re.IGNORECASE)
_SURE = 1e-7
"""Probabilities are kept so far from 0 and 1 before their logit is taken."""


@dataclass(frozen=True)
class DiscriminatorOptions:
    """What was said of a discriminator; what was not said is found out."""

    image: str | None = None
    class_id: str | None = None
    output: str | None = None
    features: str | None = None
    scale: Scale | None = None
    layout: Layout | None = None
    range: Range | None = None


@dataclass(frozen=True)
class PackagedDiscriminator:
    """The graph for any calibration, and the facts that the card tells."""

    graph: Callable[[Platt, Platt], bytes] = field(repr=False)
    feature_dim: int
    facts: tuple[str, ...]


def package_discriminator(
    source: Source,
    options: DiscriminatorOptions,
    picture: Picture,
    classes: tuple[str, ...] | None,
    images: NDArray[np.uint8],
) -> PackagedDiscriminator:
    """Give the discriminator the bundle's inputs and outputs, and prove the result on `images` uint8 [n, h, w, c].

    `picture` is what the generator makes, and what the discriminator is taken to take where nothing else is said.
    Raises as package_generator does.
    """
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    require_no_training_mode(model)
    if drawn := random_nodes(model):
        told = drawn[0].name or drawn[0].op_type
        raise PackageError(f"the discriminator draws random numbers ({told}); export it again after .eval()")
    found = _find_ports(model.graph, options, picture, classes)
    noise = np.random.default_rng(0).integers(0, 256, size=images.shape, dtype=np.uint8)
    groups = [images, noise, np.zeros_like(images[:1]), np.full_like(images[:1], 255)]
    judge = _Judge(model, found, options.scale, np.concatenate(groups), batch=None)
    batch = find_batch(model, found.image.batch, judge.run)
    judge = _Judge(model, found, options.scale, judge.images, batch=batch)
    scale = judge.scale()
    facts = [
        f"it takes `{found.image}` as {found.picture.layout.upper()} in [{found.picture.range}] and gives the {scale} "
        f"`{found.score}`" + (f" under the class `{found.class_id}`" if found.class_id else "")
    ]
    feature_dim = int(np.prod(judge.features().shape[1:])) if found.features else 1
    modern = modernised(model, source.path)
    if batch is not None:
        moving = [port.name for port in (found.image, found.class_id) if port is not None]
        modern = with_dynamic_batch(modern, batch, moving)
        facts.append(f"its batch, frozen at {batch}, is made dynamic")

    def graph(stated: Platt, not_stated: Platt) -> bytes:
        return discriminator_graph(modern, found, scale, feature_dim, stated=stated, not_stated=not_stated, sure=_SURE)

    try:
        made = graph(UNCALIBRATED, UNCALIBRATED)
        worst = _require_parity(made, judge, scale)
    except PackageError as error:
        raise (not_dynamic("discriminator", batch, str(error)) if batch is not None else error) from None
    row, mates = judge.bundle_feed(slice(0, 1)), [judge.bundle_feed(slice(1, None)), judge.bundle_feed(slice(-1, None))]
    alone = require_batch_independence(made, row, mates)
    facts.append(f"{worst:.1e} from the original in ONNX Runtime, {alone:.1e} whoever shares the batch")
    if found.features is None:
        facts.append("its features are its logit alone: no tensor was named as features")
    return PackagedDiscriminator(graph, feature_dim, tuple(facts))


def _find_ports(
    graph: onnx.GraphProto, options: DiscriminatorOptions, picture: Picture, classes: tuple[str, ...] | None
) -> ScorerPorts:
    left = Ports(ports(graph.input), "discriminator")
    image = left.find(options.image, "--d-image-input", lambda port: len(port.shape) == 4)
    if image is None or len(image.shape) != 4 or image.kind not in {*FLOATS, TensorProto.UINT8}:
        raise PackageError(f"no input of the discriminator is an image, of four dimensions ({image or left})")
    class_id = left.find(options.class_id, "--d-class-input", is_class)
    left.require_none("export the discriminator without it")
    if class_id is not None:
        require_class_port(class_id)
        if classes is None:
            raise PackageError(f"the discriminator takes a class ({class_id}), and the generator has none")
        if one_hot(class_id) not in {None, len(classes)}:
            raise PackageError(
                f"the discriminator's {class_id} is for other classes than the generator's {len(classes)}"
            )
        if len(classes) > MOST_CLASSES:
            raise PackageError(
                f"the discriminator scores one of {len(classes)} classes at a time; for a score without a class it "
                f"would be run once for each, and {MOST_CLASSES} is the most; leave --discriminator out"
            )
    known = {port.name: port for port in ports(graph.output)}
    features = options.features or ("features" if "features" in known else None)
    if features is not None and features not in known:
        if maker(graph, features) is None:
            raise ConfigError(f"--features-output: the discriminator has no tensor {features!r}")
        graph.output.append(helper.make_empty_tensor_value_info(features))
    scores = Ports([port for name, port in known.items() if name != features], "discriminator")
    score = scores.find(options.output, "--d-output", lambda port: port.kind in FLOATS, prefer=_SCORE)
    if score is None:
        raise PackageError("the discriminator has no output of floats")
    layout = find_layout(image.shape, picture, options.layout)
    range_ = options.range or ("0,255" if image.kind == TensorProto.UINT8 else picture.range)
    return ScorerPorts(
        image=image,
        class_id=class_id,
        score=score.name,
        features=features,
        classes=len(classes) if classes else 0,
        picture=replace(picture, layout=layout, range=range_),
    )


class _Judge:
    """The original discriminator, and the images that it is asked about."""

    def __init__(
        self,
        model: onnx.ModelProto,
        found: ScorerPorts,
        scale: Scale | None,
        images: NDArray[np.uint8],
        *,
        batch: int | None,
    ) -> None:
        self.images = images
        self.class_ids = np.arange(len(images), dtype=np.int64) % (found.classes + 1) + CLASS_NOT_STATED
        self._model, self._found, self._asked = model, found, scale
        self._original = Original(model, batch=batch, scalars={})

    def feed(self, rows: slice, class_id: int = 0) -> Rows:
        """Inputs of the original for some images, all under one class."""
        image, class_port = self._found.image, self._found.class_id
        chosen = self.images[rows]
        feed: dict[str, NDArray[Any]] = {image.name: self._found.picture.floats(chosen).astype(image.dtype)}
        if class_port is not None:
            feed[class_port.name] = class_rows(class_port, np.full(len(chosen), class_id, dtype=np.int64))
        return feed

    def bundle_feed(self, rows: slice) -> Rows:
        """The same for the bundle's graph, under every class in turn, and none."""
        feed: dict[str, NDArray[Any]] = {"image": self.images[rows]}
        return {**feed, "class_id": self.class_ids[rows]} if self._found.classes else feed

    def run(self, count: int) -> None:
        """Ask about the first images; raises PackageError when the graph cannot be run so."""
        self._original.run(self.feed(slice(count)), [self._found.score])

    def scores(self, class_id: int = 0, *, rows: slice = slice(None)) -> NDArray[np.float64]:
        """What the original says of the images, run together, float64 [n]."""
        values = self._original.run(self.feed(rows, class_id), [self._found.score])[0]
        if any(side != 1 for side in values.shape[1:]):
            raise PackageError(
                f"the discriminator gives {list(values.shape[1:])} scores an image; average them in the graph"
            )
        if not np.isfinite(values).all():
            raise PackageError("the discriminator gives scores that are not finite (NaN or infinite)")
        return values.reshape(-1).astype(np.float64)

    def features(self) -> NDArray[Any]:
        """The named features of every image."""
        return self._original.run(self.feed(slice(None)), [self._found.features or ""])[0]

    def scale(self) -> Scale:
        """Whether scores are logits or probabilities; raises ConfigError where it cannot be told."""
        scores = self.scores()
        bounded = bool(scores.min() >= 0 and scores.max() <= 1)
        if self._asked == "probability" and not bounded:
            raise ConfigError(f"--d-scale probability: its scores reach from {scores.min():.3g} to {scores.max():.3g}")
        if self._asked is not None:
            return self._asked
        made_by = maker(self._model.graph, self._found.score)
        if made_by is not None and made_by.op_type == "Sigmoid":
            return "probability"
        if bounded:
            raise ConfigError(
                f"all scores lie within 0 and 1 ({scores.min():.3g} to {scores.max():.3g}): say with --d-scale whether "
                "they are logits or probabilities"
            )
        return "logit"

    def logits(self, rows: slice, scale: Scale) -> NDArray[np.float64]:
        """The logit of the images under their classes, computed by NumPy: log-mean-exp over the classes for none."""
        count = self._found.classes if self._found.class_id is not None else 1
        every = np.stack([self.scores(class_id, rows=rows) for class_id in range(count)], axis=1)
        if scale == "probability":
            kept = every.clip(_SURE, 1 - _SURE)
            every = np.log(kept / (1 - kept))
        largest = every.max(axis=1)
        mean = largest + np.log(np.exp(every - largest[:, None]).mean(axis=1))
        if self._found.class_id is None:
            return np.asarray(mean)
        class_ids = self.class_ids[rows]
        stated = every[np.arange(len(every)), class_ids.clip(min=0)]
        return np.asarray(np.where(class_ids < 0, mean, stated))


def _require_parity(graph: bytes, judge: _Judge, scale: Scale) -> float:
    """Compare logits and probabilities with those of the original at every batch size; the largest difference."""
    session, worst = open_session(graph), 0.0
    for size in (*TRIED, len(judge.images)):
        expected = judge.logits(slice(size), scale)
        try:
            logit, probability, features = session.run(None, dict(judge.bundle_feed(slice(size))))
        except Exception as error:  # ONNX Runtime raises types of its own
            raise PackageError(f"it cannot be run at a batch of {size}: {type(error).__name__}") from None
        if logit.shape != (size,) or not np.isfinite(features).all():
            raise PackageError(
                f"at a batch of {size} it gives logits {list(logit.shape)}, or features that are not finite"
            )
        # In the probability a saturated sigmoid's logit differs by nothing, as it should: float32 no longer has it.
        apart = np.abs(probability - 1 / (1 + np.exp(-expected))).max()
        near = np.abs(expected) < 10
        if near.any():
            apart = max(apart, (np.abs(logit - expected) / np.maximum(1, np.abs(expected)))[near].max())
        worst = max(worst, float(apart))
        if not apart <= SCORE_TOLERANCE:
            raise PackageError(f"at a batch of {size} its scores are {apart:.1e} from the original's")
    return worst
