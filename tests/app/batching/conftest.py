from collections.abc import Iterator

import pytest

from tests.app.batching.scenario import Batchers
from tests.fakes.engine import RecordingEngine


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def shut() -> RecordingEngine:
    return RecordingEngine(gate_open=False)


@pytest.fixture
def make() -> Iterator[Batchers]:
    made = Batchers()
    yield made
    for batcher, engines in made.batchers:
        for engine in engines:
            engine.gate.set()
        batcher.close()
