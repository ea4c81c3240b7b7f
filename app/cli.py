"""`ganserve`: serve models over HTTP, or inspect, generate and score with one bundle and no server."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import click
import numpy as np
from prometheus_client import CollectorRegistry, start_http_server

from app import __version__, imaging, logs
from app.api.answers import image_text
from app.api.lifecycle import Lifecycle
from app.api.server import DrainingServer
from app.api.service import Service
from app.discrimination import discriminate
from app.engines.onnx import open_engine
from app.errors import RequestError, ServeError, StartupError
from app.generation import GenerateOrder, draw_seeds, generate
from app.main import create_app
from app.metrics import Metrics
from app.registry import LiveModel, ModelRegistry
from app.settings import Settings, variable
from bundle import BundleError, Manifest, read_bundle
from bundle.latents import SEED_LIMIT

logger = logging.getLogger(__name__)

Command = TypeVar("Command", bound=Callable[..., object])
T = TypeVar("T")
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MAX_PIXELS = 64 * 2**20
_EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp", "npy": "npy"}
_device = click.option(
    "--device", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", show_default=True, help="What to run on."
)


class _Commands(click.Group):
    """Says what went wrong in one line, and exits non-zero."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- click's own signature
        try:
            return super().invoke(ctx)
        except (ServeError, BundleError) as error:
            details = "".join(f"; {item.location}: {item.message}" for item in getattr(error, "errors", ()))
            raise click.ClickException(f"{error}{details}") from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ganserve")
def main() -> None:
    """Serve generative adversarial networks from verified ONNX bundles."""


def _settings_options(command: Command) -> Command:
    """An option for each setting, with the setting's own description, variable and default."""
    for name, field in reversed(Settings.model_fields.items()):
        default = field.default
        if isinstance(default, bool):
            default = "on" if default else "off"
        command = click.option(
            f"--{name.replace('_', '-')}",
            name,
            metavar=_metavar(field.annotation),
            help=f"{field.description}  [{variable(name)}; default: {'unset' if default is None else default}]",
        )(command)
    return command


def _metavar(annotation: object) -> str:
    if annotation is bool:
        return "on|off"
    choices = [str(choice) for choice in get_args(annotation) if isinstance(choice, str)]
    return "|".join(choices) if choices else {int: "N", float: "X", Path: "PATH"}.get(annotation, "VALUE")  # type: ignore[call-overload]  # any key may be asked for


@main.command()
@_settings_options
def serve(**flags: str | None) -> None:
    """Serve every model under the models folder over HTTP.

    Each option is also an environment variable; the option wins. SIGTERM drains: /readyz turns 503, requests
    under way end, and the process exits within the drain timeout.
    """
    settings = Settings.from_environment(os.environ, **flags)
    logs.configure(settings.log_format, settings.log_level)
    app = create_app(settings)
    service: Service = app.state.service
    listener = _listen(settings.host, settings.port)
    if settings.metrics_port is not None:
        _serve_metrics(settings.host, settings.metrics_port, service.metrics.registry)
    url = _url(settings.host, listener.getsockname()[1])
    server = DrainingServer(
        app,
        service.lifecycle,
        drain_timeout_s=settings.drain_timeout_s,
        on_ready=lambda: _announce(url, service.registry.default, settings.log_format),
    )
    # uvicorn raises the signal again once it has shut down; by then it has been obeyed.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listener])
    _require_started(service.lifecycle)


def _require_started(lifecycle: Lifecycle) -> None:
    if isinstance(lifecycle.failure, StartupError):
        raise lifecycle.failure
    if lifecycle.failure is not None:
        raise click.ClickException("the models could not be loaded; the log says why")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartupError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None


def _serve_metrics(host: str, port: int, registry: CollectorRegistry) -> None:
    try:
        start_http_server(port, host, registry)
    except OSError as error:
        raise StartupError(f"cannot serve metrics on {host} port {port}: {error.strerror or error}") from None


def _url(host: str, port: int) -> str:
    """Where a browser on this machine finds the service."""
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104 -- compared, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _announce(url: str, model: LiveModel, log_format: Literal["console", "json"]) -> None:
    docs, image = f"{url}/docs", f"{url}/images/{model.name}/42.png"
    if log_format == "json":
        logger.info("ready", extra={"docs": docs, "image": image})
        return
    click.echo(
        f"\nganserve is ready: {model.label} on {model.provider}\n  try it   {docs}\n  an image {image}\n", err=True
    )


@main.command()
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


@main.command("generate")
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
    device: Literal["auto", "cuda", "cpu"],
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


@main.command()
@click.argument("bundle", type=_FOLDER)
@click.argument("images", nargs=-1, required=True, type=_FILE)
@click.option("--class-id", type=click.IntRange(0), help="What the images are meant to show; unset: not stated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_device
def score(
    bundle: Path, images: Sequence[Path], *, class_id: int | None, as_json: bool, device: Literal["auto", "cuda", "cpu"]
) -> None:
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


def _with_model(bundle: Path, device: Literal["auto", "cuda", "cpu"], work: Callable[[LiveModel], Any]) -> None:
    """Load one bundle, run `work` with it, and free it."""
    logs.configure("console", "warning")
    metrics = Metrics(CollectorRegistry())
    registry = ModelRegistry(Settings.from_environment({}, device=device), open_engine, metrics.batch_observer)
    try:
        asyncio.run(work(registry.load(bundle)))
    finally:
        registry.close()
