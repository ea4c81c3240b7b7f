"""`ganserve serve`: every setting as a flag, the sockets, the server, and what to say once it is ready."""

import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, get_args

import click
from prometheus_client import CollectorRegistry, start_http_server

from app import logs
from app.api.lifecycle import Lifecycle
from app.api.server import BACKLOG, DrainingServer
from app.api.service import Service
from app.errors import StartupError
from app.main import create_app
from app.registry import LiveModel
from app.settings import Settings, variable

logger = logging.getLogger(__name__)

# Requests leave few cycles behind: it is enough to look for them every ten thousand objects.
_GC_THRESHOLDS = (10_000, 20, 20)

Command = TypeVar("Command", bound=Callable[..., object])


def _settings_options(command: Command) -> Command:
    """An option for each setting, with the setting's own description, variable and default."""
    for name, field in reversed(Settings.model_fields.items()):
        default = field.default
        if isinstance(default, bool):
            default = "on" if default else "off"
        command = click.option(
            f"--{name.replace('_', '-')}",
            name,
            metavar=_metavar(field.annotation),
            help=f"{field.description}  [{variable(name)}; default: {'unset' if default is None else default}]",
        )(command)
    return command


def _metavar(annotation: object) -> str:
    if annotation is bool:
        return "on|off"
    choices = [str(choice) for choice in get_args(annotation) if isinstance(choice, str)]
    return "|".join(choices) if choices else {int: "N", float: "X", Path: "PATH"}.get(annotation, "VALUE")  # type: ignore[call-overload]  # any key may be asked for


@click.command()
@_settings_options
def serve(**flags: str | None) -> None:
    """Serve every model under the models folder over HTTP.

    Each option is also an environment variable; the option wins. SIGTERM drains: /readyz turns 503, requests
    under way end, and the process exits within the drain timeout. SIGHUP looks at the models folder again.
    """
    settings = Settings.from_environment(os.environ, **flags)
    logs.configure(settings.log_format, settings.log_level)
    app = create_app(settings)
    service: Service = app.state.service
    listener = _listen(settings.host, settings.port)
    if settings.metrics_port is not None:
        _serve_metrics(settings.host, settings.metrics_port, service.metrics.registry)
    url = _url(settings.host, listener.getsockname()[1])
    server = DrainingServer(
        app,
        service.lifecycle,
        gate=service.gate,
        drain_timeout_s=settings.drain_timeout_s,
        on_ready=lambda: _ready(url, service.registry.default, settings),
    )
    # uvicorn raises the signal again once it has shut down; by then it has been obeyed.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    # What the signal would do by itself, ending the process, is no answer to a new model.
    signal.signal(signal.SIGHUP, lambda *_: service.reloader.request())
    server.run(sockets=[listener])
    _require_started(service.lifecycle)


def _require_started(lifecycle: Lifecycle) -> None:
    if isinstance(lifecycle.failure, StartupError):
        raise lifecycle.failure
    if lifecycle.failure is not None:
        raise click.ClickException("the models could not be loaded; the log says why")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartupError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None


def _serve_metrics(host: str, port: int, registry: CollectorRegistry) -> None:
    try:
        start_http_server(port, host, registry)
    except OSError as error:
        raise StartupError(f"cannot serve metrics on {host} port {port}: {error.strerror or error}") from None


def _url(host: str, port: int) -> str:
    """Where a browser on this machine finds the service."""
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104 -- compared, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _ready(url: str, model: LiveModel, settings: Settings) -> None:
    # What is loaded by now stays: looking through all of it again and again took a tenth of a small request's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    _announce(url, model, settings)


def _announce(url: str, model: LiveModel, settings: Settings) -> None:
    places = {"playground": f"{url}/"} if settings.playground else {}
    places |= {"docs": f"{url}/docs", "image": f"{url}/images/{model.name}/42.png"}
    if settings.log_format == "json":
        logger.info("ready", extra=places)
        return
    rows = "".join(f"  {name:10} {place}\n" for name, place in places.items())
    click.echo(f"\nganserve is ready: {model.label} on {model.provider}\n{rows}", err=True)
