"""The model card: what a person should know before they use the bundle."""

import re
from collections.abc import Mapping, Sequence

from bundle import Manifest
from bundle.manifest import Calibration, Metric
from training.config import RESUME_MAY_CHANGE, TrainingConfig
from training.evaluate import Evaluation, Recognition, recognise
from training.metrics.features import AnyExtractor
from training.players import OnnxPlayers

_MEANING = {
    "fid": "Fréchet distance to the held-out real images, in the extractor's features (lower is better)",
    "kid": "kernel distance to them in the same features (lower is better)",
    "precision": "generated images that lie among real ones",
    "recall": "real images that lie among generated ones",
    "density": "how densely real images surround the generated ones (about 1 for real images)",
    "coverage": "real images that have a generated one among their nearest",
    "conditional_accuracy": "images that the extractor's classifier takes for the class asked for",
    "conditional_accuracy_worst_class": "the same for the class that does worst",
    "modes": "of the 1000 modes of stacked digits, how many were made",
    "modes_divergence": "how unevenly the modes were made, KL to uniform in nats (0 is even)",
    "feature_probe": "a linear classifier on D's features; *real* is the same on plain pixels",
    "memorised": "generated images nearer to a training image than all but 1 % of held-out ones; 0.01 is innocence",
    "classification_score": "share that a classifier trained on generated images gets right; *real*: on as many real",
    "auc_real_against_noise": "how well D's score tells held-out real images from uniform noise (0.5 is chance)",
    "auc_real_against_generated": "how well D's score tells held-out real images from this generator's",
    "fid_inception": "Fréchet distance in InceptionV3's features (lower is better)",
    "kid_inception": "kernel distance in the same features (lower is better)",
    "precision_inception": "generated images that lie among real ones, in the same features",
    "recall_inception": "real images that lie among generated ones, in the same features",
    "density_inception": "how densely real images surround the generated ones, in the same features",
    "coverage_inception": "real images that have a generated one among their nearest, in the same features",
    "inversion_error": "mean squared error, in [0, 1] pixels, of held-out real images made again from E's z and class",
    "inversion_error_generated": "the same for generated images that E was not trained on",
    "inversion_class_accuracy": "held-out real images whose class E finds",
}

INVERSION_METRICS = ("inversion_error", "inversion_error_generated", "inversion_class_accuracy")
_TRUNCATION = 0.7
"""The psi that the card sets beside 1: fewer odd images, less variety."""


def model_card(
    manifest: Manifest,
    evaluation: Evaluation,
    truncated: Recognition | None,
    config: TrainingConfig,
    *,
    images_before: int = 0,
) -> str:
    """The bundle's README.md, in Markdown; `truncated` is the recognition at a lower psi, to set beside psi 1."""
    image, latent, training = manifest.image, manifest.latent, manifest.training
    colours = "grey" if image.channels == 1 else "RGB"
    classes = ", ".join(f"{index} {name}" for index, name in enumerate(manifest.classes or ())) or "none"
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        f"![Samples of {manifest.name}: one row per class, one column per seed](samples.png)",
        "",
        f"A generative adversarial network for {image.width}x{image.height} {colours} images, trained on "
        f"`{training.dataset}`. The picture shows seeds 0 to 9, none of them picked.",
        "",
        "| | |",
        "| --- | --- |",
        f"| latent | {latent.distribution}, {latent.dim} numbers |",
        f"| classes | {classes} |",
        f"| truncation | {manifest.truncation.kind or 'not supported'} |",
        f"| discriminator | {'yes' if manifest.discriminator else 'no'} |",
        f"| preset | `{training.preset}`: network {config.network}, loss {config.loss} |",
        *([f"| changed from the preset | {changed} |"] if (changed := _changed(config)) else []),
        f"| images seen | {training.images_seen:,}{_before(images_before)} |",
        f"| seed, commit | {training.seed}, `{training.git_commit or 'unknown'}` |",
        f"| licence | {manifest.license} |",
        "",
        *measured(manifest, evaluation, truncated, command="gantrain export"),
    ]
    return "\n".join(lines).rstrip() + "\n"


def measured(manifest: Manifest, evaluation: Evaluation, truncated: Recognition | None, *, command: str) -> list[str]:
    """The lines of a card on what `command` measured, from their heading on."""
    lines = [
        "## Measured",
        "",
        f"On the exported graphs, by `{command}`. *Real* is what real images score under the same measurement.",
        "",
        "| metric | value | real | images | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, metric in evaluation.metrics.items():
        real = "" if metric.floor is None else f"{metric.floor:.4g}"
        lines.append(f"| {name} | {metric.value:.4g} | {real} | {metric.n:,} | {_MEANING[name]} |")
    if manifest.calibration is not None:
        lines += ["", _calibrated(manifest.calibration)]
    rows = [found for found in (evaluation.recognition, truncated) if found is not None]
    if rows:
        names = rows[0].by_class
        lines += ["", f"Of the first {rows[0].images} images of each class, recognised as that class:", ""]
        lines += ["| truncation | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
        lines += [
            f"| {row.truncation:g} | " + " | ".join(str(count) for count in row.by_class.values()) + " |"
            for row in rows
        ]
    extractors = sorted({m.extractor for m in evaluation.metrics.values() if m.extractor})
    return [*lines, "", *(f"Feature extractor: SHA-256 `{digest}`." for digest in extractors)]


def recognise_truncated(players: OnnxPlayers, extractor: AnyExtractor | None) -> Recognition | None:
    """The recognition at a lower psi that a card sets beside psi 1; None where there is no truncation or extractor."""
    if extractor is None or not players.manifest.truncation.supported:
        return None
    return recognise(players, extractor, truncation=_TRUNCATION)


def with_measurement(card: str, manifest: Manifest, evaluation: Evaluation, truncated: Recognition | None) -> str:
    """The card of a bundle made that of the version with the figures of `evaluation`, where its measurements stand.

    Figures of networks that the manifest has and `evaluation` has not stay beside them, but for the encoder's, whose
    section is its own.
    """
    known = {name: metric for name, metric in manifest.metrics.items() if name not in INVERSION_METRICS}
    told = manifest if "\n## Calibration\n" not in card else manifest.model_copy(update={"calibration": None})
    every = Evaluation({**evaluation.metrics, **known}, evaluation.recognition)
    _, _, *lines = measured(told, every, truncated, command="gantrain evaluate")
    return _with_section(card, manifest, "Measured", lines)


def with_encoder(card: str, manifest: Manifest, metrics: Mapping[str, Metric], how: str) -> str:
    """The card of a bundle made that of the version that has an encoder, by its last section; `how` tells of E."""
    lines = [how, "", "| metric | value | images | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {metric.value:.4g} | {metric.n:,} | {_MEANING[name]} |" for name, metric in metrics.items()]
    return _with_section(card, manifest, "Encoder", lines)


NOT_CALIBRATED = "yes; its probability is not calibrated"
CALIBRATED = "yes, calibrated"


def with_calibration(card: str, manifest: Manifest, calibration: Calibration, dataset: str) -> str:
    """The card of a bundle made that of the version calibrated on `dataset`, by its last section."""
    before = re.compile(r"\n\nD's probability is calibrated \(Platt\)[^\n]*")
    kept = before.sub("", card).replace(f"| discriminator | {NOT_CALIBRATED} |", f"| discriminator | {CALIBRATED} |")
    how = f"By `gantrain calibrate`, on `{dataset}`. {_calibrated(calibration)}"
    return _with_section(kept, manifest, "Calibration", [how])


def _calibrated(calibration: Calibration) -> str:
    """What a probability is worth, in one line."""
    return (
        f"D's probability is calibrated (Platt) on {calibration.n:,} held-out real and generated images; its expected "
        f"calibration error on as many others is {calibration.expected_calibration_error:.3f}. It answers one question "
        "only: is this image more like the training set or like this generator? It is no detector of fakes in general."
    )


def _with_section(card: str, manifest: Manifest, heading: str, lines: Sequence[str]) -> str:
    """The card under the name of the manifest's version, its section of this heading replaced, or added at the end."""
    first, _, rest = card.partition("\n")
    title = f"# {manifest.name} {manifest.version}" if first.startswith(f"# {manifest.name} ") else first
    parts = re.split(r"^(?=## )", rest, flags=re.MULTILINE)
    headings = [part.partition("\n")[0] for part in parts]
    place = headings.index(f"## {heading}") if f"## {heading}" in headings else len(parts)
    parts[place : place + 1] = ["\n".join([f"## {heading}", "", *lines])]
    return "\n".join([title, "\n\n".join(part.rstrip() for part in parts)]) + "\n"


def _changed(config: TrainingConfig) -> str:
    """The settings of the game in which a run departs from its preset; where and how it ran is left out."""
    before = TrainingConfig.from_preset(config.preset, data=config.data).model_dump()
    now = config.model_dump()
    return ", ".join(f"{name} {now[name]}" for name in now if now[name] != before[name] and name not in _ABOUT_THE_RUN)


_ABOUT_THE_RUN = RESUME_MAY_CHANGE - {"kimg"} | {"resolution", "seed"}


def _before(images: int) -> str:
    return f", {images:,} of them in the run whose networks this one began with" if images else ""
