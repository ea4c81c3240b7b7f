"""`ganserve inspect | generate | score`: work with the bundle in one folder, without a server."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from prometheus_client import CollectorRegistry

from app import imaging, logs
from app.api.answers import image_text
from app.discrimination import discriminate
from app.engines.acceleration import Acceleration
from app.engines.onnx import open_engine
from app.errors import RequestError
from app.generation import GenerateOrder, draw_seeds, generate
from app.metrics import Metrics
from app.registry import LiveModel, ModelRegistry
from app.settings import Settings
from bundle import Manifest, read_bundle
from bundle.latents import SEED_LIMIT

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MAX_PIXELS = 64 * 2**20
_EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp", "npy": "npy"}
_device = click.option(
    "--device", metavar="auto|cpu|cuda[:N]", default="auto", show_default=True, help="What to run on."
)


@click.command()
@click.argument("bundle", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print the whole manifest as JSON.")
def inspect(bundle: Path, *, as_json: bool) -> None:
    """Verify the bundle in folder BUNDLE, every file's SHA-256 included, and say what it holds."""
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
        ("trained", f"{manifest.training.dataset}, {manifest.training.images_seen} images seen"),
        ("license", manifest.license),
    ]
    return rows + [(f"  {name}", f"{metric.value:g} (n={metric.n})") for name, metric in manifest.metrics.items()]


def _seeds(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """`0-15,42` -> seeds."""
    if text is None:
        return None
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,10})(?:-([0-9]{1,10}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last >= SEED_LIMIT or len(seeds) + last - first >= 100_000:
            raise click.BadParameter("seeds are whole numbers and ranges from 0 to 4294967295, such as 0-15,42")
        seeds.extend(range(first, last + 1))
    return seeds


@click.command("generate")
@click.argument("bundle", type=_FOLDER)
@click.option("--seeds", callback=_seeds, metavar="LIST", help="Seeds and ranges, such as 0-15,42.")
@click.option("-n", "count", type=click.IntRange(1, 100_000), help="This many fresh seeds instead.")
@click.option("--class-id", type=click.IntRange(0), help="Class of all images; unset: a function of each seed.")
@click.option("--truncation", type=click.FloatRange(0, 1), help="Truncation psi.")
@click.option(
    "--best-of", type=click.IntRange(1, 16), default=1, show_default=True, help="Keep the most real of so many."
)
@click.option("--format", "image_format", type=click.Choice(list(_EXTENSIONS)), default="png", show_default=True)
@click.option("--quality", type=click.IntRange(1, 100), default=90, show_default=True, help="Of JPEG and WebP.")
@click.option("--grid", is_flag=True, help="One sheet of all images instead of a file each.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder of the files; default: this one.",
)
@_device
def generate_files(
    bundle: Path,
    *,
    seeds: list[int] | None,
    count: int | None,
    class_id: int | None,
    truncation: float | None,
    best_of: int,
    image_format: imaging.ImageFormat,
    quality: int,
    grid: bool,
    out: Path,
    device: str,
) -> None:
    """Make images with the bundle in folder BUNDLE and write them to files, without a server."""
    if (seeds is None) == (count is None):
        raise click.UsageError("give exactly one of --seeds and -n")
    chosen = seeds if seeds is not None else draw_seeds(count or 0)
    out.mkdir(parents=True, exist_ok=True)
    shown_truncation = 1.0 if truncation is None else truncation

    async def work(model: LiveModel) -> None:
        psi = shown_truncation if model.manifest.truncation.supported else None
        pixels: list[imaging.Pixels] = []
        for start in range(0, len(chosen), 256):
            part = chosen[start : start + 256]
            classes = None if class_id is None else [class_id] * len(part)
            order = GenerateOrder(model, part, None, classes, truncation, best_of)
            for image in (await generate(order, deadline=None)).images:
                pixels.append(image.pixels)
                if not grid:
                    path = out / f"seed{image.seed}.{_EXTENSIONS[image_format]}"
                    text = image_text(image, model, psi)
                    path.write_bytes(imaging.encode(image.pixels, image_format, quality=quality, text=text))
                    click.echo(path)
        if grid:
            path = out / f"grid.{_EXTENSIONS[image_format]}"
            path.write_bytes(imaging.encode(imaging.grid(pixels), image_format, quality=quality))
            click.echo(path)

    _with_model(bundle, device, work)


@click.command()
@click.argument("bundle", type=_FOLDER)
@click.argument("images", nargs=-1, required=True, type=_FILE)
@click.option("--class-id", type=click.IntRange(0), help="What the images are meant to show; unset: not stated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_device
def score(bundle: Path, images: Sequence[Path], *, class_id: int | None, as_json: bool, device: str) -> None:
    """Say how real IMAGES look to the discriminator of the bundle in folder BUNDLE, without a server."""

    async def work(model: LiveModel) -> None:
        spec = model.manifest.image
        for path in images:
            try:
                picture, opened = imaging.decode(path.read_bytes(), max_pixels=_MAX_PIXELS)
            except RequestError as error:
                raise click.ClickException(f"{path}: {error}") from None
            pixels, fitted = imaging.fit(picture, height=spec.height, width=spec.width, channels=spec.channels)
            classes = None if class_id is None else [class_id]
            found = await discriminate(model, np.stack([pixels]), class_ids=classes, want_features=False, deadline=None)
            verdict, changes = found.scores[0], opened + fitted
            if as_json:
                line = {"file": str(path), "logit": verdict.logit, "realness": verdict.realness, "changes": changes}
                click.echo(json.dumps(line))
            else:
                remark = f"  ({'; '.join(changes)})" if changes else ""
                click.echo(f"{verdict.realness:.4f}  {path}{remark}")

    _with_model(bundle, device, work)


def _with_model(bundle: Path, device: str, work: Callable[[LiveModel], Coroutine[Any, Any, None]]) -> None:
    """Load one bundle, run `work` with it, and free it."""
    logs.configure("console", "warning")
    metrics = Metrics(CollectorRegistry())
    settings = Settings.from_environment({}, device=device)
    opener = partial(open_engine, acceleration=Acceleration.of(settings))
    registry = ModelRegistry(settings, opener, metrics)
    try:
        asyncio.run(work(registry.load(bundle)))
    finally:
        registry.close()
