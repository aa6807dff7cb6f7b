"""The experiments: trainings to a budget, models and rulers of the registries, one run from end to end."""

import json
import math
import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from few import Few, Some
from lowerbound import data, zoo
from lowerbound.diffusion import Diffusion
from lowerbound.estimate import levels
from lowerbound.nets import Decoder, Encoder, UNet
from lowerbound.results import Spread, sees
from lowerbound.schedule import cosine
from lowerbound.vae import VAE
from oracles import generator
from torch import nn

from tools.experiments import registry, rulers, training
from tools.experiments.__main__ import main, planned
from tools.experiments.comparison import (
    SETTINGS,
    SMOKE,
    Setting,
    bound_loss,
    build_steps,
    stages,
    timed,
)
from tools.experiments.registry import MODELS, Measure, chain_bits, even_chain, latent_bits
from tools.experiments.rulers import FAULTS, RULERS, Ruler
from tools.experiments.run_dir import RunDir
from tools.experiments.training import Spending, multiply_adds, steps_for, train
from tools.jobs import fingerprint, write

SHORT = Spending(3e8, batch=8, warmup=2, ema=0.9)
TINY = replace(
    SMOKE,
    spending=SHORT,
    tuning=0.5,
    rates=(2e-3,),
    starts=(0.0,),
    samples=24,
    candidates=12,
    bound_images=8,
    weighted=4,
    levels=2,
    calls=(1,),
)


@pytest.fixture
def few(tmp_path):
    (tmp_path / "scratch").mkdir()
    return Few(tmp_path / "results", tmp_path / "scratch", full=False)


def build(kind: str) -> VAE | Diffusion:
    return VAE(Encoder(4, 8), Decoder(4, 8)) if kind == "vae" else Diffusion(UNet(width=8), cosine(10))


# ---- training


@pytest.mark.parametrize("kind", ["vae", "ddpm"])
def test_a_training_says_what_it_cost_and_how_it_went(few, kind):
    model, about = train("tiny", partial(build, kind), SHORT, 2e-3, 3, few)
    steps = about["recipe"]["steps"]
    assert about["images"] == 8 * steps
    assert 3 * about["images"] * about["multiply_adds"] == pytest.approx(3e8, rel=0.05)
    assert about["parameters"] == zoo.parameters(model)
    assert about["recipe"]["final"] == 1.0
    shares, losses = zip(*about["curve"], strict=True)
    assert shares == (1 / 16, 1 / 4, 1.0)  # of six steps
    assert all(math.isfinite(loss) for loss in losses)
    assert not model.training
    if kind == "ddpm":
        x, width = data.to_unit(few.images("train").x), model.log_width.clone()
        assert model.fit_last_step(x, few.rng(3)).log_width == width


def test_a_training_that_was_stopped_goes_on_to_the_same_weights_and_curve(few, tmp_path):
    whole, about = train("tiny", partial(build, "vae"), SHORT, 2e-3, 3, few)
    again = Few(tmp_path / "r2", tmp_path / "s2", full=False)
    again.scratch.mkdir()
    calls = []

    def stops(model, x, y, rng):
        calls.append(1)
        if len(calls) == about["recipe"]["steps"] // 2:
            raise KeyboardInterrupt
        return training.default_loss(model, x, y, rng)

    with pytest.raises(KeyboardInterrupt):
        train("tiny", partial(build, "vae"), SHORT, 2e-3, 3, again, stops)
    resumed, same = train("tiny", partial(build, "vae"), SHORT, 2e-3, 3, again)
    assert same["curve"] == about["curve"]
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    training.forget("tiny", again)
    assert not list(again.scratch.iterdir())


def test_validation_images_are_not_trained_on(tmp_path, monkeypatch):
    images = data.Images(torch.arange(6000).view(-1, 1, 1, 1).expand(-1, 1, 28, 28), torch.zeros(6000))
    monkeypatch.setattr(RunDir, "images", lambda self, split: images)

    def fit(model, x, *_, **__):
        raise ConnectionAbortedError(int(x.amax()))

    monkeypatch.setattr(training, "fit", fit)
    with pytest.raises(ConnectionAbortedError, match=r"^999$"):
        train("tiny", partial(build, "vae"), SHORT, 2e-3, 3, RunDir(tmp_path, tmp_path, full=True))


def test_multiply_adds_are_those_of_the_layers():
    class Plain(nn.Module):
        latents = 3

        def __init__(self, sizes, each):
            super().__init__()
            self.layer, self.each = nn.Linear(*sizes), each

        def forward(self, x):
            return [part.reshape(-1, *self.each) for part in self.layer(x.flatten(1)).chunk(2, 1)]

    vae = VAE(Plain((784, 6), (3,)), Plain((3, 2 * 784), (1, 28, 28)))
    assert multiply_adds(vae) == 784 * 6 + 3 * 2 * 784

    class Convolution(nn.Conv2d):
        def forward(self, x, log_snr):
            return super().forward(x)

    assert multiply_adds(Diffusion(Convolution(1, 1, 5, padding=2), cosine(7))) == 784 * 25
    assert steps_for(vae, 3 * 32 * 9408 * 10.4, 32) == 10
    with pytest.raises(ValueError, match=r"a budget of 1000 .* less than one step; give more"):
        steps_for(vae, 1000, 32)


# ---- the registry


def arithmetic_is_matched(budget: float) -> None:
    for entry in MODELS.values():
        for size in ("0.5M", "1.4M"):
            model = entry.build(entry.widths[size])
            recipe = Spending(budget).recipe(model, 1e-3, 0)
            spent = recipe.steps * recipe.batch * 3 * multiply_adds(model)
            assert spent == pytest.approx(budget, rel=0.005), (entry.label, size)


def test_every_run_costs_the_same_arithmetic():
    arithmetic_is_matched(SETTINGS["full"].spending.budget)


def test_the_models_of_a_size_have_about_the_same_number_of_parameters():
    for size in ("0.5M", "1.4M"):
        counts = {name: zoo.parameters(entry.build(entry.widths[size])) for name, entry in MODELS.items()}
        assert max(counts.values()) <= 1.13 * min(counts.values()), counts


@pytest.fixture(scope="module")
def measure():
    train, test = (data.to_unit(data.load("fashion-mnist", split).x[:40]) for split in ("train", "test"))
    return Measure(train, train[20:], test[:6], generator(5), calls=3, importance=4, weighted=3)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_says_bits_of_each_image_and_can_be_sampled(measure, name):
    torch.manual_seed(0)
    entry = MODELS[name]
    model = entry.build(entry.widths["tiny"]).eval()
    bits = entry.bits(model, measure)
    assert len(bits["bound"]) == 6
    assert all(bool(torch.isfinite(values).all()) for values in bits.values())
    for sampler in entry.samplers(model, measure, (1, 2)):
        for draw in sampler.draws.values():
            images = draw(3, generator(1))
            assert images.shape == (3, 1, 28, 28)
            assert torch.equal(images, draw(3, generator(1)))
            assert sampler.calls == 1 or not torch.equal(images, draw(3, generator(2)))
            assert float(images.abs().max()) <= 1 + 1e-6 or "mean" in sampler.name


def test_the_bits_of_a_chain_use_the_variances_that_training_images_say(measure, monkeypatch):
    chains, bound_of = [], registry.stratified_bound
    monkeypatch.setattr(registry, "stratified_bound", lambda m, *a: (chains.append(m), bound_of(m, *a))[1])
    torch.manual_seed(0)
    model = MODELS["bound"].build(8).eval()
    nn.init.normal_(model.net.head.weight, std=0.05)
    same = replace(measure, test=measure.train, rng=generator(5), calls=40)
    found = float(chain_bits(model, same)["bound"].mean())
    grid = torch.linspace(registry.HIGHEST, registry.LOWEST, registry.GRID).double()
    known = levels(model, measure.train, grid, generator(5))
    (chain,) = chains
    assert torch.equal(chain.variance(chain.schedule), known.variance(chain.schedule))
    _, bound = known.even_schedule(1000, best_variance=True)
    terminal = float(model.with_schedule(even_chain(1, -6.0)).prior(measure.train).kl().mean()) / 784
    assert found == pytest.approx((bound + terminal) / math.log(2), rel=0.05)


def test_the_weighted_bits_are_not_above_the_bound(measure):
    torch.manual_seed(0)
    bits = latent_bits(MODELS["vae"].build(8).eval(), replace(measure, importance=32))
    assert float(bits["weighted"].mean()) <= float(bits["bound"][:3].mean()) + 0.02


def test_a_model_is_added_by_an_entry_alone(few, monkeypatch):
    entry = replace(MODELS["hvae2"], label="of one line", widths={"tiny": 6})
    monkeypatch.setitem(MODELS, "new", entry)
    (job,) = (j for j in stages(replace(TINY, models=("new",), more=()), few)[3])
    result = job.result()
    assert (result["label"], result["model"], result["size"], result["lr"]) == (
        "of one line",
        "new",
        "tiny",
        2e-3,
    )
    assert result["bits"]["bound"]["mean"] > 0
    assert len(result["bits"]["bound"]["each"]) == 8
    assert {row["sampler"] for row in result["samplers"]} == {"N(0, I), mean", "N(0, I), draw"}
    assert all(set(RULERS) <= set(row) for row in result["samplers"])
    assert not list(few.scratch.iterdir())
    assert json.loads(job.path.read_text())["result"] == result


# ---- the rulers


def test_a_ruler_is_added_by_an_entry_alone(few, monkeypatch):
    added = {
        "new": Ruler("count", "high", lambda images, _: len(images), ""),
        "sure": Ruler("count", "high", lambda images, _: (len(images), 0.5), ""),
    }
    monkeypatch.setattr(rulers, "RULERS", added)
    assert rulers.judge(few.images("test").x, few) == {"new": 60, "sure": 60, "sure_error": 0.5}


def test_each_ruler_says_its_best_of_the_test_images_themselves():
    run_dir = Some(None, None, full=False)
    said = rulers.judge(run_dir.images("test").x[:100], run_dir)
    whole = rulers.judge(run_dir.images("test").x, run_dir)
    assert whole["labels"] == pytest.approx(0, abs=1e-6)
    assert whole["pyramid"] == pytest.approx(0, abs=1e-6)
    assert whole["sharpness"] == pytest.approx(1)
    assert (whole["precision"], whole["recall"]) == (1, 1)
    assert said["nearer"] == 0  # each is its own nearest neighbour among test images
    assert said["told"] < 0.1


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_are_faults(kind):
    images = data.load("fashion-mnist", "train")
    for label, spoil in FAULTS[kind]:
        spoiled = spoil(images.x, images.y, generator(0))
        assert spoiled.dtype == torch.uint8
        assert kind == "copy" or not torch.equal(spoiled[:1000], images.x[:1000]), label
    if kind == "repeated":
        assert [len(spoil(images.x, images.y, None).unique(dim=0)) for _, spoil in FAULTS[kind]] == [500, 50]


def test_a_ruler_sees_what_lies_beyond_its_floor_and_in_order():
    floors = [1.0, 1.1, 0.9]
    assert sees([2.0, 3.0], floors, "low")
    assert not sees([1.2, 3.0], floors, "low")  # within three deviations
    assert not sees([3.0, 2.0], floors, "low")  # the worse fault says less
    assert not sees([0.1, 0.05], floors, "low")  # better than the best
    assert sees([0.1, 0.05], floors, "high")
    assert sees([0.1, 0.05], floors, "one")
    assert sees([2.0, 3.0], floors, "one")
    assert not sees([2.0, 0.1], floors, "one")
    assert sees([2.0, 1.9], floors, "low", most=2.0)  # it can say no more of either
    assert not sees([2.0, 1.7], floors, "low", most=2.0)
    assert sees([2.0, 3.0], floors, "low", errors=[0.3, 0.4])
    assert not sees([2.0, 3.0], floors, "low", errors=[0.4, 0.3])  # within three of its own errors


# ---- the number of steps


@pytest.mark.parametrize("T", [1, 2, 7])
def test_the_learned_variance_starts_where_it_is_best_for_a_network_that_says_nothing(T):
    model = build_steps(T, 6.0, 8)
    s = model.schedule
    assert float(s.log_snr[T]) == pytest.approx(-6.0)
    learned = model.variance(s).detach()
    assert torch.allclose(learned[:2], s.posterior_variance[:2])
    x = torch.randn(400, 1, 28, 28, generator=generator(0)).sign()
    model.clip = False
    for t in range(2, T + 1):
        times = torch.full((400,), t)
        xt = model.q_sample(x, times, torch.randn(x.shape, generator=generator(t)))
        with torch.no_grad():
            eps = model.predict_eps(xt, times)
            guess = model.x0_from_eps(xt, times, eps)
        apart = (model.q_posterior(guess, xt, times).mean - model.q_posterior(x, xt, times).mean) ** 2
        assert float(learned[t]) == pytest.approx(
            float(s.posterior_variance[t]) + float(apart.mean()), rel=0.02
        )


@pytest.mark.parametrize("T", [1, 6])
def test_the_sweeps_loss_is_the_bound_whatever_share_has_t_equal_to_one(T):
    torch.manual_seed(0)
    model = build_steps(T, 4.0, 8)
    model.clip = False
    torch.nn.init.normal_(model.net.head.weight, std=0.01)
    x = torch.randn(64, 1, 28, 28, generator=generator(1)).clamp(-1, 1)
    with torch.no_grad():
        shuffled = [x[torch.randperm(64, generator=generator(seed))] for seed in range(100)]
        ours = [float(bound_loss(model, part, None, generator(i))) for i, part in enumerate(shuffled)]
    bound = torch.cat([model.bound(x, generator(seed)).nats() for seed in range(10)]).mean()
    exact = float(bound) / 784 - float(model.prior(x).kl().mean()) / 784
    error = Spread(tuple(ours)).std / math.sqrt(len(ours))
    assert Spread(tuple(ours)).mean == pytest.approx(exact, abs=4 * error + 1e-3 * exact)


def test_an_even_chain_falls_in_equal_steps():
    steps = even_chain(5, 6.0).log_snr[1:].diff()
    assert torch.allclose(steps, torch.full((4,), -3.0, dtype=torch.float64))


# ---- all of it


def test_a_small_experiment_is_put_together_from_jobs_that_are_done(tmp_path):
    out, scratch = tmp_path / "results", tmp_path / "runs"
    ((job,),) = planned("reverse_step", "smoke", out, scratch / "smoke", "cpu")
    made_with = {"commit": "c", "torch": "t", "hardware": "h", "threads": "1", "seconds": 2, "cpu_seconds": 1}
    content = {"theory_slope": 3, "how": made_with}
    write(job.path, {"key": fingerprint(job.key), "seconds": 2, "result": content})
    main(["reverse_step", "--preset", "smoke", "--out", str(out), "--runs", str(scratch)])
    found = json.loads((out / "reverse_step.json").read_text())
    assert found["runs"] == [{"theory_slope": 3}]
    assert found["how"]["command"] == "python -m tools.experiments reverse_step --preset smoke"
    assert found["how"]["setting"]["betas"]
    assert (found["how"]["seconds"], found["how"]["commit"]) == (2, ["c"])


def test_every_job_has_a_name_of_its_own_and_needs_no_weights_of_another(tmp_path):
    jobs = [job for jobs in stages(Setting(), RunDir(tmp_path, tmp_path)) for job in jobs]
    names = [job.path.stem for job in jobs]
    assert len(set(names)) == len(names)
    assert {
        "vae-1.4M-2",
        "hvae8-0.5M-0",
        "steps-1024-1",
        "floor-7",
        "fault-blur-1",
        "rate-simple-0.5M-0.003",
    } <= set(names)
    assert "hvae8-1.4M-0" not in names


def test_more_seeds_leave_what_is_done_valid(tmp_path):
    def keys(setting):
        jobs = [job for jobs in stages(setting, RunDir(tmp_path, tmp_path)) for job in jobs]
        return {job.path.stem: job.key for job in jobs}

    before, after = keys(Setting()), keys(replace(Setting(), seeds=(0, 1, 2, 3), floors=16, counts=(1, 2)))
    shared = set(before) & set(after)
    assert len(shared) > 60
    assert all(fingerprint(before[name]) == fingerprint(after[name]) for name in shared)


@pytest.mark.parametrize("name", ["steps-1-0", "steps-4-0", "ships"])
def test_a_job_of_each_kind_is_done_from_end_to_end(few, name):
    setting = replace(TINY, calls=(1, 2))
    jobs = {job.path.stem: job for jobs in stages(setting, few) for job in jobs}
    if name == "ships":
        result = jobs["ships-vae-fashion-long-1"].result()
        assert result["sha256"] == zoo.card("vae-fashion-long")["weights"]["sha256"]
        assert {row["sampler"] for row in result["samplers"]} == {
            f"{start}, {end}" for start in ("N(0, I)", "mixture") for end in ("mean", "draw")
        }
        assert set(jobs["ships-vae-fashion-long-bits"].result()["bits"]) == {"bound", "weighted"}
        row = jobs["ships-ddpm-fashion-long-2"].result()["samplers"]
        assert [(each["calls"], each["samples"]) for each in row] == [(2, 24)]
        return
    result = jobs[name].result()
    assert result["first"] == (-6.0 if result["T"] == 1 else 0.0)
    assert [row["sampler"] for row in result["samplers"]] == ["ancestral" if result["T"] == 1 else "DDIM"]


def test_samples_are_drawn_in_batches_and_timed_each():
    asked = []

    def draw(n, rng):
        asked.append(n)
        until = time.process_time() + 0.02 * n
        while time.process_time() < until:
            pass
        return torch.full((n, 1, 28, 28), 0.5)

    images, seconds = timed(draw, 7, generator(), batch=3)
    assert asked == [1, 3, 3, 1]
    assert images.shape == (7, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert int(images[0, 0, 0, 0]) == 191
    assert 0.02 <= seconds < 0.05


def test_an_unknown_experiment_is_told_in_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["race"])
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "unknown experiment 'race'; there is comparison, reverse_step, reverse_chain" in said


def test_the_command_lists_what_is_done_and_does_nothing(tmp_path, capsys):
    main(["comparison", "--preset", "smoke", "--out", str(tmp_path), "--list", "--only", "fault-"])
    assert capsys.readouterr().out == "0 of 12 done\n"
    assert not list(tmp_path.iterdir())
    assert len(planned("reverse_step", "smoke", tmp_path, tmp_path, "cpu")) == 1
