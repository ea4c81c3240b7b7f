import pytest
from pydantic import BaseModel

from app.bench.candidates import DEFAULTS, Candidate, Space
from app.settings import Settings


class _Threads(BaseModel):
    threads: int = 0
    max_batch_size: int = 64
    max_queue_delay_ms: float = 0.0


class _Sessions(_Threads):
    sessions: int = 0


def _shown(found: list[Candidate]) -> list[str]:
    return [str(candidate) for candidate in found]


def test_a_service_without_sessions_is_tried_with_other_threads_alone() -> None:
    space = Space.of(_Threads)
    assert _shown(space.layouts(DEFAULTS, 4)) == ["threads=1", "threads=3"]
    assert _shown(space.layouts(DEFAULTS, 2)) == ["threads=1"]
    assert space.layouts(DEFAULTS, 1) == []


def test_sessions_times_threads_share_the_cpus_or_leave_one_to_http() -> None:
    found = Space.of(_Sessions).layouts(DEFAULTS, 4)
    assert _shown(found) == [
        "sessions=1 threads=4",
        "sessions=2 threads=2",
        "sessions=4 threads=1",
        "sessions=1 threads=1",
        "sessions=1 threads=3",
        "sessions=3 threads=1",
    ]


def test_a_layout_is_tried_once_however_it_came_up() -> None:
    assert len(_shown(Space.of(_Sessions).layouts(DEFAULTS, 2))) == 3


@pytest.mark.parametrize(
    ("most_images", "sizes"), [(1, []), (16, []), (17, [16]), (64, [16]), (65, [16, 256]), (4096, [16, 256])]
)
def test_batch_sizes_that_nobody_could_fill_are_not_tried(most_images: int, sizes: list[int]) -> None:
    found = Space.of(_Threads).batch_sizes(DEFAULTS, most_images)
    assert [candidate.values["max_batch_size"] for candidate in found] == sizes


def test_a_later_step_keeps_what_an_earlier_one_found() -> None:
    best = Candidate({"sessions": 2, "threads": 1})
    delayed = Space.of(_Sessions).queue_delays(best)
    assert _shown(delayed) == ["sessions=2 threads=1 max_queue_delay_ms=1", "sessions=2 threads=1 max_queue_delay_ms=2"]


def test_going_back_to_a_default_takes_the_setting_out() -> None:
    found = Space.of(_Threads).batch_sizes(Candidate({"max_batch_size": 16}), 64)
    assert found == []
    assert DEFAULTS in Space.of(_Threads).queue_delays(Candidate({"max_queue_delay_ms": 2}))


@pytest.mark.parametrize("cpus", [1, 2, 6, 64])
def test_every_candidate_is_one_that_this_service_takes(cpus: int) -> None:
    space = Space.of(Settings)
    assert set(space.defaults) >= {"threads", "max_batch_size", "max_queue_delay_ms"}
    for candidate in [
        *space.layouts(DEFAULTS, cpus),
        *space.batch_sizes(DEFAULTS, 4096),
        *space.queue_delays(DEFAULTS),
    ]:
        settings = Settings.from_environment(candidate.environment())
        assert {name: getattr(settings, name) for name in candidate.values} == candidate.values
