import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from app.engines.acceleration import Acceleration, Switch
from app.engines.bound import BoundEngine, Plan
from app.engines.buckets import bucket_of, bucket_sizes
from app.engines.capture import CaptureGate
from app.engines.feeds import discriminator_inputs, generator_inputs
from app.engines.onnx import OnnxEngine, open_engine
from app.errors import ProviderUnavailable
from bundle import Bundle, classes_of, read_bundle, sample_latents
from tests.architecture.checkout import ROOT
from tests.fakes.bundles import write_bundle
from tests.fakes.graphs import graph
from tests.fakes.sessions import Sessions

MOST = 8
MODES: list[tuple[Switch, Switch]] = [("on", "on"), ("on", "off"), ("off", "on")]
DOUBLE = graph([helper.make_node("Add", ["x", "x"], ["y"])], {}, shape=(3,))
OPEN = graph([helper.make_node("Add", ["x", "x"], ["y"])], {}, shape=(None,))


@pytest.fixture(scope="module", params=["tiny", "mnist"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    if request.param == "mnist":
        return read_bundle(ROOT / "models" / "mnist" / "1")
    return read_bundle(write_bundle(tmp_path_factory.mktemp("models")))


@pytest.fixture(params=MODES, ids=lambda mode: f"binding-{mode[0]}-buckets-{mode[1]}")
def acceleration(request: pytest.FixtureRequest) -> Acceleration:
    binding, buckets = request.param
    return Acceleration(max_batch_size=MOST, io_binding=binding, batch_buckets=buckets)


def _generator_feed(bundle: Bundle, first: int, rows: int) -> dict[str, NDArray[Any]]:
    z = sample_latents(bundle.manifest.latent, range(first, first + rows))
    classes = classes_of(z, len(bundle.manifest.classes)) if bundle.manifest.classes else None
    return dict(generator_inputs(bundle.manifest, z, classes, 0.8))


def _same(first: dict[str, NDArray[Any]], second: dict[str, NDArray[Any]]) -> bool:
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and np.array_equal(first[name], second[name]) for name in first
    )


def test_buckets_double_up_to_the_largest_batch() -> None:
    assert bucket_sizes(1) == [1]
    assert bucket_sizes(8) == [1, 2, 4, 8]
    assert bucket_sizes(48) == [1, 2, 4, 8, 16, 32, 48]
    assert [bucket_of(rows, 48) for rows in (1, 2, 3, 5, 33, 48)] == [1, 2, 4, 8, 48, 48]
    assert bucket_of(100, 48) == 100


def test_generators_make_the_images_of_the_plain_engine_at_every_batch_size(
    bundle: Bundle, acceleration: Acceleration
) -> None:
    plain = open_engine(bundle.generator, device="cpu", threads=1)
    bound = open_engine(bundle.generator, device="cpu", threads=1, acceleration=acceleration)
    assert isinstance(bound, BoundEngine)
    assert isinstance(plain, OnnxEngine)
    for rows in [*range(1, MOST + 1), MOST + 3]:
        feed = _generator_feed(bundle, 100 * rows, rows)
        assert _same(bound.run(feed), plain.run(feed)), rows
    bound.close()


def test_discriminators_give_the_scores_of_the_plain_engine_at_every_batch_size(
    bundle: Bundle, acceleration: Acceleration
) -> None:
    assert bundle.discriminator is not None
    plain = open_engine(bundle.discriminator, device="cpu", threads=1)
    bound = open_engine(bundle.discriminator, device="cpu", threads=1, acceleration=acceleration)
    for rows in range(1, MOST + 1):
        pixels = np.resize(bundle.golden, (rows, *bundle.golden.shape[1:]))
        feed = dict(discriminator_inputs(bundle.manifest, pixels, None))
        assert _same(bound.run(feed), plain.run(feed)), rows
    bound.close()


def _rows(*values: float) -> dict[str, NDArray[np.float32]]:
    return {"x": np.repeat(np.array(values, np.float32)[:, None], 3, axis=1)}


def _bound(sessions: Sessions, *, graphs: bool = False, gate: CaptureGate | None = None) -> BoundEngine:
    return BoundEngine(sessions, Plan(MOST, binding=True, graphs=graphs), gate or CaptureGate())


def test_an_answer_outlives_the_next_run() -> None:
    engine = _bound(Sessions(DOUBLE))
    first = engine.run(_rows(1, 2, 3))["y"]
    kept = first.copy()
    engine.run(_rows(7, 8, 9))
    assert np.array_equal(first, kept)
    engine.close()
    assert first.sum() == kept.sum()


def test_rows_of_an_earlier_batch_never_show_in_a_smaller_one() -> None:
    engine = _bound(Sessions(DOUBLE))
    engine.run(_rows(1, 2, 3, 4))
    assert engine.run(_rows(9, 8, 7))["y"][:, 0].tolist() == [18, 16, 14]
    engine.close()


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.zeros((2, 3), np.float64)},
        {"x": np.zeros((2, 4), np.float32)},
        {"x": np.zeros((2, 3), np.float32), "y": np.zeros((2, 3), np.float32)},
        {"z": np.zeros((2, 3), np.float32)},
    ],
)
def test_inputs_of_another_kind_are_refused_and_harm_nothing(inputs: dict[str, NDArray[Any]]) -> None:
    engine = _bound(Sessions(DOUBLE), graphs=True)
    with pytest.raises(ValueError, match="not"):
        engine.run(inputs)
    assert engine.uses_graphs
    assert engine.run(_rows(1, 2))["y"][:, 0].tolist() == [2, 4]
    engine.close()


def test_a_graph_whose_rows_have_no_fixed_shape_is_run_without_buffers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        engine = _bound(sessions := Sessions(OPEN), graphs=True)
    assert "no fixed shape" in caplog.text
    assert (engine.uses_graphs, sessions.opened) == (False, [True, False])
    assert engine.run(_rows(1, 2, 3))["y"][:, 0].tolist() == [2, 4, 6]
    engine.close()


def test_a_size_is_captured_once_and_answered_by_a_replay() -> None:
    sessions = Sessions(DOUBLE)
    engine = _bound(sessions, graphs=True)
    assert engine.run(_rows(1))["y"][:, 0].tolist() == [2]
    assert (engine.uses_graphs, sessions.opened, sessions.runs) == (True, [True], 2)
    assert engine.run(_rows(5))["y"][:, 0].tolist() == [10]
    assert sessions.runs == 3
    engine.close()


def test_a_session_that_takes_no_cuda_graphs_is_opened_without_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    sessions = Sessions(DOUBLE, refuse_graphs=True)
    with caplog.at_level(logging.WARNING):
        engine = _bound(sessions, graphs=True)
    assert (engine.uses_graphs, sessions.opened) == (False, [True, False])
    assert [record.message for record in caplog.records] == [
        "CUDA graphs are off for a network, which is run with IO binding alone: "
        "this session cannot use the graph capture feature"
    ]
    assert engine.run(_rows(1, 2))["y"][:, 0].tolist() == [2, 4]
    engine.close()


def test_a_device_that_is_not_there_is_not_tried_again_without_graphs() -> None:
    opened: list[bool] = []

    def open_session(*, graphs: bool) -> Any:  # noqa: ANN401 -- onnxruntime has no type hints
        opened.append(graphs)
        raise ProviderUnavailable("no device")

    with pytest.raises(ProviderUnavailable):
        BoundEngine(open_session, Plan(MOST, binding=True, graphs=True), CaptureGate())
    assert opened == [True]


def test_a_capture_that_fails_falls_back_to_io_binding_and_the_batch_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sessions = Sessions(DOUBLE, break_capture="CUDA failure 900: operation not permitted when stream is capturing")
    engine = _bound(sessions, graphs=True)
    with caplog.at_level(logging.WARNING):
        assert engine.run(_rows(1, 2, 3))["y"][:, 0].tolist() == [2, 4, 6]
    assert (engine.uses_graphs, sessions.opened) == (False, [True, False])
    assert "CUDA graphs are off" in caplog.text
    engine.close()


def test_memory_that_runs_out_during_a_capture_is_not_taken_for_a_graph_that_cannot_be_captured() -> None:
    sessions = Sessions(DOUBLE, break_capture="CUDA failure 2: out of memory")
    engine = _bound(sessions, graphs=True)
    with pytest.raises(RuntimeError, match="out of memory"):
        engine.run(_rows(1))
    assert sessions.opened == [True]
    engine.close()


def test_nobody_runs_while_somebody_captures() -> None:
    gate, inside, go = CaptureGate(), threading.Event(), threading.Event()

    def capture() -> None:
        with gate.capturing():
            inside.set()
            assert go.wait(10)
            order.append("captured")

    order: list[str] = []
    engine = _bound(Sessions(DOUBLE), gate=gate)
    capturing = threading.Thread(target=capture)
    capturing.start()
    assert inside.wait(10)
    running = threading.Thread(target=lambda: order.append(str(engine.run(_rows(1))["y"][0, 0])))
    running.start()
    go.set()
    capturing.join()
    running.join()
    assert order == ["captured", "2.0"]
    engine.close()


def test_an_engine_does_all_its_work_on_one_thread_of_its_own() -> None:
    seen: set[str] = set()
    sessions = Sessions(DOUBLE)

    def open_session(*, graphs: bool) -> Any:  # noqa: ANN401 -- onnxruntime has no type hints
        seen.add(threading.current_thread().name)
        return sessions(graphs=graphs)

    engine = BoundEngine(open_session, Plan(MOST, binding=True, graphs=False), CaptureGate())
    engine.close()
    assert seen == {"engine"}


def test_a_graph_that_does_not_load_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with pytest.raises(Exception, match=r"protobuf"):
        _bound(Sessions(b"not a graph"))
    assert threading.active_count() == before


def test_buckets_are_for_a_gpu_unless_asked_for(tmp_path: Path) -> None:
    bundle = read_bundle(write_bundle(tmp_path))
    made = open_engine(bundle.generator, device="cpu", threads=1, acceleration=Acceleration())
    assert isinstance(made, OnnxEngine)
