"""The search on machines whose speed is known."""

from collections.abc import Callable, Sequence

import pytest

from app.bench.candidates import DEFAULTS, Candidate
from app.bench.load import Cell, Target
from app.bench.search import Search, Step, trials
from app.bench.tables import stages
from app.bench.tuning import Plan, Tuned
from app.bench.verdict import Round
from app.errors import StartupError
from app.settings import Settings
from tests.app.bench.outcomes import outcome

ONE, TWO = Candidate({"threads": 1}), Candidate({"threads": 2})
SMALL = {"max_batch_size": 16}
STEPS: Sequence[Step] = [
    ("layout", lambda _: [ONE, TWO]),
    ("batch size", lambda best: [Candidate({**best.values, **SMALL})]),
]


def _rate(rates: dict[str, float]) -> Callable[[Candidate], Round]:
    """A machine that is as fast as stated for each candidate, and 100 images/s for others."""
    return lambda candidate: [outcome(rates.get(str(candidate), 100.0))]


def test_each_step_goes_on_from_the_winner_of_the_one_before() -> None:
    search = Search(_rate({"threads=1": 130, "threads=2": 120, "threads=1 max_batch_size=16": 150}), rounds=2)
    assert search.run(STEPS) == Candidate({"threads": 1, **SMALL})
    assert [str(stage.tried[0].candidate) for stage in search.stages] == ["defaults", "threads=1", "defaults"]


def test_the_defaults_stand_where_nothing_is_faster() -> None:
    search = Search(_rate({"threads=1": 90}), rounds=2)
    assert search.run(STEPS) == DEFAULTS
    assert [stage.name for stage in search.stages] == ["layout", "batch size"]


def test_candidates_take_turns_and_each_is_first_once() -> None:
    order: list[str] = []

    def measure(candidate: Candidate) -> Round:
        order.append(str(candidate))
        return [outcome()]

    Search(measure, rounds=3).run(STEPS[:1])
    line = ["defaults", "threads=1", "threads=2"]
    assert order == [*line, *line[1:], *line[:1], *line[2:], *line[:2]]


def test_a_winner_that_was_only_lucky_does_not_survive_a_second_look() -> None:
    luck = iter([200.0, 200.0])

    def measure(candidate: Candidate) -> Round:
        return [outcome(next(luck, 100.0) if candidate == ONE else 100.0)]

    search = Search(measure, rounds=2)
    assert search.run(STEPS[:1]) == DEFAULTS
    assert search.stages[-1].name == "the winner again"
    assert search.stages[0].tried[1].won


def test_a_candidate_that_does_not_start_is_out_and_not_tried_again() -> None:
    tries = 0

    def measure(candidate: Candidate) -> Round:
        nonlocal tries
        if candidate == ONE:
            tries += 1
            raise StartupError("too little memory")
        return [outcome(200.0 if candidate == TWO else 100.0)]

    search = Search(measure, rounds=3)
    assert search.run(STEPS[:1]) == TWO
    assert tries == 1
    assert "out: too little memory" in stages(search.stages)


def test_defaults_that_do_not_start_end_the_search() -> None:
    def measure(_: Candidate) -> Round:
        raise StartupError("no models")

    with pytest.raises(StartupError, match="no models"):
        Search(measure, rounds=3).run(STEPS)


def test_a_service_that_refuses_everything_ends_the_search_at_once() -> None:
    calls = 0

    def measure(_: Candidate) -> Round:
        nonlocal calls
        calls += 1
        return [outcome(0.0, errors=7)]

    with pytest.raises(StartupError, match="503: 7"):
        Search(measure, rounds=3).run(STEPS)
    assert calls == 1


def test_a_fast_candidate_with_errors_or_a_long_p99_is_not_chosen() -> None:
    def measure(candidate: Candidate) -> Round:
        if candidate == ONE:
            return [outcome(300.0, errors=1)]
        return [outcome(200.0, p99_ms=50.0) if candidate == TWO else outcome()]

    search = Search(measure, rounds=2, p99_limit_ms=20)
    assert search.run(STEPS[:1]) == DEFAULTS
    assert "out: 2 errors" in stages(search.stages)
    assert "out: p99 50.0 ms" in stages(search.stages)


def test_where_the_defaults_miss_the_limit_the_fastest_that_keeps_it_is_chosen() -> None:
    def measure(candidate: Candidate) -> Round:
        rate = {"threads=1": 80.0, "threads=2": 90.0}.get(str(candidate), 100.0)
        return [outcome(rate, p99_ms=50.0 if candidate == DEFAULTS else 5.0)]

    assert Search(measure, rounds=2, p99_limit_ms=20).run(STEPS[:1]) == TWO


def test_a_search_takes_as_many_measurements_as_were_announced() -> None:
    calls = 0

    def measure(candidate: Candidate) -> Round:
        nonlocal calls
        calls += 1
        return [outcome(150.0 if candidate == ONE else 100.0)]

    Search(measure, rounds=3).run(STEPS)
    assert calls == trials(STEPS, 3)


def _tuned(measure: Callable[[Candidate], Round], *, rounds: int = 2, p99_limit_ms: float | None = None) -> Tuned:
    search = Search(measure, rounds, p99_limit_ms)
    best = search.run(STEPS)
    plan = Plan({}, Target("127.0.0.1", 0), [Cell(1, 1)], 0.0, 1.0, rounds, cpus=2)
    return Tuned(plan, best, search.stages)


def test_the_settings_are_an_env_file_that_the_service_takes() -> None:
    text = _tuned(_rate({"threads=1": 130, "threads=1 max_batch_size=16": 150})).env_file()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert "+50 %" in comments[1]
    assert lines == ["GANSERVE_THREADS=1", "GANSERVE_MAX_BATCH_SIZE=16"]
    settings = Settings.from_environment(dict(line.split("=") for line in lines))
    assert (settings.threads, settings.max_batch_size) == (1, 16)


def test_where_the_defaults_stand_the_env_file_says_why_and_sets_nothing() -> None:
    text = _tuned(_rate({})).env_file()
    assert all(line.startswith("#") for line in text.splitlines())
    assert "the defaults stand: nothing beat them" in text
    assert "one round cannot tell" in _tuned(_rate({"threads=1": 900}), rounds=1).env_file()


def test_where_nothing_keeps_the_p99_limit_that_is_said() -> None:
    found = _tuned(lambda _: [outcome(p99_ms=50.0)], p99_limit_ms=20)
    assert found.best == DEFAULTS
    assert found.reason() == "the defaults stand, for want of another: p99 50.0 ms at 1 connections"
    assert "stands, for want of another" in stages(found.stages)


def test_settings_that_are_slower_but_keep_the_limit_say_what_the_defaults_did() -> None:
    def measure(candidate: Candidate) -> Round:
        return [outcome(80.0)] if candidate == ONE else [outcome(p99_ms=50.0)]

    found = _tuned(measure, p99_limit_ms=20)
    assert found.best == ONE
    assert found.reason().startswith("images/s against the defaults: -20 % ")
    assert found.reason().endswith("which are out: p99 50.0 ms at 1 connections")
