"""The catalogue of the self-checks, planted in the library's own functions.

A plant is a function of the library written with a variant of the catalogue. With the right one planted, the
tests beside it pass. With a mistake planted one of them fails, and the self-check names the mistake in the
library's function, as it does in a student's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import test_against_diffusers
import test_bound
import test_bridge
import test_diffusion
import test_gaussian
import test_likelihood
import torch
from hypothesis import Phase, settings
from jaxtyping import TypeCheckError
from lowerbound import checks
from lowerbound.bound import Bound
from lowerbound.checks import CheckError
from lowerbound.diffusion import Diffusion, fixed_small
from lowerbound.gaussian import Gaussian
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.noise import normal
from lowerbound.objective import Noised
from lowerbound.schedule import Schedule
from oracles import toy_diffusion

KL, DIFFUSION_BOUND = Gaussian.kl, Diffusion.bound


@dataclass(frozen=True)
class Plant:
    """owner.attribute is replaced by mutant(variant); library: the student's signature, by library calls."""

    owner: Any
    attribute: str
    mutant: Callable[[Callable], Callable]
    library: Callable
    tests: tuple[tuple, ...]


def _model(alpha_bar):
    return toy_diffusion(torch.nn.Identity(), len(alpha_bar) - 1, 3, schedule=Schedule(alpha_bar))


def _step(sampler, xt, eps, t, alpha_bar, **options):
    """One step of a sampler for each row, from its own t, where the network says eps."""
    rows = []
    for i, k in enumerate(t.tolist()):
        model = toy_diffusion(
            torch.nn.Identity(), k, xt.shape[1], fixed_small, schedule=Schedule(alpha_bar[: k + 1])
        )
        model.predict_eps = lambda x, t, y=None, e=eps[i : i + 1]: e
        walk = sampler(model, xt[i : i + 1], **options)
        next(walk)
        rows.append(next(walk))
    return torch.cat(rows)


def _ddim(of):
    def ddim(model, xT, eta=0.0, rng=None, **kwargs):
        x = xT
        yield x
        for k in range(model.schedule.T, 0, -1):
            t = torch.full((len(x),), k)
            eps = model.predict_eps(x, t)
            x = of(x, eps, t, model.schedule.alpha_bar)
            yield x

    return ddim


def _ancestral(of):
    def ancestral(model, xT, rng=None, **kwargs):
        x = xT
        yield x
        for k in range(model.schedule.T, 0, -1):
            t = torch.full((len(x),), k)
            noise = normal(x, x.shape, rng) if k > 1 or rng is not None else torch.zeros_like(x)
            x = of(x, model.predict_eps(x, t), t, noise, model.schedule.alpha_bar)
            yield x

    return ancestral


def _posterior(of):
    def q_posterior(self, x0, xt, t):
        mean, variance = of(x0, xt, t, self.schedule.alpha_bar)
        return Gaussian(mean, variance.log()[:, None])

    return q_posterior


def _prior_rate(of):
    def bound(self, x, rng=None, **kwargs):
        found = DIFFUSION_BOUND(self, x, rng, **kwargs)
        last = of(x, float(self.schedule.alpha_bar[-1])).expand(len(x))
        return Bound(found.distortion, torch.cat([found.rates[:, :-1], last[:, None]], 1))

    return bound


def _kl(of):
    def kl(self, other=None):
        if other is not None:
            return KL(self, other)
        return of(self.mean.flatten(1), self.logvar.expand_as(self.mean).flatten(1)).to(self.mean)

    return kl


def _sample(of):
    def sample(self, rng=None):
        noise = normal(self.mean, self.mean.shape, rng)
        return of(self.mean, self.logvar.expand_as(self.mean), noise)

    return sample


def _drawn(mean, logvar, noise):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowerbound.gaussian.normal", lambda *arguments: noise)
        patch.setitem(globals(), "normal", lambda *arguments: noise)
        return Gaussian(mean, logvar).sample()


def _noised_error(of):
    return lambda self: of(self.eps, self.eps_hat)


def _noised(eps, eps_hat):
    t = torch.ones(len(eps), dtype=torch.int64)
    return Noised(eps, t, eps, eps, eps_hat).squared_error()


def _last_rate(x0, end):
    ends = Schedule(torch.tensor([1.0, end], dtype=torch.float64))
    model = toy_diffusion(torch.nn.Identity(), 1, x0.shape[1], schedule=ends)
    model.predict_eps = lambda x, t: x
    return model.bound(x0).rates[:, -1]


PLANTS = {
    "kl": Plant(
        Gaussian,
        "kl",
        _kl,
        lambda mean, logvar: Gaussian(mean, logvar).kl(),
        (
            (test_gaussian.test_kl_sums_over_every_dimension_and_keeps_the_batch,),
            (test_bridge.test_kl_to_the_standard_normal,),
        ),
    ),
    "reparameterise": Plant(
        Gaussian,
        "sample",
        _sample,
        _drawn,
        (
            (test_bridge.test_gradient_through_a_sample,),
            (test_gaussian.test_sample_has_the_mean_and_the_standard_deviation,),
        ),
    ),
    "log_likelihood": Plant(
        GaussianLikelihood,
        "log_prob",
        lambda of: lambda self, x: of(x, self.mean, self.log_scale.expand_as(x)),
        lambda x, x_hat, log_sigma: GaussianLikelihood(x_hat, log_sigma).log_prob(x),
        (
            (test_bridge.test_gaussian_negative_log_likelihood,),
            (test_bridge.test_negative_log_likelihood_of_several_pixels,),
            (test_likelihood.test_gaussian_likelihood_keeps_examples_apart,),
        ),
    ),
    "q_sample": Plant(
        Diffusion,
        "q_sample",
        lambda of: lambda self, x0, t, eps: of(x0, t, eps, self.schedule.alpha_bar),
        lambda x0, t, eps, alpha_bar: _model(alpha_bar).q_sample(x0, t, eps),
        ((test_bridge.test_mean_and_variance_of_x_t,), (test_bridge.test_law_of_x_t,)),
    ),
    "posterior": Plant(
        Diffusion,
        "q_posterior",
        _posterior,
        lambda x0, xt, t, alpha_bar: (
            (q := _model(alpha_bar).q_posterior(x0, xt, t)).mean,
            q.logvar.exp()[:, 0],
        ),
        ((test_bridge.test_posterior_mean_and_variance,),),
    ),
    "x0_from_eps": Plant(
        Diffusion,
        "x0_from_eps",
        lambda of: lambda self, xt, t, eps: of(xt, eps, t, self.schedule.alpha_bar),
        lambda xt, eps, t, alpha_bar: _model(alpha_bar).x0_from_eps(xt, t, eps),
        ((test_bridge.test_posterior_mean_from_the_noise,),),
    ),
    "l_simple": Plant(
        Noised,
        "squared_error",
        _noised_error,
        _noised,
        (
            (test_bridge.test_summand_of_the_simple_loss,),
            (test_diffusion.test_l_simple_is_the_error_of_the_noise_alone,),
        ),
    ),
    "terminal_kl": Plant(
        Diffusion,
        "bound",
        _prior_rate,
        _last_rate,
        (
            (test_bridge.test_kl_at_the_last_step,),
            (test_diffusion.test_the_terminal_kl_is_that_of_the_last_step,),
            (test_diffusion.test_the_bound_of_standard_normal_data_is_the_entropy_term_by_term, 3),
        ),
    ),
    "ancestral_step": Plant(
        test_against_diffusers,
        "ancestral",
        _ancestral,
        None,
        ((test_against_diffusers.test_ancestral_is_its_ddpm, "linear", 60, False, fixed_small),),
    ),
    "ddim_step": Plant(
        test_bridge,
        "ddim",
        _ddim,
        lambda xt, eps, t, alpha_bar: _step(test_bridge.ddim, xt, eps, t, alpha_bar),
        ((test_bridge.test_a_deterministic_ddim_step,),),
    ),
    "bits_per_dim": Plant(
        Bound,
        "bits_per_dim",
        lambda of: lambda self, dims: of(self.distortion, self.rates, dims).to(self.rates),
        lambda distortion, rates, dims: Bound(distortion, rates).bits_per_dim(dims),
        (
            (test_bridge.test_bits_per_dim,),
            (test_bound.test_nats_are_the_distortion_and_all_rates,),
            (test_bound.test_a_uniform_guess_over_256_levels_costs_eight_bits,),
        ),
    ),
}
SETS = [(name, mistake) for name in PLANTS for mistake in getattr(checks, name).mistakes]
SPREAD = {("terminal_kl", "mean over the batch")}  # a Bound has a rate for each example, and spreads the mean
AS_FOUND = settings(phases=[Phase.generate])  # an example that fails need not be made small
FAILURES = (AssertionError, pytest.fail.Exception, TypeCheckError, RuntimeError, ValueError, TypeError)


def plant(patch, name, of):
    found = PLANTS[name]
    patch.setattr(found.owner, found.attribute, found.mutant(of))
    return found


@pytest.mark.parametrize("name", PLANTS)
def test_the_library_passes_the_students_check(name):
    if PLANTS[name].library:
        getattr(checks, name)(PLANTS[name].library)


@pytest.mark.parametrize("name", PLANTS)
def test_with_the_right_function_planted_nothing_fails(monkeypatch, name):
    found = plant(monkeypatch, name, getattr(checks, name).oracle)
    for test, *arguments in found.tests:
        test(*arguments)
    if found.library:
        getattr(checks, name)(found.library)


@pytest.mark.parametrize(("name", "mistake"), SETS, ids=[f"{a}: {b}" for a, b in SETS])
def test_a_planted_mistake_is_caught_by_the_tests_of_the_library(
    monkeypatch, record_property, unshaped, name, mistake
):
    record_property("mutation", "library")
    found = plant(monkeypatch, name, getattr(checks, name).mistakes[mistake].of)

    def caught(test, *arguments):
        if hasattr(test, "hypothesis"):
            monkeypatch.setattr(test, "_hypothesis_internal_use_settings", AS_FOUND)
        try:
            test(*arguments)
        except FAILURES:
            return True
        return False

    assert any(caught(*test) for test in found.tests)


@pytest.mark.parametrize(("name", "mistake"), SETS, ids=[f"{a}: {b}" for a, b in SETS])
def test_a_planted_mistake_is_named_in_the_library(monkeypatch, unshaped, name, mistake):
    check = getattr(checks, name)
    found = plant(monkeypatch, name, check.mistakes[mistake].of)
    if found.library:
        with pytest.raises(CheckError) as caught:
            check(found.library)
        assert caught.value.mistake in (mistake, "raises") or (name, mistake) in SPREAD
