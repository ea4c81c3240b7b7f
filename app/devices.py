"""What networks may be told to run on: `auto`, `cpu`, `cuda`, or GPUs by number."""

import re

_GPU = re.compile(r"cuda:(0|[1-9][0-9]?)")


def parse_devices(text: str) -> tuple[str, ...]:
    """("auto",), ("cpu",), or a GPU each: "cuda" is "cuda:0", and "cuda:0,cuda:1" are two.

    Raises ValueError for anything else, the same GPU twice included.
    """
    if text in {"auto", "cpu"}:
        return (text,)
    devices = tuple("cuda:0" if name.strip() == "cuda" else name.strip() for name in text.split(","))
    if not all(_GPU.fullmatch(name) for name in devices):
        raise ValueError("must be auto, cpu, cuda, or GPUs such as cuda:0,cuda:1")
    if len(set(devices)) < len(devices):
        raise ValueError("names a GPU twice")
    return devices
