"""Identities that hold for any shape, any noise schedule and any number of steps."""

import math
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lowerbound.diffusion import fixed_large, fixed_small
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.samplers import ancestral, ddim, dpm_solver, heun
from lowerbound.schedule import Schedule
from lowerbound.vae import VAE
from oracles import AnyDenoiser, full, generator, toy_diffusion
from torch import nn
from torch.distributions import Normal

points = st.floats(-3, 3)
seeds = st.integers(0, 99)
variances = st.sampled_from([fixed_small, fixed_large])
shapes = st.sampled_from([(1,), (3,), (2, 1, 3), (1, 4, 4)])
processes = st.integers(2, 4)


def part_of_noise(rank, count, randn=torch.randn):
    """torch.randn for one of `count` equal parts of a batch: it draws for the whole, and returns the part."""
    return lambda shape, **options: randn((count * shape[0], *shape[1:]), **options).chunk(count)[rank]


@st.composite
def schedules(draw, least: int = 1) -> Schedule:
    """Any ᾱ that falls from 1: each step keeps between a third and nearly all of it."""
    falls = draw(st.lists(st.floats(1e-3, 1.1), min_size=least, max_size=12))
    fallen = torch.tensor([0.0, *falls], dtype=torch.float64).cumsum(0)
    return Schedule(torch.exp(-fallen))


@st.composite
def batches(draw, of: int = 1) -> torch.Tensor:
    """Noise: this many batches, of any size and shape of an example."""
    size, rng = draw(st.integers(1, 5)), generator(draw(seeds))
    return torch.randn(of, size, *draw(shapes), dtype=torch.float64, generator=rng)


def model_of(s: Schedule, shape=(1,), variance=fixed_small, net=None, **options):
    model = toy_diffusion(net or AnyDenoiser(), s.T, 1, variance, schedule=s, **options)
    model.shape = tuple(shape)
    return model


def close(a, b, size: float = 1.0) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11 * size)


# The forward chain


@given(schedules(), batches(13))
def test_q_sample_is_the_chain_step_by_step(s, drawn):
    """The chain run with its own noises, and in one jump with their sum, brought to variance one."""
    model, (x0, *noises) = model_of(s), drawn
    x, noise, variance = x0, torch.zeros_like(x0), 0.0
    for t, eps in zip(range(1, s.T + 1), noises, strict=False):
        alpha, beta = float(s.alpha[t]), float(1 - s.alpha_bar[t] / s.alpha_bar[t - 1])
        x = alpha**0.5 * x + beta**0.5 * eps
        noise, variance = alpha**0.5 * noise + beta**0.5 * eps, alpha * variance + beta
        close(model.q_sample(x0, full(len(x0), t), noise / variance**0.5), x)


@given(schedules(2), batches(3), st.data())
def test_q_posterior_is_bayes(s, drawn, data):
    """Its density is q(x_t | x_{t−1}) q(x_{t−1} | x_0) / q(x_t | x_0), wherever the three points lie."""
    t = data.draw(st.integers(2, s.T))
    x0, before, now = drawn
    bar, earlier = float(s.alpha_bar[t]), float(s.alpha_bar[t - 1])
    step = bar / earlier
    top = Normal(step**0.5 * before, (1 - step) ** 0.5).log_prob(now)
    top = top + Normal(earlier**0.5 * x0, (1 - earlier) ** 0.5).log_prob(before)
    bayes = top - Normal(bar**0.5 * x0, (1 - bar) ** 0.5).log_prob(now)
    ours = model_of(s).q_posterior(x0, now, full(len(x0), t)).log_prob(before)
    close(ours, bayes.flatten(1).sum(1), 100 / min(1 - step, 1 - earlier))


@given(schedules(), batches(2), st.data())
def test_a_respaced_model_has_the_same_noise_levels(s, drawn, data):
    """And at each of them the same images, the same answer of the network, and the same guess."""
    steps = data.draw(st.integers(1, s.T))
    model = model_of(s)
    short = model.respaced(steps)
    kept = [int(k) for level in short.schedule.alpha_bar for k in (s.alpha_bar == level).nonzero()]
    assert kept == sorted({round(k * s.T / steps) for k in range(steps + 1)})
    close(short.schedule.alpha.cumprod(0), s.alpha_bar[kept])
    (x0, eps), n = drawn, len(drawn[0])
    for t, old in list(enumerate(kept))[1:]:
        xt = short.q_sample(x0, full(n, t), eps)
        assert torch.equal(xt, model.q_sample(x0, full(n, old), eps))
        assert torch.equal(short.predict_x0(xt, full(n, t)), model.predict_x0(xt, full(n, old)))


# The bound is a bound


def mean_bound(model, x: float) -> float:
    """E[bound], exactly, of a model in which everything is linear."""
    ends = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    with patch("torch.randn", lambda *shape, **options: ends):
        return float(model.bound(torch.full((2, 1), x, dtype=torch.float64)).nats().mean())


class Line(nn.Module):
    """z -> slope · z + offset, and this log of a width or of a variance."""

    latents = 1

    def __init__(self, slope: float, offset: float, log_width: float) -> None:
        super().__init__()
        self.slope, self.offset, self.log_width = slope, offset, log_width

    def forward(self, z):
        return self.slope * z + self.offset, torch.full_like(z, self.log_width)


lines = st.builds(Line, st.floats(-2, 2), st.floats(-1, 1), st.floats(-1.5, 1))


@given(lines, lines, points)
def test_the_bound_of_a_linear_vae_lies_above(encoder, decoder, x):
    """At every x and for every encoder; for the exact one by nothing."""
    variance = math.exp(2 * decoder.log_width)
    total = decoder.slope**2 + variance
    centre, at = torch.tensor([decoder.offset, x], dtype=torch.float64)
    exact = -float(Normal(centre, total**0.5).log_prob(at))
    gain = decoder.slope / total
    best = Line(gain, -gain * decoder.offset, math.log(variance / total))
    assert mean_bound(VAE(encoder, decoder, GaussianLikelihood), x) > exact - 1e-9
    assert mean_bound(VAE(best, decoder, GaussianLikelihood), x) == pytest.approx(exact, abs=1e-9)


class LinearDenoiser(nn.Module):
    """ε̂ = gain · √(1 − ᾱ) · x_t, with gain 1 the best one for data from N(0, 1)."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, xt, log_snr):
        return self.gain * torch.sigmoid(-log_snr).sqrt()[:, None] * xt


@torch.no_grad()
def variance_of(model) -> float:
    """Of x_0 under a model whose steps are all linear: p(x_0) = N(0, this)."""
    one, variance = torch.ones(1, 1, dtype=torch.float64), 1.0
    for t in range(model.schedule.T, 1, -1):
        p = model.p_reverse(one, full(1, t))
        variance = float(p.mean) ** 2 * variance + float(p.logvar.exp())
    last = model.last_step(model.predict_x0(one, full(1, 1)))
    return float(last.mean) ** 2 * variance + math.exp(2 * float(last.log_scale))


@given(schedules(), variances, st.floats(-0.5, 1.5), st.floats(-1, 1), points)
def test_the_bound_of_a_linear_diffusion_model_lies_above(s, variance, gain, log_width, x):
    """At every x and for every network: above −log p of the model, which is a Gaussian."""
    model = model_of(s, variance=variance, net=LinearDenoiser(gain))
    with torch.no_grad():
        model.log_width.fill_(log_width)
    p = Normal(torch.zeros((), dtype=torch.float64), variance_of(model) ** 0.5)
    bound, exact = mean_bound(model, x), -float(p.log_prob(torch.tensor(x)))
    assert bound > exact - 1e-9 * (1 + abs(bound))


@given(schedules(), points)
def test_the_bound_touches_where_the_model_reverses_the_chain(s, x):
    model = model_of(s, variance=fixed_large, net=LinearDenoiser(1.0))
    with torch.no_grad():
        model.log_width.fill_(0.5 * math.log(float(s.alpha_bar[1])))
    exact = 0.5 * (x**2 + math.log(2 * math.pi))
    assert variance_of(model) == pytest.approx(1, rel=1e-9)
    assert mean_bound(model, x) == pytest.approx(exact, rel=1e-8)


# Samplers


@given(schedules(), batches(), seeds)
def test_ddim_with_eta_1_is_ancestral_with_the_small_variance(s, drawn, seed):
    model, xT = model_of(s, drawn[0].shape[1:]), drawn[0]
    pairs = zip(ancestral(model, xT, generator(seed)), ddim(model, xT, 1.0, generator(seed)), strict=True)
    for a, b in pairs:
        close(a, b, 1e4)


@pytest.mark.parametrize("sampler", [ddim, dpm_solver, heun])
@given(s=schedules(), drawn=batches())
def test_a_batch_one_by_one_is_the_whole_batch(sampler, s, drawn):
    model, xT = model_of(s, drawn[0].shape[1:]), drawn[0]
    whole = torch.stack(list(sampler(model, xT)))
    parts = [torch.stack(list(sampler(model, x))) for x in xT.split(1)]
    close(torch.cat(parts, 1), whole, 1e4)


@pytest.mark.parametrize("sampler", [ancestral, lambda model, xT, rng: ddim(model, xT, 0.7, rng)])
@given(s=schedules(), drawn=batches(), count=processes, seed=seeds)
def test_noise_for_each_example_makes_parts_of_a_batch_the_whole(sampler, s, drawn, count, seed):
    model, xT = model_of(s, drawn[0].shape[1:]), drawn[0].repeat(count, *[1] * (drawn[0].ndim - 1))
    whole = torch.stack(list(sampler(model, xT, generator(seed))))
    parts = []
    for rank, x in enumerate(xT.chunk(count)):
        with patch("torch.randn", part_of_noise(rank, count)):
            parts.append(torch.stack(list(sampler(model, x, generator(seed)))))
    close(torch.cat(parts, 1), whole, 1e4)
