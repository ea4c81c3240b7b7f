"""A gallery of real images, to look at before a game is played on them."""

import numpy as np
from numpy.typing import NDArray

from training.data.sets import ImageSet

COLUMNS = 10
ROWS = 10


def choose_gallery(images: ImageSet) -> NDArray[np.uint8]:
    """Ten images of each of the first ten classes, or a hundred without classes, evenly from the whole set.

    uint8 [rows * 10, height, width, channels], row by row; white where a class has fewer than ten.
    """
    if images.labels is None or images.classes is None:
        rows = [np.arange(len(images))[row::ROWS] for row in range(ROWS)]
    else:
        rows = [np.flatnonzero(images.labels == label) for label in range(min(len(images.classes), ROWS))]
    cells = np.full((len(rows) * COLUMNS, *images.shape), 255, dtype=np.uint8)
    for row, members in enumerate(rows):
        if len(members) == 0:
            continue
        chosen = members[np.unique(np.linspace(0, len(members) - 1, COLUMNS).round().astype(int))]
        cells[row * COLUMNS : row * COLUMNS + len(chosen)] = images.images[chosen]
    return cells
