"""Samplers: what they yield, how they agree, and where they end."""

import math
from itertools import pairwise

import pytest
import torch
from lowerbound import data, schedule
from lowerbound.diffusion import fixed_large
from lowerbound.samplers import ancestral, ddim, dpm_solver, heun
from oracles import AnyDenoiser, ExactDenoiser, full, generator, standard_normal, toy_diffusion, z_score

T = 12
ALL = [ancestral, ddim, dpm_solver, heun]
WITHOUT_NOISE = [ddim, dpm_solver, heun]


def _start(n: int = 6, dims: int = 2) -> torch.Tensor:
    return torch.randn(n, dims, dtype=torch.float64, generator=generator(1))


@pytest.mark.parametrize("sampler", ALL)
@pytest.mark.parametrize("steps", [1, 2, T])
def test_a_sampler_yields_every_state(sampler, steps):
    xT = _start()
    states = list(sampler(toy_diffusion(AnyDenoiser(), steps), xT, rng=generator()))
    assert len(states) == steps + 1
    assert torch.equal(states[0], xT)
    assert all(x.shape == xT.shape and not x.requires_grad for x in states)


@pytest.mark.parametrize(
    ("sampler", "calls"), [(ancestral, T), (ddim, T), (dpm_solver, T), (heun, 2 * T - 1)]
)
def test_what_a_sampler_costs(sampler, calls):
    model, seen = toy_diffusion(AnyDenoiser(), T), []
    model.net.register_forward_hook(lambda *args: seen.append(1))
    list(sampler(model, _start(), rng=generator()))
    assert len(seen) == calls


@pytest.mark.parametrize("t", [2, 5, T])
def test_one_ddim_step_with_eta_1_has_the_posteriors_mean_and_variance(t):
    model = toy_diffusion(AnyDenoiser(), T, 1)
    model = model if t == T else toy_diffusion(AnyDenoiser(), t, 1)
    x = torch.full((20_000, 1), 0.4, dtype=torch.float64)
    walk = ddim(model, x, 1.0, generator())
    next(walk)
    step = next(walk)[:, 0]
    p = model.p_reverse(x[:1], full(1, t))
    assert abs(z_score(step, float(p.mean))) < 4
    assert abs(z_score((step - p.mean[0]) ** 2, float(p.logvar.exp()))) < 4


@pytest.mark.parametrize("sampler", WITHOUT_NOISE)
def test_a_deterministic_sampler_asks_for_no_randomness(sampler):
    model, rng = toy_diffusion(AnyDenoiser(), T), generator()
    before = rng.get_state()
    first = list(sampler(model, _start(), rng=rng))[-1]
    assert torch.equal(rng.get_state(), before)
    assert torch.equal(first, list(sampler(model, _start(), rng=generator(9)))[-1])


@pytest.mark.parametrize("sampler", ALL, ids=lambda sampler: sampler.__name__)
def test_no_noise_is_added_in_the_last_step(sampler):
    model = toy_diffusion(AnyDenoiser(), T, variance=fixed_large)
    arguments = {"eta": 1.0} if sampler is ddim else {}
    *_, x1, x0 = sampler(model, _start(), rng=generator(), **arguments)
    torch.testing.assert_close(x0, model.predict_x0(x1, full(len(x1), 1)))


def test_ancestral_steps_draw_from_p_reverse():
    model = toy_diffusion(AnyDenoiser(), T, variance=fixed_large)
    states, rng = list(ancestral(model, _start(), generator(3))), generator(3)
    for t, x, following in zip(range(T, 1, -1), states, states[1:], strict=False):
        torch.testing.assert_close(model.p_reverse(x, full(len(x), t)).sample(rng), following)


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_eta_out_of_range_is_refused(eta):
    with pytest.raises(ValueError, match="eta must be in"):
        next(ddim(toy_diffusion(AnyDenoiser(), 2), _start(), eta))


def test_ancestral_samples_of_a_standard_normal_have_its_variance():
    model = toy_diffusion(ExactDenoiser(standard_normal()), T, 1, fixed_large)
    *_, x1, _ = ancestral(model, _start(20_000, 1), generator())
    assert abs(z_score(x1[:, 0], 0.0)) < 4
    assert abs(z_score(x1[:, 0] ** 2, 1.0)) < 4


@pytest.mark.parametrize("sampler", ALL)
def test_the_best_denoiser_lands_on_the_ring(sampler):
    mixture = data.ring()
    x = toy_diffusion(ExactDenoiser(mixture), 150).sample(4000, generator(), sampler=sampler)
    distance = (x[:, None] - mixture.means).norm(dim=2)
    nearest, mode = distance.min(1)
    assert float((nearest < 4 * mixture.std).double().mean()) > 0.99
    shares = torch.bincount(mode, minlength=8) / 4000
    assert float((shares - 1 / 8).abs().max()) < 0.03
    assert abs(float((nearest**2).mean()) / (2 * mixture.std**2) - 1) < 0.15


def test_fewer_steps_come_from_a_respaced_model():
    model = toy_diffusion(AnyDenoiser(), 100)
    assert len(list(ddim(model.respaced(5), _start()))) == 6


# How fast the deterministic samplers come near the flow that they follow

BUMPS = data.Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 0.9]], dtype=torch.float64),
    0.5,
    torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
)


def _end_of_the_flow(sampler, steps: int) -> torch.Tensor:
    """x_1 at log SNR 6 from x_T at −6, in equal steps. The last step, whose λ has no end, is left out."""
    s = schedule.log_snr_linear(steps + 1, 6.0, -6.0)
    *_, x1, _ = sampler(toy_diffusion(ExactDenoiser(BUMPS), s.T, schedule=s), _start(32))
    return x1


@pytest.mark.parametrize(("sampler", "order"), [(ddim, 1), (dpm_solver, 2), (heun, 2)])
def test_the_order_of_convergence(sampler, order):
    """Twice the steps, half the error in first order and a quarter in second."""
    exact = _end_of_the_flow(heun, 640)
    errors = [float((_end_of_the_flow(sampler, n) - exact).norm(dim=1).mean()) for n in (20, 40, 80)]
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes == pytest.approx([order, order], abs=0.1)
    assert errors[0] < {1: 0.1, 2: 0.02}[order]


@pytest.mark.parametrize("sampler", WITHOUT_NOISE)
def test_a_long_first_step_spoils_heun_alone(sampler):
    """From σ = 2e4 to 13, as 20 steps of the cosine schedule begin, a straight line is no guide."""
    model = toy_diffusion(ExactDenoiser(BUMPS), 1000, schedule=schedule.cosine(1000)).respaced(20)
    x = model.sample(500, generator(), sampler=sampler)
    misses = (BUMPS.log_prob(x) < -8).double().mean()
    assert float(misses) > 0.2 if sampler is heun else float(misses) < 0.01
