"""The exact reverse step on the line: its KL to the best Gaussian, held against Bayes' rule on a grid."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
import torch
from lowerbound import proofs

from tools.experiments import reverse_step
from tools.experiments.reverse_step import LAWS, Bumps, ReverseStep, chain, coefficient, curve, price
from tools.experiments.run_dir import RunDir
from tools.jobs import rounded

SETTING = ReverseStep()
SMALL = replace(SETTING, betas=(2e-5, 1e-5))
CASES = [("bimodal", 1.0), ("bimodal", 0.9), ("bimodal", 0.5), ("points", 0.9), ("points", 0.5)]


def by_bayes(law, beta: float, points: int = 1500, reach: float = 7.0) -> float:
    """The same price without any formula for mixtures: the joint density on a square grid, in numpy.

    Mean and variance are sums over the grid too. The KL is that of the definition, off by rounding.
    """
    x = np.linspace(-reach, reach, points)
    dx = x[1] - x[0]
    near = (x[:, None] - law.means[:, 0].numpy()) ** 2
    prior = (law.weights.numpy() * np.exp(-near / (2 * law.std**2))).sum(1)
    prior /= prior.sum() * dx
    forward = np.exp(-((x[:, None] - math.sqrt(1 - beta) * x) ** 2) / (2 * beta))
    forward /= math.sqrt(2 * math.pi * beta)
    joint = forward * prior  # (x_t, x_{t−1})
    evidence = joint.sum(1) * dx
    total = 0.0
    for weight, row in zip(evidence * dx, joint, strict=True):
        if weight > 1e-14:
            q = row / (row.sum() * dx)
            mean = (q * x).sum() * dx
            var = (q * (x - mean) ** 2).sum() * dx
            log_g = -((x - mean) ** 2) / (2 * var) - math.log(2 * math.pi * var) / 2
            seen = q > 0
            total += weight * (q[seen] * (np.log(q[seen]) - log_g[seen])).sum() * dx
    return float(total)


def ends_with_its_slope(name: str, level: float) -> None:
    found = curve(SMALL, name, level)
    assert found["slope"][-1] == pytest.approx(reverse_step.THEORY_SLOPE, abs=0.02)
    assert found["measured_coefficient"] == pytest.approx(found["coefficient"], rel=0.01)


@pytest.mark.parametrize("level", SETTING.levels)
def test_gaussian_data_cost_nothing_at_any_step(level):
    found = curve(replace(SETTING, betas=(0.999, *SETTING.betas)), "gaussian", level)
    assert max(map(abs, found["kl"])) < 1e-25
    assert found["coefficient"] == 0
    assert found["slope"] == []
    assert by_bayes(LAWS["gaussian"].noised(level), 0.5) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("name", "level"), CASES)
@pytest.mark.parametrize("beta", [0.9, 0.2, 0.02])
def test_price_is_that_of_bayes_rule_on_a_grid(name, level, beta):
    law = LAWS[name].noised(level)
    ours = price(law, beta, SETTING.points, SETTING.grid)
    assert ours == pytest.approx(by_bayes(law, beta), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("name", "level"), CASES)
def test_price_ends_with_the_slope_and_the_factor_of_theory(name, level):
    ends_with_its_slope(name, level)


def test_theory_is_the_last_line_of_the_proof():
    last = proofs.small_step_price().last
    (beta,) = (s for s in last.free_symbols if s.name == "beta_t")
    factor = last.subs(beta, 1) / last.args[-1]
    assert sp.degree(last, beta) == reverse_step.THEORY_SLOPE
    assert sp.simplify(factor) == sp.Rational(1, 12)


@pytest.mark.parametrize(("name", "level"), CASES)
def test_coefficient_is_a_twelfth_of_the_third_derivative_squared(name, level):
    law = LAWS[name].noised(level)
    x = torch.linspace(-8, 8, 4001, dtype=torch.float64, requires_grad=True)
    log_q = third = law.log_prob(x[:, None])
    for _ in range(3):
        (third,) = torch.autograd.grad(third.sum(), x, create_graph=True)
    expected = float((log_q.exp() * third**2).detach().sum()) * 16 / 4000 / 12
    assert coefficient(law, SETTING.points) == pytest.approx(expected, rel=1e-5)


def test_a_wrong_variance_costs_the_second_order_that_theory_says():
    law, beta = LAWS["bimodal"].noised(0.5), 1e-4
    xt, weights = reverse_step.across(law.noised(1 - beta), 401)
    step = reverse_step.reverse(law, beta, xt)
    mean, _ = step.moments()
    wrong = float(weights @ step.kl(mean, torch.full_like(mean, beta), 401))
    share = reverse_step.shares(law, xt).exp()
    spread = (share * law.means[:, 0] ** 2).sum(1) - (share @ law.means[:, 0]) ** 2
    second = spread / law.std**4 - 1 / law.std**2  # f''
    expected = float(weights @ (1 + second) ** 2) / 4  # the exercise ex-forward-orders
    assert wrong / beta**2 == pytest.approx(expected, rel=0.01)


MOMENTS, REVERSE = Bumps.moments, reverse_step.reverse


def _variance_of_the_forward_step(step):
    """Right mean, but the width of one component, which is β to first order, as in DDPM."""
    mean, _ = MOMENTS(step)
    return mean, torch.full_like(mean, step.var)


def _root_for_variance(step):
    mean, var = MOMENTS(step)
    return mean, var.sqrt()


def _mode_for_mean(step):
    _, var = MOMENTS(step)
    return step.means.gather(1, step.log_weights.argmax(1, keepdim=True)), var


def _unshrunk(law, beta, xt):
    """The forward mean read as x_{t−1}, not √(1 − β) x_{t−1}, in the shares alone."""
    step = REVERSE(law, beta, xt)
    return Bumps(reverse_step.shares(law, xt), step.means, step.var)


@pytest.mark.parametrize(
    ("where", "name", "wrong"),
    [
        (Bumps, "moments", _variance_of_the_forward_step),
        (Bumps, "moments", _root_for_variance),
        (Bumps, "moments", _mode_for_mean),
        (reverse_step, "THEORY_SLOPE", 2),
        (reverse_step, "coefficient", lambda law, points: coefficient(law, points) * 2),
    ],
)
def test_the_slope_is_missed_when_an_error_is_planted(monkeypatch, where, name, wrong):
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises(AssertionError):
        ends_with_its_slope("bimodal", 0.9)


def test_bayes_rule_is_missed_when_the_forward_step_does_not_shrink(monkeypatch):
    monkeypatch.setattr(reverse_step, "reverse", _unshrunk)
    with pytest.raises(AssertionError):
        test_price_is_that_of_bayes_rule_on_a_grid("bimodal", 0.9, 0.2)


@pytest.mark.parametrize(("name", "level"), CASES)
@pytest.mark.parametrize("beta", [0.999, 0.9, 0.05, 1e-3, 1e-4])
def test_finer_grids_change_nothing(name, level, beta):
    law = LAWS[name].noised(level)
    ours = price(law, beta, SETTING.points, SETTING.grid)
    assert price(law, beta, 2 * SETTING.points - 1, SETTING.grid) == pytest.approx(ours, rel=1e-6)
    assert price(law, beta, SETTING.points, 2 * SETTING.grid - 1) == pytest.approx(ours, rel=1e-6)


def test_a_chain_costs_its_steps_and_its_end():
    found = chain(replace(SETTING, counts=(1, 64, 128)), "bimodal")
    one_step, some, more = found["excess"]
    gaussian = 0.5 * math.log(2 * math.pi * math.e * 1.04)  # entropy with the mean and variance of the data
    x, weights = reverse_step.across(LAWS["bimodal"], 4001)
    entropy = -float(weights @ LAWS["bimodal"].log_prob(x[:, None]))
    assert one_step == pytest.approx(gaussian - entropy, rel=0.01)  # all structure but mean and variance
    assert found["slope"][-1] == pytest.approx(math.log2(more / some))
    assert some == pytest.approx(found["theory"][1], rel=0.5)
    assert more == pytest.approx(found["theory"][2], rel=0.25)
    assert -2 < found["slope"][-1] < -1.8


def test_the_job_is_one_file_of_plain_numbers(tmp_path):
    setting = replace(SETTING, betas=(0.5, 0.01), counts=(1, 4))
    ((job,),) = reverse_step.stages(setting, RunDir(tmp_path, tmp_path))
    found = job.result()
    assert found == json.loads((tmp_path / "reverse-step.json").read_text())["result"]
    pairs = [(c["data"], c["alpha_bar"]) for c in found["curves"]]
    assert (
        pairs == [("gaussian", a) for a in SETTING.levels] + CASES
    )  # of points there is no density at ᾱ = 1
    for c in found["curves"]:
        assert {len(c[key]) for key in ("beta", "kl", "theory")} == {2}
    assert rounded(curve(setting, "bimodal", 0.9)) == found["curves"][4]
    assert (found["theory_slope"], found["theory_chain_slope"]) == (3, -2)
