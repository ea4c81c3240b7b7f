"""A trained pair as a measurer sees it: latents in, pixels out; pixels in, scores out.

The same measurements run on a run's networks in torch and on an exported bundle's graphs in ONNX Runtime.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from bundle import LatentSpec, Manifest, read_bundle
from training import checkpoint
from training.config import TrainingConfig
from training.errors import CheckpointError, DataError
from training.game import build_networks, pick_device, to_floats
from training.networks import Discriminator
from training.report import generate

CLASS_NOT_STATED = -1
_ROWS = 250


class Players(Protocol):
    """A generator and, if there is one, its discriminator."""

    @property
    def latent(self) -> LatentSpec:
        """The distribution of z."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        ...

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes of a conditional pair."""
        ...

    @property
    def has_discriminator(self) -> bool:
        """Whether `logits` can be asked."""
        ...

    def images(
        self, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None, *, truncation: float = 1.0
    ) -> NDArray[np.uint8]:
        """Latents float32 [n, dim], classes int64 [n] and one psi for all -> uint8 [n, height, width, channels]."""
        ...

    def logits(self, images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """The score of each image, float64 [n]; class -1 is "not stated". Unconditional pairs ignore the class."""
        ...

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """What D makes of each image before it scores it, float64 [n, feature_dim]."""
        ...


class TorchPlayers:
    """The networks of a run, the generator being the smoothed one."""

    has_discriminator = True

    def __init__(self, run: Path, *, device: str = "auto") -> None:
        self.state = checkpoint.load(run)
        try:
            facts = self.state.facts
            self.config = TrainingConfig.model_validate(facts["config"])
            height, width, channels = facts["shape"]
            self.shape: tuple[int, int, int] = (height, width, channels)
            names = facts["classes"]
            self.classes: tuple[str, ...] | None = None if names is None else tuple(names)
            self.generator, self.discriminator = build_networks(self.config, self.shape, self.classes)
            self.generator.load_state_dict(self.state.part("ema"))
            self.discriminator.load_state_dict(self.state.part("discriminator"))
            self.images_seen, self.images_before = int(facts["images_seen"]), int(facts["images_before"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{run}: its checkpoint is of another version ({type(error).__name__})") from None
        self.latent = LatentSpec(distribution=self.config.latent, dim=self.config.z_dim)
        self.device = pick_device(device)
        self.generator.to(self.device).eval()
        self.discriminator.to(self.device).eval()

    def images(
        self, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None, *, truncation: float = 1.0
    ) -> NDArray[np.uint8]:
        """See Players."""
        return generate(self.generator, self.device, z * np.float32(truncation), class_ids)

    def logits(self, images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """See Players."""
        parts = []
        for start in range(0, len(images), _ROWS):
            chosen = torch.from_numpy(class_ids[start : start + _ROWS]).to(self.device)
            with torch.inference_mode():
                scored = score(self.discriminator, to_floats(images[start : start + _ROWS]).to(self.device), chosen)
            parts.append(scored[0].cpu().numpy().astype(np.float64))
        return np.concatenate(parts)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """See Players."""
        parts = []
        for start in range(0, len(images), _ROWS):
            with torch.inference_mode():
                found = self.discriminator.features(to_floats(images[start : start + _ROWS]).to(self.device))
            parts.append(found.cpu().numpy().astype(np.float64))
        return np.concatenate(parts)


class OnnxPlayers:
    """The graphs of a bundle on the CPU provider: what a service would serve."""

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        bundle = read_bundle(path)
        self.manifest: Manifest = bundle.manifest
        spec = self.manifest.image
        self.shape: tuple[int, int, int] = (spec.height, spec.width, spec.channels)
        self.latent, self.classes = self.manifest.latent, self.manifest.classes
        self.has_discriminator = bundle.discriminator is not None
        self._generator = open_session(bundle.generator, threads=threads)
        self._discriminator = open_session(bundle.discriminator, threads=threads) if bundle.discriminator else None

    def images(
        self, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None, *, truncation: float = 1.0
    ) -> NDArray[np.uint8]:
        """See Players; raises DataError for a truncation that the bundle does not support."""
        if truncation != 1 and not self.manifest.truncation.supported:
            raise DataError("this bundle does not support truncation")
        parts = []
        for start in range(0, len(z), _ROWS):
            rows = slice(start, start + _ROWS)
            feed: dict[str, NDArray[np.generic]] = {"z": z[rows]}
            if class_ids is not None:
                feed["class_id"] = class_ids[rows]
            if self.manifest.truncation.supported:
                feed["truncation"] = np.full(len(z[rows]), truncation, dtype=np.float32)
            parts.append(self._generator.run(["image"], feed)[0])
        return np.concatenate(parts)

    def logits(self, images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """See Players."""
        return self._score("logit", images, class_ids)

    def probabilities(self, images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the graph states of each image, float64 [n] in [0, 1]; as `logits`."""
        return self._score("probability", images, class_ids)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """See Players."""
        return self._score("features", images, np.full(len(images), CLASS_NOT_STATED, dtype=np.int64))

    def _score(self, output: str, images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        if self._discriminator is None:
            raise ValueError("this bundle has no discriminator")
        parts = []
        for start in range(0, len(images), _ROWS):
            rows = slice(start, start + _ROWS)
            feed: dict[str, NDArray[np.generic]] = {"image": images[rows]}
            if self.classes is not None:
                feed["class_id"] = class_ids[rows]
            parts.append(self._discriminator.run([output], feed)[0].astype(np.float64))
        return np.concatenate(parts)


def score(network: Discriminator, image: torch.Tensor, class_id: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logit float32 [n] and features of float NCHW images; class -1 scores over all classes."""
    features = network.features(image)
    every = network.logits(features)
    marginal = network.marginal(every)
    if not network.classes:
        return marginal, features
    named = every.gather(1, class_id.clamp(min=0)[:, None]).squeeze(1)
    return torch.where(class_id < 0, marginal, named), features


def run_generator(graph: bytes, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None) -> NDArray[np.uint8]:
    """The images of a generator's graph that takes a truncation, at psi 1, on the CPU; uint8 [n, height, width, c]."""
    feed: dict[str, NDArray[np.generic]] = {"z": z, "truncation": np.ones(len(z), dtype=np.float32)}
    if class_ids is not None:
        feed["class_id"] = class_ids
    images: NDArray[np.uint8] = open_session(graph).run(["image"], feed)[0]
    return images


def open_session(graph: bytes, *, threads: int = 0) -> onnxruntime.InferenceSession:
    """A CPU session on an ONNX graph held in memory."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised, and need not be printed as well
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
