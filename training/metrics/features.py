"""The frozen feature extractor: a small classifier of the real images, trained apart from any game.

Its penultimate activations are the space in which FID compares images; its verdict is what conditional accuracy counts.
A figure means something only beside the extractor it was measured with, so each is kept with the SHA-256 of its file.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.data import ImageSet, Sampler
from training.data.stacked import STACKED
from training.errors import DataError
from training.game import to_floats

SHIPPED = Path(__file__).parent / "extractors"
"""Extractors that come with the trainer, one `<data set>.safetensors` each."""


class ExtractorNetwork(nn.Module):
    """Four convolutions with batch norm and a layer of 128 features; any size from 16 pixels up."""

    def __init__(self, *, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(channels, 32),
            nn.MaxPool2d(2),
            *_convolution(32, 64),
            nn.MaxPool2d(2),
            *_convolution(64, 96),
            *_convolution(96, 96),
            nn.AdaptiveMaxPool2d(3),
            nn.Flatten(),
            nn.Linear(96 * 9, 128),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(0.4)
        self.head = nn.Linear(128, classes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Float NCHW in [-1, 1] -> features float32 [n, 128] and class logits float32 [n, classes]."""
        features = self.body(image)
        return features, self.head(self.dropout(features))


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


@dataclass(frozen=True)
class Extractor:
    """A trained extractor and where it comes from; `accuracy` is its own on held-out real images."""

    network: ExtractorNetwork
    dataset: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    accuracy: float
    sha256: str

    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Features float64 [n, 128] and the class judged most likely int64 [n] of uint8 [n, h, w, c]."""
        features, judged = [], []
        for start in range(0, len(images), 500):
            with torch.inference_mode():
                part, logits = self.network(to_floats(images[start : start + 500]))
            features.append(part.numpy().astype(np.float64))
            judged.append(logits.argmax(1).numpy())
        return np.concatenate(features), np.concatenate(judged)


class Channelwise:
    """An extractor of grey digits on each of three channels, for StackedMNIST: the features side by side, and the
    mode, 0 to 999, that the three digits name."""

    accuracy = float("nan")

    def __init__(self, digits: Extractor) -> None:
        self._digits = digits
        self.sha256 = digits.sha256

    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Features float64 [n, 384] and the mode int64 [n] of uint8 [n, h, w, 3]."""
        seen = [self._digits(images[..., channel : channel + 1]) for channel in range(3)]
        hundreds, tens, ones = (judged for _, judged in seen)
        return np.concatenate([features for features, _ in seen], axis=1), 100 * hundreds + 10 * tens + ones


AnyExtractor = Extractor | Channelwise


def fit_classifier(
    train: ImageSet, *, epochs: int, seed: int, report: Callable[[str], None] = lambda _: None
) -> ExtractorNetwork:
    """A classifier of `train`, in eval mode; images are shifted by up to two pixels while training, never flipped.

    Raises DataError for a set without classes.
    """
    if train.labels is None or train.classes is None:
        raise DataError("an extractor is trained to tell classes apart, and this data set has none")
    torch.manual_seed(seed)
    network = ExtractorNetwork(channels=train.shape[2], classes=len(train.classes))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch types no memory format alone
    batch = 128
    steps = max(epochs * len(train) // batch, 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=5e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    sampler, chance = Sampler(len(train), seed), np.random.default_rng(seed)
    for step in range(steps):
        index = sampler.take(batch)
        shift = chance.integers(-2, 3, size=2)
        images = torch.roll(to_floats(train.images[index]), tuple(int(s) for s in shift), dims=(2, 3))
        _, logits = network(images)
        loss = cross_entropy(logits, torch.from_numpy(train.labels[index]), label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            report(f"step {step}/{steps}  loss {loss.item():.3f}")
    return network.eval()


def train_extractor(
    train: ImageSet, held_out: ImageSet, path: Path, *, epochs: int, seed: int, report: Callable[[str], None]
) -> Extractor:
    """Train an extractor on `train`, measure it on `held_out`, write it to `path` (safetensors) and load it from there.

    Raises DataError for a set without classes.
    """
    network = fit_classifier(train, epochs=epochs, seed=seed, report=report)
    if train.classes is None or held_out.labels is None:
        raise DataError("an extractor is trained to tell classes apart, and the held-out images have none")
    unsaved = Extractor(network, train.name, train.shape, train.classes, 0.0, "")
    accuracy = float((unsaved(held_out.images)[1] == held_out.labels).mean())
    about = {
        "dataset": train.name,
        "shape": list(train.shape),
        "classes": list(train.classes),
        "accuracy": accuracy,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, path, metadata={"about": json.dumps(about)})
    return load_extractor(path)


def load_extractor(path: Path) -> Extractor:
    """Read an extractor file; raises DataError when it is not one."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a dict
        classes = tuple(about["classes"])
        height, width, channels = about["shape"]
        network = ExtractorNetwork(channels=channels, classes=len(classes)).eval()
        network.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: not a feature extractor ({type(error).__name__})") from None
    return Extractor(network, about["dataset"], (height, width, channels), classes, about["accuracy"], digest)


def shipped_extractor(data: ImageSet) -> AnyExtractor | None:
    """The extractor that comes with the trainer for this data set, if there is one."""
    if data.name.startswith(STACKED):
        path = SHIPPED / f"{data.name.removeprefix(STACKED)}.safetensors"
        return Channelwise(load_extractor(path)) if path.is_file() else None
    path = SHIPPED / f"{data.name}.safetensors"
    if not path.is_file():
        return None
    extractor = load_extractor(path)
    return extractor if extractor.shape == data.shape and extractor.classes == data.classes else None
