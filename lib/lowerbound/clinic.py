"""A diagnosis of a learner's own model and data: `lowerbound.checkup(model, x)`.

What a model does is held against closed forms that are written out here once more, so that a formula of the
library that is wrong does not vouch for itself. The network of a diffusion model is replaced by the exact
denoiser of Gaussian data for a while; then the values of its loss, its samples and its bound are known.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lowerbound.adapters import DiffusionCalls, VaeCalls, column, from_eps, known, output, to_eps

RIGHT, LOOK, WRONG, SKIPPED = "right", "look", "wrong", "not checked"
MARKS = {RIGHT: "✓", LOOK: "?", WRONG: "✗", SKIPPED: "–"}
PAGE = "book/clinic.html"
MEAN, STD = 0.3, 0.12  # of the Gaussian data whose exact denoiser stands in for a network
LEVELS = 10


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    check: what; state: "right", "look" (it may be meant), "wrong" or "not checked"
    says: what was measured, in numbers; entry: the entry of the page “What went wrong?”, as `clinic-beta`
    """

    check: str
    state: str
    says: str
    entry: str = ""


@dataclass(frozen=True)
class Checkup:
    """What `checkup` found. Printed it is plain text; in a notebook it is a table.

    name: of the model, by the calls that were used; findings: in the order in which they were checked
    """

    name: str
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> list[Finding]:
        """What is wrong."""
        return [finding for finding in self.findings if finding.state == WRONG]

    def _headline(self) -> str:
        counts = {state: sum(f.state == state for f in self.findings) for state in MARKS}
        told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        return f"{self.name}: {told}"

    def __repr__(self) -> str:
        lines = [self._headline()]
        for f in self.findings:
            see = f" See {PAGE}#{f.entry}" if f.entry and f.state in (WRONG, LOOK) else ""
            text = f"{MARKS[f.state]} {f.check}: {f.says}{see}"
            lines += textwrap.wrap(text, 100, subsequent_indent="  ", break_long_words=False)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for f in self.findings:
            see = f"{PAGE}#{f.entry}" if f.entry and f.state in (WRONG, LOOK) else ""
            cells = (f"{MARKS[f.state]} {f.state}", f.check, f.says, see)
            rows.append("".join(f'<td style="text-align: left">{html.escape(cell)}</td>' for cell in cells))
        head = "".join(
            f'<th scope="col" style="text-align: left">{h}</th>'
            for h in ("", "checked", "found", "explained in")
        )
        body = "\n".join(f"<tr>{row}</tr>" for row in rows)
        caption = f"<caption>{html.escape(self._headline())}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


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

    model: a `VAE` or `Diffusion`; a module whose forward returns (recon, mu, logvar); pythae's VAE;
        GaussianDiffusion of denoising-diffusion-pytorch; or with `schedule` a network: net(x_t, t), t from 0
    x: (N, ...) training data as they are given to the model, some hundred of them
    schedule: a scheduler of diffusers; or ᾱ of the steps, (T,) or a `Schedule`
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
        calls = known(model, clean, schedule, loss, sampler, predicts)
        if isinstance(calls, VaeCalls):
            findings += _vae(calls, clean, trained)
        else:
            findings += _diffusion(calls, clean, trained)
            if guidance is not None:
                findings.append(_guarded("guidance", lambda: _guidance(guidance)))
        if average is not None or decay is not None:
            findings.append(
                _guarded("averaged weights", lambda: _average(calls, clean, average, decay, steps, known))
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


def _guarded(check: str, ask: Callable[[], Finding]) -> Finding:
    """The finding, or that it could not be had, and why."""
    try:
        return ask()
    except Exception as error:  # another's code may raise anything
        reason = " ".join(str(error).split())[:120]
        return Finding(check, SKIPPED, f"{type(error).__name__}: {reason}")


# Data


def _usable(x: Tensor, weight: Tensor | None) -> tuple[Tensor, list[Finding]]:
    """X as the model can take it, and what is wrong with its type and its values."""
    if not x.is_floating_point():
        says = f"x is {x.dtype}, {int(x.min())}..{int(x.max())}; scale it: x.float() / 127.5 - 1"
        return x.float() / 127.5 - 1, [Finding("type of the data", WRONG, says, "clinic-range")]
    dtype = weight.dtype if weight is not None else torch.float32
    findings, bad = [], ~torch.isfinite(x).flatten(1).all(1)
    if bool(bad.any()):
        says = f"{int(bad.sum())} of {len(x)} examples hold NaN or infinity; drop their rows"
        findings.append(Finding("values of the data", WRONG, says, "clinic-nan"))
    if x.dtype != dtype:
        says = f"x is {x.dtype} and the weights are {dtype}; use x.to({dtype})"
        findings.append(Finding("type of the data", WRONG, says, "clinic-range"))
    else:
        findings.append(Finding("type of the data", RIGHT, f"{x.dtype}, as the weights"))
    x = x[~bad].to(dtype)
    if len(x) < 2:
        raise ValueError("no 2 examples of x are free of NaN and infinity; look at how they were read")
    if bool((x.flatten(1).var(1) == 0).all()):
        findings.append(Finding("values of the data", WRONG, "every example is one colour", "clinic-range"))
    return x[:256], findings


def _range(x: Tensor, low: float, high: float) -> Finding:
    """Whether images fill the range that is asked for. Points have no range."""
    least, most = float(x.min()), float(x.max())
    says = f"x lies in [{least:.3g}, {most:.3g}], and [{low:g}, {high:g}] is asked for"
    if x.ndim != 4 or math.isinf(low):
        mean, std = float(x.mean()), float(x.std())
        apart = abs(mean) > 1.5 or not 0.1 < std < 4
        says = f"mean {mean:.2g}, standard deviation {std:.2g}" + ("; standardise x" if apart else "")
        return Finding("range of the data", WRONG if apart else RIGHT, says, "clinic-range")
    width = high - low
    if least < low - 0.02 * width or most > high + 0.02 * width:
        return Finding("range of the data", WRONG, f"{says}; scale it to that", "clinic-range")
    if least > low + 0.4 * width or most < high - 0.4 * width:
        return Finding(
            "range of the data", WRONG, f"{says}: it fills one half of it; use 2 * x - 1", "clinic-range"
        )
    return Finding("range of the data", RIGHT, says)


# VAE


def kl_to_standard(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, I)) of each unit, in nats. (B, K) -> (B, K)."""
    return 0.5 * (mean**2 + logvar.exp() - 1 - logvar)


def _vae(calls: VaeCalls, x: Tensor, trained: bool) -> list[Finding]:
    try:
        recon, mean, logvar, _ = calls.forward(x)
    except Exception as error:  # another's model may raise anything
        entry = "clinic-negative-loss" if "between 0 and 1" in str(error) else "clinic-range"
        return [
            Finding(
                "forward pass", WRONG, f"{type(error).__name__}: {' '.join(str(error).split())[:120]}", entry
            )
        ]
    findings = [_guarded("range of the data", lambda: _vae_range(calls, x, recon, mean))]
    findings.append(_guarded("encoder", lambda: _encoder(mean, logvar)))
    findings.append(_guarded("draw of z", lambda: _draw(calls, x)))
    probe = None
    if calls.loss is None:
        findings.append(Finding("loss", SKIPPED, "give loss=, a function of (recon, x, mu, logvar)"))
    else:
        probe = _Probe(calls, x, recon, mean)
        findings += [_guarded("KL term", probe.kl_term), _guarded("reconstruction", probe.reconstruction)]
        findings.append(_guarded("weight of the KL", probe.weight))
    if calls.bound is not None:
        findings.append(_guarded("rate of the bound", lambda: _rate(calls, x, mean, logvar)))
    if trained:
        findings.append(_guarded("units in use", lambda: _units(calls, x, mean, logvar)))
        findings.append(_guarded("codes against the prior", lambda: _aggregate(mean, logvar)))
    return findings


def _vae_range(calls: VaeCalls, x: Tensor, recon: Tensor, mean: Tensor) -> Finding:
    """Whether what the decoder can say covers the data."""
    if x.ndim != 4:
        return _range(x, -math.inf, math.inf)
    far = [recon]
    if calls.decode is not None:
        far.append(torch.as_tensor(calls.decode(30 * torch.randn(64, mean.shape[1]).to(mean))))
    least, most = min(float(r.min()) for r in far), max(float(r.max()) for r in far)
    data = float(x.min()), float(x.max())
    says = f"x lies in [{data[0]:.3g}, {data[1]:.3g}], what the decoder says in [{least:.3g}, {most:.3g}]"
    name, entry = "range of the data", "clinic-range"
    if max(-data[0], data[1]) > 20:
        return Finding(name, WRONG, f"{says}; scale x to [-1, 1] or [0, 1]", entry)
    if least >= 0 and most <= 1 and (data[0] < -0.01 or data[1] > 1.01):
        return Finding(name, WRONG, f"{says}: a sigmoid cannot reach it; use (x + 1) / 2", entry)
    tanh = -1 <= least < -0.9 and 0.9 < most <= 1
    if (tanh or calls.complete) and data[0] > -0.1:
        return Finding(name, WRONG, f"{says}: it fills one half of [-1, 1]; use 2 * x - 1", entry)
    return Finding(name, RIGHT, says)


def _encoder(mean: Tensor, logvar: Tensor) -> Finding:
    most = float(logvar.abs().max())
    if not bool(torch.isfinite(mean).all() and torch.isfinite(logvar).all()):
        return Finding("encoder", WRONG, "mu or logvar is NaN or infinite", "clinic-nan")
    if most > 15:
        size = math.exp(min(most, 700))
        says = f"|logvar| reaches {most:.3g}, exp of which is {size:.1e}; use logvar.clamp(-10, 10)"
        return Finding("encoder", WRONG if most > 80 else LOOK, says, "clinic-nan")
    return Finding("encoder", RIGHT, f"mu within ±{float(mean.abs().max()):.3g}, logvar within ±{most:.3g}")


def _draw(calls: VaeCalls, x: Tensor) -> Finding:
    """Whether z = μ + σ ε: the spread of z around μ, in units of σ, in the mode in which it is trained."""
    name, entry = "draw of z", "clinic-reparameterise"
    mode = calls.model.training
    calls.model.train()
    _, mean, logvar, z = calls.forward(x[:4].repeat_interleave(32, 0))
    calls.model.train(mode)
    if z is None:
        return Finding(
            name, SKIPPED, "z cannot be seen: the model has no decoder module and no decode method"
        )
    std, off = (0.5 * logvar).exp(), z - mean
    spread, tolerance = float((off / std).pow(2).mean().sqrt()), 6 / math.sqrt(2 * z.numel()) + 0.01
    says = f"z is {spread:.3f} σ away from μ, root mean square"
    if abs(spread - 1) < tolerance and abs(float((off / std).mean())) < 6 / math.sqrt(z.numel()) + 0.01:
        return Finding(name, RIGHT, says)
    if spread < 1e-3:
        return Finding(name, WRONG, f"{says}: there is no noise, this is a plain autoencoder", entry)
    named = {
        "the variance stands in place of the standard deviation; use exp(0.5 * logvar)": logvar.exp(),
        "the log variance stands in place of the standard deviation; use exp(0.5 * logvar)": logvar.abs(),
        "the noise is not scaled by σ": torch.ones_like(std),
    }
    for text, scale in named.items():
        if abs(float((off / scale).pow(2).mean().sqrt()) - 1) < tolerance:
            return Finding(name, WRONG, f"{says}: {text}", entry)
    return Finding(name, WRONG, f"{says}, and 1 is right; use mu + exp(0.5 * logvar) * eps", entry)


class _Probe:
    """A loss of (recon, x, mean, logvar) as a black box: what it does when one of them is moved."""

    def __init__(self, calls: VaeCalls, x: Tensor, recon: Tensor, mean: Tensor) -> None:
        self.calls, self.K, self.D = calls, mean.shape[1], x[0].numel()
        self.like, self.x0, self.r0 = mean[:1] * 0, x[:1], recon[:1]
        low, high = float(recon.min()), float(recon.max())
        self.guesses = [
            torch.lerp(self.r0, low + (high - low) * torch.rand_like(self.r0), w)
            for w in (0.1, 0.3, 0.5, 0.7, 0.9)
        ] + [recon[i : i + 1] for i in range(1, min(8, len(recon)))]
        self.codes = [
            (torch.randn_like(self.like) * (0.3 + i / 6), torch.rand_like(self.like) * 3 - 2)
            for i in range(12)
        ]
        self.grey = float(((x > 0.02) & (x < 0.98)).float().mean())
        self.limits = float(x.min()), float(x.max())
        self.slope = self.cost = math.nan
        self.kind = ""

    def value(
        self, recon: Tensor, mean: Tensor, logvar: Tensor, batch: int = 4, x: Tensor | None = None
    ) -> float:
        """The loss of a batch of examples that are all alike."""
        loss = self.calls.loss
        assert loss is not None
        rows = [
            v.repeat(batch, *[1] * (v.ndim - 1)) for v in (recon, self.x0 if x is None else x, mean, logvar)
        ]
        out = loss(*rows)
        out = out[0] if isinstance(out, tuple | list) else out
        return float(out.double().mean())

    def kl_term(self) -> Finding:
        """Whether what mean and logvar do to the loss is a multiple of the KL."""
        name, entry = "KL term", "clinic-sign"
        base = self.value(self.r0, self.like, self.like)
        moved = torch.tensor([self.value(self.r0, *code) - base for code in self.codes], dtype=torch.float64)
        true = [kl_to_standard(*code).sum() for code in self.codes]
        self.slope, misfit = _line(torch.stack(true), moved)
        if float(moved.abs().max()) < 1e-9:
            self.slope = 0.0
            return Finding(
                name, WRONG, "mu and logvar do not change the loss: it has no KL term", "clinic-samples-bad"
            )
        if misfit < 2e-3 and self.slope > 0:
            return Finding(name, RIGHT, f"a multiple of KL(q ‖ N(0, I)), up to {misfit:.0e}")
        if misfit < 2e-3:
            return Finding(name, WRONG, "the KL is subtracted, and has to be added to the loss", entry)
        for text, wrong in _WRONG_KL.items():
            values = torch.stack([wrong(*code).sum() for code in self.codes])
            slope, apart = _line(values - wrong(self.like, self.like).sum(), moved)
            if apart < 2e-3 and slope > 0:
                return Finding(name, WRONG, f"no multiple of the KL: {text}", entry)
        says = f"no multiple of KL(q ‖ N(0, I)): off by {100 * misfit:.0f} per cent"
        return Finding(name, WRONG, f"{says}; use -0.5 * (1 + logvar - mu**2 - logvar.exp()), summed", entry)

    def reconstruction(self) -> Finding:
        """Which likelihood the reconstruction is the negative logarithm of, if it is one."""
        name = "reconstruction"
        if self.calls.complete:
            self.kind, self.cost = "complete", 1.0
            return self._sums_to_one()
        moved = torch.tensor([self.value(r, self.like, self.like) for r in self.guesses], dtype=torch.float64)
        moved = moved - moved.mean()
        fits = {}
        for kind, cost in _COSTS.items():
            values = torch.stack([cost(r, self.x0).double() for r in self.guesses])
            if bool(torch.isfinite(values).all()):
                fits[kind] = _line(values - values.mean(), moved)
        self.kind = min(fits, key=lambda kind: fits[kind][1])
        self.cost, misfit = fits[self.kind]
        if misfit > 5e-3:
            self.kind, self.cost = "", math.nan
            return Finding(name, SKIPPED, "neither squared error, absolute error nor cross-entropy")
        if self.cost < 0:
            return Finding(
                name, WRONG, f"{self.kind}, with the wrong sign: a worse image costs less", "clinic-sign"
            )
        if "cross-entropy" in self.kind:
            if self.limits[0] < -1e-3 or self.limits[1] > 1 + 1e-3:
                span = f"[{self.limits[0]:.3g}, {self.limits[1]:.3g}]"
                says = f"cross-entropy, and x lies in {span}: it has no lower bound; scale x to [0, 1]"
                return Finding(name, WRONG, says, "clinic-negative-loss")
            if self.grey > 0.02:
                levels = torch.arange(256, dtype=torch.float64) / 255
                sums = [
                    float((levels * math.log(p) + (1 - levels) * math.log(1 - p)).exp().sum())
                    for p in (0.05, 0.5)
                ]
                says = (
                    f"cross-entropy, and {100 * self.grey:.0f} per cent of the pixels are grey: its 256 "
                    f"“probabilities” sum to {sums[0]:.0f} at p = 0.05 and {sums[1]:.0f} at p = 0.5, not to 1"
                )
                return Finding(
                    name, WRONG, f"{says}; use the squared error or a 256-level likelihood", "clinic-bce-grey"
                )
        return Finding(name, RIGHT, f"{self.kind}, a negative log likelihood but for constants")

    def _sums_to_one(self) -> Finding:
        """The probabilities of the 256 levels of a pixel, all pixels alike."""
        name, sums = "likelihood sums to one", []
        if self.x0.ndim != 4:
            return Finding(name, SKIPPED, "points, not images of 256 levels")
        empty = self.value(torch.zeros_like(self.x0), self.like, self.like)
        for mean in (-0.9, 0.0, 0.3):
            recon = torch.full_like(self.x0, mean)
            levels = (torch.full_like(self.x0, k / 127.5 - 1) for k in range(256))
            costs = [self.value(recon, self.like, self.like, 2, level) / self.D for level in levels]
            sums.append(sum(math.exp(-cost) for cost in costs))
        worst = max(sums, key=lambda total: abs(total - 1))
        says = f"the probabilities of a pixel's 256 levels sum to {worst:.4f}"
        if not math.isfinite(empty) or abs(worst - 1) > 0.01:
            return Finding(name, WRONG, f"{says}: no bits can be read off this loss", "clinic-negative-loss")
        return Finding(name, RIGHT, says)

    def weight(self) -> Finding:
        """The β that the loss amounts to, and whether it is that of a mean in a sum's place."""
        name, entry = "weight of the KL", "clinic-beta"
        if not self.slope > 0 or not self.cost > 0:
            return Finding(name, SKIPPED, "the two terms of the loss could not be told apart")
        beta = self.slope / self.cost
        both = [self._batch_weight(batch) for batch in (2, 8)]
        if abs(both[1] / both[0] - 1) > 0.02:
            says = f"β is {both[0]:.3g} for a batch of 2 and {both[1]:.3g} for one of 8"
            says += ": one term is averaged over the batch and the other summed"
            return Finding(name, WRONG, says, entry)
        K, D = self.K, self.D
        means = {"the reconstruction is a mean over {D} pixels": D, "the KL is a mean over {K} units": 1 / K}
        means["both are means, over {D} pixels and {K} units"] = D / K
        for words, factor in means.items():
            for unit in (1.0, 0.5) if self.kind == "squared error" else (1.0,):
                usual = min(abs(beta - 1), abs(beta - 0.5)) < 0.01
                if abs(factor - 1) > 0.2 and abs(beta / (factor * unit) - 1) < 0.01 and not usual:
                    says = f"{words.format(D=D, K=K)}; in place of sums this amounts to β = {beta:.3g}"
                    return Finding(name, WRONG, says, entry)
        if abs(beta - 1) < 0.01:
            return Finding(name, RIGHT, f"β = {beta:.3g}: a negative ELBO")
        if self.kind == "squared error" and 1e-5 < beta < 1:
            return Finding(name, RIGHT, f"a negative ELBO with σ = {math.sqrt(beta):.2g} for the pixels")
        says = f"β = {beta:.3g}: a β-VAE, if it is meant; this is not the negative ELBO"
        return Finding(name, LOOK, says, entry)

    def _batch_weight(self, batch: int) -> float:
        mean, logvar = self.codes[3]
        base = self.value(self.r0, self.like, self.like, batch)
        rate = self.value(self.r0, mean, logvar, batch) - base
        return rate / (self.value(self.guesses[3], self.like, self.like, batch) - base)


def _line(known_values: Tensor, moved: Tensor) -> tuple[float, float]:
    """The factor from known values to moved ones, and what is left of them, relative."""
    values = known_values.double()
    factor = float((values * moved).sum() / (values**2).sum().clamp(min=1e-30))
    return factor, float((moved - factor * values).norm() / moved.norm().clamp(min=1e-30))


_WRONG_KL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "log σ stands in place of log σ²": lambda m, v: kl_to_standard(m, 2 * v),
    "σ stands in place of σ²": lambda m, v: 0.5 * (m**2 + (0.5 * v).exp() - 1 - v),
    "logvar is not exponentiated": lambda m, v: 0.5 * (m**2 + v - 1 - v),
    "the log is left out": lambda m, v: 0.5 * (m**2 + v.exp()),
    "the log has the wrong sign": lambda m, v: 0.5 * (m**2 + v.exp() - 1 + v),
    "μ is not squared": lambda m, v: 0.5 * (m + v.exp() - 1 - v),
    "μ is left out": lambda m, v: 0.5 * (v.exp() - 1 - v),
    "σ² is left out": lambda m, v: 0.5 * (m**2 - 1 - v),
    "it is the KL the other way round": lambda m, v: 0.5 * ((1 + m**2) * (-v).exp() - 1 + v),
}
_COSTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared error": lambda r, x: 0.5 * (r - x).pow(2).sum(),
    "absolute error": lambda r, x: (r - x).abs().sum(),
    "cross-entropy": lambda r, x: (
        -(x * r.log().clamp(min=-100) + (1 - x) * (1 - r).log().clamp(min=-100)).sum()
    ),
    "cross-entropy of logits": lambda r, x: F.binary_cross_entropy_with_logits(r, x, reduction="sum"),
}


def _rate(calls: VaeCalls, x: Tensor, mean: Tensor, logvar: Tensor) -> Finding:
    """What the model's bound adds to its distortion, against the closed form of the KL."""
    name = "rate of the bound"
    assert calls.bound is not None
    found, true = float(calls.bound(x).mean()), float(kl_to_standard(mean, logvar).sum(1).mean())
    says = f"{found:.4g} nats, and the KL of these mu and logvar is {true:.4g}"
    if abs(found - true) > 1e-3 * abs(true) + 1e-3:
        return Finding(name, WRONG, says, "clinic-sign")
    return Finding(name, RIGHT, says)


def _units(calls: VaeCalls, x: Tensor, mean: Tensor, logvar: Tensor) -> Finding:
    """How many units say anything of x. Active: Var μ > 0.01, Burda et al. 2016, §5.2."""
    rate = kl_to_standard(mean, logvar).mean(0)
    active = int((mean.var(0) > 0.01).sum())
    says = f"{active} of {mean.shape[1]} units are active, the KL is {float(rate.sum()):.3g} nats"
    if active == 0:
        return Finding("units in use", WRONG, f"{says}: the code says nothing of x", "clinic-kl-zero")
    return Finding("units in use", RIGHT, says)


def _aggregate(mean: Tensor, logvar: Tensor) -> Finding:
    """Whether codes of data lie where N(0, I) does: the second moment of each unit."""
    moment = (mean**2 + logvar.exp()).mean(0)
    active = mean.var(0) > 0.01
    size = float(moment[active].mean()) if bool(active.any()) else 1.0
    says = f"the codes of x have mean square {size:.3g} a unit, and N(0, I) has 1"
    if not 0.25 < size < 4:
        return Finding(
            "codes against the prior", WRONG, f"{says}: samples start elsewhere", "clinic-samples-bad"
        )
    return Finding("codes against the prior", RIGHT, says)


# Diffusion


def _diffusion(calls: DiffusionCalls, x: Tensor, trained: bool) -> list[Finding]:
    inside = calls.prepare(x)
    schedule = _guarded("schedule", lambda: _schedule(calls))
    findings = [_guarded("range of the data", lambda: _range(x, calls.low, calls.high)), schedule]
    if schedule.state == WRONG and schedule.entry == "clinic-cosine-nan":
        return findings
    if calls.noised is not None:
        findings.append(_guarded("noise that is added", lambda: _noised(calls, inside)))
    if calls.loss is not None:
        findings += _training(calls, x)
    else:
        findings.append(Finding("loss", SKIPPED, "give loss=, a function of (network, x)"))
    if calls.samplers is None:
        findings.append(Finding("sampler", SKIPPED, "give sampler=, a function of (network, n)"))
    for name in calls.samplers or {}:
        findings += _sampling(calls, name)
    if calls.bound is not None:
        findings.append(_guarded("bound", lambda: _bound(calls, inside)))
    if trained:
        findings.append(_guarded("error by noise level", lambda: _by_level(calls, inside)))
    return findings


def _schedule(calls: DiffusionCalls) -> Finding:
    a, name = calls.alpha_bar, "schedule"
    T, beta = len(a) - 1, 1 - a[1:] / a[:-1]
    first, last = float(1 - a[1]), float(a[-1])
    says = f"T = {T}, 1 - ᾱ_1 = {first:.2g}, ᾱ_T = {last:.2g}"
    if not bool(torch.isfinite(a).all()) or bool((a < 0).any()):
        return Finding(name, WRONG, f"{says}: ᾱ is NaN or negative", "clinic-cosine-nan")
    if last == 0 and calls.predicts == "eps":
        return Finding(
            name, WRONG, f"{says}: x̂_0 divides by √ᾱ_T; predict v, or end above 0", "clinic-cosine-nan"
        )
    if not bool((beta >= 0).all() and (beta <= 1).all()):
        return Finding(name, WRONG, f"{says}: ᾱ rises at {int((beta < 0).sum())} steps", "clinic-other-t")
    if bool((beta == 0).any()):
        return Finding(name, WRONG, f"{says}: {int((beta == 0).sum())} steps add no noise", "clinic-other-t")
    if last > 0.02:
        left = (
            f"{100 * math.sqrt(last):.0f} per cent of the image is left in x_T, and samples start without it"
        )
        return Finding(name, WRONG, f"{says}: {left}; rescale β to this T", "clinic-other-t")
    if first > 0.05 and T > 50:
        return Finding(name, WRONG, f"{says}: the first step is already coarse", "clinic-cosine-shift")
    if last > 1e-3:
        left = f"{100 * math.sqrt(last):.1f} per cent of the image is left in x_T"
        return Finding(name, LOOK, f"{says}: {left}, its brightness for one", "clinic-other-t")
    if 0 < last < 1e-12:
        return Finding(
            name, LOOK, f"{says}: an error of ε̂ grows {1 / math.sqrt(last):.0e} times", "clinic-grey"
        )
    for text, other in _near_cosine(T):
        if T > 20 and float((a - other).abs().max()) < 2e-4:
            says += f"; this is the cosine schedule {text}"
            return Finding(
                name,
                LOOK,
                f"{says}; Eq. (17) of its paper has T + 1 points and s = 0.008",
                "clinic-cosine-shift",
            )
    return Finding(name, RIGHT, says)


def _near_cosine(T: int) -> Iterator[tuple[str, Tensor]]:
    """What is often written in place of Nichol & Dhariwal 2021, Eq. (17). (T + 1,) each."""

    def f(s: float, points: int, power: float = 2) -> Tensor:
        return (
            torch.cos((torch.linspace(0, 1, points, dtype=torch.float64) + s) / (1 + s) * math.pi / 2)
            ** power
        )

    def capped(f: Tensor) -> Tensor:
        return torch.cat([torch.ones(1, dtype=torch.float64), (f[1:] / f[:-1]).clamp(min=0.001).cumprod(0)])

    for s in (0.0008, 0.08, 0.8):
        yield f"with s = {s}", capped(f(s, T + 1))
    yield "without its square", capped(f(0.008, T + 1, 1))
    late = f(0.008, T)
    yield "on T points, one step late", torch.cat([torch.ones(1, dtype=torch.float64), late / late[0]])
    early = f(0.008, T + 2)
    yield "on T + 2 points, one step early", capped(early)[[0, *range(2, T + 2)]]


def _noised(calls: DiffusionCalls, x: Tensor) -> Finding:
    """Whether x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε: x_t of an image of ones without noise, and of noise alone."""
    name, entry, a = "noise that is added", "clinic-forward", calls.alpha_bar
    t = torch.linspace(1, len(a) - 1, min(8, len(a) - 1)).long()
    one, none = torch.ones(len(t), *x.shape[1:]).to(x), torch.zeros(len(t), *x.shape[1:]).to(x)
    assert calls.noised is not None
    signal = calls.noised(one, t, none).flatten(1).mean(1).double().cpu()
    noise = calls.noised(none, t, one).flatten(1).mean(1).double().cpu()

    def off(kept: Tensor, added: Tensor) -> float:
        return float(torch.cat([signal - kept, noise - added]).abs().max())

    right = off(a[t].sqrt(), (1 - a[t]).sqrt())
    if right < 1e-4:
        return Finding(name, RIGHT, f"√ᾱ x_0 + √(1 - ᾱ) ε, up to {right:.0e}")
    named = {
        "ᾱ of the step before": (a[t - 1].sqrt(), (1 - a[t - 1]).sqrt()),
        "the variance 1 - ᾱ in place of its root": (a[t].sqrt(), 1 - a[t]),
        "ᾱ in place of its root": (a[t], (1 - a[t]).sqrt()),
        "neither has its root": (a[t], 1 - a[t]),
        "α and β of the one step, not the product": ((a[t] / a[t - 1]).sqrt(), (1 - a[t] / a[t - 1]).sqrt()),
        "β in place of √(1 - ᾱ)": (a[t].sqrt(), 1 - a[t] / a[t - 1]),
        "the fourth root": (a[t].sqrt(), (1 - a[t]) ** 0.25),
        "the noise is subtracted": (a[t].sqrt(), -((1 - a[t]).sqrt())),
        "the image is subtracted": (-(a[t].sqrt()), (1 - a[t]).sqrt()),
    }
    for text, pair in named.items():
        if off(*pair) < 1e-4:
            return Finding(name, WRONG, f"x_t is off by {right:.2g}: {text}", entry)
    variance = float((signal**2 + noise**2 - 1).abs().max())
    says = f"x_t is off by {right:.2g}; signal² + noise² is {variance:.2g} away from 1"
    return Finding(name, WRONG, f"{says}; use √ᾱ_t x_0 + √(1 - ᾱ_t) ε", entry)


def _exact(
    alpha_bar: Tensor, mean: float, std: float, told: list[Any] | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """The best guess of ε when the data are N(mean, std²), by Bayes' rule. told: what it is called with."""

    def denoise(xt: Tensor, t: Tensor) -> Tensor:
        if told is not None:
            told.append((xt, t))
        a = column(alpha_bar, t, xt)
        rest = column(1 - alpha_bar, t, xt)
        return rest.sqrt() * (xt - a.sqrt() * mean) / (a * std**2 + rest)

    return denoise


def _zero(xt: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(xt)


def _gaussian_data(calls: DiffusionCalls, x: Tensor, mean: float, std: float) -> Tensor:
    """Gaussian data of x's shape, in the space in which the loss takes it; up to 2 million numbers."""
    n = int(max(64, min(4096, 2_000_000 // x[0].numel())))
    return calls.restore(mean + std * torch.randn(n, *x.shape[1:]).to(x))


def _training(calls: DiffusionCalls, x: Tensor) -> list[Finding]:
    """The loss with the exact denoiser in the network's place, and what that one was called with."""
    loss, a = calls.loss, calls.alpha_bar
    assert loss is not None
    told: list[Any] = []
    try:
        data = _gaussian_data(calls, x, MEAN, STD)
        with calls.network(_exact(a, MEAN, 0.0, told)):
            loss(_gaussian_data(calls, x, MEAN, 0.0))
        with calls.network(_exact(a, MEAN, STD)):
            exact = float(loss(data))
        with calls.network(_zero):
            zero = float(loss(data))
    except Exception as error:  # another's loss may raise anything
        return [Finding("loss", SKIPPED, f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")]
    return [
        _guarded("noise level that the network is told", lambda: _told(calls, told)),
        _guarded("loss on Gaussian data", lambda: _loss_value(calls, exact, zero)),
    ]


def _told(calls: DiffusionCalls, told: list[Any]) -> Finding:
    name, entry, a = "noise level that the network is told", "clinic-told-level", calls.alpha_bar
    xt, t = torch.cat([x.flatten(1) for x, _ in told]).double(), torch.cat([t for _, t in told]).cpu()
    T, D = len(a) - 1, xt.shape[1]
    span = f"t from {int(t.min())} to {int(t.max())} of {T}"
    if int(t.max()) < T * (1 - 8 / len(t)) - 1 or int(t.min()) > 1 + T * 8 / len(t):
        return Finding(name, WRONG, f"training draws {span}: some levels are never learned", entry)
    found = (xt - (a[t].sqrt() * MEAN)[:, None]).pow(2).mean(1).cpu()
    ratio = (found / (1 - a[t])).log()
    ratio = (
        ratio - float(torch.digamma(torch.tensor(D / 2))) + math.log(D / 2)
    )  # which a log of D squares has
    # How many steps off: the slope of the log variance over what one step would add to it, most at small t.
    one_step = torch.log1p(-a[(t + 1).clamp(max=T)]) - torch.log1p(-a[t])
    shift = float((ratio * one_step).sum() / (one_step**2).sum())
    sure = math.sqrt(2 / D) / float((one_step**2).sum().sqrt())
    error, tolerance = float(ratio.mean()), 6 * math.sqrt(2 / D / len(t)) + 1e-3
    if abs(shift) > 0.4 and abs(shift) > 8 * sure and abs(error) < 0.2:
        return Finding(name, WRONG, f"the network is told t, and x_t is that of t {shift:+.1f}", entry)
    if abs(error) < tolerance and float(ratio.abs().max()) < 10 * math.sqrt(2 / D) + 0.02:
        return Finding(name, RIGHT, f"{span}; x_t has the variance of its level, {abs(shift):.2f} steps off")
    factor = math.exp(error)
    says = f"x_t has {factor:.3g} times the variance of the level that the network is told"
    return Finding(name, WRONG, f"{says}, {math.exp(float(ratio.abs().max())):.3g} times at worst", entry)


def _loss_value(calls: DiffusionCalls, exact: float, zero: float) -> Finding:
    name, entry, a = "loss on Gaussian data", "clinic-loss-target", calls.alpha_bar[1:]
    known_value = float((a * STD**2 / (a * STD**2 + 1 - a)).mean())
    says = f"{exact:.4g} a dimension with the exact denoiser, {zero:.4g} with one that says nothing"
    if not math.isfinite(exact):
        return Finding(name, WRONG, f"the loss is {exact} with the exact denoiser", "clinic-nan")
    if exact >= 0.9 * zero:
        return Finding(
            name, WRONG, f"{says}: what the network predicts is not what it is compared with", entry
        )
    if calls.plain and abs(exact / known_value - 1) > 0.08:
        return Finding(name, LOOK, f"{says}; a mean of (ε - ε̂)² would be {known_value:.4g}", entry)
    return Finding(name, RIGHT, f"{says}; known: {known_value:.4g}" if calls.plain else says)


def _sampling(calls: DiffusionCalls, sampler: str) -> list[Finding]:
    """Samples with the exact denoiser of N(mean, std²), and of one point, in the network's place."""
    assert calls.samplers is not None
    run, a, told = calls.samplers[sampler], calls.alpha_bar, list[Any]()
    grid, found = f"step grid, {sampler}", f"samples on Gaussian data, {sampler}"
    try:
        with calls.network(_exact(a, MEAN, STD, told)):
            samples = run(16).double().flatten()
        with calls.network(_exact(a, MEAN, 0.0)):
            point = run(4).double().flatten() - MEAN
    except Exception as error:  # another's sampler may raise anything
        return [Finding(found, SKIPPED, f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")]
    times = [int(t[0]) for _, t in told]
    return [
        _guarded(grid, lambda: _grid(grid, times, told[0][0], a)),
        _guarded(found, lambda: _moments(found, samples, times, a)),
        _guarded(f"last step, {sampler}", lambda: _last_noise(f"last step, {sampler}", point, a)),
    ]


def _grid(name: str, times: list[int], start: Tensor, a: Tensor) -> Finding:
    T, entry = len(a) - 1, "clinic-ddim-start"
    runs = [t for i, t in enumerate(times) if i == 0 or t != times[i - 1]]
    says = f"{len(times)} calls, from t = {times[0]} to {times[-1]} of {T}"
    if any(later >= earlier for earlier, later in pairwise(runs)):
        return Finding(name, WRONG, f"{says}: t does not fall at every step", entry)
    left = math.sqrt(float(a[times[0]]))
    if left > 0.15:
        return Finding(
            name,
            WRONG,
            f"{says}: it starts where {100 * left:.0f} per cent of an image should be left",
            entry,
        )
    if float(a[times[-1]]) < 0.5:
        return Finding(name, WRONG, f"{says}: it stops before the image is clean", entry)
    if abs(float(start.double().std()) - 1) > 0.1:
        return Finding(
            name, WRONG, f"{says}: x_T has standard deviation {float(start.std()):.2f}, not 1", entry
        )
    if times[0] < T - 1 and left > 0.05:
        return Finding(name, LOOK, f"{says}: it does not start at T", entry)
    return Finding(name, RIGHT, says)


def _moments(name: str, samples: Tensor, times: list[int], a: Tensor) -> Finding:
    """Mean and standard deviation of samples, against the data's and what DDIM makes of these few steps."""
    mean, std = float(samples.mean()), float(samples.std())
    says = f"mean {mean:.3f}, standard deviation {std:.3f}; the data have {MEAN} and {STD}"
    if not math.isfinite(mean + std):
        return Finding(name, WRONG, says, "clinic-nan")
    best_mean, best_std = _ddim_moments(times, a)
    if best_std > 1.05 * STD or best_std < STD / 1.05:
        says += f", by DDIM in these steps {best_mean:.3f} and {best_std:.3f}"
    tolerance = 0.12 * STD + 5 * std / math.sqrt(len(samples))
    if min(abs(mean - MEAN), abs(mean - best_mean)) > tolerance:
        return Finding(name, WRONG, f"{says}: the steps do not lead to the data", "clinic-grey")
    low, high = min(STD, best_std), max(STD, best_std)
    if not low / 1.25 < std < high * 1.25:
        more = "leave noise in" if std > high else "take too much away"
        return Finding(name, WRONG, f"{says}: the steps {more}", "clinic-noise")
    return Finding(name, RIGHT, says)


def _ddim_moments(times: list[int], a: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of x_0 that DDIM with the exact denoiser walks to from N(0, 1)."""
    mean, std, values = 0.0, 1.0, a.tolist()
    for t, then in zip(times, [*times[1:], 0], strict=True):
        now, next_ = values[t], values[then]
        rest = now * STD**2 + 1 - now
        noise = math.sqrt(1 - now) / rest  # ε̂ = noise · (x_t − √ᾱ m)
        image = math.sqrt(now) * STD**2 / rest  # x̂_0 = m + image · (x_t − √ᾱ m)
        gain = math.sqrt(next_) * image + math.sqrt(1 - next_) * noise
        mean = math.sqrt(next_) * MEAN + gain * (mean - math.sqrt(now) * MEAN)
        std *= gain
    return mean, std


def _last_noise(name: str, point: Tensor, a: Tensor) -> Finding:
    """All data are one point: whatever is left around it is noise of the last step."""
    left = float(point.pow(2).mean().sqrt())
    says = f"noise of {left:.2g} is left, {127.5 * left:.2g} grey levels"
    if not left < 3e-3:
        return Finding(name, WRONG, f"{says}; return the mean at the last step", "clinic-last-noise")
    return Finding(name, RIGHT, says)


def _bound(calls: DiffusionCalls, x: Tensor) -> Finding:
    """KLs with the exact denoiser, against their closed form for Gaussian data."""
    name, a = "bound on Gaussian data", calls.alpha_bar
    assert calls.bound is not None
    n = int(max(8, min(64, 50_000 // x[0].numel())))
    with calls.network(_exact(a, MEAN, STD)):
        rates, variance = calls.bound(MEAN + STD * torch.randn(n, *x.shape[1:]).to(x))
    now, before, D = a[2:], a[1:-1], x[0].numel()
    beta = 1 - now / before
    smallest = beta * (1 - before) / (1 - now)
    spread = STD**2 * (1 - now) / (now * STD**2 + 1 - now)  # Var[x_0 | x_t]
    ratio = smallest / variance[2:].cpu()
    kls = 0.5 * (ratio - 1 - ratio.log()) + before * (beta / (1 - now)) ** 2 * spread / (
        2 * variance[2:].cpu()
    )
    last = 0.5 * float(a[-1] * (MEAN**2 + STD**2) - a[-1] - torch.log1p(-a[-1]))
    found, true = float(rates[:-1].sum()) / D, float(kls.sum())
    says = f"{found:.4f} nats a dimension for the KLs, known: {true:.4f}"
    says += f"; {float(rates[-1]) / D:.2g} for L_T, known: {last:.2g}"
    if len(rates) != len(a) - 1:
        return Finding(
            name, WRONG, f"{len(rates)} terms for T = {len(a) - 1}: one for each step and L_T", "clinic-bits"
        )
    if abs(found / true - 1) > 0.05 or abs(float(rates[-1]) / D - last) > 1e-6 + 0.1 * last:
        return Finding(name, WRONG, says, "clinic-bits")
    return Finding(name, RIGHT, says)


def _levels(a: Tensor) -> Tensor:
    """Steps t of `LEVELS` noise levels, even in log SNR from the clean end to the noisy one."""
    snr = a[1:].log() - torch.log1p(-a[1:])
    wanted = torch.linspace(
        float(snr[0].clamp(max=8)), float(snr[-1].clamp(min=-8)), LEVELS, dtype=torch.float64
    )
    nearest = (snr[None] - wanted[:, None]).abs().argmin(1)
    return torch.tensor(sorted({1 + int(t) for t in nearest}))


def _errors(calls: DiffusionCalls, x: Tensor, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """At some steps t: the mean squared error of ε̂, and that of a Gaussian fitted to each pixel."""
    a, few = calls.alpha_bar, x[:64]
    variance = x.double().var(0).flatten()
    errors, gaussian, times = [], [], _levels(a)
    for t in times.tolist():
        errors.append(_error_at(calls, few, t, t, seed))
        gaussian.append(float((a[t] * variance / (a[t] * variance + 1 - a[t])).mean()))
    return times, torch.tensor(errors), torch.tensor(gaussian)


def _error_at(calls: DiffusionCalls, x: Tensor, t: int, told: int, seed: int = 0) -> float:
    """The mean squared error of ε̂ of x_t when the network is told a step."""
    a, rng = calls.alpha_bar, torch.Generator().manual_seed(seed + t)
    eps = torch.randn(x.shape, generator=rng).to(x)
    xt = float(a[t].sqrt()) * x + float((1 - a[t]).sqrt()) * eps
    guess = calls.predict(xt, torch.full((len(x),), told))
    if calls.predicts != "eps":  # what it says, read with the levels that x_t has
        said = from_eps(guess, xt, torch.full((len(x),), told), a, calls.predicts)
        guess = to_eps(said, xt, torch.full((len(x),), t), a, calls.predicts)
    return float((guess.double() - eps.double()).pow(2).mean())


def _by_level(calls: DiffusionCalls, x: Tensor) -> Finding:
    name, entry = "error by noise level", "clinic-loss-flat"
    times, errors, gaussian = _errors(calls, x)
    if not bool(torch.isfinite(errors).all()):
        return Finding(name, WRONG, "ε̂ is NaN or infinite", "clinic-nan")
    worst = int((errors - gaussian).argmax())
    told = ", ".join(
        f"{t}: {e:.2g} ({g:.2g})" for t, e, g in zip(times.tolist(), errors, gaussian, strict=True)
    )
    says = f"mean (ε - ε̂)² at t, beside that of a Gaussian for each pixel: {told}"
    if bool((errors > 1.1 * gaussian + 0.05).any()):
        return Finding(
            name, WRONG, f"{says}. Worse than that Gaussian, most at t = {int(times[worst])}", entry
        )
    if better := _better_told(calls, x, times, errors):
        return Finding(name, WRONG, f"{says}. {better}", "clinic-told-level")
    return Finding(name, RIGHT, says)


def _better_told(calls: DiffusionCalls, x: Tensor, times: Tensor, errors: Tensor) -> str:
    """Whether the network does better when it is told another noise level than that of x_t."""
    snr = calls.alpha_bar.log() - torch.log1p(-calls.alpha_bar)
    told = []
    for i in (3, 4, 5, 6):
        if not i < len(times):
            continue
        t = int(times[i])
        for shift in (-1.5, 1.5):
            other = 1 + int((snr[1:] - snr[t] - shift).abs().argmin())
            error = float(_error_at(calls, x[:64], t, other))
            if error < 0.93 * float(errors[i]):
                told.append((t, other, error, float(errors[i])))
    ways = {other > t for t, other, _, _ in told}
    if len(told) < 2 or len(ways) > 1:
        return ""
    t, other, error, before = told[0]
    better = f"At t = {t} the network is better when it is told {other}, {error:.2g} for {before:.2g}"
    return f"{better}: was it trained on other levels?"


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
    calls: VaeCalls | DiffusionCalls,
    x: Tensor,
    average: Any,
    decay: float | None,
    steps: int | None,
    ask: Callable[..., Any],
) -> Finding:
    """How much of the first weights is left in the average, and whether it is worse than the newest."""
    name, entry = "averaged weights", "clinic-ema"
    share = decay**steps if decay is not None and steps is not None else None
    left = (
        ""
        if share is None
        else f"{decay} over {steps} steps leaves {100 * share:.1f} per cent of the first weights"
    )
    if average is not None and isinstance(calls, DiffusionCalls):
        other = getattr(average, "ema_model", average)
        if not hasattr(other, "alphas_cumprod") and not hasattr(other, "schedule"):
            predict = lambda xt, t: _said(calls, other, xt, t)  # noqa: E731
        else:
            predict = ask(other, x).predict
        inside = calls.prepare(x)
        newest = float(_errors(calls, inside)[1].mean())
        mean = float(
            _errors(DiffusionCalls(calls.name, calls.alpha_bar, predict, calls.network), inside)[1].mean()
        )
        says = f"error {mean:.3g} with the averaged weights, {newest:.3g} with the newest" + (
            f"; {left}" if left else ""
        )
        if mean > 1.3 * newest + 0.02:
            return Finding(
                name, WRONG, f"{says}: let the decay grow from 0, as min(decay, n / (9 + n))", entry
            )
        return Finding(name, RIGHT, says)
    if share is None:
        return Finding(name, SKIPPED, "give decay= and steps=, or the averaged model as average=")
    if share > 0.01:
        return Finding(name, WRONG, f"{left}: let the decay grow from 0, as min(decay, n / (9 + n))", entry)
    return Finding(name, RIGHT, left)


def _said(calls: DiffusionCalls, net: Any, xt: Tensor, t: Tensor) -> Tensor:
    return to_eps(output(net(xt, t - 1)), xt, t, calls.alpha_bar, calls.predicts)
