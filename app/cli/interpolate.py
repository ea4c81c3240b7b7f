"""`ganserve interpolate`: a walk through latent space as a file, without a server."""

import io
import json
import zipfile
from pathlib import Path
from typing import get_args

import click
import numpy as np

from app import imaging
from app.animation import AnimationFormat, encode_animation, enlarge
from app.api.answers import image_text
from app.cli.one_model import DEVICE, FOLDER, with_model
from app.cli.seeds import parse_seeds
from app.generation import GeneratedImage, draw_seeds
from app.latent_walk import Easing, Mode, WalkOrder, walk
from app.registry import LiveModel

_ANIMATIONS: dict[str, AnimationFormat] = {".webp": "webp", ".gif": "gif", ".apng": "apng", ".png": "apng"}
_MOST_FRAMES = 10_000


@click.command()
@click.argument("bundle", type=FOLDER)
@click.option("--seeds", callback=parse_seeds, metavar="LIST", help="Key frames: seeds and ranges, such as 1,2,7-9.")
@click.option("-n", "count", type=click.IntRange(2, 1000), help="This many key frames from fresh seeds instead.")
@click.option("--class-id", type=click.IntRange(0), help="Class of all frames; unset: that of the nearer key frame.")
@click.option("--truncation", type=click.FloatRange(0, 1), help="Truncation psi.")
@click.option("--steps", type=click.IntRange(1, _MOST_FRAMES), default=30, show_default=True, help="Frames a segment.")
@click.option("--mode", type=click.Choice(get_args(Mode)), help="Arc or line; unset: what suits the latent.")
@click.option("--easing", type=click.Choice(get_args(Easing)), default="linear", show_default=True)
@click.option("--loop", is_flag=True, help="Lead back to the first key frame, and play for ever.")
@click.option("--fps", type=click.FloatRange(1, 50), default=30.0, show_default=True, help="Frames a second.")
@click.option("--quality", type=click.IntRange(1, 100), default=90, show_default=True, help="Of WebP; 100: lossless.")
@click.option("--scale", type=click.IntRange(1, 16), default=1, show_default=True, help="Enlarge every pixel.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("walk.webp"),
    show_default=True,
    help="File to write: .webp, .gif, .apng, .png (animated), .zip of PNG frames, or .npy.",
)
@click.option("--json", "as_json", is_flag=True, help="Say what was made as JSON.")
@DEVICE
def interpolate(
    bundle: Path,
    *,
    seeds: list[int] | None,
    count: int | None,
    class_id: int | None,
    truncation: float | None,
    steps: int,
    mode: Mode | None,
    easing: Easing,
    loop: bool,
    fps: float,
    quality: int,
    scale: int,
    out: Path,
    as_json: bool,
    device: str,
) -> None:
    """Walk from image to image with the bundle in folder BUNDLE, without a server."""
    if (seeds is None) == (count is None):
        raise click.UsageError("give exactly one of --seeds and -n")
    kind = out.suffix.lower()
    if kind not in {*_ANIMATIONS, ".zip", ".npy"}:
        raise click.UsageError("--out ends in .webp, .gif, .apng, .png, .zip or .npy")
    keys = seeds if seeds is not None else draw_seeds(count or 0)
    if len(keys) * steps > _MOST_FRAMES:
        raise click.UsageError(f"a walk has at most {_MOST_FRAMES} frames")

    async def work(model: LiveModel) -> bytes:
        classes = None if class_id is None else [class_id] * len(keys)
        order = WalkOrder(model, keys, None, classes, truncation, steps, mode, easing, loop)
        images = (await walk(order, deadline=None)).images
        frames = enlarge([image.pixels for image in images], scale)
        text = {"model": model.label, "digest": model.digest, "seeds": ",".join(map(str, keys))}
        if kind == ".npy":
            return imaging.encode_npy(np.stack(frames))
        if kind == ".zip":
            psi = (1.0 if truncation is None else truncation) if model.manifest.truncation.supported else None
            return _zipped(images, frames, model, psi)
        return encode_animation(frames, _ANIMATIONS[kind], fps=fps, loop=loop, quality=quality, text=text)

    data = with_model(bundle, device, work)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(data)
    frame_count = len(keys) * steps if loop else (len(keys) - 1) * steps + 1
    if as_json:
        click.echo(json.dumps({"file": str(out), "frames": frame_count, "seeds": keys, "bytes": len(data)}))
    else:
        click.echo(f"{out}: {frame_count} frames, {len(data):,} bytes, seeds {','.join(map(str, keys))}")


def _zipped(images: list[GeneratedImage], frames: list[imaging.Pixels], model: LiveModel, psi: float | None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for index, (image, pixels) in enumerate(zip(images, frames, strict=True)):
            data = imaging.encode(pixels, "png", quality=90, text=image_text(image, model, psi))
            archive.writestr(zipfile.ZipInfo(f"{index:05d}.png"), data)
    return out.getvalue()
