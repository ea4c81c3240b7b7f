"""A linear probe: what a plain classifier can read from frozen features (Radford et al., 2016, section 5)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy


def probe_accuracy(
    train: NDArray[np.float64],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float64],
    test_labels: NDArray[np.int64],
    *,
    decay: float = 1e-4,
) -> float:
    """Share of `test` float64 [m, d] that multinomial logistic regression on `train` float64 [n, d] gets right.

    Features are standardised by the training ones; `decay` weighs the squared weights. Deterministic: full batches,
    L-BFGS from zero.
    """
    mean, scale = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-6)
    x, y = (torch.from_numpy(((part - mean) / scale).astype(np.float32)) for part in (train, test))
    labels, classes = torch.from_numpy(train_labels), int(train_labels.max()) + 1
    weights = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=100, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = cross_entropy(x @ weights + bias, labels) + decay * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]  # as above
    with torch.inference_mode():
        judged = (y @ weights + bias).argmax(dim=1).numpy()
    return float((judged == test_labels).mean())
