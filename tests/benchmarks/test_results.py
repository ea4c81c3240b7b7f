from pathlib import Path

import pytest

from benchmarks.bare import Limit
from benchmarks.plan import MOST_OUTSTANDING, Cell, cells, plan
from benchmarks.report import markdown
from benchmarks.results import Measurement, Results
from benchmarks.statistics import Spread
from benchmarks.tally import Summary

CELL = Cell("mnist", 1, "png", 16)
MACHINE = {
    "cpu": "a processor",
    "cores": 2,
    "memory_gib": 4.0,
    "kernel": "6",
    "python": "3.11",
    "load_before": 0.0,
    "commit": "abc",
    "uncommitted_changes": False,
    "versions": {},
    "peer_versions": {},
}


def _summary(rate: float) -> Summary:
    return Summary(
        seconds=1.0,
        requests_per_s=rate,
        images_per_s=rate,
        p50_ms=1.0,
        p99_ms=2.0,
        max_ms=3.0,
        good=int(rate),
        errors=0,
        statuses={"200": int(rate)},
        refused_with_retry_after=0,
        refused_p99_ms=0.0,
        bytes_received=1,
        client_cpu_share=0.1,
    )


@pytest.fixture
def results() -> Results:
    found = Results(MACHINE, "a command", {"ganserve": "ganserve serve", "mosec": "mosec"})
    for alternation, (ours, theirs) in enumerate([(120.0, 100.0), (90.0, 100.0), (150.0, 100.0)]):
        found.measurements.append(Measurement(alternation, "ganserve", CELL, _summary(ours)))
        found.measurements.append(Measurement(alternation, "mosec", CELL, _summary(theirs)))
        found.add_limits(alternation, "mnist", [Limit(1, 1, "none", 300.0), Limit(1, 16, "none", 200.0)])
    found.memory.append({"alternation": 0, "model": "mnist", "system": "mosec", "rss_bytes": 2**20, "pss_bytes": 2**19})
    return found


def test_ratios_are_paired_within_an_alternation(results: Results) -> None:
    assert results.ratio(CELL, "mosec") == Spread(median=1.2, least=0.9, most=1.5, count=3)


def test_a_pair_without_its_other_half_does_not_count(results: Results) -> None:
    results.measurements.append(Measurement(3, "ganserve", CELL, _summary(999.0)))
    found = results.ratio(CELL, "mosec")
    assert found is not None
    assert found.count == 3


def test_the_limit_is_the_best_of_the_bare_session(results: Results) -> None:
    assert results.ratio_to_limit(CELL, "none") == Spread(median=0.4, least=0.3, most=0.5, count=3)
    assert results.ratio_to_limit(CELL, "png") is None


def test_results_survive_their_file(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "service.json")
    assert Results.load(tmp_path / "service.json") == results


def test_the_report_states_medians_spreads_and_failures(results: Results) -> None:
    results.failures.append({"alternation": 1, "system": "mosec", "what": "start", "why": "no reason"})
    text = markdown(results)
    assert "| mosec | 100 (100..100) | 100 (100..100) | 1.0 | 2.0 | 0 | 1.20 (0.90..1.50) | 10% |" in text
    assert "ganserve / bare session: 0.40 (0.30..0.50)" in text
    assert "alternation 1, mosec, start: no reason" in text


def test_the_full_plan_holds_the_headline_and_no_cell_twice() -> None:
    full = plan("full", ["mnist", "rgb256"])
    assert set(plan("headline", ["mnist", "rgb256"])) <= set(full)
    assert len(full) == len(set(full))
    assert {cell.images for cell in full} == {1, 4, 64}
    assert {cell.image_format for cell in full} == {"png", "jpeg", "npy"}


def test_no_cell_asks_for_more_than_the_service_queues() -> None:
    every = cells(["mnist", "rgb256"], [1, 4, 64], ["png"], [1, 16, 64, 256])
    assert all(cell.outstanding <= MOST_OUTSTANDING[cell.model] for cell in every)
    assert Cell("mnist", 64, "png", 256) not in every
