"""The diagonal Gaussian against torch.distributions, and against its own samples."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lowerbound.gaussian import Gaussian
from oracles import generator, z_score
from torch.distributions import Normal, kl_divergence

means = st.floats(-5, 5)
logvars = st.floats(-8, 4)


def _row(values) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


@given(st.lists(st.tuples(means, logvars, means, logvars), min_size=1, max_size=5))
def test_kl_equals_that_of_torch_distributions(rows):
    mean, logvar, other_mean, other_logvar = map(_row, zip(*rows, strict=True))
    q, p = Gaussian(mean, logvar), Gaussian(other_mean, other_logvar)
    ours = kl_divergence(Normal(q.mean, q.std), Normal(p.mean, p.std)).sum(1)
    torch.testing.assert_close(q.kl(p), ours, rtol=1e-9, atol=1e-9)
    standard = kl_divergence(Normal(q.mean, q.std), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(q.kl(), standard, rtol=1e-9, atol=1e-9)


@given(means, logvars, means)
def test_log_prob_equals_that_of_torch_distributions(mean, logvar, x):
    q = Gaussian(_row([mean, -mean]), _row([logvar, logvar / 2]))
    expected = Normal(q.mean, q.std).log_prob(_row([x, x])).sum(1)
    torch.testing.assert_close(q.log_prob(_row([x, x])), expected, rtol=1e-9, atol=1e-9)


def test_kl_is_the_mean_log_ratio_of_its_own_samples():
    n = 20_000
    q = Gaussian(_row([0.4, -1.0]).expand(n, 2), _row([-0.5, 0.8]).expand(n, 2))
    p = Gaussian(_row([-0.2, 0.3]).expand(n, 2), _row([0.1, 0.2]).expand(n, 2))
    z = q.sample(generator())
    assert abs(z_score(q.log_prob(z) - p.log_prob(z), float(q.kl(p)[0]))) < 4


def test_kl_is_zero_to_itself_and_exact_when_close():
    q = Gaussian(torch.zeros(1, 784), torch.full((1, 784), 1e-4))
    assert float(q.kl(q)) == 0
    assert float(q.kl()) == pytest.approx(784 * 1e-8 / 4, rel=1e-3)


def test_kl_sums_over_every_dimension_and_keeps_the_batch():
    q = Gaussian(torch.ones(3, 2, 4, 4), torch.zeros(()))
    torch.testing.assert_close(q.kl(), torch.full((3,), 16.0))


def test_sample_has_the_mean_and_the_standard_deviation():
    q = Gaussian(torch.full((40_000, 1), 2.0), torch.tensor(2.0).log() * 2)
    z = q.sample(generator())[:, 0]
    assert abs(z_score(z, 2.0)) < 4
    assert abs(z_score((z - 2) ** 2, 4.0)) < 4


def test_sample_is_differentiable_in_mean_and_logvar():
    mean, logvar = torch.tensor([[1.5]], requires_grad=True), torch.tensor([[0.6]], requires_grad=True)
    z = Gaussian(mean, logvar).sample(generator(3))
    z.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(1, 1))
    torch.testing.assert_close(logvar.grad, (z - mean).detach() / 2)


def test_sample_is_a_function_of_its_generator():
    q = Gaussian(torch.zeros(2, 3), torch.zeros(2, 3))
    assert torch.equal(q.sample(generator(1)), q.sample(generator(1)))
    assert not torch.equal(q.sample(generator(1)), q.sample(generator(2)))


def test_a_logvar_that_does_not_broadcast_is_refused():
    with pytest.raises(ValueError, match="must broadcast to mean"):
        Gaussian(torch.zeros(4, 2), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="must broadcast to mean"):
        Gaussian(torch.zeros(2), torch.zeros(4, 2))
