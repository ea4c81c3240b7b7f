"""`ganserve score`: how real image files look to a bundle's discriminator."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from app import imaging
from app.cli.one_model import DEVICE, FOLDER, with_model
from app.discrimination import discriminate
from app.errors import RequestError
from app.registry import LiveModel

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MAX_PIXELS = 64 * 2**20


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("images", nargs=-1, required=True, type=_FILE)
@click.option("--class-id", type=click.IntRange(0), help="What the images are meant to show; unset: not stated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@DEVICE
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

    with_model(bundle, device, work)
