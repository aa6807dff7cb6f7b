"""The VAE against models whose log p(x) is known: linear ones in closed form, others by quadrature."""

import math

import pytest
import torch
from lowerbound import data
from lowerbound.dense import DenseDecoder, DenseEncoder
from lowerbound.likelihood import DiscretisedLogistic, GaussianLikelihood
from lowerbound.metrics import log_prob_importance
from lowerbound.nets import Decoder, Encoder, Ladder
from lowerbound.vae import VAE, HierarchicalVAE, LatentMixture
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


# ---- several layers


def _ladder(depth: int = 3) -> HierarchicalVAE:
    torch.manual_seed(0)
    return HierarchicalVAE(Ladder(depth, 2, 8))


IMAGES = data.to_unit(data.load("fashion-mnist", "test").x[:5])


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_a_ladder_has_a_rate_for_each_layer_and_none_is_negative(depth):
    bound = _ladder(depth).bound(IMAGES, generator(0))
    assert bound.rates.shape == (5, depth)
    assert bool((bound.rates >= -1e-4).all())
    assert bool((bound.distortion > 0).all())


def test_the_last_rate_is_that_of_the_top_layer_whose_prior_is_standard():
    model, seen = _ladder(), []
    top = model.ladder.layers[0]
    original = top.posterior
    top.posterior = lambda state, feature: seen.append(original(state, feature)) or seen[-1]
    rates = model.bound(IMAGES, generator(0)).rates
    mean, logvar = seen[0]
    by_hand = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).flatten(1).sum(1)
    torch.testing.assert_close(rates[:, -1], by_hand)


@pytest.mark.parametrize("model", [_ladder(2), VAE(Encoder(3, 8), Decoder(3, 8))], ids=["ladder", "vae"])
def test_the_mean_log_weight_is_the_negative_bound(model):
    x = IMAGES[:1].expand(400, -1, -1, -1)
    with torch.no_grad():
        gap = -model.log_weights(x, 1, generator(1))[0] - model.bound(x, generator(2)).nats()
    assert abs(z_score(gap, 0.0)) < 4


def test_each_layer_of_a_sample_is_drawn_from_its_prior():
    model, drawn = _ladder(2), []
    for layer in model.ladder.layers:
        absorb = layer.absorb
        layer.absorb = lambda state, z, absorb=absorb: drawn.append(z) or absorb(state, z)
    images = model.sample(300, generator(3))
    assert images.shape == (300, 1, 28, 28)
    assert [tuple(z.shape[1:]) for z in drawn] == [(2, 7, 7), (2, 14, 14)]
    assert float(drawn[0].mean()) == pytest.approx(0, abs=0.02)
    assert float(drawn[0].std()) == pytest.approx(1, abs=0.02)
    levels = model.sample(4, generator(3), last_noise=True)
    assert torch.equal(data.to_unit(data.to_uint8(levels)), levels)


def test_the_gradient_reaches_every_weight_of_a_ladder():
    model = _ladder(4)
    model.loss(IMAGES, generator(0)).mean().backward()
    zeroed = [name for name, p in model.named_parameters() if p.grad is None]
    assert not zeroed


def test_a_ladder_without_layers_is_refused():
    with pytest.raises(ValueError, match="at least 1 layer, got 0"):
        Ladder(0)


# ---- where codes come from


def test_a_mixture_of_codes_finds_two_clouds_and_draws_from_them():
    near = torch.randn(600, 2, generator=generator(0)) * torch.tensor([0.5, 0.1]) + torch.tensor([3.0, 0.0])
    far = torch.randn(200, 2, generator=generator(1)) * 0.2 - torch.tensor([2.0, 1.0])
    codes = torch.cat([near, far])
    found = LatentMixture.fit(codes, 2, generator(2))
    heavy = int(found.weights.argmax())
    assert float(found.weights[heavy]) == pytest.approx(0.75, abs=0.01)
    torch.testing.assert_close(found.means[heavy], near.double().mean(0), atol=0.02, rtol=0)
    spread = found.scales[heavy] @ found.scales[heavy].T
    torch.testing.assert_close(spread, near.T.cov(correction=0).double(), atol=0.01, rtol=0)
    drawn = found.sample(4000, generator(3))
    torch.testing.assert_close(drawn.mean(0), codes.double().mean(0), atol=0.15, rtol=0)
    one = LatentMixture.fit(codes, 1, generator(2))
    assert float(found.log_prob(codes).mean()) > float(one.log_prob(codes).mean()) + 0.5


def test_the_density_of_a_mixture_is_that_of_torch():
    found = LatentMixture.fit(torch.randn(50, 3, generator=generator(0)), 2, generator(1), steps=3)
    parts = MultivariateNormal(found.means, scale_tril=found.scales)
    z = torch.randn(4, 3, generator=generator(2), dtype=torch.float64)
    expected = torch.logsumexp(parts.log_prob(z[:, None]) + found.weights.log(), 1)
    torch.testing.assert_close(found.log_prob(z), expected)


def test_a_vae_starts_from_a_mixture_if_it_is_given_one():
    vae = VAE(Encoder(2, 8), Decoder(2, 8)).eval()
    points = LatentMixture(
        torch.ones(1).double(), torch.full((1, 2), 3.0).double(), 1e-9 * torch.eye(2)[None].double()
    )
    with torch.no_grad():
        expected = vae.decode(torch.full((4, 2), 3.0)).mean
    torch.testing.assert_close(vae.sample(4, generator(0), codes=points), expected)


@pytest.mark.parametrize("components", [0, 6])
def test_no_components_or_more_than_codes_are_refused(components):
    with pytest.raises(ValueError, match=r"components must be in 1\.\.5"):
        LatentMixture.fit(torch.zeros(5, 2), components)
