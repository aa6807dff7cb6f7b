"""What is refused at the entrances of the library, in one line with the remedy: `fit`, `bound`, samplers.

Each is asked once for all data or for a batch that is judged, never in a step of training. Values are only
looked at where that stops no GPU and no compiled graph, as `likelihood.readable` says.
"""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from lowerbound.likelihood import readable

CHANNELS = (1, 3, 4)
HALF = (torch.bfloat16, torch.float16)


def is_tensor(x: Any, name: str = "x") -> None:
    """Refuse what is no tensor: an array, a list, a data set. Raises ValueError."""
    if not isinstance(x, Tensor):
        kind = f"{type(x).__module__}.{type(x).__name__}".removeprefix("builtins.")
        array = hasattr(x, "__array__")
        remedy = "use torch.as_tensor(x)" if array else "use torch.stack of its images"
        raise ValueError(f"{name} must be a tensor of all examples (N, ...), got {kind}; {remedy}")


def admit(model: nn.Module, x: Any, rng: Any = None) -> None:
    """Refuse a batch x (B, ...) that is to be judged, and a generator, that a model cannot take.

    Warns of images in [0, 1]. Raises ValueError, with the remedy.
    """
    is_tensor(x)
    is_generator(rng)
    finite(x)
    net: Any = getattr(model, "net", model)
    shape_fits(x, expected_shape(model), getattr(getattr(net, "net", net), "multiple", 1))
    if isinstance(net, nn.Module):
        weights_fit(net, x)
    warn_of_half_range(x)


def expected_shape(model: Any) -> tuple[int, ...] | None:
    """The shape of one example that a model, or its encoder, says it takes; None where neither does."""
    first = getattr(model, "encoder", getattr(model, "ladder", None))
    shape: tuple[int, ...] | None = getattr(model, "shape", getattr(first, "shape", None))
    return shape


def weights_fit(model: nn.Module, x: Shaped[Tensor, "N *dims"], name: str = "x") -> None:
    """Refuse x (N, ...) of another floating-point type than the weights, and weights of half precision.

    Raises ValueError. uint8 images are scaled to float32, and fit.
    """
    weight = next((p for p in model.parameters() if p.is_floating_point()), None)
    if weight is None:
        return
    if weight.dtype in HALF:
        short = str(weight.dtype).removeprefix("torch.")
        raise ValueError(
            f"the weights are {short}, too coarse for a likelihood; use model.float(), and to train in "
            f'{short} Recipe(precision="{short}")'
        )
    if x.is_floating_point() and x.dtype != weight.dtype:
        remedy = f"{name}.float()" if weight.dtype == torch.float32 else f"model.float() and {name}.float()"
        raise ValueError(f"{name} is {x.dtype} and the weights are {weight.dtype}; use {remedy}")


def shape_fits(x: Shaped[Tensor, "N *dims"], shape: tuple[int, ...] | None, multiple: int = 1) -> None:
    """Refuse images x (N, C, H, W) or points (N, D) that have not the shape of the model's, or no N or C.

    shape: of one example, or None where the model takes any; multiple: what H and W must be divisible by.
    Raises ValueError.
    """
    given, wanted = tuple(x.shape), f"(N, {', '.join(map(str, shape or ()))})"
    if shape is not None and len(shape) == 1 and given[1:] != tuple(shape):
        flat = x.ndim > 2 and x[0].numel() == shape[0]
        other = "x[None]" if given == tuple(shape) else f"points of {shape[0]} numbers"
        remedy = "x.flatten(1)" if flat else other
        raise ValueError(f"x must be {wanted}, got {given}; use {remedy}")
    if shape is None or len(shape) != 3:
        return
    if given == shape or given == shape[1:]:
        one = "x[None]" if given == shape else "x[None, None]"
        raise ValueError(f"x must be a batch {wanted}, got one image {given}; use {one}")
    if x.ndim == 3 and given[1:] == shape[1:]:
        raise ValueError(f"x must be {wanted}, got {given} without channels; use x[:, None]")
    if x.ndim != 4 or given[1:] == shape:
        return
    if given[1] not in CHANNELS and given[3] in CHANNELS:
        raise ValueError(f"x must be {wanted}, got {given} with channels last; use x.permute(0, 3, 1, 2)")
    if given[2] % multiple or given[3] % multiple:
        low, high = (-given[2]) % multiple // 2, -(-((-given[2]) % multiple) // 2)
        raise ValueError(
            f"H and W must be multiples of {multiple}, since it halves them, got {given[2]}×{given[3]}; "
            f"pad them: torch.nn.functional.pad(x, ({low}, {high}, {low}, {high}), value=-1)"
        )
    if given[2:] == shape[1:]:
        remedy = "x.mean(1, keepdim=True)" if shape[0] == 1 else f"x.expand(-1, {shape[0]}, -1, -1)"
        raise ValueError(
            f"x must be {wanted}, got {given[1]} channels; use {remedy}, or a network of {given[1]} channels"
        )
    raise ValueError(
        f"x must be {wanted}, got {given}; resize the images, or give the model shape={given[1:]}"
    )


def finite(x: Shaped[Tensor, "N *dims"]) -> None:
    """Refuse an empty batch, and x (N, ...) with NaN or infinity. Raises ValueError."""
    if len(x) == 0:
        raise ValueError(f"x holds no examples, {tuple(x.shape)}; give at least one")
    if readable(x) and x.is_floating_point() and (bad := int((~torch.isfinite(x.detach())).sum())):
        raise ValueError(f"x holds {bad} values that are NaN or infinite; drop their rows")


def warn_of_half_range(x: Shaped[Tensor, "N *dims"]) -> None:
    """Warn of float images x (N, C, H, W) in [0, 1], and of uint8 images of 0 and 1: they may be meant."""
    if x.ndim != 4 or not readable(x):
        return
    low, high = float(x.min()), float(x.max())
    if x.is_floating_point() and low >= 0 and 0 < high <= 1:
        says = f"x lies in [{low:.3g}, {high:.3g}], half of [-1, 1]; if black is 0 and white 1, use 2 * x - 1"
        warnings.warn(says, stacklevel=4)
    if x.dtype == torch.uint8 and high == 1:
        warnings.warn("x is uint8 of 0 and 1, two shades of black; if 1 is white, use 255 * x", stacklevel=4)


def classes_fit(y: Tensor | None, classes: int | None) -> None:
    """Refuse class numbers y (N,) that a network of so many classes does not know. Raises ValueError.

    classes: None where that is not known
    """
    if y is None or classes is None:
        return
    if classes == 0:
        raise ValueError("the network has no classes; leave y out, or build it with classes=10")
    low, high = int(y.min()), int(y.max())
    if low < -1 or high >= classes:
        remedy = "y - 1" if (low, high) == (1, classes) else f"a network of {high + 1} classes"
        raise ValueError(f"y must be in 0..{classes - 1}, got {low}..{high}; use {remedy}")


def is_generator(rng: Any) -> None:
    """Refuse a seed in a generator's place. Raises ValueError."""
    if rng is not None and not isinstance(rng, torch.Generator):
        raise ValueError(
            f"rng must be a torch.Generator, got {type(rng).__name__}; use torch.Generator().manual_seed(0)"
        )


def count_fits(n: Any) -> None:
    """Refuse a number of samples that is none. Raises ValueError."""
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"n, how many to draw, must be a whole number above 0, got {n!r}")


def start_fits(model: Any, start: Any) -> None:
    """Refuse a start that is no noise of the model's shape (n, *shape). Raises ValueError.

    model: of which `shape` and the weights are asked for, where it has them
    """
    shape = getattr(model, "shape", None)
    wanted = "(n, ...)" if shape is None else f"(n, {', '.join(map(str, shape))})"
    if not isinstance(start, Tensor):
        raise ValueError(
            f"a sampler starts from noise x_T {wanted}, got {type(start).__name__}; "
            "use torch.randn(n, *model.shape), or model.sample(n)"
        )
    if shape is not None and start.shape[1:] != torch.Size(shape):
        raise ValueError(f"x_T must be {wanted}, got {tuple(start.shape)}; use torch.randn(n, *model.shape)")
    if not start.is_floating_point():
        raise ValueError(f"x_T must be noise, got {start.dtype}; use torch.randn(n, *model.shape)")
    net = getattr(model, "net", model)
    if isinstance(net, nn.Module):
        weights_fit(net, start, "x_T")
