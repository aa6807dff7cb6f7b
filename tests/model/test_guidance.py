"""Guidance against the density it leans towards, and classes on their way into the network."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lowerbound import schedule
from lowerbound.data import Mixture
from lowerbound.diffusion import Diffusion
from lowerbound.guidance import Guided
from lowerbound.nets import UNet
from lowerbound.samplers import dpm_solver
from oracles import ExactDenoiser, full, generator, toy_diffusion, z_score
from torch import nn

MEANS = torch.tensor([[-1.0, 0.4], [0.7, -0.6], [0.3, 1.1]], dtype=torch.float64)
SHARES = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
WHOLE = Mixture(MEANS, 0.4, SHARES)
CLASSES = [Mixture(MEANS[k : k + 1], 0.4, torch.ones(1, dtype=torch.float64)) for k in range(3)]


class ExactOfClass(nn.Module):
    """The best ε̂ of WHOLE for class −1, and of one of its components for the others."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = [ExactDenoiser(mixture) for mixture in (*CLASSES, WHOLE)]
        self.rows = 0

    def forward(self, xt, log_snr, y=None):
        self.rows += len(xt)
        y = torch.full((len(xt),), -1) if y is None else y
        answers = torch.stack([net(xt, log_snr) for net in self.nets])
        return answers[y, torch.arange(len(xt))]


def model_of(T: int = 10) -> Diffusion:
    return toy_diffusion(ExactOfClass(), T)


def noisy(n: int = 6) -> torch.Tensor:
    return 1.5 * torch.randn(n, 2, dtype=torch.float64, generator=generator(3))


def leaned(x: torch.Tensor, alpha_bar: float, y: int, weight: float) -> torch.Tensor:
    """Log p(x) p(y | x)^{1 + w} at one noise level, up to a constant, by Bayes from the densities."""
    whole, given_class = (m.noised(alpha_bar).log_prob(x) for m in (WHOLE, CLASSES[y]))
    return whole + (1 + weight) * (SHARES[y].log() + given_class - whole)


@pytest.mark.parametrize("t", [1, 4, 10])
@given(weight=st.floats(-1.5, 8), y=st.integers(0, 2))
def test_guided_noise_is_that_of_the_leaned_density(t, weight, y):
    """ε̂ = −√(1 − ᾱ) ∇ log p(x) p(y | x)^{1 + w}, the gradient taken by autograd."""
    model, x = model_of(), noisy().requires_grad_()
    alpha_bar = float(model.schedule.alpha_bar[t])
    (score,) = torch.autograd.grad(leaned(x, alpha_bar, y, weight).sum(), x)
    ours = model.guided(torch.tensor(y), weight).predict_eps(x.detach(), full(len(x), t))
    torch.testing.assert_close(ours, -((1 - alpha_bar) ** 0.5) * score, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("weight", "of"), [(0.0, 1), (-1.0, -1)])
def test_weight_0_is_the_class_and_minus_1_is_no_class_each_at_the_price_of_one(weight, of):
    model, x, t = model_of(), noisy(), full(6, 5)
    guided = model.guided(torch.tensor(1), weight)
    expected = model.predict_eps(x, t, full(6, of))
    torch.testing.assert_close(guided.predict_eps(x, t), expected, rtol=1e-12, atol=1e-12)
    assert model.net.rows == 6 + 6
    model.guided(torch.tensor(1), 1.0).predict_eps(x, t)
    assert model.net.rows == 6 + 6 + 12


def test_one_class_for_all_or_one_for_each():
    model, x, t = model_of(), noisy(3), full(3, 5)
    each = model.guided(torch.tensor([2, 0, 1]), 2.0).predict_eps(x, t)
    alone = [
        model.guided(torch.tensor(y), 2.0).predict_eps(x[k : k + 1], t[:1]) for k, y in enumerate((2, 0, 1))
    ]
    torch.testing.assert_close(each, torch.cat(alone), rtol=1e-12, atol=1e-12)


def test_a_guided_model_samples_and_has_a_bound():
    guided = model_of(40).guided(torch.tensor(0))
    x = guided.sample(2000, generator(), sampler=dpm_solver)
    nearest = (x[:, None] - MEANS).norm(dim=2).argmin(1)
    assert float((nearest == 0).double().mean()) > 0.99
    assert torch.isfinite(guided.bound(noisy(), generator()).nats()).all()


def test_guidance_draws_less_widely_than_the_class():
    """Which is why w ≠ 0 gives no samples of p(x | y): the spread shrinks, and the mean moves away."""
    model, xT = model_of(60), torch.randn(4000, 2, dtype=torch.float64, generator=generator(5))
    plain, strong = (list(dpm_solver(model.guided(torch.tensor(0), w), xT))[-1] for w in (0.0, 4.0))
    assert abs(z_score(plain[:, 0], float(MEANS[0, 0]))) < 4
    assert plain.std(0).mean() == pytest.approx(0.4, rel=0.05)
    assert strong.std(0).mean() < 0.9 * plain.std(0).mean()
    others = (MEANS[1:] * SHARES[1:, None]).sum(0) / SHARES[1:].sum()
    away = MEANS[0] - others
    assert float(((strong - plain) @ away).mean()) > 0.1


def test_respaced_and_guided_in_either_order():
    model, y = model_of(20), torch.tensor([0, 2, 1, 1, 0, 2])
    one, other = model.respaced(5).guided(y, 3.0), model.guided(y, 3.0).respaced(5)
    assert torch.equal(one.schedule.alpha_bar, other.schedule.alpha_bar)
    a, b = (list(dpm_solver(m, noisy())) for m in (one, other))
    assert all(torch.equal(*pair) for pair in zip(a, b, strict=True))
    assert one.log_width == other.log_width == model.log_width


# What is refused


def test_another_number_of_classes_than_examples_is_refused():
    guided = model_of().guided(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="2 classes for 6 examples"):
        guided.predict_eps(noisy(), full(6, 5))


@pytest.mark.usefixtures("unshaped")
@pytest.mark.parametrize("y", [torch.tensor(1.0), torch.tensor([[1]])])
def test_classes_of_another_type_or_shape_are_refused(y):
    with pytest.raises(ValueError, match=r"y must be int64 of shape \(\) or \(B,\)"):
        Guided(nn.Identity(), y, 1.0)


@pytest.mark.parametrize("classes", [0, 10])
def test_a_class_that_the_network_has_not_is_refused(classes):
    net, x = UNet(width=8, classes=classes), torch.zeros(2, 1, 28, 28)
    for y in (-2, classes):
        with pytest.raises(ValueError, match=rf"classes must be in -1\.\.{classes - 1}"):
            net(x, torch.zeros(2), torch.tensor([-1, y]))
        with pytest.raises(ValueError, match="classes must be in"):
            Diffusion(net, schedule.cosine(3)).guided(torch.tensor(y)).predict_eps(x, full(2, 3))


def test_no_class_said_or_left_out_is_one_to_the_network():
    torch.manual_seed(0)
    net = UNet(width=8, classes=10)
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.1)
    x, level = torch.randn(2, 1, 28, 28), torch.tensor([-3.0, 3.0])
    with torch.no_grad():
        left_out, none, third = net(x, level), net(x, level, full(2, -1)), net(x, level, full(2, 3))
    assert torch.equal(left_out, none)
    assert (third - none).abs().amax((1, 2, 3)).min() > 1e-5


# Classes in training


def seen_by(model: Diffusion, y, rounds: int = 1, rng=None) -> torch.Tensor:
    """The classes that the network is asked with, in so many calls of the loss; None where it gets none."""
    seen, rng = [], rng or generator()
    model.predict_eps = lambda xt, t, y=None: seen.append(y) or xt
    for _ in range(rounds):
        model.loss(torch.zeros(len(y) if y is not None else 4, 2, dtype=torch.float64), rng, y)
    return seen[0] if y is None else torch.stack(seen)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.6, 1.0])
def test_the_loss_hides_a_class_as_often_as_it_is_told(rate):
    model, y, rounds = toy_diffusion(ExactOfClass(), 10, drop_class=rate), torch.arange(8) % 3, 500
    seen = seen_by(model, y, rounds)
    hidden = seen == -1
    assert torch.equal(seen[~hidden], y.expand(rounds, 8)[~hidden])
    error = math.sqrt(rate * (1 - rate) / rounds)
    assert (hidden.double().mean(0) - rate).abs().max() <= 4 * error  # for each place in the batch


def test_without_classes_the_loss_asks_without():
    assert seen_by(toy_diffusion(ExactOfClass(), 10, drop_class=1.0), None) is None
