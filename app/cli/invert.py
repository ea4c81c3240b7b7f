"""`ganserve invert`: the latents whose images come nearest to image files, without a server."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from app import imaging
from app.api.answers import image_text
from app.api.invert import result_of
from app.cli.image_files import IMAGES, read_image, remark
from app.cli.one_model import DEVICE, FOLDER, with_model
from app.errors import EncoderUnavailable
from app.generation import GeneratedImage
from app.inversion import Inverse, invert
from app.registry import LiveModel

_PNG_LEVEL = 6


@click.command("invert")
@click.argument("bundle", type=FOLDER)
@IMAGES
@click.option(
    "--class-id", type=click.IntRange(0), help="Class to make the images with; unset: what the encoder finds."
)
@click.option(
    "--budget",
    type=click.IntRange(0, 2048),
    default=256,
    show_default=True,
    help="Candidates for each image that the search may look at; 0 leaves it at the encoder's guess.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write what the latents make to, a PNG for each image, under its name.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the latent.")
@DEVICE
def invert_files(
    bundle: Path,
    images: Sequence[Path],
    *,
    class_id: int | None,
    budget: int,
    out: Path | None,
    as_json: bool,
    device: str,
) -> None:
    """Find the latents whose images come nearest to IMAGES with the bundle in folder BUNDLE, without a server.

    A line for each image: the mean squared error of what the encoder guesses, that of what the search comes to, and
    the class.
    """
    targets = None if out is None else _targets(out, images)

    async def work(model: LiveModel) -> None:
        if model.encoder is None:
            raise EncoderUnavailable(f"{model.label} has no encoder; gantrain fit-encoder makes one")
        classes = None if class_id is None else [class_id]
        for index, path in enumerate(images):
            pixels, changes = read_image(path, model)
            (inverse,) = (await invert(model, pixels, class_ids=classes, budget=budget, deadline=None)).inverses
            written = {}
            if targets is not None:
                _write(targets[index], inverse, model)
                written = {"out": str(targets[index])}
            if as_json:
                result = result_of(index, inverse, changes, png_level=None)
                click.echo(json.dumps({"file": str(path), **result, **written}))
            else:
                found = "" if inverse.class_id is None else f"  class {inverse.class_id}"
                click.echo(f"{inverse.error_before:.5f} -> {inverse.error:.5f}{found}  {path}{remark(changes)}")

    with_model(bundle, device, work)


def _targets(folder: Path, images: Sequence[Path]) -> list[Path]:
    """A file in `folder` for each image. Raises UsageError where one of them is an image that is to be read."""
    stems = Counter(path.stem for path in images)
    numbered = [f"{index:06d}-{path.stem}" if stems[path.stem] > 1 else path.stem for index, path in enumerate(images)]
    targets = [folder / f"{name}.png" for name in numbered]
    read = {path.resolve() for path in images}
    for target in targets:
        if target.resolve() in read:
            raise click.UsageError(f"--out {folder} would overwrite {target}")
    return targets


def _write(path: Path, inverse: Inverse, model: LiveModel) -> None:
    """The image of a latent, which is in its text chunks as it is in those of generated images."""
    image = GeneratedImage(
        seed=None,
        class_id=inverse.class_id,
        pixels=inverse.pixels,
        latent=inverse.latent,
        realness=None,
        attempts=1,
        accepted=True,
    )
    text = image_text(image, model, 1.0 if model.manifest.truncation.supported else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(imaging.encode(inverse.pixels, "png", quality=90, text=text, png_level=_PNG_LEVEL))
