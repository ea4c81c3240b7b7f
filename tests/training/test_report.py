import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.training.conftest import small_config
from training.data import Split
from training.game import Game, new_game
from training.loop import Report
from training.report import Reporter

DEADLINE_S = 10.0
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
REPORT = Report(
    images_seen=0,
    d_loss=0.755,
    g_loss=1.608,
    d_real=0.745,
    d_fake=0.279,
    d_sign=0.5,
    penalty=0.0,
    d_grad_norm=1.0,
    g_grad_norm=1.0,
    augment_p=0.0,
    images_per_s=380.4,
)


class Terminal:
    """A terminal of 80 columns that keeps what was written to it."""

    def __init__(self) -> None:
        self._written = io.StringIO()
        self.console = Console(file=self._written, force_terminal=True, width=80)

    def rows(self) -> list[str]:
        return CONTROL.sub("", self._written.getvalue().replace("\r", "\n")).splitlines()


@pytest.fixture
def game(digits: Split) -> Game:
    return new_game(small_config(kimg=1200), digits.train)


def test_a_terminal_of_80_columns_shows_all_figures(tmp_path: Path, game: Game) -> None:
    terminal = Terminal()
    with Reporter(tmp_path, game, console=terminal.console) as reporter:
        game.images_seen = 15_000
        reporter.report(REPORT)
    bar, figures = [row for row in terminal.rows() if row][-2:]
    assert re.fullmatch(r"\S+ 15/1200 kimg 0:00:\d\d left \S+ 380 img/s", bar.strip())
    assert figures == "D(x) 0.745  D(G(z)) 0.279  D loss 0.755  G loss +1.608  too early"


def test_the_bar_moves_between_reports(tmp_path: Path, game: Game) -> None:
    terminal = Terminal()
    with Reporter(tmp_path, game, console=terminal.console):
        game.images_seen = 123_000
        deadline = time.monotonic() + DEADLINE_S
        while not any("123/1200 kimg" in row for row in terminal.rows()):
            assert time.monotonic() < deadline, terminal.rows()
            time.sleep(0.01)  # another thread draws


def test_a_file_gets_a_line_a_report_and_no_bar(tmp_path: Path, game: Game) -> None:
    written = io.StringIO()
    with Reporter(tmp_path, game, console=Console(file=written, width=80)) as reporter:
        reporter.report(REPORT)
    line, rest = written.getvalue().split("\n", maxsplit=1)
    assert line == "     0.0 kimg  D(x) 0.745  D(G(z)) 0.279  D loss 0.755  G loss +1.608  380 img/s  too early"
    assert not rest.strip()
