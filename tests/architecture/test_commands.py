"""The commands that documents show exist, and take the flags that they are shown with."""

import itertools
import re
from pathlib import Path

import click
import pytest

from app.cli import main as ganserve
from tests.architecture.checkout import ROOT, documents, shown_commands, text
from training.cli import main as gantrain

COMMANDS: dict[str, click.Command] = {"ganserve": ganserve, "gantrain": gantrain}
TARGETS = frozenset(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
ELSEWHERE = frozenset({"chmod", "cp", "curl", "docker", "mv", "npm", "pip", "python3", "tar"})


@pytest.mark.parametrize("document", documents(), ids=str)
def test_every_command_in_a_document_is_one_that_exists(document: Path) -> None:
    for words in shown_commands(document):
        program = Path(words[0]).name
        if program in COMMANDS:
            _parse(COMMANDS[program], words[1:])
        elif program == "make":
            targets = {word for word in words[1:] if "=" not in word}
            assert targets <= TARGETS, words
        else:
            assert program in ELSEWHERE, words


def _parse(command: click.Command, arguments: list[str]) -> None:
    """Parse without running and without looking for files; click raises UsageError for what it does not take."""
    context = click.Context(command)
    while isinstance(command, click.Group) and not arguments[0].startswith("-"):
        _, subcommand, arguments = command.resolve_command(context, arguments)
        assert subcommand is not None
        command, context = subcommand, click.Context(subcommand, parent=context)
    command.make_parser(context).parse_args(list(arguments))


def test_the_readme_shows_the_shortest_way_from_nothing_to_an_image_and_to_a_model() -> None:
    shown = [words[:2] for words in shown_commands("README.md")]
    assert shown[0] == ["make", "serve"]
    assert shown[1][0] == "curl"
    for words in (["gantrain", "fit"], ["gantrain", "export"], ["ganserve", "serve"], ["docker", "compose"]):
        assert words in shown


def test_every_make_target_says_what_it_does() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text("Makefile"), re.MULTILINE)
    explained = set(re.findall(r"^([a-z-]+):.*## \S", text("Makefile"), re.MULTILINE))
    assert set(phony.split()) == explained == TARGETS


def test_compose_files_that_documents_name_exist() -> None:
    for document in documents():
        for words in shown_commands(document):
            for flag, value in itertools.pairwise(words):
                if words[:2] == ["docker", "compose"] and flag == "-f":
                    assert (ROOT / value).is_file(), value


def test_continuous_integration_calls_the_targets_that_people_call() -> None:
    for path in (".ci/run", ".github/workflows/ci.yml"):
        called = set(re.findall(r"\bmake ([a-z-]+)", text(path)))
        assert {"check", "test", "compose-test"} <= called <= TARGETS
