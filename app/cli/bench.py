"""`ganserve bench`: how fast a service is on this machine, and with `--tune` the settings that make it faster."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import click

from app import __version__
from app.bench import tables
from app.bench.load import Cell, Format, Outcome, Target, measure
from app.bench.server import HOST, ended_by_signals, require_reachable, serve
from app.bench.tuning import Plan, Tuned, tune
from app.processors import available_threads
from app.settings import variable

_SECONDS, _TUNING_SECONDS = 3.0, 1.5
_BUSY_CLIENT = 0.85


class _ListsCommand(click.Command):
    """Takes several values after an option, `--connections 1 16 64`; bench has no other words than options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its further values, which click itself wants."""
        lists = {name for option in self.params if getattr(option, "multiple", False) for name in option.opts}
        words: list[str] = []
        current, values = None, 0
        for word in args:
            if word.startswith("-"):
                current, values = (word if word in lists else None), 0
            elif current is not None:
                words += [current] if values else []
                values += 1
            words.append(word)
        return super().parse_args(ctx, words)


def _address(_: click.Context, __: click.Parameter, url: str | None) -> tuple[str, int] | None:
    """`http://host:port` -> host, port."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, 80 if parts.port is None else parts.port
    except ValueError:
        host, port = None, 0
    if host is None or parts.scheme != "http" or parts.path not in {"", "/"} or parts.query:
        raise click.BadParameter("a service is named like http://localhost:8000")
    return host, port


def _first_key(_: click.Context, __: click.Parameter, path: Path | None) -> str | None:
    if path is None:
        return None
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys or not keys[0].isascii() or not keys[0].isprintable():
        raise click.BadParameter(f"{path} holds no key")
    return keys[0]


_count = click.IntRange(1, 4096)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=_ListsCommand)
@click.option(
    "--connections",
    type=_count,
    multiple=True,
    default=(1, 16, 64),
    metavar="N...",
    help="Clients at a time, one load after the other; default: 1 16 64.",
)
@click.option(
    "--images", type=_count, multiple=True, default=(1,), metavar="N...", help="Images a request; default: 1."
)
@click.option(
    "--format", "image_format", type=click.Choice(["png", "jpeg", "webp", "npy"]), default="png", show_default=True
)
@click.option("--model", metavar="NAME", help="Model to ask for; unset: the service's default.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.05, 3600),
    help=f"How long to measure each load; default: {_SECONDS:g}, and {_TUNING_SECONDS:g} with --tune.",
)
@click.option("--warm-up", type=click.FloatRange(0, 3600), default=0.5, show_default=True, help="Seconds before that.")
@click.option("--models", metavar="PATH", help=f"Folder of model bundles; default: {variable('models')}, or models.")
@click.option(
    "--url",
    "address",
    callback=_address,
    metavar="http://HOST:PORT",
    help="Measure a service that runs already, under whatever settings and with its rate limits.",
)
@click.option(
    "--api-key-file", "api_key", type=_file, callback=_first_key, help="File whose first key goes to --url's service."
)
@click.option("--tune", "tuning", is_flag=True, help="Look for settings that suit this machine; stdout is an env file.")
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Of --tune, how often each is measured."
)
@click.option("--p99-limit-ms", type=click.FloatRange(0, min_open=True), help="Of --tune, no load's p99 may be longer.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Of --tune, file to write the settings to."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(
    *,
    connections: Sequence[int],
    images: Sequence[int],
    image_format: Format,
    model: str | None,
    seconds: float | None,
    warm_up: float,
    models: str | None,
    address: tuple[str, int] | None,
    api_key: str | None,
    tuning: bool,
    rounds: int,
    p99_limit_ms: float | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure a service: requests and images a second, and latencies, under several loads.

    Starts `ganserve serve` on a free port of this machine with the GANSERVE_* settings that it finds, but without
    keys and rate limits, and drives it over HTTP from as many clients as are asked for, which share its cores. Every
    request asks for new seeds, so that no cache answers. Exits with 1 when a load had no good answer.

    --tune tries layouts of the CPU sessions, then batch sizes, then queue delays, each candidate in turn with the
    best so far, and keeps what is faster by more than the rounds differ. It prints the settings that differ from the
    defaults as lines of an env file on stdout, and all else on stderr. It takes some minutes, and says how many.
    """
    if address is None and api_key is not None:
        raise click.UsageError("--api-key-file is for the service at --url")
    if tuning and address is not None:
        raise click.UsageError("--tune starts services of its own; it cannot change the one at --url")
    if not tuning and (out is not None or p99_limit_ms is not None):
        raise click.UsageError("--out and --p99-limit-ms are for --tune")
    _say_if_busy()
    target = Target(HOST, 0, image_format, model, api_key)
    cells = [Cell(count, size) for size in images for count in connections]
    environ = {**os.environ, **({} if models is None else {variable("models"): models})}
    with ended_by_signals():
        if tuning:
            window_s = seconds or _TUNING_SECONDS
            plan = Plan(environ, target, cells, warm_up, window_s, rounds, available_threads(), p99_limit_ms)
            _print_tuned(tune(plan, _say), out, as_json=as_json)
            return
        with _reached(target, address, environ) as reached:
            outcomes = [_measure(reached, cell, warm_up, seconds or _SECONDS) for cell in cells]
    _print(outcomes, as_json=as_json)
    if not all(outcome.good for outcome in outcomes):
        raise SystemExit(1)


@contextmanager
def _reached(target: Target, address: tuple[str, int] | None, environ: Mapping[str, str]) -> Iterator[Target]:
    """The target at `address`, or at a service of our own."""
    if address is not None:
        host, port = address
        require_reachable(host, port)
        yield replace(target, host=host, port=port)
        return
    with serve(environ) as served:
        _say(f"ganserve is ready after {served.start_s:.1f} s, on {', '.join(sorted(served.providers))}")
        yield replace(target, port=served.port)


def _measure(target: Target, cell: Cell, warm_up_s: float, seconds: float) -> Outcome:
    _say(f"connections {cell.connections}, images {cell.images}: {warm_up_s + seconds:g} s")
    outcome = measure(target, cell, warm_up_s=warm_up_s, seconds=seconds)
    if outcome.client_cpu_share > _BUSY_CLIENT:
        _say(f"  the clients took {outcome.client_cpu_share:.0%} of a core: the service could do more than they asked")
    return outcome


def _print(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    if as_json:
        found = {"version": __version__, "cpus": available_threads(), "loads": [one.as_json() for one in outcomes]}
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(tables.loads(outcomes))


def _print_tuned(found: Tuned, out: Path | None, *, as_json: bool) -> None:
    _say(f"\n{tables.stages(found.stages)}\n")
    if out is not None:
        out.write_text(found.env_file(), encoding="utf-8")
        _say(f"written to {out}")
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else found.env_file(), nl=as_json)


def _say_if_busy() -> None:
    load = os.getloadavg()[0]
    if load > 0.5:
        _say(f"the load average is {load:.1f}: figures taken beside other work mean little")


def _say(line: str) -> None:
    click.echo(line, err=True)
