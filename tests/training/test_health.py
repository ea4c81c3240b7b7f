"""Each verdict at the edges of its rules, on figures made up for it."""

import itertools
import math
from dataclasses import replace
from typing import Any

import click
import pytest

from tests.training.conftest import DIGITS
from training.cli.fit import fit
from training.config import TrainingConfig
from training.metrics import health
from training.metrics.diversity import Diversity
from training.metrics.health import BALANCED, Diagnosis, Figures, Lines, diagnose, glance
from training.metrics.remedies import remedy

GOOD = Diversity(
    coverage=0.9, coverage_of_real=1.0, modes=50, spread=0.95, plausible=0.95, copied=0.01, images=1000, space="pixels"
)


def _history(count: int = 20, **changes: float) -> Lines:
    """A game in balance that has reached its length, but for `changes` in every line."""
    line = {"d_loss": 1.2, "g_loss": 0.8, "d_real": 0.56, "d_fake": 0.45, "d_grad_norm": 0.5, "g_grad_norm": 0.5}
    return [{"images_seen": 1000 * (n + 1), **line, **changes} for n in range(count)]


def _figures(**changes: Any) -> Figures:  # noqa: ANN401 -- any field of Figures
    return replace(Figures(_history(), "non-saturating", planned_images=20_000, diversity=GOOD), **changes)


def _verdict(**changes: Any) -> str:  # noqa: ANN401 -- as above
    return diagnose(_figures(**changes)).verdict


def test_a_game_in_balance_with_various_images_is_healthy_and_says_why() -> None:
    diagnosis = diagnose(_figures())
    assert diagnosis.verdict == "healthy"
    told = " ".join(map(str, diagnosis.evidence))
    assert "mean D(x): 0.56" in told
    assert "modes reached" in told


def test_the_record_alone_is_enough_for_a_verdict() -> None:
    assert _verdict(diversity=None) == "healthy"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["d_loss", "g_grad_norm"])
def test_a_last_report_that_is_not_finite_is_divergence_and_names_the_figure(name: str, value: float) -> None:
    history = [*_history(), {"images_seen": 21_000, name: value}]
    diagnosis = diagnose(_figures(history=history))
    assert diagnosis.verdict == "diverging"
    assert name in str(diagnosis.evidence[0])


def test_what_stopped_a_run_is_quoted() -> None:
    stopped = {"reason": "diverged", "images_seen": 9000, "what": "g_loss is nan"}
    diagnosis = diagnose(_figures(stopped=stopped, history=[]))
    assert diagnosis.verdict == "diverging"
    assert "g_loss is nan" in str(diagnosis.evidence[0])


def test_an_interrupted_run_has_not_diverged() -> None:
    stopped = {"reason": "interrupted", "images_seen": 9000, "what": "SIGINT"}
    assert _verdict(stopped=stopped, planned_images=30_000) == "not converged yet"


@pytest.mark.parametrize(("size", "verdict"), [(health.EXPLODED, "healthy"), (2 * health.EXPLODED, "diverging")])
def test_losses_beyond_all_measure_are_divergence(size: float, verdict: str) -> None:
    assert _verdict(history=_history(g_loss=-size)) == verdict


def test_a_critic_may_have_larger_losses_and_win_by_far() -> None:
    history = _history(d_loss=-2 * health.EXPLODED, g_loss=50.0, d_real=1.0, d_fake=0.0)
    assert _verdict(history=history, loss="wasserstein") == "healthy"
    assert _verdict(history=_history(d_loss=-2 * health.EXPLODED_CRITIC), loss="wasserstein") == "diverging"


@pytest.mark.parametrize("loss", BALANCED)
@pytest.mark.parametrize(
    ("part", "verdict"),
    [
        (0.9 * health.BEATEN, "D overpowers G"),
        (1.1 * health.BEATEN, "healthy"),
        (0.99 * health.FOOLED, "healthy"),
        (1.01 * health.FOOLED, "G exploits D"),
    ],
)
def test_ds_loss_beside_the_balanced_one_tells_who_wins_under_every_loss(loss: str, part: float, verdict: str) -> None:
    assert _verdict(history=_history(d_loss=part * BALANCED[loss]), loss=loss) == verdict


def test_a_few_bad_reports_are_no_verdict() -> None:
    history = [*_history(18), *_history(2, d_loss=1e-4)]
    assert _verdict(history=history, planned_images=None) == "healthy"


def test_probabilities_are_told_only_under_losses_that_mean_them() -> None:
    for loss, told in (("minimax", True), ("relativistic", False), ("hinge", False)):
        diagnosis = diagnose(_figures(history=_history(d_loss=1e-4), loss=loss))
        assert any("D(x)" in evidence.what for evidence in diagnosis.evidence) == told


def test_a_vanished_gradient_of_g_is_evidence_where_it_is_reported() -> None:
    strong = _history(5, d_loss=0.01)
    weak = _history(15, d_loss=0.01, g_grad_norm=0.9 * health.VANISHED * 0.5)
    assert "G's gradient" in str(diagnose(_figures(history=[*strong, *weak])).evidence[-1])
    unreported = [{k: v for k, v in line.items() if k != "g_grad_norm"} for line in [*strong, *weak]]
    diagnosis = diagnose(_figures(history=unreported))
    assert diagnosis.verdict == "D overpowers G"
    assert not any("gradient" in evidence.what for evidence in diagnosis.evidence)


def test_a_d_that_cannot_tell_implausible_images_is_exploited_and_one_beside_good_images_is_at_equilibrium() -> None:
    history = _history(d_loss=math.log(4))
    assert _verdict(history=history) == "healthy"
    bad = replace(GOOD, plausible=0.9 * health.PLAUSIBLE)
    assert _verdict(history=history, diversity=bad) == "G exploits D"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"coverage": 0.9 * health.REACHED}, "mode collapse"),
        ({"coverage": 1.1 * health.REACHED}, "healthy"),
        ({"coverage": 0.3, "coverage_of_real": 0.5}, "healthy"),
        ({"spread": 0.9 * health.ALIKE}, "mode collapse"),
        ({"spread": 1.1 * health.ALIKE}, "healthy"),
        ({"copied": 1.1 * health.COPIED}, "memorising"),
        ({"copied": 0.9 * health.COPIED}, "healthy"),
        ({"plausible": 0.9 * health.PLAUSIBLE}, "not converged yet"),
        ({"plausible": 1.1 * health.PLAUSIBLE}, "healthy"),
    ],
)
def test_the_images_decide_between_collapse_memory_and_health(changes: dict[str, Any], verdict: str) -> None:
    assert _verdict(diversity=replace(GOOD, **changes)) == verdict


def test_images_that_are_all_alike_but_unlike_real_ones_have_not_collapsed_yet() -> None:
    assert _verdict(diversity=replace(GOOD, coverage=0.02, spread=0.1, plausible=0.0)) == "not converged yet"


def test_copies_are_memory_even_where_they_are_few_and_d_wins() -> None:
    few = replace(GOOD, copied=0.9, coverage=0.1, spread=0.5)
    assert _verdict(diversity=few, history=_history(d_loss=0.01)) == "memorising"


@pytest.mark.parametrize("name", ["coverage", "recall"])
def test_coverage_that_a_run_once_had_and_lost_is_collapse(name: str) -> None:
    rising = [{"images_seen": 1000 * n, name: 0.1 * n} for n in range(1, 9)]
    assert _verdict(quality=rising) == "healthy"
    assert _verdict(quality=[*rising, {"images_seen": 9000, name: 0.3}]) == "mode collapse"


def test_a_fid_that_still_falls_is_not_converged_and_one_that_stands_is() -> None:
    falling = [{"images_seen": 1000 * n, "fid": 100.0 * 0.8**n} for n in range(12)]
    assert _verdict(quality=falling) == "not converged yet"
    assert _verdict(quality=[*falling, *(12 * falling[-1:])]) == "healthy"


def test_a_run_before_its_length_or_with_hardly_a_report_is_not_converged() -> None:
    assert _verdict(planned_images=21_000) == "not converged yet"
    assert _verdict(history=_history(health.LINES - 1), planned_images=4000) == "not converged yet"
    assert _verdict(history=[]) == "not converged yet"


def test_every_diagnosis_names_figures_and_the_thresholds_that_they_crossed() -> None:
    diagnosis: Diagnosis = diagnose(_figures(history=_history(d_loss=0.001)))
    first = diagnosis.evidence[0]
    assert (first.relation, first.threshold) == ("below", health.BEATEN)
    assert first.value is not None
    assert first.value < health.BEATEN
    assert str(first).endswith("below 0.03")


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (_history(2), "too early"),
        (_history(20), "in balance"),
        (_history(20, d_loss=0.001), "D overpowers G"),
        (_history(20, d_loss=2.0), "G exploits D"),
        (_history(20, d_loss=1e9), "diverging"),
        ([*_history(20), {"images_seen": 21_000, "g_loss": math.nan}], "diverging"),
        ([], "too early"),
    ],
)
def test_a_glance_says_it_in_three_words(history: Lines, words: str) -> None:
    assert glance(history) == words
    assert len(words.split()) <= 3


def test_a_glance_looks_at_the_latest_reports_alone() -> None:
    assert glance([*_history(500, d_loss=0.001), *_history(20)]) == "in balance"
    assert glance(_history(d_loss=-30.0), loss="wasserstein") == "playing"


@pytest.mark.parametrize("preset", ["mlp", "dcgan", "r3gan"])
@pytest.mark.parametrize(
    "changes", [{}, {"loss": "minimax"}, {"d_steps": 4, "g_lr": 0.01}, {"augment": "cutout"}, {"r1_gamma": 1.0}]
)
def test_every_remedy_is_advice_with_flags_that_fit_takes(preset: str, changes: dict[str, object]) -> None:
    config = TrainingConfig.from_preset(preset, data=DIGITS, **changes)
    parser = fit.make_parser(click.Context(fit))
    for verdict, _ in health._RULES:
        for images, finished in itertools.product((None, 500, 60_000), (True, False)):
            found = remedy(verdict, config, training_images=images, finished=finished)
            assert found.advice.endswith(".")
            assert found.flags
            values, _, _ = parser.parse_args(["--data", "data", "--out", "run", *found.flags])
            settings = {name: value for name, value in values.items() if name in TrainingConfig.model_fields}
            TrainingConfig.from_preset(preset, **{**settings, "data": DIGITS})
