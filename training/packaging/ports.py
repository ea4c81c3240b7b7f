"""The inputs and outputs of a graph that was made elsewhere, and which of them is what."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from training.errors import ConfigError, PackageError

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
INTEGERS = (TensorProto.INT64, TensorProto.INT32)
_CLASS = re.compile(r"class|label|cond|one_?hot|^[cy]$", re.IGNORECASE)
_TRUNCATION = re.compile(r"trunc|psi", re.IGNORECASE)
_LATENT = re.compile(r"^z$|latent|noise|^input", re.IGNORECASE)
_NOISE = re.compile(r"noise|^eps", re.IGNORECASE)


@dataclass(frozen=True)
class Port:
    """An input or output: ONNX's type, and its shape, None where a dimension is not fixed."""

    name: str
    kind: int
    shape: tuple[int | None, ...]

    @property
    def batch(self) -> int | None:
        """The fixed size of its first dimension, if that is fixed."""
        return self.shape[0] if self.shape else None

    @property
    def scalar(self) -> bool:
        """Whether it holds one value for the whole batch: shape [] or [1]."""
        return self.shape in {(), (1,)}

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type."""
        return helper.tensor_dtype_to_np_dtype(self.kind)

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} {self.dtype}[{sides}]"


@dataclass(frozen=True)
class GeneratorNames:
    """What each input and output is called, where that was said; `fixed` inputs always get one value."""

    z: str | None = None
    class_id: str | None = None
    truncation: str | None = None
    image: str | None = None
    fixed: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class GeneratorPorts:
    """What a generator takes: z, a class as ids or one-hot, psi; and what else it takes, and is to be given always.

    `z_shape` is the shape of one latent as the graph takes it, which has `dim` numbers in all. `noise` are inputs for
    random maps, which a bundle has no place for.
    """

    z: Port
    z_shape: tuple[int, ...]
    class_id: Port | None
    truncation: Port | None
    fixed: tuple[tuple[Port, float], ...]
    noise: tuple[Port, ...]
    image: Port

    @property
    def dim(self) -> int:
        """Numbers in a latent."""
        return int(np.prod(self.z_shape))

    @property
    def one_hot(self) -> int | None:
        """The number of classes that a one-hot input has room for."""
        return one_hot(self.class_id)

    @property
    def moving(self) -> tuple[Port, ...]:
        """The inputs that have a row per image, z first; a truncation for the whole batch is none."""
        psi = None if self.truncation is not None and self.truncation.scalar else self.truncation
        return tuple(port for port in (self.z, self.class_id, psi) if port is not None)

    def feed(
        self, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None, psi: NDArray[np.float32]
    ) -> dict[str, NDArray[Any]]:
        """The rows in the form that the graph takes: z float32 [n, dim], int64 [n], float32 [n]."""
        rows: dict[str, NDArray[Any]] = {self.z.name: z.reshape(len(z), *self.z_shape).astype(self.z.dtype)}
        if self.class_id is not None and class_ids is not None:
            rows[self.class_id.name] = class_rows(self.class_id, class_ids)
        if self.truncation is not None:
            form = (len(z), *(1 for _ in self.truncation.shape[1:]))
            rows[self.truncation.name] = psi.reshape(form).astype(self.truncation.dtype)
        return rows


def one_hot(port: Port | None) -> int | None:
    """The number of classes that a one-hot input has room for; None for ids and for no input."""
    return port.shape[1] if port is not None and port.kind in FLOATS else None


def class_rows(port: Port, class_ids: NDArray[np.int64]) -> NDArray[Any]:
    """Class ids int64 [n] in the form that an input takes: ids [n] or [n, 1], or one-hot [n, classes]."""
    count = one_hot(port)
    if count is not None:
        return np.eye(count, dtype=port.dtype)[class_ids]
    return class_ids.reshape(len(class_ids), *(1 for _ in port.shape[1:])).astype(port.dtype)


def ports(values: Iterable[onnx.ValueInfoProto]) -> list[Port]:
    """The ports of a graph's inputs or outputs; raises PackageError for one that is not a tensor."""
    found = []
    for value in values:
        if not value.type.HasField("tensor_type"):
            raise PackageError(
                f"{value.name} is not a tensor; only tensors can be inputs and outputs of a bundle's graph"
            )
        shape = tuple(
            side.dim_value if side.HasField("dim_value") else None for side in value.type.tensor_type.shape.dim
        )
        found.append(Port(value.name, value.type.tensor_type.elem_type, shape))
    return found


def find_generator_ports(graph: onnx.GraphProto, names: GeneratorNames, *, z_dim: int | None) -> GeneratorPorts:
    """Which input of a generator is what; raises ConfigError where it cannot be told, with the flag that says it."""
    left = Ports(ports(graph.input), "generator")
    fixed = tuple((left.take(name, "--fix"), value) for name, value in names.fixed.items())
    class_id = left.find(names.class_id, "--class-input", is_class)
    truncation = left.find(names.truncation, "--truncation-input", _is_truncation)
    z = left.find(names.z, "--z-input", _is_latent, prefer=_LATENT)
    if z is None:
        raise ConfigError(f"no input of the generator looks like z ({left}); name it with --z-input")
    if class_id is not None:
        require_class_port(class_id)
    if truncation is not None and (truncation.kind not in FLOATS or any(side != 1 for side in truncation.shape[1:])):
        raise PackageError(f"{truncation} cannot be a truncation: it has to be float, of shape [], [1], [n] or [n, 1]")
    noise = left.take_all(lambda port: port.kind in FLOATS and (len(port.shape) > 2 or bool(_NOISE.search(port.name))))
    left.require_none("give it one value with --fix NAME=VALUE")
    outputs = Ports(ports(graph.output), "generator")
    image = outputs.find(names.image, "--image-output", lambda port: len(port.shape) in {0, 4})
    if image is None:
        raise PackageError(f"no output of the generator is an image, of four dimensions ({outputs})")
    return GeneratorPorts(z, _z_shape(z, z_dim), class_id, truncation, fixed, noise, image)


def require_class_port(port: Port) -> None:
    """Raise PackageError unless the input holds one class per row, as an id or one-hot."""
    if port.kind in INTEGERS and port.shape and all(side == 1 for side in port.shape[1:]) and len(port.shape) <= 2:
        return
    if port.kind in FLOATS and len(port.shape) == 2 and port.shape[1] is not None:
        return
    raise PackageError(
        f"{port} cannot be a class: it has to be whole numbers [n] or [n, 1], or one-hot floats [n, classes], "
        "so that requests for different classes can share a batch"
    )


class Ports:
    """Inputs or outputs of which it is not yet known what they are."""

    def __init__(self, known: list[Port], owner: str) -> None:
        self._left = {port.name: port for port in known}
        self._owner = owner

    def __str__(self) -> str:
        return "; ".join(str(port) for port in self._left.values()) or "there is none left"

    def take(self, name: str, flag: str) -> Port:
        """The port that a flag names; raises ConfigError when there is none of that name."""
        if name not in self._left:
            raise ConfigError(f"{flag}: the {self._owner} has no {name!r} that is not taken ({self})")
        return self._left.pop(name)

    def find(
        self, name: str | None, flag: str, fits: Callable[[Port], bool], *, prefer: re.Pattern[str] | None = None
    ) -> Port | None:
        """The named port, or the only one that fits, or the only one of these whose name `prefer` finds.

        Raises ConfigError when several might be meant.
        """
        if name is not None:
            return self.take(name, flag)
        fitting = [port for port in self._left.values() if fits(port)]
        if len(fitting) > 1 and prefer is not None:
            fitting = [port for port in fitting if prefer.search(port.name)] or fitting
        if len(fitting) > 1:
            self._ambiguous(fitting, flag)
        return self._left.pop(fitting[0].name) if fitting else None

    def take_all(self, fits: Callable[[Port], bool]) -> tuple[Port, ...]:
        """All that fit."""
        return tuple(self._left.pop(port.name) for port in list(self._left.values()) if fits(port))

    def require_none(self, remedy: str) -> None:
        """Raise ConfigError when something is left over."""
        if self._left:
            raise ConfigError(f"the {self._owner} takes what a bundle has no place for ({self}); {remedy}")

    def _ambiguous(self, fitting: list[Port], flag: str) -> NoReturn:
        told = "; ".join(str(port) for port in fitting)
        raise ConfigError(f"several of the {self._owner}'s tensors might be meant ({told}); say which with {flag}")


def is_class(port: Port) -> bool:
    """Whether an input looks like a class: whole numbers, or floats [n, classes] that are called so."""
    if port.kind in INTEGERS:
        return len(port.shape) in {1, 2}
    return port.kind in FLOATS and len(port.shape) == 2 and bool(_CLASS.search(port.name))


def _is_truncation(port: Port) -> bool:
    return port.kind in FLOATS and len(port.shape) <= 2 and bool(_TRUNCATION.search(port.name))


def _is_latent(port: Port) -> bool:
    return port.kind in FLOATS and (len(port.shape) == 2 or (len(port.shape) == 4 and port.shape[2:] == (1, 1)))


def _z_shape(z: Port, z_dim: int | None) -> tuple[int, ...]:
    if z.kind not in FLOATS or len(z.shape) < 2:
        raise PackageError(f"{z} cannot be z: it has to be float, of shape [n, dim] or [n, dim, 1, 1]")
    unknown = z.shape[1:].count(None)
    if unknown > 1 or (unknown == 1 and z_dim is None):
        raise ConfigError(f"{z} does not say how long a latent is; say it with --z-dim")
    shape = tuple(z_dim if side is None else side for side in z.shape[1:])
    found = tuple(side for side in shape if side is not None)
    if z_dim is not None and int(np.prod(found)) != z_dim:
        raise ConfigError(f"--z-dim is {z_dim}, and {z} holds {int(np.prod(found))} numbers")
    return found
