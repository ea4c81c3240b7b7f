"""What holds for the repository as a whole: one version, one set of pins, nothing of the machine it was written on."""

import re

import pytest

from app import __version__
from tests.architecture.checkout import ROOT, files, text

LOCKS = ("requirements/service-cpu.txt", "requirements/service-gpu.txt", "requirements/build.txt")
# Written in pieces, so that this file does not hold what it looks for.
FOREIGN = ("pypi" + ".org", "python" + "hosted", "extra-" + "index-url", "/work" + "/", "/root" + "/", "/ho" + "me/")


def _pins(path: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", text(path), re.MULTILINE))


def test_nothing_names_a_registry_or_a_path_of_one_machine() -> None:
    for path in files():
        data = (ROOT / path).read_bytes()
        if b"\0" not in data:
            assert [word for word in FOREIGN if word.encode() in data] == [], path


def test_the_version_is_the_same_everywhere() -> None:
    newest = re.findall(r"^## \[(\d[^\]]*)\]", text("CHANGELOG.md"), re.MULTILINE)[0]
    label = re.findall(r'image\.version="([^"]+)"', text("Dockerfile"))
    tags = {
        tag
        for path in ("docker-compose.yml", "docker-compose.gpu.yml", "docs/deployment.md")
        for tag in re.findall(r"ganserve:(\d[\w.]*)-(?:cpu|gpu)", text(path))
    }
    assert {newest, *label, *tags} == {__version__}
    assert f"Version {__version__}" in text("README.md")


def test_every_dependency_has_one_exact_pin() -> None:
    lines = [line for line in text("constraints.txt").splitlines() if line and not line.startswith("#")]
    names = [line.split("==")[0] for line in lines]
    assert all(re.fullmatch(r"[a-z0-9-]+==[^\s;+]+( ; .*)?", line) for line in lines)
    assert len(names) == len(set(names))
    assert {"torch", "onnxruntime", "onnxruntime-gpu", "fastapi", "pytest", "setuptools"} <= set(names)


@pytest.mark.parametrize("lock", LOCKS)
def test_the_image_installs_the_pinned_versions_by_hash(lock: str) -> None:
    pins, locked = _pins("constraints.txt"), _pins(lock)
    assert locked
    assert {name: version for name, version in locked.items() if pins.get(name) != version} == {}
    entries = re.split(r"\n(?=\S)", text(lock).strip())
    assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("runtime", ["cpu", "gpu"])
def test_the_image_has_one_build_of_onnx_runtime_and_no_torch(runtime: str) -> None:
    locked = _pins(f"requirements/service-{runtime}.txt")
    assert {"onnxruntime", "onnxruntime-gpu"} & set(locked) == {
        "onnxruntime" if runtime == "cpu" else "onnxruntime-gpu"
    }
    assert {"torch", "onnx", "tensorboard"} & set(locked) == set()


def test_the_python_versions_agree() -> None:
    pyproject = text("pyproject.toml")
    assert 'requires-python = ">=3.11"' in pyproject
    assert "(3, 11)" in text("Makefile")
    assert "--python-version 3.11" in text("Makefile")
    (image,) = re.findall(r"^ARG BASE=python:(\d\.\d+)-", text("Dockerfile"), re.MULTILINE)
    assert f"--python-version {image}" in text("Makefile")
    tested = re.findall(r"python: \[(.*)\]", text(".github/workflows/ci.yml"))[0]
    assert set(re.findall(r'"([\d.]+)"', tested)) == set(re.findall(r"Python :: (3\.\d+)", pyproject))
