"""Settings from a file: one's own, another run's, or those of the run that is gone on with."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.training.conftest import DIGITS, small_config
from training import checkpoint
from training.cli import main
from training.config import CONFIG_FILE, TrainingConfig, read_settings
from training.errors import ConfigError


def _fit(*flags: str | Path) -> Result:
    return CliRunner().invoke(main, ["fit", *map(str, flags)])


def test_a_run_goes_on_by_its_folder_alone(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    result = _fit("--resume", "--out", run, "--kimg", "0.5")
    assert result.exit_code == 0, result.output
    state = checkpoint.load(run)
    assert state.facts["images_seen"] == 500
    assert {**state.facts["config"], "kimg": 0.4} == checkpoint.load(finished_run).facts["config"]


def test_a_setting_beside_it_that_would_make_another_game_is_refused(finished_run: Path) -> None:
    result = _fit("--resume", "--out", finished_run, "--z-dim", "9")
    assert result.exit_code == 1
    assert "z_dim was 8, is now 9" in result.stderr
    named = _fit("--resume", "--out", finished_run, "--preset", "r3gan", "--data", DIGITS)
    assert "network was dcgan, is now r3gan" in named.stderr


def test_the_same_game_is_played_again_from_another_runs_settings(finished_run: Path, tmp_path: Path) -> None:
    again = _fit("--config", finished_run / CONFIG_FILE, "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert checkpoint.load(tmp_path / "again").sha256() == checkpoint.load(finished_run).sha256()
    other = _fit("--config", finished_run / CONFIG_FILE, "--seed", "1", "--kimg", "0.1", "--out", tmp_path / "other")
    assert other.exit_code == 0, other.output
    assert checkpoint.load(tmp_path / "other").facts["config"]["seed"] == 1


def test_a_file_of_some_settings_leaves_the_rest_to_its_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"preset": "r3gan", "augment": ["cutout"], "beta2_end": None, "data": str(DIGITS)}))
    config = TrainingConfig.from_settings(read_settings(file), seed=3, kimg=None)
    assert (config.network, config.augment, config.seed) == ("r3gan", ("cutout",), 3)
    assert config.beta2_end is None  # where the preset has one
    file.write_text("{}")
    assert TrainingConfig.from_settings(read_settings(file), data=DIGITS).preset == "dcgan"


def test_what_a_run_wrote_is_what_it_had(finished_run: Path) -> None:
    assert TrainingConfig.from_settings(read_settings(finished_run / CONFIG_FILE)) == small_config()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "No such file"),
        ("seed: 1", "not JSON"),
        ("[]", "a JSON object"),
        ('{"sed": 1, "kimgs": 2}', "no setting is called kimgs, sed"),
        ('{"preset": "nonsense"}', "no preset is called 'nonsense'"),
        ('{"preset": ["dcgan"]}', "no preset is called"),
        ('{"seed": -1}', "seed"),
    ],
)
def test_a_file_that_says_no_settings_is_refused(text: str | None, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    if text is not None:
        file.write_text(text)
    result = _fit("--config", file, "--data", DIGITS, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert "Traceback" not in result.output


def test_a_preset_beside_a_file_is_refused(finished_run: Path, tmp_path: Path) -> None:
    result = _fit("--config", finished_run / CONFIG_FILE, "--preset", "mlp", "--out", tmp_path / "run")
    assert "give one of the two" in result.stderr


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not JSON"):
        read_settings(tmp_path / "mine.json")
