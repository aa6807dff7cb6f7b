"""Right functions in many spellings pass, here and as the grader reads them from a sandbox.

A spelling changes how a right function takes its arguments or gives its value, never what it computes.
"""

import collections
import fractions
import itertools
import json
import math

import numpy as np
import pytest
import sympy as sp
import torch
from lowerbound import checks
from lowerbound.checks.engine import Check, Elsewhere, run
from torch import Tensor, distributions, nn

from tools.grading.inside import protocol

FUNCTIONS = [check for group in checks.ASSIGNMENTS.values() for check in group if isinstance(check, Check)]
SEEDS = range(1, 13)
Pair = collections.namedtuple("Pair", "first second")


def each(of):
    """A change of every number or tensor of what a function gives."""
    return lambda value: tuple(map(of, value)) if type(value) is tuple else of(value)


def numbers(of, whole=None):
    """A change of numbers, and of whole numbers, alone."""
    return each(lambda v: of(v) if type(v) is float else whole(v) if whole and type(v) is int else v)


def tensors(of):
    return each(lambda v: of(v) if isinstance(v, Tensor) else v)


def single(value):
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


GIVES = {
    "a list for a tuple": lambda v: list(v) if type(v) is tuple else v,
    "a named tuple": lambda v: Pair(*v) if type(v) is tuple and len(v) == 2 else v,
    "a stacked tensor": lambda v: torch.tensor(v) if type(v) is tuple and type(v[0]) is float else v,
    "a numpy array for a tuple": lambda v: np.array(v) if type(v) is tuple and type(v[0]) is float else v,
    "float32 tensors": tensors(lambda v: v.float()),
    "numpy arrays": tensors(lambda v: v.detach().numpy()),
    "a parameter": tensors(nn.Parameter),
    "a tensor that requires gradients": tensors(lambda v: v.detach().requires_grad_()),
    "a view": tensors(lambda v: torch.stack([v, v], -1)[..., 0]),
    "0-d tensors": numbers(torch.tensor, torch.tensor),
    "0-d float32 tensors": numbers(lambda v: torch.tensor(v, dtype=torch.float32)),
    "numpy's float64 and int64": numbers(np.float64, np.int64),
    "numpy's float32": numbers(np.float32),
    "0-d numpy arrays": numbers(np.array, np.array),
    "sympy's numbers": numbers(sp.Float, sp.Integer),
    "sympy's expressions": numbers(lambda v: sp.log(sp.exp(sp.Float(v), evaluate=False), evaluate=False)),
    "fractions": numbers(fractions.Fraction),
    "whole floats": numbers(float, float),
}  # fmt: skip
TAKES = {
    "float32 arguments": single,
    "numpy's numbers as arguments": lambda v: np.float64(v) if type(v) is float else v,
}


def rewritten(name):
    """Right formulas that look otherwise."""
    normal = distributions.Normal
    forms = {
        "coin_bound": [
            lambda a, b, r: math.log(a + b) - checks.coin_gap.oracle(a, b, r),
            lambda a, b, r: r * sp.log(a / r) + (1 - r) * sp.log(b / (1 - r)),
            lambda a, b, r: (torch.tensor([r, 1 - r]) * (torch.tensor([a, b]) / torch.tensor([r, 1 - r])).log()).sum(),
        ],
        "coin_gap": [
            lambda a, b, r: distributions.kl_divergence(
                distributions.Bernoulli(torch.tensor(r)), distributions.Bernoulli(torch.tensor(a / (a + b)))
            ),
            lambda a, b, r: torch.tensor(a + b).log() - torch.tensor(checks.coin_bound.oracle(a, b, r)),
        ],
        "gaussian_bound": [
            lambda x, w, s, m, v: float(
                normal(torch.tensor(w * m), s).log_prob(torch.tensor(x))
                - w**2 * v / (2 * s**2)
                - distributions.kl_divergence(normal(torch.tensor(m), math.sqrt(v)), normal(0.0, 1.0))
            )
        ],
        "best_encoder": [lambda x, w, s: (1 / (1 + (w / s) ** 2) * w * x / s**2, 1 / (1 + (w / s) ** 2))],
        "kl": [
            lambda m, lv: distributions.kl_divergence(normal(m, (lv / 2).exp()), normal(0.0, 1.0)).sum(-1),
            lambda m, lv: torch.stack([0.5 * (a @ a + (b.exp() - 1 - b).sum()) for a, b in zip(m, lv, strict=True)]),
            lambda m, lv: -0.5 * torch.sum(1 + lv - m.pow(2) - lv.exp(), dim=1),
        ],
        "log_likelihood": [
            lambda x, h, ls: normal(h, ls.exp()).log_prob(x).sum(1),
            lambda x, h, ls: -nn.functional.gaussian_nll_loss(
                h, x, (2 * ls).exp(), full=True, eps=0.0, reduction="none"
            ).sum(1),
        ],
        "reparameterise": [lambda m, lv, e: m + torch.sqrt(torch.exp(lv)) * e],
        "q_sample": [
            lambda x0, t, e, a: torch.einsum("b,bd->bd", a[t].sqrt(), x0) + torch.einsum("b,bd->bd", (1 - a[t]).sqrt(), e),
            lambda x0, t, e, a: a.gather(0, t).sqrt().view(-1, 1) * x0 + (1 - a.gather(0, t)).sqrt().view(-1, 1) * e,
        ],
        "posterior": [_precision],
        "weight": [
            lambda t, a: (
                0.5 * (a[t - 1] / (1 - a[t - 1]).clamp(1e-20) - a[t] / (1 - a[t])) * (1 - a[t]) / a[t]
            )
        ],
        "l_simple": [lambda e, h: nn.functional.mse_loss(h, e, reduction="none").sum((1, 2, 3))],
        "fixed_point": [_iterated],
        "parameters": [lambda m: sum(np.prod(p.shape) for p in m.parameters() if p.requires_grad)],
        "training_cost": [lambda w, s, b: 3 * s * b * np.dot(w[:-1], w[1:])],
        "paired_gap": [lambda a, b: (np.mean((a - b).numpy()), np.std((a - b).numpy(), ddof=1) / np.sqrt(len(a)))],
        "latent_bound": [
            lambda d, lv, s, c: d - normal(0.0, (lv / 2).exp()).entropy().sum(-1) + c + torch.prod(s).log(),
        ],
        "mixture_rate": [
            lambda z, lv, w, m, s: -_mixture(w, m, s).log_prob(z) - normal(0.0, (lv / 2).exp()).entropy().sum(-1)
        ],
        "scaled_levels": [lambda a, c: torch.sigmoid(torch.logit(a) - 2 * math.log(c))],
        "first_step": [lambda s, a: normal(0.0, torch.tensor(s * math.sqrt((1 - a) / (a * s**2 + 1 - a)))).entropy()],
        "weighted_terms": [
            lambda k, b: (
                k * b / (2 * k + 2 * b),
                distributions.kl_divergence(normal(0.0, torch.tensor(math.sqrt(b / (k + b)))), normal(0.0, 1.0)),
            )
        ],
        "image_and_noise": [_by_solving],
        "straight": [lambda x, a: (x * (r := (1 / a - 1).sqrt() + 1).reciprocal()[:, None] / a.sqrt()[:, None], 1 - 1 / r)],
        "logit_normal_weight": [lambda lam, m, s: normal(-m, s).log_prob(lam).exp() * (1 + torch.exp(-lam)) ** 2],
        "mean_velocity": [_by_the_score],
        "bend": [
            lambda p: torch.stack(
                [
                    sum(((y - x) / (1 / (len(p) - 1)) - (one[-1] - one[0])).square().sum() for x, y in itertools.pairwise(one))
                    / (len(p) - 1)
                    for one in p.unbind(1)
                ]
            )
        ],
    }  # fmt: skip
    return forms.get(name, [])


def _mixture(w, m, s):
    bumps = distributions.Independent(distributions.Normal(m, s), 1)
    return distributions.MixtureSameFamily(distributions.Categorical(w), bumps)


def _by_solving(v, x, a):
    """Two linear equations for each example, solved as such."""
    signal, noise = a.sqrt(), (1 - a).sqrt()
    rows = torch.stack([torch.stack([signal, noise], 1), torch.stack([-noise, signal], 1)], 1)
    return torch.linalg.solve(rows, torch.stack([x, v], 1)).unbind(1)


def _by_the_score(z, tau, centres, s):
    """The noise from the slope of the log density, found by automatic differentiation; the image from it."""
    width = torch.full_like(centres, math.sqrt((1 - tau) ** 2 * s**2 + tau**2))
    place = z.clone().requires_grad_()
    density = _mixture(torch.ones(len(centres), dtype=z.dtype), (1 - tau) * centres, width)
    (score,) = torch.autograd.grad(density.log_prob(place).sum(), place)
    noise = -tau * score
    return noise - (z - tau * noise) / (1 - tau)


def _precision(x0, xt, t, a):
    """By adding precisions, of the step and of the marginal."""
    before, alpha = a[t - 1][:, None], (a[t] / a[t - 1])[:, None]
    variance = 1 / (alpha / (1 - alpha) + 1 / (1 - before))
    return variance * (alpha.sqrt() * xt / (1 - alpha) + before.sqrt() * x0 / (1 - before)), variance[:, 0]


def _iterated(c, s):
    v = 0.0
    for _ in range(5000):
        v = c * c * v + s * s
    return v


def across(value):
    blobs = []
    data = protocol.encode(value, blobs, lambda entry: {"other": type(entry).__name__})
    return protocol.decode(json.loads(json.dumps(data)), blobs, lambda entry: object())


class Graded(Elsewhere):
    """A function whose values cross as they do from a sandbox."""

    def __init__(self, function):
        self.function = function

    def run(self, cases, leaves):
        return [
            value if isinstance(value, Exception) else across(value)
            for value in run(self.function, cases, leaves)
        ]


def unchanged(a, b):
    """Whether a spelling has nothing to change in a value of this type."""
    return a is b or (type(a) is type(b) is tuple and all(x is y for x, y in zip(a, b, strict=True)))


def passes(check, function):
    """The check takes the function, and so does the grader, at points of its own."""
    check(function)
    check.grade(Graded(function))


@pytest.mark.parametrize("spelling", [*GIVES, *TAKES, "other formulas"])
def test_a_right_function_in_this_spelling_passes(spelling):
    tried = 0
    for check in FUNCTIONS:
        right, functions = check.oracle, []
        if spelling in GIVES and not check.leaves:
            value = right(*check.case())
            if unchanged(GIVES[spelling](value), value):
                continue
            functions = [lambda *case, r=right: GIVES[spelling](r(*case))]
        elif spelling in TAKES and not check.leaves:
            functions = [lambda *case, r=right: r(*map(TAKES[spelling], case))]
        elif spelling == "other formulas":
            functions = rewritten(check.name)
        for function in functions:
            tried += 1
            passes(check, function)
    assert tried


def test_there_are_twenty_spellings():
    assert len(GIVES) + len(TAKES) + 1 >= 20


def in_float32(check):
    """The oracle's own formulas are numpy's; these are a student's, with everything in float32."""
    return {
        "log_likelihood": lambda x, h, ls: (
            -((x - h) ** 2 * (-2 * ls).exp() / 2 + ls + 0.5 * math.log(2 * math.pi)).sum(1)
        ),
        "kl": lambda m, lv: 0.5 * (m**2 + lv.exp() - 1 - lv).sum(1),
        "rate_per_latent": lambda m, lv: 0.5 * (m**2 + lv.exp() - 1 - lv).mean(0),
        "q_sample": lambda x0, t, e, a: a[t][:, None].sqrt() * x0 + (1 - a[t][:, None]).sqrt() * e,
        "x0_from_eps": lambda x, e, t, a: (x - (1 - a[t][:, None]).sqrt() * e) / a[t][:, None].sqrt(),
        "posterior": _precision,
        "weight": rewritten("weight")[0],
        "ddim_step": lambda x, e, t, a: (
            a[t - 1][:, None].sqrt() * (x - (1 - a[t][:, None]).sqrt() * e) / a[t][:, None].sqrt()
            + (1 - a[t - 1][:, None]).sqrt() * e
        ),
        "ancestral_step": _ancestral,
        "coin_gap": rewritten("coin_gap")[1],
        "terminal_kl": lambda x, e: 0.5 * (e * (x**2 - 1) - math.log(1 - e)).sum(1),
    }[check]


def _ancestral(x, e, t, z, a):
    s, n = a[t - 1][:, None], a[t][:, None]
    b = 1 - n / s
    return (x - b / (1 - n).sqrt() * e) / (1 - b).sqrt() + (b * (1 - s) / (1 - n)).sqrt() * z


SINGLE = ["log_likelihood", "kl", "rate_per_latent", "q_sample", "x0_from_eps", "posterior", "weight", "ddim_step",
          "ancestral_step", "coin_gap", "terminal_kl"]  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_single_precision_gets_the_same_points_at_every_seed(name):
    function = in_float32(name)
    for seed in SEEDS:
        getattr(checks, name)._compare(lambda *case: function(*map(single, case)), seed)
