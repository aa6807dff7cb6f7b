"""The VAE against models whose log p(x) is known: linear ones in closed form, others by quadrature."""

import math

import pytest
import torch
from lowerbound import data
from lowerbound.dense import DenseDecoder, DenseEncoder
from lowerbound.likelihood import DiscretisedLogistic, GaussianLikelihood
from lowerbound.metrics import log_prob_importance
from lowerbound.nets import Decoder, Encoder
from lowerbound.vae import VAE
from oracles import generator, z_score
from torch import nn
from torch.distributions import MultivariateNormal

W = torch.tensor([[1.2], [-0.5]], dtype=torch.float64)
SIGMA = 0.6


class LinearDecoder(nn.Module):
    """p(x | z) = N(W z, σ² I) with one latent: probabilistic PCA."""

    latents = 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(W.clone())

    def forward(self, z):
        mean = z @ self.weight.T
        return mean, torch.tensor(SIGMA, dtype=z.dtype).log().expand_as(mean)


class LinearEncoder(nn.Module):
    """The exact posterior of LinearDecoder, its mean moved by `shift`."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, x):
        variance = 1 / (1 + (W**2).sum() / SIGMA**2)
        mean = variance * (x @ W) / SIGMA**2 + self.shift
        return mean, variance.log().expand_as(mean)


def _linear(shift: float = 0.0, beta: float = 1.0) -> VAE:
    return VAE(LinearEncoder(shift), LinearDecoder(), GaussianLikelihood, beta)


def _exact_log_prob(x: torch.Tensor) -> torch.Tensor:
    cov = W @ W.T + SIGMA**2 * torch.eye(2, dtype=torch.float64)
    return MultivariateNormal(torch.zeros(2, dtype=torch.float64), cov).log_prob(x)


X = torch.tensor([[0.4, -1.1], [2.0, 0.3], [-1.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize("i", range(3))
def test_with_the_exact_posterior_the_bound_is_log_p(i):
    x = X[i : i + 1].expand(30_000, 2)
    assert abs(z_score(_linear().bound(x, generator()).nats(), -float(_exact_log_prob(X)[i]))) < 4


def test_the_gap_is_the_kl_to_the_exact_posterior():
    shift, x = 0.5, X[:1].expand(60_000, 2)
    variance = 1 / (1 + float((W**2).sum()) / SIGMA**2)
    gap = shift**2 / (2 * variance)
    nats = _linear(shift).bound(x, generator()).nats()
    assert abs(z_score(nats, -float(_exact_log_prob(X)[0]) + gap)) < 4


def test_importance_weights_of_the_exact_posterior_are_constant():
    for k in (1, 7):
        torch.testing.assert_close(log_prob_importance(_linear(), X, k, generator()), _exact_log_prob(X))


def test_the_bound_of_an_untrained_model_stays_below_its_own_log_p():
    torch.manual_seed(0)
    mixture = data.ring()
    model = VAE(DenseEncoder(2, 1, 16), DenseDecoder(2, 1, 16), GaussianLikelihood).double()
    x = mixture.sample(20, generator(1)).double()
    grid = torch.linspace(-8, 8, 2001, dtype=torch.float64)[:, None]
    prior = -0.5 * (grid[:, 0] ** 2 + math.log(2 * math.pi)) + math.log(16 / 2000)
    with torch.no_grad():
        for point in x:
            exact = torch.logsumexp(model.decode(grid).log_prob(point.expand(2001, 2)) + prior, 0)
            nats = model.bound(point.expand(2000, 2), generator(2)).nats()
            assert z_score(nats, -float(exact)) > -4
        many = mixture.sample(4000, generator(3)).double()
        assert z_score(model.bound(many, generator(4)).nats() + mixture.log_prob(many), 0.0) > 4


def test_the_bound_has_one_layer_and_its_distortion_is_a_log_probability():
    model = _linear()
    bound = model.bound(X, generator(3))
    q = model.posterior(X)
    assert bound.rates.shape == (3, 1)
    torch.testing.assert_close(bound.rates[:, 0], q.kl())
    torch.testing.assert_close(bound.distortion, -model.decode(q.sample(generator(3))).log_prob(X))


def test_beta_weighs_the_loss_and_never_the_bound():
    plain, heavy = _linear(0.3), _linear(0.3, beta=4.0)
    a, b = plain.bound(X, generator(1)), heavy.bound(X, generator(1))
    torch.testing.assert_close(a.nats(), b.nats())
    torch.testing.assert_close(plain.loss(X, generator(1)), a.nats())
    torch.testing.assert_close(heavy.loss(X, generator(1)), a.distortion + 4 * a.rate)


def test_a_negative_beta_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        _linear(beta=-1.0)


def test_the_gradient_reaches_encoder_and_decoder():
    torch.manual_seed(0)
    model = VAE(DenseEncoder(2, 3, 8), DenseDecoder(2, 3, 8), GaussianLikelihood)
    model.loss(torch.randn(16, 2), generator()).mean().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in model.parameters())


def test_samples_are_the_decoders_mean_or_a_draw_around_it():
    model = _linear()
    mean, draw = model.sample(20_000, generator()), model.sample(20_000, generator(), last_noise=True)
    z = torch.randn(20_000, 1, dtype=torch.float64, generator=generator())
    torch.testing.assert_close(mean, z @ W.T)
    noise = (draw - mean).flatten()
    assert abs(z_score(noise, 0.0)) < 4
    assert abs(z_score(noise**2, SIGMA**2)) < 4


def test_the_image_model_keeps_shapes_and_stays_finite():
    torch.manual_seed(0)
    model = VAE(Encoder(4, 8), Decoder(4, 8))
    x = data.to_unit(torch.randint(0, 256, (2, 1, 28, 28), generator=generator(), dtype=torch.uint8))
    bound = model.bound(x, generator())
    assert bound.rates.shape == (2, 1)
    assert torch.isfinite(bound.nats()).all()
    assert model.sample(3, generator()).shape == (3, 1, 28, 28)
    assert isinstance(model.decode(torch.zeros(1, 4)), DiscretisedLogistic)
    draw = model.sample(2, generator(), last_noise=True)
    torch.testing.assert_close(data.to_unit(data.to_uint8(draw)), draw, rtol=0, atol=1e-6)
