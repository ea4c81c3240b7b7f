"""`ganserve score`: how real image files look to a bundle's discriminator."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from app.cli.image_files import IMAGES, read_image, remark
from app.cli.one_model import DEVICE, FOLDER, with_model
from app.discrimination import discriminate
from app.registry import LiveModel


@click.command()
@click.argument("bundle", type=FOLDER)
@IMAGES
@click.option("--class-id", type=click.IntRange(0), help="What the images are meant to show; unset: not stated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@DEVICE
def score(bundle: Path, images: Sequence[Path], *, class_id: int | None, as_json: bool, device: str) -> None:
    """Say how real IMAGES look to the discriminator of the bundle in folder BUNDLE, without a server."""

    async def work(model: LiveModel) -> None:
        classes = None if class_id is None else [class_id]
        for path in images:
            pixels, changes = read_image(path, model)
            found = await discriminate(model, pixels, class_ids=classes, want_features=False, deadline=None)
            verdict = found.scores[0]
            if as_json:
                line = {"file": str(path), "logit": verdict.logit, "realness": verdict.realness, "changes": changes}
                click.echo(json.dumps(line))
            else:
                click.echo(f"{verdict.realness:.4f}  {path}{remark(changes)}")

    with_model(bundle, device, work)
