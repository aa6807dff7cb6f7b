"""The checks of a VAE: data, the draw of z, the two terms of the loss and the weight between them, the codes.

The loss is a black box: one of its arguments is moved, and what that changes is compared with closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from lowerbound.adapters import Passed, VaeCalls
from lowerbound.findings import LOOK, RIGHT, SKIPPED, WRONG, Finding, guarded, range_of_data


def kl_to_standard(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, I)) of each unit, in nats. (B, K) -> (B, K)."""
    return 0.5 * (mean**2 + logvar.exp() - 1 - logvar)


def vae_findings(calls: VaeCalls, x: Tensor, trained: bool) -> list[Finding]:
    """Every finding about a VAE with data x (N, ...), in order."""
    try:
        passed = calls.forward(x)
    except Exception as error:  # another's model may raise anything
        entry = "clinic-negative-loss" if "between 0 and 1" in str(error) else "clinic-range"
        says = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        return [Finding("forward pass", WRONG, says, entry)]
    recon, mean, logvar = passed.recon, passed.mean.flatten(1), passed.logvar.flatten(1)
    findings = [guarded("range of the data", lambda: _vae_range(calls, x, recon, mean))]
    findings.append(guarded("encoder", lambda: _encoder(mean, logvar)))
    findings.append(guarded("draw of z", lambda: _draw(calls, x)))
    probe = None
    if calls.loss is None:
        findings.append(Finding("loss", SKIPPED, "give loss=, a function of (recon, x, mu, logvar)"))
    else:
        probe = _Probe(calls, x, passed)
        findings += [guarded("KL term", probe.kl_term), guarded("reconstruction", probe.reconstruction)]
        findings.append(guarded("weight of the KL", probe.weight))
    if calls.bound is not None:
        findings.append(guarded("rate of the bound", lambda: _rate(calls, x, mean, logvar)))
    if trained:
        findings.append(guarded("units in use", lambda: _units(calls, x, mean, logvar)))
        light = probe is not None and probe.slope < 1e-2 * probe.cost
        findings.append(guarded("codes against the prior", lambda: _aggregate(mean, logvar, light)))
    return findings


def _vae_range(calls: VaeCalls, x: Tensor, recon: Tensor, mean: Tensor) -> Finding:
    """Whether what the decoder can say covers the data."""
    far = [recon]
    if calls.decode is not None:
        far.append(torch.as_tensor(calls.decode(30 * torch.randn(64, mean.shape[1]).to(mean))))
    least, most = min(float(r.min()) for r in far), max(float(r.max()) for r in far)
    data = float(x.min()), float(x.max())
    says = f"x lies in [{data[0]:.3g}, {data[1]:.3g}], what the decoder says in [{least:.3g}, {most:.3g}]"
    name, entry = "range of the data", "clinic-range"
    if x[0].numel() > 16 and max(-data[0], data[1]) > 20:
        return Finding(name, WRONG, f"{says}; scale x to [-1, 1] or [0, 1]", entry)
    if least >= 0 and most <= 1 and (data[0] < -0.01 or data[1] > 1.01):
        return Finding(name, WRONG, f"{says}: a sigmoid cannot reach it; use (x + 1) / 2", entry)
    if least >= 0 and data[0] < -0.05:
        return Finding(name, WRONG, f"{says}: it says nothing below 0; leave out the last ReLU", entry)
    tanh = -1 <= least < -0.9 and 0.9 < most <= 1
    if tanh and (data[0] < -1.01 or data[1] > 1.01):
        return Finding(name, WRONG, f"{says}: a tanh cannot reach it; scale x to [-1, 1]", entry)
    if x.ndim != 4 and not (least >= 0 and most <= 1):
        return range_of_data(x, -math.inf, math.inf)
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
    mode, units = calls.model.training, calls.forward(x[:4]).mean[0].numel()
    calls.model.train()
    passed = calls.forward(x[:4].repeat_interleave(max(32, 512 // units), 0))
    calls.model.train(mode)
    if passed.z is None:
        return Finding(
            name, SKIPPED, "z cannot be seen: the model has no decoder module and no decode method"
        )
    mean, logvar, z = passed.mean.flatten(1), passed.logvar.flatten(1), passed.z.flatten(1)
    std, off = (0.5 * logvar).exp(), z - mean
    eps = off / std
    spread, tolerance = float(eps.pow(2).mean().sqrt()), 6 / math.sqrt(2 * z.numel()) + 0.01
    says = f"z is {spread:.3f} σ away from μ, root mean square"
    if spread > 1e-3 and float((eps - eps[:1]).abs().max()) < 0.01 * spread:
        return Finding(
            name, WRONG, f"{says}: every example has the same noise; use torch.randn_like(mu)", entry
        )
    if units > 1 and spread > 1e-3 and float((eps - eps[:, :1]).abs().max()) < 0.01 * spread:
        return Finding(name, WRONG, f"{says}: every unit has the same noise; use torch.randn_like(mu)", entry)
    if abs(spread - 1) < tolerance and abs(float(eps.mean())) < 6 / math.sqrt(z.numel()) + 0.01:
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

    def __init__(self, calls: VaeCalls, x: Tensor, passed: Passed) -> None:
        self.calls, self.K, self.D = calls, passed.mean[0].numel(), x[0].numel()
        self.wide = True  # whether it takes float64, in which a small β is not lost
        recon = passed.recon
        self.like, self.x0, self.r0 = passed.mean[:1] * 0, x[:1], recon[:1]
        low, high = float(recon.min()), float(recon.max())
        self.unit = low >= 0 and high <= 1
        self.guesses = [
            torch.lerp(self.r0, low + (high - low) * torch.rand_like(self.r0), w)
            for w in (0.1, 0.3, 0.5, 0.7, 0.9)
        ] + [recon[i : i + 1] for i in range(1, min(8, len(recon)))]
        self.codes = [
            (torch.randn_like(self.like) * (0.3 + i / 6), torch.rand_like(self.like) * 3 - 2)
            for i in range(12)
        ]
        # each unit beyond what free bits leave out
        self.far = [(c * 0 + 6 + 3 * torch.rand_like(c), v) for c, v in self.codes]
        self.grey = float(((x > 0.02) & (x < 0.98)).float().mean())
        self.limits = float(x.min()), float(x.max())
        self.slope = self.cost = math.nan
        self.kind = ""

    def value(
        self, recon: Tensor, mean: Tensor, logvar: Tensor, batch: int = 4, x: Tensor | None = None
    ) -> float:
        """The loss of a batch of examples that are all alike, in the model's own shapes."""
        loss = self.calls.loss
        assert loss is not None
        rows = [
            v.repeat(batch, *[1] * (v.ndim - 1)) for v in (recon, self.x0 if x is None else x, mean, logvar)
        ]
        if self.wide:
            try:
                return scalar(loss(*(row.double() for row in rows)))
            except Exception:  # it holds float32 weights, or refuses float64 otherwise
                self.wide = False
        return scalar(loss(*rows))

    def kl_term(self) -> Finding:
        """Whether what mean and logvar do to the loss is a multiple of the KL."""
        name, entry = "KL term", "clinic-sign"
        base = self.value(self.r0, self.like, self.like)
        moved = torch.tensor([self.value(self.r0, *code) - base for code in self.codes], dtype=torch.float64)
        true = torch.stack([kl_to_standard(*code).double().sum() for code in self.codes])
        self.slope, misfit = _line(true, moved)
        if float(moved.abs().max()) < 1e-13 * max(1, abs(base)):
            self.slope = 0.0
            return Finding(
                name, WRONG, "mu and logvar do not change the loss: it has no KL term", "clinic-samples-bad"
            )
        if misfit < 2e-3 and self.slope > 0:
            return Finding(name, RIGHT, f"a multiple of KL(q ‖ N(0, I)), up to {misfit:.0e}")
        if misfit < 2e-3:
            return Finding(name, WRONG, "the KL is subtracted, and has to be added to the loss", entry)
        for text, wrong in _WRONG_KL.items():
            values = torch.stack([wrong(*code).double().sum() for code in self.codes])
            slope, apart = _line(values - wrong(self.like, self.like).double().sum(), moved)
            if apart < 2e-3 and slope > 0:
                return Finding(name, WRONG, f"no multiple of the KL: {text}", entry)
        far = torch.tensor([self.value(self.r0, *code) for code in self.far], dtype=torch.float64)
        large = torch.stack([kl_to_standard(*code).double().sum() for code in self.far])
        slope, apart = _line(large - large.mean(), far - far.mean())
        if apart < 2e-3 and slope > 0:
            self.slope = slope
            says = "a multiple of KL(q ‖ N(0, I)) where that is large, not where it is small: free bits?"
            return Finding(name, LOOK, says, "clinic-kl-zero")
        off = f"off by {100 * misfit:.0f} per cent" if math.isfinite(misfit) else "not a number at some"
        says = f"no multiple of KL(q ‖ N(0, I)): {off}"
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
            values = torch.stack(
                [cost(r.flatten().double(), self.x0.flatten().double()) for r in self.guesses]
            )
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
        if self.kind == "cross-entropy of logits" and self.unit:
            says = "cross-entropy of logits, of what a sigmoid has said: it is applied twice"
            return Finding(name, WRONG, f"{says}; leave the decoder's out", "clinic-grey")
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
                    return Finding(name, WRONG if not 0.26 < factor < 3.9 else LOOK, says, entry)
        if abs(beta - 1) < 0.01:
            return Finding(name, RIGHT, f"β = {beta:.3g}: a negative ELBO")
        if self.kind == "squared error" and beta < 1:
            return Finding(name, RIGHT, f"a negative ELBO with σ = {math.sqrt(beta):.2g} for the pixels")
        says = f"β = {beta:.3g}: a β-VAE, if it is meant; this is not the negative ELBO"
        return Finding(name, LOOK, says, entry)

    def _batch_weight(self, batch: int) -> float:
        (mean, logvar), less = self.far[3], (0.9 * self.far[3][0], self.far[3][1])
        base = self.value(self.r0, self.like, self.like, batch)
        rate = self.value(self.r0, mean, logvar, batch) - self.value(self.r0, *less, batch)
        return rate / (self.value(self.guesses[3], self.like, self.like, batch) - base)


def scalar(out: Any) -> float:
    """A loss that a function returned: the mean of several, a tuple's first, a dictionary's "loss"."""
    if isinstance(out, dict):
        out = out.get("loss", next(iter(out.values())))
    out = out[0] if isinstance(out, tuple | list) else out
    return float(torch.as_tensor(out).double().mean())


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


def _aggregate(mean: Tensor, logvar: Tensor, light: bool) -> Finding:
    """Whether codes of data lie where N(0, I) does: the second moment of each unit. light: if β is small."""
    moment = (mean**2 + logvar.exp()).mean(0)
    active = mean.var(0) > 0.01
    size = float(moment[active].mean()) if bool(active.any()) else 1.0
    says = f"the codes of x have mean square {size:.3g} a unit, and N(0, I) has 1"
    if not 0.25 < size < 4:
        says += ": samples start elsewhere" + (
            ", as is meant if they come from a second model" if light else ""
        )
        return Finding("codes against the prior", LOOK if light else WRONG, says, "clinic-samples-bad")
    return Finding("codes against the prior", RIGHT, says)
