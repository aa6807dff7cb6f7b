"""The errors planted on purpose, one a line: each must be noticed by the tests and the labs named beside it.

A fault is a change of text. In `scope`, a function of `file` ("" is the whole file), `old` stands once and
becomes `new`. `tests` are calls of tests or of checks in them, which pass on the library as it is and must
fail on the changed one. `lab` is a cell of a lab, which must then differ from what is stored.

`tests/tools/test_faults.py` plants those with tests, `python -m tools.reproduce.faults` those with a lab.
CATALOGUE plants the known mistakes of the self-checks: in its lines `variant` is such a mistake, a function
with the student's arguments.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Fault:
    """One error. file: in lib/lowerbound, or from the root if it begins with tools/; lab: "STEM:CELL"."""

    name: str
    file: str
    scope: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    lab: str = ""

    @property
    def path(self) -> Path:
        """Where the file lies, from the root."""
        return Path(self.file) if self.file.startswith("tools/") else Path("lib", "lowerbound", self.file)

    def edited(self, text: str) -> str:
        """The file's text with the error in it. ValueError if `old` does not stand in `scope` exactly once."""
        first, last, lines = 0, None, text.splitlines(keepends=True)
        body = ast.parse(text).body if self.scope else []
        for name in self.scope.split(".") if self.scope else ():
            node = next((node for node in body if getattr(node, "name", None) == name), None)
            if not isinstance(node, ast.ClassDef | ast.FunctionDef):
                raise ValueError(
                    f"planted error {self.name!r}: {self.path} has no {self.scope}; renew its line"
                )
            body, first, last = node.body, node.lineno - 1, node.end_lineno
        part = "".join(lines[first:last])
        if part.count(self.old) != 1:
            where = f"{self.scope or 'the file'} of {self.path}"
            raise ValueError(
                f"planted error {self.name!r}: {where} has {self.old!r} {part.count(self.old)} times, "
                "and must have it once; renew its line"
            )
        return "".join([*lines[:first], part.replace(self.old, self.new), *lines[last or len(lines) :]])


_CHAIN = "test_identities.test_q_sample_is_the_chain_step_by_step()"
_BAYES = "test_identities.test_q_posterior_is_bayes()"
_POSTERIOR = "test_bridge.test_posterior_mean_and_variance()"
_LOG_PROB = "test_gaussian.test_log_prob_equals_that_of_torch_distributions()"
_STD = "test_gaussian.test_sample_has_the_mean_and_the_standard_deviation()"
_EXTREMES = "test_likelihood.test_extremes_sum_to_one_too(DiscretisedLogistic, {}, 0.0)"
_SOLVER = "test_against_diffusers.test_dpm_solver_is_its_multistep_solver('{}', {})"
_HEUN = "test_against_diffusers.test_heun_is_its_heun('linear', 12, False)"
_LEANED = "test_guidance.test_guided_noise_is_that_of_the_leaned_density(4)"
_FEW = "test_estimate.test_a_few_steps_have_the_bound_as_their_mean(fixed_small, 3)"
_COSTS = "test_estimate.costs_are_those_of_the_library(0, 1)"
_SUBSETS = "test_estimate.test_the_best_schedules_are_those_of_all_subsets({})"
_LOOP = "test_metrics.precision_and_recall_are_a_double_loop(50, 35, 2, 3)"
_DDIM = (
    "test_bridge.test_a_ddim_step_keeps_a_part_of_the_noise()",
    "test_bridge.test_a_ddim_step_of_any_noise_keeps_the_variance()",
    "test_against_diffusers.test_ddim_is_its_ddim('linear', 12, False, 0.5)",
)
_SAVE = 'fig.savefig(full, format="rgba", dpi=DPI)'
_BETA_KEPT = """beta = torch.linspace(beta_1, beta_T, T, dtype=torch.float64)
    return Schedule(torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)]))
    reference = torch.cumsum("""
_DENSITY = """z = (x - self.mean) / torch.exp(self.log_scale)
        return (F.logsigmoid(z) + F.logsigmoid(-z) - self.log_scale).flatten(1).sum(1)
        inv_scale ="""
_GREEDY = """chain, chains = [N - 1], []
        for T in range(1, steps + 1):
            if T > 1:
                longer = [sorted([*chain, i]) for i in range(N - 1) if i not in chain]
                chain = min(longer, key=lambda tried: self.bound(torch.tensor(tried), best_variance))
            chains.append(torch.tensor(chain))
        return torch.tensor([self.bound(c, best_variance) for c in chains], dtype=torch.float64), chains
        cost ="""
_ANY_END = """best.append(total.min())
            ends = [*(ends if T > 1 else []), int(total.argmin())]
        schedules = []
        for T in range(1, steps + 1):
            path = [ends[T - 1]]"""

FAULTS = (
    # gaussian
    Fault("log q with x as its own mean", "gaussian.py", "Gaussian.log_prob", "(x - self.mean)", "(x - x)", (_LOG_PROB,)),
    Fault("a density without its constant", "gaussian.py", "Gaussian.log_prob", " + LOG_2PI", "", (_LOG_PROB,), "01_elbo:6"),
    Fault("log density without its half", "gaussian.py", "Gaussian.log_prob", "-0.5 *", "-1.0 *", (_LOG_PROB,), "01_elbo:2"),
    Fault("variance where a standard deviation belongs", "gaussian.py", "Gaussian.std", "0.5 * ", "", (_STD,), "02_vae:4"),
    Fault("no noise in the sample", "gaussian.py", "Gaussian.sample", "self.std *", "0 * self.std *", (_STD,), "02_vae:4"),
    Fault("half the gradient through σ", "gaussian.py", "Gaussian.sample", "self.std", "(self.std + self.std.detach()) / 2", ("test_bridge.test_gradient_through_a_sample()",)),
    Fault("z = μ + σ²ε", "gaussian.py", "Gaussian.sample", "self.std", "self.std**2", ("test_bridge.test_the_bound_of_a_linear_vae()",)),
    Fault("KL averaged", "gaussian.py", "Gaussian.kl", ".sum(1)", ".mean(1)", ("test_gaussian.test_kl_sums_over_every_dimension_and_keeps_the_batch()",), "02_vae:5"),
    Fault("KL without its half", "gaussian.py", "Gaussian.kl", "0.5 * ", "", ("test_bridge.test_kl_between_two_gaussians()",), "02_vae:5"),
    Fault("KL the other way round", "gaussian.py", "Gaussian.kl", "ratio =", "self, mean, logvar = Gaussian(mean + 0 * self.mean, logvar), self.mean, self.logvar\n        ratio =", ("test_gaussian.test_kl_equals_that_of_torch_distributions()",)),
    Fault("KL with its ratio turned over", "gaussian.py", "Gaussian.kl", "self.logvar - logvar", "logvar - self.logvar", ("test_gaussian.test_kl_equals_that_of_torch_distributions()",), "04_reverse:9"),
    Fault("the KL's log left out of the bound", "gaussian.py", "Gaussian.kl", "- ratio)", "- (ratio if other is None else 0))", ("test_identities.test_the_bound_touches_where_the_model_reverses_the_chain()",)),
    # bound
    Fault("rate taken off", "bound.py", "Bound.nats", "+ self.rate", "- self.rate", ("test_bridge.test_the_bound_of_a_vae_is_distortion_plus_rate()",)),
    Fault("bits that are nats", "bound.py", "Bound.bits_per_dim", " * math.log(2)", "", ("test_bound.test_a_uniform_guess_over_256_levels_costs_eight_bits()",)),
    Fault("bits with the wrong logarithm", "bound.py", "Bound.bits_per_dim", "math.log(2)", "math.log(10)", ("test_bound.test_a_uniform_guess_over_256_levels_costs_eight_bits()",), "05_comparison:5"),
    # likelihood
    Fault("bins twice as wide", "likelihood.py", "", "HALF_BIN = 1 / 255", "HALF_BIN = 1 / 127.5", (_EXTREMES.format(0.0),)),
    Fault("bins closed at the ends", "likelihood.py", "DiscretisedLogistic.log_prob", "width =", "below_top = above_bottom = torch.ones_like(x)\n        width =", (_EXTREMES.format(-1.0),)),
    Fault("a density where a probability belongs", "likelihood.py", "DiscretisedLogistic.log_prob", "inv_scale =", _DENSITY, ("test_estimate.test_both_bounds_are_of_probabilities_that_add_up_to_one('ddpm')",)),
    Fault("constant counted once for all pixels", "likelihood.py", "GaussianLikelihood.log_prob", " + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)", ").flatten(1).sum(1) - 0.5 * math.log(2 * math.pi)", ("test_bridge.test_negative_log_likelihood_of_several_pixels()",)),
    Fault("σ for σ² in the likelihood", "likelihood.py", "GaussianLikelihood.log_prob", "squared = (", "self = GaussianLikelihood(self.mean, self.log_scale / 2)\n        squared = (", ("test_bridge.test_gaussian_negative_log_likelihood()",)),
    Fault("cross-entropy on grey", "likelihood.py", "Bernoulli.log_prob", "if not bool((x.abs() == 1).all())", "if False", ("test_likelihood.test_bernoulli_refuses_grey()",)),
    # schedule
    Fault("α read as √(1 − ᾱ)", "schedule.py", "Schedule.alpha", "return ", "return (1 - self.alpha_bar).sqrt()\n        return ", (_CHAIN,)),
    Fault("β read as 1 − √α", "schedule.py", "Schedule.beta", "1 - self.alpha", "1 - self.alpha.sqrt()", (_POSTERIOR,)),
    Fault("beta without its one", "schedule.py", "Schedule.beta", "return 1 - ", "return ", (_POSTERIOR,), "04_reverse:11"),
    Fault("noise over signal", "schedule.py", "Schedule.snr", "self.alpha_bar / (1 - self.alpha_bar)", "(1 - self.alpha_bar) / self.alpha_bar", ("test_bridge.test_what_splitting_a_step_changes()",)),
    Fault("posterior variance β", "schedule.py", "Schedule.posterior_variance", " * (1 - a[:-1]) / (1 - a[1:])", "", (_BAYES,)),
    Fault("posterior variance by the wrong index", "schedule.py", "Schedule.posterior_variance", "(1 - a[:-1])", "(1 - a[1:])", (_BAYES,), "04_reverse:8"),
    Fault("β̃ turned over", "schedule.py", "Schedule.posterior_variance", "[torch.zeros_like(a[:1]), self.beta[1:] * (1 - a[:-1]) / (1 - a[1:])]", "[torch.zeros_like(a[:2]), self.beta[2:] * (1 - a[2:]) / (1 - a[1:-1])]", (_POSTERIOR,)),
    Fault("a level of its own when respaced", "schedule.py", "Schedule.respace", "(0, self.T,", "(0, self.T - (steps < self.T),", ("test_identities.test_a_respaced_model_has_the_same_noise_levels()",)),
    Fault("another last beta", "schedule.py", "linear", "beta_T: float = 0.02", "beta_T: float = 0.01", ("test_schedule.test_linear_1000_is_exactly_the_schedule_of_ddpm()",), "03_forward:23"),
    Fault("β kept when T changes", "schedule.py", "linear", "reference = torch.cumsum(", _BETA_KEPT, ("test_schedule.test_every_number_of_steps_ends_in_the_same_noise(linear, 100)",)),
    Fault("cosine not squared", "schedule.py", "cosine", "math.pi / 2) ** 2", "math.pi / 2)", ("test_schedule.test_cosine_is_equation_17()",), "03_forward:20"),
    Fault("a shorter axis of log SNR", "schedule.py", "log_snr_linear", "log_snr_T: float = -6.0", "log_snr_T: float = -5.0", (), "03_forward:20"),
    # vae
    Fault("reconstruction E[−p]", "vae.py", "VAE.bound", ".log_prob(x)", ".log_prob(x).exp()", ("test_vae.test_with_the_exact_posterior_the_bound_is_log_p(0)",)),
    Fault("rate rewarded", "vae.py", "VAE.bound", "rates=self.prior", "rates=-self.prior", ("test_bridge.test_the_bound_of_a_vae_is_distortion_plus_rate()",)),
    Fault("bound weighted by beta", "vae.py", "VAE.bound", "rates=self.prior", "rates=self.beta * self.prior", ("test_vae.test_beta_weighs_the_loss_and_never_the_bound()",)),
    Fault("mean pinched in sampling alone", "vae.py", "VAE.sample", "return p.sample(rng) if last_noise else p.mean", "return torch.tanh(p.sample(rng) if last_noise else p.mean)", ("test_vae.test_samples_are_the_decoders_mean_or_a_draw_around_it()",)),
    # diffusion: forward
    Fault("variance √(1 − ᾱ)", "diffusion.py", "Diffusion.q_sample", "(1 - alpha_bar).sqrt()", "(1 - alpha_bar) ** 0.25", (_CHAIN,)),
    Fault("std 1 − ᾱ", "diffusion.py", "Diffusion.q_sample", "(1 - alpha_bar).sqrt()", "1 - alpha_bar", (_CHAIN,), "03_forward:13"),
    Fault("noise scaled by β_t", "diffusion.py", "Diffusion.q_sample", "(1 - alpha_bar).sqrt()", "self.schedule.beta", (_CHAIN,)),
    Fault("noise subtracted", "diffusion.py", "Diffusion.q_sample", "* x0 + ", "* x0 - ", ("test_bridge.test_law_of_x_t()",), "03_forward:22"),
    Fault("ᾱ as a product to T", "diffusion.py", "Diffusion.q_sample", "alpha_bar = self", "t = torch.full_like(t, self.schedule.T)\n        alpha_bar = self", (_CHAIN,)),
    Fault("ᾱ one index early", "diffusion.py", "Diffusion.q_sample", "alpha_bar = self", "t = (t - 1).clamp(min=0)\n        alpha_bar = self", ("test_bridge.test_law_of_x_t()",), "03_forward:13"),
    # diffusion: posterior and reverse step
    Fault("posterior stored in descending t", "diffusion.py", "Diffusion.q_posterior", "= self._posterior_coefficients()", "= (torch.cat([c[:1], c[1:].flip(0)]) for c in self._posterior_coefficients())", (_BAYES,)),
    Fault("posterior's coefficients exchanged", "diffusion.py", "Diffusion.q_posterior", "coef_x0, coef_xt =", "coef_xt, coef_x0 =", (_POSTERIOR,), "04_reverse:4"),
    Fault("noise not rooted in x̂₀", "diffusion.py", "Diffusion.x0_from_eps", "(1 - alpha_bar).sqrt()", "1 - alpha_bar", ("test_bridge.test_posterior_mean_from_the_noise()",)),
    Fault("x0 not divided by its root", "diffusion.py", "Diffusion.x0_from_eps", "(alpha_bar.sqrt(),", "(alpha_bar,", ("test_bridge.test_posterior_mean_from_the_noise()",), "04_reverse:27"),
    Fault("network told another noise level", "diffusion.py", "Diffusion.predict_eps", "(self.schedule.log_snr, t, xt).flatten()", "(self.schedule.log_snr, t - 1, xt).flatten().clamp(max=14)", ("test_diffusion.test_the_network_is_told_log_snr()",), "04_reverse:27"),
    Fault("step back as wide as √σ", "diffusion.py", "Diffusion.p_reverse", ".log()", ".log() / 2", ("test_bridge.test_width_of_a_step_back()",)),
    # diffusion: bound and losses
    Fault("the width beside the best", "diffusion.py", "Diffusion.fit_width", "widths[best]", "widths[best - 1]", ("test_diffusion.test_the_width_that_is_fitted_is_the_best_of_all(DiscretisedLogistic, 0.05)",)),
    Fault("L_T dropped", "diffusion.py", "Diffusion.bound", "rates.append(self.prior(x).kl())", "pass", ("test_bridge.test_the_bound_of_a_diffusion_model_term_by_term()",)),
    Fault("signal's variance at the last step", "diffusion.py", "Diffusion.prior", "torch.log1p(-last)", "last.log()", ("test_bridge.test_kl_at_the_last_step()",)),
    Fault("classes never hidden", "diffusion.py", "Diffusion.loss", "< self.drop_class", "< 0", ("test_guidance.test_the_loss_hides_a_class_as_often_as_it_is_told(0.6)",)),
    Fault("absolute error in the simple loss", "diffusion.py", "l_simple", "squared_error()", "squared_error().sqrt()", ("test_bridge.test_summand_of_the_simple_loss()",)),
    Fault("L_simple taken for the bound", "diffusion.py", "l_bound", "s = model.schedule", "return l_simple(model, noised)\n    s = model.schedule", ("test_diffusion.test_l_bound_is_an_unbiased_estimate_of_the_bound_without_its_constant(fixed_small, 5)",)),
    Fault("β for β² in the bound's weight", "diffusion.py", "l_bound", "s.beta[2:] ** 2", "s.beta[2:]", ("test_bridge.test_weight_of_the_noise_error()",)),
    # guidance
    Fault("w with the other sign", "guidance.py", "Guided.forward", "given + self.weight", "given - self.weight", (_LEANED,)),
    Fault("w for 1 + w", "guidance.py", "Guided.forward", "given + self.weight", "alone + self.weight", (_LEANED,)),
    Fault("no class for the class", "guidance.py", "Guided.forward", "given + self.weight * (given - alone)", "alone + self.weight * (alone - given)", ("test_bridge.test_the_guided_noise()",)),
    # coordinates
    Fault("v with the other sign", "coordinates.py", "_v", "-noise, signal", "noise, -signal", ("test_bridge.test_what_follows_from_the_noise()",)),
    Fault("the score by the variance", "coordinates.py", "_score", "-1 / noise", "-1 / noise**2", ("test_bridge.test_the_weight_of_an_error()",)),
    Fault("image and noise with one sign", "coordinates.py", "to_image_and_noise", "(signal * y - image_part * xt)", "(signal * y + image_part * xt)", ("test_bridge.test_image_and_noise_from_any_coordinate()",)),
    Fault("weight not squared", "coordinates.py", "Coordinate.weight", " / signal) ** 2", " / signal)", ("test_bridge.test_the_weight_of_an_error()", "test_bridge.test_the_weight_of_a_loss_on_the_area()"), "07_coordinates:2"),
    Fault("a straight path of squares", "coordinates.py", "straightened", "xt / (signal + noise)", "xt / (signal**2 + noise**2)", ("test_bridge.test_the_state_in_straight_units()", "test_coordinates.test_the_straight_path_is_the_straight_path()")),
    Fault("two steps by their SNR", "coordinates.py", "two_steps_in_one", ".sqrt()", "", ("test_bridge.test_one_ddim_step_lands_where_two_did()",)),
    Fault("the teacher's guesses exchanged", "coordinates.py", "two_steps_in_one", "share * first + (1 - share) * second", "share * second + (1 - share) * first", ("test_bridge.test_one_ddim_step_lands_where_two_did()",)),
    Fault("flow matching with the noise unsquared", "schedule.py", "flow_matching", "+ tau**2)", "+ tau)", ("test_coordinates.test_the_straight_path_is_the_straight_path()",)),
    # samplers
    Fault("noise at the last step", "samplers.py", "ancestral", "_times(x, 1))", "_times(x, 1)) + float(model.schedule.beta[1]) ** 0.5 * torch.randn(x.shape, generator=rng, dtype=x.dtype)", ("test_samplers.test_no_noise_is_added_in_the_last_step(ancestral)", "test_against_diffusers.test_ancestral_is_its_ddpm('linear', 60, False, fixed_small)")),
    Fault("too much noise in DDIM", "samplers.py", "ddim", "x + var**0.5 *", "x + (var**0.5 + 0.1) *", ("test_identities.test_ddim_with_eta_1_is_ancestral_with_the_small_variance()",)),
    Fault("DDIM keeps all the noise and adds more", "samplers.py", "ddim", "1 - alpha_bar[t - 1] - var", "1 - alpha_bar[t - 1]", _DDIM),
    Fault("η where η² belongs", "samplers.py", "ddim", "eta**2", "eta", (_DDIM[0],)),
    Fault("DPM-Solver without its second order", "samplers.py", "dpm_solver", "h[t] / (2 * h[t + 1])", "0.0", (_SOLVER.format("linear", 12), "test_samplers.test_the_order_of_convergence(dpm_solver, 2)")),
    Fault("r = 1 in DPM-Solver", "samplers.py", "dpm_solver", "h[t] / (2 * h[t + 1])", "0.5", (_SOLVER.format("cosine", 60), "test_bridge.test_the_second_step_of_dpm_solver()")),
    Fault("λ not halved", "samplers.py", "dpm_solver", "(log_snr[t - 1] - log_snr[t]) / 2", "(log_snr[t - 1] - log_snr[t])", (_SOLVER.format("linear", 12),)),
    Fault("λ the log of the signal alone", "samplers.py", "dpm_solver", "schedule.log_snr", "schedule.alpha_bar.log()", (_SOLVER.format("linear", 12),)),
    Fault("Euler for Heun", "samplers.py", "heun", "(here + there) / 2", "here", (_HEUN,)),
    Fault("the far slope alone", "samplers.py", "heun", "(here + there) / 2", "there", (_HEUN,)),
    Fault("σ one index early", "samplers.py", "heun", "x = xT / scale[T]", "sigma = [0.0, 1e-4, *sigma[1:-1]]\n    x = xT / scale[T]", (_HEUN,)),
    # metrics and estimates
    Fault("importance weights summed, not averaged", "metrics.py", "log_prob_importance", " - math.log(k)", "", ("test_vae.test_importance_weights_of_the_exact_posterior_are_constant()",)),
    Fault("active units by the mean itself", "metrics.py", "active_units", ".mean.var(0)", ".mean.abs().mean(0)", ("test_metrics.test_active_units_counts_the_latents_whose_mean_moves()",)),
    Fault("precision and recall exchanged", "metrics.py", "precision_recall", "return share_within(fake, real), share_within(real, fake)", "return share_within(real, fake), share_within(fake, real)", (_LOOP,)),
    Fault("a point its own neighbour", "metrics.py", "precision_recall", "kthvalue(k + 1", "kthvalue(k", (_LOOP,)),
    Fault("neighbours in the other set", "metrics.py", "precision_recall", "torch.cdist(members, members).kthvalue(k + 1, dim=1)", "torch.cdist(points, members).kthvalue(k, dim=0)", (_LOOP,)),
    Fault("means alone in the Fréchet distance", "metrics.py", "feature_distances", "float(frechet.compute())", "float(((real.mean(0) - fake.mean(0)) ** 2).sum())", ("test_metrics.distances_are_the_formulas(60, 3)",)),
    Fault("a run of steps counted as one", "estimate.py", "stratified_bound", "(high - low) * model", "model", (_FEW,)),
    Fault("the first step for its run", "estimate.py", "stratified_bound", "t.clamp(max=high - 1)", "torch.full_like(t, low)", (_FEW,)),
    Fault("the last step for its run", "estimate.py", "stratified_bound", "t.clamp(max=high - 1)", "torch.full_like(t, high - 1)", (_FEW,)),
    Fault("no L_T beside the steps drawn", "estimate.py", "stratified_bound", "rates.append(model.prior", "rates.append(0 * model.prior", (_FEW,)),
    Fault("the error of the level below", "estimate.py", "Levels.costs", "self.error[None, :]", "self.error[:, None]", (_COSTS,)),
    Fault("the best variance without its half", "estimate.py", "Levels.costs", "clamp(min=0)) / 2", "clamp(min=0))", (_COSTS,)),
    Fault("the fixed variance taken for the best", "estimate.py", "Levels.costs", "if best_variance", "if False", (_COSTS,)),
    Fault("the whole error as of a jump to no signal", "estimate.py", "Levels.costs", "(snr[:, None] - snr[None, :])", "snr[:, None]", (_COSTS,)),
    Fault("levels chosen one by one", "estimate.py", "Levels.best_schedules", "cost =", _GREEDY, (_SUBSETS.format("False, 1"),)),
    Fault("a chain that ends where it likes", "estimate.py", "Levels.best_schedules", "best.append(total[-1])\n        schedules = []\n        for T in range(1, steps + 1):\n            path = [N - 1]", _ANY_END, (_SUBSETS.format("True, 0"),)),
    Fault("the distortion of the noisiest level", "estimate.py", "Levels.along", "np.interp(chain[0]", "np.interp(chain[-1]", ("test_estimate.test_an_even_chain_on_the_grid_costs_what_its_ladder_costs(True)",)),
    Fault("a width that is not fitted", "estimate.py", "levels", "chain.fit_width(x0_hat, x)", "chain.log_width.zero_()", ("test_estimate.test_levels_of_normal_data_have_the_error_the_distortion_and_the_width_of_bayes()",)),
    # data, training, experiments
    Fault("one image of the data replaced", "data.py", "load", 'return _verified(_bundled(split), "subset", split)', 'images = _verified(_bundled(split), "subset", split)\n        images.x[2] = images.x[3]\n        return images', (), "02_vae:2"),
    Fault("pixels scaled by 128", "data.py", "to_unit", "127.5", "128", ("test_data.test_levels_and_bin_centres_are_each_others_inverse()",), "05_comparison:4"),
    Fault("standard deviations added", "data.py", "Mixture.noised", "math.sqrt(alpha_bar * self.std**2 + 1 - alpha_bar)", "math.sqrt(alpha_bar) * self.std + math.sqrt(1 - alpha_bar)", ("test_diffusion.test_the_best_denoiser_beats_its_neighbours()",)),
    Fault("every component the same share", "data.py", "Mixture.log_prob", "self.weights.log()", "torch.full_like(self.weights, 1 / len(self.weights)).log()", ("test_bridge.test_evidence_of_two_states()",)),
    Fault("another seed", "diffusion.py", "Diffusion.draw", "eps = ", "rng = rng and torch.Generator().manual_seed(77)\n        eps = ", (), "05_comparison:6"),
    Fault("resumed with fresh noise", "fit.py", "_Run.restore", 'self.training.rng.set_state(saved["rng"])', 'saved["rng"]', ("test_fit.test_a_run_that_stops_goes_on_to_the_same_bits(tmp_path, 6)",)),
    Fault("a step without its way back", "tools/experiments/training.py", "steps_for", "3 * batch", "batch", ("test_experiments.test_every_run_costs_the_same_arithmetic()",)),
    Fault("half of the noise of a schedule", "schedule.py", "linear", "torch.exp(log_alpha_bar)", "torch.exp(log_alpha_bar / 2)", (), "clinic:6"),
    # proofs and figures
    Fault("a term lost in a proof", "proofs/ch1_elbo.py", "two_expectations", '    d.step(_mean(log(p(x))), "$z$ does not occur in it")\n', "", (), "01_elbo:5"),
    Fault("plot emptied", "figures/display.py", "png", _SAVE, f"[line.remove() for ax in fig.axes for line in ax.get_lines()]; {_SAVE}", (), "01_elbo:4"),
    Fault("curve left out", "figures/display.py", "png", _SAVE, f"fig.axes[0].get_lines()[0].set_visible(False); {_SAVE}", (), "04_reverse:8"),
    Fault("axis of a picture dropped", "figures/display.py", "png", _SAVE, f"fig.delaxes(fig.axes[-1]); {_SAVE}", (), "03_forward:14"),
    Fault("colours of a picture in another order", "figures/display.py", "png", '.convert("RGB")', '.convert("RGB"); picture = Image.merge("RGB", picture.split()[::-1])', (), "01_elbo:4"),
    Fault("greys upside down", "figures/plots.py", "image_grid", 'cmap="gray"', 'cmap="gray_r"', (), "05_comparison:6"),
    Fault("images of a grid transposed", "figures/plots.py", "", "image.transpose(1, 2, 0)", "image.transpose(2, 1, 0)", (), "03_forward:22"),
    Fault("encoder's entropy added to the rate of a chain", "latent.py", "DiffusionPrior.rates", "- q.entropy()", "+ q.entropy()", ("test_bridge.test_bound_of_a_vae_whose_prior_is_a_chain()",), "06_latent:8"),
    Fault("unit of the codes not paid for", "latent.py", "DiffusionPrior.rates", "+ self.scale.log().sum() ", "", ("test_latent.test_the_unit_of_codes_is_paid_for()",)),
    Fault("rate of a random step without the encoder's entropy", "latent.py", "DiffusionPrior.rate", " - q.entropy()", "", ("test_latent.test_one_step_is_an_unbiased_estimate_of_all()",)),
    Fault("codes drawn around 0", "latent.py", "DiffusionPrior.sample", "self.shift + ", "", ("test_latent.test_samples_of_a_chain_that_is_right_have_the_law_of_the_codes()",)),
    Fault("a straight line for the arc", "latent.py", "between", "angle.cos() * first + angle.sin() * last", "(1 - share) * first + share * last", ("test_latent.test_the_arc_between_two_codes_keeps_their_variance_and_ends_at_them()",)),
    Fault("rate of a mixture without the encoder's entropy", "vae.py", "LatentMixture.rate", " - q.entropy()", "", ("test_latent.test_a_mixture_of_one_standard_normal_has_its_rate_in_the_mean()",)),
    Fault("beta forgotten with a prior", "vae.py", "VAE.loss", "self.beta * rate", "rate", ("test_latent.test_beta_weighs_the_rate_of_any_prior()",)),
    Fault("prior not asked for codes", "vae.py", "VAE.sample", "self.prior if codes is None else codes", "self.prior", ("test_latent.test_a_vae_draws_from_its_prior_and_from_another_if_told()",)),
    Fault("entropy without the square", "gaussian.py", "Gaussian.entropy", "(1 + LOG_2PI", "(LOG_2PI", ("test_bridge.test_rate_under_the_standard_normal_as_entropies()",)),
)  # fmt: skip

_ANCESTRAL = """for k in range(T, 0, -1):
        noise = torch.randn(x.shape, generator=rng, dtype=x.dtype) * (k > 1 or rng is not None)
        x = variant(x, model.predict_eps(x, _times(x, k)), _times(x, k), noise, model.schedule.alpha_bar)
        yield x
    return
    for t in trange(T, 1"""
_WALK = """for k in range(T, 0, -1):
        eps = model.predict_eps(x, _times(x, k))
        x = variant(x, eps, _times(x, k), model.schedule.alpha_bar)
        yield x
    return
    for t in trange(T, 0"""
_STANDARD = """if other is None:
            rate = variant(self.mean.flatten(1), self.logvar.expand_as(self.mean).flatten(1))
            return rate.to(self.mean)
        ratio ="""
_GIVEN = """mean, variance = variant(x0, xt, t, self.schedule.alpha_bar)
        return Gaussian(mean, variance.log()[:, None])
        coef_x0, coef_xt ="""

CATALOGUE = (
    Fault("kl", "gaussian.py", "Gaussian.kl", "ratio =", _STANDARD, ("test_gaussian.test_kl_sums_over_every_dimension_and_keeps_the_batch()", "test_bridge.test_kl_to_the_standard_normal()")),
    Fault("reparameterise", "gaussian.py", "Gaussian.sample", "self.mean + self.std * eps", "variant(self.mean, self.logvar.expand_as(self.mean), eps)", ("test_bridge.test_gradient_through_a_sample()", _STD)),
    Fault("log_likelihood", "likelihood.py", "GaussianLikelihood.log_prob", "squared = (", "return variant(x, self.mean, self.log_scale.expand_as(x))\n        squared = (", ("test_bridge.test_gaussian_negative_log_likelihood()", "test_bridge.test_negative_log_likelihood_of_several_pixels()", "test_likelihood.test_gaussian_likelihood_keeps_examples_apart()")),
    Fault("q_sample", "diffusion.py", "Diffusion.q_sample", "alpha_bar = self", "return variant(x0, t, eps, self.schedule.alpha_bar)\n        alpha_bar = self", ("test_bridge.test_mean_and_variance_of_x_t()", "test_bridge.test_law_of_x_t()")),
    Fault("posterior", "diffusion.py", "Diffusion.q_posterior", "coef_x0, coef_xt =", _GIVEN, (_POSTERIOR,)),
    Fault("x0_from_eps", "diffusion.py", "Diffusion.x0_from_eps", "alpha_bar = self", "return variant(xt, eps, t, self.schedule.alpha_bar)\n        alpha_bar = self", ("test_bridge.test_posterior_mean_from_the_noise()",)),
    Fault("l_simple", "diffusion.py", "Noised.squared_error", "return ", "return variant(self.eps, self.eps_hat)\n        return ", ("test_bridge.test_summand_of_the_simple_loss()", "test_diffusion.test_l_simple_is_the_error_of_the_noise_alone()")),
    Fault("terminal_kl", "diffusion.py", "Diffusion.bound", "self.prior(x).kl()", "variant(x, float(self.schedule.alpha_bar[-1])).expand(len(x))", ("test_bridge.test_kl_at_the_last_step()", "test_diffusion.test_the_terminal_kl_is_that_of_the_last_step()", "test_diffusion.test_the_bound_of_standard_normal_data_is_the_entropy_term_by_term(3)")),
    Fault("ancestral_step", "samplers.py", "ancestral", "for t in trange(T, 1", _ANCESTRAL, ("test_against_diffusers.test_ancestral_is_its_ddpm('linear', 60, False, fixed_small)",)),
    Fault("ddim_step", "samplers.py", "ddim", "for t in trange(T, 0", _WALK, ("test_bridge.test_a_deterministic_ddim_step()",)),
    Fault("bits_per_dim", "bound.py", "Bound.bits_per_dim", "return ", "return variant(self.distortion, self.rates, dims).to(self.rates)\n        return ", ("test_bridge.test_bits_per_dim()", "test_bound.test_nats_are_the_distortion_and_all_rates()", "test_bound.test_a_uniform_guess_over_256_levels_costs_eight_bits()")),
)  # fmt: skip
