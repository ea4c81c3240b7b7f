"""Networks -> ONNX graphs in the bundle's form, and the proof that the graphs do what the networks do."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from training.calibration import Platt
from training.errors import ExportError
from training.game import to_floats
from training.networks import Discriminator, Generator
from training.networks.encoder import Encoder
from training.players import open_session, score
from training.report import pixels

OPSET = 18
PARITY_BATCHES = (1, 2, 5, 64)
GREY_LEVELS = 1
"""A pixel may differ by this much between torch and ONNX Runtime, where rounding falls on either side of a level."""
SCORE_TOLERANCE = 1e-3
"""A logit or feature may differ by this much, relative to the largest in the batch (at least 1)."""
MATES_TOLERANCE = 1e-4
"""A score may differ by this much, relatively, beside other batch mates: rounding, far under any batch statistic."""


class GeneratorGraph(nn.Module):
    """`z`, `class_id` (if conditional), `truncation` -> `image`; truncation psi feeds psi * z to the network."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, z: Tensor, *rest: Tensor) -> Tensor:
        """float32 [n, z_dim], then int64 [n] if conditional, then float32 [n] -> uint8 [n, height, width, channels]."""
        truncation = rest[-1]
        class_id = rest[0] if self.network.classes else None
        return pixels(self.network(z * truncation[:, None], class_id))


class DiscriminatorGraph(nn.Module):
    """`image`, `class_id` (if conditional) -> `logit`, calibrated `probability`, `features`."""

    def __init__(self, network: Discriminator, *, stated: Platt, not_stated: Platt) -> None:
        super().__init__()
        self.network = network
        self.stated, self.not_stated = stated, not_stated
        self.eval()

    def forward(self, image: Tensor, class_id: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 [n, height, width, channels], int64 [n] -> float32 [n], float32 [n], float32 [n, feature_dim]."""
        chosen = torch.full_like(image[:, 0, 0, 0], -1, dtype=torch.int64) if class_id is None else class_id
        logit, features = score(self.network, to_floats(image), chosen)
        stated = torch.sigmoid(logit * self.stated.slope + self.stated.intercept)
        not_stated = torch.sigmoid(logit * self.not_stated.slope + self.not_stated.intercept)
        return logit, torch.where(chosen < 0, not_stated, stated), features


class EncoderGraph(nn.Module):
    """`image` -> `z`, and `class_logits` if conditional."""

    def __init__(self, network: Encoder) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """uint8 [n, height, width, channels] -> float32 [n, dim], and float32 [n, classes] if conditional."""
        z, verdict = self.network(to_floats(image))
        return (z,) if verdict is None else (z, verdict)


Graph = GeneratorGraph | DiscriminatorGraph | EncoderGraph


def export_graph(module: Graph, example: Mapping[str, Tensor], outputs: list[str]) -> bytes:
    """The ONNX graph of `module`, checked, as one self-contained protobuf.

    `example` names the inputs in order, with two rows or more: a batch of one would freeze the batch dimension.
    """
    for part in module.modules():
        if parametrize.is_parametrized(part):  # spectral norm becomes plain weights
            for name in list(part.parametrizations):  # type: ignore[arg-type]  # a ModuleDict, which torch types loosely
                parametrize.remove_parametrizations(part, name)
    batch = torch.export.Dim("batch", min=1, max=2**20)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)  # it warns that torchvision's operators are not registered
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's exporter warns of its own internals
            program = torch.onnx.export(
                module,
                tuple(example.values()),
                dynamo=True,
                input_names=list(example),
                output_names=outputs,
                # *rest and optional arguments are told apart by position, so the shapes are given by position too
                dynamic_shapes=_dynamic_shapes(module, batch, len(example)),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    if program is None:
        raise ExportError("torch returned no ONNX program")
    model = program.model_proto
    _name_the_batch(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _dynamic_shapes(module: nn.Module, batch: Any, inputs: int) -> Any:  # noqa: ANN401 -- torch.export's own types
    each = tuple({0: batch} for _ in range(inputs))
    return (each[0], each[1:]) if isinstance(module, GeneratorGraph) else each


def _name_the_batch(model: onnx.ModelProto) -> None:
    """Call the first dimension of every input and output `batch`; drop the exporter's notes on its source files."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    del model.graph.value_info[:]


def require_parity(
    module: Graph,
    graph: bytes,
    batches: Mapping[int, Mapping[str, Tensor]],
    *,
    grey_levels: int = GREY_LEVELS,
) -> float:
    """Run both at every batch and return the largest difference; raise ExportError where they do not agree.

    A pixel may differ by `grey_levels`.
    """
    session, worst = open_session(graph), 0.0
    for size, batch in batches.items():
        with torch.inference_mode():
            answer = module(*batch.values())
        expected = [answer] if isinstance(answer, Tensor) else list(answer)
        found = session.run(None, {name: value.numpy() for name, value in batch.items()})
        for name, mine, theirs in zip((o.name for o in session.get_outputs()), expected, found, strict=True):
            difference = _difference(mine.numpy(), theirs)
            allowed = grey_levels if mine.dtype == torch.uint8 else SCORE_TOLERANCE
            if not difference <= allowed:  # NaN is refused too
                raise ExportError(
                    f"{name} differs by {difference:g} from torch at batch {size}, {allowed:g} is allowed"
                )
            worst = max(worst, difference)
    return worst


def require_batch_independence(
    graph: bytes, row: Mapping[str, NDArray[Any]], mates: Sequence[Mapping[str, NDArray[Any]]]
) -> float:
    """Run one row alone and beside each group of mates; return the largest relative difference of its outputs.

    Raises ExportError when it depends on them: minibatch statistics are the usual culprit.
    """
    session, worst = open_session(graph), 0.0
    alone = session.run(None, dict(row))
    for group in mates:
        together = session.run(None, {name: np.concatenate([value, group[name]]) for name, value in row.items()})
        for output, mine, theirs in zip(session.get_outputs(), alone, together, strict=True):
            worst = max(worst, difference := _difference(mine, theirs[:1]))
            allowed = GREY_LEVELS if mine.dtype == np.uint8 else MATES_TOLERANCE
            if not difference <= allowed:
                raise ExportError(
                    f"{output.name} of a row depends on its batch mates (differs by {difference:g}); "
                    "freeze or drop batch statistics"
                )
    return worst


def _difference(first: NDArray[Any], second: NDArray[Any]) -> float:
    if first.shape != second.shape or first.dtype != second.dtype:
        return float("inf")
    apart = np.abs(first.astype(np.float64) - second.astype(np.float64)).max(initial=0.0)
    if first.dtype == np.uint8:
        return float(apart)
    return float(apart / max(1.0, np.abs(first).max(initial=0.0)))
