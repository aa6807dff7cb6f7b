"""The checks of a diffusion model: its schedule, its noise, its loss, its sampler, its bound, its errors.

The network is replaced by the exact denoiser of Gaussian data for a while; then the values of the loss, the
samples and the bound are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial, reduce
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from lowerbound.adapters import DiffusionCalls, column
from lowerbound.checkup_vae import scalar
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
        findings += _sampling(calls, name, x.shape[1:])
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
    if not bool((beta >= -2e-7).all() and (beta <= 1).all()):
        return Finding(name, WRONG, f"{says}: ᾱ rises at {int((beta < 0).sum())} steps", "clinic-other-t")
    still = int(((beta == 0) & (a[1:] < 1 - 1e-4)).sum())
    if still:
        return Finding(name, WRONG, f"{says}: {still} steps add no noise", "clinic-other-t")
    if last > 0.02:
        left = (
            f"{100 * math.sqrt(last):.0f} per cent of the image is left in x_T, and samples start without it"
        )
        remedy = (
            "rescale β to this T"
            if last < 0.9
            else "is it α or β of the single steps? give (1 - beta).cumprod(0)"
        )
        return Finding(name, WRONG, f"{says}: {left}; {remedy}", "clinic-other-t")
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
    calls: DiffusionCalls, mean: float, std: float, told: list[Any] | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """What is best to say of x_t when the data are N(mean, std²), by Bayes' rule: of ε, of v or of x_0.

    told: a list that takes what it is called with
    """

    def denoise(xt: Tensor, t: Tensor) -> Tensor:
        if told is not None:
            told.append((xt, t))
        a, rest = column(calls.alpha_bar, t, xt), column(1 - calls.alpha_bar, t, xt)
        surprise = (xt - a.sqrt() * mean) / (a * std**2 + rest)
        eps, x0 = rest.sqrt() * surprise, mean + a.sqrt() * std**2 * surprise
        return {"eps": eps, "x0": x0, "v": a.sqrt() * eps - rest.sqrt() * x0}[calls.predicts]

    return denoise


def _gaussian_data(calls: DiffusionCalls, x: Tensor, std: float, numbers: int) -> Tensor:
    """Gaussian data of x's shape, in the space in which the loss takes it; some `numbers` in all."""
    n = max(16, min(numbers // 16, numbers // x[0].numel()))
    return calls.restore(MEAN + std * torch.randn(n, *x.shape[1:]).to(x))


def _training(calls: DiffusionCalls, x: Tensor) -> list[Finding]:
    """The loss with the exact denoiser in the network's place, and what that one was called with."""
    told, levels, value = list[Any](), "noise level that the network is told", "loss on Gaussian data"
    assert calls.loss is not None
    try:
        point = _gaussian_data(calls, x, 0.0, 500_000)
        with calls.network(_exact(calls, MEAN, 0.0, told)):
            calls.loss(point)
            if told and bool((told[0][1] == told[0][1][0]).all()):  # one t for the whole batch
                for _ in range(200):
                    calls.loss(point[:32])
    except Exception as error:  # another's loss may raise anything
        return [Finding("loss", SKIPPED, f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")]
    if not told:
        return [
            Finding("loss", SKIPPED, "it does not call the network: write it as a function of (network, x)")
        ]
    return [
        guarded(levels, lambda: _told(levels, told, calls.alpha_bar)),
        guarded(value, lambda: _loss_value(value, calls, x)),
    ]


def _told(name: str, told: list[Any], a: Tensor) -> Finding:
    """Which levels are drawn, and whether x_t of data that are one point is what it is at the level told."""
    entry = "clinic-told-level"
    xt, t = torch.cat([x.flatten(1) for x, _ in told]).double().cpu(), torch.cat([t for _, t in told]).cpu()
    order = t.argsort()
    xt, t = xt[order], t[order]
    shuffled, T, (n, D) = xt[order.argsort()], len(a) - 1, xt.shape
    span = f"t from {int(t[0])} to {int(t[-1])} of {T}"
    if missing := _never_drawn(t, T):
        state, says = missing
        return Finding(name, state, f"training draws {span}{says}", entry)

    eps = shuffled - (a[t].sqrt() * MEAN)[order.argsort()][:, None]
    eps = eps / (1 - a[t])[order.argsort()].sqrt()[:, None]
    together = float((eps[1:] * eps[:-1]).mean() / (eps**2).mean())
    if together > 0.9:
        says = "every example of a batch gets the same noise; use torch.randn_like(x)"
        return Finding(name, WRONG, says, "clinic-forward")

    def apart(shift: int) -> tuple[float, Tensor, Tensor]:
        """The log likelihood of x_t at t + shift; by part of T the sizes of signal and variance, errors."""
        inside = (t > 3) & (t <= T - 3) if T > 20 else (t + shift >= 1) & (t + shift <= T)
        now, kept = a[t[inside] + shift], xt[inside]
        off = (kept - now.sqrt()[:, None] * MEAN).pow(2).mean(1)
        likelihood = -0.5 * D * float((now.clamp(max=1 - 1e-12).mul(-1).log1p() + off / (1 - now)).sum())
        signal, variance = [], []
        for part in torch.arange(len(now)).chunk(8):
            b, of = now[part], kept[part].mean(1) / MEAN
            weight = float(b.sum())
            signal.append(
                (
                    float((b.sqrt() * of).sum()) / weight,
                    math.sqrt(float((b * (1 - b)).sum()) / D) / MEAN / weight,
                )
            )
            variance.append((float((off[part] / (1 - b)).mean()), math.sqrt(2 / D / len(part))))
        return likelihood, torch.tensor(signal), torch.tensor(variance)

    def wrong(found: Tensor) -> bool:
        return bool(((found[:, 0] - 1).abs() > 6 * found[:, 1] + 4e-3).any())

    likelihood, signal, variance = apart(0)
    for shift in (-1, 1, -2, 2) if T > 20 else ():
        other, *fits = apart(shift)
        if other > likelihood + 30 and not any(wrong(found) for found in fits):
            return Finding(name, WRONG, f"the network is told t, and x_t is that of t {shift:+d}", entry)
    if wrong(signal):
        worst = float(signal[((signal[:, 0] - 1).abs() / (6 * signal[:, 1] + 4e-3)).argmax(), 0])
        says = f"x_t holds {worst:.3g} times the signal √ᾱ x_0 of the level that the network is told"
        return Finding(name, WRONG, says, entry)
    if wrong(variance):
        worst = float(variance[((variance[:, 0] - 1).abs() / (6 * variance[:, 1] + 4e-3)).argmax(), 0])
        says = f"x_t has {worst:.3g} times the variance of the level that the network is told"
        return Finding(name, WRONG, says, entry)
    spread = float(eps.pow(2).mean(1).var()) * D / 2  # 1 if the D numbers of an example are independent
    if D > 2 and n >= 64 and spread > 1.6 + 6 * math.sqrt((2 + 12 / D) / n):
        says = f"the noise of an example's {D} numbers counts as {D / spread:.0f}: pixels share it"
        return Finding(name, WRONG, f"{says}; use torch.randn_like(x)", "clinic-forward")
    if bool((told[0][1] == told[0][1][0]).all()):
        return Finding(
            name, LOOK, f"{span}, and one t for all of a batch: its loss is noisier than it need be", entry
        )
    return Finding(name, RIGHT, f"{span}; x_t has the signal and the variance of its level")


def _never_drawn(t: Tensor, T: int) -> tuple[str, str] | None:
    """Whether some of 1..T are not among the times t (n,), sorted, by more than chance."""
    n, distinct = len(t), torch.tensor(sorted(set(t.tolist())))
    every = reduce(math.gcd, (distinct - distinct[0]).tolist())
    if every > 1 and len(distinct) > 2:
        return WRONG, f", and only each {every}th: the others are never learned"
    expected = T * (1 - math.exp(-n / T))
    if len(distinct) < 0.4 * expected:
        return WRONG, f", and only {len(distinct)} levels in all: the others are never learned"
    ends = torch.cat([torch.zeros(1).long(), distinct, torch.full((1,), T + 1)])
    gap = int(ends.diff().max()) - 1
    if gap > 1 + T * (math.log(n) + 12) / n:
        return WRONG if gap > 0.1 * T else LOOK, f": {gap} levels in a row are never learned"
    return None


def _loss_value(name: str, calls: DiffusionCalls, x: Tensor) -> Finding:
    """Whether the exact denoiser is what the loss is least at, and its value there."""
    entry, seeds, h = "clinic-loss-target", range(16), 0.1
    exact, half = _exact(calls, MEAN, STD), (len(calls.alpha_bar) - 1) / 2
    data = [_gaussian_data(calls, x, STD, 50_000) for _ in seeds]

    def values(turn: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The loss (16,) of batches with noise of their own, the answer o being o + turn(o, t)."""
        assert calls.loss is not None
        found = []

        def answer(xt: Tensor, t: Tensor) -> Tensor:
            said = exact(xt, t)
            return said + turn(said, t.view(-1, *[1] * (xt.ndim - 1)).to(xt.device))

        with torch.random.fork_rng(devices=[]), calls.network(answer):
            for seed, batch in zip(seeds, data, strict=True):
                torch.manual_seed(seed)
                found.append(scalar(calls.loss(batch)))
        return torch.tensor(found, dtype=torch.float64)

    best = values(lambda o, t: 0 * o)
    value, error = float(best.mean()), float(best.std()) / math.sqrt(len(best))
    if not math.isfinite(value):
        return Finding(name, WRONG, f"the loss is {value} with the exact denoiser", "clinic-nan")
    ways: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "at low noise": lambda o, t: h * o * (t <= half),
        "at high noise": lambda o, t: h * o * (t > half),
        "shifted": lambda o, t: h * torch.ones_like(o),
    }
    least = []
    for where, turn in ways.items():
        more, less = values(turn), values(partial(_turned_back, turn))
        slope, bend = (more - less) / (2 * h), (more + less - 2 * best) / h**2
        if float(bend.mean()) == 0 == float(slope.abs().max()):
            return Finding(name, WRONG, f"what the network says {where} does not change the loss", entry)
        at = -float(slope.sum() / bend.sum())
        unsure = float((slope + at * bend).std()) * 4 / abs(float(bend.sum()))
        if float(bend.mean()) <= 0 or abs(at) > 0.05 + 6 * unsure:
            says = (
                f"the loss is least at {at:+.2f} of the exact answer {where}"
                if where == "shifted"
                else (f"the loss is least at {1 + at:.2f} times the exact answer {where}")
            )
            says = says if float(bend.mean()) > 0 else f"a better answer {where} costs more"
            return Finding(
                name, WRONG, f"{says}: what the network predicts is not what it is compared with", entry
            )
        if unsure > 0.2:
            return Finding(name, SKIPPED, f"too noisy: the least loss {where} is known to ±{unsure:.2g} only")
        least.append(1 + at)
    says = f"{value:.4g} with the exact denoiser, and least at {least[0]:.2f} and {least[1]:.2f} times it"
    a = calls.alpha_bar[1:]
    of_noise = a * STD**2 / (a * STD**2 + 1 - a)
    plain = {
        "eps": of_noise,
        "v": STD**2 / (a * STD**2 + 1 - a),
        "x0": of_noise * (1 - a) / a.clamp(min=1e-30),
    }
    if calls.predicts == "x0":
        plain["x0"] = STD**2 * (1 - a) / (a * STD**2 + 1 - a)
    known = [float(plain[kind].mean()) for kind in {"eps", calls.predicts}]
    if calls.plain and all(abs(value / one - 1) > 0.08 + 5 * error / value for one in known):
        mean = float(plain[calls.predicts].mean())
        return Finding(name, LOOK, f"{says}; a mean of squares would be {mean:.4g}", entry)
    return Finding(
        name,
        RIGHT,
        f"{says}; known: {min(known, key=lambda one: abs(one - value)):.4g}" if calls.plain else says,
    )


def _turned_back(turn: Callable[[Tensor, Tensor], Tensor], said: Tensor, t: Tensor) -> Tensor:
    return -turn(said, t)


def _sampling(calls: DiffusionCalls, sampler: str, shape: torch.Size) -> list[Finding]:
    """Samples with the exact denoiser of N(mean, std²), and of one point, in the network's place."""
    assert calls.samplers is not None
    run, a, told, again, D = calls.samplers[sampler], calls.alpha_bar, list[Any](), list[Any](), shape.numel()
    grid, found, last = (
        f"step grid, {sampler}",
        f"samples on Gaussian data, {sampler}",
        f"last step, {sampler}",
    )
    n, few = min(4096, max(16, 4000 // D)), min(256, max(4, 256 // D))
    try:
        with calls.network(_exact(calls, MEAN, STD, told)):
            samples = _last(run(n), n, shape)
        with calls.network(_exact(calls, MEAN, 0.0, again)):
            point = _last(run(few), few, shape)
    except Exception as error:  # another's sampler may raise anything
        return [Finding(found, SKIPPED, f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")]
    if not told:
        return [
            Finding(found, SKIPPED, "it does not call the network: write it as a function of (network, n)")
        ]
    if isinstance(samples, str):
        return [Finding(found, WRONG, samples, "clinic-range")]
    assert isinstance(point, Tensor)
    times, same = [int(t[0]) for _, t in told], torch.equal(told[0][0][:1], again[0][0][:1])
    shown = abs(float(samples.mean()) - (MEAN + 1) / 2) < 0.05 and abs(float(samples.std()) - STD / 2) < 0.02
    if shown:  # they are made to be looked at
        samples, point = 2 * samples - 1, 2 * point - 1
    findings = [
        guarded(grid, lambda: _grid(grid, times, told[0][0], a)),
        guarded(found, lambda: _moments(found, samples, times, a)),
        guarded(last, lambda: _last_noise(last, point.flatten() - MEAN, a)),
    ]
    if shown:
        says = "samples are (x + 1) / 2, which is to be looked at, not to be compared with x"
        findings.append(Finding(f"range of samples, {sampler}", LOOK, says, "clinic-range"))
    if same:
        says = "it starts from the same noise each time: is a seed set in it?"
        findings.append(Finding(f"start, {sampler}", LOOK, says, "clinic-same"))
    return findings


def _last(out: Any, n: int, shape: torch.Size) -> Tensor | str:
    """The samples (n, ...) among what a sampler returned, float64; or what is wrong with their shape."""
    several = [torch.as_tensor(v) for v in (out if isinstance(out, tuple | list) else [out])]
    fitting = [v for v in several if v.shape == (n, *shape)]
    if fitting:
        return fitting[-1].double().cpu()
    return (
        f"asked for {n} samples {(n, *shape)}, it gives {', '.join(str(tuple(v.shape)) for v in several[:3])}"
    )


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
    if abs(float(start.double().std()) - 1) > 0.1 + 6 / math.sqrt(2 * start.numel()):
        return Finding(
            name, WRONG, f"{says}: x_T has standard deviation {float(start.std()):.2f}, not 1", entry
        )
    if times[0] < T - 1 and left > 0.05:
        return Finding(name, LOOK, f"{says}: it does not start at T", entry)
    return Finding(name, RIGHT, says)


def _moments(name: str, samples: Tensor, times: list[int], a: Tensor) -> Finding:
    """Mean and standard deviation of samples, against the data's and what DDIM makes of these few steps."""
    mean, std, among = float(samples.mean()), float(samples.std()), float(samples.var(0).mean())
    says = f"mean {mean:.3f}, standard deviation {std:.3f}; the data have {MEAN} and {STD}"
    if not math.isfinite(mean + std):
        return Finding(name, WRONG, says, "clinic-nan")
    different = len(set(map(tuple, samples.flatten(1)[:, :8].tolist())))
    if among < 0.3 * std**2 or different < 0.9 * len(samples):
        says = f"{different} of {len(samples)} samples differ"
        says += "" if different < 0.9 * len(samples) else ", and these by little"
        return Finding(
            name, WRONG, f"{says}: each needs noise of its own, torch.randn(n, ...)", "clinic-same"
        )
    best_mean, best_std = _ddim_moments(times, a)
    if best_std > 1.05 * STD or best_std < STD / 1.05:
        says += f", by DDIM in these steps {best_mean:.3f} and {best_std:.3f}"
    tolerance, width = (
        0.12 * STD + 6 * std / math.sqrt(samples.numel()),
        1.25 + 6 / math.sqrt(2 * samples.numel()),
    )
    if min(abs(mean - MEAN), abs(mean - best_mean)) > tolerance:
        return Finding(name, WRONG, f"{says}: the steps do not lead to the data", "clinic-grey")
    low, high = min(STD, best_std), max(STD, best_std)
    if not low / width < std < high * width:
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
    n = int(max(8, min(4096, 50_000 // x[0].numel())))
    with calls.network(_exact(calls, MEAN, STD)):
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


def errors_by_level(calls: DiffusionCalls, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """At some steps t: the mean squared error of the network, that of a Gaussian for each number, how sure.

    Of ε, of v, or of x_0 by the variance of x, as the network predicts. times (L,), errors (L,), those of the
    Gaussian (L,), and the standard error of their difference (L,).
    """
    a, few, rows = calls.alpha_bar, _enough(x), []
    mean, variance = x.mean(0), x.var(0)
    variance = variance.clamp(min=(0.05 * float(x.std())) ** 2)
    times = _levels(a)
    for t in times.tolist():
        xt, target, error = _error_at(calls, few, t, t)
        now = float(a[t])
        eps = max(0.0, 1 - now) ** 0.5 * (xt - now**0.5 * mean) / (now * variance + 1 - now)
        x0 = mean + now**0.5 * variance * (xt - now**0.5 * mean) / (now * variance + 1 - now)
        best = _squares(calls, _said(calls.predicts, eps, x0, now), target, x)
        rows.append(
            (float(error.mean()), float(best.mean()), float((error - best).std()) / math.sqrt(len(few)))
        )
    return times, *torch.tensor(rows).T


def _said(predicts: str, eps: Tensor, x0: Tensor, alpha_bar: float) -> Tensor:
    """What a network that predicts ε, v or x_0 should say. (B, ...)."""
    signal, noise = math.sqrt(alpha_bar), math.sqrt(max(0.0, 1 - alpha_bar))
    return {"eps": eps, "x0": x0, "v": signal * eps - noise * x0}[predicts]


def _squares(calls: DiffusionCalls, said: Tensor, target: Tensor, x: Tensor) -> Tensor:
    """The mean squared error (B,), of x_0 by the variance of x."""
    error = (said.double() - target.double()).pow(2).flatten(1).mean(1)
    return error if calls.predicts != "x0" else error / x.double().var()


def _enough(x: Tensor) -> Tensor:
    """Rows of x (N, ...), again if they are few, of 20,000 numbers in all and 64 at least."""
    return x[torch.arange(max(64, 20_000 // x[0].numel())) % len(x)]


def _error_at(calls: DiffusionCalls, x: Tensor, t: int, told: int) -> tuple[Tensor, Tensor, Tensor]:
    """x_t and the target (B, ...), and the squared error (B,) of a network that is told a step."""
    a, rng = float(calls.alpha_bar[t]), torch.Generator().manual_seed(t)
    eps = torch.randn(x.shape, generator=rng).to(x)
    xt, target = a**0.5 * x + max(0.0, 1 - a) ** 0.5 * eps, _said(calls.predicts, eps, x, a)
    return xt, target, _squares(calls, calls.ask(xt, torch.full((len(x),), told)), target, x)


def _by_level(calls: DiffusionCalls, x: Tensor) -> Finding:
    name, entry = "error by noise level", "clinic-loss-flat"
    if len(x) < 16:
        return Finding(name, SKIPPED, "give some hundred examples: a Gaussian is fitted to them")
    times, errors, gaussian, unsure = errors_by_level(calls, x)
    if not bool(torch.isfinite(errors).all()):
        return Finding(name, WRONG, "what the network says is NaN or infinite", "clinic-nan")
    worst = int((errors - gaussian).argmax())
    told = ", ".join(
        f"{t}: {e:.2g} ({g:.2g})" for t, e, g in zip(times.tolist(), errors, gaussian, strict=True)
    )
    of = {"eps": "ε", "v": "v", "x0": "x_0 by the variance of x"}[calls.predicts]
    says = f"mean squared error of {of} at t, beside that of a Gaussian for each pixel: {told}"
    worse = f"{says}. Worse than that Gaussian, most at t = {int(times[worst])}"
    # A network that says x_0 may be trained by its loss of x_0 or of ε: 0.05 too much is let pass in either.
    a = calls.alpha_bar[times].float()
    of_eps = a / (1 - a) * float(x.var()) if calls.predicts == "x0" else torch.ones(len(a))
    slack = 0.05 / of_eps.clamp(max=1) + 6 * unsure
    if bool((errors > 1.5 * gaussian + slack).any()):
        return Finding(name, WRONG, worse, entry)
    if better := _better_told(calls, x, times):
        return Finding(name, WRONG, f"{says}. {better}", "clinic-told-level")
    if bool((errors > 1.1 * gaussian + slack).any()):
        return Finding(name, LOOK, f"{worse}: is it trained to the end?", entry)
    return Finding(name, RIGHT, says)


def _better_told(calls: DiffusionCalls, x: Tensor, times: Tensor) -> str:
    """Whether the network does better when it is told another noise level than that of x_t."""
    snr, few = calls.alpha_bar.log() - torch.log1p(-calls.alpha_bar), _enough(x)
    told = []
    for t in times[3:7].tolist():
        before = _error_at(calls, few, t, t)[2]
        for shift in (-1.5, 1.5):
            other = 1 + int((snr[1:] - snr[t] - shift).abs().argmin())
            error = _error_at(calls, few, t, other)[2]
            gain, unsure = before - error, float((before - error).std()) / math.sqrt(len(few))
            if float(gain.mean()) > 0.07 * float(before.mean()) + 4 * unsure:
                told.append((t, other, float(error.mean()), float(before.mean())))
    ways = {other > t for t, other, _, _ in told}
    if len(told) < 2 or len(ways) > 1:
        return ""
    t, other, least, usual = told[0]
    better = f"At t = {t} the network is better when it is told {other}, {least:.2g} for {usual:.2g}"
    return f"{better}: was it trained on other levels?"
