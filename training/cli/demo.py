"""`gantrain demo`."""

from pathlib import Path

import click


@click.command()
@click.argument("what", type=click.Choice(["equilibrium"]))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/equilibrium"),
    show_default=True,
    help="Folder to fill.",
)
@click.option("--steps", type=click.IntRange(min=10), default=1500, show_default=True, help="Steps of G in each game.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
def demo(*, what: str, out: Path, steps: int, seed: int) -> None:
    """Show the theory at work: `equilibrium` plays on densities that are known, and draws how p_g comes to p_data."""
    import torch  # noqa: PLC0415 -- torch takes seconds to import; --help does not need it

    from training.equilibrium import GAUSSIAN, TWO_GAUSSIANS, Moment, course  # noqa: PLC0415
    from training.equilibrium_figure import figure, save_animation, save_figure  # noqa: PLC0415

    torch.set_num_threads(1)  # the networks are too small to share
    moments, x = 24, torch.linspace(-4, 4, 241)
    names = ("one Gaussian", "two Gaussians")
    games: list[list[Moment]] = []
    for name, data in zip(names, (GAUSSIAN, TWO_GAUSSIANS), strict=True):
        games.append([])
        for moment in course(data, x, steps=steps, moments=moments, seed=seed):
            games[-1].append(moment)
            click.echo(f"{name:13}  step {moment.step:5}  W1 {moment.wasserstein:.3f}  D(G(z)) {moment.d_fake:.3f}")
    out.mkdir(parents=True, exist_ok=True)
    shown = (0, moments // 6, moments // 2, moments)
    save_figure(figure([[game[number] for number in shown] for game in games], names), out / f"{what}.png")
    save_animation(games, names, out / f"{what}.webp")
    click.echo(out / f"{what}.png")
    click.echo(out / f"{what}.webp")
