"""InceptionV3's features, in which published FIDs are measured; through torch-fidelity, with weights from a file."""

import hashlib
import pickle
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.errors import ConfigError, DataError

ROWS = 50


class Inception:
    """The 2048 pooled features of the network of Szegedy et al. (2016) as FID uses it; grey images become RGB."""

    def __init__(self, weights: Path, *, device: torch.device) -> None:
        """Read `weights`, a state dict as torch-fidelity publishes it; nothing is ever downloaded.

        Raises ConfigError when torch-fidelity is not installed, or its torchvision is of another build than torch, and
        DataError for another file.
        """
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import (  # noqa: PLC0415 -- an optional extra
                FeatureExtractorInceptionV3,
            )
        except ImportError:
            told = "pip install -c constraints.txt -e '.[inception]'"
            raise ConfigError(f"--inception-weights needs the extra inception: {told}") from None
        except RuntimeError as error:
            told = f"torchvision is of another build than torch ({str(error).splitlines()[0]})"
            raise ConfigError(f"--inception-weights: {told}") from None
        try:
            torch.load(weights, map_location="cpu", weights_only=True)  # the library would run code from the file
            self._network = FeatureExtractorInceptionV3("inception", ["2048"], str(weights)).to(device)
            self.sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
        except (OSError, RuntimeError, EOFError, ValueError, TypeError, pickle.UnpicklingError, zipfile.BadZipFile):
            raise DataError(f"{weights}: not InceptionV3's weights as torch-fidelity publishes them") from None
        self._device = device

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Features float64 [n, 2048] of uint8 [n, h, w, 1 or 3]."""
        features = []
        for start in range(0, len(images), ROWS):
            rgb = np.broadcast_to(images[start : start + ROWS], (*images[start : start + ROWS].shape[:3], 3))
            batch = torch.from_numpy(np.ascontiguousarray(rgb.transpose(0, 3, 1, 2))).to(self._device)
            with torch.inference_mode():
                (part,) = self._network(batch)
            features.append(part.cpu().numpy().astype(np.float64))
        return np.concatenate(features)
