"""`ganserve completion`: what a shell needs in order to complete commands and flags."""

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_GANSERVE_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.pass_context
def completion(context: click.Context, shell: str | None) -> None:
    """Print the completion script of SHELL, by default that of $SHELL; evaluate it in the shell's start-up file.

    eval "$(ganserve completion bash)"
    """
    name = shell or Path(os.environ.get("SHELL", "")).name
    found = get_completion_class(name)
    if found is None:
        raise click.UsageError(f"which shell? One of {', '.join(_SHELLS)}")
    root = context.find_root()
    click.echo(found(root.command, {}, "ganserve", _VARIABLE).source())
