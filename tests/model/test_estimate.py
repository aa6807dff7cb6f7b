"""The bound from a few steps, and what each noise level costs: against the full sum and brute force."""

import math
from functools import cache
from itertools import combinations, pairwise

import pytest
import torch
from lowerbound import data, estimate, schedule, zoo
from lowerbound.dense import DenseDenoiser
from lowerbound.diffusion import Diffusion, fixed_large, fixed_small
from lowerbound.estimate import Levels, _runs, levels, stratified_bound
from lowerbound.gaussian import Gaussian
from lowerbound.likelihood import DiscretisedLogistic, GaussianLikelihood
from lowerbound.nets import Decoder, Encoder, UNet
from lowerbound.schedule import Schedule
from lowerbound.vae import VAE
from oracles import AnyDenoiser, ExactDenoiser, full, generator, standard_normal, toy_diffusion

T = 40
PIXELS = [(0, 0), (14, 14), (20, 9), (5, 22), (27, 13)]


def _toy(steps: int = T, variance=fixed_small) -> Diffusion:
    torch.manual_seed(0)
    chain = schedule.linear(steps)  # in even steps of log SNR one step would cost about what any other does
    return toy_diffusion(DenseDenoiser(2, 8), steps, 2, variance, schedule=chain)


def _points(n: int) -> torch.Tensor:
    return data.ring().sample(n, generator(1)).double()


def _agree(a: torch.Tensor, b: torch.Tensor, errors: float = 4.5) -> None:
    """Means of independent draws a and b are so many standard errors apart at most."""
    apart = abs(float(a.mean() - b.mean()))
    assert apart < errors * math.hypot(float(a.std()) / len(a) ** 0.5, float(b.std()) / len(b) ** 0.5)


@pytest.mark.parametrize(
    ("variance", "calls"), [(fixed_small, 1), (fixed_small, 3), (fixed_large, 3), (fixed_large, 16)]
)
def test_a_few_steps_have_the_bound_as_their_mean(variance, calls):
    model, n = _toy(variance=variance), 5000
    x = _points(1).expand(n, 2)
    few, whole = stratified_bound(model, x, generator(2), calls), model.bound(x, generator(3))
    edges = _runs(model.schedule, calls)
    assert few.rates.shape == (n, len(edges))
    assert len(edges) <= calls + 1
    _agree(few.nats(), whole.nats())
    _agree(few.distortion, whole.distortion)
    torch.testing.assert_close(few.rates[:, -1], whole.rates[:, -1])
    for run, (low, high) in enumerate(pairwise(edges)):
        _agree(few.rates[:, run], whole.rates[:, low - 2 : high - 2].sum(1))


@pytest.mark.parametrize("calls", [1, 5, 16, 38, 39, 100])
def test_each_step_is_drawn_from_its_run_and_none_is_left_out(monkeypatch, calls):
    model, seen = _toy(), []
    original = model.p_reverse
    monkeypatch.setattr(model, "p_reverse", lambda xt, t: seen.append(t) or original(xt, t))
    stratified_bound(model, _points(1000), generator(4), calls)
    assert len(seen) <= min(calls, T - 1)
    assert sorted(set(torch.cat(seen).tolist())) == list(range(2, T + 1))
    runs = [(int(t.min()), int(t.max())) for t in seen]
    assert all(above == below + 1 for (_, below), (above, _) in pairwise(runs))
    lengths = [high - low + 1 for low, high in runs]
    drops = -model.schedule.log_snr[1:].diff()  # of steps 2..T
    for low, high in runs:
        inner = drops[low - 1 : high - 2].sum()  # all steps but the first and the last of the run
        assert float(inner) <= float(drops.sum()) / calls + 1e-9
    for t, length in zip(seen, lengths, strict=True):
        counts = torch.bincount(t)[int(t.min()) :]
        assert (counts - 1000 / length).abs().max() < 5 * math.sqrt(1000 / length)


@pytest.mark.parametrize("calls", [1, 5, 16, 38])
def test_on_an_even_chain_all_runs_are_of_one_length(calls):
    lengths = [high - low for low, high in pairwise(_runs(schedule.log_snr_linear(T), calls))]
    assert len(lengths) == calls
    assert sum(lengths) == T - 1
    assert max(lengths) - min(lengths) <= 1


def test_on_the_cosine_chain_runs_of_one_range_spare_most_of_the_noise(monkeypatch):
    torch.manual_seed(0)
    model = toy_diffusion(DenseDenoiser(2, 8), 200, 2, schedule=schedule.cosine(200))
    x = _points(1).expand(3000, 2)
    ours = stratified_bound(model, x, generator(5), 8).nats().std()
    of_one_length = torch.linspace(2, 201, 9).round().long().tolist()
    monkeypatch.setattr(estimate, "_runs", lambda schedule, calls: of_one_length)
    assert ours < stratified_bound(model, x, generator(5), 8).nats().std() / 3


@pytest.mark.parametrize("calls", [T - 1, T, 1000])
def test_with_a_call_for_every_step_it_is_the_whole_sum(monkeypatch, calls):
    model, x = _toy(), _points(6)
    monkeypatch.setattr(torch, "randn", lambda shape, **options: torch.full(shape, 0.3, dtype=torch.float64))
    few, whole = stratified_bound(model, x, calls=calls), model.bound(x)
    torch.testing.assert_close(few.rates, whole.rates)
    torch.testing.assert_close(few.distortion, whole.distortion)


def test_one_step_has_only_the_prior_term_and_the_likelihood(monkeypatch):
    model, x = _toy(1), _points(5)
    monkeypatch.setattr(torch, "randn", lambda shape, **options: torch.zeros(shape, dtype=torch.float64))
    found = stratified_bound(model, x, generator(), calls=7)
    assert found.rates.shape == (5, 1)
    torch.testing.assert_close(found.rates[:, 0], model.prior(x).kl())
    x1 = model.schedule.alpha_bar[1].sqrt() * x
    expected = -model.last_step(model.predict_x0(x1, full(5, 1))).log_prob(x)
    torch.testing.assert_close(found.distortion, expected)


def test_it_costs_one_network_call_a_run_and_one_for_the_likelihood():
    calls = []

    class Counted(AnyDenoiser):
        def forward(self, xt, log_snr):
            calls.append(len(xt))
            return super().forward(xt, log_snr)

    stratified_bound(toy_diffusion(Counted(), T), _points(7), generator(), calls=6)
    assert calls == [7] * 7


@pytest.mark.parametrize("calls", [0, -3])
def test_no_calls_are_refused(calls):
    with pytest.raises(ValueError, match=f"calls must be at least 1, got {calls}"):
        stratified_bound(_toy(), _points(2), generator(), calls)


def test_the_prior_is_the_law_of_the_last_latent():
    model = toy_diffusion(AnyDenoiser(), 3, 1, schedule=schedule.linear(3))
    x = torch.full((200_000, 1), 0.8, dtype=torch.float64)
    law = model.prior(x)
    eps = torch.randn(x.shape, dtype=torch.float64, generator=generator())
    drawn = model.q_sample(x, full(len(x), 3), eps)
    _agree(drawn, law.mean.expand(len(x), 1) + 0 * eps)
    assert float(drawn.var()) == pytest.approx(float(law.logvar.exp()), rel=0.02)


# ---- levels


def _falling(n: int, seed: int = 0) -> Levels:
    """Some levels: neither even nor monotone in what they cost."""
    rng = generator(seed)
    draw = [torch.rand(n, generator=rng, dtype=torch.float64) for _ in range(3)]
    log_snr = 5 - (0.3 + 2 * draw[0]).cumsum(0)
    return Levels(log_snr, 0.02 + draw[1], draw[2] * 3 - 2, torch.zeros(n, dtype=torch.float64))


def _chain_cost(known: Levels, ladder: tuple[int, ...], best: bool) -> float:
    """The bound of a chain by its definition, in plain floats."""
    snr = [math.exp(v) for v in known.log_snr.tolist()]
    drops = [(snr[i] - snr[j]) * float(known.error[j]) for i, j in pairwise(ladder)]
    return float(known.distortion[ladder[0]]) + sum((math.log1p(d) if best else d) / 2 for d in drops)


@cache
def _unet() -> Diffusion:
    torch.manual_seed(0)
    net = UNet(width=8)
    torch.nn.init.normal_(net.head.weight, std=0.2)
    return Diffusion(net, schedule.cosine(10)).double()


GRID = torch.tensor([4.0, 1.5, 0.0, -2.5], dtype=torch.float64)


def costs_are_those_of_the_library(low: int, high: int) -> None:
    x, D = data.to_unit(data.load("fashion-mnist", "test").x[:3]).double(), 784
    ends = torch.cat([torch.tensor([torch.inf], dtype=torch.float64), GRID[[low, high]]])
    chain = _unet().with_schedule(Schedule(torch.sigmoid(ends)))
    t = full(3, 2)
    with torch.no_grad():
        xt = chain.q_sample(x, t, torch.randn(x.shape, generator=generator(), dtype=torch.float64))
        q, p = chain.q_posterior(x, xt, t), chain.p_reverse(xt, t)
        error = ((chain.predict_x0(xt, t) - x) ** 2).mean()
    errors = torch.where(torch.arange(4) == high, error, 7.0)  # that of the noisier level counts
    known = Levels(GRID, errors, 0 * GRID, 0 * GRID)
    fixed, best = (float(known.costs(b)[low, high]) for b in (False, True))
    assert fixed == pytest.approx(float(q.kl(p).mean()) / D, rel=1e-9)

    def wider(log_ratio: float) -> float:
        return float(q.kl(Gaussian(p.mean, p.logvar + log_ratio)).mean()) / D

    found = min(wider(r) for r in torch.linspace(-1, 6, 1401).tolist())
    assert best == pytest.approx(found, rel=1e-4)
    assert best == pytest.approx(wider(2 * best), rel=1e-9)  # β̃ + c² f, and log of what that is to β̃
    assert best < fixed


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 3), (1, 2), (2, 3)])
def test_a_step_costs_its_kl_and_with_the_best_variance_the_least_kl(low, high):
    costs_are_those_of_the_library(low, high)


def test_the_best_variance_never_costs_more_and_no_step_goes_up():
    known = _falling(9)
    fixed, best = known.costs(False), known.costs(True)
    down = torch.ones(9, 9).triu(1).bool()
    assert (best[down] < fixed[down]).all()
    assert (best[down] > 0).all()
    assert torch.isinf(fixed[~down]).all()
    assert torch.isinf(best[~down]).all()


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_schedules_are_those_of_all_subsets(best, seed):
    known, N = _falling(8, seed), 8
    bounds, ladders = known.best_schedules(N, best)
    assert bounds.shape == (N,)
    for steps in range(1, N + 1):
        every = [(*some, N - 1) for some in combinations(range(N - 1), steps - 1)]
        least = min(every, key=lambda ladder: _chain_cost(known, ladder, best))
        assert tuple(ladders[steps - 1].tolist()) == least
        assert float(bounds[steps - 1]) == pytest.approx(_chain_cost(known, least, best), rel=1e-12)
        assert known.bound(ladders[steps - 1], best) == pytest.approx(float(bounds[steps - 1]), rel=1e-12)


@pytest.mark.parametrize("steps", [0, 9])
def test_more_steps_than_levels_are_refused(steps):
    with pytest.raises(ValueError, match=rf"steps must be in 1\.\.8, .* got {steps}"):
        _falling(8).best_schedules(steps, False)


@pytest.mark.parametrize("best", [False, True])
def test_an_even_chain_on_the_grid_costs_what_its_ladder_costs(best):
    known = _falling(13)
    known = Levels(torch.linspace(6, -6, 13).double(), known.error, known.distortion, known.log_width)
    for ladder in ([0, 4, 8, 12], [3, 6, 9, 12], [9, 10, 11, 12], [12], [2, 12]):
        there = known.along(known.log_snr[ladder], best)
        assert there == pytest.approx(known.bound(torch.tensor(ladder), best), rel=1e-9)
        assert there == pytest.approx(_chain_cost(known, tuple(ladder), best), rel=1e-9)
    first, bound = known.even_schedule(2, best)  # of two levels, which are all on the grid
    pairs = {float(known.log_snr[i]): _chain_cost(known, (i, 12), best) for i in range(12)}
    assert first == min(pairs, key=pairs.get)
    assert bound == pytest.approx(min(pairs.values()), rel=1e-9)
    assert known.even_schedule(1, best) == (-6.0, pytest.approx(float(known.distortion[-1])))
    first, bound = known.even_schedule(5, best)
    every = [known.along(torch.linspace(f, -6, 5).double(), best) for f in known.log_snr[:-1].tolist()]
    assert bound == pytest.approx(min(every), rel=1e-6)
    assert first == float(known.log_snr[every.index(min(every))])


def test_the_first_level_of_an_even_chain_is_one_of_those_measured():
    known = _falling(9)
    assert known.even_schedule(4, True)[0] in known.log_snr.tolist()


def test_between_two_levels_the_error_is_their_geometric_mean_and_beyond_them_it_is_kept():
    log_snr = torch.tensor([2.0, 0.0, -2.0], dtype=torch.float64)
    error, distortion = torch.tensor([[0.1, 0.4, 0.9], [-1.0, 0.5, 2.0]], dtype=torch.float64)
    known = Levels(log_snr, error, distortion, 0 * log_snr)
    found = known.along(torch.tensor([1.0, -1.0], dtype=torch.float64), False)
    assert found == pytest.approx(-0.25 + (math.e - math.exp(-1)) * math.sqrt(0.36) / 2)
    found = known.along(torch.tensor([3.0, -3.0], dtype=torch.float64), True)
    assert found == pytest.approx(-1.0 + math.log1p((math.exp(3) - math.exp(-3)) * 0.9) / 2)


def test_the_bound_of_its_own_chain_is_that_of_the_model():
    model, n = _toy(12), 8000
    x = _points(n)
    known = levels(model, x, model.schedule.log_snr[1:], generator(5))
    with torch.no_grad():
        model.log_width.fill_(float(known.log_width[0]))
    own = known.bound(torch.arange(12), best_variance=False)
    bound = model.bound(x, generator(6))
    each = (bound.nats() - bound.rates[:, -1]) / 2
    assert abs(own - float(each.mean())) < 4.5 * math.sqrt(2) * float(each.std()) / math.sqrt(n)
    _, ladders = known.best_schedules(12, False)
    assert torch.equal(ladders[-1], torch.arange(12))


def test_levels_of_normal_data_have_the_error_the_distortion_and_the_width_of_bayes():
    model = toy_diffusion(ExactDenoiser(standard_normal()), 3, 1)
    log_snr = torch.tensor([5.0, 2.0, 0.0, -1.0, -4.0], dtype=torch.float64)
    x = torch.randn(20_000, 1, dtype=torch.float64, generator=generator(7))
    known, rest = levels(model, x, log_snr, generator(8)), torch.sigmoid(-log_snr)
    torch.testing.assert_close(known.log_snr, log_snr)
    torch.testing.assert_close(known.error, rest, rtol=0.05, atol=0)
    torch.testing.assert_close(known.distortion, 0.5 * (2 * math.pi * math.e * rest).log(), rtol=0, atol=0.02)
    torch.testing.assert_close(known.log_width, 0.5 * torch.sigmoid(log_snr).log(), rtol=0, atol=0.04)
    exact = Levels(log_snr, rest, 0.5 * (2 * math.pi * math.e * rest).log(), known.log_width)
    bounds, _ = exact.best_schedules(5, best_variance=True)
    torch.testing.assert_close(bounds, exact.distortion[-1:].expand(5))  # no chain is better than another


# ---- both bounds are those of a distribution


def adds_up(likelihood, rtol: float = 1e-4) -> None:
    """The probabilities of the 256 levels of one pixel, the others as they are, add up to theirs."""
    mean, scale = (
        v.double().flatten() for v in torch.broadcast_tensors(likelihood.mean, likelihood.log_scale)
    )
    every = data.to_unit(torch.arange(256, dtype=torch.uint8)).double()
    image = data.to_unit(data.to_uint8(mean)).double()
    for row, column in PIXELS:
        k = 28 * row + column
        images = image.repeat(256, 1)
        images[:, k] = every
        whole = type(likelihood)(mean.expand(256, 784), scale.expand(256, 784)).log_prob(images)
        others = torch.arange(784) != k
        rest = type(likelihood)(mean[None, others], scale[None, others]).log_prob(image[None, others])
        assert float((whole - rest).exp().sum()) == pytest.approx(1, rel=rtol)
        alone = likelihood.mean[:1, :, row, column]  # in the precision of the model
        width = likelihood.log_scale if likelihood.log_scale.ndim == 0 else likelihood.log_scale.flatten()[k]
        one = type(likelihood)(alone.expand(256, 1), width)
        assert float(one.log_prob(every[:, None].to(alone)).exp().sum()) == pytest.approx(1, rel=rtol)


def _new(kind: str) -> VAE | Diffusion:
    torch.manual_seed(1)
    return (
        VAE(Encoder(4, 8), Decoder(4, 8)) if kind == "vae" else Diffusion(UNet(width=8), schedule.cosine(9))
    )


@pytest.mark.parametrize(
    "model", ["vae", "ddpm", "vae-fashion", "vae-fashion-2d", "ddpm-fashion", "ddpm-fashion-classes"]
)
def test_both_bounds_are_of_probabilities_that_add_up_to_one(model):
    found = _new(model) if model in ("vae", "ddpm") else zoo.load(model)
    x, seen = data.to_unit(data.load("fashion-mnist", "test").x[:1]), []
    make = found.likelihood
    found.likelihood = lambda *parts: seen.append(make(*parts)) or seen[-1]
    with torch.no_grad():
        if isinstance(found, VAE):
            bound = found.bound(x, generator())
        else:
            bound = stratified_bound(found, x, generator(), calls=1)
        (likelihood,) = seen
        assert isinstance(likelihood, DiscretisedLogistic)
        torch.testing.assert_close(bound.distortion, -likelihood.log_prob(x))
        adds_up(likelihood)


def test_the_best_variance_of_a_network_is_the_posteriors_and_its_guess_weighed():
    s = schedule.log_snr_linear(5, 4.0, -4.0)
    known = Levels(
        s.log_snr[1:], torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]).double(), *torch.zeros(2, 5).double()
    )
    found, expected = known.variance(s), s.posterior_variance.clone()
    for t in range(1, 6):
        a, before, alpha = s.alpha_bar[t], s.alpha_bar[t - 1], s.alpha[t]
        expected[t] += (before.sqrt() * (1 - alpha) / (1 - a)) ** 2 * 0.1 * t
    torch.testing.assert_close(found, expected)
    model = Diffusion(AnyDenoiser(), s, (2,), GaussianLikelihood, variance=known.variance, clip=False)
    assert model.p_reverse(torch.zeros(1, 2), torch.tensor([3])).logvar.exp().item() == pytest.approx(
        float(found[3])
    )
