"""How a network writes pixels as floats: the order of the axes, and the range of the values."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.errors import ConfigError, PackageError

Layout = Literal["nchw", "nhwc"]
Range = Literal["-1,1", "0,1", "0,255"]

_LARGEST_SIDE = 4096
_TO_LEVELS: dict[Range, tuple[float, float]] = {"-1,1": (127.5, 128.0), "0,1": (255.0, 0.5), "0,255": (1.0, 0.5)}
_BOUNDS: dict[Range, tuple[float, float]] = {"-1,1": (-1.0, 1.0), "0,1": (0.0, 1.0), "0,255": (0.0, 255.0)}
_OVERSHOOT = 8.0
"""Networks that end in a linear layer leave [-1, 1]; further out it is no picture in that range."""


@dataclass(frozen=True)
class Picture:
    """The size of an image, and the floats that stand for it."""

    layout: Layout
    range: Range
    height: int
    width: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.height, self.width, self.channels

    @property
    def to_levels(self) -> tuple[float, float]:
        """Factor and summand that make grey levels of floats, which are then clipped and cut: rounding to nearest."""
        return _TO_LEVELS[self.range]

    @property
    def from_levels(self) -> tuple[float, float]:
        """Summand and divisor that make floats of grey levels."""
        return {"-1,1": (-127.5, 127.5), "0,1": (0.0, 255.0), "0,255": (0.0, 1.0)}[self.range]

    def pixels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """What the pixel head makes of a network's floats [n, ...], computed by NumPy: uint8 [n, height, width, c]."""
        factor, summand = (np.float32(number) for number in self.to_levels)
        levels = (values.astype(np.float32) * factor + summand).clip(0, 255).astype(np.uint8)
        return levels if self.layout == "nhwc" else levels.transpose(0, 2, 3, 1)

    def floats(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The floats that stand for pixels uint8 [n, height, width, c], in the network's layout."""
        summand, divisor = (np.float32(number) for number in self.from_levels)
        values = (pixels.astype(np.float32) + summand) / divisor
        return values if self.layout == "nhwc" else values.transpose(0, 3, 1, 2)

    def outside(self, values: NDArray[Any]) -> float:
        """The share of values that lie outside the range by more than rounding, which the pixel head clips."""
        low, high = _BOUNDS[self.range]
        slack = (high - low) / 510  # half a grey level
        return float(((values < low - slack) | (values > high + slack)).mean())


def find_picture(values: NDArray[Any], last: str | None, *, layout: Layout | None, range_: Range | None) -> Picture:
    """The picture in a generator's output `values` [n, ...], whose last operator is `last`.

    Raises PackageError for what is no image of 1 or 3 channels or is not finite, ConfigError where a flag has to say
    what is meant.
    """
    if values.ndim != 4:
        raise PackageError(f"the image output is {_shape(values)}, not of four dimensions")
    if not np.isfinite(values).all():
        raise PackageError("the generator makes values that are not finite (NaN or infinite)")
    found = layout or _find_layout(values)
    height, width, channels = values.shape[1:] if found == "nhwc" else (*values.shape[2:], values.shape[1])
    if channels not in {1, 3}:
        raise PackageError(
            f"the image output is {_shape(values)}: {channels} channels as {found}; a bundle holds 1 (grey) or 3 (RGB)"
        )
    if max(height, width) > _LARGEST_SIDE:
        raise PackageError(f"the images are {height}x{width}; a bundle holds up to {_LARGEST_SIDE} pixels a side")
    return Picture(found, range_ or _find_range(values, last), height, width, channels)


def find_layout(shape: tuple[int | None, ...], picture: Picture, asked: Layout | None) -> Layout:
    """The layout of a discriminator's input that takes images of the picture's size.

    Raises PackageError when it takes others.
    """
    height, width, channels = picture.shape
    forms: dict[Layout, tuple[int, ...]] = {"nchw": (channels, height, width), "nhwc": (height, width, channels)}
    order: list[Layout] = [asked] if asked else sorted(forms, key=lambda form: form != picture.layout)
    for form in order:
        if all(side in {None, expected} for side, expected in zip(shape[1:], forms[form], strict=True)):
            return form
    told = ", ".join("?" if side is None else str(side) for side in shape)
    raise PackageError(
        f"the discriminator takes images [{told}], the generator makes {height}x{width} with {channels} channel(s)"
    )


def _find_layout(values: NDArray[Any]) -> Layout:
    first, last = values.shape[1] in {1, 3}, values.shape[3] in {1, 3}
    if first and last:
        raise ConfigError(f"the image output is {_shape(values)}: say which axis is the channel with --layout")
    if not first and not last:
        raise PackageError(f"the image output is {_shape(values)}: it has no axis of 1 (grey) or 3 (RGB) channels")
    return "nchw" if first else "nhwc"


def _find_range(values: NDArray[Any], last: str | None) -> Range:
    if values.dtype == np.uint8:
        return "0,255"
    if last in {"Tanh", "Sigmoid"}:
        return "-1,1" if last == "Tanh" else "0,1"
    low, high = float(values.min()), float(values.max())
    if low < -0.1 and max(-low, high) <= _OVERSHOOT:
        return "-1,1"
    if low >= 0 and high <= 1:
        return "0,1"
    if high > 32 and low >= -32:
        return "0,255"
    raise ConfigError(f"the generator's values lie between {low:.3g} and {high:.3g}: say what they mean with --range")


def _shape(values: NDArray[Any]) -> str:
    return f"[n, {', '.join(str(side) for side in values.shape[1:])}]"
