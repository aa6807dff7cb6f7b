"""The latent prior's experiment: what it is trained on, what a rate is, what a sample costs."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from few import Few
from lowerbound import data, zoo
from lowerbound.gaussian import Gaussian
from lowerbound.vae import VAE
from oracles import generator
from torch import nn

from tools.experiments import latent_prior
from tools.experiments.latent_prior import (
    Chain,
    Codes,
    LatentPrior,
    Trial,
    chain_rate,
    held_back,
    known,
    more,
    multiply_adds,
    prior_of,
    stages,
    training_name,
    walks,
)
from tools.experiments.run_dir import RunDir

TINY = replace(
    latent_prior.setting(full=False),
    chain=Chain(40, 8, 1, 4, 8),
    others=(("wider", Chain(40, 16, 1, 2, 8)),),
    held=20,
    samples=12,
    candidates=8,
    paired=2,
    tested=6,
    trial=Trial(1, 4, images=4),
)


@pytest.fixture
def few(tmp_path):
    return Few(tmp_path, tmp_path, full=False)


def exact_prior(latents: int = 64):
    """The chain of N(0.3, 2² I): a network that says v = 0 knows it, whatever the level."""
    prior = zoo.build(zoo.Architecture("prior", width=8, depth=1, latents=latents, classes=10)).eval()
    nn.init.zeros_(prior.chain.net.head.bias)
    prior.shift.fill_(0.3)
    prior.scale.fill_(2.0)
    return prior.requires_grad_(False)


def test_the_rate_of_an_exact_chain_is_that_of_its_gaussian():
    """Codes that come from the prior: −log p(z) is known, and the bound is tight."""
    rng = generator(3)
    mean, logvar = 0.3 + 1.9 * torch.randn(400, 64, generator=rng), torch.full((400, 64), math.log(0.39))
    q, prior = Gaussian(mean, logvar), exact_prior()
    z, seen = q.sample(rng), 0.3 + 2 * torch.randn(200, 64, generator=rng)
    rate, start = chain_rate(prior, q, z, seen, replace(TINY, levels=200, starts=(5.0, 7.0)), rng)
    wide = Gaussian(torch.full_like(z, 0.3), torch.full_like(z, math.log(4.0)))
    wanted = -wide.log_prob(z) - q.entropy()
    gap = (rate - wanted).double()
    assert abs(float(gap.mean())) < 4 * float(gap.std()) / 20 + 0.3, float(gap.mean())
    assert start in (5.0, 7.0)


def test_no_code_is_learned_from_and_held_back(tmp_path, monkeypatch):
    numbers = torch.arange(60_000).view(-1, 1, 1, 1)
    images = data.Images(numbers, torch.zeros(60_000))
    monkeypatch.setattr(RunDir, "images", lambda self, split: images)
    monkeypatch.setattr(latent_prior, "encoded", lambda x, name, run_dir: set(x.flatten().tolist()))
    size, run_dir = LatentPrior(), RunDir(tmp_path, tmp_path)
    assert not known(size, run_dir) & held_back(size, run_dir)
    from tools.experiments.training import VALIDATION

    judges = set(numbers.flatten()[-VALIDATION:].tolist())  # by which samplers are chosen
    assert not known(size, run_dir) & judges


def test_a_walk_asks_its_network_so_many_times():
    prior, asked = exact_prior(), []
    prior.chain.net.register_forward_hook(lambda *_: asked.append(1))
    for calls in (1, 3, 10):
        found = walks(prior, calls)
        assert set(found) == {"DDIM, cosine", "DPM-Solver++, even"}
        for name, walk in found.items():
            asked.clear()
            codes = walk.sample(500, generator(1))
            assert len(asked) == calls, name
            assert codes.shape == (500, 64)
            assert float(codes.mean()) == pytest.approx(0.3, abs=0.1)


def test_multiply_adds_are_those_of_all_calls():
    layer = nn.Linear(5, 7)
    assert multiply_adds(lambda n, rng: layer(layer(torch.zeros(n, 5))[:, :5]), generator()) == 2 * 35


def test_codes_of_training_images_are_draws_from_their_encoders():
    q = Gaussian(torch.tensor([[0.0], [100.0]]), torch.tensor([[-20.0], [0.0]]))
    z = Codes(q).sample(2000, generator(1)).flatten()
    first, second = z[z < 50], z[z > 50]
    assert len(first) == pytest.approx(1000, abs=100)
    assert float(first.std()) < 1e-3
    assert float(second.std()) == pytest.approx(1.0, abs=0.1)


def test_a_prior_is_trained_once_and_has_its_curve_on_its_card(few):
    prior, card = prior_of(TINY, TINY.chain, 1, few)
    again, _ = prior_of(TINY, TINY.chain, 1, few)
    assert torch.equal(prior.chain.net.stem.weight, again.chain.net.stem.weight)
    assert [row["step"] for row in card["curve"]] == [2, 4]
    assert card["images_seen"] == 32
    assert card["codes_of"] == "vae-fashion-long"
    assert len({training_name(chain, seed) for chain in (Chain(), Chain(steps=1)) for seed in (0, 1)}) == 4


def test_a_prior_is_trained_too_when_whoever_asks_for_it_needs_no_gradients(few):
    """As the jobs do that measure bits, if no job before them has trained it."""
    with torch.no_grad():
        _, card = prior_of(TINY, TINY.chain, 1, few)
    assert [row["step"] for row in card["curve"]] == [2, 4]


def test_what_ships_is_the_first_training_with_a_whole_card(few, monkeypatch):
    monkeypatch.setattr(latent_prior, "setting", lambda full: TINY)
    path = latent_prior.ship(few, few.folder / "assets")
    prior, _ = prior_of(TINY, TINY.chain, TINY.seeds[0], few)
    shipped, card = (ask(latent_prior.SHIPS_AS, path.parent) for ask in (zoo.load, zoo.card))
    for name, value in prior.state_dict().items():
        assert torch.equal(value, shipped.state_dict()[name]), name
    assert card["metrics"]["rate_nats"] == card["curve"][-1]["mean"]
    assert card["metrics"]["held_back_images"] == TINY.held
    assert {"preset", "recipe", "data", "seconds", "commit", "images_seen", "codes_of"} <= set(card)


def test_the_prior_that_ships_knows_the_codes_of_the_vae_that_ships():
    """On test images its rate is below that of N(0, I), by far."""
    model, prior, rng = zoo.load("vae-fashion-long"), zoo.load("prior-fashion"), generator(1)
    with torch.no_grad():
        q = model.posterior(data.to_unit(data.load("fashion-mnist", "test").x[::5]))
    z = q.sample(rng)
    rate, _ = chain_rate(prior, q, z, z[:50], replace(TINY, levels=32, starts=(5.0,)), rng)
    less = (q.kl() - rate).double()
    assert float(less.mean()) > 4 * float(less.std()) / len(less) ** 0.5


def test_a_job_of_each_kind_is_done_from_end_to_end(few):
    jobs = [job for jobs in (*stages(TINY, few), *more(TINY, few)) for job in jobs]
    names = [job.path.stem for job in jobs]
    assert len(set(names)) == len(names)
    found = {job.path.stem: job.result() for job in jobs}
    kinds = {"curve", "mixtures", "samples", "clock", "bits", "image bits", "together"}
    assert {result["kind"] for result in found.values()} == kinds
    rows = {(row["sampler"], row["calls"]): row for row in found["latent-clock"]["rows"]}
    prior, _ = latent_prior.prior_of(TINY, TINY.chain, TINY.seeds[0], few)
    draws = [
        partial(latent_prior.vae(few).sample, codes=walk)
        for walk in (None, *(latent_prior.walks(prior, calls)["DDIM, cosine"] for calls in (1, 2)))
    ]
    plain, one, two = (latent_prior.multiply_adds(draw, few.rng(0)) for draw in draws)
    assert two - one == one - plain > 0
    assert found["latent-chain-0-2"]["multiply_adds"] == rows["chain", 2]["multiply_adds"]
    bits = found["latent-bits"]
    rate = sum(row["mean"] for row in bits["chains"]) / len(bits["chains"])
    low, high = bits["less"]["chain less mixture"][1:]
    assert low < rate - bits["rates"]["mixture"]["mean"] < high
    parts = found["latent-together"]["nats"]["as they are"]
    both = parts["distortion"]["mean"] + parts["rate"]["mean"]
    assert parts["bound"]["mean"] == pytest.approx(both, rel=1e-3)


def test_samples_come_from_the_start_that_they_are_named_after(few, monkeypatch):
    asked = []

    def sample(self, n, rng, **how):
        asked.append(how)
        return torch.zeros(n, 1, 28, 28)

    monkeypatch.setattr(VAE, "sample", sample)
    latent_prior.from_start(TINY, "N(0, I)", 0, noise=False, run_dir=few)
    assert all(how == {"codes": None, "last_noise": False} for how in asked)
    asked.clear()
    latent_prior.from_start(TINY, "codes of training images", 0, noise=True, run_dir=few)
    assert all(isinstance(how["codes"], Codes) and how["last_noise"] for how in asked)
