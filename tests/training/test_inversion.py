import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from bundle import read_bundle
from tests.fakes.bundles import write_bundle
from training.card import INVERSION_METRICS
from training.cli import main
from training.data import Split
from training.encoder import Course, Teacher, draw, train_encoder
from training.errors import ConfigError, Diverged, ExportError
from training.export import BundleOrder, export
from training.graphs import EncoderGraph, export_graph, require_batch_independence, require_parity
from training.inversion import fit_encoder, invert
from training.networks.encoder import Encoder
from training.players import OnnxPlayers, TorchPlayers

BRIEF = Course(kimg=0.2, batch_size=40)


def _silent(line: str) -> None:
    """Training narrates; tests do not listen."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, finished_run: Path, digits: Split) -> Path:
    order = BundleOrder("digits")
    return export(finished_run, digits, tmp_path_factory.mktemp("models"), order, extractor=None, say=_silent)


@pytest.fixture(scope="module")
def inverted(exported: Path, finished_run: Path, digits: Split) -> Path:
    run = TorchPlayers(finished_run, device="cpu")
    return fit_encoder(exported, exported.parents[1], BRIEF, run=run, split=digits, threads=1, say=_silent)


def test_the_next_version_is_the_same_bundle_with_an_encoder(exported: Path, inverted: Path) -> None:
    before, after = read_bundle(exported), read_bundle(inverted)
    assert inverted == exported.parent / "2"
    assert before.encoder is None
    assert after.encoder is not None
    assert (after.generator, after.discriminator) == (before.generator, before.discriminator)
    assert np.array_equal(after.golden, before.golden)
    changed = {"version", "created", "encoder", "metrics"}
    assert after.manifest.model_dump(exclude=changed) == before.manifest.model_dump(exclude=changed)
    assert {path.name for path in inverted.iterdir()} == {path.name for path in exported.iterdir()} | {"encoder.onnx"}


def test_the_bundle_without_encoder_is_as_it_was(exported: Path, inverted: Path) -> None:
    assert "encoder" in json.loads((inverted / "manifest.json").read_text())
    assert "encoder" not in json.loads((exported / "manifest.json").read_text())


def test_the_manifest_and_the_card_state_the_error_that_the_graphs_make(inverted: Path, digits: Split) -> None:
    bundle, players = read_bundle(inverted), OnnxPlayers(inverted)
    metrics = bundle.manifest.metrics
    assert set(INVERSION_METRICS) <= set(metrics)
    assert bundle.encoder is not None
    held_out = digits.held_out
    found = invert(bundle.encoder, players, held_out.images)
    assert metrics["inversion_error"].value == pytest.approx(found.errors.mean())
    assert metrics["inversion_error"].n == len(held_out)
    assert metrics["inversion_class_accuracy"].value == pytest.approx(np.mean(found.class_ids == held_out.labels))
    card = (inverted / "README.md").read_text()
    assert card.startswith("# digits 2\n")
    assert all(name in card for name in INVERSION_METRICS)


def test_an_encoder_is_replaced_by_the_next_one(inverted: Path) -> None:
    again = fit_encoder(inverted, inverted.parents[1], BRIEF, run=None, split=None, threads=1, say=_silent)
    manifest = read_bundle(again).manifest
    assert manifest.version == 3
    assert "inversion_error" not in manifest.metrics
    assert manifest.metrics["inversion_error_generated"].n == 1000
    assert (again / "README.md").read_text().count("## Encoder") == 1


def test_a_version_is_never_lower_than_its_source(exported: Path, tmp_path: Path) -> None:
    found = fit_encoder(exported, tmp_path, BRIEF, run=None, split=None, threads=1, say=_silent)
    assert found == tmp_path / "digits" / "2"


@pytest.mark.parametrize("conditional", [True, False])
def test_any_bundle_can_have_an_encoder(tmp_path: Path, conditional: bool) -> None:  # noqa: FBT001 -- a parameter
    source = write_bundle(tmp_path, conditional=conditional, truncation=False, distribution="uniform", channels=3)
    found = read_bundle(fit_encoder(source, tmp_path, BRIEF, run=None, split=None, threads=1, say=_silent))
    assert found.encoder is not None
    assert found.manifest.metrics.keys() == {"inversion_error_generated"}


def test_another_run_than_that_of_the_bundle_is_refused(exported: Path, finished_run: Path, digits: Split) -> None:
    other = TorchPlayers(finished_run, device="cpu")
    with torch.no_grad():
        for parameter in other.generator.parameters():
            parameter.mul_(1.5)
    with pytest.raises(ConfigError, match="another one"):
        fit_encoder(exported, exported.parents[1], BRIEF, run=other, split=digits, threads=1, say=_silent)


def test_nothing_is_left_when_the_encoder_diverges(exported: Path, tmp_path: Path) -> None:
    course = Course(kimg=4, batch_size=40, lr=1e30)
    with pytest.raises(Diverged):
        fit_encoder(exported, tmp_path, course, run=None, split=None, threads=1, say=_silent)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_comes_nearer_the_longer_it_is_trained(exported: Path, finished_run: Path, digits: Split) -> None:
    players, run = OnnxPlayers(exported, threads=1), TorchPlayers(finished_run, device="cpu")
    z, class_ids = draw(players.latent, 10, 100, seed=9, step=0)
    images = torch.from_numpy(players.images(z, class_ids))

    def error(kimg: float, teacher: Teacher | None) -> float:
        encoder = train_encoder(players, Course(kimg=kimg, batch_size=40), teacher=teacher, report=_silent)
        with torch.inference_mode():
            found, _ = EncoderGraph(encoder)(images)
        return float(((found.numpy() - z) ** 2).mean())

    for teacher in (None, Teacher.of_run(run, digits.train)):
        assert error(2.0, teacher) < error(0.04, teacher)


def test_training_is_a_function_of_its_seed(exported: Path) -> None:
    players = OnnxPlayers(exported, threads=1)
    first, again, other = (
        train_encoder(players, Course(kimg=0.12, batch_size=40, seed=seed), teacher=None, report=_silent).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(("shape", "classes"), [((28, 28, 1), 5), ((32, 48, 3), 0), ((9, 16, 1), 3)], ids=str)
def test_the_graph_of_an_encoder_equals_the_network(shape: tuple[int, int, int], classes: int) -> None:
    torch.manual_seed(0)
    encoder = Encoder(shape=shape, z_dim=7, classes=classes, limit=1.0, width=8, features=16)
    chance = np.random.default_rng(0)

    def batch(size: int) -> dict[str, Tensor]:
        return {"image": torch.from_numpy(chance.integers(0, 256, (size, *shape), dtype=np.uint8))}

    for _ in range(3):  # batch statistics that are not those it starts with
        encoder(torch.randn(8, shape[2], *shape[:2]))
    graph = export_graph(EncoderGraph(encoder), batch(2), ["z", "class_logits"] if classes else ["z"])
    require_parity(EncoderGraph(encoder), graph, {size: batch(size) for size in (1, 2, 5)})
    image = batch(9)["image"].numpy()
    require_batch_independence(graph, {"image": image[:1]}, [{"image": image[1:]}])


def test_an_encoder_that_is_not_its_graph_is_refused() -> None:
    shape = (16, 16, 1)
    encoder = Encoder(shape=shape, z_dim=4, classes=0, limit=4.0, width=8, features=16)
    batch = {"image": torch.randint(0, 256, (3, *shape), dtype=torch.uint8)}
    graph = export_graph(EncoderGraph(encoder), batch, ["z"])
    with torch.no_grad():
        encoder.latent.bias.add_(1)
    with pytest.raises(ExportError, match="z differs"):
        require_parity(EncoderGraph(encoder), graph, {3: batch})


@pytest.mark.slow
def test_the_command_prints_where_the_new_version_is(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "digits" / "1")
    words = ["fit-encoder", str(tmp_path / "digits" / "1"), "--out", str(tmp_path), "--kimg", "0.3", "--threads", "1"]
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
    assert found.stdout.strip() == str(tmp_path / "digits" / "2")
    assert "inversion_error_generated" in found.stderr
