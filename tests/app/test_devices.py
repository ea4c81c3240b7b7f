import pytest

from app.devices import parse_devices
from app.errors import SettingsError
from app.settings import Settings


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("auto", ("auto",)),
        ("cpu", ("cpu",)),
        ("cuda", ("cuda:0",)),
        ("cuda:3", ("cuda:3",)),
        ("cuda:0,cuda:1", ("cuda:0", "cuda:1")),
        ("cuda:1, cuda:0", ("cuda:1", "cuda:0")),
    ],
)
def test_devices_are_named_one_by_one(text: str, devices: tuple[str, ...]) -> None:
    assert parse_devices(text) == devices


@pytest.mark.parametrize(
    "text", ["", "gpu", "cuda:", "cuda:-1", "cuda:01", "cpu,cuda", "auto,cuda:0", "cuda:0,,cuda:1"]
)
def test_other_devices_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cuda:0,cuda:1"):
        parse_devices(text)


@pytest.mark.parametrize("text", ["cuda,cuda:0", "cuda:1,cuda:1"])
def test_a_gpu_is_named_once(text: str) -> None:
    with pytest.raises(ValueError, match="twice"):
        parse_devices(text)


def test_a_wrong_device_names_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"GANSERVE_DEVICE.*cuda:0,cuda:1"):
        Settings.from_environment({"GANSERVE_DEVICE": "gpu"})
