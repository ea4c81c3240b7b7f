from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import SettingsError
from app.settings import Settings, variable


def test_the_defaults_are_the_documented_ones() -> None:
    settings = Settings.from_environment({})
    assert (settings.host, settings.port, settings.models) == ("127.0.0.1", 8000, Path("models"))
    assert (settings.device, settings.discriminator, settings.default_model) == ("auto", True, None)
    assert (settings.max_images_per_request, settings.max_queue_delay_ms) == (256, 0)
    assert settings.rate_limit_per_s is None
    assert settings.api_keys_file is None
    assert settings.metrics_port is None


def test_every_setting_has_a_variable_and_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert variable(name).startswith("GANSERVE_")
        assert field.description, name


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("PORT", "0", 0),
        ("DISCRIMINATOR", "off", False),
        ("DISCRIMINATOR", "on", True),
        ("DEVICE", "cuda", "cuda"),
        ("MAX_QUEUE_DELAY_MS", "2.5", 2.5),
        ("API_KEYS_FILE", "/run/keys", Path("/run/keys")),
        ("DEFAULT_MODEL", "mnist@2", "mnist@2"),
        ("RATE_LIMIT_PER_S", "0.5", 0.5),
        ("LOG_FORMAT", "json", "json"),
        ("WATCH_S", "2.5", 2.5),
        ("ADMIN", "on", True),
        ("IO_BINDING", "off", "off"),
        ("BATCH_BUCKETS", "on", "on"),
        ("CUDA_GRAPHS", "off", False),
        ("SESSIONS", "3", 3),
        ("TENSORRT", "fp16", "fp16"),
        ("CACHE_DIR", "/var/cache/ganserve", Path("/var/cache/ganserve")),
    ],
)
def test_a_variable_sets_its_field(name: str, text: str, value: object) -> None:
    settings = Settings.from_environment({f"GANSERVE_{name}": text, "PATH": "/bin"})
    assert getattr(settings, name.lower()) == value


def test_a_flag_beats_the_variable_and_none_does_not_count() -> None:
    environ = {"GANSERVE_PORT": "1", "GANSERVE_HOST": "::1"}
    settings = Settings.from_environment(environ, port=2, host=None)
    assert (settings.port, settings.host) == (2, "::1")


def test_an_empty_variable_is_an_unset_one() -> None:
    assert Settings.from_environment({"GANSERVE_API_KEYS_FILE": ""}).api_keys_file is None


def test_unknown_names_are_fatal_all_named_with_what_was_meant() -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment({"GANSERVE_MAX_BATCHSIZE": "8", "GANSERVE_QQQ": "1"})
    assert str(refusal.value) == (
        "GANSERVE_MAX_BATCHSIZE is not a setting; did you mean GANSERVE_MAX_BATCH_SIZE?; GANSERVE_QQQ is not a setting"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("DEVICE", "gpu"),
        ("MAX_BATCH_SIZE", "0"),
        ("MAX_QUEUE_DELAY_MS", "-1"),
        ("MAX_QUEUE_DELAY_MS", "nan"),
        ("REQUEST_TIMEOUT_S", "inf"),
        ("REQUEST_TIMEOUT_S", "0"),
        ("THREADS", "-1"),
        ("LOG_LEVEL", "loud"),
        ("DISCRIMINATOR", "perhaps"),
        ("WATCH_S", "0"),
        ("WATCH_S", "inf"),
    ],
)
def test_a_wrong_value_is_fatal_and_its_variable_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^GANSERVE_{name}: "):
        Settings.from_environment({f"GANSERVE_{name}": text})


def test_every_wrong_value_is_named_at_once_in_one_line() -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment({"GANSERVE_PORT": "x", "GANSERVE_THREADS": "y"})
    assert "GANSERVE_PORT" in str(refusal.value)
    assert "GANSERVE_THREADS" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_queue_that_cannot_hold_one_request_is_refused() -> None:
    with pytest.raises(SettingsError, match="GANSERVE_MAX_QUEUE_IMAGES is 10"):
        Settings.from_environment({"GANSERVE_MAX_QUEUE_IMAGES": "10"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gan.example"])  # noqa: S104 -- refused, not bound
def test_an_admin_route_that_the_network_could_call_without_a_key_is_refused(host: str) -> None:
    environ = {"GANSERVE_ADMIN": "on", "GANSERVE_HOST": host}
    with pytest.raises(SettingsError, match=r"^GANSERVE_ADMIN is on .* set GANSERVE_API_KEYS_FILE$"):
        Settings.from_environment(environ)
    assert Settings.from_environment({**environ, "GANSERVE_API_KEYS_FILE": "/run/keys"}).admin


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_an_admin_route_on_loopback_needs_no_key(host: str) -> None:
    assert Settings.from_environment({"GANSERVE_ADMIN": "on", "GANSERVE_HOST": host}).admin
    assert not Settings.from_environment({"GANSERVE_HOST": host}).admin


def test_settings_are_frozen() -> None:
    settings = Settings.from_environment({})
    with pytest.raises(ValidationError):
        settings.port = 1
