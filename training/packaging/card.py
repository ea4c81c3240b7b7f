"""The model card of a bundle whose networks were trained elsewhere."""

from collections.abc import Mapping, Sequence

from bundle import Manifest
from training.card import CALIBRATED, NOT_CALIBRATED, measured
from training.evaluate import Evaluation, Recognition


def package_card(
    manifest: Manifest,
    hashes: Mapping[str, Mapping[str, str]],
    facts: Mapping[str, Sequence[str]],
    evaluation: Evaluation,
    truncated: Recognition | None,
) -> str:
    """The bundle's README.md, in Markdown.

    `hashes` are the SHA-256 of the files that each network came from, `facts` what packaging found out of each.
    """
    image, latent = manifest.image, manifest.latent
    colours = "grey" if image.channels == 1 else "RGB"
    classes = ", ".join(f"{index} {name}" for index, name in enumerate(manifest.classes or ())) or "none"
    discriminator = "no"
    if manifest.discriminator is not None:
        discriminator = CALIBRATED if manifest.calibration else NOT_CALIBRATED
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        f"![Samples of {manifest.name}](samples.png)",
        "",
        f"A generator of {image.width}x{image.height} {colours} images that was trained elsewhere, and packaged from "
        "its ONNX graph by `gantrain package`. How it was trained is not known here. The picture shows the first "
        "seeds, none of them picked.",
        "",
        "| | |",
        "| --- | --- |",
        *(
            f"| {name}'s file | `{file}`, SHA-256 `{digest}` |"
            for name, files in hashes.items()
            for file, digest in files.items()
        ),
        f"| data set | {manifest.training.dataset} |",
        f"| latent | {latent.distribution}, {latent.dim} numbers |",
        f"| classes | {classes} |",
        f"| truncation | {manifest.truncation.kind or 'not supported'} |",
        f"| discriminator | {discriminator} |",
        f"| precision, opset | {manifest.generator.precision}, {manifest.opset} |",
        f"| licence | {manifest.license} |",
        "",
        "## How it was packaged",
        "",
        *(f"- The {name}: {fact}." for name, found in facts.items() for fact in found),
        "",
    ]
    if evaluation.metrics:
        lines += measured(manifest, evaluation, truncated, command="gantrain package")
    return "\n".join(lines).rstrip() + "\n"
