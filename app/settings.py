"""Every knob of the service, read from GANSERVE_* variables and from flags of the same names."""

import difflib
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from app.devices import parse_devices
from app.errors import SettingsError

PREFIX = "GANSERVE_"

Port = Annotated[int, Field(ge=0, le=65535)]


def _known_devices(text: str) -> str:
    parse_devices(text)
    return text


class Settings(BaseModel):
    """The settings of one service; frozen, and wrong names and values are fatal at start."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 opens the service to the network.")
    port: Port = Field(8000, description="Port to listen on; 0 takes a free one.")
    models: Path = Field(Path("models"), description="Folder of model bundles, <name>/<version>/.")
    watch_s: Annotated[float, Field(ge=0.1, le=86400)] | None = Field(
        None, description="Seconds between looks for models that came or went; unset: on SIGHUP and on request alone."
    )
    default_model: str | None = Field(
        None,
        description='Model that requests without one get, "name" or "name@version"; unset: the only one, or mnist.',
    )
    device: Annotated[str, AfterValidator(_known_devices)] = Field(
        "auto", description="auto takes CUDA where it really runs; cuda, or cuda:0,cuda:1, refuses to start elsewhere."
    )
    sessions: Annotated[int, Field(ge=0, le=64)] = Field(
        0, description="Batches of a network under way at once, a session each; 0: measured on a CPU, 2 per GPU."
    )
    threads: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="Threads of each CPU session; 0: measured, within this process's affinity and cgroup quota."
    )
    discriminator: bool = Field(
        default=True, description="on serves POST /discriminate where a bundle can; off removes it."
    )
    max_batch_size: Annotated[PositiveInt, Field(le=4096)] = Field(64, description="Images in one run of a network.")
    batch_buckets: Literal["auto", "on", "off"] = Field(
        "auto", description="Run batches of 1, 2, 4, ... rows only, padded up to these; auto: on a GPU."
    )
    io_binding: Literal["auto", "on", "off"] = Field(
        "auto", description="Keep inputs and outputs in fixed buffers on the device; auto: on a GPU."
    )
    cuda_graphs: bool = Field(
        default=True, description="Replay each batch size as one CUDA graph, where a network allows it; needs buffers."
    )
    tensorrt: Literal["off", "on", "fp16"] = Field(
        "off", description="Run on TensorRT, with float16 kernels if fp16; refuses to start where it is not there."
    )
    cache_dir: Path | None = Field(None, description="Folder where TensorRT keeps its engines; unset: built anew.")
    max_queue_delay_ms: Annotated[NonNegativeFloat, Field(le=10_000)] = Field(
        0.0, description="How long a batch that is not full may wait for more; 0: batch what queued meanwhile."
    )
    max_queue_images: PositiveInt = Field(
        2048, description="Images that may wait, per network; more are refused with 503."
    )
    max_images_per_request: Annotated[PositiveInt, Field(le=65536)] = Field(
        256, description="Images that one request may ask for or upload."
    )
    max_frames: Annotated[PositiveInt, Field(le=65536)] = Field(512, description="Frames of one walk.")
    max_animation_pixels: PositiveInt = Field(
        32 * 2**20, description="Pixels of all frames of one walk, as large as they are asked for."
    )
    max_inversion_evaluations: Annotated[PositiveInt, Field(le=2**24)] = Field(
        16384, description="Images of one inversion request times its budget of candidates."
    )
    cache_bytes: NonNegativeInt = Field(
        0, description="Memory for encoded images, so that a seed asked for again is not made again; 0: no cache."
    )
    png_level: Annotated[int, Field(ge=0, le=9)] = Field(
        1, description="How hard PNGs are compressed: 0 not at all, 1 to 3 fast, 4 to 9 smaller files and slower."
    )
    max_body_bytes: PositiveInt = Field(16 * 2**20, description="Largest request body; more is refused with 413.")
    max_pixels: PositiveInt = Field(16 * 2**20, description="Largest uploaded image; checked before it is decoded.")
    request_timeout_s: PositiveFloat = Field(30.0, description="Deadline of a request that does not state its own.")
    drain_timeout_s: PositiveFloat = Field(20.0, description="How long running requests may take to finish on SIGTERM.")
    api_keys_file: Path | None = Field(None, description="File of API keys, one a line; unset: no key is asked for.")
    playground: bool = Field(default=True, description="on serves the playground at GET /; off sends / to /docs.")
    admin: bool = Field(
        default=False, description="on serves POST /admin/reload; beyond loopback it needs keys, or nothing starts."
    )
    rate_limit_per_s: PositiveFloat | None = Field(None, description="Requests a second per client; unset: no limit.")
    rate_limit_burst: PositiveInt = Field(
        20, description="Requests that a client may send at once under the rate limit."
    )
    metrics_port: Port | None = Field(None, description="Port of its own for /metrics; unset: the service's port.")
    log_format: Literal["console", "json"] = Field("console", description="Log lines for people or for programs.")
    access_log: bool = Field(default=False, description="on logs a line for every request that is answered.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line to log.")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **overrides: object) -> Self:
        """The settings in `environ`, those in `overrides` (flags; None does not count) coming first. An empty variable
        counts as unset.

        Raises SettingsError that names every unknown GANSERVE_* variable and every wrong value.
        """
        named = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
        known = {variable(field): field for field in cls.model_fields}
        unknown = sorted(name for name in named if name not in known)
        if unknown:
            raise SettingsError("; ".join(_unknown(name, known) for name in unknown))
        given: dict[str, object] = {known[name]: value for name, value in named.items() if value}
        given.update({field: value for field, value in overrides.items() if value is not None})
        try:
            settings = cls(**given)  # type: ignore[arg-type]  # strings are what pydantic converts and checks
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            raise SettingsError("; ".join(f"{variable(str(e['loc'][0]))}: {e['msg']}" for e in found)) from None
        if settings.max_queue_images < settings.max_images_per_request:
            raise SettingsError(
                f"{variable('max_queue_images')} is {settings.max_queue_images}: less than one request's "
                f"{settings.max_images_per_request} images ({variable('max_images_per_request')})"
            )
        if settings.admin and settings.api_keys_file is None and not _is_loopback(settings.host):
            raise SettingsError(
                f"{variable('admin')} is on and {variable('host')} is {settings.host}: anyone there could call it; "
                f"set {variable('api_keys_file')}"
            )
        return settings


def variable(field: str) -> str:
    """The environment variable of a field: `max_batch_size` -> `GANSERVE_MAX_BATCH_SIZE`."""
    return PREFIX + field.upper()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unknown(name: str, known: Mapping[str, str]) -> str:
    # The prefix, which all share, would make every name look near.
    near = difflib.get_close_matches(
        name.removeprefix(PREFIX), [known_name.removeprefix(PREFIX) for known_name in known]
    )
    return f"{name} is not a setting" + (f"; did you mean {PREFIX}{near[0]}?" if near else "")
