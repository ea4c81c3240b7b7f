import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training.errors import ConfigError, DataError
from training.metrics.inception import Inception

CPU = torch.device("cpu")


def _installed() -> bool:
    try:
        import torch_fidelity  # noqa: F401, PLC0415 -- an optional extra
    except (ImportError, RuntimeError):
        return False
    return True


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch_fidelity") is not None:
        pytest.skip("the extra inception is installed")
    with pytest.raises(ConfigError, match="--inception-weights") as caught:
        Inception(tmp_path / "weights.pth", device=CPU)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the library's own
def test_random_weights_of_the_right_shape_give_2048_features_of_grey_and_coloured_images(tmp_path: Path) -> None:
    if not _installed():
        pytest.skip("the extra inception is not installed")
    from torch_fidelity.feature_extractor_inceptionv3 import (  # noqa: PLC0415 -- an optional extra
        FeatureExtractorInceptionV3,
    )

    class Untrained(FeatureExtractorInceptionV3):  # type: ignore[misc]  # untyped, or not there
        def load_state_dict(self, *_: object) -> None:
            """Leaves the weights as they were drawn."""

    (tmp_path / "none.pth").write_bytes(b"")
    torch.save({}, tmp_path / "none.pth")
    weights = tmp_path / "random.pth"
    torch.save(nn.Module.state_dict(Untrained("untrained", ["2048"], str(tmp_path / "none.pth"))), weights)
    space = Inception(weights, device=CPU)
    grey = np.random.default_rng(0).integers(0, 256, size=(2, 28, 28, 1), dtype=np.uint8)
    features = space(grey)
    assert features.shape == (2, 2048)
    assert np.array_equal(space(np.repeat(grey, 3, axis=3)), features)
    assert len(space.sha256) == 64
    with pytest.raises(DataError, match="not InceptionV3's weights"):
        Inception(tmp_path / "none.pth", device=CPU)
