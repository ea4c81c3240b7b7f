"""`gantrain fit-encoder`."""

from pathlib import Path

import click

from training.cli.measuring import load_like
from training.cli.reading import DATA_HELP
from training.cli.saying import say


@click.command("fit-encoder")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("models"), show_default=True, help="Model folder.")
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    default=None,
    help="The run that BUNDLE was exported from: E then learns from reconstructions of real images as well.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    help=f"{DATA_HELP} Its held-out images measure E. Default: that of --run.",
)
@click.option("--kimg", type=click.FloatRange(min=0, min_open=True), default=400.0, show_default=True, help="To show.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of weights and latents.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="CPU threads; 0 leaves the choice to torch.")
def fit_encoder(
    *, bundle: Path, out: Path, run: Path | None, data: Path | None, kimg: float, seed: int, threads: int
) -> None:
    """Train an encoder for BUNDLE, image -> z and class, and write the bundle's next version, which has it."""
    import torch  # noqa: PLC0415 -- takes seconds to import; --help does not need it

    from training.encoder import Course  # noqa: PLC0415
    from training.inversion import fit_encoder as fit  # noqa: PLC0415
    from training.players import OnnxPlayers, TorchPlayers  # noqa: PLC0415

    if threads:
        torch.set_num_threads(threads)
    teacher = None if run is None else TorchPlayers(run, device="cpu")
    where = data if data is not None or teacher is None else teacher.config.data
    split = None if where is None else load_like(where, OnnxPlayers(bundle).shape)
    target = fit(
        bundle,
        out,
        Course(kimg=kimg, seed=seed),
        run=teacher,
        split=split,
        threads=threads,
        say=say,
    )
    click.echo(target)
