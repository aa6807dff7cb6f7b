"""A diagnosis of a learner's own model and data: `lowerbound.checkup(model, x)`.

What a model does is held against closed forms that are written out here once more, so that a formula of the
library that is wrong does not vouch for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lowerbound.adapters import DiffusionCalls, ForwardError, VaeCalls, known
from lowerbound.checkup_diffusion import diffusion_findings, errors_by_level
from lowerbound.checkup_vae import vae_findings
from lowerbound.findings import RIGHT, SKIPPED, WRONG, Checkup, Finding, guarded


def checkup(
    model: Any,
    x: Tensor,
    *,
    schedule: Any = None,
    loss: Callable[..., Tensor] | None = None,
    sampler: Callable[[Any, int], Tensor] | None = None,
    predicts: str = "eps",
    guidance: Callable[[Tensor, Tensor, float], Tensor] | None = None,
    average: nn.Module | None = None,
    decay: float | None = None,
    steps: int | None = None,
    trained: bool = True,
    seed: int = 0,
) -> Checkup:
    """Look for what commonly goes wrong in a VAE or a diffusion model and its data. Nothing is changed.

    model: a `VAE` or `Diffusion`; a module whose forward returns (recon, mu, logvar), in this order or by
        name; pythae's VAE; GaussianDiffusion of denoising-diffusion-pytorch; or with `schedule` a network:
        net(x_t, t), with t from 0, or as the loss or the sampler tells it: from 1, or as a fraction of T
    x: (N, ...) training data as they are given to the model, some hundred of them
    schedule: a scheduler of diffusers; or ᾱ of the steps, (T,), a `Schedule` or what has alphas_cumprod
    loss: of a VAE (recon, x, mu, logvar) -> scalar; of a diffusion model (network, x) -> scalar, a mean
    sampler: (network, n) -> n samples (n, ...); predicts: what the network says, "eps", "v" or "x0"
    guidance: (with the class, without it, weight) -> the guided noise
    average: the model with averaged weights (EMA); decay, steps: of the average, and how many were taken
    trained: False leaves out what only training can put right; seed: of all noise

    Raises ValueError for a model whose calls are not known, and for an x that is no batch of tensors.
    """
    if not isinstance(x, Tensor) or x.ndim < 2 or len(x) < 2:
        given = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x must be a batch of at least 2 examples (N, ...), got {given}; give some hundred")
    weight = next(iter(model.parameters()), None) if isinstance(model, nn.Module) else None
    clean, findings = _usable(x, weight)
    with _as_it_was(model, seed):
        try:
            calls = known(model, clean, schedule, loss, sampler, predicts)
        except ForwardError as error:
            findings.append(Finding("forward pass", WRONG, str(error), error.entry))
            return Checkup(type(model).__name__, tuple(findings))
        if (
            not x.is_floating_point()
            and float(clean.min()) < 0
            and (isinstance(calls, VaeCalls) or calls.low == 0)
        ):
            clean = (clean + 1) / 2
        if isinstance(calls, VaeCalls):
            findings += vae_findings(calls, clean, trained)
        else:
            findings += diffusion_findings(calls, clean, trained)
            if guidance is not None:
                findings.append(guarded("guidance", lambda: _guidance(guidance)))
        if average is not None or decay is not None:
            findings.append(
                guarded("averaged weights", lambda: _average(calls, clean, average, decay, steps))
            )
    return Checkup(calls.name, tuple(findings))


@contextmanager
def _as_it_was(model: Any, seed: int) -> Iterator[None]:
    """Noise of a seed, and afterwards the model's buffers, mode and the caller's noise as they were."""
    modules = [m for m in (model, getattr(model, "unet", None)) if isinstance(m, nn.Module)]
    modes = {part: part.training for module in modules for part in module.modules()}
    buffers = {b: b.clone() for module in modules for b in module.buffers()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        try:
            yield
        finally:
            for part, mode in modes.items():
                part.training = mode
            for buffer, before in buffers.items():
                buffer.copy_(before)


def _usable(x: Tensor, weight: Tensor | None) -> tuple[Tensor, list[Finding]]:
    """X as the model can take it, and what is wrong with its type and its values."""
    device = x.device if weight is None else weight.device
    if not x.is_floating_point():
        shades = x.dtype != torch.bool and int(x.max()) > 1
        says = f"x is {x.dtype}, {int(x.min())}..{int(x.max())}; "
        says += "scale it: x.float() / 127.5 - 1, or / 255 for [0, 1]" if shades else "use x.float()"
        x = x.to(device).float()
        x = x / 127.5 - 1 if shades else x
        return x[:256], [Finding("type of the data", WRONG, says, "clinic-range")]
    dtype = weight.dtype if weight is not None else x.dtype
    findings, bad = [], ~torch.isfinite(x).flatten(1).all(1)
    if bool(bad.any()):
        says = f"{int(bad.sum())} of {len(x)} examples hold NaN or infinity; drop their rows"
        findings.append(Finding("values of the data", WRONG, says, "clinic-nan"))
    if x.dtype != dtype:
        says = f"x is {x.dtype} and the weights are {dtype}; use x.to({dtype})"
        findings.append(Finding("type of the data", WRONG, says, "clinic-range"))
    else:
        findings.append(
            Finding(
                "type of the data", RIGHT, f"{x.dtype}" + (", as the weights" if weight is not None else "")
            )
        )
    x = x[~bad].to(device, dtype)
    if len(x) < 2:
        raise ValueError("no 2 examples of x are free of NaN and infinity; look at how they were read")
    if x[0].numel() > 1 and bool((x.flatten(1).var(1) == 0).all()):
        findings.append(Finding("values of the data", WRONG, "every example is one colour", "clinic-range"))
    return x[:256], findings


def _guidance(guide: Callable[[Tensor, Tensor, float], Tensor]) -> Finding:
    """The weights of the two answers, at w = 0, 1 and 2."""
    name, entry = "guidance", "clinic-guidance"
    one, none = torch.ones(1, 1), torch.zeros(1, 1)
    pairs = [(float(guide(one, none, w)), float(guide(none, one, w))) for w in (0.0, 1.0, 2.0)]
    says = "with the class " + ", ".join(f"{given:g}" for given, _ in pairs) + " at w = 0, 1, 2"
    if any(abs(given + alone - 1) > 1e-4 for given, alone in pairs):
        return Finding(name, WRONG, f"{says}: the two answers' weights do not sum to 1", entry)
    weights = [given for given, _ in pairs]
    if all(abs(weight - w) < 1e-4 for weight, w in zip(weights, (1, 2, 3), strict=True)):
        return Finding(name, RIGHT, f"{says}: w = 0 is the model of the class, and s = 1 + w elsewhere")
    if all(abs(weight - w) < 1e-4 for weight, w in zip(weights, (0, 1, 2), strict=True)):
        return Finding(
            name, RIGHT, f"{says}: here w = 1 is the model of the class, the scale s = 1 + w of others"
        )
    return Finding(name, WRONG, f"{says}: neither convention", entry)


def _average(
    calls: VaeCalls | DiffusionCalls, x: Tensor, average: Any, decay: float | None, steps: int | None
) -> Finding:
    """How much of the first weights is left in the average, and whether it is worse than the newest."""
    name, entry = "averaged weights", "clinic-ema"
    remedy = "let the decay grow from 0, as min(decay, n / (9 + n))"
    share, left = None, ""
    if decay is not None and steps is not None:
        share = decay**steps
        left = f"{decay} over {steps} steps leaves {100 * share:.1f} per cent of the first weights"
    if average is not None and isinstance(calls, DiffusionCalls):
        other = getattr(average, "ema_model", average)
        ask = calls.asking(other) if calls.asking else _whole(other, x).ask
        inside = calls.prepare(x)
        newest = float(errors_by_level(calls, inside)[1].mean())
        mean = float(errors_by_level(replace(calls, ask=ask), inside)[1].mean())
        says = f"error {mean:.3g} with the averaged weights, {newest:.3g} with the newest"
        says += f"; {left}" if left else ""
        if mean > 1.3 * newest + 0.02:
            return Finding(name, WRONG, f"{says}: {remedy}", entry)
        return Finding(name, RIGHT, says)
    if share is None:
        return Finding(name, SKIPPED, "give decay= and steps=, or the averaged model as average=")
    if share > 0.01:
        return Finding(name, WRONG, f"{left}: {remedy}", entry)
    return Finding(name, RIGHT, left)


def _whole(model: Any, x: Tensor) -> DiffusionCalls:
    """The calls of an averaged model that is given whole, with its schedule. Raises ValueError."""
    calls = known(model, x)
    if not isinstance(calls, DiffusionCalls):
        raise ValueError(f"average= must be a diffusion model as model is, got {type(model).__name__}")
    return calls
