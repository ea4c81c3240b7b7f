import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from tests.training.conftest import DIGITS, quiet, small_config
from training import checkpoint
from training.config import PRESETS, TrainingConfig
from training.data import Split
from training.ema import Ema
from training.errors import ConfigError, Diverged
from training.fit import STOPPED_FILE, fit
from training.game import build_networks, new_game, to_floats
from training.loop import play
from training.losses import OBJECTIVES
from training.networks import FAMILIES
from training.precision import emulates_bfloat16, lacks_bfloat16


def test_a_run_leaves_settings_metrics_samples_and_checkpoints(finished_run: Path) -> None:
    lines = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines] == [100, 200, 300, 400]
    assert all(0 < line["d_real"] < 1 and 0 < line["d_fake"] < 1 for line in lines)
    assert all(line["d_grad_norm"] > 0 and line["g_grad_norm"] > 0 and -1 <= line["d_sign"] <= 1 for line in lines)
    assert len(list((finished_run / "samples").glob("*.png"))) == 2
    assert len(checkpoint.checkpoints(finished_run)) == 2
    assert list((finished_run / "tensorboard").iterdir())
    assert json.loads((finished_run / "config.json").read_text())["preset"] == "dcgan"


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, digits: Split, finished_run: Path) -> None:
    fit(small_config(kimg=0.2), digits, tmp_path, resume=False, console=quiet())
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"images_seen": 300, "d_loss": 99}\n{"images_se')  # killed later on
    fit(small_config(), digits, tmp_path, resume=True, console=quiet())
    assert checkpoint.load(tmp_path).sha256() == checkpoint.load(finished_run).sha256()
    kept, whole = ((run / "metrics.jsonl").read_text().splitlines() for run in (tmp_path, finished_run))
    losses = [[json.loads(line)["d_loss"] for line in lines] for lines in (kept, whole)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "settings",
    [
        {"network": "mlp", "latent": "uniform"},  # dropout
        {"network": "r3gan", "loss": "relativistic", "r1_gamma": 0.5, "r2_gamma": 0.5, "penalty_every": 3},
        {"augment": "translation,colour", "augment_target": 0.2, "accumulate": 2},
        {"network": "sngan", "loss": "hinge", "burn_in_kimg": 0.3, "beta2_end": 0.9, "lr_factor": 0.5},
        {"loss": "wasserstein", "gradient_penalty": 10.0, "spectral_norm": False, "d_steps": 2, "noise_share": 0.1},
    ],
    ids=",".join,
)
def test_every_kind_of_game_is_resumed_exactly(tmp_path: Path, digits: Split, settings: dict[str, object]) -> None:
    stops, whole = tmp_path / "stops", tmp_path / "whole"
    for kimg in (0.08, 0.16):
        fit(small_config(kimg=kimg, **settings), digits, stops, resume=kimg > 0.1, console=quiet())
    fit(small_config(kimg=0.16, **settings), digits, whole, resume=False, console=quiet())
    assert checkpoint.load(stops).sha256() == checkpoint.load(whole).sha256()


def test_a_signal_stops_after_the_step_saves_and_says_so(tmp_path: Path, digits: Split, finished_run: Path) -> None:
    class Impatient(Console):
        """A console whose reader presses Ctrl-C at the second report."""

        reports = 0

        def print(self, *words: Any, **how: Any) -> None:  # noqa: ANN401 -- as rich has them
            self.reports += "kimg" in str(words)
            if self.reports == 2:
                self.reports = 3
                os.kill(os.getpid(), signal.SIGINT)

    config = small_config(sample_every_kimg=10.0)
    outcome = fit(config, digits, tmp_path, resume=False, console=Impatient(file=io.StringIO()))
    assert outcome.stopped == signal.SIGINT
    assert 200 <= outcome.game.images_seen <= 240
    assert json.loads((tmp_path / STOPPED_FILE).read_text())["reason"] == "interrupted"
    assert checkpoint.load(tmp_path).facts["images_seen"] == outcome.game.images_seen
    fit(config, digits, tmp_path, resume=True, console=quiet())
    assert not (tmp_path / STOPPED_FILE).exists()
    assert checkpoint.load(tmp_path).part("ema").keys() == checkpoint.load(finished_run).part("ema").keys()
    for name, value in checkpoint.load(tmp_path).tensors.items():
        assert torch.equal(value, checkpoint.load(finished_run).tensors[name]), name


def test_a_resumed_run_with_other_settings_is_refused_by_name(finished_run: Path, digits: Split) -> None:
    with pytest.raises(ConfigError, match=r"batch_size was 20, is now 40"):
        fit(small_config(batch_size=40, kimg=0.8), digits, finished_run, resume=True, console=quiet())


def test_a_run_whose_learning_rate_ends_with_it_is_not_lengthened_and_says_what_is_left() -> None:
    short, long = (small_config(kimg=kimg, lr_decay=True) for kimg in (0.4, 0.8))
    with pytest.raises(ConfigError, match=r"kimg was 0\.4, is now 0\.8; .* --start-from"):
        short.require_same_game(long)
    small_config(kimg=0.4).require_same_game(small_config(kimg=0.8))  # without the decay it is


def test_an_existing_run_is_not_overwritten(finished_run: Path, digits: Split) -> None:
    with pytest.raises(ConfigError, match="--resume"):
        fit(small_config(), digits, finished_run, resume=False, console=quiet())


def test_a_run_that_diverges_keeps_its_last_good_checkpoint_and_says_why(tmp_path: Path, digits: Split) -> None:
    config = small_config(loss="wasserstein", spectral_norm=False, d_lr=1e18, g_lr=1e18, sample_every_kimg=0.02)
    with pytest.raises(Diverged, match="NaN or infinite"):
        fit(config.model_copy(update={"report_every_kimg": 0.02}), digits, tmp_path, resume=False, console=quiet())
    assert json.loads((tmp_path / STOPPED_FILE).read_text())["reason"] == "diverged"
    for file in checkpoint.checkpoints(tmp_path):
        assert all(value.isfinite().all() for value in checkpoint.load(file).tensors.values())


def test_a_loss_that_is_not_finite_stops_the_game(digits: Split) -> None:
    game = new_game(small_config(), digits.train)
    with torch.no_grad():
        next(game.discriminator.parameters()).fill_(float("nan"))
    with pytest.raises(Diverged, match="NaN or infinite"):
        list(play(game, digits.train))


@pytest.mark.parametrize("network", FAMILIES)
@pytest.mark.parametrize("conditional", [True, False])
def test_every_family_plays(network: str, *, conditional: bool, digits: Split) -> None:
    config = small_config(kimg=0.1, conditional=conditional, latent="uniform", network=network)
    (report,) = play(new_game(config, digits.train), digits.train)
    assert report.images_seen == 100
    assert report.d_loss > 0


@pytest.mark.parametrize("loss", OBJECTIVES)
def test_every_loss_plays(loss: str, digits: Split) -> None:
    config = small_config(kimg=0.1, loss=loss)
    (report,) = play(new_game(config, digits.train), digits.train)
    assert report.d_grad_norm > 0
    assert report.g_grad_norm > 0


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_makes_its_networks(preset: str, digits: Split) -> None:
    config = TrainingConfig.from_preset(preset, data=DIGITS)
    generator, discriminator = build_networks(config, digits.train.shape, digits.train.classes)
    assert generator.z_dim == config.z_dim
    assert discriminator.feature_dim > 0


def test_penalties_hold_the_gradient_of_d_down(digits: Split) -> None:
    norms = {}
    for gamma in (0.0, 20.0):
        settings = {"network": "r3gan", "loss": "relativistic", "r1_gamma": gamma, "r2_gamma": gamma, "g_lr": 1e-9}
        game = new_game(small_config(kimg=2.0, report_every_kimg=2.0, d_lr=2e-3, **settings), digits.train)
        (report,) = play(game, digits.train)
        images = to_floats(digits.held_out.images).requires_grad_()
        (gradient,) = torch.autograd.grad(game.discriminator(images).sum(), images)
        norms[gamma] = gradient.flatten(1).norm(dim=1).mean().item()
        assert (report.penalty > 0) == (gamma > 0)
    assert norms[20.0] < norms[0.0] / 2


def test_a_lazy_penalty_weighs_as_much_on_the_whole(digits: Split) -> None:
    penalties = []
    for every in (1, 4):
        settings = {"network": "r3gan", "loss": "relativistic", "r1_gamma": 1.0, "d_lr": 1e-9, "g_lr": 1e-9}
        config = small_config(kimg=0.8, report_every_kimg=0.8, penalty_every=every, **settings)
        (report,) = play(new_game(config, digits.train), digits.train)
        penalties.append(report.penalty)
    assert penalties[1] == pytest.approx(penalties[0], rel=0.3)


def test_parts_of_a_batch_add_up_to_the_whole(digits: Split) -> None:
    weights = []
    for parts in (1, 4):
        settings = {"network": "r3gan", "loss": "relativistic", "r1_gamma": 1.0, "augment": "translation"}
        game = new_game(small_config(kimg=0.1, accumulate=parts, **settings), digits.train)
        list(play(game, digits.train))
        weights.append(torch.cat([p.detach().flatten() for p in game.discriminator.parameters()]))
    assert torch.allclose(weights[0], weights[1], atol=1e-5)


def test_the_burn_in_moves_rates_decays_and_gammas(digits: Split) -> None:
    settings = {"burn_in_kimg": 0.2, "lr_factor": 0.25, "beta2": 0.9, "beta2_end": 0.99, "g_lr": 1e-3}
    game = new_game(small_config(kimg=0.3, report_every_kimg=0.02, **settings), digits.train)
    rates, decays = [], []
    for _ in play(game, digits.train):
        (group,) = game.g_optimizer.param_groups
        rates.append(group["lr"])
        decays.append(group["betas"][1])
    assert rates[0] == pytest.approx(1e-3)
    assert rates[5] == pytest.approx((1e-3 + 0.25e-3) / 2)
    assert rates[-1] == pytest.approx(0.25e-3)
    assert decays[0] == pytest.approx(0.9)
    assert decays[-1] == pytest.approx(0.99)


def test_augmentation_rises_while_d_is_sure_of_the_training_images(digits: Split) -> None:
    settings = {"augment": "translation", "augment_target": -0.9, "batch_size": 20}
    game = new_game(small_config(kimg=0.4, report_every_kimg=0.4, **settings), digits.train)
    (report,) = play(game, digits.train)
    assert report.augment_p == pytest.approx(400 / 500_000, abs=81 / 500_000)


def test_half_precision_plays_and_keeps_penalties_exact(digits: Split) -> None:
    settings = {"precision": "bfloat16", "network": "r3gan", "loss": "relativistic", "r1_gamma": 1.0}
    half, whole = [
        next(iter(play(new_game(small_config(kimg=0.1, **kind), digits.train), digits.train)))
        for kind in (settings, {**settings, "precision": "float32"})
    ]
    assert half.d_loss == pytest.approx(whole.d_loss, rel=0.02)
    assert half.penalty == pytest.approx(whole.penalty, rel=0.1)
    assert half.d_loss != whole.d_loss


def test_a_run_in_half_precision_says_so_where_the_device_has_no_instructions_for_it(
    tmp_path: Path, digits: Split
) -> None:
    told = io.StringIO()
    config = small_config(precision="bfloat16", kimg=0.02)
    fit(config, digits, tmp_path / "run", resume=False, console=Console(file=told, width=200))
    assert ("bfloat16 is computed in software" in told.getvalue()) == emulates_bfloat16(torch.device("cpu"))


@pytest.mark.parametrize(
    ("capabilities", "lacks"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, True),
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, False),
        ({"neon": True, "bf16": True}, False),
        ({}, False),
    ],
)
def test_half_precision_is_in_software_where_no_instruction_is_for_it(
    capabilities: dict[str, object], *, lacks: bool
) -> None:
    assert lacks_bfloat16(capabilities) == lacks


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"accumulate": 3}, "is not cut into 3 parts"),
        ({"accumulate": 20}, "is not cut into 20 parts"),
        ({"augment_target": 0.6}, "augment names none"),
        ({"augment": "flip,flip"}, "names one kind twice"),
        ({"augment": "blur"}, "augment.0"),
        ({"precision": "float16"}, "precision"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        small_config(**settings)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"network": "mlp", "spectral_norm": False}, "spectral_norm: network mlp leaves no choice"),
        ({"network": "dcgan", "blocks": 2}, "blocks: network dcgan leaves no choice"),
        ({"network": "r3gan", "generator_width": 40}, "no multiple of 16"),
    ],
)
def test_what_a_family_cannot_make_is_refused(settings: dict[str, object], complaint: str, digits: Split) -> None:
    with pytest.raises(ConfigError, match=complaint):
        new_game(small_config(**settings), digits.train)


def test_d_learns_to_tell_real_from_generated(digits: Split) -> None:
    config = small_config(kimg=0.6, report_every_kimg=0.6, g_lr=1e-7)
    (report,) = play(new_game(config, digits.train), digits.train)
    assert report.d_real > report.d_fake + 0.1


def test_ema_has_the_stated_half_life_and_averages_buffers() -> None:
    network = torch.nn.BatchNorm1d(1)
    ema = Ema(network, half_life_images=100, ramp=1.0)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.running_mean.fill_(2.0)  # type: ignore[union-attr]  # batch norm tracks by default
    ema.update(network, batch_size=100, images_seen=10_000)
    assert ema.network.weight.item() == pytest.approx(2.0)  # half way from 1 to 3
    assert ema.network.running_mean is not None
    assert ema.network.running_mean.item() == pytest.approx(1.0)


def test_ema_early_on_is_shorter_than_its_half_life() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    ema = Ema(network, half_life_images=1e9, ramp=0.05)
    with torch.no_grad():
        network.weight.fill_(5.0)
    ema.update(network, batch_size=64, images_seen=64)
    assert ema.network.weight.item() == pytest.approx(5.0, abs=1e-4)


def test_a_wrong_setting_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        small_config(batch_size=1)
    with pytest.raises(ConfigError, match="no preset"):
        type(small_config()).from_preset("nonsense", data=DIGITS)
    with pytest.raises(ConfigError, match="threads"):
        small_config(threads=-1)


def test_a_share_of_what_d_sees_as_generated_is_uniform_noise(digits: Split) -> None:
    game = new_game(small_config(kimg=0.02, report_every_kimg=0.02, noise_share=0.25), digits.train)
    seen: list[torch.Tensor] = []
    body = game.discriminator.get_submodule("body")
    hook = body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    list(play(game, digits.train))
    hook.remove()
    _, fake, for_generator = seen
    spread = fake.flatten(1).std(dim=1)
    assert spread[:5] == pytest.approx(3**-0.5, abs=0.05)  # the deviation of a uniform in [-1, 1]
    assert spread[5:].max() < 0.2  # a fresh generator paints grey
    assert for_generator.flatten(1).std(dim=1).max() < 0.2


def test_a_run_begins_with_the_networks_of_another_under_settings_of_its_own(
    tmp_path: Path, digits: Split, finished_run: Path
) -> None:
    changed = small_config(kimg=0.1, class_weight=0.2, g_lr=1e-9, d_lr=1e-9)
    game = fit(changed, digits, tmp_path, resume=False, console=quiet(), start_from=finished_run).game
    before = checkpoint.load(finished_run)
    assert (game.images_seen, game.images_before) == (100, 400)
    for name, value in game.generator.named_parameters():
        assert torch.allclose(value, before.part("generator")[name], atol=1e-6), name
    assert checkpoint.load(tmp_path).facts["images_before"] == 400


def test_networks_of_another_size_are_not_begun_with(tmp_path: Path, digits: Split, finished_run: Path) -> None:
    with pytest.raises(ConfigError, match="other sizes"):
        fit(small_config(generator_width=32), digits, tmp_path, resume=False, console=quiet(), start_from=finished_run)


def test_the_class_loss_teaches_d_to_name_the_class(digits: Split) -> None:
    accuracy = {}
    for weight in (0.0, 1.0):
        game = new_game(small_config(kimg=2.0, report_every_kimg=2.0, class_weight=weight, d_lr=1e-3), digits.train)
        list(play(game, digits.train))
        with torch.no_grad():
            every = game.discriminator.logits(game.discriminator.features(to_floats(digits.held_out.images)))
        assert digits.held_out.labels is not None
        accuracy[weight] = (every.argmax(1).numpy() == digits.held_out.labels).mean()
    assert accuracy[1.0] > max(accuracy[0.0], 0.5)
