"""Batch sizes that a device is prepared for, and rows padded up to the next of them."""

from typing import Any

from numpy.typing import NDArray


def bucket_sizes(most: int) -> list[int]:
    """1, 2, 4, ... and `most`, rising."""
    return [*(2**power for power in range((most - 1).bit_length())), most]


def bucket_of(rows: int, most: int) -> int:
    """The least bucket that holds `rows`; more than `most` rows are a size of their own."""
    return rows if rows >= most else min(1 << (rows - 1).bit_length(), most)


def fill(room: NDArray[Any], values: NDArray[Any]) -> None:
    """Put `values` [n, ...] into `room` [bucket, ...] and repeat the last row in what is left.

    A repeated row costs what any row costs and can hold nothing that a network chokes on, as zeros or old rows could.
    Raises ValueError where type or shape of a row differ.
    """
    if values.dtype != room.dtype or values.shape[1:] != room.shape[1:]:
        raise ValueError(f"a row is {room.dtype}{list(room.shape[1:])}, not {values.dtype}{list(values.shape[1:])}")
    room[: len(values)] = values
    room[len(values) :] = values[-1]
