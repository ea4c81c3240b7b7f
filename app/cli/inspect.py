"""`ganserve inspect`: what a bundle says of itself."""

from pathlib import Path

import click

from app.cli.one_model import FOLDER
from bundle import Manifest, read_bundle


@click.command()
@click.argument("bundle", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print the whole manifest as JSON.")
def inspect(bundle: Path, *, as_json: bool) -> None:
    """Say what the bundle in folder BUNDLE holds, once the SHA-256 of every file is found right."""
    found = read_bundle(bundle)
    if as_json:
        click.echo(found.manifest.model_dump_json(indent=2))
        return
    for name, value in _summary(found.manifest, found.digest):
        click.echo(f"{name:<15}{value}")


def _summary(manifest: Manifest, digest: str) -> list[tuple[str, str]]:
    image, latent, calibration = manifest.image, manifest.latent, manifest.calibration
    classes = "none (unconditional)"
    if manifest.classes is not None:
        shown = ", ".join(manifest.classes[:12]) + (", ..." if len(manifest.classes) > 12 else "")
        classes = f"{len(manifest.classes)}: {shown}"
    calibrated = "no calibration"
    if calibration is not None:
        calibrated = f"calibrated, expected calibration error {calibration.expected_calibration_error:.4f}"
    rows = [
        ("model", f"{manifest.name}@{manifest.version}"),
        ("digest", digest),
        ("created", manifest.created.isoformat()),
        ("image", f"{image.height}x{image.width}, {'grey' if image.channels == 1 else 'RGB'}"),
        ("latent", f"{latent.dim} values, {latent.distribution}, {latent.sampler}"),
        ("classes", classes),
        ("truncation", manifest.truncation.kind or "not supported"),
        ("discriminator", "none" if manifest.discriminator is None else calibrated),
        ("encoder", "none" if manifest.encoder is None else "yes"),
        ("trained", f"{manifest.training.dataset}, {manifest.training.images_seen} images seen"),
        ("license", manifest.license),
    ]
    return rows + [(f"  {name}", f"{metric.value:g} (n={metric.n})") for name, metric in manifest.metrics.items()]
