import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.errors import DeadlineExceeded, InvalidRequest
from app.generation import GenerateOrder, Generation, generate
from app.latent_walk import Course, WalkOrder, course_of, walk
from app.registry import LiveModel
from bundle import classes_of, sample_latents
from tests.fakes.bundles import DIM, write_bundle
from tests.fakes.served import served

CHANCE = np.random.default_rng(0)
KEYS = CHANCE.standard_normal((4, 64)).astype(np.float32)


def course(keys: NDArray[np.float32] = KEYS, **changes: Any) -> Course:  # noqa: ANN401 -- any argument
    settings: dict[str, Any] = {"steps": 10, "mode": "slerp", "easing": "linear", "loop": False}
    return course_of(keys, **settings | changes)


@pytest.mark.parametrize("mode", ["slerp", "lerp"])
@pytest.mark.parametrize("easing", ["linear", "smooth"])
@pytest.mark.parametrize("loop", [False, True])
def test_every_key_is_met_exactly_and_in_turn(mode: str, easing: str, *, loop: bool) -> None:
    found = course(mode=mode, easing=easing, loop=loop)
    assert len(found.latents) == (40 if loop else 31)
    keys = KEYS[:4] if not loop else KEYS
    assert np.array_equal(found.latents[::10], keys)
    assert found.nearest[::10].tolist() == [0, 1, 2, 3]


def test_an_arc_keeps_the_length_of_latents_and_turns_evenly() -> None:
    keys = KEYS / np.linalg.norm(KEYS, axis=1, keepdims=True)
    found = course(keys).latents.astype(np.float64)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-6)
    turns = np.arccos(np.clip((found[:-1] * found[1:]).sum(axis=1), -1, 1))
    for segment in range(3):
        part = turns[segment * 10 : segment * 10 + 10]
        assert part == pytest.approx(part.mean(), rel=1e-2)


def test_a_line_is_walked_at_an_even_pace() -> None:
    found = course(KEYS[:2], mode="lerp").latents
    assert np.diff(found, axis=0) == pytest.approx(np.broadcast_to((KEYS[1] - KEYS[0]) / 10, (10, 64)), abs=1e-6)


def test_a_loop_is_continuous_where_it_closes() -> None:
    found = course(loop=True).latents
    steps = np.linalg.norm(np.diff(np.concatenate([found, found[:1]]), axis=0), axis=1)
    assert steps[-1] == pytest.approx(steps[30:39].mean(), rel=0.2)


def test_easing_slows_down_at_keys() -> None:
    steps = np.linalg.norm(np.diff(course(KEYS[:2], easing="smooth").latents, axis=0), axis=1)
    assert steps[0] < steps[4] / 2
    assert steps[-1] < steps[4] / 2
    assert steps.sum() >= np.linalg.norm(KEYS[1] - KEYS[0]) - 1e-3


@pytest.mark.parametrize(
    "keys", [[[1.0, 0.0], [-1.0, 0.0]], [[1.0, 2.0], [1.0, 2.0]], [[0.0, 0.0], [1.0, 1.0]]], ids=str
)
def test_keys_without_an_arc_between_them_are_joined_by_a_line(keys: list[list[float]]) -> None:
    ends = np.array(keys, dtype=np.float32)
    found = course(ends)
    assert np.isfinite(found.latents).all()
    assert found.latents[5] == pytest.approx(ends.mean(axis=0), abs=1e-6)


def test_the_nearer_key_changes_halfway() -> None:
    assert course(KEYS[:2]).nearest.tolist() == [0] * 6 + [1] * 5
    assert course(KEYS[:2], loop=True).nearest.tolist() == [0] * 6 + [1] * 10 + [0] * 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveModel]:
    with served(write_bundle(tmp_path_factory.mktemp("models")).parents[1]) as registry:
        yield registry.default


@pytest.fixture(scope="module")
def uniform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveModel]:
    models: Path = tmp_path_factory.mktemp("uniform")
    write_bundle(models, conditional=False, truncation=False, discriminator=False, distribution="uniform")
    with served(models) as registry:
        yield registry.default


def go(order: WalkOrder, *, deadline: float | None = None) -> Generation:
    return asyncio.run(walk(order, deadline=deadline))


def test_key_frames_are_the_images_of_their_seeds(model: LiveModel) -> None:
    order = WalkOrder(model, [5, 6, 7], None, steps=4, truncation=0.5)
    frames = go(order).images
    alone = asyncio.run(generate(GenerateOrder(model, [5, 6, 7], None, None, 0.5), deadline=None)).images
    assert order.frames == len(frames) == 9
    for key, image in zip(frames[::4], alone, strict=True):
        assert np.array_equal(key.pixels, image.pixels)
        assert key.class_id == image.class_id


def test_classes_change_halfway_unless_one_is_given(model: LiveModel) -> None:
    each = go(WalkOrder(model, [1, 2], None, [0, 2], steps=4)).images
    assert [image.class_id for image in each] == [0, 0, 0, 2, 2]
    of_keys = classes_of(sample_latents(model.manifest.latent, [1, 2]), 3).tolist()
    own = go(WalkOrder(model, [1, 2], None, steps=1)).images
    assert [image.class_id for image in own] == of_keys


def test_uniform_latents_go_along_the_line_unless_told(uniform: LiveModel) -> None:
    keys = sample_latents(uniform.manifest.latent, [1, 2])
    line = go(WalkOrder(uniform, [1, 2], None, steps=2)).images[1].latent
    arc = go(WalkOrder(uniform, [1, 2], None, steps=2, mode="slerp")).images[1].latent
    assert line == pytest.approx(keys.mean(axis=0))
    assert not np.allclose(line, arc)


def test_latents_are_keys_too(model: LiveModel) -> None:
    keys = np.eye(2, DIM, dtype=np.float32)
    frames = go(WalkOrder(model, None, keys, steps=3, loop=True)).images
    assert len(frames) == 6
    assert np.array_equal(frames[3].latent, keys[1])
    assert frames[0].seed is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"seeds": [1]}, "two key frames"),
        ({"class_ids": [0, 9]}, "classes are 0 to 2"),
        ({"seeds": None, "latents": np.zeros((2, DIM + 1), np.float32)}, f"must have {DIM} numbers"),
    ],
    ids=str,
)
def test_what_cannot_be_walked_is_refused(model: LiveModel, changes: dict[str, Any], complaint: str) -> None:
    order = WalkOrder(**{"model": model, "seeds": [1, 2], "latents": None, **changes})
    with pytest.raises(InvalidRequest) as caught:
        go(order)
    assert complaint in "; ".join(item.message for item in caught.value.errors)


def test_truncation_where_there_is_none_is_refused(uniform: LiveModel) -> None:
    with pytest.raises(InvalidRequest):
        go(WalkOrder(uniform, [1, 2], None, truncation=0.5))


def test_a_deadline_that_has_passed_ends_a_walk(model: LiveModel) -> None:
    with pytest.raises(DeadlineExceeded):
        go(WalkOrder(model, [1, 2], None), deadline=0.0)


def test_a_walk_may_be_longer_than_the_queue(tmp_path: Path) -> None:
    with served(write_bundle(tmp_path).parents[1], max_queue_images=8, max_images_per_request=8) as registry:
        frames = go(WalkOrder(registry.default, [1, 2], None, steps=50)).images
    assert len(frames) == 51
