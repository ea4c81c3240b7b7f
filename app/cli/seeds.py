"""Seeds as they are written on a command line."""

import re

import click

from bundle.latents import SEED_LIMIT

MOST = 1_000_000
"""Seeds of one command."""


def parse_seeds(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """`0-15,42` -> seeds."""
    if text is None:
        return None
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,10})(?:-([0-9]{1,10}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last >= SEED_LIMIT or len(seeds) + last - first >= MOST:
            raise click.BadParameter("seeds are whole numbers and ranges from 0 to 4294967295, such as 0-15,42")
        seeds.extend(range(first, last + 1))
    return seeds
