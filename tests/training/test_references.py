"""Our figures against those of published libraries, on the same features."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.metrics.fid import frechet_distance
from training.metrics.kid import kernel_distance
from training.metrics.prdc import prdc

Features = NDArray[np.float64]


@pytest.fixture(scope="module")
def features() -> tuple[Features, Features]:
    chance = np.random.RandomState(7)  # its stream never changes between releases of numpy
    return chance.standard_normal((300, 16)), chance.standard_normal((260, 16)) * 1.2 + 0.15


def test_fid_is_that_of_torch_fidelity_0_4_0_and_torchmetrics_1_9_0(features: tuple[Features, Features]) -> None:
    real, made = features
    assert frechet_distance(made, real) == pytest.approx(1.5740705783748, rel=1e-11)
    assert frechet_distance(real, made) == pytest.approx(1.5740705783748, rel=1e-11)


def test_kid_is_that_of_torch_fidelity_0_4_0_and_torchmetrics_1_9_0(features: tuple[Features, Features]) -> None:
    mean, spread = kernel_distance(features[1], features[0][:260], subsets=3)  # smaller than a subset: taken whole
    assert mean == pytest.approx(0.111734632566163, rel=1e-11)
    assert spread == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("k", "precision", "recall"), [(3, 0.573076904, 0.956666648), (5, 0.653846145, 0.983333349)])
def test_precision_and_recall_are_those_of_torch_fidelity_0_4_0(
    features: tuple[Features, Features], k: int, precision: float, recall: float
) -> None:
    found = prdc(*features, k=k)
    assert (found.precision, found.recall) == pytest.approx((precision, recall), abs=1e-7)


@pytest.mark.filterwarnings("default")  # the library's own
def test_all_three_are_those_of_the_installed_torch_fidelity(features: tuple[Features, Features]) -> None:
    try:
        from torch_fidelity import metric_fid, metric_kid, metric_prc  # noqa: PLC0415 -- an optional extra
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torch-fidelity, the extra inception, cannot be imported: {error}")
    import torch  # noqa: PLC0415 -- only here

    real, made = features
    ours, theirs = torch.from_numpy(made), torch.from_numpy(real)
    statistics = [metric_fid.fid_features_to_statistics(part) for part in (ours, theirs)]
    fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(made, real) == pytest.approx(fid, rel=1e-9)
    settings = {"kid_subsets": 1, "kid_subset_size": 260, "verbose": False}
    kid = metric_kid.kid_features_to_metric(ours, theirs[:260], **settings)["kernel_inception_distance_mean"]
    assert kernel_distance(made, real[:260], subsets=1)[0] == pytest.approx(kid, rel=1e-9)
    settings = {"prc_neighborhood": 5, "prc_batch_size": 1000, "save_cpu_ram": True, "verbose": False}
    theirs_found, ours_found = metric_prc.prc_features_to_metric(ours, theirs, **settings), prdc(real, made, k=5)
    expected = theirs_found["precision"], theirs_found["recall"]
    assert (ours_found.precision, ours_found.recall) == pytest.approx(expected, abs=1e-6)
