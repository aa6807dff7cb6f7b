"""The last line of a proof is the oracle of the code: both evaluated at random points, in float64.

Each test is marked with the derivations that it covers, by `@bridges`.
"""

import math
from functools import cache
from unittest.mock import patch

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from lowerbound import proofs, schedule
from lowerbound.bound import Bound
from lowerbound.coordinates import (
    EPS,
    SCORE,
    VELOCITY,
    X0,
    Coordinate,
    V,
    convert,
    straightened,
    to_image_and_noise,
    two_steps_in_one,
)
from lowerbound.data import Mixture
from lowerbound.diffusion import Diffusion, Noised, fixed_large, fixed_small, l_bound, l_simple
from lowerbound.estimate import Levels
from lowerbound.gaussian import Gaussian
from lowerbound.guidance import Guided
from lowerbound.latent import DiffusionPrior
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.metrics import log_prob_importance
from lowerbound.nets import UNet
from lowerbound.proofs import ch1_elbo as elbo
from lowerbound.proofs import ch2_rate as rate
from lowerbound.proofs import ch2_vae as vae
from lowerbound.proofs import ch3_forward, ch5_schedule
from lowerbound.proofs import ch4_chain as chain
from lowerbound.proofs import ch4_reverse as reverse
from lowerbound.proofs import ch4_sampling as sampling
from lowerbound.proofs import ch6_latent as latent
from lowerbound.proofs import ch7_coordinates as coordinates
from lowerbound.proofs import ch7_flows as flows
from lowerbound.proofs import ch7_weights as weights
from lowerbound.proofs.ch3_forward import alpha, alphabar, alphabar_s, beta, x0, xs, xt
from lowerbound.samplers import ddim, dpm_solver, heun
from lowerbound.symbolic import KL, Derivation, E
from lowerbound.vae import VAE, StandardNormal
from oracles import AnyDenoiser, ExactDenoiser, full, generator, standard_normal, toy_diffusion
from torch import nn

RTOL = 1e-10
T = 50
SCHEDULES = [schedule.linear(T), schedule.cosine(T), schedule.log_snr_linear(T)]
BRIDGED: set[str] = set()

points = st.floats(-4, 4)
scales = st.floats(0.05, 5)
steps = st.integers(2, T)
seeds = st.integers(0, 99)
schedules = st.sampled_from(SCHEDULES)


def bridges(*names: str):
    """Mark a test with the derivations whose result it compares with the library."""

    def mark(test):
        BRIDGED.update(names)
        return test

    return mark


def derivation(name: str):
    """A derivation of the book."""
    return proofs.derivations()[name]()


@cache
def proof(name: str, *symbols):
    """The last line of a derivation as a function of these symbols."""
    return derivation(name).as_function(*symbols)


def filled(line, values: dict) -> float:
    """A line as a number, for the lines that as_function() cannot take: its names replaced by numbers."""
    return float(line.xreplace({name: sp.Float(value, 17) for name, value in values.items()}).doit())


def close(ours, theirs, size: float = 0.0) -> None:
    """Equal up to rounding: 1e-10 of the value, or 1e-13 of the terms it is the difference of."""
    assert float(ours) == pytest.approx(float(theirs), rel=RTOL, abs=1e-13 * (1 + size))


def one(value: float) -> torch.Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


def model_of(s: schedule.Schedule, variance=fixed_small, net=None) -> Diffusion:
    return toy_diffusion(net or AnyDenoiser(), s.T, 1, variance, schedule=s)


@bridges("gaussian_kl_standard")
@given(points, scales)
def test_kl_to_the_standard_normal(mean, std):
    q = Gaussian(one(mean), 2 * one(std).log())
    close(q.kl(), proof("gaussian_kl_standard", vae.mu, vae.sigma)(mean, std), mean**2 + std**2)


@bridges("gaussian_kl")
@given(points, scales, points, scales)
def test_kl_between_two_gaussians(mean, std, other_mean, other_std):
    q, p = Gaussian(one(mean), 2 * one(std).log()), Gaussian(one(other_mean), 2 * one(other_std).log())
    size = ((mean - other_mean) ** 2 + std**2) / other_std**2
    theirs = proof("gaussian_kl", vae.mu, vae.sigma, vae.m, vae.s)(mean, std, other_mean, other_std)
    close(q.kl(p), theirs, size)


@bridges("gaussian_nll")
@given(points, points, scales)
def test_gaussian_negative_log_likelihood(x, mean, std):
    theirs = proof("gaussian_nll")(sigma=std, x=x, xhat=mean)
    close(-GaussianLikelihood(one(mean), one(std).log()).log_prob(one(x)), theirs, (x - mean) ** 2 / std**2)
    close(-Gaussian(one(mean), 2 * one(std).log()).log_prob(one(x)), theirs, (x - mean) ** 2 / std**2)


@bridges("bits_per_dim")
@given(st.floats(0.1, 5000), st.integers(1, 784))
def test_bits_per_dim(nats, dims):
    bound = Bound(torch.tensor([nats / 4], dtype=torch.float64), torch.full((1, 3), nats / 4).double())
    close(bound.bits_per_dim(dims), proof("bits_per_dim")(L=nats / 4 + 3 * float(bound.rates[0, 0]), D=dims))


@bridges("forward_marginal_mean", "forward_marginal_variance")
@given(schedules, steps, points)
def test_mean_and_variance_of_x_t(s, t, start):
    model, a, bar_s = model_of(s), float(s.alpha[t]), float(s.alpha_bar[t - 1])
    mean = proof("forward_marginal_mean", alpha, alphabar_s, x0)(a, bar_s, start)
    close(model.q_sample(one(start), full(1, t), one(0.0)), mean)
    variance = proof("forward_marginal_variance", alpha, alphabar_s)(a, bar_s)
    close(model.q_sample(one(0.0), full(1, t), one(1.0)) ** 2, variance)


@bridges("terminal_kl")
@given(schedules, steps, points)
def test_kl_at_the_last_step(s, t, start):
    model = model_of(schedule.Schedule(s.alpha_bar[[0, t - 1, t]]))
    theirs = proof("terminal_kl", x0, *_end())(start, float(s.alpha_bar[t]))
    close(model.bound(one(start), generator()).rates[:, -1], theirs, start**2)


def _end() -> list:
    (end,) = [symbol for symbol in _free("terminal_kl") if symbol != x0]
    return [end]


def _free(name: str) -> list:
    return sorted(derivation(name).last.free_symbols, key=str)


@bridges("posterior_mean", "posterior_variance")
@given(schedules, steps, points, points)
def test_posterior_mean_and_variance(s, t, start, now):
    model, a, bar_s = model_of(s), float(s.alpha[t]), float(s.alpha_bar[t - 1])
    q = model.q_posterior(one(start), one(now), full(1, t))
    theirs = proof("posterior_mean", alpha, alphabar_s, x0, xt)(a, bar_s, start, now)
    close(q.mean, theirs, abs(start) + abs(now))
    variance = proof("posterior_variance", alpha, alphabar_s)(a, bar_s)
    close(q.logvar.exp(), variance)
    close(s.posterior_variance[t], variance)


@bridges("posterior_mean_eps")
@given(schedules, steps, points, points)
def test_posterior_mean_from_the_noise(s, t, now, noise):
    model = model_of(s)
    start = model.x0_from_eps(one(now), full(1, t), one(noise))
    ours = model.q_posterior(start, one(now), full(1, t)).mean
    theirs = proof("posterior_mean_eps", alpha, alphabar_s, xt, reverse.eps)
    scale = (abs(now) + abs(noise)) / float(s.alpha_bar[t].sqrt())
    close(ours, theirs(float(s.alpha[t]), float(s.alpha_bar[t - 1]), now, noise), 1000 * scale)


@bridges("reverse_kl_eps")
@given(schedules, steps, points, points, st.sampled_from([fixed_small, fixed_large]))
def test_weight_of_the_noise_error(s, t, noise, guess, variance):
    model = model_of(s, variance)
    sigma = [symbol for symbol in _free("reverse_kl_eps") if str(symbol) == "sigma_t"]
    theirs = proof("reverse_kl_eps", alpha, alphabar_s, reverse.eps, reverse.eps_net, *sigma)(
        float(s.alpha[t]), float(s.alpha_bar[t - 1]), noise, guess, float(variance(s)[t].sqrt())
    )
    start = one(0.3)
    now = model.q_sample(start, full(1, t), one(noise))
    noised = Noised(start, full(1, t), one(noise), now, one(guess))
    perfect = Noised(start, full(1, t), one(noise), now, one(noise))  # its loss depends on no network
    close((l_bound(model, noised) - l_bound(model, perfect)) / s.T, theirs, theirs)


@bridges("reverse_kl_snr")
@given(schedules, steps, points, points)
def test_the_kl_as_a_drop_in_signal_to_noise(s, t, start, guess):
    model, now = model_of(s), one(0.7)
    q, p = (model.q_posterior(one(v), now, full(1, t)) for v in (start, guess))
    theirs = proof("reverse_kl_snr", alpha, alphabar_s, x0, reverse.x0_net)
    expected = theirs(float(s.alpha[t]), float(s.alpha_bar[t - 1]), start, guess)
    signal = (s.alpha_bar[t - 1] * s.beta[t]).sqrt() / s.posterior_variance[t]
    rounding = (1 + abs(start)) ** 2 * float(signal)
    close(q.kl(p), expected, rounding)


@bridges("ddim_deterministic")
@given(schedules, steps, points)
def test_a_deterministic_ddim_step(s, t, now):
    short = schedule.Schedule(s.alpha_bar[: t + 1])
    model = model_of(short, net=ExactDenoiser(standard_normal()))
    walk = ddim(model, one(now))
    next(walk)
    noise = float(model.predict_eps(one(now), full(1, t)))
    theirs = proof("ddim_deterministic", alpha, alphabar_s, xt, reverse.eps_net)
    scale = abs(now) / float(s.alpha_bar[t].sqrt())
    close(next(walk), theirs(float(s.alpha[t]), float(s.alpha_bar[t - 1]), now, noise), 1000 * scale)


@bridges("ddim_ancestral_variance")
@given(schedules, steps)
def test_ddim_with_eta_1_adds_the_posteriors_variance(s, t):
    theirs = proof("ddim_ancestral_variance", alpha, alphabar_s)
    close(s.posterior_variance[t], theirs(float(s.alpha[t]), float(s.alpha_bar[t - 1])))


# One step, and the closed form


def conditional(model: Diffusion, start: float, t: int) -> Gaussian:
    """q(x_t | x_0) as q_sample draws it: its mean without noise, its scale without x_0."""
    scale = model.q_sample(one(0.0), full(1, t), one(1.0))
    return Gaussian(model.q_sample(one(start), full(1, t), one(0.0)), 2 * scale.log())


def matches(ours: Gaussian, name: str, values: dict) -> None:
    """The mean and the variance of a Gaussian, against those that a derivation ends in."""
    close(ours.mean, part(name, 1, *values)(*values.values()), sum(map(abs, values.values())))
    close(ours.logvar.exp(), part(name, 2, *values)(*values.values()))


@cache
def part(name: str, k: int, *symbols):
    """The mean (k = 1) or the variance (k = 2) of the Gaussian that a derivation ends in, as a function."""
    d = derivation(name)
    return Derivation(name, d.last.args[k], given=d.given).as_function(*symbols)


@bridges("forward_step")
@given(st.floats(1e-4, 0.999), points)
def test_one_step_of_the_chain(width, start):
    model = model_of(schedule.Schedule(torch.tensor([1, 1 - width], dtype=torch.float64)))
    matches(conditional(model, start, 1), "forward_step", {xs: start, beta: width})


@bridges("forward_two_steps")
@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), points)
def test_two_steps_of_the_chain(first, second, start):
    model = model_of(schedule.Schedule(torch.tensor([1, first, first * second], dtype=torch.float64)))
    a1, a2 = (symbol_of("forward_two_steps", name) for name in ("alpha_1", "alpha_2"))
    matches(conditional(model, start, 2), "forward_two_steps", {a1: first, a2: second, x0: start})


def symbol_of(name: str, written: str):
    """The symbol of a derivation's last line that is written so."""
    (found,) = [symbol for symbol in derivation(name).last.free_symbols if str(symbol) == written]
    return found


@bridges("forward_marginal")
@given(schedules, steps, points)
def test_law_of_x_t(s, t, start):
    values = {x0: start, alpha: float(s.alpha[t]), alphabar_s: float(s.alpha_bar[t - 1])}
    matches(conditional(model_of(s), start, t), "forward_marginal", values)


# Steps back


@bridges("reverse_kl")
@given(points, points, scales)
def test_kl_of_two_gaussians_of_one_width(mean, other, std):
    logvar = 2 * one(std).log()
    theirs = proof("reverse_kl", reverse.mean_post, reverse.mean_net, reverse.sigma)(mean, other, std)
    close(Gaussian(one(mean), logvar).kl(Gaussian(one(other), logvar)), theirs, theirs)


@bridges("width_for_a_point", "width_for_noise")
@given(schedules, steps, st.sampled_from([fixed_small, fixed_large]))
def test_width_of_a_step_back(s, t, variance):
    name = {fixed_small: "width_for_a_point", fixed_large: "width_for_noise"}[variance]
    width = model_of(s, variance).p_reverse(one(0.4), full(1, t)).logvar.exp()
    close(width, proof(name, alpha, alphabar_s)(float(s.alpha[t]), float(s.alpha_bar[t - 1])))


@bridges("simple_loss")
@given(schedules, steps, points, points)
def test_summand_of_the_simple_loss(s, t, noise, guess):
    (mean,) = derivation("simple_loss").last.atoms(E)
    (network,) = mean.args[1].atoms(sp.core.function.AppliedUndef)
    theirs = filled(mean.args[1], {network: guess, reverse.eps: noise})
    noised = Noised(one(0.3), full(1, t), one(noise), one(0.7), one(guess))
    close(l_simple(model_of(s), noised), theirs, theirs)


@bridges("reverse_of_gaussian")
@given(schedules, steps, points, st.floats(0.2, 3), points, points)
def test_step_back_of_gaussian_data(s, t, centre, spread, before, now):
    """By Bayes' rule from the marginals that the library's mixtures have."""
    law = Mixture(one(centre), spread, torch.ones(1, dtype=torch.float64))
    earlier, later = (law.noised(float(s.alpha_bar[k])) for k in (t - 1, t))
    back = float(s.alpha[t])
    step = Gaussian(back**0.5 * one(before), one(1 - back).log()).log_prob(one(now))
    ours = step + earlier.log_prob(one(before)) - later.log_prob(one(now))
    values = {ch3_forward.mu: float(earlier.means), ch3_forward.s: earlier.std, alpha: back, xt: now}
    mean, variance = (part("reverse_of_gaussian", k, *values)(*values.values()) for k in (1, 2))
    theirs = -((before - mean) ** 2) / (2 * variance) - math.log(2 * math.pi * variance) / 2
    close(ours, theirs, 1e3 * (1 + abs(float(step))))


@bridges("reverse_of_gaussian")
@given(schedules, steps, points)
def test_step_back_of_standard_normal_data(s, t, now):
    p = model_of(s, fixed_large, ExactDenoiser(standard_normal())).p_reverse(one(now), full(1, t))
    values = {ch3_forward.mu: 0.0, ch3_forward.s: 1.0, alpha: float(s.alpha[t]), xt: now}
    close(p.logvar.exp(), part("reverse_of_gaussian", 2, *values)(*values.values()))
    scale = (1 + abs(now)) / float(s.alpha_bar[t].sqrt())
    close(p.mean, part("reverse_of_gaussian", 1, *values)(*values.values()), 1000 * scale)


# The network


@cache
def unet() -> tuple[UNet, list]:
    """A U-Net that says something, and the list to which each call of it adds its v̂."""
    torch.manual_seed(0)
    net, said = UNet(width=8).double(), []
    nn.init.normal_(net.head.weight, std=0.1)
    net.head.register_forward_hook(lambda module, args, out: said.append(nn.functional.pixel_shuffle(out, 2)))
    return net, said


@bridges("v_to_eps")
@given(schedules, steps, seeds)
def test_the_noise_that_follows_from_v(s, t, seed):
    net, said = unet()
    now = torch.randn(1, 1, 28, 28, dtype=torch.float64, generator=generator(seed))
    with torch.no_grad():
        noise = net(now, s.log_snr[t : t + 1])
    for at in ((0, 0, 3, 5), (0, 0, 14, 20)):
        values = {alphabar: float(s.alpha_bar[t]), xt: float(now[at]), reverse.v: float(said[-1][at])}
        close(noise[at], filled(derivation("v_to_eps").last, values), sum(map(abs, values.values())))


# DDIM


class AllNoise(nn.Module):
    """The best ε̂ when every image is 0: x_t is nothing but noise."""

    def forward(self, now, log_snr):
        return now / torch.sigmoid(-log_snr).sqrt()[:, None]


def ddim_width(s: schedule.Schedule, t: int, eta: float) -> float:
    """σ_t of a DDIM step, from the first line of its derivation."""
    variance = derivation("ddim_ancestral_variance").first
    bars = {alphabar: float(s.alpha_bar[t]), alphabar_s: float(s.alpha_bar[t - 1])}
    return filled(variance, {**bars, reverse.eta: eta}) ** 0.5


etas = st.floats(0, 1)


@bridges("ddim_step")
@given(schedules, steps, points, etas, seeds)
def test_a_ddim_step_keeps_a_part_of_the_noise(s, t, now, eta, seed):
    model = model_of(schedule.Schedule(s.alpha_bar[: t + 1]), net=ExactDenoiser(standard_normal()))
    walk = ddim(model, one(now), eta, generator(seed))
    next(walk)
    fresh = float(torch.randn(1, 1, generator=generator(seed), dtype=torch.float64))
    kept, new = (symbol_of("ddim_step", name) for name in (reverse.eps_net.name, "xi"))
    theirs = proof("ddim_step", alphabar_s, reverse.x0_net, kept, reverse.sigma, new)
    image, noise = (float(f(one(now), full(1, t))) for f in (model.predict_x0, model.predict_eps))
    expected = theirs(float(s.alpha_bar[t - 1]), image, noise, ddim_width(s, t, eta), fresh)
    close(next(walk), expected, 1000 * (1 + abs(now)) / float(s.alpha_bar[t].sqrt()))


@bridges("ddim_marginal")
@given(schedules, steps, etas, seeds)
def test_a_ddim_step_of_any_noise_keeps_the_variance(s, t, eta, seed):
    """x_{t−1} = c·ε + σ·ξ: from ε = 1 and ε = −1 and the same ξ, both coefficients."""
    model = model_of(schedule.Schedule(s.alpha_bar[: t + 1]), net=AllNoise())
    ends = []
    for noise in (1.0, -1.0):
        xT = model.q_sample(one(0.0), full(1, t), one(noise))
        walk = ddim(model, xT, eta, generator(seed))
        next(walk)
        ends.append(float(next(walk)))
    fresh = float(torch.randn(1, 1, generator=generator(seed), dtype=torch.float64))
    kept, added = (ends[0] - ends[1]) / 2, (ends[0] + ends[1]) / 2 / fresh
    theirs = proof("ddim_marginal", alphabar_s)(float(s.alpha_bar[t - 1]))
    close(kept**2 + added**2, theirs, 1000 / float(s.alpha_bar[t].sqrt()))


# The probability flow, and guidance


def first_steps(sampler, s: schedule.Schedule, t: int, now: float, count: int) -> tuple[Diffusion, list]:
    """A model whose last level is t of this schedule, and the states of its first steps from x_t = now."""
    model = model_of(schedule.Schedule(s.alpha_bar[: t + 1]), net=ExactDenoiser(standard_normal()))
    walk = sampler(model, one(now))
    return model, [float(next(walk)) for _ in range(count + 1)]


def rounding(s: schedule.Schedule, t: int, now: float) -> float:
    return 1000 * (1 + abs(now)) / float(s.alpha_bar[t].sqrt())


@bridges("flow_euler")
@given(schedules, steps, points)
def test_eulers_step_along_the_flow(s, t, now):
    model, (_, after) = first_steps(ddim, s, t, now, 1)
    noise = float(model.predict_eps(one(now), full(1, t)))
    theirs = proof("flow_euler", alphabar, alphabar_s, xt, reverse.eps_net)
    expected = theirs(float(s.alpha_bar[t]), float(s.alpha_bar[t - 1]), now, noise)
    close(after, expected, rounding(s, t, now))


@bridges("heun_step")
@given(schedules, steps, points)
def test_heuns_step(s, t, now):
    model, (_, after) = first_steps(heun, s, t, now, 1)
    root, level = s.alpha_bar.sqrt().tolist(), s.snr.rsqrt().tolist()
    slope = float(model.predict_eps(one(now), full(1, t)))
    trial = now / root[t] + (level[t - 1] - level[t]) * slope
    slope_there = float(model.predict_eps(one(root[t - 1] * trial), full(1, t - 1)))
    names = sampling.state, sampling.noise_s, sampling.noise, sampling.here, sampling.there
    theirs = proof("heun_step", *names)(now / root[t], level[t - 1], level[t], slope, slope_there)
    close(after / root[t - 1], theirs, 1000 * (1 + abs(now)) * (1 + level[t]) / root[t])


@bridges("dpm_first_order")
@given(schedules, steps, points)
def test_the_first_step_of_dpm_solver(s, t, now):
    model, (_, after) = first_steps(dpm_solver, s, t, now, 1)
    theirs = proof("dpm_first_order", alphabar, alphabar_s, xt, reverse.x0_net)
    guess = float(model.predict_x0(one(now), full(1, t)))
    expected = theirs(float(s.alpha_bar[t]), float(s.alpha_bar[t - 1]), now, guess)
    close(after, expected, rounding(s, t, now))


@bridges("dpm_second_order")
@given(schedules, st.integers(3, T), points)
def test_the_second_step_of_dpm_solver(s, t, now):
    model, (_, middle, after) = first_steps(dpm_solver, s, t, now, 2)
    old, new = (float(model.predict_x0(one(v), full(1, k))) for v, k in ((now, t), (middle, t - 1)))
    half_log = (s.log_snr / 2).tolist()
    h, h_before = half_log[t - 2] - half_log[t - 1], half_log[t - 1] - half_log[t]
    names = sampling.h, sampling.r, reverse.x0_net, sampling.before
    added = proof("dpm_second_order", *names)(h, h_before / h, new, old)
    fade = float(((1 - s.alpha_bar[t - 2]) / (1 - s.alpha_bar[t - 1])).sqrt())
    close(
        after,
        fade * middle + float(s.alpha_bar[t - 2].sqrt()) * added,
        rounding(s, t, now) * (1 + h / h_before),
    )


class TwoAnswers(nn.Module):
    """ε̂ = with_class where there is one, else without."""

    def __init__(self, with_class: float, without: float) -> None:
        super().__init__()
        self.with_class, self.without = with_class, without

    def forward(self, now, log_snr, y):
        return torch.where(y[:, None] < 0, one(self.without), one(self.with_class))


@bridges("guided_noise")
@given(points, points, st.floats(-2, 8))
def test_the_guided_noise(with_class, without, weight):
    net = Guided(TwoAnswers(with_class, without), torch.tensor(3), weight)
    ours = net(one(0.5), torch.zeros(1, dtype=torch.float64))
    theirs = proof("guided_noise", sampling.eps_class, reverse.eps_net, sampling.w)(
        with_class, without, weight
    )
    close(ours, theirs, abs(weight) * (abs(with_class) + abs(without)))


# Whole bounds


@bridges("distortion_and_rate")
@given(points, points, scales, seeds)
def test_the_bound_of_a_vae_is_distortion_plus_rate(x, mean, std, seed):
    vae_of_one = linear_vae(mean, std**2, 1.3, 0.8)
    q = vae_of_one.posterior(one(x))
    distortion = -vae_of_one.decode(q.sample(generator(seed))).log_prob(one(x))
    values = {rate.distortion: float(distortion), rate.rate: float(q.kl())}
    theirs = filled(derivation("distortion_and_rate").last, values)
    close(vae_of_one.bound(one(x), generator(seed)).nats(), theirs, sum(map(abs, values.values())))


@bridges("diffusion_bound")
@given(schedules, st.lists(st.integers(1, T), min_size=2, max_size=6, unique=True), points, seeds)
def test_the_bound_of_a_diffusion_model_term_by_term(s, levels, start, seed):
    """Every term from its own proof, at the noise that the library draws."""
    short = schedule.Schedule(s.alpha_bar[[0, *sorted(levels)]])
    model, rng, bar = model_of(short), generator(seed), short.alpha_bar
    terms = {}
    for t in range(2, short.T + 1):
        now = model.q_sample(one(start), full(1, t), torch.randn(1, 1, generator=rng, dtype=torch.float64))
        snr = proof("reverse_kl_snr", alpha, alphabar_s, x0, reverse.x0_net)
        guess = float(model.predict_x0(now, full(1, t)))
        terms[t - 1] = snr(float(short.alpha[t]), float(bar[t - 1]), start, guess)
    now = model.q_sample(one(start), full(1, 1), torch.randn(1, 1, generator=rng, dtype=torch.float64))
    last, noise = float(model.predict_x0(now, full(1, 1))), float((1 - bar[1]) / bar[1]) ** 0.5
    terms[0] = proof("gaussian_nll")(sigma=noise, x=start, xhat=last)
    terms["T"] = proof("terminal_kl", x0, *_end())(start, float(bar[-1]))
    line = derivation("diffusion_bound").last.xreplace({chain.T: sp.Integer(short.T)}).doit()
    numbers = {node: terms[int(node.indices[0])] for node in line.atoms(sp.Indexed)}
    numbers |= {chain.L0: terms[0], symbol_of("diffusion_bound", "L_T"): terms["T"]}
    theirs = filled(line, numbers)
    ours = model.bound(one(start), generator(seed))
    assert len(numbers) == short.T + 1
    size = sum(map(abs, numbers.values())) + 10 * float(bar[1] / (1 - bar[1]))
    close(ours.nats(), theirs, size)


@bridges("split_step")
@given(schedules, st.lists(st.integers(1, T), min_size=3, max_size=3, unique=True), points, points, points)
def test_what_splitting_a_step_changes(s, levels, start, at_middle, at_start):
    low, middle, high = sorted(levels)
    split = model_of(schedule.Schedule(s.alpha_bar[[0, low, middle, high]]))
    whole = model_of(schedule.Schedule(s.alpha_bar[[0, low, high]]))

    def price(model, t, guess):
        q, p = (model.q_posterior(one(v), one(0.7), full(1, t)) for v in (start, guess))
        return float(q.kl(p))

    parts = price(split, 2, at_middle), price(split, 3, at_start), price(whole, 2, at_start)
    names = (symbol_of("split_step", name) for name in ("S_s", "S_m", "f_m", "f_t"))
    errors = (start - at_middle) ** 2, (start - at_start) ** 2
    theirs = proof("split_step", *names)(float(s.snr[low]), float(s.snr[middle]), *errors)
    close(parts[0] + parts[1] - parts[2], theirs, 10 * (sum(parts) + float(s.snr[low])))


@bridges("best_step_variance")
@given(schedules, st.lists(st.integers(1, T), min_size=2, max_size=2, unique=True), st.floats(0.01, 2))
def test_what_the_best_variance_saves(s, ends, error):
    low, high = sorted(ends)
    pair = torch.tensor([0.5, error], dtype=torch.float64)
    measured = Levels(s.log_snr[[low, high]], pair, torch.zeros(2), torch.zeros(2))
    values = {ch5_schedule.drop: float(s.snr[low] - s.snr[high]), ch5_schedule.error: error}
    logarithm = filled(derivation("best_step_variance").steps[2].expr, values)
    close(measured.costs(best_variance=True)[0, 1], logarithm)
    close(
        measured.costs(best_variance=False)[0, 1],
        proof("best_step_variance", ch5_schedule.drop, ch5_schedule.error)(*values.values()),
    )
    step = schedule.Schedule(s.alpha_bar[[0, low, high]])
    narrow = float(step.posterior_variance[2])
    apart = math.sqrt(narrow * values[ch5_schedule.drop] * error)  # of the two means, in the root mean square
    q = Gaussian(one(0.0), one(math.log(narrow)))
    p = Gaussian(one(apart), one(math.log(narrow + apart**2)))
    close(q.kl(p), logarithm, 1.0)


# Several dimensions


@bridges("independent_kl")
@given(st.lists(st.tuples(points, scales, points, scales), min_size=2, max_size=5))
def test_kl_adds_up_over_dimensions(rows):
    columns = [torch.tensor([column], dtype=torch.float64) for column in zip(*rows, strict=True)]
    q, p = Gaussian(columns[0], 2 * columns[1].log()), Gaussian(columns[2], 2 * columns[3].log())
    each = [proof("gaussian_kl", vae.mu, vae.sigma, vae.m, vae.s)(*row) for row in rows]
    first, second = sorted(derivation("independent_kl").last.atoms(KL), key=lambda kl: "d+1" in str(kl))
    theirs = filled(derivation("independent_kl").last, {first: sum(each[:-1]), second: each[-1]})
    close(q.kl(p), theirs, sum(((a - b) ** 2 + s**2) / v**2 for a, s, b, v in rows))


@cache
def nll_of(count: int):
    """The sum over this many pixels, as a function of σ, of the pixels and of their means."""
    line = derivation("gaussian_nll_sum").last
    sigma, size = (symbol_of("gaussian_nll_sum", name) for name in ("sigma_x", "D"))
    line = line.xreplace({size: sp.Integer(count)}).doit()
    pixels = [sp.IndexedBase(name, real=True)[k] for name in ("x", "xhat") for k in range(1, count + 1)]
    plain = sp.symbols(f"v:{2 * count + 1}")
    return sp.lambdify(plain, line.xreplace(dict(zip([sigma, *pixels], plain, strict=True))))


@bridges("gaussian_nll_sum")
@given(st.lists(st.tuples(points, points), min_size=1, max_size=5), scales)
def test_negative_log_likelihood_of_several_pixels(pixels, std):
    values, guesses = zip(*pixels, strict=True)
    theirs = nll_of(len(pixels))(std, *values, *guesses)
    x, mean = (torch.tensor([part], dtype=torch.float64) for part in (values, guesses))
    size = sum((a - b) ** 2 for a, b in pixels) / std**2
    close(-GaussianLikelihood(mean, one(std).log()).log_prob(x), theirs, size)


# Expectations over z = μ + σε, by Gauss–Hermite quadrature: exact where a polynomial is averaged

NODES, WEIGHTS = (torch.tensor(v)[:, None] for v in np.polynomial.hermite_e.hermegauss(8))
WEIGHTS = WEIGHTS[:, 0] / math.sqrt(2 * math.pi)


def drawn_at_the_nodes():
    """Within it, every draw of noise is the quadrature's nodes: (8, 1)."""
    return patch("torch.randn", lambda *shape, **options: NODES)


@bridges("reparameterised_gradient_mean", "reparameterised_gradient_scale")
@given(points, scales, points, points, points)
def test_gradient_through_a_sample(mean, std, a, b, c):
    mu, sigma = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (mean, std))
    with drawn_at_the_nodes():
        z = Gaussian(mu.expand(8, 1), 2 * sigma.log()).sample()
    (WEIGHTS * (a * z**3 + b * z**2 + c * z)[:, 0]).sum().backward()
    cubic = sp.symbols("a b c", real=True)
    size = 100 * (abs(a) * (mean**2 + std**2) * (1 + std) + abs(b) * (abs(mean) + std) + abs(c))
    theirs = proof("reparameterised_gradient_mean", *cubic, vae.mu, vae.sigma)(a, b, c, mean, std)
    close(mu.grad, theirs, size)
    theirs = proof("reparameterised_gradient_scale", *cubic, vae.mu, vae.sigma)(a, b, c, mean, std)
    close(sigma.grad, theirs, size)


class Fixed(nn.Module):
    """An encoder that says N(mean, variance), whatever x is."""

    def __init__(self, mean: float, variance: float) -> None:
        super().__init__()
        self.mean, self.variance = mean, variance

    def forward(self, x):
        return torch.full_like(x, self.mean), torch.full_like(x, math.log(self.variance))


class Line(nn.Module):
    """p(x | z) = N(wz, s²)."""

    latents = 1

    def __init__(self, weight: float, noise: float) -> None:
        super().__init__()
        self.weight, self.noise = weight, noise

    def forward(self, z):
        return self.weight * z, torch.full_like(z, math.log(self.noise))


def linear_vae(mean: float, variance: float, weight: float, noise: float) -> VAE:
    return VAE(Fixed(mean, variance), Line(weight, noise), GaussianLikelihood)


MODEL = elbo.s, elbo.v, elbo.m, elbo.w, elbo.x
moderate = st.floats(0.2, 2)


@bridges("linear_gaussian_elbo")
@given(moderate, moderate, points, points, points)
def test_the_bound_of_a_linear_vae(noise, variance, mean, weight, x):
    with drawn_at_the_nodes():
        bound = linear_vae(mean, variance, weight, noise).bound(one(x).expand(8, 1))
    theirs = proof("linear_gaussian_elbo", *MODEL)(noise, variance, mean, weight, x)
    close((WEIGHTS * bound.nats()).sum(), -theirs, 100 * abs(theirs))


@bridges("linear_gaussian_evidence", "linear_gaussian_identity", "linear_gaussian_kl")
@given(moderate, moderate, points, points, points, seeds)
def test_evidence_and_gap_of_a_linear_vae(noise, variance, mean, weight, x, seed):
    """With the exact posterior as encoder, every importance weight is p(x)."""
    total = weight**2 + noise**2
    exact = weight * x / total, noise**2 / total
    evidence = log_prob_importance(linear_vae(*exact, weight, noise), one(x), 3, generator(seed))
    size = 1e3 * (1 + x**2) / noise**2
    theirs = proof("linear_gaussian_evidence", elbo.s, elbo.w, elbo.x)(noise, weight, x)
    close(evidence, math.log(theirs), size)
    close(evidence, proof("linear_gaussian_identity", *MODEL[::3], MODEL[4])(noise, weight, x), size)
    q, best = (linear_vae(*law, weight, noise).posterior(one(x)) for law in ((mean, variance), exact))
    theirs = proof("linear_gaussian_kl", *MODEL)(noise, variance, mean, weight, x)
    close(q.kl(best), theirs, 100 * theirs)


@bridges("two_states")
@given(points, points, points, scales, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_evidence_of_two_states(x, first, second, std, share, encoder):
    """A mixture of two Gaussians: which of them x came from is a latent with two states."""
    weights = torch.tensor([share, 1 - share], dtype=torch.float64)
    law = Mixture(torch.tensor([[first], [second]], dtype=torch.float64), std, weights)
    logs = [Gaussian(one(m), 2 * one(std).log()).log_prob(one(x)) for m in (first, second)]
    top = float(max(logs))  # taken off both, so that neither density vanishes
    a, b = (
        w * math.exp(max(float(log) - top, -600)) for w, log in zip((share, 1 - share), logs, strict=True)
    )
    names = (symbol_of("two_states", name) for name in "abr")
    close(law.log_prob(one(x)), proof("two_states", *names)(a, b, encoder) + top, 1e3 * (1 + abs(top)))


# A prior that is a chain


@bridges("encoder_entropy", "gaussian_prior_rate")
@given(points, scales)
def test_rate_under_the_standard_normal_as_entropies(mean, std):
    q = Gaussian(one(mean), 2 * one(std).log())
    close(q.entropy(), proof("encoder_entropy", latent.sigma)(std), 1)
    rates = StandardNormal(1).rates(q, q.mean)
    close(rates[:, 0], proof("gaussian_prior_rate", latent.mu, latent.sigma)(mean, std), mean**2 + std**2)


class Shrink(nn.Module):
    """ε̂ that makes x̂_0 = slope · x_t."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, xt, log_snr):
        signal, noise = torch.sigmoid(log_snr).sqrt()[:, None], torch.sigmoid(-log_snr).sqrt()[:, None]
        return (1 - signal * self.slope) / noise * xt


def one_step(left: float, slope: float, width: float) -> DiffusionPrior:
    """p(z | z_1) = N(slope · z_1, width²), z_1 with ᾱ = left."""
    chain = model_of(schedule.Schedule(torch.tensor([1, left], dtype=torch.float64)), net=Shrink(slope))
    chain.log_width.data.fill_(math.log(width) + float(chain.schedule.log_snr[1]) / 2)
    return DiffusionPrior(chain).double()


FIRST, SECOND = NODES.repeat_interleave(8, 0), NODES.repeat(8, 1)  # (64, 1) each
BOTH = WEIGHTS.repeat_interleave(8) * WEIGHTS.repeat(8)


@bridges("one_step_prior", "latent_bound")
@given(points, moderate, st.floats(0.05, 0.95), points, moderate, points, points, moderate)
def test_bound_of_a_vae_whose_prior_is_a_chain(mean, std, left, slope, width, x, weight, noise):
    theirs = proof("one_step_prior", latent.mu, latent.sigma, latent.abar, latent.m, latent.s)
    rate = theirs(mean, std, left, slope, width)
    prior = one_step(left, slope, width)
    model = VAE(Fixed(mean, std**2), Line(weight, noise), GaussianLikelihood, prior=prior).double()
    with patch("torch.randn", side_effect=[FIRST, SECOND]):
        bound = model.bound(one(x).expand(64, 1))
    size = 100 * (1 + slope**2) * (1 + mean**2) / width**2
    close((BOTH * bound.rate).sum(), rate, size)
    misfit = ((x - weight * mean) ** 2 + (weight * std) ** 2) / (2 * noise**2)
    distortion = misfit + math.log(2 * math.pi * noise**2) / 2
    close((BOTH * bound.nats()).sum(), distortion + rate, size + 100 * misfit)


# One network in several coordinates

units = st.floats(0.05, 0.95)


@bridges("image_from_coordinate", "noise_from_coordinate")
@given(units, units, points, points, points, points)
def test_image_and_noise_from_any_coordinate(a, b, c, d, now, said):
    if abs(a * d - b * c) < 0.05:
        return
    any_of = Coordinate("any", lambda signal, noise: (torch.full_like(signal, c), torch.full_like(noise, d)))
    ours = to_image_and_noise(one(said), one(now), any_of, one(a), one(b))
    names = coordinates.a, coordinates.b, coordinates.c, coordinates.d_, xt, coordinates.y
    for got, name in zip(ours, ("image_from_coordinate", "noise_from_coordinate"), strict=True):
        values = dict(zip(names, (a, b, c, d, now, said), strict=True)) | {coordinates.det: a * d - b * c}
        close(got, filled(derivation(name).last, values), 1e3 * (1 + abs(now) + abs(said)))


@bridges("image_from_noise", "v_from_noise", "velocity_from_noise")
@given(units, points, points, st.sampled_from([(X0, "image"), (V, "v"), (VELOCITY, "velocity")]))
def test_what_follows_from_the_noise(b, now, noise, which):
    wanted, name = which
    a = 1 - b if wanted is VELOCITY else (1 - b**2) ** 0.5
    values = {coordinates.a: a, coordinates.b: b, xt: now, coordinates.eps: noise}
    ours = convert(one(noise), one(now), EPS, wanted, one(a), one(b))
    close(ours, filled(derivation(f"{name}_from_noise").last, values), 100 * (abs(now) + abs(noise)))


def errors_apart(said: Coordinate, a: float, b: float, now: float, noise: float, guess: float) -> float:
    """(y − ŷ)² of two noises in one x_t, as the library converts them."""
    first, second = (convert(one(n), one(now), EPS, said, one(a), one(b)) for n in (noise, guess))
    return float((first - second) ** 2)


@bridges("coordinate_error", "image_error", "velocity_error")
@given(units, points, points, points)
def test_the_weight_of_an_error(b, now, noise, guess):
    size = 1e4 * (1 + abs(now) + abs(noise) + abs(guess)) ** 2
    for said, c, d in ((X0, 1, 0), (V, -b, (1 - b**2) ** 0.5), (SCORE, 0, -1 / b), (VELOCITY, -1, 1)):
        a = 1 - b if said is VELOCITY else (1 - b**2) ** 0.5
        pair = {coordinates.eps: noise, reverse.eps_net: guess, coordinates.a: a, coordinates.b: b}
        theirs = filled(derivation("coordinate_error").last, pair | {coordinates.det: a * d - b * c})
        close(said.weight(one(a), one(b)) * (noise - guess) ** 2, theirs)
        close(errors_apart(said, a, b, now, noise, guess), theirs, size)
        if said in (X0, VELOCITY):
            name = "image_error" if said is X0 else "velocity_error"
            close(theirs, filled(derivation(name).last, pair))


@bridges("simple_weight", "flow_weight", "v_weight")
@given(units)
def test_the_weight_of_a_loss_on_the_area(time):
    """Weight of the error times the density of λ, by torch's derivative of λ in the time that is uniform."""
    t = torch.tensor(time, dtype=torch.float64, requires_grad=True)
    for said, name in ((EPS, "simple_weight"), (V, "v_weight"), (VELOCITY, "flow_weight")):
        straight = said is VELOCITY
        a, b = (1 - t, t) if straight else (torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t))
        level = (a / b).log()
        (slope,) = torch.autograd.grad(level, t)
        theirs = filled(derivation(name).last, {weights.lam: float(level.detach())})
        close((said.weight(a, b) / -slope).detach(), theirs)


@bridges("straight_units")
@given(units, units, points, points)
def test_the_state_in_straight_units(a, b, start, noise):
    z, tau = straightened(one(a * start + b * noise), one(a), one(b))
    names = (symbol_of("straight_units", name) for name in ("tau", "epsilon"))
    close(
        z,
        filled(
            derivation("straight_units").last,
            dict(zip(names, (float(tau), noise), strict=True)) | {x0: start},
        ),
        10,
    )


@bridges("straight_euler")
@given(schedules, steps, points)
def test_ddim_is_eulers_step_on_the_straight_path(s, t, now):
    model, (_, after) = first_steps(ddim, s, t, now, 1)
    image, noise = (float(f(one(now), full(1, t))) for f in (model.predict_x0, model.predict_eps))
    scale = [(float(s.alpha_bar[k].sqrt()), float((1 - s.alpha_bar[k]).sqrt())) for k in (t - 1, t)]
    ours, tau = straightened(one(after), *map(one, scale[0]))
    (later,) = [n for n in _free("straight_euler") if str(n) == "tau'"]
    values = {later: float(tau), reverse.x0_net: image, reverse.eps_net: noise}
    close(ours, filled(derivation("straight_euler").last, values), rounding(s, t, now))


@bridges("distillation_target", "distillation_mean")
@given(schedules, st.integers(3, T), points)
def test_one_ddim_step_lands_where_two_did(s, t, now):
    model, (_, middle, end) = first_steps(ddim, s, t, now, 2)
    first, second = (float(model.predict_x0(one(v), full(1, k))) for v, k in ((now, t), (middle, t - 1)))
    snr = [float(s.snr[k]) for k in (t, t - 1, t - 2)]
    ours = float(two_steps_in_one(one(first), one(second), *snr))
    mean = dict(zip((flows.rho, flows.rho_m, flows.rho_e), (v**0.5 for v in snr), strict=True))
    mean |= {reverse.x0_net: first, flows.next_guess: second}
    close(ours, filled(derivation("distillation_mean").last, mean), 10 * (abs(first) + abs(second)))
    a, b, a_end, b_end = (
        float(f(s.alpha_bar[k])) ** 0.5 for k in (t, t - 2) for f in (lambda v: v, lambda v: 1 - v)
    )
    close(a_end * ours + b_end * (now - a * ours) / b, end, rounding(s, t, now))
    target = {coordinates.a: a, coordinates.b: b, flows.signal_e: a_end, flows.noise_e: b_end, xt: now}
    landed = filled(derivation("distillation_target").first, target | {flows.end: end})
    close(ours, landed, 10 * rounding(s, t, now) / a**2)


# The registry


def test_every_bridge_leads_to_a_derivation():
    assert set(proofs.derivations()) >= BRIDGED


def test_every_proof_that_the_library_implements_is_bridged():
    assert set(proofs.code()) <= BRIDGED
