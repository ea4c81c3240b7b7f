"""What half precision is worth on a device."""

from collections.abc import Mapping

import torch

_NATIVE = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def emulates_bfloat16(device: torch.device) -> bool:
    """Whether the device has no instructions for bfloat16 and computes it in software.

    That takes several times as long as float32: a step of the r3gan preset took ten times as long with AVX2 alone.
    """
    if device.type == "cuda":
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and lacks_bfloat16(_capabilities())


def lacks_bfloat16(capabilities: Mapping[str, object]) -> bool:
    """Whether a CPU of these `torch.cpu.get_capabilities` has none of the instructions; False where none are known."""
    return bool(capabilities) and not any(capabilities.get(name) for name in _NATIVE)


def _capabilities() -> Mapping[str, object]:
    # Releases of torch before 2.11 cannot tell.
    read = getattr(torch.cpu, "get_capabilities", None)
    return {} if read is None else read()
