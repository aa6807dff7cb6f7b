"""The book's derivations: all hold, each with its place in the book, and errors put into them are caught."""

import math
from itertools import pairwise

import pytest
import sympy as sp
from lowerbound import proofs
from lowerbound.proofs import ch1_elbo as elbo
from lowerbound.proofs import ch1_lifting as lifting
from lowerbound.proofs import ch2_rate as rate
from lowerbound.proofs import ch2_vae as vae
from lowerbound.proofs import ch3_chain as steps
from lowerbound.proofs import ch3_forward as forward
from lowerbound.proofs import ch4_chain as chain
from lowerbound.proofs import ch4_reverse as reverse
from lowerbound.proofs import ch4_sampling as sampling
from lowerbound.proofs import ch5_schedule as schedule
from lowerbound.proofs import ch6_latent as latent
from lowerbound.proofs import ch7_coordinates as coordinates
from lowerbound.proofs import ch7_flows as flows
from lowerbound.proofs import ch7_weights as weights
from lowerbound.proofs.ch1_elbo import p, q, t, x, z
from lowerbound.proofs.registry import SECONDS
from lowerbound.symbolic import KL, E, Family, Normal, RandomVariable, StepError, Unit, latex
from lowerbound.symbolic.printing import PAGE, width
from sympy import Derivative, Integral, Rational, Sum, Symbol, log, pi, sqrt

NAMES = list(proofs.derivations())
AXIOMS = {"skewness_price"}  # the one line of the book that is taken on trust
CHAPTERS = (1, 2, 3, 4, 5, 6, 7)


def proof(name):
    return proofs.derivations()[name]()


# The whole collection


@pytest.mark.parametrize("name", NAMES)
def test_every_step_holds_and_is_checked(name):
    d = proof(name)
    assert d.name == name
    assert d.title
    assert d.chapter in CHAPTERS
    assert len(d.steps) > 1
    assert all(step.reason for step in d.steps[1:])
    assert bool(d.axioms) == (name in AXIOMS)


@pytest.mark.parametrize("name", NAMES)
def test_no_step_repeats_the_line_before(name):
    """A step that says the same twice would be checked, and prove nothing."""
    lines = [step.expr for step in proof(name).steps]
    assert all(a != b for a, b in pairwise(lines))


@pytest.mark.parametrize("name", NAMES)
def test_every_line_fits_the_page(name):
    d = proof(name)
    assert max(width(latex(step.expr)) for step in d.steps) <= PAGE
    assert max(width(step.reason) for step in d.steps) <= PAGE
    assert all(width(row.removesuffix(r"\\[-0.3ex]")) <= PAGE for row in d.latex(compact=True).splitlines())


def test_all_are_checked_within_a_minute_of_processor_time():
    for name in NAMES:
        proof(name)
    assert set(SECONDS) == set(NAMES)
    assert sum(SECONDS.values()) < 60


def test_derivations_come_chapter_by_chapter():
    chapters = [proof(name).chapter for name in NAMES]
    assert chapters == sorted(chapters)
    assert set(chapters) == set(CHAPTERS)
    assert {name: vars(proofs)[name] for name in NAMES} == proofs.derivations()


def test_a_proof_is_checked_once_and_cannot_be_spoiled():
    def content(d):
        return repr(d), d.latex(), dict(d.facts)

    first, spoiled = proofs.posterior(), proofs.posterior()
    before, seconds = content(first), dict(SECONDS)
    spoiled.axiom(sp.Integer(0), "on trust").steps.insert(1, spoiled.steps[-1])
    spoiled.title = "spoiled"
    spoiled.given.clear()
    spoiled.facts.clear()
    assert content(first) == content(proofs.derivations()["posterior"]()) == before
    assert seconds == SECONDS


# Errors put in

xt, xs, x0 = forward.xt, forward.xs, forward.x0
alpha, bar, bar_s, beta = forward.alpha, forward.alphabar, forward.alphabar_s, forward.beta
mu, sigma = vae.mu, vae.sigma
half = Rational(1, 2)
BAR_T = Unit("alphabar_T")


def mean(f):
    return E(q(z | x), f)


def swapped(expr, a, b):
    return expr.xreplace({a: b, b: a})


def line(name, number):
    return proof(name).steps[number - 1].expr


# name of the error: (derivation, line, what a wrong author writes there); the first ten were seen in public
MUTATIONS = {
    "√(1−ᾱ) as the variance": ("forward_marginal", 3, lambda: Normal(xt, sqrt(bar) * x0, sqrt(1 - bar))),
    "ᾱ as a product to T": (
        "forward_marginal",
        3,
        lambda: Normal(xt, sqrt(Unit("alphabar_T")) * x0, 1 - Unit("alphabar_T")),
    ),
    "noise scaled by β, not √β": (
        "forward_marginal_variance",
        2,
        lambda: line("forward_marginal_variance", 2) - beta + beta**2,
    ),
    "a density at its own mean": (
        "posterior",
        2,
        lambda: (
            line("posterior", 2).xreplace({xt - sqrt(alpha) * xs: sp.Integer(0)}).subs(xs, xt / sqrt(alpha))
        ),
    ),
    "posterior means in reversed time": (
        "posterior_mean",
        3,
        lambda: swapped(line("posterior_mean", 3), bar, bar_s),
    ),
    "noise added at η = 0": (
        "ddim_deterministic",
        2,
        lambda: line("ddim_deterministic", 2) + sqrt(1 - bar_s) * Symbol("xi", real=True),
    ),
    "α read as √(1−ᾱ)": ("forward_marginal_mean", 4, lambda: sqrt(1 - bar) * x0),
    "reconstruction without the log": ("elbo", 8, lambda: mean(p(x | z)) - KL(q(z | x), p(z))),
    "KL averaged over parts": ("independent_kl", 5, lambda: line("independent_kl", 5) / 2),
    "mean pinched by tanh": ("posterior_mean_eps", 3, lambda: sp.tanh(line("posterior_mean_eps", 3))),
    "KL added to the bound": ("elbo", 8, lambda: mean(log(p(x | z))) + KL(q(z | x), p(z))),
    "KL the other way round": ("elbo", 8, lambda: mean(log(p(x | z))) - KL(p(z), q(z | x))),
    "posterior for prior in the bound": ("elbo", 8, lambda: mean(log(p(x | z))) - KL(q(z | x), p(z | x))),
    "sign not flipped": ("elbo", 6, lambda: mean(log(p(x | z))) + mean(log(q(z | x))) - mean(log(p(z)))),
    "log of the expectation": ("elbo", 4, lambda: log(mean(p(x | z))) + mean(log(p(z) / q(z | x)))),
    "prior forgotten": ("elbo", 2, lambda: mean(log(p(x | z) / q(z | x)))),
    "gap is the KL to the prior": ("two_expectations", 7, lambda: line("elbo", 1) + KL(q(z | x), p(z))),
    "expectation dropped": (
        "two_expectations",
        6,
        lambda: mean(log(p(x, z) / q(z | x))) + log(q(z | x) / p(z | x)),
    ),
    "bound on the wrong side": ("kl_nonnegative", 3, lambda: mean(p(z | x) / q(z | x) - 1) + 1),
    "σ for σ²": ("gaussian_kl_standard", 6, lambda: half * (mu**2 + sigma - 1 - log(sigma))),
    "log σ² not halved": ("gaussian_kl_standard", 5, lambda: (mu**2 + sigma**2) / 2 - half - log(sigma**2)),
    "sum begun at −1 forgotten": (
        "gaussian_kl_standard",
        6,
        lambda: half * (mu**2 + sigma**2 - log(sigma**2)),
    ),
    "constant counted once": (
        "gaussian_nll_sum",
        3,
        lambda: line("gaussian_nll_sum", 3).subs(Symbol("D", integer=True, positive=True) / 2, half),
    ),
    "squared error without σ": (
        "gaussian_nll",
        3,
        lambda: line("gaussian_nll", 3).subs(2 * sigma**2, 2, evaluate=True),
    ),
    "bits from log10": ("bits_per_dim", 3, lambda: line("bits_per_dim", 3).subs(log(2), log(10))),
    "∂z/∂σ forgotten": (
        "reparameterised_gradient_scale",
        4,
        lambda: E(Normal(vae.eps, 0, 1), 1) * line("reparameterised_gradient_mean", 4),
    ),
    "gradient of the sample alone": (
        "score_gradient_mean",
        3,
        lambda: E(Normal(vae.z, mu, sigma**2), Derivative(log(Normal(vae.z, mu, sigma**2)), mu)),
    ),
    "old variance not shrunk": ("forward_two_steps", 3, lambda: Normal(*_last_two_steps())),
    "variance added to the fixed point": ("forward_fixed_point", 3, lambda: Normal(xt, 0, 2 - alpha)),
    "limit 1 for the mean": ("forward_limit_mean", 3, lambda: x0),
    "sign of the log in KL_T": (
        "terminal_kl",
        4,
        lambda: half * (BAR_T * (x0**2 - 1) + log(1 - BAR_T)),
    ),
    "x₀² without −1": ("terminal_kl", 4, lambda: half * (BAR_T * x0**2 - log(1 - BAR_T))),
    "β̃ turned over": ("posterior_variance", 3, lambda: (1 - bar) / (1 - bar_s) * beta),
    "β for β̃": ("posterior_variance", 3, lambda: beta),
    "coefficients exchanged": ("posterior_mean", 3, lambda: swapped(line("posterior_mean", 3), x0, xt)),
    "square not completed": ("posterior", 3, lambda: line("posterior", 3) + reverse.mean_post**2),
    "noise scale √(1−ᾱ) above": (
        "posterior_mean_eps",
        3,
        lambda: (xt - beta * sqrt(1 - bar) * reverse.eps) / sqrt(alpha),
    ),
    "L_0 counted as a KL": (
        "telescoped_bound",
        5,
        lambda: line("telescoped_bound", 5) - Symbol("L_0", real=True),
    ),
    "Bayes without x₀": (
        "telescoped_bound",
        3,
        lambda: line("telescoped_bound", 3).xreplace({_q(2, 3, 0): _q(2, 3)}),
    ),
    "ε-weight dropped (L_simple)": ("reverse_kl_eps", 4, lambda: (reverse.eps - reverse.eps_net) ** 2),
    "β for β² in the weight": ("reverse_kl_eps", 4, lambda: line("reverse_kl_eps", 4) / beta),
    "SNRs in the wrong order": ("reverse_kl_snr", 5, lambda: -line("reverse_kl_snr", 5)),
    "DDIM without its drift": ("ddim_deterministic", 3, lambda: xt / sqrt(alpha)),
    "DDIM keeps too much noise": ("ddim_marginal", 2, lambda: 1 - bar_s + reverse.sigma**2),
    "posterior for encoder in two states": ("two_states", 3, lambda: line("two_states", 1) * 2),
    "noise left out of the evidence": (
        "linear_gaussian_evidence",
        3,
        lambda: Normal(elbo.x, 0, elbo.w**2),
    ),
    "lifting the bound lifts log p": ("raise_bound_lowers_evidence", 3, lambda: half - half * log(2)),
    "KL of chains the other way round": (
        "chain_price_whole",
        3,
        lambda: KL(*reversed(line("chain_price_whole", 3).args)),
    ),
    "gap of the chain is the KL to its prior": (
        "hierarchical_bound",
        2,
        lambda: line("hierarchical_bound", 2).replace(
            lambda e: isinstance(e, KL), lambda e: KL(e.args[0], e.args[1].family(*e.args[1].variables))
        ),
    ),
    "tangent too low": ("log_inequality", 2, lambda: 2 * log(t)),
}


def _last_two_steps():
    x2, m, _ = line("forward_two_steps", 3).args
    return x2, m, (1 - Unit("alpha_1")) + (1 - Unit("alpha_2"))


def _q(i, *given):
    first, *rest = (RandomVariable(f"x_{k}") for k in given)
    return forward.q(RandomVariable(f"x_{i}") | first, *rest)


# The derivations that the errors above leave out, one each
LX = elbo.x
C, D, G, M, R, B = steps.C, steps.D, steps.G, chain.M, chain.R, chain.B
now, last = chain.t, chain.T
joint_model, path = Family("p", "theta"), RandomVariable("x_{1:T}")
path_given = forward.q(path | x0)


def free(name, number, written):
    """The symbol of a line that is written so."""
    (found,) = [symbol for symbol in line(name, number).free_symbols if str(symbol) == written]
    return found


def cross(width):
    """The linear model's bound with another expected squared error."""
    s, v, m = elbo.s, elbo.v, elbo.m
    return -width / (2 * s**2) - half * log(2 * pi * s**2) - (m**2 + v - 1 - log(v)) / 2


def gap_turned_over():
    v, m, post = elbo.v, elbo.m, (elbo.m_post, elbo.v_post)
    return (log(v / post[1]) + ((m - post[0]) ** 2 + v) / post[1] - 1) / 2


eps, eps_net = reverse.eps, reverse.eps_net
v, xs2 = reverse.v, elbo.s**2
MUTATIONS |= {
    "prior left out of the integral": ("evidence", 3, lambda: log(Integral(p(x | z), z))),
    "logs subtracted": ("pointwise_identity", 4, lambda: log(p(x, z) / q(z | x)) - log(q(z | x) / p(z | x))),
    "prior left out of the bound": ("evidence_lower_bound", 3, lambda: mean(log(p(x | z) / q(z | x)))),
    "reconstruction alone as the bound": ("elbo_two_terms", 4, lambda: mean(log(p(x | z)))),
    "log p as the mean ratio": ("sampled_evidence", 3, lambda: log(p(x))),
    "encoder's variance forgotten": (
        "linear_gaussian_elbo",
        4,
        lambda: cross((LX - elbo.w * elbo.m) ** 2),
    ),
    "ratio of variances turned over": ("linear_gaussian_kl", 4, gap_turned_over),
    "weight left out of the constant": (
        "linear_gaussian_identity",
        3,
        lambda: -(LX**2) / (2 * (elbo.w**2 + xs2)) - half * log(2 * pi * xs2),
    ),
    "best mean taken to be 0": (
        "best_encoder_mean",
        4,
        lambda: -half * log(2 * pi) - (LX**2 + elbo.w**2) / 2,
    ),
    "old bound less new": ("raise_bound", 3, lambda: Rational(5, 4) - sqrt(3)),
    "Jensen turned round": ("jensen", 4, lambda: log(p(x)) - 1),
    "posterior as wide as the prior": (
        "linear_gaussian_posterior",
        4,
        lambda: log(Normal(elbo.z, elbo.w * elbo.x / (elbo.w**2 + elbo.s**2), 1)),
    ),
    "fraction turned over": ("integrand_negative", 2, lambda: log(Rational(9, 5))),
    "log of a sum": ("kl_positive_all_the_same", 3, lambda: half * log(Rational(5, 9) + 5)),
    "gap subtracted": ("evidence_change", 3, lambda: _changes(-1)),
    "a lifted bound lifts log p": ("floor_of_a_step", 4, lambda: sp.Integer(0)),
    "M-step without its gain": ("em_guarantee", 4, lambda: E(p(z | x), log(p(x, z) / p(z | x)))),
    "the flat one has the larger mean": ("mean_prefers_sharp", 3, lambda: Rational(9, 10)),
    "half a log for the log of a half": ("log_prefers_flat", 3, lambda: half * log(Rational(9, 200))),
    "rate subtracted": ("distortion_and_rate", 3, lambda: rate.distortion - rate.rate),
    "entropy with the other sign": (
        "forbidden_side",
        3,
        lambda: line("forbidden_side", 3) - 2 * free("forbidden_side", 3, "H"),
    ),
    "mismatch of codes the other way round": (
        "rate_in_two_parts",
        5,
        lambda: line("rate_in_two_parts", 5).replace(KL, lambda a, b: KL(b, a)),
    ),
    "variance left out of the cost": ("linear_vae_direction", 3, lambda: half + half * log(2 * pi)),
    "fit added": ("linear_vae_off", 2, lambda: _off()),
    "rate of the noise over the signal": ("linear_vae_rate", 3, lambda: -line("linear_vae_rate", 3)),
    "variance left out of the gradient": (
        "reparameterised_gradient_mean",
        5,
        lambda: line("reparameterised_gradient_mean", 5).replace(sigma**2, sp.Integer(0)),
    ),
    "ratio of scales turned over": (
        "gaussian_kl",
        4,
        lambda: line("gaussian_kl", 4) - 2 * log(vae.s / sigma),
    ),
    "tangent at twice its height": (
        "sharpest_likelihood",
        3,
        lambda: line("sharpest_likelihood", 3) + half,
    ),
    "nine bits for a perfect picture": ("unit_noise_bits", 3, lambda: sp.Integer(9)),
    "data left out of the chain": (
        "chain_price_whole",
        2,
        lambda: E(forward.q(x0), E(path_given, log(path_given / joint_model(x0, path)))),
    ),
    "misfit of the step subtracted": ("chain_price_first", 3, lambda: G[1] - D[1]),
    "prior's misfit moved back": ("chain_price_step", 4, lambda: C[now - 1] + D[now] + G[now - 1] - G[now]),
    "sum from 1 for the price": (
        "chain_price_telescoping",
        2,
        lambda: C[1] + Sum(C[now] - C[now - 1], (now, 1, last)),
    ),
    "first step's misfit left out": ("chain_price", 4, lambda: G[last] + Sum(D[now], (now, 2, last))),
    "√(1−ᾱ) as the first variance": ("forward_marginal_first", 2, lambda: _first_step()),
    "no noise in the limit": ("forward_limit_variance", 3, lambda: sp.Integer(0)),
    "a price in the limit": ("terminal_kl_limit", 2, lambda: half),
    "end of the chain left out": (
        "hierarchical_bound",
        3,
        lambda: E(path_given, log(joint_model(x0 | path) / path_given)),
    ),
    "Bayes with the marginals exchanged": (
        "reverse_by_bayes",
        2,
        lambda: forward.q(xt | xs) * forward.q(xt) / forward.q(xs),
    ),
    "step back as wide as the step": (
        "reverse_of_gaussian",
        2,
        lambda: Normal(xs, line("reverse_of_gaussian", 2).args[1], beta),
    ),
    "distance of the means subtracted": (
        "best_gaussian",
        3,
        lambda: line("best_gaussian", 3) - (forward.mu - forward.m) ** 2 / forward.s**2,
    ),
    "skewness a sixth": ("tilted_skewness", 2, lambda: line("tilted_skewness", 2) / 6),
    "price a sixth": ("skewness_price", 3, lambda: 2 * line("skewness_price", 3)),
    "price with β²": (
        "small_step_price",
        4,
        lambda: line("small_step_price", 4) / free("small_step_price", 4, "beta_t"),
    ),
    "log ᾱ rises": ("chain_forgets", 3, lambda: -line("chain_forgets", 3)),
    "log ᾱ loses β alone": ("chain_remembers", 2, lambda: -beta),
    "rate of the first step rewarded": ("telescoped_first", 3, lambda: chain.L0 - R[1]),
    "prior's term moves back": ("telescoped_second", 4, lambda: B[1] + M[2] + R[1] - R[2]),
    "old prior's term kept": ("telescoped_step", 4, lambda: B[now - 1] + M[now] + R[now]),
    "sum ends a step early": ("telescoping", 2, lambda: B[1] + Sum(B[now] - B[now - 1], (now, 2, last - 1))),
    "L_T left out of the bound": (
        "diffusion_bound",
        5,
        lambda: line("diffusion_bound", 5) - free("diffusion_bound", 5, "L_T"),
    ),
    "R_1 for R_T": ("diffusion_bound", 4, lambda: line("diffusion_bound", 4).xreplace({R[last]: R[1]})),
    "noise not rooted": ("eps_from_x0", 2, lambda: (1 - bar) * eps / sqrt(1 - bar)),
    "σ for σ² in the distance": ("reverse_kl", 4, lambda: line("reverse_kl", 4) * reverse.sigma),
    "DDIM's variance β": ("ddim_ancestral_variance", 3, lambda: beta),
    "Bayes turned over, given x₀": (
        "step_around",
        3,
        lambda: swapped(line("step_around", 3), forward.q(xt | x0), forward.q(xs | x0)),
    ),
    "β for a point": ("width_for_a_point", 3, lambda: beta),
    "β̃ for noise": ("width_for_noise", 3, lambda: reverse.beta_post),
    "v added": ("v_to_x0", 3, lambda: sqrt(bar) * xt + sqrt(1 - bar) * v),
    "v subtracted": ("v_to_eps", 3, lambda: sqrt(1 - bar) * xt - sqrt(bar) * v),
    "error of v by the noise": ("v_error", 3, lambda: (eps - eps_net) ** 2 / (1 - bar)),
    "signal left at the end": ("eps_without_signal", 2, lambda: x0),
    "sign of v at the end": ("v_without_signal", 2, lambda: x0),
    "a finite error of the image": ("eps_without_signal_error", 2, lambda: sp.Integer(1)),
    "no error of the image": ("v_without_signal_error", 2, lambda: sp.Integer(0)),
    "slope not rooted": (
        "flow_slope",
        2,
        lambda: (xt - sqrt(bar) * reverse.x0_net) / (1 - bar),
    ),
    "flow with the other sign": ("flow_of_gaussian", 4, lambda: -line("flow_of_gaussian", 4)),
    "Euler's step from the image without its noise": ("flow_euler", 3, lambda: sqrt(bar_s) * reverse.x0_net),
    "the near slope alone": (
        "heun_line",
        3,
        lambda: line("heun_line", 3).xreplace({sampling.there: sampling.here}),
    ),
    "λ without its root": (
        "dpm_first_order",
        2,
        lambda: line("dpm_first_order", 2).xreplace({sqrt(bar_s): bar_s}),
    ),
    "integral without the slope": (
        "dpm_line",
        2,
        lambda: line("dpm_line", 2).xreplace({sampling.k: sp.Integer(0)}),
    ),
    "slope over the longer way": (
        "dpm_second_order",
        2,
        lambda: line("dpm_second_order", 2).xreplace({sampling.r: 1 / sampling.r}),
    ),
    "first order that misses h³": (
        "dpm_first_order_error",
        3,
        lambda: sampling.k * sampling.h**3 / 6,
    ),
    "second order that misses h²": (
        "dpm_second_order_error",
        3,
        lambda: sampling.k * sampling.h**2 / 12,
    ),
    "guidance by w alone": ("guided_density", 4, lambda: line("guided_density", 4) - log(_p_given_class())),
    "sign of w": ("guided_noise", 2, lambda: line("guided_noise", 2).xreplace({sampling.w: -sampling.w})),
    "the first step counted twice": ("chain_price_two", 4, lambda: line("chain_price_two", 4) + D[1]),
    "the end of the chain for its start": (
        "chain_price_two",
        2,
        lambda: line("chain_price_two", 2).xreplace({steps.q(RandomVariable("x_2")): steps.q(steps.x1)}),
    ),
    "the step forward for the step back": ("averaged_posterior", 3, lambda: forward.q(xt | xs)),
    "the marginal for the posterior": (
        "averaged_posterior",
        2,
        lambda: sp.Integral(forward.q(xs, x0) / forward.q(xt), x0),
    ),
    "no constant left over": ("imitation", 3, lambda: KL(forward.q(xs | xt), joint_model(xs | xt))),
    "the spread of the posteriors subtracted": (
        "imitation",
        3,
        lambda: 2 * KL(forward.q(xs | xt), joint_model(xs | xt)) - line("imitation", 3),
    ),
    "β̃ as wide as β": ("step_ratio", 2, lambda: sp.Integer(1)),
    "all of Euler's constant": ("variance_price", 2, lambda: sp.EulerGamma),
    "nothing left in the limit": ("variance_price", 2, lambda: sp.Integer(0)),
    "DDPM's weight for every chain": ("ddim_weight", 3, lambda: line("reverse_kl_eps", 4)),
    "score with the sign of the noise": ("score_of_step", 3, lambda: eps / sqrt(1 - bar)),
    "score not rooted": ("score_of_step", 3, lambda: -eps / (1 - bar)),
    "away from the guess": ("slope_of_density", 3, lambda: -line("slope_of_density", 3)),
    "slope by the standard deviation": (
        "slope_of_density",
        2,
        lambda: line("slope_of_density", 2) * sampling.level,
    ),
    "score of the density itself": ("tweedie", 2, lambda: line("tweedie", 2) * sampling.density),
    "score not rooted twice": ("tweedie", 2, lambda: line("tweedie", 2) * sampling.level),
    "flow outwards": ("flow_carries_density", 4, lambda: -line("flow_carries_density", 4)),
    "slope without its level": (
        "flow_carries_density",
        4,
        lambda: line("flow_carries_density", 4).xreplace({1 / sampling.level: sp.Integer(1)}),
    ),
    "splitting costs": ("split_step", 3, lambda: -line("split_step", 3)),
    "the log of SNR alone": ("best_step_variance", 3, lambda: log(schedule.drop * schedule.error) / 2),
    "a bound from below": ("best_step_variance", 4, lambda: schedule.drop * schedule.error / 4),
    "the encoder's entropy added": ("latent_bound", 4, lambda: _codes(log(p(x | z)), -1, -log(latent.p(z)))),
    "the chain's bound twice": ("latent_bound", 5, lambda: _codes(-log(p(x | z)), 1, 2 * latent.bound(z))),
    "gap of the chain subtracted": (
        "latent_gap",
        2,
        lambda: _codes(-log(p(x | z)), 1, -log(latent.p(z)) - latent.gap(z)),
    ),
    "the encoder paid twice": ("latent_one_chain", 3, lambda: _codes(-log(p(x | z)), 2, latent.bound(z))),
    "entropy added to the rate": (
        "rate_as_entropies",
        3,
        lambda: E(latent.encoder, -log(latent.p(z))) + E(latent.encoder, -log(latent.encoder)),
    ),
    "information alone": ("best_prior", 2, lambda: line("best_prior", 3)),
    "entropy of the codes left out": (
        "second_stage",
        3,
        lambda: line("second_stage", 3) - Symbol("H", real=True),
    ),
    "one image too many": ("mixture_of_all", 2, lambda: line("mixture_of_all", 2) + log(2)),
    "entropy without its half": ("encoder_entropy", 3, lambda: half * log(2 * pi * sigma**2)),
    "rate without −1": ("gaussian_prior_rate", 3, lambda: half * (mu**2 + sigma**2 - log(sigma**2))),
    "noise of the chain left out": (
        "one_step_prior",
        3,
        lambda: line("one_step_prior", 3) - latent.m**2 * (1 - latent.abar) / (2 * latent.s**2),
    ),
    "the unit not paid for": (
        "standardised_code",
        3,
        lambda: line("standardised_code", 3) - log(latent.s),
    ),
    "a scale shifts by log c": (
        "scale_is_noise_level",
        2,
        lambda: log(latent.abar / (1 - latent.abar)) + log(Symbol("c", positive=True)),
    ),
    "the weight not in the log": ("small_weight_width", 2, lambda: line("small_weight_width", 2) * 2),
    "a line keeps the variance": ("line_between_codes", 2, lambda: sp.Integer(1)),
    "an arc loses it": ("arc_between_codes", 2, lambda: sp.cos(Symbol("omega", real=True)) ** 2),
}

# Chapter 7
ca, cb, cc, cd, cy = coordinates.a, coordinates.b, coordinates.c, coordinates.d_, coordinates.y
w7, B7, t7, T7 = weights.w, weights.B, weights.t, weights.last
rate7, now7, score7 = flows.rate, flows.now, flows.score
MUTATIONS |= {
    "image with the signal for the noise": (
        "image_from_coordinate",
        3,
        lambda: (cd * xt - ca * cy) / coordinates.det,
    ),
    "noise with its terms exchanged": (
        "noise_from_coordinate",
        3,
        lambda: (cc * xt - ca * cy) / coordinates.det,
    ),
    "image divided by the noise": ("image_from_noise", 3, lambda: (xt - cb * eps) / cb),
    "v with the signal before x": ("v_from_noise", 3, lambda: (eps - ca * xt) / ca),
    "velocity undivided": ("velocity_from_noise", 3, lambda: eps - xt),
    "velocity towards the image": ("velocity_of_path", 2, lambda: x0 - eps),
    "v turned over": ("velocity_of_circle", 3, lambda: cb * eps - ca * x0),
    "determinant not squared": (
        "coordinate_error",
        3,
        lambda: coordinates.det / ca * (eps - eps_net) ** 2,
    ),
    "error times the SNR": ("image_error", 3, lambda: (eps - eps_net) ** 2 * ca**2 / cb**2),
    "error of the velocity by the noise": ("velocity_error", 3, lambda: (eps - eps_net) ** 2 / cb**2),
    "half kept in λ": ("area_in_log_snr", 3, lambda: half * (eps - eps_net) ** 2),
    "area without its half": ("area_of_gaussian", 2, lambda: 2 * line("area_of_gaussian", 2)),
    "rectangles without their half": ("steps_of_gaussian", 2, lambda: 2 * line("steps_of_gaussian", 2)),
    "sech without its two": ("simple_weight", 3, lambda: line("simple_weight", 3) / 2),
    "flow's weight falling with noise": ("flow_weight", 4, lambda: sp.exp(weights.lam)),
    "v's weight as the simple loss's": ("v_weight", 3, lambda: line("simple_weight", 3)),
    "weights that fall": (
        "weighted_sum",
        2,
        lambda: w7[1] * B7[0] + Sum((w7[t7 - 1] - w7[t7]) * B7[t7 - 1], (t7, 2, T7)) - w7[T7] * B7[T7],
    ),
    "product rule with a plus": ("weighted_area", 2, lambda: -line("weighted_area", 2)),
    "later steps for the noised data": ("noised_bound", 3, lambda: 2 * line("noised_bound", 3)),
    "score from the image": ("score_is_mean_slope", 2, lambda: -line("score_is_mean_slope", 2)),
    "scatter forgotten": ("denoising_score_matching", 3, lambda: (flows.g - flows.mean_score) ** 2),
    "drift not halved": ("forward_drift", 2, lambda: -rate7 * now7),
    "half the score going back with noise": (
        "reverse_drift",
        3,
        lambda: rate7 * (now7 / 2 + score7 / 2),
    ),
    "the whole score without noise": ("flow_drift", 3, lambda: rate7 * (now7 / 2 + score7)),
    "score against no noise": (
        "langevin_keeps",
        3,
        lambda: rate7 / 2 * Derivative(sp.Function("q", positive=True)(now7), now7, 2),
    ),
    "Euler the wrong way": (
        "straight_euler",
        3,
        lambda: swapped(line("straight_euler", 3), reverse.x0_net, eps_net),
    ),
    "straight units turned over": (
        "straight_units",
        3,
        lambda: swapped(line("straight_units", 3), x0, free("straight_units", 3, "epsilon")),
    ),
    "lines that keep their distance": (
        "lines_do_not_cross",
        3,
        lambda: line("lines_do_not_cross", 3) * 2,
    ),
    "target of another step": ("distillation_target", 3, lambda: 2 * flows.target),
    "the teacher's guesses exchanged": (
        "distillation_mean",
        3,
        lambda: swapped(line("distillation_mean", 3), reverse.x0_net, flows.next_guess),
    ),
    "the end at noise's width": (
        "consistency_of_gaussian",
        2,
        lambda: line("consistency_of_gaussian", 2).xreplace({flows.spread: flows.level}),
    ),
    "the end moves on": ("consistency_equation", 3, lambda: flows.level),
}


def _codes(first, weight, last):
    """Three means over the code, as in chapter 6; `first` in the letters of chapter 1."""
    first = first.xreplace({p(x | z): latent.p(x | z)})
    spread = weight * E(latent.encoder, log(latent.encoder))
    return E(latent.encoder, first) + spread + E(latent.encoder, last)


def _changes(sign):
    names = lifting.bound_new, lifting.bound, lifting.gap_new, lifting.gap
    return (names[0] - names[1]) + sign * (names[2] - names[3])


def _p_given_class():
    return sampling.p(xt | sampling.y)


def _off():
    kappa, rho = free("linear_vae_off", 2, "kappa"), free("linear_vae_off", 2, "rho")
    return half * (log(1 + rho) + kappa * rho / (1 + rho))


def _first_step():
    x1, m, variance = line("forward_marginal_first", 2).args
    return Normal(x1, m, sqrt(variance))


def test_an_error_is_put_into_every_derivation():
    """But for definitions, of which no line is derived: the bridges compare those with the library."""
    defined = {name for name in NAMES if proof(name).relation == ":="}
    assert {name for name, _, _ in MUTATIONS.values()} == set(NAMES) - defined


@pytest.mark.parametrize("error", MUTATIONS)
def test_an_error_put_in_is_caught(record_property, error):
    record_property("mutation", "proofs")
    name, number, wrong = MUTATIONS[error]
    with pytest.raises(StepError) as caught:
        proof(name).change(number, wrong())
    assert caught.value.number == number
    assert f"line {number} of '{name}'" in str(caught.value)


@pytest.mark.parametrize("error", MUTATIONS)
def test_the_error_really_changes_the_line(error):
    name, number, wrong = MUTATIONS[error]
    assert wrong() != line(name, number)


# What the last lines say


def test_lifting_the_bound_can_lower_the_evidence():
    """The model at x = 2, numbers recomputed from the densities by hand."""
    bound, evidence = proof("raise_bound"), proof("raise_bound_lowers_evidence")
    best, held = proof("best_encoder_mean").as_function(elbo.w, elbo.x), math.sqrt(3) / 2
    low, high, followed = (
        -((2 - w * m) ** 2 + w**2 + m**2 + math.log(2 * math.pi)) / 2
        for w, m in ((math.sqrt(3), held), (1, held), (1, 1))
    )
    assert (low, high, followed) == pytest.approx((-2.918938533, -2.436887726, -2.418938533))
    assert high - low == pytest.approx(float(bound.steps[2].expr))
    assert (best(math.sqrt(3), 2), best(1, 2)) == pytest.approx((low, followed))
    log_p = [-0.5 * math.log(2 * math.pi * (1 + w**2)) - 2 / (1 + w**2) for w in (math.sqrt(3), 1)]
    assert log_p == pytest.approx([-2.112085714, -2.265512123])
    assert log_p[1] - log_p[0] == pytest.approx(float(evidence.steps[2].expr))
    assert (bound.relation, evidence.relation) == (">=", "<=")


def test_mean_and_mean_log_have_different_maximisers():
    sharp, flat = proof("mean_prefers_sharp"), proof("log_prefers_flat")
    assert (float(sharp.first), float(sharp.last)) == pytest.approx((0.5, 0.45))
    assert (float(flat.first), float(flat.last)) == pytest.approx((-1.203972804, -0.798507696))


def test_perfect_reconstruction_under_unit_noise_costs_more_than_a_guess():
    assert float(line("unit_noise_bits", 2)) == pytest.approx(8.320101, abs=1e-6)


def test_terminal_kl_at_the_published_schedule():
    kl = proof("terminal_kl").as_function(BAR_T, x0)
    alphabar = math.prod(1 - (1e-4 + (0.02 - 1e-4) * i / 999) for i in range(1000))
    assert alphabar == pytest.approx(4.0e-5, rel=0.02)
    assert 0 < kl(alphabar, 0.0) < kl(alphabar, 1.0) < 1e-4
    assert kl(0.36, 1.0) == pytest.approx(-0.5 * math.log(0.64))


def test_bound_meets_evidence_at_the_exact_posterior():
    s, v, m, w = elbo.s, elbo.v, elbo.m, elbo.w
    bound = proof("linear_gaussian_elbo").as_function(s, v, m, w, elbo.x)
    gap = proof("linear_gaussian_kl").as_function(s, v, m, w, elbo.x)
    evidence = proof("linear_gaussian_identity").as_function(s, w, elbo.x)
    assert bound(0.5, 0.7, 0.2, 1.5, 2.0) + gap(0.5, 0.7, 0.2, 1.5, 2.0) == pytest.approx(
        evidence(0.5, 1.5, 2.0)
    )
    exact = 0.25 / 2.5, 3.0 / 2.5
    assert gap(0.5, *exact, 1.5, 2.0) == pytest.approx(0, abs=1e-12)
    assert bound(0.5, *exact, 1.5, 2.0) == pytest.approx(evidence(0.5, 1.5, 2.0))


def test_posterior_of_the_first_step_is_x0_itself():
    """ᾱ_0 = 1: no variance, and the mean is x_0 whatever x_1 is."""
    mean_of = proof("posterior_mean").as_function(alpha, bar_s, x0, xt)
    variance = proof("posterior_variance").as_function(alpha, bar_s)
    assert mean_of(0.9, 1.0, 0.3, -2.0) == pytest.approx(0.3)
    assert variance(0.9, 1.0) == 0
