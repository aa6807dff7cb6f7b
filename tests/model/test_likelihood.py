"""Likelihoods: normalised over the 256 levels, finite everywhere, and sampled as they say."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lowerbound.data import to_uint8, to_unit
from lowerbound.likelihood import Bernoulli, DiscretisedGaussian, DiscretisedLogistic, GaussianLikelihood
from oracles import generator, z_score
from torch.distributions import Normal

LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1
DISCRETISED = [DiscretisedLogistic, DiscretisedGaussian]
discretised = pytest.mark.parametrize("kind", DISCRETISED)
EXTREMES = [(m, s) for m in (-3.0, -1.0, -0.999, 0.0, 0.0039, 1.0, 3.0) for s in (-7.0, -4.0, 0.0, 3.0)]


def _log_probs(kind, mean: float, log_scale: float, dtype=torch.float64) -> torch.Tensor:
    """The log probabilities of all 256 levels of one pixel."""
    column = torch.full((256, 1), mean, dtype=dtype)
    return kind(column, torch.full((256, 1), log_scale, dtype=dtype)).log_prob(LEVELS[:, None].to(dtype))


@discretised
@given(mean=st.floats(-1.5, 1.5), log_scale=st.floats(-8, 3))
def test_the_256_probabilities_sum_to_one(kind, mean, log_scale):
    assert float(_log_probs(kind, mean, log_scale).exp().sum()) == pytest.approx(1, abs=1e-9)


@discretised
@pytest.mark.parametrize(("mean", "log_scale"), EXTREMES)
def test_extremes_sum_to_one_too(kind, mean, log_scale):
    assert float(_log_probs(kind, mean, log_scale).exp().sum()) == pytest.approx(1, abs=1e-9)


@discretised
@given(mean=st.floats(-1.2, 1.2), log_scale=st.floats(-4.5, 0))
def test_a_bin_is_a_difference_of_the_distribution_function(kind, mean, log_scale):
    scale = math.exp(log_scale)
    edges = torch.cat([torch.tensor([-math.inf]), (LEVELS[:-1] + LEVELS[1:]) / 2, torch.tensor([math.inf])])
    z = (edges.double() - mean) / scale
    cdf = torch.sigmoid(z) if kind is DiscretisedLogistic else Normal(0.0, 1.0).cdf(z)
    torch.testing.assert_close(_log_probs(kind, mean, log_scale).exp(), cdf.diff(), rtol=1e-6, atol=1e-12)


@discretised
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_gradient_are_finite_at_every_level(kind, dtype):
    for mean, log_scale in EXTREMES:
        m = torch.full((256, 1), mean, dtype=dtype, requires_grad=True)
        s = torch.full((256, 1), log_scale, dtype=dtype, requires_grad=True)
        log_p = kind(m, s).log_prob(LEVELS[:, None].to(dtype))
        log_p.sum().backward()
        for tensor in (log_p, m.grad, s.grad):
            assert torch.isfinite(tensor).all(), (mean, log_scale)
        assert (log_p <= 0).all()


@discretised
def test_gradients_are_right(kind):
    x = LEVELS[[0, 3, 128, 250, 255]][None]
    mean = torch.tensor([[-0.9, -0.7, 0.1, 0.8, 1.1]], dtype=torch.float64, requires_grad=True)
    log_scale = torch.tensor([[-2.0, -3.0, -4.0, -1.0, -2.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, s: kind(m, s).log_prob(x), (mean, log_scale))


@discretised
def test_float32_agrees_with_float64(kind):
    for log_scale in (-6.0, -3.0, 0.0):
        single = _log_probs(kind, 0.2, log_scale, torch.float32).double()
        torch.testing.assert_close(single, _log_probs(kind, 0.2, log_scale), rtol=1e-3, atol=1e-3)


@discretised
@pytest.mark.parametrize("mean", [-0.98, 0.1])
def test_samples_lie_on_the_levels_and_follow_log_prob(kind, mean):
    n, log_scale = 50_000, -3.0
    draws = kind(torch.full((n, 1), mean), torch.full((n, 1), log_scale)).sample(generator())
    torch.testing.assert_close(to_unit(to_uint8(draws)), draws, rtol=0, atol=1e-6)
    counts = torch.bincount(to_uint8(draws)[:, 0].long(), minlength=256).double()
    expected = n * _log_probs(kind, mean, log_scale).exp()
    common = expected > 20
    chi_squared = float(((counts - expected) ** 2 / expected)[common].sum())
    freedom = int(common.sum())
    assert chi_squared < freedom + 5 * math.sqrt(2 * freedom)


@discretised
def test_log_prob_sums_over_pixels_and_broadcasts_its_scale(kind):
    x = to_unit(torch.randint(0, 256, (3, 1, 28, 28), generator=generator(), dtype=torch.uint8))
    mean = torch.zeros_like(x)
    whole = kind(mean, torch.tensor(-1.0)).log_prob(x)
    pixels = kind(mean.reshape(-1, 1), torch.tensor(-1.0)).log_prob(x.reshape(-1, 1))
    assert whole.shape == (3,)
    torch.testing.assert_close(whole, pixels.view(3, -1).sum(1))


@discretised
@pytest.mark.usefixtures("unshaped")
def test_levels_0_to_255_are_refused_with_the_remedy(kind):
    levels = torch.full((1, 1, 28, 28), 200, dtype=torch.uint8)
    p = kind(torch.zeros(1, 1, 28, 28), torch.zeros(()))
    for x in (levels, levels.float()):
        with pytest.raises(ValueError, match=r"data\.to_unit"):
            p.log_prob(x)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-2, 2))
def test_gaussian_likelihood_is_the_normal_density(x, mean, log_scale):
    m, s = torch.tensor([[mean]], dtype=torch.float64), torch.tensor(log_scale, dtype=torch.float64)
    at = torch.full_like(m, x)
    expected = Normal(m, s.exp()).log_prob(at)[0]
    torch.testing.assert_close(GaussianLikelihood(m, s).log_prob(at), expected, rtol=1e-9, atol=1e-9)


def test_gaussian_likelihood_keeps_examples_apart():
    x, mean, log_scale = torch.randn(3, 4, 2, generator=generator(), dtype=torch.float64)
    each = [
        GaussianLikelihood(mean[i : i + 1], log_scale[i : i + 1]).log_prob(x[i : i + 1]) for i in range(4)
    ]
    torch.testing.assert_close(GaussianLikelihood(mean, log_scale).log_prob(x), torch.cat(each))


def test_gaussian_likelihood_samples_with_its_scale():
    draws = GaussianLikelihood(torch.full((20_000, 1), 0.5), torch.tensor(0.3).log()).sample(generator())
    assert abs(z_score(draws[:, 0], 0.5)) < 4
    assert abs(z_score((draws[:, 0] - 0.5) ** 2, 0.09)) < 4


@given(st.floats(-20, 20))
def test_bernoulli_sums_to_one_and_means_what_it_says(logit):
    p = Bernoulli(torch.full((2, 1), logit, dtype=torch.float64))
    off_on = p.log_prob(torch.tensor([[-1.0], [1.0]], dtype=torch.float64)).exp()
    assert float(off_on.sum()) == pytest.approx(1, abs=1e-12)
    assert float(p.mean[0]) == pytest.approx(float(off_on[1] - off_on[0]), abs=1e-12)


def test_bernoulli_samples_on_as_often_as_it_says():
    draws = Bernoulli(torch.full((20_000, 1), 1.0)).sample(generator())[:, 0]
    assert set(draws.tolist()) == {-1.0, 1.0}
    assert abs(z_score(draws, math.tanh(0.5))) < 4


def test_bernoulli_refuses_grey():
    with pytest.raises(ValueError, match="binarise"):
        Bernoulli(torch.zeros(1, 2)).log_prob(torch.tensor([[1.0, 0.3]]))
