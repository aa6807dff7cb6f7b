"""Half precision: what a device is fast at, and the context in which a network computes in it."""

from __future__ import annotations

import torch

PRECISIONS = ("float32", "bfloat16", "float16", "auto")


def resolve(precision: str, device: torch.device) -> str:
    """The precision that "auto" stands for on this device; any other is returned as it is.

    bfloat16 on CUDA from capability 8 (Ampere) and on a CPU with AVX512-BF16; float16 on older CUDA, whose
    tensor cores know no bfloat16; float32 elsewhere. Raises ValueError for an unknown one, and for float16 on
    an Apple GPU.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    if precision == "float16" and device.type == "mps":
        raise ValueError("float16 is not used on an Apple GPU; use float32")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        # not torch.cuda.is_bf16_supported(): it is true where bfloat16 is emulated, as on a T4
        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"
    return "bfloat16" if device.type == "cpu" and _cpu_multiplies_bfloat16() else "float32"


def _cpu_multiplies_bfloat16() -> bool:
    """Whether the CPU has AVX512-BF16, as every one with AMX-BF16 has too; False where torch cannot tell."""
    # not torch.ops.mkldnn._is_mkldnn_bf16_supported(): it is true of any AVX-512, which emulates bfloat16
    has = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(has()) if has is not None else False


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context in which a network computes in this precision; in float32 it changes nothing.

    Raises ValueError as `resolve` does.
    """
    precision = resolve(precision, device)
    half = torch.float16 if precision == "float16" else torch.bfloat16
    return torch.autocast(device.type, half, enabled=precision != "float32")
