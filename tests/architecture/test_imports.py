"""What may import what, where import-linter's contracts do not reach: third parties, their pins, their one place."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.checkout import files, text

PROJECT = tomllib.loads(text("pyproject.toml"))["project"]
OURS = {"app", "bundle", "training", "tests"}
HTTP = {"fastapi", "starlette", "uvicorn"}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(text(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module.split(".")[0]
    # A package that is used for the files in it.
    yield from re.findall(r'resources\.files\("(\w+)', text(path))


def _sources(folder: str) -> list[Path]:
    return [path for path in files() if path.suffix == ".py" and path.parts[0] == folder]


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


def test_only_the_engines_that_run_sessions_know_onnx_runtime() -> None:
    knowing = {path.stem for path in _sources("app") if "onnxruntime" in _imports(path)}
    assert knowing == {"onnx", "cuda", "bound"}


def test_only_the_http_edge_knows_the_web_framework() -> None:
    knowing = {str(path) for path in _sources("app") if HTTP & set(_imports(path))}
    assert knowing
    assert {name for name in knowing if not name.startswith("app/api/")} <= {"app/main.py", "app/cli.py"}


@pytest.mark.parametrize("folder", ["app", "bundle"])
def test_the_service_can_run_without_the_trainer_and_its_dependencies(folder: str) -> None:
    found = {name for path in _sources(folder) for name in _imports(path)}
    assert found & {"torch", "training", "onnx", "tensorboard", "rich", "safetensors"} == set()


@pytest.mark.parametrize(
    ("folder", "extras"), [("bundle", []), ("app", ["cpu"]), ("training", ["cpu", "training", "inception"])], ids=str
)
def test_what_is_imported_is_declared(folder: str, extras: list[str]) -> None:
    declared = _names(PROJECT["dependencies"])
    for extra in extras:
        declared |= _names(PROJECT["optional-dependencies"][extra])
    # What the web framework re-exports is its own and pinned with it.
    declared |= {"starlette", "pydantic-core"} if "fastapi" in declared else set()
    distributions = packages_distributions()
    imported = {name for path in _sources(folder) for name in _imports(path)} - OURS - sys.stdlib_module_names
    missing = {name for name in imported if not declared & _names(distributions.get(name, [name]))}
    assert missing == set()


def test_the_client_needs_httpx_and_nothing_else() -> None:
    client = tomllib.loads(text("client/pyproject.toml"))["project"]
    assert _names(client["dependencies"]) == {"httpx"}
    imported = {name for path in _sources("client") for name in _imports(path)} - sys.stdlib_module_names
    assert imported == {"ganserve_client", "httpx", "numpy"}


def test_what_is_declared_for_the_service_is_imported() -> None:
    distributions = packages_distributions()
    imported = {
        distribution
        for folder in ("app", "bundle")
        for path in _sources(folder)
        for name in _imports(path)
        for distribution in _names(distributions.get(name, []))
    }
    assert _names(PROJECT["dependencies"]) - imported == set()
