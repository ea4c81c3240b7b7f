import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.export_parity import parity
from bundle import read_bundle, sample_latents
from training.calibration import Platt
from training.data import Split
from training.errors import ConfigError, DataError, ExportError
from training.evaluate import evaluate, open_players
from training.export import BundleOrder, export
from training.graphs import (
    DiscriminatorGraph,
    GeneratorGraph,
    export_graph,
    require_batch_independence,
    require_parity,
)
from training.metrics.features import Extractor, load_extractor, shipped_extractor, train_extractor
from training.networks import FAMILIES
from training.networks.dcgan import DcganDiscriminator
from training.players import OnnxPlayers, TorchPlayers
from training.publication import HALF_TOLERANCE, write_manifest


def _silent(line: str) -> None:
    """Exports narrate; tests do not listen."""


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory, digits: Split) -> Extractor:
    path = tmp_path_factory.mktemp("extractor") / "digits.safetensors"
    return train_extractor(digits.train, digits.held_out, path, epochs=8, seed=0, report=_silent)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, finished_run: Path, digits: Split, extractor: Extractor) -> Path:
    models = tmp_path_factory.mktemp("models")
    return export(finished_run, digits, models, BundleOrder("digits"), extractor=extractor, say=_silent)


def test_the_bundle_reads_back_verified_and_says_where_it_comes_from(exported: Path) -> None:
    manifest = read_bundle(exported).manifest
    assert (manifest.name, manifest.version) == ("digits", 1)
    assert manifest.training.images_seen == 400
    assert manifest.classes == tuple("0123456789")
    assert manifest.calibration is not None
    assert manifest.metrics.keys() == {
        *("fid", "kid", "precision", "recall", "density", "coverage", "feature_probe"),
        "conditional_accuracy",
        "conditional_accuracy_worst_class",
        "auc_real_against_noise",
        "auc_real_against_generated",
    }
    assert manifest.metrics["fid"].extractor is not None
    card = (exported / "README.md").read_text()
    assert all(name in card for name in manifest.metrics)
    assert (exported / "samples.png").stat().st_size > 0


def test_the_bundle_makes_the_images_that_the_run_makes(exported: Path, finished_run: Path) -> None:
    ours, theirs = TorchPlayers(finished_run, device="cpu"), OnnxPlayers(exported)
    z, classes = sample_latents(ours.latent, range(30)), np.arange(30) % 10
    apart = np.abs(ours.images(z, classes).astype(int) - theirs.images(z, classes).astype(int))
    assert apart.max() <= 1
    assert (apart == 0).mean() > 0.99


def test_a_bundle_in_half_precision_says_so_and_makes_nearly_the_same_images(
    tmp_path: Path, finished_run: Path, digits: Split, exported: Path
) -> None:
    order = BundleOrder("digits", discriminator=False, precision="float16")
    half = export(finished_run, digits, tmp_path, order, extractor=None, say=_silent)
    spoken, silent = (json.loads((folder / "manifest.json").read_text())["generator"] for folder in (half, exported))
    assert spoken["precision"] == "float16"
    assert "precision" not in silent
    assert read_bundle(exported).manifest.generator.precision == "float32"
    assert read_bundle(half).manifest.golden.tolerance == HALF_TOLERANCE
    z, classes = sample_latents(read_bundle(half).manifest.latent, range(30)), np.arange(30) % 10
    apart = np.abs(OnnxPlayers(half).images(z, classes).astype(int) - OnnxPlayers(exported).images(z, classes))
    assert apart.max() <= HALF_TOLERANCE


def test_the_graph_truncates_toward_the_mean_latent(exported: Path) -> None:
    players = OnnxPlayers(exported)
    feed = {
        "z": np.concatenate([sample_latents(players.latent, [1, 2]), np.zeros((1, 8), dtype=np.float32)]),
        "class_id": np.zeros(3, dtype=np.int64),
        "truncation": np.array([0.0, 0.0, 1.0], dtype=np.float32),
    }
    first, second, mean = players._generator.run(["image"], feed)[0]
    assert np.array_equal(first, mean)
    assert np.array_equal(second, mean)


def test_the_stated_probability_is_the_calibrated_logit(exported: Path, digits: Split) -> None:
    players = OnnxPlayers(exported)
    assert players.manifest.calibration is not None
    assert players._discriminator is not None
    line = players.manifest.calibration.parameters
    for class_id, suffix in ((3, ""), (-1, "_class_not_stated")):
        feed = {"image": digits.held_out.images[:4], "class_id": np.full(4, class_id)}
        logit, probability = players._discriminator.run(["logit", "probability"], feed)
        expected = 1 / (1 + np.exp(-(line[f"slope{suffix}"] * logit + line[f"intercept{suffix}"])))
        assert np.allclose(probability, expected, atol=1e-6)


def test_the_manifest_tells_how_the_probability_spreads(exported: Path, digits: Split) -> None:
    players, count = OnnxPlayers(exported), len(digits.held_out)
    assert players.manifest.calibration is not None
    scores = players.manifest.calibration.scores
    assert scores is not None
    made = players.images(sample_latents(players.latent, range(2**31, 2**31 + count)), np.arange(count) // 2 % 10)
    for images, shares in ((digits.held_out.images, scores.real), (made, scores.generated)):
        rest = images[1::2]
        stated = players.probabilities(rest, np.full(len(rest), -1))
        assert scores.n == len(rest)
        assert sum(shares[:10]) == pytest.approx((stated < 0.5).mean())


def test_a_calibration_that_tells_no_scores_is_written_as_it_was_before_there_were_any(
    tmp_path: Path, exported: Path
) -> None:
    manifest = read_bundle(exported).manifest
    assert manifest.calibration is not None
    silent = manifest.calibration.model_copy(update={"scores": None})
    write_manifest(tmp_path, manifest.model_copy(update={"calibration": silent}))
    spoken, unspoken = (json.loads((folder / "manifest.json").read_text()) for folder in (exported, tmp_path))
    assert spoken["calibration"].pop("scores")["n"] > 0
    assert spoken == unspoken


def test_versions_count_up_and_are_never_overwritten(
    tmp_path: Path, exported: Path, finished_run: Path, digits: Split
) -> None:
    models = tmp_path / "models"
    shutil.copytree(exported.parent, models / "digits")
    second = export(finished_run, digits, models, BundleOrder("digits"), extractor=None, say=_silent)
    assert second.name == "2"
    with pytest.raises(ConfigError, match="never overwritten"):
        export(finished_run, digits, models, BundleOrder("digits", 1), extractor=None, say=_silent)
    assert sorted(path.name for path in (models / "digits").iterdir()) == ["1", "2"]


def test_a_bundle_without_a_discriminator(tmp_path: Path, finished_run: Path, digits: Split) -> None:
    order = BundleOrder("digits", discriminator=False)
    manifest = read_bundle(export(finished_run, digits, tmp_path, order, extractor=None, say=_silent)).manifest
    assert manifest.discriminator is None
    assert manifest.calibration is None


def test_a_failed_export_leaves_nothing_behind(
    tmp_path: Path, finished_run: Path, digits: Split, extractor: Extractor
) -> None:
    stranger = Extractor(extractor.network, "other", extractor.shape, ("a", "b"), 0.0, extractor.sha256)
    with pytest.raises(DataError, match="other classes"):
        export(finished_run, digits, tmp_path, BundleOrder("digits"), extractor=stranger, say=_silent)
    assert list((tmp_path / "digits").iterdir()) == []


def test_a_graph_that_differs_from_its_network_is_refused() -> None:
    family = FAMILIES["mlp"]
    mine, other = (family.generator(z_dim=4, shape=(28, 28, 1), classes=0, width=64) for _ in range(2))
    inputs = {"z": torch.randn(2, 4), "truncation": torch.ones(2)}
    graph = export_graph(GeneratorGraph(mine), inputs, ["image"])
    assert require_parity(GeneratorGraph(mine), graph, {2: inputs}) <= 1
    with pytest.raises(ExportError, match="differs"):
        require_parity(GeneratorGraph(other), graph, {2: inputs})


class _MinibatchStatistics(DcganDiscriminator):
    def features(self, image: Tensor) -> Tensor:
        features = super().features(image)
        return features + image.mean()


def test_a_discriminator_that_looks_at_its_batch_mates_is_refused() -> None:
    network = _MinibatchStatistics(shape=(28, 28, 1), classes=0, width=8)
    module = DiscriminatorGraph(network, stated=Platt(1, 0), not_stated=Platt(1, 0))
    black = torch.zeros(2, 28, 28, 1, dtype=torch.uint8)
    graph = export_graph(module, {"image": black}, ["logit", "probability", "features"])
    white = {"image": np.full((3, 28, 28, 1), 255, dtype=np.uint8)}
    with pytest.raises(ExportError, match="batch mates"):
        require_batch_independence(graph, {"image": black[:1].numpy()}, [white])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("classes", [0, 3])
def test_every_family_exports_with_and_without_classes(family: str, classes: int) -> None:
    generator = FAMILIES[family].generator(z_dim=4, shape=(28, 28, 3), classes=classes, width=16)
    discriminator = FAMILIES[family].discriminator(shape=(28, 28, 3), classes=classes, width=16)
    class_id = {"class_id": torch.tensor([0, 1])} if classes else {}
    latents = {"z": torch.randn(2, 4), **class_id, "truncation": torch.tensor([1.0, 0.5])}
    module = GeneratorGraph(generator)
    require_parity(module, export_graph(module, latents, ["image"]), {2: latents})
    images = {"image": torch.randint(0, 256, (2, 28, 28, 3), dtype=torch.uint8), **class_id}
    scorer = DiscriminatorGraph(discriminator, stated=Platt(2.0, 1.0), not_stated=Platt(1.0, 0.0))
    require_parity(scorer, export_graph(scorer, images, ["logit", "probability", "features"]), {2: images})


def test_evaluate_measures_runs_and_bundles_alike(
    exported: Path, finished_run: Path, digits: Split, extractor: Extractor
) -> None:
    of_run = evaluate(open_players(finished_run), digits, extractor, images=200)
    of_bundle = evaluate(open_players(exported), digits, extractor, images=200)
    assert of_run.metrics.keys() == of_bundle.metrics.keys()
    assert of_bundle.metrics["fid"].value == pytest.approx(of_run.metrics["fid"].value, rel=0.02)
    assert of_bundle.recognition is not None
    assert of_bundle.recognition.images == 20
    right = sum(of_bundle.recognition.by_class.values())
    assert right == pytest.approx(200 * of_bundle.metrics["conditional_accuracy"].value)


def test_evaluate_truncates_when_asked(exported: Path, finished_run: Path, digits: Split, extractor: Extractor) -> None:
    players = [open_players(finished_run), open_players(exported)]
    fids = [evaluate(p, digits, extractor, images=200, truncation=0.0).metrics["fid"].value for p in players]
    assert fids[0] == pytest.approx(fids[1], rel=0.02)
    assert fids[0] > evaluate(players[0], digits, extractor, images=200).metrics["fid"].value


def test_real_images_score_far_better_than_an_untrained_generator(
    exported: Path, digits: Split, extractor: Extractor
) -> None:
    metrics = evaluate(open_players(exported), digits, extractor, images=200).metrics
    for name in ("conditional_accuracy", "fid"):
        assert metrics[name].floor is not None
    assert (metrics["conditional_accuracy"].floor or 0) > 0.8 > metrics["conditional_accuracy"].value
    assert (metrics["fid"].floor or 0) * 5 < metrics["fid"].value


def test_an_extractor_file_is_known_by_its_hash(tmp_path: Path, extractor: Extractor) -> None:
    assert len(extractor.sha256) == 64
    assert extractor.accuracy > 0.8
    (tmp_path / "broken.safetensors").write_bytes(b"no tensors")
    with pytest.raises(DataError, match="not a feature extractor"):
        load_extractor(tmp_path / "broken.safetensors")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_shipped_extractors_load(name: str) -> None:
    path = Path(load_extractor.__code__.co_filename).parent / "extractors" / f"{name}.safetensors"
    extractor = load_extractor(path)
    assert extractor.dataset == name
    assert extractor.accuracy > 0.9
    assert extractor.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_shipped_extractor_knows_real_digits_that_it_never_saw(digits: Split) -> None:
    assert shipped_extractor(digits.held_out) is None  # the shipped subset goes by another name
    path = Path(load_extractor.__code__.co_filename).parent / "extractors" / "mnist.safetensors"
    judged = load_extractor(path)(digits.held_out.images)[1]
    assert digits.held_out.labels is not None
    assert (judged == digits.held_out.labels).mean() >= 0.98


def test_manifest_is_plain_json(exported: Path) -> None:
    document = json.loads((exported / "manifest.json").read_text())
    assert document["generator"]["sha256"] == hashlib.sha256((exported / "generator.onnx").read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("network", FAMILIES)
@pytest.mark.parametrize("conditional", [True, False])
def test_every_network_is_exported_as_it_is(network: str, *, conditional: bool) -> None:
    found = parity(network, size=32, channels=3, conditional=conditional, width=16)
    assert found.grey_levels <= 1
    assert found.scores < 1e-3
