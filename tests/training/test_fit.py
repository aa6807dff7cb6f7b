"""The training loop: the same weights from the same seed, however often it is stopped."""

import json
import math
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lowerbound import checkpoint, data
from lowerbound.classifier import Classifier, classifier_loss, random_shift_flip
from lowerbound.dense import DenseDecoder, DenseEncoder
from lowerbound.fit import Recipe, Training, _rows, default_loss, fit
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.vae import VAE
from oracles import generator
from torch import nn

RECIPE = Recipe(steps=24, batch=16, warmup=5, ema=0.9)
CPU = torch.device("cpu")
X = data.ring().sample(100, generator(1))


def _model(seed: int = 0) -> VAE:
    torch.manual_seed(seed)
    return VAE(DenseEncoder(2, 2, 8), DenseDecoder(2, 2, 8), GaussianLikelihood)


def _fit(recipe: Recipe = RECIPE, **kwargs) -> tuple[list[float], torch.Tensor]:
    model = kwargs.pop("model", None) or _model()
    losses = fit(model, X, recipe, progress=False, **kwargs)
    return losses, nn.utils.parameters_to_vector(model.parameters()).detach()


class _StopAt:
    """The default loss, until it is asked for the last time."""

    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self, model, x, y, rng):
        if self.left == 0:
            raise ConnectionAbortedError
        self.left -= 1
        return default_loss(model, x, y, rng)


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    (losses, weights), (again, same) = _fit(), _fit()
    assert losses == again
    assert len(losses) == 24
    assert torch.equal(weights, same)
    _, other = _fit(replace(RECIPE, seed=1))
    assert not torch.equal(weights, other)


def test_a_step_over_all_weights_at_once_is_the_same_bits_as_one_weight_after_the_other():
    ends = []
    for at_once in (True, False):
        training = Training(_model(), X, RECIPE)
        assert training.optimizer.param_groups[0]["foreach"] is True
        training.optimizer.param_groups[0]["foreach"] = at_once
        assert len(list(training.steps())) == RECIPE.steps
        ends.append(nn.utils.parameters_to_vector(training.model.parameters()).detach())
    assert torch.equal(*ends)


@pytest.mark.parametrize("step", [5, 6, 13])
def test_a_run_that_stops_goes_on_to_the_same_bits(tmp_path, step):
    losses, weights = _fit()
    path = tmp_path / "run.checkpoint"
    with pytest.raises(ConnectionAbortedError):
        _fit(loss=_StopAt(step), checkpoint=path, every=5)
    resumed, same = _fit(checkpoint=path, every=5)
    assert resumed == losses
    assert torch.equal(weights, same)


def test_a_finished_run_is_not_trained_again(tmp_path):
    path = tmp_path / "run.checkpoint"
    losses, weights = _fit(checkpoint=path, every=24)
    again, same = _fit(checkpoint=path, loss=_StopAt(0))
    assert again == losses
    assert torch.equal(weights, same)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    worker, folder = Path(__file__).with_name("killed_run.py"), tmp_path_factory.mktemp("killed")
    command = [sys.executable, str(worker), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_killed_28_times_ends_in_the_same_bits(outcome):
    assert outcome["killed"] == {"at a random moment": [-9] * 20, "inside a write": [-9] * 8}
    assert 0 < outcome["saved"] < 250
    assert outcome["resumed"] == outcome["straight"]


def test_six_of_the_eight_kills_inside_a_write_left_a_part_which_the_next_write_replaced(outcome):
    assert outcome["parts"] == 6
    assert outcome["left"] == ["run.checkpoint", "run.csv"]


def test_ctrl_c_and_sigterm_save_the_step_they_came_in(outcome):
    assert outcome["stopped"] == [130, 130]
    assert outcome["held"] >= outcome["saved"] + 18


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(tmp_path, bad):
    path = tmp_path / "run.checkpoint"
    calls = []

    def loss(model, x, y, rng):
        calls.append(1)
        return default_loss(model, x, y, rng) + (bad if len(calls) == 9 else 0.0)

    with pytest.raises(FloatingPointError, match=r"at step 8; start afresh .* lower lr"):
        _fit(loss=loss, checkpoint=path, every=4)
    assert len(checkpoint.read(path)["steps"]) == 8


def test_what_is_left_in_the_model_is_the_average_of_the_weights(monkeypatch):
    recipe, model, after = replace(RECIPE, steps=3, lr=0.05, warmup=0), _model(), []
    average = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    original = torch.optim.Adam.step

    def step(self, *args, **kwargs):
        original(self, *args, **kwargs)
        after.append(nn.utils.parameters_to_vector(self.param_groups[0]["params"]).detach().clone())

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    _, weights = _fit(recipe, model=model)
    for i, moved in enumerate(after):
        decay = min(recipe.ema, (1 + i) / (10 + i))
        average = decay * average + (1 - decay) * moved
    torch.testing.assert_close(weights, average)
    assert not torch.allclose(weights, after[-1])


def test_averaging_builds_no_graph(monkeypatch):
    averages = []
    original = torch._foreach_lerp_

    def lerp(average, *args):
        original(average, *args)
        averages.extend(average)

    monkeypatch.setattr(torch, "_foreach_lerp_", lerp)
    _fit(replace(RECIPE, steps=2))
    assert averages
    assert not any(parameter.requires_grad for parameter in averages)


def test_training_lowers_the_loss():
    losses, _ = _fit(Recipe(steps=200, batch=50, lr=1e-2, warmup=10))
    assert sum(losses[-50:]) / 50 < sum(losses[:10]) / 10 - 0.05


def test_every_epoch_sees_every_example_once_in_another_order():
    recipe = replace(RECIPE, batch=10)
    seen = torch.cat([_rows(25, step, recipe.batch, recipe.seed, CPU) for step in range(5)])
    epochs = [seen[i : i + 25] for i in (0, 25)]
    for epoch in epochs:
        assert epoch.sort().values.tolist() == list(range(25))
    assert not torch.equal(*epochs)
    assert len(_rows(3, 4, recipe.batch, recipe.seed, CPU)) == 10


def test_the_learning_rate_warms_up_and_falls_to_nothing():
    recipe = Recipe(steps=1000, warmup=100)
    factors = [recipe.lr_factor(step) for step in range(1001)]
    assert factors[0] == pytest.approx(0.01, rel=1e-3)
    assert max(factors) == pytest.approx(0.976, abs=0.01)
    assert factors.index(max(factors)) == pytest.approx(99, abs=1)
    assert factors[1000] == pytest.approx(0, abs=1e-6)


def test_uint8_images_are_scaled_batch_by_batch():
    seen = []

    def loss(model, x, y, rng):
        seen.append((x, y))
        return model(x.flatten(1)).mean()

    images = data.load("fashion-mnist", "test")
    fit(nn.Linear(784, 1), images.x[:40], Recipe(steps=2, batch=8), images.y[:40], loss, progress=False)
    x, y = seen[0]
    rows = _rows(40, 0, 8, 0, CPU)
    torch.testing.assert_close(x, data.to_unit(images.x[rows]))
    assert torch.equal(y, images.y[rows])


def test_the_classifiers_loss_moves_and_mirrors_each_image_by_itself_and_by_two_pixels_at_most():
    torch.manual_seed(0)
    classifier = Classifier(8)
    seen = []
    classifier.loss = lambda x, y: (
        seen.append(x) or nn.functional.cross_entropy(classifier(x), y, reduction="none")
    )
    one = torch.full((28, 28), -1.0)
    one[4:9, 3:20] = torch.linspace(0, 1, 5 * 17).view(5, 17)  # far enough from every edge to stay whole
    x = one.expand(64, 1, 28, 28)
    assert torch.isfinite(classifier_loss(classifier, x, torch.zeros(64, dtype=torch.int64), generator(0)))
    allowed = {
        tuple(image.roll((dy, dx), (0, 1)).flatten().tolist())
        for image in (one, one.flip(1))
        for dy in range(-2, 3)
        for dx in range(-2, 3)
    }
    moved = {tuple(image.flatten().tolist()) for image in seen[0]}
    assert moved <= allowed
    assert len(moved) > 20


def test_what_an_image_is_moved_by_is_black_and_a_negative_distance_is_refused():
    bright = random_shift_flip(torch.ones(32, 1, 28, 28), generator(0), by=3, mirror=False)
    assert set(bright.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(random_shift_flip(bright, by=0, mirror=False), bright)
    with pytest.raises(ValueError, match="0 pixels or more"):
        random_shift_flip(bright, by=-1)


def test_fit_leaves_the_global_generator_alone():
    model = _model()
    before = torch.get_rng_state()
    _fit(model=deepcopy(model))
    assert torch.equal(torch.get_rng_state(), before)
