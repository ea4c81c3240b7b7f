"""What an exception of ONNX Runtime means."""

import re

_DEVICE = (
    "failed to allocate memory",
    "out of memory",
    "alloc_failed",
    "cuda failure",
    "cudnn failure",
    "cublas failure",
)
"""In the messages of sessions that lack memory or whose device is in trouble; such a one can fail for ever after."""
_CAPTURE = ("captur",)
"""CUDA says "operation not permitted when stream is capturing" and the like of a graph that cannot be captured."""

_PLACE = re.compile(r"^/\S+\.(cc|h):\d+ .*?\) (?=\w)")


def device_failed(error: BaseException) -> bool:
    """Whether a run failed for want of memory or by a fault of the device, and not by its inputs or its graph."""
    text = str(error).lower()
    return any(part in text for part in _DEVICE) and not any(part in text for part in _CAPTURE)


def first_line(error: BaseException) -> str:
    """An error in one line of at most 200 characters, without the place in ONNX Runtime's own source."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return _PLACE.sub("", line)[:200]
