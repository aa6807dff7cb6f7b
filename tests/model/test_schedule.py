"""Noise schedules against the papers' formulas, and rescaled to any T."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lowerbound.schedule import Schedule, cosine, flow_matching, linear, log_snr_linear

ALL = [linear, cosine, log_snr_linear, flow_matching]


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("T", [1, 2, 10, 1000])
def test_the_index_in_code_is_the_index_on_paper(make, T):
    s = make(T)
    assert s.T == T
    assert s.alpha_bar[0] == 1
    for array in (s.alpha_bar, s.alpha, s.beta, s.snr, s.log_snr, s.posterior_variance):
        assert array.shape == (T + 1,)
        assert array.dtype == torch.float64
    torch.testing.assert_close(s.alpha.cumprod(0), s.alpha_bar, rtol=1e-9, atol=0)
    assert (s.beta[1:] > 0).all()
    assert (s.beta[1:] < 1).all()


def test_linear_1000_is_exactly_the_schedule_of_ddpm():
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    torch.testing.assert_close(linear(1000).beta[1:], beta, rtol=1e-10, atol=0)
    torch.testing.assert_close(linear(1000).alpha_bar[1:], (1 - beta).cumprod(0), rtol=1e-10, atol=0)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("T", [1, 10, 100, 1000, 2000])
def test_every_number_of_steps_ends_in_the_same_noise(make, T):
    end, reference = float(make(T).log_snr[-1]), float(make(1000).log_snr[-1])
    if make is cosine:  # its last step is a cap, not a level
        assert end < -6
    else:
        assert end == pytest.approx(reference, abs=1e-6)


def test_linear_in_other_steps_passes_through_the_levels_of_1000():
    for T in (10, 100, 500):
        torch.testing.assert_close(linear(T).alpha_bar, linear(1000).alpha_bar[:: 1000 // T])
    torch.testing.assert_close(linear(2000).alpha_bar[::2], linear(1000).alpha_bar)


def test_cosine_is_equation_17():
    T, s = 200, 0.008
    f = [math.cos((t / T + s) / (1 + s) * math.pi / 2) ** 2 for t in range(T + 1)]
    beta = [min(1 - f[t] / f[t - 1], 0.999) for t in range(1, T + 1)]
    torch.testing.assert_close(cosine(T).beta[1:], torch.tensor(beta, dtype=torch.float64), rtol=1e-9, atol=0)
    uncapped = torch.tensor(f[:-1], dtype=torch.float64) / f[0]
    torch.testing.assert_close(cosine(T).alpha_bar[:-1], uncapped, rtol=1e-9, atol=0)


def test_log_snr_linear_falls_evenly():
    log_snr = log_snr_linear(50, 9.0, -5.0).log_snr
    torch.testing.assert_close(log_snr[1:], torch.linspace(9, -5, 50, dtype=torch.float64))


def test_snr_and_log_snr_say_the_same():
    s = cosine(100)
    assert s.snr[0] == math.inf
    torch.testing.assert_close(s.snr[1:].log(), s.log_snr[1:], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.sigmoid(s.log_snr), s.alpha_bar, rtol=1e-9, atol=0)


def test_posterior_variance_is_the_sum_of_precisions():
    s = linear(100)
    t = slice(2, None)
    precision = s.alpha[t] / s.beta[t] + 1 / (1 - s.alpha_bar[1:-1])
    torch.testing.assert_close(s.posterior_variance[t], 1 / precision, rtol=1e-9, atol=0)
    assert s.posterior_variance[1] == 0
    assert (s.posterior_variance[t] < s.beta[t]).all()


@given(st.integers(1, 300), st.data())
def test_respace_takes_levels_of_the_schedule_up_to_the_last(T, draw):
    steps = draw.draw(st.integers(1, T))
    s = linear(T)
    short = s.respace(steps)
    assert len(short.alpha_bar) == steps + 1
    at = torch.searchsorted(-s.alpha_bar, -short.alpha_bar)
    assert torch.equal(s.alpha_bar[at], short.alpha_bar)
    assert at[-1] == T
    gaps = at.diff()
    assert gaps.max() - gaps.min() <= 1


def test_respace_by_a_divisor_is_a_slice():
    assert torch.equal(cosine(1000).respace(50).alpha_bar, cosine(1000).alpha_bar[::20])


@pytest.mark.parametrize("steps", [0, 11])
def test_respace_refuses_more_steps_than_there_are(steps):
    with pytest.raises(ValueError, match=r"1\.\.10"):
        linear(10).respace(steps)


@pytest.mark.parametrize(
    ("alpha_bar", "message"),
    [
        ([1.0], "T >= 1"),
        ([0.9, 0.5], "start at 1"),
        ([1.0, 0.5, 0.6], "fall strictly"),
        ([1.0, 0.5, 0.5], "fall strictly"),
        ([1.0, 0.5, -0.1], "staying at 0"),
        ([1.0, math.nan], "fall strictly"),
    ],
)
def test_what_is_no_schedule_is_refused(alpha_bar, message):
    with pytest.raises(ValueError, match=message):
        Schedule(torch.tensor(alpha_bar, dtype=torch.float64))


@pytest.mark.usefixtures("unshaped")
def test_single_precision_is_refused():
    with pytest.raises(ValueError, match=r"\.double\(\)"):
        Schedule(torch.tensor([1.0, 0.5]))


@pytest.mark.parametrize("make", ALL)
def test_no_steps_are_refused(make):
    with pytest.raises(ValueError, match="T must be at least 1"):
        make(0)


def test_log_snr_must_fall():
    with pytest.raises(ValueError, match="must fall"):
        log_snr_linear(10, -6.0, 13.0)
