"""The `gantrain` command: one file for each of its subcommands."""

import sys
from typing import Any

import click

from bundle import BundleError
from training.cli.calibrate import calibrate
from training.cli.data import data
from training.cli.demo import demo
from training.cli.doctor import doctor
from training.cli.encoder import fit_encoder
from training.cli.evaluate import evaluate
from training.cli.export import export
from training.cli.extractor import fit_extractor
from training.cli.fit import fit
from training.cli.package import package
from training.errors import TrainingError


class _Commands(click.Group):
    """A group whose TrainingErrors end in one line and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- click's own signature
        try:
            return super().invoke(ctx)
        except (TrainingError, BundleError) as error:
            click.echo(f"gantrain: {error}", err=True)
            sys.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ganserve", prog_name="gantrain")
def main() -> None:
    """Train a GAN, measure it, and export it as a model bundle for ganserve."""


for _command in (fit, doctor, evaluate, export, package, fit_extractor, fit_encoder, calibrate, data, demo):
    main.add_command(_command)
