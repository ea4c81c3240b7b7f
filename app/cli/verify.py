"""`ganserve verify`: whether bundles may be served here."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from app.cli.one_model import DEVICE, FOLDER, with_model
from app.errors import ServeError
from app.registry import LiveModel
from bundle import BundleError


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=FOLDER, metavar="BUNDLE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@DEVICE
def verify(bundles: Sequence[Path], *, as_json: bool, device: str) -> None:
    """Load each BUNDLE as the service would, and say whether it may be served on this machine.

    Every file's SHA-256, the graphs' inputs and outputs, and the golden images, which the generator has to make again.
    Exit status 1 when one of them fails.
    """
    failed = False
    for bundle in bundles:
        line: dict[str, object] = {"bundle": str(bundle)}
        try:
            line |= with_model(bundle, device, _described)
        except (ServeError, BundleError) as error:
            failed = True
            line["error"] = str(error)
        if as_json:
            click.echo(json.dumps(line))
        elif "error" in line:
            click.echo(f"FAILED  {bundle}: {line['error']}")
        else:
            click.echo(f"ok      {bundle}: {line['model']} on {line['provider']}, {line['golden']} golden images")
    sys.exit(1 if failed else 0)


async def _described(model: LiveModel) -> dict[str, object]:
    golden = len(model.manifest.golden.seeds)
    return {"model": model.label, "digest": model.digest, "provider": model.provider, "golden": golden}
