"""Assignment 7: coordinates, a weight on the area, the velocity of a mixture, and how straight a path is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy as sp

from ..proofs import ch3_forward as forward
from ..proofs import ch7_coordinates as coordinates
from ..symbolic import Derivation
from .cases import POINTS, derivation, function_of, normal, on
from .draws import Rng, between
from .engine import Check, Mistake
from .optional import Tensor, torch
from .proved import ProofCheck

x0, x0_net, state = sp.symbols("x_0 xhat_0 z", real=True)
eps, eps_net = sp.symbols("epsilon epsilonhat", real=True)
u, u_net = sp.symbols("u uhat", real=True)
tau = sp.Symbol("tau", positive=True)

velocity_derivation = ProofCheck(
    "velocity_derivation",
    "eq-coordinates-velocity-error",
    lambda: (u - u_net) ** 2,
    lambda: (x0 - x0_net) ** 2 / tau**2,
    given=lambda: {
        u: eps - x0,
        u_net: eps_net - x0_net,
        eps: (state - (1 - tau) * x0) / tau,
        eps_net: (state - (1 - tau) * x0_net) / tau,
    },
    steps=3,
)


def _said(rng: Rng) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """V and x_t (B, D), ᾱ (B,): between 0 and 1, and both ends."""
    for _ in range(POINTS):
        inner = 0.05 + 0.9 * torch.rand(4, generator=rng, dtype=torch.float64)
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
        yield normal(rng, 6, 3), normal(rng, 6, 3), torch.cat([inner, ends])


def _solved(name: str, v: Tensor, xt: Tensor, alpha_bar: Tensor) -> Tensor:
    """The last line of a proof as it is printed, for v: its parts are −b and a, its determinant 1."""
    proof = Derivation(name, derivation(name).last)
    a, b = alpha_bar.sqrt()[:, None], (1 - alpha_bar).sqrt()[:, None]
    if name == "image_from_coordinate":
        names = coordinates.b, coordinates.d_, coordinates.det, forward.xt, coordinates.y
        return on(function_of(proof, *names), b, a, 1.0, xt, v)
    names = coordinates.a, coordinates.c, coordinates.det, forward.xt, coordinates.y
    return on(function_of(proof, *names), a, -b, 1.0, xt, v)


def _both(v: Tensor, xt: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    image = _solved("image_from_coordinate", v, xt, alpha_bar)
    return image, _solved("noise_from_coordinate", v, xt, alpha_bar)


def _mixed(image: Any = None, noise: Any = None) -> Any:
    """Another image or noise: functions of v, x_t, signal and noise (B, 1)."""

    def of(v: Tensor, xt: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
        right = _both(v, xt, alpha_bar)
        a, b = alpha_bar.sqrt()[:, None], (1 - alpha_bar).sqrt()[:, None]
        return image(v, xt, a, b) if image else right[0], noise(v, xt, a, b) if noise else right[1]

    return of


image_and_noise = Check(
    "image_and_noise",
    "eq-coordinates-image",
    _said,
    _both,
    {
        "v's sign": Mistake(
            lambda v, x, a: _both(-v, x, a),
            "v comes in with the wrong sign: its noise counts up and its image down.",
        ),
        "v as the noise": Mistake(
            _mixed(lambda v, x, a, b: (x - b * v) / a.clamp(min=1e-6), lambda v, x, a, b: v),
            "v is taken for the noise; it is a mixture of noise and image.",
        ),
        "v as the velocity": Mistake(
            _mixed(lambda v, x, a, b: x - b * v, lambda v, x, a, b: x + a * v),
            "this is right for the velocity of the straight path, whose signal and noise add up to one.",
        ),
        "signal and noise exchanged": Mistake(
            _mixed(lambda v, x, a, b: b * x - a * v, lambda v, x, a, b: a * x + b * v),
            "signal and noise are exchanged: a = √ᾱ belongs to the image.",
        ),
        "variances": Mistake(
            _mixed(lambda v, x, a, b: a**2 * x - b**2 * v, lambda v, x, a, b: b**2 * x + a**2 * v),
            "ᾱ and 1 − ᾱ are used without their roots.",
        ),
        "image's v added": Mistake(
            _mixed(image=lambda v, x, a, b: a * x + b * v), "in the image v has the wrong sign."
        ),
        "noise's v taken off": Mistake(
            _mixed(noise=lambda v, x, a, b: b * x - a * v), "in the noise v has the wrong sign."
        ),
        "x_t not scaled": Mistake(
            _mixed(image=lambda v, x, a, b: x - b * v), "x_t enters the image by its share of the signal, a."
        ),
        "x_t not scaled in the noise": Mistake(
            _mixed(noise=lambda v, x, a, b: x + a * v), "x_t enters the noise by its share of the noise, b."
        ),
        "kept from 0": Mistake(
            _mixed(
                lambda v, x, a, b: (x - b * (b * x + a * v)) / a.clamp(min=1e-3),
                lambda v, x, a, b: b * x + a * v,
            ),
            "the image is found by a division by the signal, which is kept away from 0: where there is no "
            "signal it is wrong. Another formula needs no division.",
        ),
        "kept from 0 in the noise": Mistake(
            _mixed(
                lambda v, x, a, b: a * x - b * v,
                lambda v, x, a, b: (x - a * (a * x - b * v)) / b.clamp(min=1e-3),
            ),
            "the noise is found by a division by its share, which is kept away from 0: where there is "
            "no noise it is wrong. Another formula needs no division.",
        ),
        "one level": Mistake(
            lambda v, x, a: _both(v, x, a[:1].expand(len(a))),
            "the level of the first example is used for all; each has its own.",
        ),
        "clipped": Mistake(
            _mixed(image=lambda v, x, a, b: (a * x - b * v).clamp(-1, 1)),
            "the image is clipped to [−1, 1]; here it is a solution of two equations, and no pixel.",
        ),
    },
)


def _states(rng: Rng) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(POINTS):
        yield normal(rng, 6, 3), 0.03 + 0.94 * torch.rand(6, generator=rng, dtype=torch.float64)


def _straight(xt: Tensor, alpha_bar: Tensor, sums: Any = None, time: Any = None) -> tuple[Tensor, Tensor]:
    """State and time on the straight path, from the last line of the proof of its units.

    sums, time: in place of what x_t is divided by, and of τ; functions of signal and noise (B,).
    """
    a, b = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return xt / (sums or torch.add)(a, b)[:, None], time(a, b) if time else b / (a + b)


def _other_units(**ways: Any) -> Any:
    return lambda xt, alpha_bar: _straight(xt, alpha_bar, **ways)


straight = Check(
    "straight",
    "eq-coordinates-straight",
    _states,
    lambda xt, alpha_bar: _straight(xt, alpha_bar),
    {
        "the state as it is": Mistake(
            _other_units(sums=lambda a, b: a / a),
            "the state is not changed: on the straight path signal and noise add up to one.",
        ),
        "divided by the signal": Mistake(
            _other_units(sums=lambda a, b: a),
            "the state is divided by the signal alone; then noise over signal is left before ε.",
        ),
        "divided by the squares": Mistake(
            _other_units(sums=lambda a, b: a**2 + b**2, time=lambda a, b: b**2),
            "a² + b² is 1 already. What has to be 1 on the straight path is the sum of the parts themselves.",
        ),
        "multiplied": Mistake(
            _other_units(sums=lambda a, b: 1 / (a + b)), "the state is multiplied where it has to be divided."
        ),
        "1 − ᾱ": Mistake(
            _other_units(time=lambda a, b: b**2),
            "τ is taken for the variance of the noise in x_t; it is the noise's share of the sum.",
        ),
        "one root": Mistake(
            _other_units(sums=lambda a, b: a + b**2, time=lambda a, b: b**2 / (a + b**2)),
            "the noise in x_t is √(1 − ᾱ); its root is missing.",
        ),
        "the noise's share of x_t": Mistake(
            _other_units(time=lambda a, b: b), "τ is b here, the noise in x_t before it is divided."
        ),
        "noise over signal": Mistake(
            _other_units(time=lambda a, b: b / a), "this is noise over signal, which may be above 1."
        ),
        "the other end": Mistake(
            _other_units(time=lambda a, b: a / (a + b)),
            "the time runs the other way: at τ = 0 is the image, at τ = 1 the noise.",
        ),
        "angle": Mistake(
            _other_units(time=lambda a, b: torch.atan2(b, a) * 2 / math.pi),
            "this is the angle on the circle, as v has it. The straight path has another time.",
        ),
        "step of T": Mistake(
            _other_units(time=lambda a, b: torch.linspace(0, 1, len(a), dtype=a.dtype)),
            "τ runs evenly over the batch here; it depends on each example's ᾱ.",
        ),
    },
)


def _log_snrs(rng: Rng) -> Iterator[tuple[Tensor, float, float]]:
    """λ (N,), and mean and width of the logit of τ."""
    for _ in range(POINTS):
        yield 1.5 * normal(rng, 7), between(rng, 0.2, 1.2), between(rng, 0.6, 1.6)


def _bell(x: Tensor, m: float, s: float) -> Tensor:
    return torch.exp(-(((x - m) / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi))


def _velocity_weight(lam: Tensor) -> Tensor:
    """The weight of a squared error of the velocity on that of the noise, from its proof."""
    names = coordinates.a, coordinates.eps, coordinates.eps_net
    proof = Derivation("velocity_error", derivation("velocity_error").last)
    return on(function_of(proof, *names), torch.sigmoid(lam), 1.0, 0.0)


def _weight(lam: Tensor, m: float, s: float) -> Tensor:
    return _bell(lam, -m, s) * _velocity_weight(lam)


logit_normal_weight = Check(
    "logit_normal_weight",
    "eq-coordinates-flow-weight",
    _log_snrs,
    _weight,
    {
        "the mean's sign": Mistake(
            lambda lam, m, s: _weight(lam, -m, s),
            "the bell stands at m; λ is minus the logit of τ, so it stands on the other side of 0.",
        ),
        "density alone": Mistake(
            lambda lam, m, s: _bell(lam, -m, s),
            "this is where the loss looks. That an error of the velocity counts otherwise than one of the "
            "noise is missing.",
        ),
        "weight alone": Mistake(
            lambda lam, m, s: _velocity_weight(lam),
            "this is how an error counts, at each λ. How often this λ is drawn is missing.",
        ),
        "τ uniform": Mistake(
            lambda lam, m, s: torch.exp(-lam), "this is the weight where τ is drawn evenly from (0, 1)."
        ),
        "density of τ": Mistake(
            lambda lam, m, s: _weight(lam, m, s) / (torch.sigmoid(lam) * torch.sigmoid(-lam)),
            "this takes the density of τ. The area is over λ, so that of λ is needed; they differ by "
            "|dτ/dλ|.",
        ),
        "derivative twice": Mistake(
            lambda lam, m, s: _weight(lam, m, s) * (torch.sigmoid(lam) * torch.sigmoid(-lam)),
            "the bell is the density of λ already; it is multiplied by |dτ/dλ| once more.",
        ),
        "signal once": Mistake(
            lambda lam, m, s: _bell(lam, -m, s) / torch.sigmoid(lam),
            "a squared error is divided by the square of the signal.",
        ),
        "signal above": Mistake(
            lambda lam, m, s: _bell(lam, -m, s) * torch.sigmoid(lam) ** 2,
            "the signal's square stands above, where it belongs below.",
        ),
        "noise for signal": Mistake(
            lambda lam, m, s: _bell(lam, -m, s) / torch.sigmoid(-lam) ** 2,
            "this is the weight of the velocity's error on that of the image: τ² is below. The area asks "
            "for the error of the noise.",
        ),
        "no squares": Mistake(
            lambda lam, m, s: _bell(lam, -m, s) * torch.exp(-2 * lam),
            "exp(−2λ) is the error of the image on that of the noise; the velocity has its own.",
        ),
        "whole log SNR": Mistake(
            lambda lam, m, s: _bell(2 * lam, -m, s) * _velocity_weight(lam),
            "the logit of τ is −λ, with λ half of the log SNR; here it is taken twice.",
        ),
        "λ halved": Mistake(
            lambda lam, m, s: _bell(lam / 2, -m, s) * _velocity_weight(lam),
            "λ is half of the log SNR already; in the bell it is halved once more.",
        ),
        "signal of a chain": Mistake(
            lambda lam, m, s: _bell(lam, -m, s) / torch.sigmoid(2 * lam),
            "this divides by ᾱ, as for v. On the straight path the signal is 1 − τ.",
        ),
        "width not divided by": Mistake(
            lambda lam, m, s: s * _weight(lam, m, s), "a wide bell is low: 1/s is missing from the density."
        ),
        "no 2π": Mistake(
            lambda lam, m, s: math.sqrt(2 * math.pi) * _weight(lam, m, s),
            "the density of a Gaussian has a factor with 2π.",
        ),
        "s as a variance": Mistake(
            lambda lam, m, s: _weight(lam, m, math.sqrt(s)), "s is a standard deviation, not a variance."
        ),
        "no half": Mistake(
            lambda lam, m, s: torch.exp(-(((lam + m) / s) ** 2))
            / (s * math.sqrt(2 * math.pi)) * _velocity_weight(lam),
            "the half in the exponent of the bell is missing.",
        ),
    },
)  # fmt: skip


def _places(rng: Rng) -> Iterator[tuple[Tensor, float, Tensor, float]]:
    """States (B, D), τ, centres (K, D), and the width of each bump."""
    for _ in range(POINTS):
        yield normal(rng, 5, 2), between(rng, 0.25, 0.85), 1.5 * normal(rng, 3, 2), between(rng, 0.3, 0.7)


def _flow(z: Tensor, tau: float, centres: Tensor, s: float, **ways: Any) -> Tensor:
    """The mean of ε − x_0 given z, with parts of it exchanged: functions of what they need."""
    signal = 1 - tau
    width = ways.get("width", lambda a, t, s: a * a * s * s + t * t)(signal, tau, s)
    off = z[:, None] - ways.get("seen", signal) * centres  # (B, K, D)
    logits = ways.get("logits", lambda off, w: -(off**2).sum(2) / (2 * w))(off, width)
    share = ways.get("share", lambda v: v.softmax(1))(logits)[:, :, None]
    off = z[:, None] - signal * centres
    variance = signal**2 * s * s + tau**2
    image = centres + signal * s * s / variance * off
    noise = tau / variance * off
    answer: Tensor = (share * ways.get("says", lambda image, noise: noise - image)(image, noise)).sum(1)
    return answer


def _says(**ways: Any) -> Any:
    return lambda z, tau, centres, s: _flow(z, tau, centres, s, **ways)


def _inner(variance: Any = None, image: Any = None, noise: Any = None) -> Any:
    """Within a bump another variance, or another part of z in image or noise: functions of 1 − τ, τ, s."""

    def of(z: Tensor, tau: float, centres: Tensor, s: float) -> Tensor:
        a = 1 - tau
        v = variance(a, tau, s) if variance else a * a * s * s + tau * tau
        off = z[:, None] - a * centres
        share = torch.softmax(-(off**2).sum(2) / (2 * v), 1)[:, :, None]
        moved = (noise(a, tau, s, v) if noise else tau / v) - (
            image(a, tau, s, v) if image else a * s * s / v
        )
        return (share * (moved * off - centres)).sum(1)

    return of


mean_velocity = Check(
    "mean_velocity",
    "eq-coordinates-path",
    _places,
    lambda z, tau, centres, s: _flow(z, tau, centres, s),
    {
        "sign": Mistake(
            _says(says=lambda image, noise: image - noise),
            "this points from the noise to the image. Our time runs from the image to the noise.",
        ),
        "the image": Mistake(
            _says(says=lambda image, noise: image), "this is the mean of the image; the noise's is missing."
        ),
        "the noise": Mistake(
            _says(says=lambda image, noise: noise), "this is the mean of the noise; the image's is missing."
        ),
        "the sum": Mistake(
            _says(says=lambda image, noise: noise + image), "the two are added; the velocity is a difference."
        ),
        "nearest bump": Mistake(
            _says(share=lambda v: (v == v.amax(1, keepdim=True)).to(v)),
            "only the most probable bump is asked. A mean is over all of them, each by its probability.",
        ),
        "even shares": Mistake(
            _says(share=lambda v: torch.full_like(v, 1 / v.shape[1])),
            "every bump has the same share here. Given z, some are more probable than others.",
        ),
        "shares over the batch": Mistake(
            _says(share=lambda v: v.softmax(0)),
            "the shares add up to one over the batch; they have to over the bumps.",
        ),
        "shares' sign": Mistake(
            _says(share=lambda v: (-v).softmax(1)), "the farthest bump has the largest share."
        ),
        "bumps without width": Mistake(
            _says(width=lambda a, t, s: t * t),
            "in the shares the bumps have no width of their own: a bump of width s is seen as one of "
            "√((1 − τ)²s² + τ²).",
        ),
        "bumps without noise": Mistake(
            _says(width=lambda a, t, s: s * s), "in the shares the noise is missing from the width of a bump."
        ),
        "width not shrunk": Mistake(
            _says(width=lambda a, t, s: s * s + t * t),
            "in the shares the width of a bump has not shrunk with the signal.",
        ),
        "centres not shrunk": Mistake(
            _says(seen=1.0), "in the shares z is compared with the centres; at τ they are seen at (1 − τ)c."
        ),
        "no half in the shares": Mistake(
            _says(logits=lambda off, w: -(off**2).sum(2) / w), "in the shares the exponent lacks its half."
        ),
        "distance for its square": Mistake(
            _says(logits=lambda off, w: -off.norm(dim=2) / (2 * w)),
            "in the shares stands the distance, where its square belongs.",
        ),
        "centres for images": Mistake(
            lambda z, tau, centres, s: (
                z - _flow(z, tau, centres, s, says=lambda image, noise: 0 * image + centres)
            ) / tau,
            "the image is taken for the mean centre. Within a bump it moves with z, by the bump's width.",
        ),
        "s for s²": Mistake(
            _inner(image=lambda a, t, s, v: a * s / v),
            "in the image of a bump stands s, a standard deviation, where its square belongs.",
        ),
        "image without its signal": Mistake(
            _inner(image=lambda a, t, s, v: s * s / v),
            "within a bump the image moves with z by (1 − τ) s² over the variance; the signal is missing.",
        ),
        "noise divided by τ": Mistake(
            _inner(noise=lambda a, t, s, v: 1 / t),
            "the noise is z less the centre, divided by τ, as if a bump had no width.",
        ),
        "noise's τ squared": Mistake(
            _inner(noise=lambda a, t, s, v: t * t / v), "τ comes into the noise once and not squared."
        ),
        "centre as it is seen": Mistake(
            lambda z, tau, centres, s: _flow(
                z, tau, centres, s, says=lambda image, noise: noise - image + tau * centres
            ),
            "the image of a bump lies around its centre itself, and not where the centre is seen at τ.",
        ),
        "root of the variance": Mistake(
            _inner(lambda a, t, s: math.sqrt(a * a * s * s + t * t)),
            "a standard deviation stands where the variance of a bump belongs.",
        ),
        "widths added": Mistake(
            _inner(lambda a, t, s: (a * s + t) ** 2), "the widths are added; it is variances that add up."
        ),
        "shares that do not add up": Mistake(
            _says(share=lambda v: v.exp()), "the shares of the bumps do not add up to one."
        ),
        "logs of the shares": Mistake(
            _says(share=lambda v: v.log_softmax(1)), "the logarithms of the shares stand in their place."
        ),
        "score": Mistake(
            lambda z, tau, centres, s: -_flow(z, tau, centres, s, says=lambda image, noise: noise) / tau,
            "this is the score, minus the noise over τ.",
        ),
        "divided by the signal": Mistake(
            lambda z, tau, centres, s: _flow(z, tau, centres, s) * (1 - tau),
            "the velocity is multiplied by the signal 1 − τ.",
        ),
    },
)  # fmt: skip


def _paths(rng: Rng) -> Iterator[tuple[Tensor]]:
    """States at even times from 1 down to 0. (S + 1, B, D)."""
    for steps in (3, 5, 8):
        yield (normal(rng, steps + 1, 4, 2).cumsum(0) / steps + normal(rng, 1, 4, 2),)


def _velocities(path: Tensor) -> tuple[Tensor, Tensor]:
    """Those of the steps (S, B, D), and that of the line from start to end (B, D)."""
    return (len(path) - 1) * (path[:-1] - path[1:]), path[0] - path[-1]


def _bend(path: Tensor, square: Any = None, over: Any = None) -> Tensor:
    each, line = _velocities(path)
    gaps = (each - line) ** 2 if square is None else square(each, line)
    value: Tensor = over(gaps) if over else gaps.sum(2).mean(0)
    return value


def _line(path: Tensor) -> Tensor:
    """The states of the straight line at the same times."""
    share = torch.linspace(0, 1, len(path), dtype=path.dtype)[:, None, None]
    return torch.lerp(path[:1], path[-1:], share)


def _bent(**ways: Any) -> Any:
    return lambda path: _bend(path, **ways)


bend = Check(
    "bend",
    "eq-coordinates-lines",
    _paths,
    lambda path: _bend(path),
    {
        "summed over the steps": Mistake(
            _bent(over=lambda g: g.sum((0, 2))), "the steps are added up; a mean does not grow with them."
        ),
        "mean over the coordinates": Mistake(
            _bent(over=lambda g: g.mean((0, 2))),
            "the coordinates are averaged; the square of a length is a sum over them.",
        ),
        "line forgotten": Mistake(
            _bent(square=lambda each, line: each**2),
            "this is the mean squared speed: what the straight line has is not taken off.",
        ),
        "steps for velocities": Mistake(
            lambda path: _bend(path) / (len(path) - 1) ** 2,
            "these are the steps themselves. A velocity is a step divided by the time that it takes.",
        ),
        "velocity against the step": Mistake(
            _bent(square=lambda each, line: (-each - line) ** 2),
            "the velocities of steps and line have opposite signs: take both in the same direction.",
        ),
        "line of the steps": Mistake(
            lambda path: _bend(path, square=lambda each, line: (each / (len(path) - 1) - line) ** 2),
            "the steps are not divided by their time, and the line is.",
        ),
        "states' number": Mistake(
            _bent(
                square=lambda each, line: (each * (len(each) + 1) / len(each) - line) ** 2,
            ),
            "there is one step fewer than there are states: its time is one over the number of steps.",
        ),
        "divided by S + 1": Mistake(
            lambda path: _bend(path) * (len(path) - 1) / len(path),
            "the sum over the steps is divided by the number of states, which is one more.",
        ),
        "divided by S − 1": Mistake(
            lambda path: _bend(path) * (len(path) - 1) / (len(path) - 2),
            "this is a variance with n − 1 below: the line is known, and nothing is estimated.",
        ),
        "not squared": Mistake(
            _bent(over=lambda g: g.sum(2).sqrt().mean(0)), "the distance is averaged and not its square."
        ),
        "root": Mistake(
            _bent(over=lambda g: g.sum(2).mean(0).sqrt()), "this is the root of the mean square."
        ),
        "largest": Mistake(_bent(over=lambda g: g.sum(2).amax(0)), "only the worst step is counted."),
        "coordinates added first": Mistake(
            _bent(square=lambda each, line: (each - line).sum(2, keepdim=True) ** 2),
            "the coordinates are added before the square, so that they cancel.",
        ),
        "distance of the states": Mistake(
            lambda path: ((path - _line(path)) ** 2).sum(2).mean(0),
            "this is how far the states lie from the line. Asked for is how far the velocities differ.",
        ),
        "turns": Mistake(
            lambda path: (_velocities(path)[0].diff(dim=0) ** 2).sum(2).mean(0),
            "each step is compared with the one before; compare it with the line.",
        ),
        "median": Mistake(
            _bent(over=lambda g: g.sum(2).median(0).values), "this is the median, not the mean of the steps."
        ),
        "last step left out": Mistake(
            _bent(over=lambda g: g.sum(2)[:-1].mean(0)), "the last step is left out of the mean."
        ),
        "first step left out": Mistake(
            _bent(over=lambda g: g.sum(2)[1:].mean(0)), "the first step is left out of the mean."
        ),
        "length": Mistake(
            lambda path: path.diff(dim=0).norm(dim=2).sum(0) / (path[-1] - path[0]).norm(dim=1),
            "this is the length of the path over the distance of its ends, another measure.",
        ),
        "first velocity": Mistake(
            _bent(square=lambda each, line: (each - each[:1]) ** 2),
            "the steps are compared with the first of them; compare them with the line from start to end.",
        ),
    },
)  # fmt: skip
