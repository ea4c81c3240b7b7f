import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from training import checkpoint
from training.checkpoint import State
from training.errors import CheckpointError


def _state(step: int) -> State:
    tensors = {"generator.weight": torch.arange(6.0).view(2, 3) + step, "ema.weight": torch.zeros(())}
    return State(tensors, {"images_seen": step, "adaptive": [0.1, 0.30000000000000004, 2], "classes": None})


def test_a_state_comes_back_to_the_bit(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, _state(3), images_seen=3)
    again = checkpoint.load(path)
    assert again.facts == _state(3).facts
    assert again.sha256() == _state(3).sha256()
    assert torch.equal(again.part("generator")["weight"], torch.arange(6.0).view(2, 3) + 3)


def test_the_digest_sees_every_bit_and_not_the_layout() -> None:
    state = _state(0)
    image = torch.randn(2, 3, 4, 4)
    assert State({"a": image}, {}).sha256() == State({"a": image.to(memory_format=torch.channels_last)}, {}).sha256()
    assert State({"a": image}, {}).sha256() != State({"b": image}, {}).sha256()
    assert state.sha256() == State(state.tensors, {**state.facts, "git_commit": "abc"}).sha256()
    assert state.sha256() != State(state.tensors, {**state.facts, "images_seen": 1}).sha256()
    flipped = {**state.tensors, "ema.weight": torch.tensor(1e-45)}
    assert state.sha256() != State(flipped, state.facts).sha256()


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in range(4):
        checkpoint.save(tmp_path, _state(step), images_seen=step)
    kept = checkpoint.checkpoints(tmp_path)
    assert [checkpoint.load(path).facts["images_seen"] for path in kept] == [3, 2]


def test_the_last_checkpoint_that_is_whole_is_loaded(tmp_path: Path) -> None:
    before, latest = (checkpoint.save(tmp_path, _state(step), images_seen=step) for step in (1, 2))
    data = bytearray(latest.read_bytes())
    data[-3] ^= 1  # one bit of one weight
    latest.write_bytes(bytes(data))
    assert checkpoint.load(tmp_path).facts["images_seen"] == 1
    latest.write_bytes(bytes(data[:100]))
    assert checkpoint.load(tmp_path).facts["images_seen"] == 1
    before.write_bytes(b"")
    with pytest.raises(CheckpointError, match="no checkpoint can be read"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("metadata", [{}, {"facts": "{}"}, {"facts": "no json", "sha256": "0" * 64}])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = tmp_path / "checkpoint-000000000001.safetensors"
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}, metadata=metadata))
    with pytest.raises(CheckpointError):
        checkpoint.load(path)


def test_nothing_but_tensors_and_json_is_in_a_checkpoint(tmp_path: Path) -> None:
    data = checkpoint.save(tmp_path, _state(1), images_seen=1).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert set(header) == {"__metadata__", "generator.weight", "ema.weight"}
    assert json.loads(header["__metadata__"]["facts"])["images_seen"] == 1


def test_a_save_that_dies_half_way_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, _state(1), images_seen=1)

    def die(*_: object, **__: object) -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.torch, "save", die)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(tmp_path, _state(2), images_seen=2)
    assert checkpoint.load(tmp_path).facts["images_seen"] == 1


def test_a_run_or_a_checkpoint_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such run"):
        checkpoint.load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="no checkpoint is there"):
        checkpoint.load(tmp_path)
