"""Each setting, metric, route, error code and flag is in the docs, and the docs name nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry

from app.api import problems
from app.cli import main as ganserve
from app.main import create_app
from app.metrics import Metrics
from app.settings import Settings, variable
from tests.architecture.checkout import ROOT, documents, files, text
from training.cli import main as gantrain
from training.config import PRESETS, TrainingConfig


def _rows(document: str) -> dict[str, list[str]]:
    """The cells of each table row by the code in its first cell."""
    rows = {}
    for line in text(document).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            for name in re.findall(r"`([^`]+)`", cells[0]):
                rows[name] = cells
    return rows


def _written(value: object) -> str:
    """A setting's value as the tables write it."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_in_the_configuration_page_with_its_default(field: str) -> None:
    rows = _rows("docs/configuration.md")
    assert variable(field) in rows
    assert rows[variable(field)][1].strip("`") == _written(Settings.model_fields[field].get_default())


def test_no_file_names_a_setting_that_does_not_exist() -> None:
    known = {variable(field) for field in Settings.model_fields}
    configured = [*documents(), Path("Dockerfile"), Path("docker-compose.yml"), Path("docker-compose.gpu.yml")]
    # A name that Kubernetes makes up, which the deployment page warns of.
    named = {name for path in configured for name in re.findall(r"GANSERVE_[A-Z_]*[A-Z]", text(path))}
    assert named - known == {"GANSERVE_SERVICE_HOST"}


def _series() -> dict[str, tuple[str, ...]]:
    series = {}
    for collector in vars(Metrics(CollectorRegistry())).values():
        for family in collector.describe() if hasattr(collector, "_labelnames") else ():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            series[name] = collector._labelnames
    return series


def test_every_metric_is_in_the_metrics_page_with_its_labels() -> None:
    rows = _rows("docs/metrics.md")
    assert len(_series()) >= 14
    for name, labels in _series().items():
        assert name in rows, name
        assert tuple(re.findall(r"`(\w+)`", rows[name][1])) == labels, name


def test_no_document_names_a_metric_that_does_not_exist() -> None:
    known = {f"{name}{suffix}" for name in _series() for suffix in ("", "_bucket", "_sum", "_count")}
    named = {name for path in documents() for name in re.findall(r"\bgan_[a-z_]+", text(path))}
    assert named <= known


def _routes() -> Iterator[tuple[str, str]]:
    schema = create_app(Settings.from_environment({})).openapi()
    for path, methods in schema["paths"].items():
        yield from ((method.upper(), path) for method in methods)


def test_every_route_is_in_the_api_page() -> None:
    api, routes = text("docs/http-api.md"), list(_routes())
    assert ("POST", "/generate") in routes
    missing = [f"{method} {path}" for method, path in routes if f"{method} {path}" not in api]
    assert missing == []


def test_every_error_code_is_in_the_api_page_beside_its_status() -> None:
    rows = [line for line in text("docs/http-api.md").splitlines() if line.startswith("|")]
    for row in {*problems.TABLE.values(), problems.INTERNAL, problems.NOT_LIVE}:
        assert any(f"`{row.code}`" in line and str(row.status) in line for line in rows), row.code


def _flags(group: click.Command) -> Iterator[tuple[str, str]]:
    for name, command in _commands(group):
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield from ((name, option) for option in (*parameter.opts, *parameter.secondary_opts))


def _commands(group: click.Command, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every subcommand by its words, those of subcommands included."""
    for name, command in group.commands.items() if isinstance(group, click.Group) else ():
        yield f"{before}{name}", command
        yield from _commands(command, f"{before}{name} ")


def test_every_training_command_and_flag_is_in_the_training_page() -> None:
    page = text("docs/training.md")
    flags = list(_flags(gantrain))
    assert {("fit", "--resume"), ("data check", "--samples")} <= set(flags)
    assert [command for command, _ in _commands(gantrain) if f"gantrain {command}" not in page] == []
    assert [flag for flag in flags if not re.search(rf"{flag[1]}\b", page)] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_the_training_page_states_the_value_of_every_setting_in_each_preset(preset: str) -> None:
    rows = _rows("docs/training.md")
    config = TrainingConfig.from_preset(preset, data=Path("data"))
    for field, value in config.model_dump(mode="json", exclude={"preset", "data"}).items():
        stated = rows[f"--{field.replace('_', '-')}"][2]
        if stated == "by preset":
            stated = rows[field][1 + list(PRESETS).index(preset)]
        assert stated == _written(value), field


def test_every_command_of_the_service_is_in_the_quickstart() -> None:
    assert isinstance(ganserve, click.Group)
    assert [name for name in ganserve.commands if f"ganserve {name}" not in text("docs/quickstart.md")] == []


def test_every_flag_of_the_service_is_a_setting_or_explained() -> None:
    settings = {f"--{field.replace('_', '-')}" for field in Settings.model_fields}
    served = {flag for name, flag in _flags(ganserve) if name == "serve"}
    assert settings <= served
    assert {flag for flag in served - settings if flag not in text("docs/configuration.md")} == set()


@pytest.mark.parametrize("document", documents(), ids=str)
def test_every_link_of_a_document_leads_to_a_file(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text(document)):
        if not re.match(r"[a-z]+:", target):
            name, _, anchor = target.partition("#")
            found = (ROOT / document.parent / name).resolve() if name else ROOT / document
            assert found.exists(), target
            headings = re.findall(r"^#+ (.*)$", found.read_text("utf-8"), re.MULTILINE) if anchor else []
            assert not anchor or anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


def test_every_decision_is_in_the_index() -> None:
    index = text("docs/adr/README.md")
    pages = [path.name for path in files() if path.parts[:2] == ("docs", "adr") and path.name[0].isdigit()]
    assert len(pages) >= 3
    assert [page for page in pages if f"({page})" not in index] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    readme = text("README.md")
    pages = [path for path in documents() if path.parts[0] == "docs" and len(path.parts) == 2]
    assert len(pages) >= 9
    assert [page for page in pages if f"({page})" not in readme] == []


def test_the_map_names_every_folder() -> None:
    contributing = text("CONTRIBUTING.md")
    folders = {path.parts[0] for path in files() if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    assert [folder for folder in sorted(folders) if f"`{folder}/`" not in contributing] == []


def test_the_routes_that_fastapi_knows_are_all_in_the_openapi_document_or_pages() -> None:
    hidden = {
        route.path
        for route in create_app(Settings.from_environment({})).routes
        if isinstance(route, APIRoute) and not route.include_in_schema
    }
    assert [path for path in sorted(hidden) if path not in text("docs/http-api.md")] == []
