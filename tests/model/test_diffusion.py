"""The diffusion model against Bayes, against the chain it is made of, and against exact densities."""

import math

import pytest
import torch
from lowerbound import data, schedule
from lowerbound.dense import DenseDenoiser
from lowerbound.diffusion import Diffusion, fixed_large, fixed_small, l_bound, l_simple
from lowerbound.gaussian import Gaussian
from lowerbound.likelihood import DiscretisedGaussian, DiscretisedLogistic, GaussianLikelihood
from lowerbound.nets import UNet
from oracles import AnyDenoiser, ExactDenoiser, full, generator, standard_normal, toy_diffusion, z_score

VARIANCES = [fixed_small, fixed_large]


def test_q_sample_treats_every_example_with_its_own_t():
    model = Diffusion(AnyDenoiser(), schedule.cosine(10))
    x, eps = torch.rand(3, 1, 28, 28) * 2 - 1, torch.randn(3, 1, 28, 28)
    t = torch.tensor([1, 10, 4])
    whole = model.q_sample(x, t, eps)
    for i in range(3):
        alone = slice(i, i + 1)
        torch.testing.assert_close(whole[alone], model.q_sample(x[alone], t[alone], eps[alone]))


def test_at_the_last_step_the_posterior_is_x0_itself():
    model = toy_diffusion(AnyDenoiser(), 10)
    x0, x1 = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    torch.testing.assert_close(model.q_posterior(x0, x1, full(3, 1)).mean, x0)


def test_x0_from_eps_undoes_q_sample():
    model = toy_diffusion(AnyDenoiser(), 30)
    t = torch.arange(1, 31)
    x0, eps = torch.randn(2, 30, 2, dtype=torch.float64, generator=generator())
    again = model.x0_from_eps(model.q_sample(x0, t, eps), t, eps)
    torch.testing.assert_close(again, x0, rtol=1e-9, atol=1e-9)


def test_clipping_keeps_the_guess_in_range_and_can_be_turned_off():
    x, t = torch.full((1, 1, 28, 28), 30.0), full(1, 500)
    clipped = Diffusion(AnyDenoiser(), schedule.cosine(1000))
    free = Diffusion(AnyDenoiser(), schedule.cosine(1000), clip=False)
    assert float(clipped.predict_x0(x, t).max()) == 1
    assert float(free.predict_x0(x, t).max()) > 1


@pytest.mark.parametrize("t", [0, -1, 11])
def test_t_out_of_range_is_refused(t):
    model = toy_diffusion(AnyDenoiser(), 10)
    x = torch.zeros(2, 2, dtype=torch.float64)
    for predict in (model.predict_eps, model.predict_x0, model.p_reverse):
        with pytest.raises(ValueError, match=r"t must be in [12]\.\.10"):
            predict(x, torch.tensor([5, t]))


def test_the_network_is_told_log_snr():
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, xt, log_snr):
            seen.append(log_snr)
            return xt

    model = toy_diffusion(Spy(), 10)
    model.predict_eps(torch.zeros(2, 2, dtype=torch.float64), torch.tensor([1, 10]))
    torch.testing.assert_close(seen[0], torch.tensor([8.0, -8.0], dtype=torch.float64))


def test_fixed_large_is_exact_for_standard_normal_data():
    model = toy_diffusion(ExactDenoiser(standard_normal()), 20, 1, fixed_large)
    s, xt = model.schedule, torch.tensor([[0.7]], dtype=torch.float64)
    for t in range(2, 21):
        p = model.p_reverse(xt, full(1, t))  # x_{t−1} given x_t of a stationary chain
        torch.testing.assert_close(p.mean, s.alpha[t].sqrt() * xt)
        torch.testing.assert_close(p.logvar.exp().squeeze(), s.beta[t])


@pytest.mark.parametrize("T", [1, 2, 20])
def test_the_bound_of_standard_normal_data_is_the_entropy_term_by_term(T):
    n = 40_000
    model = toy_diffusion(ExactDenoiser(standard_normal()), T, 1, fixed_large)
    a = model.schedule.alpha_bar
    with torch.no_grad():
        model.log_width.fill_(0.5 * math.log(float(a[1])))  # the width of the exact p(x_0 | x_1)
    bound = model.bound(torch.randn(n, 1, dtype=torch.float64, generator=generator(1)), generator(2))
    assert bound.rates.shape == (n, T)
    expected = 0.5 * (torch.log(1 - a[2:]) - torch.log(1 - a[1:-1]))
    for t in range(2, T + 1):
        assert abs(z_score(bound.rates[:, t - 2], float(expected[t - 2]))) < 4.5, t
    assert abs(z_score(bound.rates[:, -1], -0.5 * math.log(1 - float(a[T])))) < 4.5
    last = 0.5 * math.log(2 * math.pi * math.e * (1 - float(a[1])))
    assert abs(z_score(bound.distortion, last)) < 4.5
    assert abs(z_score(bound.nats(), 0.5 * math.log(2 * math.pi * math.e))) < 4.5


def _gap(model: Diffusion, mixture: data.Mixture, n: int = 3000) -> torch.Tensor:
    """Negative ELBO less the exact −log p, for n draws of the mixture."""
    x = mixture.sample(n, generator(5)).double()
    return model.bound(x, generator(6)).nats() + mixture.log_prob(x)


@pytest.mark.parametrize("mixture", [data.ring(), data.bimodal()], ids=["ring", "bimodal"])
@pytest.mark.parametrize("variance", VARIANCES)
def test_the_bound_holds_and_its_gap_closes_as_steps_are_added(mixture, variance):
    gaps = []
    for T in (2, 8, 50, 200):
        model = toy_diffusion(ExactDenoiser(mixture), T, mixture.means.shape[1], variance)
        model.fit_last_step(mixture.sample(2000, generator(7)).double(), generator(8))
        gap = _gap(model, mixture)
        assert z_score(gap, 0.0) > -4
        gaps.append(float(gap.mean()))
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3]
    assert gaps[0] > 0.3
    assert gaps[3] < min(gaps[2] / 2.5 + 0.02, 0.2)  # of order 1/T: a quarter, here


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("T", [1, 7])
def test_the_bound_of_an_untrained_model_holds(variance, T):
    torch.manual_seed(0)
    model = toy_diffusion(DenseDenoiser(2, 16), T, 2, variance)
    assert z_score(_gap(model, data.ring()), 0.0) > 0


def test_the_best_denoiser_beats_its_neighbours():
    mixture = data.ring()
    exact = ExactDenoiser(mixture)

    class Off(torch.nn.Module):
        def forward(self, xt, log_snr):
            return 1.1 * exact(xt, log_snr)

    best, off = (_gap(toy_diffusion(net, 30), mixture) for net in (exact, Off()))
    assert z_score(off - best, 0.0) > 4


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("T", [1, 5])
def test_l_bound_is_an_unbiased_estimate_of_the_bound_without_its_constant(variance, T):
    n = 60_000
    model = toy_diffusion(AnyDenoiser(), T, 2, variance, objective=l_bound)
    x = torch.tensor([[0.3, -0.8]], dtype=torch.float64).expand(n, 2)
    with torch.no_grad():
        estimate = model.loss(x, generator(1))
    bound = model.bound(x, generator(2))
    exact = bound.nats() - bound.rates[:, -1]
    error = math.hypot(float(estimate.std()), float(exact.std())) / math.sqrt(n)
    assert abs(float(estimate.mean() - exact.mean())) < 4 * error


def test_l_simple_is_the_error_of_the_noise_alone():
    model = toy_diffusion(AnyDenoiser(), 5, objective=l_simple)
    captured = []
    model.objective = lambda m, noised: captured.append(noised) or l_simple(m, noised)
    loss = model.loss(torch.zeros(4, 2, dtype=torch.float64), generator())
    noised = captured[0]
    torch.testing.assert_close(loss, ((noised.eps - noised.eps_hat) ** 2).sum(1))
    torch.testing.assert_close(noised.xt, model.q_sample(noised.x0, noised.t, noised.eps))


def test_t_is_uniform_for_each_example_and_spread_over_the_batch():
    model = toy_diffusion(AnyDenoiser(), 10)
    seen = []
    model.objective = lambda m, noised: seen.append(noised.t) or noised.squared_error()
    rng = generator()
    for _ in range(1000):
        model.loss(torch.zeros(5, 2, dtype=torch.float64), rng)
    t = torch.stack(seen)
    for column in t.T:
        counts = torch.bincount(column, minlength=11)
        assert counts[0] == 0
        assert len(counts) == 11
        assert (counts[1:] - 100).abs().max() < 5 * math.sqrt(100)
    assert min(len(row.unique()) for row in t) == 5


def test_the_terminal_kl_is_that_of_the_last_step():
    model = toy_diffusion(AnyDenoiser(), 3, 2, schedule=schedule.linear(3))
    x = torch.tensor([[0.5, -1.0]], dtype=torch.float64)
    a = float(model.schedule.alpha_bar[3])
    expected = sum(0.5 * (a * (v**2 - 1) - math.log1p(-a)) for v in (0.5, -1.0))
    assert float(model.bound(x, generator()).rates[0, -1]) == pytest.approx(expected, rel=1e-6)


def test_respaced_shares_the_network_but_not_the_width():
    model = toy_diffusion(AnyDenoiser(), 100, variance=fixed_large, objective=l_bound).eval()
    with torch.no_grad():
        model.log_width.fill_(-0.5)
    short = model.respaced(10)
    assert short.net is model.net
    assert torch.equal(short.schedule.alpha_bar, model.schedule.alpha_bar[::10])
    assert (short.variance, short.objective, short.clip) == (fixed_large, l_bound, False)
    assert short.likelihood is model.likelihood
    assert not short.training
    assert short.log_width == model.log_width
    with torch.no_grad():
        short.log_width.fill_(1.0)
    assert model.log_width.item() == -0.5


def test_fit_last_step_lowers_the_distortion_and_changes_nothing_else():
    mixture = data.ring()
    model = toy_diffusion(ExactDenoiser(mixture), 4)
    x = mixture.sample(2000, generator(1)).double()
    before = model.bound(x, generator(2))
    assert model.fit_last_step(x, generator(3)) is model
    after = model.bound(x, generator(2))
    assert after.distortion.mean() < before.distortion.mean()
    assert torch.equal(before.rates, after.rates)


@pytest.mark.parametrize("kind", [DiscretisedLogistic, DiscretisedGaussian, GaussianLikelihood])
@pytest.mark.parametrize("off", [0.0, 1e-4, 0.05, 0.4, 30.0])
def test_the_width_that_is_fitted_is_the_best_of_all(kind, off):
    x = data.to_unit(data.load("fashion-mnist", "test").x[:4])
    guess = x + off * torch.randn(x.shape, generator=generator())
    model = Diffusion(AnyDenoiser(), schedule.cosine(3), likelihood=kind).fit_width(guess, x)
    fitted, costs = model.log_width.item(), {}
    with torch.no_grad():
        for width in torch.linspace(-5, 2, 141):
            model.log_width.fill_(width)
            costs[width.item()] = -float(model.last_step(guess).log_prob(x).double().mean())
    assert fitted == min(costs, key=costs.get)


def test_the_width_is_trained_by_l_bound():
    model = toy_diffusion(AnyDenoiser(), 2, objective=l_bound)
    model.loss(torch.zeros(8, 2, dtype=torch.float64), generator()).mean().backward()
    assert model.log_width.grad is not None
    assert model.log_width.grad != 0


def test_images_of_zeros_and_an_untrained_unet_give_a_finite_bound():
    torch.manual_seed(0)
    model = Diffusion(UNet(width=8), schedule.cosine(3))
    bound = model.bound(torch.zeros(2, 1, 28, 28), generator())
    assert bound.rates.shape == (2, 3)
    assert torch.isfinite(bound.nats()).all()
    assert (bound.rates >= 0).all()


@pytest.mark.parametrize("n", [1, 3])
def test_sample_has_the_shape_of_the_data(n):
    model = toy_diffusion(AnyDenoiser(), 4)
    out = model.sample(n, generator())
    assert out.shape == (n, 2)
    assert not out.requires_grad
    assert torch.equal(out, model.sample(n, generator()))


def test_p_reverse_is_the_posterior_of_the_guess():
    model = toy_diffusion(AnyDenoiser(), 8)
    xt, t = torch.randn(6, 2, dtype=torch.float64, generator=generator()), torch.tensor([2, 3, 4, 5, 6, 8])
    p, q = model.p_reverse(xt, t), model.q_posterior(model.predict_x0(xt, t), xt, t)
    assert isinstance(p, Gaussian)
    torch.testing.assert_close(p.kl(q), torch.zeros(6, dtype=torch.float64))
