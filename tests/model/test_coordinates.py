"""One network, four coordinates: there and back, in the library's models and samplers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lowerbound import data, schedule
from lowerbound.coordinates import (
    EPS,
    SCORE,
    VELOCITY,
    X0,
    Predicts,
    V,
    convert,
    eps_from_v,
    straightened,
    two_steps_in_one,
)
from lowerbound.samplers import ddim
from oracles import AnyDenoiser, ExactDenoiser, full, generator, toy_diffusion

ALL = [EPS, X0, V, SCORE, VELOCITY]
coordinates = st.sampled_from(ALL)
angles = st.floats(0.1, 1.4)


def pair(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.randn(2, 3, 4, dtype=torch.float64, generator=generator(seed)))


@given(coordinates, coordinates, angles, st.floats(0.5, 2), st.integers(0, 99))
def test_every_coordinate_gives_every_other(said, wanted, angle, size, seed):
    x0, eps = pair(seed)
    a, b = (torch.tensor(size * f(angle), dtype=torch.float64) for f in (math.cos, math.sin))
    xt = a * x0 + b * eps
    got = convert(said.target(x0, eps, a, b), xt, said, wanted, a, b)
    torch.testing.assert_close(got, wanted.target(x0, eps, a, b), rtol=1e-9, atol=1e-9)


@given(st.lists(st.floats(-15, 15), min_size=3, max_size=3), st.integers(0, 99))
def test_the_noise_of_v_is_the_conversion(log_snr, seed):
    """Each example at its own level, in vectors and in images."""
    level = torch.tensor(log_snr, dtype=torch.float64)
    v, xt = pair(seed)
    for shape in ((3, 4), (3, 1, 2, 2)):
        a, b = (torch.sigmoid(s * level).sqrt().view(-1, *[1] * (len(shape) - 1)) for s in (1, -1))
        got = eps_from_v(v.view(shape), xt.view(shape), level)
        torch.testing.assert_close(got, convert(v.view(shape), xt.view(shape), V, EPS, a, b))
    assert eps_from_v(v.float(), xt.float(), level).dtype == torch.float32


@pytest.mark.parametrize("said", ALL, ids=lambda c: c.name)
def test_a_network_in_any_coordinate_is_the_same_model(said):
    """What says y as well as the exact denoiser says ε samples the same points."""
    exact = ExactDenoiser(data.bimodal())

    class Says(torch.nn.Module):
        def forward(self, xt, log_snr):
            a, b = (torch.sigmoid(s * log_snr[:1, None]).sqrt() for s in (1, -1))
            return convert(exact(xt, log_snr), xt, EPS, said, a, b)

    xT = torch.randn(5, 1, dtype=torch.float64, generator=generator())
    ends = [list(ddim(toy_diffusion(net, 9, 1), xT))[-1] for net in (exact, Predicts(Says(), said))]
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("shape", [(4, 2), (4, 1, 3, 3)])
def test_predicts_keeps_shape_and_dtype(shape):
    net = Predicts(AnyDenoiser(), V)
    out = net(torch.zeros(shape), torch.zeros(4))
    assert out.shape == shape
    assert out.dtype == torch.float32


def test_the_straight_path_is_the_straight_path():
    s = schedule.flow_matching(8, last=0.96)
    x0, eps = pair(1)
    for t in range(1, 9):
        a, b = s.alpha_bar[t].sqrt(), (1 - s.alpha_bar[t]).sqrt()
        z, tau = straightened(a * x0 + b * eps, a, b)
        assert float(tau) == pytest.approx(0.12 * t)
        torch.testing.assert_close(z, (1 - 0.12 * t) * x0 + 0.12 * t * eps)


@pytest.mark.parametrize("last", [0.0, -0.5, 1.5])
def test_a_path_that_ends_nowhere_is_refused(last):
    with pytest.raises(ValueError, match="last must be in"):
        schedule.flow_matching(4, last)


@given(st.integers(3, 9), st.integers(0, 99))
def test_the_last_two_steps_in_one_keep_the_second_guess(T, seed):
    first, second = pair(seed)
    s = schedule.log_snr_linear(T)
    torch.testing.assert_close(two_steps_in_one(first, second, s.snr[2], s.snr[1], s.snr[0]), second)


def test_gaussian_data_cost_half_the_area_in_the_limit():
    """The chain's rates on N(0, s²) with the exact denoiser tend to ½ log (1 + s² S)."""
    law = data.Mixture(torch.zeros(1, 1, dtype=torch.float64), 0.5, torch.ones(1, dtype=torch.float64))
    s = schedule.log_snr_linear(2000, 8.0, -12.0)
    error = 0.25 / (1 + 0.25 * s.snr)
    model = toy_diffusion(ExactDenoiser(law), 1, 1, schedule=s)
    t = 700
    x0, eps = (torch.randn(20_000, 1, dtype=torch.float64, generator=generator(k)) for k in (0, 1))
    xt = model.q_sample(0.5 * x0, full(20_000, t), eps)
    measured = (0.5 * x0 - model.predict_x0(xt, full(20_000, t))) ** 2
    assert float(measured.mean()) == pytest.approx(float(error[t]), rel=0.05)
    steps = 0.5 * ((s.snr[1:-1] - s.snr[2:]) * error[2:]).sum()
    assert float(steps) == pytest.approx(0.5 * math.log1p(0.25 * float(s.snr[1])), rel=2e-2)
