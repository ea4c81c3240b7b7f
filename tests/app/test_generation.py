import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.catalogue import Catalogue
from app.errors import DeadlineExceeded, DiscriminatorUnavailable, InvalidRequest, ModelFailure, QueueFull, ServeError
from app.generation import GeneratedImage, GenerateOrder, Generation, candidate_seed, draw_seeds, generate
from app.registry import LiveModel
from bundle import LatentSpec, classes_of, sample_latents
from tests.fakes.bundles import CLASSES, DIM, expected_pixels, write_bundle
from tests.fakes.gated import GatedEngines
from tests.fakes.served import served
from tests.fakes.spoiled import SpoiledEngines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[LiveModel]:
    with served(folder.parents[1]) as registry:
        yield registry.default


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveModel]:
    models = tmp_path_factory.mktemp("plain")
    write_bundle(models, conditional=False, truncation=False, discriminator=False, channels=3, distribution="uniform")
    with served(models) as registry:
        yield registry.default


def make(model: LiveModel, seeds: list[int] | None, **order: Any) -> Generation:  # noqa: ANN401 -- any field
    """The generation of an order, made at once."""
    latents = order.pop("latents", None)
    return asyncio.run(generate(GenerateOrder(model, seeds, latents, **order), deadline=None))


def alike(first: GeneratedImage, second: GeneratedImage) -> bool:
    return np.array_equal(first.pixels, second.pixels) and np.array_equal(first.latent, second.latent)


def test_a_seed_makes_the_image_of_the_graph(model: LiveModel, folder: Path) -> None:
    (image,) = make(model, [42], class_ids=[2], truncation=0.5).images
    assert np.array_equal(image.pixels, expected_pixels(folder, 42, 2, 0.5))
    assert np.array_equal(image.latent, sample_latents(model.manifest.latent, [42])[0])
    assert (image.seed, image.class_id, image.realness, image.attempts, image.accepted) == (42, 2, None, 1, True)


def test_a_seed_implies_its_class(model: LiveModel, folder: Path) -> None:
    images = make(model, list(range(20))).images
    latents = sample_latents(model.manifest.latent, range(20))
    assert [image.class_id for image in images] == classes_of(latents, len(CLASSES)).tolist()
    assert all(np.array_equal(image.pixels, expected_pixels(folder, seed)) for seed, image in enumerate(images))


def test_the_latents_of_an_image_make_it_again_class_included(model: LiveModel) -> None:
    images = make(model, [5, 6, 7]).images
    again = make(model, None, latents=np.stack([image.latent for image in images])).images
    assert all(alike(one, other) for one, other in zip(images, again, strict=True))
    assert [image.class_id for image in again] == [image.class_id for image in images]
    assert [image.seed for image in again] == [None] * 3


def test_an_unconditional_model_makes_images_without_classes(plain: LiveModel) -> None:
    (image,) = make(plain, [1]).images
    assert image.class_id is None
    assert image.pixels.shape == (8, 8, 3)
    assert np.abs(image.latent).max() <= 1


def test_batch_size_and_company_never_change_an_image(model: LiveModel) -> None:
    alone = {seed: make(model, [seed], want_realness=True).images[0] for seed in range(64)}

    async def crowd() -> list[Generation]:
        orders = [
            GenerateOrder(
                model,
                [(start * 7 + step) % 64 for step in range(1 + start % 9)],
                None,
                truncation=1.0 if start % 2 else None,
                want_realness=True,
            )
            for start in range(50)
        ]
        noise = [
            GenerateOrder(model, [start, start + 1], None, class_ids=[0, 1], truncation=0.3, best_of=3)
            for start in range(10)
        ]
        made = await asyncio.gather(*(generate(order, deadline=None) for order in orders + noise))
        return list(made[: len(orders)])

    together = [make(model, list(range(64)), want_realness=True), *asyncio.run(crowd())]
    images = [image for generation in together for image in generation.images]
    assert len(images) > 250
    for image in images:
        assert image.seed is not None
        assert alike(image, alone[image.seed])
        assert image.realness == alone[image.seed].realness


def test_more_images_than_a_batch_come_back_in_order(model: LiveModel, folder: Path) -> None:
    seeds = list(range(1000, 1200))
    images = make(model, seeds, class_ids=[seed % 3 for seed in seeds]).images
    assert [image.seed for image in images] == seeds
    assert all(np.array_equal(i.pixels, expected_pixels(folder, s, s % 3)) for s, i in zip(seeds, images, strict=True))


def test_many_images_that_cannot_wait_are_refused_before_their_latents_are_drawn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines, drawn = GatedEngines(), list[int]()

    def sample(latent: LatentSpec, seeds: Sequence[int]) -> NDArray[np.float32]:
        drawn.append(len(seeds))
        return sample_latents(latent, seeds)

    monkeypatch.setattr("app.generation.sample_latents", sample)

    async def crowd(model: LiveModel) -> None:
        engines.gate.clear()
        running = asyncio.create_task(generate(GenerateOrder(model, [1], None), deadline=None))
        assert await asyncio.to_thread(engines.entered.acquire, timeout=10)
        waiting = asyncio.create_task(generate(GenerateOrder(model, list(range(30)), None), deadline=None))
        async with asyncio.timeout(10):
            while model.generator.queue_depth < 30:  # noqa: ASYNC110 -- a depth has no event
                await asyncio.sleep(0.005)
        with pytest.raises(QueueFull):
            await generate(GenerateOrder(model, list(range(20)), None), deadline=None)
        engines.gate.set()
        await asyncio.gather(running, waiting)

    with served(folder.parents[1], open_engine=engines, max_queue_images=40, max_images_per_request=40) as registry:
        asyncio.run(crowd(registry.default))
    assert drawn == [1, 30]


def test_work_is_hopeless_when_every_model_is_full(tmp_path: Path) -> None:
    engines = GatedEngines()
    for name in ("one", "two"):
        write_bundle(tmp_path, name=name)

    async def fill(catalogue: Catalogue) -> None:
        engines.gate.clear()
        work: list[asyncio.Task[Generation]] = []
        for name in ("one", "two"):
            model = catalogue.get(name)
            assert catalogue.refusal(1.0) is None
            work.append(asyncio.create_task(generate(GenerateOrder(model, [1], None), deadline=None)))
            assert await asyncio.to_thread(engines.entered.acquire, timeout=10)
            order = GenerateOrder(model, [2, 3, 4, 5], None)
            work.append(asyncio.create_task(generate(order, deadline=None)))
            async with asyncio.timeout(10):
                while model.generator.queue_depth < 4:  # noqa: ASYNC110 -- a depth has no event
                    await asyncio.sleep(0.005)
        refusal = catalogue.refusal(1.0)
        assert isinstance(refusal, QueueFull)
        assert refusal.retry_after_s >= 1
        engines.gate.set()
        await asyncio.gather(*work)
        assert catalogue.refusal(1.0) is None

    with served(tmp_path, open_engine=engines, max_queue_images=4, max_images_per_request=4) as registry:
        asyncio.run(fill(registry.catalogue))


def test_candidate_seeds_are_frozen() -> None:
    digest = hashlib.sha256(b"42/1").digest()
    assert candidate_seed(42, 0) == 42
    assert candidate_seed(42, 1) == int.from_bytes(digest[:4], "big") == 776859331
    assert len({candidate_seed(42, attempt) for attempt in range(1000)}) > 990


def test_best_of_keeps_the_most_real_and_names_the_seed_that_makes_it_again(model: LiveModel) -> None:
    chosen = make(model, [3, 4], best_of=8, class_ids=[1, 2]).images
    for seed, class_id, image in zip((3, 4), (1, 2), chosen, strict=True):
        candidates = [candidate_seed(seed, attempt) for attempt in range(8)]
        rivals = make(model, candidates, class_ids=[class_id] * 8, want_realness=True).images
        best = max(rivals, key=lambda rival: rival.realness or 0.0)
        assert (image.seed, image.realness, image.attempts) == (best.seed, best.realness, 8)
        assert image.seed in candidates
        assert alike(image, make(model, [image.seed], class_ids=[class_id]).images[0])


def test_candidates_that_outnumber_the_queue_are_drawn_in_turns(folder: Path) -> None:
    with served(folder.parents[1], max_queue_images=4, max_images_per_request=4, max_batch_size=2) as registry:
        images = make(registry.default, [1, 2, 3, 4], best_of=16).images
    assert [image.attempts for image in images] == [16] * 4


def test_min_realness_draws_until_the_discriminator_agrees(model: LiveModel) -> None:
    firsts = make(model, list(range(30)), class_ids=[0] * 30, want_realness=True).images
    threshold = sorted(image.realness or 0.0 for image in firsts)[20]
    images = make(model, list(range(30)), class_ids=[0] * 30, min_realness=threshold, max_attempts=64).images
    for first, image in zip(firsts, images, strict=True):
        assert first.realness is not None
        assert image.realness is not None
        assert image.accepted == (image.realness >= threshold)
        if first.realness >= threshold:
            assert (image.seed, image.attempts) == (first.seed, 1)
        elif image.accepted:
            assert first.seed is not None
            assert image.seed == candidate_seed(first.seed, image.attempts - 1)
    assert max(image.attempts for image in images) > 1


def test_min_realness_that_no_draw_reaches_gives_the_best_and_says_so(model: LiveModel) -> None:
    (image,) = make(model, [9], min_realness=1.0, max_attempts=5).images
    drawn = make(model, [candidate_seed(9, attempt) for attempt in range(5)], want_realness=True).images
    assert (image.accepted, image.attempts) == (False, 5)
    assert image.realness == max(rival.realness or 0.0 for rival in drawn)


def test_realness_is_the_discriminators_verdict_under_the_images_class(model: LiveModel) -> None:
    stated = [make(model, [1], class_ids=[class_id], want_realness=True).images[0] for class_id in range(3)]
    assert len({image.realness for image in stated}) == 3
    assert all(image.realness is not None and 0 <= image.realness <= 1 for image in stated)


@pytest.mark.parametrize(
    ("order", "location"),
    [
        ({"class_ids": [len(CLASSES)]}, "class_id"),
        ({"class_ids": [-1]}, "class_id"),
        ({"class_ids": [2**70]}, "class_id"),
        ({"seeds": None, "latents": np.zeros((1, DIM + 1), np.float32)}, "latents"),
        ({"seeds": None, "latents": np.full((1, DIM), np.nan, np.float32)}, "latents"),
        ({"seeds": None, "latents": np.full((1, DIM), -np.inf, np.float32)}, "latents"),
        ({"seeds": None, "latents": np.full((1, DIM), 1000.1, np.float32)}, "latents"),
        ({"seeds": None, "latents": np.zeros((1, DIM), np.float32), "best_of": 2}, "best_of"),
        ({"seeds": None, "latents": np.zeros((1, DIM), np.float32), "min_realness": 0.5}, "min_realness"),
    ],
)
def test_what_a_model_cannot_do_is_refused_by_field(model: LiveModel, order: dict[str, Any], location: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        make(model, **{"seeds": [1], **order})
    assert [error.location for error in refusal.value.errors] == [location]


@pytest.mark.parametrize(
    ("order", "reason"), [({"class_ids": [0]}, "unconditional"), ({"truncation": 1.0}, "does not support truncation")]
)
def test_a_model_without_classes_or_truncation_says_so(plain: LiveModel, order: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        make(plain, [1], **order)
    assert reason in refusal.value.errors[0].message


@pytest.mark.parametrize("order", [{"best_of": 2}, {"min_realness": 0.1}, {"want_realness": True}])
def test_selection_and_realness_need_a_discriminator(plain: LiveModel, order: dict[str, Any]) -> None:
    with pytest.raises(DiscriminatorUnavailable):
        make(plain, [1], **order)


def test_the_largest_latents_that_are_taken_make_an_image(model: LiveModel) -> None:
    (image,) = make(model, None, latents=np.full((1, DIM), 1000, np.float32)).images
    assert image.pixels.dtype == np.uint8


def test_a_score_that_is_not_finite_fails_the_request_and_tells_the_client_nothing(folder: Path) -> None:
    engines = SpoiledEngines("logit", lambda logit: logit * np.float32("nan"), armed=False)
    with served(folder.parents[1], open_engine=engines) as registry:
        for engine in engines.opened:
            engine.armed = True
        with pytest.raises(ModelFailure) as failure:
            make(registry.default, [1], want_realness=True)
        assert "nan" not in str(failure.value)
        assert make(registry.default, [1]).images[0].realness is None


def test_a_deadline_that_has_passed_makes_nothing(model: LiveModel) -> None:
    with pytest.raises(DeadlineExceeded) as failure:
        asyncio.run(generate(GenerateOrder(model, [1], None), deadline=0.0))
    assert isinstance(failure.value, ServeError)


def test_fresh_seeds_are_seeds_and_not_the_same_twice() -> None:
    seeds = draw_seeds(1000)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert len(set(seeds)) > 990


def test_times_are_counted_over_all_draws(model: LiveModel) -> None:
    made = make(model, [1], best_of=2)
    assert made.inference_s > 0
    assert made.queue_s >= 0
