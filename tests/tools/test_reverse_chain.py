"""What chapter 4 measures of the shipped models: chains from one walk, spreads, and the stored numbers."""

import json
from pathlib import Path

import pytest
import torch
from lowerbound.diffusion import Diffusion, fixed_large
from lowerbound.schedule import cosine
from oracles import generator

from tools.experiments import reverse_chain
from tools.experiments.reverse_chain import estimate, rough, share, shorter, spread, with_beta

STORED = json.loads((Path(__file__).parents[2] / "results" / "reverse_chain.json").read_text())
BITS, ORDERS, SOLVERS, WALKS = STORED["runs"]


class Blank(torch.nn.Module):
    """Says the noise that makes the guessed image zero: its bound does not depend on the draw."""

    def forward(self, xt: torch.Tensor, log_snr: torch.Tensor) -> torch.Tensor:
        return xt / torch.sigmoid(-log_snr)[:, None].sqrt()


MODEL = Diffusion(Blank(), cosine(12), (4,), clip=False)
X = torch.randn(5, 4, generator=generator(0)).clamp(-1, 1)


@pytest.mark.parametrize("steps", [2, 3, 4, 6, 12])
def test_the_rates_of_a_shorter_chain_follow_from_those_of_a_finer_one(steps):
    rates = shorter(MODEL.schedule, MODEL.bound(X).rates, steps)
    assert torch.allclose(rates, MODEL.respaced(steps).bound(X).rates, atol=1e-4)


def test_the_other_variance_follows_from_the_same_guesses():
    large = Diffusion(Blank(), cosine(12), (4,), variance=fixed_large, clip=False)
    rates = with_beta(MODEL.schedule, MODEL.bound(X).rates, 4)
    assert torch.allclose(rates, large.bound(X).rates, atol=1e-4)


def test_the_spread_is_within_a_class():
    x = torch.randn(10 * 400, 1, 3, 3, generator=generator(1))
    means = torch.arange(10.0).repeat_interleave(400)[:, None, None, None]
    found = spread(2 * x + 100 * means, 400)
    assert found.shape == (10,)
    assert torch.allclose(found, torch.full((10,), 2.0), atol=0.1)


def test_roughness_looks_at_pairs_that_are_both_dark():
    x = torch.tensor([-1.0, -0.98, 1.0, -1.0, -0.97]).view(1, 1, 1, 5)
    assert float(rough(x, x)) == pytest.approx((0.02 + 0.03) / 2)


def test_an_estimate_has_its_standard_error():
    assert estimate(torch.tensor([1.0, 3.0])) == pytest.approx({"mean": 2.0, "error": 1.0})


def test_a_share_has_the_error_of_a_ratio():
    whole = 5 + torch.rand(40, 400, generator=generator(3))
    part = 0.3 * whole + 0.1 * torch.randn(40, 400, generator=generator(4))
    found = [share(*pair) for pair in zip(part, whole, strict=True)]
    means = torch.tensor([each["mean"] for each in found])
    assert float(means.mean()) == pytest.approx(0.3, abs=3e-4)
    assert found[0]["error"] == pytest.approx(float(means.std()), rel=0.4)
    alone = estimate(part[0] / 5.5)["error"]  # what the error would be if the whole did not vary
    assert found[0]["error"] < 0.9 * alone


def test_a_small_run_measures_everything(tmp_path):
    small = reverse_chain.ReverseChain(2, 2, 4, (2, 4), 2, (0, 1), 2, 2, (2, 4), 4, 2)
    run_dir = reverse_chain.RunDir(tmp_path, tmp_path, full=False)
    parts = (reverse_chain.bits, reverse_chain.orders, reverse_chain.solvers, reverse_chain.walks)
    for part, stored in zip(parts, STORED["runs"], strict=True):
        assert set(part(small, run_dir)) == set(stored) - {"how"}


# What the chapter says of the numbers


def test_more_steps_cost_fewer_bits_beyond_three_errors():
    for row in BITS["by_steps"][:-1]:
        assert row["more_than_finest"]["mean"] > 3 * row["more_than_finest"]["error"]
    assert BITS["beta_minus_posterior"]["mean"] > 3 * BITS["beta_minus_posterior"]["error"]
    assert sum(BITS["by_level"]) == pytest.approx(BITS["by_steps"][-1]["bits"]["mean"], rel=1e-3)


def test_guidance_makes_garments_right_and_alike():
    right = [row["right"]["mean"] for row in ORDERS["by_weight"]]
    assert right == sorted(right)
    assert ORDERS["fall"]["mean"] > 2 * ORDERS["fall"]["error"]
    assert sum(each["mean"] for each in BITS["share"].values()) == pytest.approx(1, abs=1e-4)


def test_second_order_falls_faster_and_the_noise_of_the_last_step_shows_in_the_background():
    ddim, dpm, heun = ([each["mean"] for each in row["missed"]] for row in SOLVERS["rows"])
    assert dpm[1] / dpm[-1] > ddim[1] / ddim[-1]
    assert heun[1] / heun[-1] > ddim[1] / ddim[-1]
    grain = {name: each["mean"] for name, each in WALKS["background"].items()}
    assert grain["added"] > 10 * grain["right"]
