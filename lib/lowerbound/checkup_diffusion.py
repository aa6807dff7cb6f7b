"""The checks of a diffusion model: its schedule, its noise, its loss, its sampler, its bound, its errors.

The network is replaced by the exact denoiser of Gaussian data for a while; then the values of the loss, the
samples and the bound are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from lowerbound.adapters import DiffusionCalls, column, from_eps, to_eps
from lowerbound.findings import LOOK, RIGHT, SKIPPED, WRONG, Finding, guarded, range_of_data

MEAN, STD = 0.3, 0.12  # of the Gaussian data whose exact denoiser stands in for a network

LEVELS = 10


def diffusion_findings(calls: DiffusionCalls, x: Tensor, trained: bool) -> list[Finding]:
    """Every finding about a diffusion model with data x (N, ...), as its calls take them, in order."""
    inside = calls.prepare(x)
    schedule = guarded("schedule", lambda: _schedule(calls))
    findings = [guarded("range of the data", lambda: range_of_data(x, calls.low, calls.high)), schedule]
    if schedule.state == WRONG and schedule.entry == "clinic-cosine-nan":
        return findings
    if calls.noised is not None:
        findings.append(guarded("noise that is added", lambda: _noised(calls, inside)))
    if calls.loss is not None:
        findings += _training(calls, x)
    else:
        findings.append(Finding("loss", SKIPPED, "give loss=, a function of (network, x)"))
    if calls.samplers is None:
        findings.append(Finding("sampler", SKIPPED, "give sampler=, a function of (network, n)"))
    for name in calls.samplers or {}:
        findings += _sampling(calls, name)
    if calls.bound is not None:
        findings.append(guarded("bound", lambda: _bound(calls, inside)))
    if trained:
        findings.append(guarded("error by noise level", lambda: _by_level(calls, inside)))
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
        guarded("noise level that the network is told", lambda: _told(calls, told)),
        guarded("loss on Gaussian data", lambda: _loss_value(calls, exact, zero)),
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
        guarded(grid, lambda: _grid(grid, times, told[0][0], a)),
        guarded(found, lambda: _moments(found, samples, times, a)),
        guarded(f"last step, {sampler}", lambda: _last_noise(f"last step, {sampler}", point, a)),
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


def errors_by_level(calls: DiffusionCalls, x: Tensor, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
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
    times, errors, gaussian = errors_by_level(calls, x)
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
