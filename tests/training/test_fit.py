import json
from pathlib import Path

import pytest
import torch

from tests.training.conftest import DIGITS, quiet, small_config
from training import checkpoint
from training.data import Split
from training.ema import Ema
from training.errors import CheckpointError, ConfigError, Diverged
from training.fit import fit
from training.game import new_game, to_floats
from training.loop import play


def test_a_run_leaves_settings_metrics_samples_and_checkpoints(finished_run: Path) -> None:
    lines = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines] == [100, 200, 300, 400]
    assert all(0 < line["d_real"] < 1 and 0 < line["d_fake"] < 1 for line in lines)
    assert len(list((finished_run / "samples").glob("*.png"))) == 2
    assert len(checkpoint.checkpoints(finished_run)) == 2
    assert list((finished_run / "tensorboard").iterdir())
    assert json.loads((finished_run / "config.json").read_text())["preset"] == "dcgan"


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, digits: Split, finished_run: Path) -> None:
    fit(small_config(kimg=0.2), digits, tmp_path, resume=False, console=quiet())
    fit(small_config(), digits, tmp_path, resume=True, console=quiet())
    whole, resumed = checkpoint.load(finished_run), checkpoint.load(tmp_path)
    assert resumed["sampler_position"] == whole["sampler_position"]
    for part in ("generator", "discriminator", "ema"):
        for name, value in whole[part].items():
            assert torch.equal(value, resumed[part][name]), f"{part} {name}"
    assert torch.equal(whole["noise"], resumed["noise"])


def test_a_resumed_run_with_other_settings_is_refused_by_name(finished_run: Path, digits: Split) -> None:
    with pytest.raises(ConfigError, match=r"batch_size was 20, is now 40"):
        fit(small_config(batch_size=40, kimg=0.8), digits, finished_run, resume=True, console=quiet())


def test_an_existing_run_is_not_overwritten(finished_run: Path, digits: Split) -> None:
    with pytest.raises(ConfigError, match="--resume"):
        fit(small_config(), digits, finished_run, resume=False, console=quiet())


def test_resume_falls_back_to_the_last_checkpoint_that_can_be_read(tmp_path: Path, digits: Split) -> None:
    fit(small_config(), digits, tmp_path, resume=False, console=quiet())
    latest, before = checkpoint.checkpoints(tmp_path)
    latest.write_bytes(latest.read_bytes()[:1000])
    assert checkpoint.load(tmp_path)["images_seen"] == 200
    before.write_bytes(b"")
    with pytest.raises(CheckpointError, match="no checkpoint can be read"):
        checkpoint.load(tmp_path)


class _Code:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("this must never run",))


def test_a_checkpoint_cannot_run_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"generator": _Code()}, tmp_path / "checkpoint-000000000001.pt")
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path)
    assert "never" not in capsys.readouterr().out


def test_a_save_that_dies_half_way_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, {"step": 1}, images_seen=1)

    def die(state: object, file: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", die)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(tmp_path, {"step": 2}, images_seen=2)
    assert checkpoint.load(tmp_path) == {"step": 1}


def test_a_loss_that_is_not_finite_stops_the_game(digits: Split) -> None:
    game = new_game(small_config(), digits.train)
    with torch.no_grad():
        next(game.discriminator.parameters()).fill_(float("nan"))
    with pytest.raises(Diverged, match="NaN or infinite"):
        list(play(game, digits.train))


@pytest.mark.parametrize("preset", ["mlp", "dcgan"])
@pytest.mark.parametrize("loss", ["minimax", "non-saturating"])
@pytest.mark.parametrize("conditional", [True, False])
def test_every_family_and_loss_plays(preset: str, loss: str, *, conditional: bool, digits: Split) -> None:
    config = small_config(kimg=0.1, loss=loss, conditional=conditional, latent="uniform", network=preset)
    (report,) = play(new_game(config, digits.train), digits.train)
    assert report.images_seen == 100
    assert report.d_loss > 0


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
    game = fit(changed, digits, tmp_path, resume=False, console=quiet(), start_from=finished_run)
    before = checkpoint.load(finished_run)
    assert (game.images_seen, game.images_before) == (100, 400)
    for name, value in game.generator.named_parameters():
        assert torch.allclose(value, before["generator"][name], atol=1e-6), name
    assert checkpoint.load(tmp_path)["images_before"] == 400


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
