"""Samplers: what they yield, how they agree, and where they end."""

import pytest
import torch
from lowerbound import data
from lowerbound.diffusion import fixed_large
from lowerbound.samplers import ancestral, ddim
from oracles import AnyDenoiser, ExactDenoiser, full, generator, standard_normal, toy_diffusion, z_score

T = 12


def _start(n: int = 6, dims: int = 2) -> torch.Tensor:
    return torch.randn(n, dims, dtype=torch.float64, generator=generator(1))


@pytest.mark.parametrize("sampler", [ancestral, ddim])
@pytest.mark.parametrize("steps", [1, 2, T])
def test_a_sampler_yields_every_state(sampler, steps):
    xT = _start()
    states = list(sampler(toy_diffusion(AnyDenoiser(), steps), xT, rng=generator()))
    assert len(states) == steps + 1
    assert torch.equal(states[0], xT)
    assert all(x.shape == xT.shape and not x.requires_grad for x in states)


def test_ddim_with_eta_1_is_ancestral_with_the_small_variance():
    model = toy_diffusion(AnyDenoiser(), T)
    pairs = zip(ancestral(model, _start(), generator()), ddim(model, _start(), 1.0, generator()), strict=True)
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


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


def test_ddim_with_eta_0_asks_for_no_randomness():
    model, rng = toy_diffusion(AnyDenoiser(), T), generator()
    before = rng.get_state()
    first = list(ddim(model, _start(), 0.0, rng))[-1]
    assert torch.equal(rng.get_state(), before)
    assert torch.equal(first, list(ddim(model, _start(), 0.0, generator(9)))[-1])


@pytest.mark.parametrize("sampler", [ancestral, ddim], ids=["ancestral", "ddim"])
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


def test_a_batch_in_halves_is_the_whole_batch():
    model, xT = toy_diffusion(AnyDenoiser(), T), _start(8)
    whole = list(ddim(model, xT))[-1]
    halves = torch.cat([list(ddim(model, part))[-1] for part in xT.split(4)])
    torch.testing.assert_close(whole, halves, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_eta_out_of_range_is_refused(eta):
    with pytest.raises(ValueError, match="eta must be in"):
        next(ddim(toy_diffusion(AnyDenoiser(), 2), _start(), eta))


def test_ancestral_samples_of_a_standard_normal_have_its_variance():
    model = toy_diffusion(ExactDenoiser(standard_normal()), T, 1, fixed_large)
    *_, x1, _ = ancestral(model, _start(20_000, 1), generator())
    assert abs(z_score(x1[:, 0], 0.0)) < 4
    assert abs(z_score(x1[:, 0] ** 2, 1.0)) < 4


@pytest.mark.parametrize("sampler", [ancestral, ddim])
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
