"""A VAE whose prior is a mixture or a chain: the same Bound, loss and sample, and what they must say."""

import math

import pytest
import torch
from lowerbound.data import Mixture
from lowerbound.dense import CodeDenoiser, DenseDecoder, DenseEncoder
from lowerbound.diffusion import Diffusion, fixed_large, l_bound
from lowerbound.fit import Recipe, fit
from lowerbound.gaussian import Gaussian
from lowerbound.latent import DiffusionPrior, between
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.schedule import cosine, log_snr_linear
from lowerbound.vae import VAE, LatentMixture, StandardNormal
from oracles import ExactDenoiser, generator, standard_normal, toy_diffusion, z_score

X = torch.randn(6, 3, generator=generator(0))


def vae(prior=None, **kwargs) -> VAE:
    torch.manual_seed(0)
    return VAE(DenseEncoder(3, 2, 8), DenseDecoder(3, 2, 8), GaussianLikelihood, prior=prior, **kwargs)


def codes(n: int, mean: float, std: float) -> Gaussian:
    return Gaussian(torch.full((n, 2), mean).double(), torch.full((n, 2), 2 * math.log(std)).double())


def exact_prior(T: int, shift: float = 0.0, scale: float = 1.0, law: Mixture | None = None) -> DiffusionPrior:
    """A chain whose network is right for u from `law`, N(0, I) if not given."""
    chain = toy_diffusion(ExactDenoiser(law or standard_normal(2)), T, 2, fixed_large, objective=l_bound)
    chain.fit_last_step(torch.randn(4000, 2, generator=generator(9)).double(), generator(8))
    return DiffusionPrior(chain, torch.full((2,), shift).double(), torch.full((2,), scale).double())


def chain(T: int = 5, classes: int = 0) -> Diffusion:
    torch.manual_seed(1)
    net = CodeDenoiser(2, 16, 2, classes)
    torch.nn.init.normal_(net.head.weight, std=0.3)
    return Diffusion(net, cosine(T), (2,), GaussianLikelihood, l_bound, clip=False)


def test_without_a_prior_it_is_the_vae_of_chapter_2():
    model = vae()
    bound, q = model.bound(X, generator(1)), model.posterior(X)
    torch.testing.assert_close(bound.rates, q.kl()[:, None])
    assert isinstance(model.prior, StandardNormal)
    assert not [name for name in model.state_dict() if name.startswith("prior")]  # old weights still load
    torch.testing.assert_close(model.sample(3, generator(2)), model.decode(
        torch.randn(3, 2, generator=generator(2))).mean)  # fmt: skip


def test_a_mixture_of_one_standard_normal_has_its_rate_in_the_mean():
    alike = LatentMixture(torch.ones(1).double(), torch.zeros(1, 2).double(), torch.eye(2)[None].double())
    q = codes(20_000, 0.7, 0.5)
    rate = alike.rate(q, q.sample(generator(3)))
    assert abs(z_score(rate, float(q.kl()[0]))) < 4
    torch.testing.assert_close(alike.rates(q, q.mean)[:, 0], alike.rate(q, q.mean))


@pytest.mark.parametrize("T", [4, 64])
def test_a_chain_that_knows_the_standard_normal_has_its_rate_from_above(T):
    q = codes(4000, 0.7, 0.5)
    rates = exact_prior(T).rates(q, q.sample(generator(4)), generator(5))
    assert rates.shape == (4000, T + 1)
    above = rates.sum(1) - q.kl()
    error = float(above.std()) / math.sqrt(4000)
    assert -4 * error < float(above.mean()) < 0.1 + 4 * error


def test_the_unit_of_codes_is_paid_for():
    """Codes of N(3, 2²): the chain sees N(0, 1), and each latent costs log 2 more."""
    q = codes(4000, 3 + 2 * 0.7, 2 * 0.5)
    wide, narrow = exact_prior(64, 3.0, 2.0), exact_prior(64)
    z = q.sample(generator(4))
    torch.testing.assert_close(wide.rates(q, z, generator(5)).sum(1),
        narrow.rates(codes(4000, 0.7, 0.5), (z - 3) / 2, generator(5)).sum(1))  # fmt: skip
    true = Gaussian(torch.full_like(z, 3.0), torch.full_like(z, 2 * math.log(2)))
    above = wide.rates(q, z, generator(5)).sum(1).mean() - q.kl(true).mean()
    assert -0.15 < float(above) < 0.15


def test_one_step_is_an_unbiased_estimate_of_all():
    prior = DiffusionPrior(chain().double())
    q = codes(1, 0.5, 0.3)
    many = Gaussian(q.mean.expand(40_000, 2), q.logvar.expand(40_000, 2))
    z = many.sample(generator(6))
    single = prior.rate(many, z, generator(7))
    every = prior.rates(many, z, generator(8)).sum(1)
    assert abs(z_score(single - every, 0.0)) < 4


def test_the_bound_has_a_rate_for_every_layer_and_one_for_the_code():
    bound = vae(DiffusionPrior(chain(5))).bound(X, generator(1))
    assert bound.rates.shape == (6, 6)
    torch.testing.assert_close(bound.nats(), bound.distortion + bound.rates.sum(1))


def test_the_loss_reaches_encoder_decoder_and_chain():
    model = vae(DiffusionPrior(chain()))
    model.loss(X, generator(1)).mean().backward()
    for part in (model.encoder, model.decoder, model.prior.chain.net):
        assert sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None) > 0


def test_beta_weighs_the_rate_of_any_prior():
    prior = DiffusionPrior(chain())
    one, two = (vae(prior, beta=beta).loss(X, generator(1)) for beta in (1.0, 3.0))
    none = vae(prior, beta=0.0).loss(X, generator(1))
    torch.testing.assert_close(two - none, 3 * (one - none))
    assert float((one - none).detach().abs().min()) > 0.01


def test_training_end_to_end_lowers_the_bound():
    model = vae(DiffusionPrior(chain(20)))
    x = torch.randn(500, 3, generator=generator(3)) * torch.tensor([2.0, 1.0, 0.1])
    before = float(model.bound(x, generator(4)).nats().mean().detach())
    fit(model, x, Recipe(steps=150, batch=64, lr=3e-3), progress=False)
    assert float(model.bound(x, generator(4)).nats().mean().detach()) < before - 0.5


def test_samples_of_a_chain_that_is_right_have_the_law_of_the_codes():
    two = Mixture(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]).double(), 0.3, torch.tensor([0.5, 0.5]).double())
    z = exact_prior(200, 3.0, 2.0, two).sample(4000, generator(5))
    assert abs(z_score(z[:, 0], 3.0)) < 4
    assert float(z[:, 0].std()) == pytest.approx(2 * math.sqrt(1 + 0.09), rel=0.03)
    assert float((z.prod(1) < 0).double().mean()) < 0.6  # both latents on the same side


def test_a_vae_draws_from_its_prior_and_from_another_if_told():
    prior, model = DiffusionPrior(chain()), vae()
    inside, told = model.with_prior(prior), model.sample(4, generator(1), codes=prior.respaced(2))
    torch.testing.assert_close(inside.sample(4, generator(1)), model.sample(4, generator(1), codes=prior))
    assert told.shape == (4, 3)
    assert inside.encoder is model.encoder
    assert inside.decoder is model.decoder


def test_respaced_takes_so_many_calls_and_keeps_shift_and_scale():
    prior = DiffusionPrior(chain(50), torch.ones(2), 2 * torch.ones(2))
    few = prior.respaced(5)
    assert few.chain.schedule.T == 5
    torch.testing.assert_close(few.standardised(torch.ones(1, 2)), torch.zeros(1, 2))
    assert prior.with_schedule(log_snr_linear(7)).chain.schedule.T == 7


def test_guided_codes_differ_by_class():
    prior = DiffusionPrior(chain(5, classes=3))
    one, two = (prior.guided(torch.tensor(y), 1.0).sample(4, generator(1)) for y in (0, 1))
    assert float((one - two).abs().max()) > 1e-4


def test_a_chain_has_no_importance_weights():
    with pytest.raises(ValueError, match="bound of log p"):
        vae(DiffusionPrior(chain())).log_weights(X, 2, generator(1))


def test_a_chain_that_clips_is_refused():
    with pytest.raises(ValueError, match="clip=False"):
        DiffusionPrior(Diffusion(CodeDenoiser(2, 16, 1), cosine(4), (2,), GaussianLikelihood))


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        between(X, X, share)


def test_the_arc_between_two_codes_keeps_their_variance_and_ends_at_them():
    a, b = (torch.randn(20_000, 1, generator=generator(i)) for i in (0, 1))
    torch.testing.assert_close(between(a, b, 0.0), a)
    torch.testing.assert_close(between(a, b, 1.0), b, atol=1e-6, rtol=0)
    assert float(between(a, b, 0.5).var()) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("y", [torch.tensor([3]), torch.tensor([-2])])
def test_classes_that_the_denoiser_does_not_have_are_refused(y):
    with pytest.raises(ValueError, match="classes must be in"):
        CodeDenoiser(2, 16, 1, classes=3)(torch.zeros(1, 2), torch.zeros(1), y)
