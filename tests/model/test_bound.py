"""The bound taken apart: shapes, sums and units."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lowerbound.bound import Bound


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 784))
def test_nats_are_the_distortion_and_all_rates(batch, layers, dims):
    rates = torch.rand(batch, layers, dtype=torch.float64)
    bound = Bound(torch.rand(batch, dtype=torch.float64), rates)
    by_hand = torch.tensor([float(bound.distortion[i]) + sum(rates[i].tolist()) for i in range(batch)])
    torch.testing.assert_close(bound.nats(), by_hand.double())
    torch.testing.assert_close(bound.rate, rates.sum(1))
    torch.testing.assert_close(bound.bits_per_dim(dims), by_hand.double() / dims / math.log(2))


def test_a_uniform_guess_over_256_levels_costs_eight_bits():
    bound = Bound(torch.full((2,), 784 * math.log(256)), torch.zeros(2, 1))
    torch.testing.assert_close(bound.bits_per_dim(784), torch.full((2,), 8.0))


@pytest.mark.parametrize(
    ("distortion", "rates"),
    [((), (1, 1)), ((2, 3), (2, 1)), ((2,), (2,)), ((2,), (3, 1)), ((2,), (2, 1, 1))],
)
@pytest.mark.usefixtures("unshaped")
def test_other_shapes_are_refused(distortion, rates):
    with pytest.raises(ValueError, match="keep the batch"):
        Bound(torch.zeros(distortion), torch.zeros(rates))


def test_dims_must_be_a_number_of_dimensions():
    with pytest.raises(ValueError, match="at least 1"):
        Bound(torch.zeros(1), torch.zeros(1, 1)).bits_per_dim(0)
