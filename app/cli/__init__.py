"""`ganserve`: serve models over HTTP, and work with bundles without a server; a file for each subcommand."""

from typing import Any

import click

from app import __version__
from app.cli.bench import bench
from app.cli.completion import completion
from app.cli.generate import generate_files
from app.cli.inspect import inspect
from app.cli.interpolate import interpolate
from app.cli.invert import invert_files
from app.cli.score import score
from app.cli.serve import serve
from app.cli.verify import verify
from app.errors import ServeError
from bundle import BundleError


class _Commands(click.Group):
    """Says what went wrong in one line, and exits non-zero."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- click's own signature
        try:
            return super().invoke(ctx)
        except (ServeError, BundleError) as error:
            details = "".join(f"; {item.location}: {item.message}" for item in getattr(error, "errors", ()))
            raise click.ClickException(f"{error}{details}") from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ganserve")
def main() -> None:
    """Serve generative adversarial networks from verified ONNX bundles."""


for command in (serve, generate_files, score, invert_files, interpolate, inspect, verify, bench, completion):
    main.add_command(command)
