"""Errors seen in public material, put into the library on purpose: each must be caught by a check.

A mutation replaces one piece of the library; the check named beside it is a test of this folder,
which passes on the library as it is (pytest runs it) and must fail on the mutant.
"""

import math
from types import SimpleNamespace

import pytest
import test_against_diffusers
import test_bound
import test_bridge
import test_diffusion
import test_estimate
import test_experiments
import test_fit
import test_gaussian
import test_guidance
import test_identities
import test_likelihood
import test_metrics
import test_samplers
import test_schedule
import test_vae
import torch
from hypothesis import Phase, settings
from lowerbound import data, diffusion, fit, likelihood, metrics, noise, objective, samplers
from lowerbound.bound import Bound
from lowerbound.data import Mixture
from lowerbound.diffusion import Diffusion
from lowerbound.estimate import Levels, levels, stratified_bound
from lowerbound.gaussian import LOG_2PI, Gaussian
from lowerbound.guidance import Guided
from lowerbound.likelihood import Bernoulli, DiscretisedLogistic, GaussianLikelihood
from lowerbound.schedule import Schedule, at
from lowerbound.vae import VAE
from torch.nn import functional as F  # noqa: N812

from tools.experiments import equal_budget, training


def _q_sample(noise):
    def q_sample(self, x0, t, eps):
        a = self.schedule.alpha_bar
        return at(a.sqrt(), t, x0) * x0 + at(noise(self.schedule), t, x0) * eps

    return q_sample


def _product_to_the_end(self, x0, t, eps):
    return Q_SAMPLE(self, x0, torch.full_like(t, self.schedule.T), eps)


def _coefficients_reversed(self):
    return tuple(torch.cat([c[:1], c[1:].flip(0)]) for c in COEFFICIENTS(self))


def _mean_kl(self, other=None):
    return KL(self, other) / self.mean[0].numel()


def _kl_reversed(self, other=None):
    standard = Gaussian(torch.zeros_like(self.mean), torch.zeros_like(self.mean))
    return KL(other or standard, self)


def _own_mean(self, x):
    return LOG_PROB(Gaussian(x, self.logvar), x)


def _without_log(self, x, rng=None):
    q = self.posterior(x)
    return Bound(-self.decode(q.sample(rng)).log_prob(x).exp(), q.kl()[:, None])


def _weighted_bound(self, x, rng=None):
    q = self.posterior(x)
    return Bound(-self.decode(q.sample(rng)).log_prob(x), self.beta * q.kl()[:, None])


def _tanh_when_sampling(self, n, rng=None, *, last_noise=False):
    return torch.tanh(VAE_SAMPLE(self, n, rng, last_noise=last_noise))


def _noise_at_the_last_step(model, xT, rng=None, **kwargs):
    *states, x0 = ANCESTRAL(model, xT, rng, **kwargs)
    yield from states
    yield x0 + float(model.schedule.beta[1]) ** 0.5 * torch.randn(x0.shape, generator=rng, dtype=x0.dtype)


def _beta_kept(T=1000, beta_1=1e-4, beta_T=0.02):
    beta = torch.linspace(beta_1, beta_T, T, dtype=torch.float64)
    return Schedule(torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)]))


def _bins_closed_at_the_ends(self, x):
    scale = torch.exp(self.log_scale)
    upper, lower = (torch.sigmoid((x - self.mean + d) / scale) for d in (1 / 255, -1 / 255))
    return (upper - lower).clamp(min=1e-12).log().flatten(1).sum(1)


def _noisier_ddim(model, xT, eta=0.0, rng=None, **kwargs):
    walk = DDIM(model, xT, eta, rng, **kwargs)
    yield next(walk)
    for x in walk:
        yield x + (0.1 * torch.randn(x.shape, generator=rng, dtype=x.dtype) if eta else 0)


def _noised_by_std(self, alpha_bar):
    std = math.sqrt(alpha_bar) * self.std + math.sqrt(1 - alpha_bar)
    return Mixture(math.sqrt(alpha_bar) * self.means, std, self.weights)


def _restore_without_noise(saved, path, state, run, rng):
    kept = rng.get_state()
    losses = RESTORE(saved, path, state, run, rng)
    rng.set_state(kept)
    return losses


def _one_step_early(self, x0, t, eps):
    return Q_SAMPLE(self, x0, t - 1, eps)


def _turned_over(self):
    a = self.alpha_bar
    return torch.cat([torch.zeros_like(a[:2]), self.beta[2:] * (1 - a[2:]) / (1 - a[1:-1])])


def _all_noise_kept(model, xT, eta=0.0, rng=None, **kwargs):
    s, x = model.schedule, xT
    yield x
    for t in range(s.T, 0, -1):
        x0 = model.predict_x0(x, torch.full((len(x),), t))
        eps = (x - s.alpha_bar[t].sqrt() * x0) / (1 - s.alpha_bar[t]).sqrt()
        fresh = torch.randn(x.shape, generator=rng, dtype=x.dtype)
        width = eta * s.posterior_variance[t].sqrt()
        x = s.alpha_bar[t - 1].sqrt() * x0 + (1 - s.alpha_bar[t - 1]).sqrt() * eps + width * fresh
        yield x


def _prior_term_dropped(self, x, rng=None, **kwargs):
    bound = DIFFUSION_BOUND(self, x, rng, **kwargs)
    return Bound(bound.distortion, bound.rates[:, :-1])


def _signal_for_noise_at_the_end(self, x, rng=None, **kwargs):
    bound, end = DIFFUSION_BOUND(self, x, rng, **kwargs), self.schedule.alpha_bar[-1]
    last = Gaussian(end.sqrt() * x, end.log()).kl()
    return Bound(bound.distortion, torch.cat([bound.rates[:, :-1], last[:, None]], 1))


def _rate_rewarded(self, x, rng=None):
    bound = VAE_BOUND(self, x, rng)
    return Bound(bound.distortion, -bound.rates)


def _noise_not_rooted(self, xt, t, eps):
    a = self.schedule.alpha_bar
    return (xt - at(1 - a, t, xt) * eps) / at(a.sqrt(), t, xt)


def _width_halved_in_log(self, xt, t):
    p = P_REVERSE(self, xt, t)
    return Gaussian(p.mean, p.logvar / 2)


def _half_the_gradient(self, rng=None):
    std = (self.std + self.std.detach()) / 2
    return self.mean + std * torch.randn(self.mean.shape, generator=rng, dtype=self.mean.dtype)


def _variance_as_scale(self, rng=None):
    return self.mean + self.logvar.exp() * torch.randn(self.mean.shape, generator=rng, dtype=self.mean.dtype)


def _constant_counted_once(self, x):
    return GAUSSIAN_LIKELIHOOD(self, x) + 0.5 * LOG_2PI * (x[0].numel() - 1)


def _scale_for_variance(self, x):
    return GAUSSIAN_LIKELIHOOD(GaussianLikelihood(self.mean, self.log_scale / 2), x)


def _shares_forgotten(self, x):
    return MIXTURE(Mixture(self.means, self.std, torch.full_like(self.weights, 1 / len(self.weights))), x)


def _of(model, **readings):
    """The model with other readings of its schedule; its network is told the right noise levels still."""
    names = "T", "alpha_bar", "log_snr", "snr", "posterior_variance"
    right = {name: getattr(model.schedule, name) for name in names}
    return SimpleNamespace(
        schedule=SimpleNamespace(**right | readings), predict_x0=model.predict_x0, p_reverse=model.p_reverse
    )


def _first_order(model, xT, rng=None, **kwargs):
    yield from DDIM(model, xT)


def _whole_log_snr(model, xT, rng=None, **kwargs):
    yield from DPM_SOLVER(_of(model, log_snr=2 * model.schedule.log_snr), xT)


def _log_signal(model, xT, rng=None, **kwargs):
    yield from DPM_SOLVER(_of(model, log_snr=model.schedule.alpha_bar.log()), xT)


def _second_order_by_time(model, xT, rng=None, **kwargs):
    """r = 1, as if the steps were equal in λ."""
    s, x, before = model.schedule, xT, xT
    yield x
    for t in range(s.T, 0, -1):
        x0 = model.predict_x0(x, torch.full((len(x),), t))
        ahead = x0 if t in (1, s.T) else x0 + (x0 - before) / 2
        fade = ((1 - s.alpha_bar[t - 1]) / (1 - s.alpha_bar[t])).sqrt()
        x = fade * x + (s.alpha_bar[t - 1].sqrt() - fade * s.alpha_bar[t].sqrt()) * ahead
        before = x0
        yield x


def _one_level_early(model, xT, rng=None, **kwargs):
    snr = model.schedule.snr
    yield from HEUN(_of(model, snr=torch.cat([snr[:1], snr[:1], snr[1:-1]]).clamp(max=1e8)), xT)


def _far_slope_alone(model, xT, rng=None, **kwargs):
    s = model.schedule
    root, level = s.alpha_bar.sqrt(), s.snr.rsqrt()

    def slope(x, t):
        return (x - model.predict_x0(root[t] * x, torch.full((len(x),), t))) / level[t]

    x = xT / root[-1]
    yield xT
    for t in range(s.T, 0, -1):
        step, here = level[t - 1] - level[t], slope(x, t)
        x = x + step * (slope(x + step * here, t - 1) if t > 1 else here)
        yield root[t - 1] * x


def _guided_by(formula):
    def forward(self, xt, log_snr):
        y = self.y.expand(len(xt))
        return formula(self.net(xt, log_snr, y), self.net(xt, log_snr, torch.full_like(y, -1)), self.weight)

    return forward


def _classes_never_hidden(self, x, rng=None, y=None):
    kept, self.drop_class = self.drop_class, 0.0
    loss = LOSS(self, x, rng, y)
    self.drop_class = kept
    return loss


def _runs_counted_once(model, x, rng=None, calls=16):
    bound = STRATIFIED(model, x, rng, calls)
    share = min(1, calls / (model.schedule.T - 1))
    return Bound(bound.distortion, torch.cat([share * bound.rates[:, :-1], bound.rates[:, -1:]], 1))


def _one_step_for_a_run(which):
    """The first of a run's steps, or its last, drawn by no one but taken for all."""

    @torch.no_grad()
    def bound(model, x, rng=None, calls=16):
        steps = range(2, model.schedule.T + 1)
        length = len(steps) // calls  # of as many runs as the check has, without a rest
        rates = []
        for run in range(calls):
            t = torch.full((len(x),), steps[run * length : (run + 1) * length][which])
            xt = model.q_sample(x, t, torch.randn(x.shape, generator=rng, dtype=x.dtype))
            rates.append(length * model.q_posterior(x, xt, t).kl(model.p_reverse(xt, t)))
        rest = STRATIFIED(model, x, rng, calls)
        return Bound(rest.distortion, torch.stack([*rates, rest.rates[:, -1]], 1))

    return bound


def _prior_for_standard_normal(model, x, rng=None, calls=16):
    bound = STRATIFIED(model, x, rng, calls)
    return Bound(bound.distortion, torch.cat([bound.rates[:, :-1], 0 * bound.rates[:, -1:]], 1))


def _costs(formula):
    """Costs of a step from level j to level i by formula(SNR_i, SNR_j, f_i, f_j, with the best variance)."""

    def costs(self, best_variance):
        snr, f = self.log_snr.exp(), self.error
        cost = formula(snr[:, None], snr[None, :], f[:, None], f[None, :], best_variance)
        return torch.where(torch.ones_like(cost).triu(1).bool(), cost, torch.inf)

    return costs


def _log_or_not(drop, best):
    return torch.log1p(drop) / 2 if best else drop / 2


def _greedy(self, steps, best_variance):
    """Each ladder is the one before and the level that helps it most."""
    N = len(self.log_snr)
    ladder, ladders = [N - 1], []
    for T in range(1, steps + 1):
        if T > 1:
            longer = [sorted([*ladder, i]) for i in range(N - 1) if i not in ladder]
            ladder = min(longer, key=lambda tried: self.bound(torch.tensor(tried), best_variance))
        ladders.append(torch.tensor(ladder))
    bounds = [self.bound(tried, best_variance) for tried in ladders]
    return torch.tensor(bounds, dtype=torch.float64), ladders


def _any_end(self, steps, best_variance):
    """The best chains, wherever they end: with too little noise for the prior."""
    found = [
        BEST_LADDERS(Levels(*(v[:end] for v in vars(self).values())), min(end, steps), best_variance)
        for end in range(1, len(self.log_snr) + 1)
    ]
    best = [min((f[T] for f, _ in found if len(f) > T), key=float) for T in range(steps)]
    ladders = [min((f[T], p[T]) for f, p in found if len(f) > T)[1] for T in range(steps)]
    return torch.stack(best), ladders


def _distortion_of_the_noisiest(self, log_snr, best_variance):
    first, last = log_snr[:1], log_snr[-1:]
    return ALONG(self, log_snr, best_variance) - ALONG(self, first, True) + ALONG(self, last, True)


def _width_of_a_unit(model, x, log_snr, rng=None):
    found = LEVELS(model, x, log_snr, rng)
    rest = found.error / torch.exp(-log_snr)  # at log_width = 0, not at the best
    return Levels(log_snr, found.error, 0.5 * (rest + math.log(2 * math.pi) - log_snr), 0 * log_snr)


def _radius_in_the_other_set(real, fake, k=5):
    def share_within(points, members):
        apart = torch.cdist(points, members)
        radius = apart.kthvalue(k, dim=0).values
        return float((apart <= radius).any(1).double().mean())

    return share_within(fake, real), share_within(real, fake)


def _density_for_probability(self, x):
    z = (x - self.mean) / torch.exp(self.log_scale)
    return (F.logsigmoid(z) + F.logsigmoid(-z) - self.log_scale).flatten(1).sum(1)


def _means_alone(real, fake, seed=0):
    return {
        **FEATURE_DISTANCES(real, fake, seed),
        "frechet": float(((real.mean(0) - fake.mean(0)) ** 2).sum()),
    }


STRATIFIED, LEVELS, BEST_LADDERS, ALONG = stratified_bound, levels, Levels.best_ladders, Levels.along
PRECISION_RECALL, FEATURE_DISTANCES = metrics.precision_recall, metrics.feature_distances
Q_SAMPLE, COEFFICIENTS = Diffusion.q_sample, Diffusion._posterior_coefficients
KL, LOG_PROB, VAE_SAMPLE = Gaussian.kl, Gaussian.log_prob, VAE.sample
ANCESTRAL, DDIM, RESTORE = samplers.ancestral, samplers.ddim, fit._restore
DPM_SOLVER, HEUN, LOSS = samplers.dpm_solver, samplers.heun, Diffusion.loss
IMPORTANCE = metrics.log_prob_importance
DIFFUSION_BOUND, P_REVERSE, L_BOUND = Diffusion.bound, Diffusion.p_reverse, objective.l_bound
VAE_BOUND, GAUSSIAN_LIKELIHOOD, MIXTURE = VAE.bound, GaussianLikelihood.log_prob, Mixture.log_prob

CHAIN = (test_identities.test_q_sample_is_the_chain_step_by_step,)
UNBIASED = test_diffusion.test_l_bound_is_an_unbiased_estimate_of_the_bound_without_its_constant
BAYES = (test_identities.test_q_posterior_is_bayes,)
FEW_STEPS = (test_estimate.test_a_few_steps_have_the_bound_as_their_mean, diffusion.fixed_small, 3)
ONE_STEP = (test_estimate.costs_are_those_of_the_library, 0, 1)
DOUBLE_LOOP = (test_experiments.precision_and_recall_are_a_double_loop, 50, 35, 2, 3)
MUTATIONS = {
    "variance √(1 − ᾱ)": (Diffusion, "q_sample", _q_sample(lambda s: (1 - s.alpha_bar) ** 0.25), CHAIN),
    "std 1 − ᾱ": (Diffusion, "q_sample", _q_sample(lambda s: 1 - s.alpha_bar), CHAIN),
    "noise scaled by β_t": (Diffusion, "q_sample", _q_sample(lambda s: s.beta), CHAIN),
    "ᾱ as a product to T": (Diffusion, "q_sample", _product_to_the_end, CHAIN),
    "α read as √(1 − ᾱ)": (Schedule, "alpha", property(lambda s: (1 - s.alpha_bar).sqrt()), CHAIN),
    "posterior stored in descending t": (
        Diffusion,
        "_posterior_coefficients",
        _coefficients_reversed,
        BAYES,
    ),
    "posterior variance β": (Schedule, "posterior_variance", Schedule.beta, BAYES),
    "noise at the last step": (
        test_samplers,
        "ancestral",
        _noise_at_the_last_step,
        (test_samplers.test_no_noise_is_added_in_the_last_step, _noise_at_the_last_step),
    ),
    "log q with x as its own mean": (
        Gaussian,
        "log_prob",
        _own_mean,
        (test_gaussian.test_log_prob_equals_that_of_torch_distributions,),
    ),
    "reconstruction E[−p]": (
        VAE,
        "bound",
        _without_log,
        (test_vae.test_with_the_exact_posterior_the_bound_is_log_p, 0),
    ),
    "KL averaged": (
        Gaussian,
        "kl",
        _mean_kl,
        (test_gaussian.test_kl_sums_over_every_dimension_and_keeps_the_batch,),
    ),
    "KL the other way round": (
        Gaussian,
        "kl",
        _kl_reversed,
        (test_gaussian.test_kl_equals_that_of_torch_distributions,),
    ),
    "variance where a standard deviation belongs": (
        Gaussian,
        "std",
        property(lambda q: torch.exp(q.logvar)),
        (test_gaussian.test_sample_has_the_mean_and_the_standard_deviation,),
    ),
    "a density without its constant": (
        Gaussian,
        "log_prob",
        lambda q, x: LOG_PROB(q, x) + 0.5 * LOG_2PI * q.mean[0].numel(),
        (test_gaussian.test_log_prob_equals_that_of_torch_distributions,),
    ),
    "mean pinched in sampling alone": (
        VAE,
        "sample",
        _tanh_when_sampling,
        (test_vae.test_samples_are_the_decoders_mean_or_a_draw_around_it,),
    ),
    "bound weighted by beta": (
        VAE,
        "bound",
        _weighted_bound,
        (test_vae.test_beta_weighs_the_loss_and_never_the_bound,),
    ),
    "β kept when T changes": (
        test_schedule,
        "linear",
        _beta_kept,
        (test_schedule.test_every_number_of_steps_ends_in_the_same_noise, _beta_kept, 100),
    ),
    "L_simple taken for the bound": (
        test_diffusion,
        "l_bound",
        objective.l_simple,
        (UNBIASED, diffusion.fixed_small, 5),
    ),
    "bins closed at the ends": (
        DiscretisedLogistic,
        "log_prob",
        _bins_closed_at_the_ends,
        (test_likelihood.test_extremes_sum_to_one_too, DiscretisedLogistic, -1.0, 0.0),
    ),
    "bins twice as wide": (
        likelihood,
        "HALF_BIN",
        1 / 127.5,
        (test_likelihood.test_extremes_sum_to_one_too, DiscretisedLogistic, 0.0, 0.0),
    ),
    "cross-entropy on grey": (
        Bernoulli,
        "log_prob",
        lambda p, x: F.logsigmoid(x * p.logits).flatten(1).sum(1),
        (test_likelihood.test_bernoulli_refuses_grey,),
    ),
    "bits that are nats": (
        Bound,
        "bits_per_dim",
        lambda b, dims: b.nats() / dims,
        (test_bound.test_a_uniform_guess_over_256_levels_costs_eight_bits,),
    ),
    "importance weights summed, not averaged": (
        test_vae,
        "log_prob_importance",
        lambda vae, x, k, rng: IMPORTANCE(vae, x, k, rng) + math.log(k),
        (test_vae.test_importance_weights_of_the_exact_posterior_are_constant,),
    ),
    "too much noise in DDIM": (
        test_identities,
        "ddim",
        _noisier_ddim,
        (test_identities.test_ddim_with_eta_1_is_ancestral_with_the_small_variance,),
    ),
    "standard deviations added": (
        data.Mixture,
        "noised",
        _noised_by_std,
        (test_diffusion.test_the_best_denoiser_beats_its_neighbours,),
    ),
    "resumed with fresh noise": (
        fit,
        "_restore",
        _restore_without_noise,
        (test_fit.test_a_run_that_stops_goes_on_to_the_same_bits, "tmp_path", 6),
    ),
    "active units by the mean itself": (
        metrics,
        "active_units",
        lambda vae, x, threshold=0.01: int((vae.posterior(x).mean.abs().mean(0) > threshold).sum()),
        (test_metrics.test_active_units_counts_the_latents_whose_mean_moves,),
    ),
    "KL without its half": (
        Gaussian,
        "kl",
        lambda q, other=None: 2 * KL(q, other),
        (test_bridge.test_kl_between_two_gaussians,),
    ),
    "posterior's coefficients exchanged": (
        Diffusion,
        "_posterior_coefficients",
        lambda self: COEFFICIENTS(self)[::-1],
        (test_bridge.test_posterior_mean_and_variance,),
    ),
    "β read as 1 − √α": (
        Schedule,
        "beta",
        property(lambda s: 1 - s.alpha.sqrt()),
        (test_bridge.test_posterior_mean_and_variance,),
    ),
    "β̃ turned over": (
        Schedule,
        "posterior_variance",
        property(_turned_over),
        (test_bridge.test_posterior_mean_and_variance,),
    ),
    "step back as wide as √σ": (
        Diffusion,
        "p_reverse",
        _width_halved_in_log,
        (test_bridge.test_width_of_a_step_back,),
    ),
    "noise over signal": (
        Schedule,
        "snr",
        property(lambda s: (1 - s.alpha_bar) / s.alpha_bar),
        (test_bridge.test_what_splitting_a_step_changes,),
    ),
    "ᾱ one index early": (Diffusion, "q_sample", _one_step_early, (test_bridge.test_law_of_x_t,)),
    "noise not rooted in x̂₀": (
        Diffusion,
        "x0_from_eps",
        _noise_not_rooted,
        (test_bridge.test_posterior_mean_from_the_noise,),
    ),
    "DDIM keeps all the noise and adds more": (
        test_bridge,
        "ddim",
        _all_noise_kept,
        (test_bridge.test_a_ddim_step_keeps_a_part_of_the_noise,),
    ),
    "DDIM's variance beyond the marginal": (
        test_bridge,
        "ddim",
        _all_noise_kept,
        (test_bridge.test_a_ddim_step_of_any_noise_keeps_the_variance,),
    ),
    "η where η² belongs": (
        test_bridge,
        "ddim",
        lambda model, xT, eta, rng: DDIM(model, xT, eta**0.5, rng),
        (test_bridge.test_a_ddim_step_keeps_a_part_of_the_noise,),
    ),
    "β for β² in the bound's weight": (
        test_bridge,
        "l_bound",
        lambda model, n: L_BOUND(model, n) / model.schedule.beta[n.t],
        (test_bridge.test_weight_of_the_noise_error,),
    ),
    "absolute error in the simple loss": (
        test_bridge,
        "l_simple",
        lambda model, n: n.squared_error().sqrt(),
        (test_bridge.test_summand_of_the_simple_loss,),
    ),
    "L_T dropped": (
        Diffusion,
        "bound",
        _prior_term_dropped,
        (test_bridge.test_the_bound_of_a_diffusion_model_term_by_term,),
    ),
    "signal's variance at the last step": (
        Diffusion,
        "bound",
        _signal_for_noise_at_the_end,
        (test_bridge.test_kl_at_the_last_step,),
    ),
    "rate rewarded": (
        VAE,
        "bound",
        _rate_rewarded,
        (test_bridge.test_the_bound_of_a_vae_is_distortion_plus_rate,),
    ),
    "rate taken off": (
        Bound,
        "nats",
        lambda b: b.distortion - b.rate,
        (test_bridge.test_the_bound_of_a_vae_is_distortion_plus_rate,),
    ),
    "half the gradient through σ": (
        Gaussian,
        "sample",
        _half_the_gradient,
        (test_bridge.test_gradient_through_a_sample,),
    ),
    "z = μ + σ²ε": (Gaussian, "sample", _variance_as_scale, (test_bridge.test_the_bound_of_a_linear_vae,)),
    "constant counted once for all pixels": (
        GaussianLikelihood,
        "log_prob",
        _constant_counted_once,
        (test_bridge.test_negative_log_likelihood_of_several_pixels,),
    ),
    "σ for σ² in the likelihood": (
        GaussianLikelihood,
        "log_prob",
        _scale_for_variance,
        (test_bridge.test_gaussian_negative_log_likelihood,),
    ),
    "every component the same share": (
        Mixture,
        "log_prob",
        _shares_forgotten,
        (test_bridge.test_evidence_of_two_states,),
    ),
    "DPM-Solver without its second order": (
        test_against_diffusers,
        "dpm_solver",
        _first_order,
        (test_against_diffusers.test_dpm_solver_is_its_multistep_solver, "linear", 12),
    ),
    "λ not halved": (
        test_against_diffusers,
        "dpm_solver",
        _whole_log_snr,
        (test_against_diffusers.test_dpm_solver_is_its_multistep_solver, "linear", 12),
    ),
    "λ the log of the signal alone": (
        test_against_diffusers,
        "dpm_solver",
        _log_signal,
        (test_against_diffusers.test_dpm_solver_is_its_multistep_solver, "linear", 12),
    ),
    "r = 1 in DPM-Solver": (
        test_against_diffusers,
        "dpm_solver",
        _second_order_by_time,
        (test_against_diffusers.test_dpm_solver_is_its_multistep_solver, "cosine", 60),
    ),
    "r = 1 where it shows in a proof": (
        test_bridge,
        "dpm_solver",
        _second_order_by_time,
        (test_bridge.test_the_second_step_of_dpm_solver,),
    ),
    "DPM-Solver of first order": (
        samplers,
        "dpm_solver",
        _first_order,
        (test_samplers.test_the_order_of_convergence, _first_order, 2),
    ),
    "Euler for Heun": (
        test_against_diffusers,
        "heun",
        _first_order,
        (test_against_diffusers.test_heun_is_its_heun, "linear", 12, False),
    ),
    "the far slope alone": (
        test_against_diffusers,
        "heun",
        _far_slope_alone,
        (test_against_diffusers.test_heun_is_its_heun, "linear", 12, False),
    ),
    "σ one index early": (
        test_against_diffusers,
        "heun",
        _one_level_early,
        (test_against_diffusers.test_heun_is_its_heun, "linear", 12, False),
    ),
    "noise at the last step of DDPM": (
        test_against_diffusers,
        "ancestral",
        _noise_at_the_last_step,
        (test_against_diffusers.test_ancestral_is_its_ddpm, "linear", 60, False, diffusion.fixed_small),
    ),
    "DDIM with too much noise": (
        test_against_diffusers,
        "ddim",
        _all_noise_kept,
        (test_against_diffusers.test_ddim_is_its_ddim, "linear", 12, False, 0.5),
    ),
    "w with the other sign": (
        Guided,
        "forward",
        _guided_by(lambda given, alone, w: given - w * (given - alone)),
        (test_guidance.test_guided_noise_is_that_of_the_leaned_density, 4),
    ),
    "w for 1 + w": (
        Guided,
        "forward",
        _guided_by(lambda given, alone, w: alone + w * (given - alone)),
        (test_guidance.test_guided_noise_is_that_of_the_leaned_density, 4),
    ),
    "no class for the class": (
        Guided,
        "forward",
        _guided_by(lambda given, alone, w: alone + w * (alone - given)),
        (test_bridge.test_the_guided_noise,),
    ),
    "classes never hidden": (
        Diffusion,
        "loss",
        _classes_never_hidden,
        (test_guidance.test_the_loss_hides_a_class_as_often_as_it_is_told, 0.6),
    ),
    "every process draws the same part": (
        noise,
        "_place",
        lambda rng: (0, 1),
        (test_identities.test_the_parts_of_a_draw_are_the_whole_draw,),
    ),
    "a level of its own when respaced": (
        Schedule,
        "respace",
        lambda s, steps: (
            Schedule(s.alpha_bar[torch.linspace(0, s.T - 1, steps + 1).round().long()]) if steps < s.T else s
        ),
        (test_identities.test_a_respaced_model_has_the_same_noise_levels,),
    ),
    "the KL's log left out of the bound": (
        Gaussian,
        "kl",
        lambda q, other=None: KL(q, other) - 0.5 * (other.logvar - q.logvar).sum(1) if other else KL(q),
        (test_identities.test_the_bound_touches_where_the_model_reverses_the_chain,),
    ),
    "a run of steps counted as one": (test_estimate, "stratified_bound", _runs_counted_once, FEW_STEPS),
    "the first step for its run": (test_estimate, "stratified_bound", _one_step_for_a_run(0), FEW_STEPS),
    "the last step for its run": (test_estimate, "stratified_bound", _one_step_for_a_run(-1), FEW_STEPS),
    "no L_T beside the steps drawn": (
        test_estimate,
        "stratified_bound",
        _prior_for_standard_normal,
        FEW_STEPS,
    ),
    "the error of the level below": (
        Levels,
        "costs",
        _costs(lambda above, here, f_above, f, best: _log_or_not((above - here) * f_above, best)),
        ONE_STEP,
    ),
    "the best variance without its half": (
        Levels,
        "costs",
        _costs(lambda above, here, _, f, best: _log_or_not((above - here) * f, best) * (2 if best else 1)),
        ONE_STEP,
    ),
    "the fixed variance taken for the best": (
        Levels,
        "costs",
        _costs(lambda above, here, _, f, best: (above - here) * f / 2),
        ONE_STEP,
    ),
    "the whole error as of a jump to no signal": (
        Levels,
        "costs",
        _costs(lambda above, here, _, f, best: _log_or_not(above * f, best)),
        ONE_STEP,
    ),
    "a ladder grown level by level": (
        Levels,
        "best_ladders",
        _greedy,
        (test_estimate.test_the_best_ladders_are_those_of_all_subsets, False, 1),
    ),
    "a ladder that ends where it likes": (
        Levels,
        "best_ladders",
        _any_end,
        (test_estimate.test_the_best_ladders_are_those_of_all_subsets, True, 0),
    ),
    "the distortion of the noisiest level": (
        Levels,
        "along",
        _distortion_of_the_noisiest,
        (test_estimate.test_an_even_chain_on_the_grid_costs_what_its_ladder_costs, True),
    ),
    "a width that is not fitted": (
        test_estimate,
        "levels",
        _width_of_a_unit,
        (test_estimate.test_levels_of_normal_data_have_the_error_the_distortion_and_the_width_of_bayes,),
    ),
    "precision and recall exchanged": (
        metrics,
        "precision_recall",
        lambda real, fake, k=5: PRECISION_RECALL(real, fake, k)[::-1],
        DOUBLE_LOOP,
    ),
    "a point its own neighbour": (
        metrics,
        "precision_recall",
        lambda real, fake, k=5: PRECISION_RECALL(real, fake, k - 1),
        DOUBLE_LOOP,
    ),
    "neighbours in the other set": (metrics, "precision_recall", _radius_in_the_other_set, DOUBLE_LOOP),
    "means alone in the Fréchet distance": (
        metrics,
        "feature_distances",
        _means_alone,
        (test_experiments.distances_are_the_formulas, 60, 3),
    ),
    "a density where a probability belongs": (
        DiscretisedLogistic,
        "log_prob",
        _density_for_probability,
        (test_estimate.test_both_bounds_are_of_probabilities_that_add_up_to_one, "ddpm"),
    ),
    "a step without its way back": (
        equal_budget,
        "steps_for",
        lambda model, budget, batch: round(budget / (batch * training.multiply_adds(model))),
        (test_experiments.test_every_run_of_equal_budget_costs_the_same_arithmetic, "cpu"),
    ),
}


def _fail_at_once(monkeypatch, check):
    """Let Hypothesis not look for the smallest example, which takes longer than to find one."""
    name = "_hypothesis_internal_use_settings"
    if found := getattr(check, name, None):
        phases = (Phase.explicit, Phase.generate)
        monkeypatch.setattr(check, name, settings(found, phases=phases, report_multiple_bugs=False))


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_caught(monkeypatch, tmp_path, record_property, name):
    record_property("mutation", "library")
    owner, attribute, mutant, (check, *arguments) = MUTATIONS[name]
    arguments = [tmp_path if a == "tmp_path" else a for a in arguments]
    monkeypatch.setattr(owner, attribute, mutant)
    _fail_at_once(monkeypatch, check)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(*arguments)
