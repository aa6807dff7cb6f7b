"""How to train: the numbers of a run, checked, and the precision that a device is good at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

PRECISIONS = ("float32", "bfloat16", "float16", "auto")


@dataclass(frozen=True)
class Recipe:
    """How to train: everything but the model and the data.

    batch: images a step, of all processes together
    lr: peak learning rate of Adam, after `warmup` steps, decaying to 0 by a cosine
    ema: decay of the averaged weights that are kept; clip: largest gradient norm; seed: of order and noise
    precision: "float32", "bfloat16", "float16" or "auto", what the device is fast at (`resolve`)

    Raises ValueError for a number out of range or an unknown precision.
    """

    steps: int = 2000
    batch: int = 64
    lr: float = 1e-3
    warmup: int = 200
    ema: float = 0.999
    clip: float = 1.0
    seed: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        rules = {
            "steps": (self.steps >= 1, "at least 1"),
            "batch": (self.batch >= 1, "at least 1"),
            "lr": (0 < self.lr < math.inf, "above 0, such as 1e-3"),
            "warmup": (self.warmup >= 0, "0 or more"),
            "ema": (0 <= self.ema < 1, "in [0, 1), such as 0.999"),
            "clip": (self.clip > 0, "above 0, such as 1.0"),
            "seed": (0 <= self.seed < 2**32, "in 0..4294967295"),
            "precision": (self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
        }
        for name, (right, rule) in rules.items():
            if not right:
                raise ValueError(f"{name} must be {rule}; got {getattr(self, name)!r}")

    def lr_factor(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to zero: the share of lr at a step."""
        warm = min(1.0, (step + 1) / max(self.warmup, 1))
        cosine = 0.5 * (1 + torch.cos(torch.tensor(min(step / self.steps, 1.0)) * torch.pi).item())
        return warm * cosine


def resolve(precision: str, device: torch.device) -> str:
    """The precision that "auto" stands for on this device; any other is returned as it is.

    bfloat16 on CUDA from capability 8 (Ampere) and on a CPU with AVX512-BF16; float16 on older CUDA, whose
    tensor cores know no bfloat16; float32 elsewhere.
    """
    if precision == "float16" and device.type == "mps":
        raise ValueError("float16 is not trained on an Apple GPU; use --precision float32")
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
