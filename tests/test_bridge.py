"""The last line of a proof is the oracle of the code: both evaluated at random points, in float64."""

import math
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lowerbound import proofs, schedule
from lowerbound.bound import Bound
from lowerbound.diffusion import Diffusion, Noised, fixed_large, fixed_small, l_bound
from lowerbound.gaussian import Gaussian
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.proofs import reverse, vae
from lowerbound.proofs.forward import alpha, alphabar_s, x0, xt
from lowerbound.samplers import ddim
from oracles import AnyDenoiser, ExactDenoiser, full, standard_normal, toy_diffusion

RTOL = 1e-10
T = 50
SCHEDULES = [schedule.linear(T), schedule.cosine(T), schedule.log_snr_linear(T)]

points = st.floats(-4, 4)
scales = st.floats(0.05, 5)
steps = st.integers(2, T)
schedules = st.sampled_from(SCHEDULES)


@cache
def derivation(name: str):
    """A derivation, proved once."""
    return proofs.derivations()[name]()


@cache
def proof(name: str, *symbols):
    """The last line of a derivation as a function of these symbols."""
    return derivation(name).as_function(*symbols)


def close(ours, theirs, size: float = 0.0) -> None:
    """Equal up to rounding: 1e-10 of the value, or 1e-13 of the terms it is the difference of."""
    assert float(ours) == pytest.approx(float(theirs), rel=RTOL, abs=1e-13 * (1 + size))


def one(value: float) -> torch.Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


def model_of(s: schedule.Schedule, variance=fixed_small, net=None) -> Diffusion:
    return toy_diffusion(net or AnyDenoiser(), s.T, 1, variance, schedule=s)


@given(points, scales)
def test_kl_to_the_standard_normal(mean, std):
    q = Gaussian(one(mean), 2 * one(std).log())
    close(q.kl(), proof("gaussian_kl_standard", vae.mu, vae.sigma)(mean, std), mean**2 + std**2)


@given(points, scales, points, scales)
def test_kl_between_two_gaussians(mean, std, other_mean, other_std):
    q, p = Gaussian(one(mean), 2 * one(std).log()), Gaussian(one(other_mean), 2 * one(other_std).log())
    size = ((mean - other_mean) ** 2 + std**2) / other_std**2
    theirs = proof("gaussian_kl", vae.mu, vae.sigma, vae.m, vae.s)(mean, std, other_mean, other_std)
    close(q.kl(p), theirs, size)


@given(points, points, scales)
def test_gaussian_negative_log_likelihood(x, mean, std):
    theirs = proof("gaussian_nll")(sigma=std, x=x, xhat=mean)
    close(-GaussianLikelihood(one(mean), one(std).log()).log_prob(one(x)), theirs, (x - mean) ** 2 / std**2)
    close(-Gaussian(one(mean), 2 * one(std).log()).log_prob(one(x)), theirs, (x - mean) ** 2 / std**2)


@given(st.floats(0.1, 5000), st.integers(1, 784))
def test_bits_per_dim(nats, dims):
    bound = Bound(torch.tensor([nats / 4], dtype=torch.float64), torch.full((1, 3), nats / 4).double())
    close(bound.bits_per_dim(dims), proof("bits_per_dim")(L=nats / 4 + 3 * float(bound.rates[0, 0]), D=dims))


@given(schedules, steps, points)
def test_mean_and_variance_of_x_t(s, t, start):
    model, a, bar_s = model_of(s), float(s.alpha[t]), float(s.alpha_bar[t - 1])
    mean = proof("forward_marginal_mean", alpha, alphabar_s, x0)(a, bar_s, start)
    close(model.q_sample(one(start), full(1, t), one(0.0)), mean)
    variance = proof("forward_marginal_variance", alpha, alphabar_s)(a, bar_s)
    close(model.q_sample(one(0.0), full(1, t), one(1.0)) ** 2, variance)


@given(schedules, points)
def test_kl_at_the_last_step(s, start):
    end = [symbol for symbol in _free("terminal_kl") if symbol != x0]
    theirs = proof("terminal_kl", x0, *end)(start, float(s.alpha_bar[T]))
    a = float(s.alpha_bar[T])
    close(Gaussian(math.sqrt(a) * one(start), one(math.log1p(-a))).kl(), theirs)
    assert len(end) == 1


def _free(name: str) -> list:
    return sorted(derivation(name).last.free_symbols, key=str)


@given(schedules, steps, points, points)
def test_posterior_mean_and_variance(s, t, start, now):
    model, a, bar_s = model_of(s), float(s.alpha[t]), float(s.alpha_bar[t - 1])
    q = model.q_posterior(one(start), one(now), full(1, t))
    theirs = proof("posterior_mean", alpha, alphabar_s, x0, xt)(a, bar_s, start, now)
    close(q.mean, theirs, abs(start) + abs(now))
    variance = proof("posterior_variance", alpha, alphabar_s)(a, bar_s)
    close(q.logvar.exp(), variance)
    close(s.posterior_variance[t], variance)


@given(schedules, steps, points, points)
def test_posterior_mean_from_the_noise(s, t, now, noise):
    model = model_of(s)
    start = model.x0_from_eps(one(now), full(1, t), one(noise))
    ours = model.q_posterior(start, one(now), full(1, t)).mean
    theirs = proof("posterior_mean_eps", alpha, alphabar_s, xt, reverse.eps)
    scale = (abs(now) + abs(noise)) / float(s.alpha_bar[t].sqrt())
    close(ours, theirs(float(s.alpha[t]), float(s.alpha_bar[t - 1]), now, noise), 1000 * scale)


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


@given(schedules, steps, points, points)
def test_the_kl_as_a_drop_in_signal_to_noise(s, t, start, guess):
    model, now = model_of(s), one(0.7)
    q, p = (model.q_posterior(one(v), now, full(1, t)) for v in (start, guess))
    theirs = proof("reverse_kl_snr", alpha, alphabar_s, x0, reverse.x0_net)
    expected = theirs(float(s.alpha[t]), float(s.alpha_bar[t - 1]), start, guess)
    signal = (s.alpha_bar[t - 1] * s.beta[t]).sqrt() / s.posterior_variance[t]
    rounding = (1 + abs(start)) ** 2 * float(signal)
    close(q.kl(p), expected, rounding)


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


@given(schedules, steps)
def test_ddim_with_eta_1_adds_the_posteriors_variance(s, t):
    theirs = proof("ddim_ancestral_variance", alpha, alphabar_s)
    close(s.posterior_variance[t], theirs(float(s.alpha[t]), float(s.alpha_bar[t - 1])))
