"""What a subcommand says on its way, apart from its answer."""

import click


def say(line: str) -> None:
    """Write a line to stderr, since stdout is for what a script reads."""
    click.echo(line, err=True)
