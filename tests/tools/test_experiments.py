"""The experiments: units that outlive a kill, trainings that go on, what samples are judged by, the races."""

import hashlib
import math
import os
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lowerbound import data, metrics, zoo
from lowerbound.bound import Bound
from lowerbound.diffusion import Diffusion
from lowerbound.fit import Recipe, default_loss
from lowerbound.nets import Decoder, Encoder, UNet
from lowerbound.schedule import cosine
from lowerbound.vae import VAE
from oracles import generator
from torch import nn

from tools import jobs
from tools.experiments import equal_budget, sample_quality
from tools.experiments.equal_budget import Size
from tools.experiments.presets import PRESETS, SMOKE
from tools.experiments.run_dir import RunDir
from tools.experiments.sample_quality import SampleQuality, described, timed
from tools.experiments.training import Training, multiply_adds, steps_for, trained

HERE = Path(__file__)
MODELS = "vae", "ddpm"


# ---- training


class Few(RunDir):
    """A run_dir with so few images that a test can afford it."""

    def images(self, split: str) -> data.Images:
        images = super().images(split)
        return data.Images(images.x[:60], images.y[:60])


def build(kind: str) -> VAE | Diffusion:
    return VAE(Encoder(4, 8), Decoder(4, 8)) if kind == "vae" else Diffusion(UNet(width=8), cosine(10))


RECIPE = Recipe(steps=8, batch=8, lr=2e-3, warmup=2, ema=0.9, seed=3)


class Watched:
    """The default loss, counting its calls; at one of them Ctrl-C is pressed."""

    def __init__(self, stop: int = 0) -> None:
        self.calls, self.stop = 0, stop
        self.__qualname__ = default_loss.__qualname__  # the same training, for a fingerprint

    def __call__(self, model, x, y, rng):
        self.calls += 1
        if self.calls == self.stop:
            os.kill(os.getpid(), signal.SIGINT)
        return default_loss(model, x, y, rng)


def _training(kind: str = "vae", recipe: Recipe = RECIPE, loss=default_loss) -> Training:
    return Training("tiny", partial(build, kind), recipe, loss)


def _vector(model: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.fixture(scope="module", params=MODELS)
def straight(request, tmp_path_factory):
    """A training that nothing came between: kind, run_dir, model, what is said of it."""
    run_dir = Few(tmp_path_factory.mktemp(request.param), full=False)
    return request.param, run_dir, *trained(_training(request.param), run_dir)


def test_a_training_is_described_and_leaves_weights_and_card_alone(straight):
    kind, run_dir, model, about = straight
    path = _training().weights(run_dir)
    assert sorted(p.name for p in path.parent.iterdir()) == ["tiny.json", "tiny.safetensors"]
    assert about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert about["parameters"] == sum(p.numel() for p in model.parameters())
    assert about["images"] == 64
    assert (len(about["curve"]), about["curve_every"]) == (8, 1)
    assert about["multiply_adds"] == pytest.approx(multiply_adds(model), rel=1e-4)
    assert about["train_seconds"] > 0
    torch.manual_seed(RECIPE.seed)
    start = build(kind)
    assert not torch.equal(_vector(model), _vector(start))
    if kind == "ddpm":
        x, width = data.to_unit(run_dir.images("train").x), model.log_width.clone()
        assert width != start.log_width
        assert model.fit_last_step(x, run_dir.rng(RECIPE.seed)).log_width == width


def test_a_second_call_loads_and_trains_nothing(straight):
    kind, run_dir, model, about = straight
    watched = Watched()
    before = torch.get_rng_state()
    again, same = trained(_training(kind, loss=watched), run_dir)
    assert watched.calls == 0
    assert same == about
    assert torch.equal(_vector(again), _vector(model))
    assert not again.training
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("stop", [1, 5])
def test_an_interrupted_training_goes_on_to_the_same_weights(straight, tmp_path, stop):
    kind, _, model, about = straight
    run_dir, first, second = Few(tmp_path, full=False), Watched(stop), Watched()
    with pytest.raises(KeyboardInterrupt):
        trained(_training(kind, loss=first), run_dir)
    folder = _training().weights(run_dir).parent
    assert sorted(p.name for p in folder.iterdir()) == ["tiny.checkpoint", "tiny.csv"]
    found, said = trained(_training(kind, loss=second), run_dir)
    assert (first.calls, second.calls) == (stop, RECIPE.steps - stop)
    assert torch.equal(_vector(found), _vector(model))
    assert (said["sha256"], said["curve"]) == (about["sha256"], about["curve"])
    assert sorted(p.name for p in folder.iterdir()) == ["tiny.json", "tiny.safetensors"]


def test_a_kill_between_weights_and_card_trains_nothing_again(monkeypatch, straight, tmp_path):
    kind, _, _, about = straight
    run_dir, watched = Few(tmp_path, full=False), Watched()

    def killed(*_):
        raise ConnectionAbortedError

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "write", killed)
        with pytest.raises(ConnectionAbortedError):
            trained(_training(kind), run_dir)
    _, said = trained(_training(kind, loss=watched), run_dir)
    assert watched.calls == 0
    assert said["sha256"] == about["sha256"]


@pytest.mark.parametrize(
    "other",
    [{"lr": 1e-3}, {"steps": 9}, {"batch": 4}, {"ema": 0.5}, {"seed": 4}],
    ids=lambda c: next(iter(c)),
)
def test_another_recipe_is_refused_with_the_remedy(straight, other):
    kind, run_dir, *_ = straight
    with pytest.raises(ValueError, match=r"tiny\.json was made with other settings; delete it"):
        trained(_training(kind, replace(RECIPE, **other)), run_dir)


def test_another_recipe_is_refused_in_the_middle_too(tmp_path):
    run_dir = Few(tmp_path, full=False)
    with pytest.raises(KeyboardInterrupt):
        trained(_training(loss=Watched(2)), run_dir)
    with pytest.raises(ValueError, match=r"other settings \(lr: .*tiny\.checkpoint"):
        trained(_training(recipe=replace(RECIPE, lr=1e-3)), run_dir)


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_weights_that_are_damaged_or_missing_are_trained_again_to_the_same(straight, tmp_path, damage):
    kind, run_dir, model, about = straight
    files, copy = _training().weights(run_dir), _training().weights(other := Few(tmp_path, full=False))
    copy.parent.mkdir(parents=True)
    copy.with_suffix(".json").write_bytes(files.with_suffix(".json").read_bytes())
    content = files.read_bytes()
    if damage == "flipped":
        copy.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    watched = Watched()
    again, same = trained(_training(kind, loss=watched), other)
    assert watched.calls == RECIPE.steps
    assert copy.read_bytes() == content
    assert torch.equal(_vector(again), _vector(model))
    assert same["sha256"] == about["sha256"]
    trained(_training(kind, loss=watched), other)
    assert watched.calls == RECIPE.steps


def test_a_recipe_of_many_digits_is_its_own_again(tmp_path):
    what = _training(recipe=replace(RECIPE, steps=1, lr=1 / 300, ema=0.999995))
    run_dir = Few(tmp_path, full=False)
    _, about = trained(what, run_dir)
    assert trained(what, run_dir)[1] == about


def test_multiply_adds_are_those_of_the_layers():
    class Plain(nn.Module):
        latents = 3

        def __init__(self, sizes, shape):
            super().__init__()
            self.layer, self.shape = nn.Linear(*sizes), shape

        def forward(self, x):
            return [part.reshape(-1, *self.shape) for part in self.layer(x.flatten(1)).chunk(2, 1)]

    vae = VAE(Plain((784, 6), (3,)), Plain((3, 2 * 784), (1, 28, 28)))
    assert multiply_adds(vae) == 784 * 6 + 3 * 2 * 784

    class Convolution(nn.Conv2d):
        def forward(self, x, log_snr):
            return super().forward(x)

    assert multiply_adds(Diffusion(Convolution(1, 1, 5, padding=2), cosine(7))) == 784 * 25
    assert steps_for(vae, 3 * 32 * 9408 * 10.4, 32) == 10
    with pytest.raises(ValueError, match=r"a budget of 1000 .* less than one step; give more"):
        steps_for(vae, 1000, 32)


# ---- equal budget


def arithmetic_is_matched(setting: equal_budget.EqualBudget) -> None:
    for size in setting.sizes:
        for kind in equal_budget.KINDS:
            recipe = equal_budget.training(setting, kind, size, setting.seeds[0]).recipe
            spent = recipe.steps * recipe.batch * 3 * multiply_adds(equal_budget.build(kind, size))
            assert spent == pytest.approx(setting.budget, rel=0.005), (size.name, kind)


@pytest.mark.parametrize("preset", ["cpu", "gpu"])
def test_every_run_of_equal_budget_costs_the_same_arithmetic(preset):
    arithmetic_is_matched(PRESETS[preset].equal_budget)


def test_the_models_of_a_size_have_the_same_number_of_parameters():
    for size in {size for preset in ("cpu", "gpu") for size in PRESETS[preset].equal_budget.sizes}:
        vae, *others = (zoo.parameters(equal_budget.build(kind, size)) for kind in equal_budget.KINDS)
        for other in others:
            assert other == pytest.approx(vae, rel=0.02), size.name
        assert vae == pytest.approx(1e6 * float(size.name.removesuffix("M")), rel=0.07)


def test_every_run_has_a_name_a_training_and_a_measurement_of_its_own(tmp_path):
    setting = replace(SMOKE, sizes=(Size("a", 8, 8, 8), Size("b", 12, 12, 8)), seeds=(0, 1, 2))
    trainings, (reference, *measurements) = equal_budget.stages(setting, RunDir(tmp_path))
    names = [job.path.stem for job in measurements]
    assert reference.path.stem == "floor-30"
    assert [job.path.stem for job in trainings] == [f"trained-{name}" for name in names]
    assert len(set(names)) == 18
    size = setting.sizes[0]
    runs = [
        equal_budget.training(setting, "vae", size, seed, beta) for seed in (0, 1) for beta in (0.5, 1.0, 2.0)
    ]
    assert len({run.name for run in runs}) == 6
    assert [run.build().beta for run in runs] == [0.5, 1.0, 2.0] * 2
    assert {run.recipe.seed for run in runs} == {0, 1}


def test_a_bound_in_batches_is_that_of_every_image(monkeypatch):
    x = data.to_unit(data.load("fashion-mnist", "test").x[:7])
    vae, ddpm = build("vae").eval(), build("ddpm").eval()
    found = equal_budget.bound_of(vae, x, generator(), batch=3)
    with torch.no_grad():
        rates = torch.cat([vae.bound(part).rates for part in torch.split(x, 3)])
    torch.testing.assert_close(found.rates, rates)
    assert len(found.distortion) == 7
    few = equal_budget.bound_of(ddpm, x, generator(), calls=2, batch=3)
    assert few.rates.shape == (7, 3)
    torch.testing.assert_close(few.rates[:, -1], ddpm.prior(x).kl())


def test_the_best_chain_begins_where_the_images_say(monkeypatch):
    monkeypatch.setattr(equal_budget, "GRID", 4)
    model = build("ddpm").eval()
    x = data.to_unit(data.load("fashion-mnist", "train").x[:4])
    chain, found = equal_budget.best_chain(model, x, generator())
    first, bound = found.even_schedule(1000, best_variance=False)
    assert found.log_snr.tolist() == [12, 6, 0, -6]
    log_snr = chain.schedule.log_snr
    assert chain.schedule.T == 1000
    assert float(log_snr[1]) == pytest.approx(first)
    assert float(log_snr[-1]) == pytest.approx(-6)
    torch.testing.assert_close(log_snr[1:].diff(), torch.full((999,), (-6 - first) / 999).double())
    assert chain.net is model.net
    assert bound == pytest.approx(found.along(log_snr[1:], False), rel=1e-3)


def test_a_run_of_equal_budget_is_measured_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(equal_budget, "GRID", 3)
    monkeypatch.setattr(equal_budget, "LEVEL_IMAGES", 4)
    setting, run_dir = replace(SMOKE, budget=3e8, importance=2), Few(tmp_path, full=False)
    vae, ddpm = (job.result() for job in equal_budget.stages(setting, run_dir)[1][1:3])
    assert [row["sampler"] for row in vae["samplers"]] == ["decoder's mean", "draw from the decoder"]
    assert [(row["sampler"], row["calls"]) for row in ddpm["samplers"]] == [
        ("DDIM", 1),
        ("DDIM", 2),
        ("ancestral", 3),
    ]
    for found in (vae, ddpm):
        bound = found["bound"]
        assert bound["images"] == 20
        assert bound["bits_per_dim"] == pytest.approx(bound["distortion"] + bound["rate"], rel=1e-4)
        assert all(row["samples"] == 30 and row["frechet"] > 0 for row in found["samplers"])
    assert vae["importance_weighted"] < vae["bound"]["bits_per_dim"] + 0.05
    assert ddpm["levels"]["log_snr"] == [12, 3, -6]
    assert ddpm["first_log_snr"] in (12, 3)


# ---- what samples are judged by


def _cloud(n: int, dims: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return shift + scale * torch.randn(n, dims, generator=generator(seed), dtype=torch.float64)


def _frechet(a: np.ndarray, b: np.ndarray) -> float:
    """‖μ_a − μ_b‖² + Tr(A + B − 2 (A^½ B A^½)^½), by eigenvalues."""
    A, B = np.cov(a.T), np.cov(b.T)
    values, vectors = np.linalg.eigh(A)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    roots = np.sqrt(np.linalg.eigvalsh(root @ B @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(A) + np.trace(B) - 2 * roots)


def _kernel(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased estimate of MMD² with the kernel (x·y/D + 1)³, sets of one size."""
    n, D = a.shape
    aa, bb, ab = ((u @ v.T / D + 1) ** 3 for u, v in ((a, a), (b, b), (a, b)))
    within = (aa.sum() - np.trace(aa) + bb.sum() - np.trace(bb)) / (n * (n - 1))
    return float(within - 2 * ab.mean())


def distances_are_the_formulas(n: int, dims: int) -> None:
    mix = _cloud(dims, dims, 9)
    real, fake = _cloud(n, dims, 1) @ mix, _cloud(n, dims, 2, 1.4, 0.3)
    found = metrics.feature_distances(real, fake)
    assert found["frechet"] == pytest.approx(_frechet(real.numpy(), fake.numpy()), rel=1e-6)
    assert found["kernel"] == pytest.approx(_kernel(real.numpy(), fake.numpy()), rel=1e-6)
    assert found["kernel_std"] == pytest.approx(0, abs=1e-9 * found["kernel"])  # every subset is the set


@pytest.mark.parametrize(("n", "dims"), [(60, 3), (200, 12)])
def test_distances_are_their_formulas(n, dims):
    distances_are_the_formulas(n, dims)


def test_distances_of_two_sizes_and_of_a_set_to_itself():
    real, fake = _cloud(80, 4, 1), _cloud(50, 4, 2, 0.7)
    assert metrics.feature_distances(real, fake)["frechet"] == pytest.approx(
        _frechet(real.numpy(), fake.numpy()), rel=1e-6
    )
    itself = metrics.feature_distances(real, real)
    assert itself["frechet"] == pytest.approx(0, abs=1e-8)
    assert abs(itself["kernel"]) < 0.1 * metrics.feature_distances(real, real + 1)["kernel"]


def test_distances_do_not_depend_on_the_global_generator_and_leave_it_alone():
    real, fake = _cloud(30, 4, 1), _cloud(1100, 4, 2)
    before = torch.get_rng_state()
    first = metrics.feature_distances(real, fake)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert metrics.feature_distances(real, fake) == first
    assert metrics.feature_distances(real, fake, seed=1) != first
    assert first["kernel_std"] > 0


@pytest.mark.parametrize("sizes", [(1, 9), (9, 1)])
def test_distances_of_less_than_two_are_refused(sizes):
    with pytest.raises(ValueError, match="2 images of each kind or more, got {} and {}".format(*sizes)):
        metrics.feature_distances(_cloud(sizes[0], 3, 1), _cloud(sizes[1], 3, 2))


def _share_within(points: list, members: list, k: int) -> float:
    """Kynkäänniemi et al. 2019, Eq. (1), point by point."""
    inside = 0
    for point in points:
        for i, member in enumerate(members):
            others = sorted(math.dist(member, other) for j, other in enumerate(members) if j != i)
            if math.dist(point, member) <= others[k - 1]:
                inside += 1
                break
    return inside / len(points)


def precision_and_recall_are_a_double_loop(n: int, m: int, dims: int, k: int) -> None:
    real, fake = _cloud(n, dims, 1), _cloud(m, dims, 2, 1.5, 0.5)
    precision, recall = metrics.precision_recall(real, fake, k)
    assert precision == _share_within(fake.tolist(), real.tolist(), k)
    assert recall == _share_within(real.tolist(), fake.tolist(), k)
    assert 0 < precision < 1
    assert 0 < recall < 1
    assert precision != recall


@pytest.mark.parametrize(("n", "m", "dims", "k"), [(40, 30, 3, 1), (20, 24, 3, 2), (50, 35, 2, 3)])
def test_precision_and_recall_are_a_double_loop(n, m, dims, k):
    precision_and_recall_are_a_double_loop(n, m, dims, k)


@pytest.mark.parametrize("scale", [0.0, 1e-3])
def test_collapsed_samples_are_precise_and_cover_nothing(scale):
    real = _cloud(300, 4, 1)
    precision, recall = metrics.precision_recall(
        real, _cloud(300, 4, 2, scale) + real[real.norm(dim=1).argmin()]
    )
    assert precision == 1
    assert recall < 0.02


def test_samples_that_are_too_wide_are_imprecise_and_cover_everything():
    precision, recall = metrics.precision_recall(_cloud(300, 4, 1), _cloud(300, 4, 2, 4.0))
    assert precision < 0.1
    assert recall > 0.95


def test_a_set_lies_within_itself_and_not_within_one_far_away():
    real = _cloud(50, 3, 1)
    assert metrics.precision_recall(real, real) == (1, 1)
    assert metrics.precision_recall(real, real + 100) == (0, 0)


@pytest.mark.parametrize("sizes", [(5, 20), (20, 5)])
def test_too_few_for_k_neighbours_are_refused(sizes):
    real, fake = (_cloud(n, 3, n) for n in sizes)
    with pytest.raises(ValueError, match="more than k = 5 images of each kind, got {} and {}".format(*sizes)):
        metrics.precision_recall(real, fake)
    metrics.precision_recall(real, fake, k=4)


def test_samples_are_measured_by_the_classifier_that_ships(tmp_path):
    run_dir = Few(tmp_path, full=False)
    found = SampleQuality.of(run_dir)
    assert SampleQuality.of(Few(tmp_path, full=False)) is found
    test, train = run_dir.images("test").x, run_dir.images("train").x
    with torch.no_grad():
        features = zoo.load("classifier-fashion").features(data.to_unit(test)).double()
    torch.testing.assert_close(found.test, features)
    same, dark = found.distances(test), found.distances(torch.zeros_like(test))
    assert same["frechet"] == pytest.approx(0, abs=1e-6 * dark["frechet"])
    assert (same["precision"], same["recall"], same["samples"]) == (1, 1, 60)
    assert dark["recall"] == 0
    floor = sample_quality.reference(40, run_dir)
    assert floor["samples"] == 40
    assert same["frechet"] < floor["frechet"] < dark["frechet"]
    assert sample_quality.reference(60, run_dir) == pytest.approx(
        found.distances(train), rel=1e-3
    )  # all of them, in any order


def test_a_bound_is_described_in_bits_and_in_its_parts():
    nats = torch.tensor([784.0, 784.0 * 3, 784.0 * 5])
    found = described(Bound(0.75 * nats, 0.125 * nats[:, None].expand(3, 2)))
    assert found["each"] == pytest.approx([k / math.log(2) for k in (1, 3, 5)], rel=1e-6)
    assert found["bits_per_dim"] == pytest.approx(3 / math.log(2), rel=1e-6)
    assert found["standard_error"] == pytest.approx(2 / math.sqrt(3) / math.log(2), rel=1e-6)
    assert found["distortion"] == pytest.approx(0.75 * 3 / math.log(2), rel=1e-6)
    assert found["rate"] == pytest.approx(0.25 * 3 / math.log(2), rel=1e-6)
    assert found["images"] == 3


def test_samples_are_drawn_in_batches_and_timed_each():
    asked = []

    def draw(n):
        asked.append(n)
        until = time.process_time() + 0.02 * n
        while time.process_time() < until:
            pass
        return torch.full((n, 1, 28, 28), 0.5)

    images, seconds = timed(draw, 7, batch=3)
    assert asked == [1, 3, 3, 1]
    assert images.shape == (7, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert int(images[0, 0, 0, 0]) == 191
    assert 0.02 <= seconds < 0.05
