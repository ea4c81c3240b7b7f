"""`gantrain calibrate`."""

from pathlib import Path

import click

from training.cli.measuring import data_of, load_like
from training.cli.reading import DATA_HELP
from training.cli.saying import say


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("models"), show_default=True, help="Model folder.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    help=f"{DATA_HELP} Its held-out images count. Default: data/ and the name of BUNDLE's set, if that is published.",
)
@click.option("--images", type=click.IntRange(min=2), default=None, help="Held-out images to use. Default: all.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=None,
    help="First of the generated images. Default: 2^31, far from those that samples and metrics use.",
)
@click.option(
    "--threads", type=click.IntRange(min=0), default=0, help="CPU threads; 0 leaves the choice to ONNX Runtime."
)
def calibrate(
    *, bundle: Path, out: Path, data: Path | None, images: int | None, seed: int | None, threads: int
) -> None:
    """Fit D's probability in BUNDLE on held-out images, and write the bundle's next version, which states it."""
    from bundle import read_bundle  # noqa: PLC0415 -- the others take seconds to import; --help does not need them
    from training.calibration import FIRST_SEED  # noqa: PLC0415
    from training.recalibration import recalibrate  # noqa: PLC0415

    manifest = read_bundle(bundle).manifest
    shape = (manifest.image.height, manifest.image.width, manifest.image.channels)
    target = recalibrate(
        bundle,
        out,
        load_like(data or data_of(manifest), shape),
        images=images,
        first_seed=FIRST_SEED if seed is None else seed,
        threads=threads,
        say=say,
    )
    click.echo(target)
