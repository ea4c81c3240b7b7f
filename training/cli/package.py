"""`gantrain package`."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from training.cli.export import MODEL_NAME
from training.cli.measuring import EXTRACTOR, extractor_for, load_like
from training.cli.saying import say
from training.errors import ConfigError

if TYPE_CHECKING:
    from training.data import Split
    from training.metrics.features import AnyExtractor

_RANGES = click.Choice(["-1,1", "0,1", "0,255"])
_LAYOUTS = click.Choice(["nchw", "nhwc"])


def _fixed(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, float]:
    """`alpha=1` -> {"alpha": 1.0}."""
    found = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            sign = ""
        if not sign or not name:
            raise click.BadParameter("takes NAME=VALUE, such as alpha=1")
    return found


@click.command("package")
@click.argument("generator", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the model, in lower case, digits and hyphens.")
@click.option("--license", "licence", required=True, help="Licence of the weights, as their makers state it.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("models"), show_default=True, help="Model folder.")
@click.option("--version", "number", type=click.IntRange(min=1), default=None, help="Default: the next free one.")
@click.option("--dataset", default=None, help="What it was trained on, for the card; default: --data's name.")
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data set to calibrate and measure on.")
@EXTRACTOR
@click.option("--z-input", default=None, help="The input that is z.")
@click.option("--z-dim", type=click.IntRange(min=1), default=None, help="Length of z, where the graph does not say.")
@click.option(
    "--latent", type=click.Choice(["normal", "uniform"]), default="normal", show_default=True, help="Distribution of z."
)
@click.option("--class-input", default=None, help="The input that is the class, as ids or one-hot.")
@click.option("--classes", default=None, metavar="FILE|N", help="Names of the classes, one a line, or their number.")
@click.option("--truncation-input", default=None, help="The input that is the truncation psi.")
@click.option(
    "--truncation",
    type=click.Choice(["auto", "none", "input", "scale-z"]),
    default="auto",
    show_default=True,
    help="Serve none, the graph's own input (auto: where there is one), or psi * z.",
)
@click.option("--fix", "fixed", multiple=True, callback=_fixed, metavar="NAME=VALUE", help="One value for an input.")
@click.option("--freeze-noise", type=click.IntRange(0, 2**32 - 1), default=None, help="Draw noise once with this seed.")
@click.option("--image-output", default=None, help="The output that is the image.")
@click.option("--range", "range_", type=_RANGES, default=None, help="What black and white are; default: found out.")
@click.option("--layout", type=_LAYOUTS, default=None, help="Order of the image's axes; default: found out.")
@click.option("--discriminator", type=click.Path(path_type=Path), default=None, help="ONNX file of a discriminator.")
@click.option("--d-image-input", default=None, help="D's input that is the image.")
@click.option("--d-class-input", default=None, help="D's input that is the class.")
@click.option("--d-output", default=None, help="D's output that is the score.")
@click.option(
    "--d-scale",
    type=click.Choice(["logit", "probability"]),
    default=None,
    help="What the score is; default: found out.",
)
@click.option("--d-range", type=_RANGES, default=None, help="What D takes for black and white; default: as G's.")
@click.option("--d-layout", type=_LAYOUTS, default=None, help="Order of the axes that D takes; default: found out.")
@click.option("--features-output", default=None, help="D's tensor that is its features; default: `features`, if any.")
def package(
    *,
    generator: Path,
    name: str,
    licence: str,
    out: Path,
    number: int | None,
    dataset: str | None,
    data: Path | None,
    extractor: Path | None,
    z_input: str | None,
    z_dim: int | None,
    latent: Literal["normal", "uniform"],
    class_input: str | None,
    classes: str | None,
    truncation_input: str | None,
    truncation: Literal["auto", "none", "input", "scale-z"],
    fixed: dict[str, float],
    freeze_noise: int | None,
    image_output: str | None,
    range_: Literal["-1,1", "0,1", "0,255"] | None,
    layout: Literal["nchw", "nhwc"] | None,
    discriminator: Path | None,
    d_image_input: str | None,
    d_class_input: str | None,
    d_output: str | None,
    d_scale: Literal["logit", "probability"] | None,
    d_range: Literal["-1,1", "0,1", "0,255"] | None,
    d_layout: Literal["nchw", "nhwc"] | None,
    features_output: str | None,
) -> None:
    """Turn the ONNX file GENERATOR, trained elsewhere, into a model bundle that is proven equal to it."""
    from training.packaging.discriminator import DiscriminatorOptions  # noqa: PLC0415
    from training.packaging.generator import GeneratorOptions  # noqa: PLC0415
    from training.packaging.package import PackageOrder  # noqa: PLC0415
    from training.packaging.package import package as run_package  # noqa: PLC0415
    from training.packaging.ports import GeneratorNames  # noqa: PLC0415

    if not MODEL_NAME.fullmatch(name):
        raise ConfigError("--name takes lower-case letters, digits and hyphens")
    if extractor is not None and data is None:
        raise ConfigError("--extractor measures on a data set: name that with --data")
    judging = DiscriminatorOptions(d_image_input, d_class_input, d_output, features_output, d_scale, d_layout, d_range)
    if discriminator is None and judging != DiscriminatorOptions():
        raise ConfigError("--d-... and --features-output describe a discriminator: name its file with --discriminator")
    order = PackageOrder(
        name=name,
        licence=licence,
        version=number,
        dataset=dataset,
        generator=GeneratorOptions(
            names=GeneratorNames(z_input, class_input, truncation_input, image_output, fixed),
            z_dim=z_dim,
            distribution=latent,
            classes=_class_names(classes),
            truncation=truncation,
            layout=layout,
            range=range_,
            freeze_noise=freeze_noise,
        ),
        discriminator=judging,
    )

    def measure_on(shape: tuple[int, int, int]) -> "tuple[Split, AnyExtractor | None]":
        split = load_like(data or Path(), shape)
        return split, extractor_for(extractor, split)

    target = run_package(
        generator,
        discriminator,
        out,
        order,
        measure_on=None if data is None else measure_on,
        say=say,
    )
    click.echo(target)


def _class_names(text: str | None) -> tuple[str, ...] | int | None:
    """`10`, or a file with a name on each line."""
    if text is None or text.isdigit():
        if text is not None and not 1 <= int(text) <= 100_000:
            raise ConfigError("--classes takes a number from 1 to 100000, or a file")
        return None if text is None else int(text)
    try:
        names = tuple(line.strip() for line in Path(text).read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--classes: {text} cannot be read ({type(error).__name__})") from None
    if not names:
        raise ConfigError(f"--classes: {text} names no class")
    return names
