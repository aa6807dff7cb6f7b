"""The experiments: units that outlive a kill, trainings that go on, what samples are judged by, the races."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lowerbound import checkpoint, data, metrics, zoo
from lowerbound.bound import Bound
from lowerbound.diffusion import Diffusion
from lowerbound.experiments import races, ruler, training
from lowerbound.experiments.presets import PRESETS, SMOKE
from lowerbound.experiments.races import Size
from lowerbound.experiments.ruler import Ruler, described, timed
from lowerbound.experiments.training import Training, multiply_adds, steps_for, trained
from lowerbound.experiments.units import Place, Unit, measured, read, rounded, run, write
from lowerbound.fit import default_loss
from lowerbound.nets import Decoder, Encoder, UNet
from lowerbound.recipe import Recipe
from lowerbound.schedule import cosine
from lowerbound.vae import VAE
from oracles import generator
from torch import nn

HERE = Path(__file__)
MODELS = "vae", "ddpm"


# ---- units


def _called(name: str, place: Place) -> int:
    """One more call of a unit, counted through a file; returns how many there have been."""
    with (place.folder / f"{name}.calls").open("a") as file:
        file.write(".")
    return _calls(name, place)


def _calls(name: str, place: Place) -> int:
    path = place.folder / f"{name}.calls"
    return len(path.read_text()) if path.exists() else 0


def right(name: str, seconds: float, place: Place) -> dict:
    _called(name, place)
    time.sleep(seconds)
    return {"name": name, "value": 1 / 3, "parts": [{"x": 2.0 / 3}, 7]}


def wrong(name: str, place: Place) -> dict:
    _called(name, place)
    raise ArithmeticError(f"{name} went wrong")


def kills_once(name: str, who: str, place: Place) -> dict:
    """The first time, end the process that runs it, or the one that this was started by, in the middle."""
    if _called(name, place) == 1:
        (place.folder / "half.json.partial").write_text('{"half')
        (place.folder / f"{name}.pid").write_text(str(os.getpid()))
        os.kill(os.getpid() if who == "itself" else os.getppid(), signal.SIGKILL)
        time.sleep(60)
        (place.folder / "outlived").touch()
    return {"name": name}


def _right(name: str, seconds: float = 0.0) -> Unit:
    return Unit(name, partial(right, name, seconds))


def _killed(who: str) -> list[Unit]:
    killer = Unit("half", partial(kills_once, "half", who))
    return [_right("before"), killer, _right("after"), _right("last")]


def _wrong(name: str) -> Unit:
    return Unit(name, partial(wrong, name))


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path, full=False)


@pytest.mark.parametrize("jobs", [1, 2])
def test_units_are_whole_files_in_their_order_and_are_measured_once(place, jobs):
    names = ["slow", "b", "a", "c"]
    units = [_right(name, 0.5 if name == "slow" else 0.0) for name in names]
    found = run(iter(units), place, jobs, progress=False)
    assert [what["name"] for what in found] == names
    for name, what in zip(names, found, strict=True):
        assert json.loads((place.folder / f"{name}.json").read_text()) == what
        assert what["value"] == 0.33333
        assert what["parts"] == [{"x": 0.66667}, 7]
        assert set(what["how"]) == {
            "commit",
            "torch",
            "hardware",
            "threads",
            "seconds",
            "cpu_seconds",
            "asked",
        }
    assert 0.5 <= found[0]["how"]["seconds"] < 30
    assert found[0]["how"]["cpu_seconds"] < 0.4
    assert not list(place.folder.glob("*.partial"))
    assert run(units, place, jobs, progress=False) == found
    assert [_calls(name, place) for name in names] == [1] * 4


def test_what_is_there_is_read_and_only_the_rest_is_measured(place):
    run([_right("b")], place, progress=False)
    path = place.folder / "b.json"
    write(path, {**read(path), "name": "from a file"})
    found = run([_right("a"), _right("b")], place, progress=False)
    assert [what["name"] for what in found] == ["a", "from a file"]
    assert (_calls("a", place), _calls("b", place)) == (1, 1)


def test_what_was_measured_with_other_settings_is_refused(place):
    run([_right("a")], place, progress=False)
    with pytest.raises(ValueError, match=r"a\.json was measured with other settings; delete it"):
        run([_right("a", 0.01)], place, progress=False)
    write(place.folder / "list.json", {})
    (place.folder / "list.json").write_text("null")
    with pytest.raises(ValueError, match="is damaged; delete it"):
        read(place.folder / "list.json")


def test_an_error_is_raised_and_spares_what_was_measured_before(place):
    with pytest.raises(ArithmeticError, match="bad went wrong"):
        run([_right("a"), _wrong("bad"), _right("b")], place, progress=False)
    assert sorted(p.name for p in place.folder.glob("*.json*")) == ["a.json"]
    found = run([_right("a"), _right("bad"), _right("b")], place, progress=False)
    assert [what["name"] for what in found] == ["a", "bad", "b"]
    assert (_calls("a", place), _calls("bad", place)) == (1, 2)


def test_an_error_in_a_process_is_raised_once_its_neighbour_is_done(place):
    units = [_right("slow", 0.6), _wrong("bad"), *(_right(f"late-{i}", 0.3) for i in range(9))]
    with pytest.raises(ArithmeticError, match="bad went wrong"):
        run(units, place, jobs=2, progress=False)
    files = {p.name for p in place.folder.glob("*.json*")}
    assert "slow.json" in files
    assert "bad.json" not in files
    begun = {f"{unit.name}.json" for unit in units if _calls(unit.name, place)}
    assert files == begun - {"bad.json"}  # whole, each of them
    assert "late-8.json" not in files
    for name in files:
        read(place.folder / name)


@pytest.mark.parametrize(("who", "jobs"), [("itself", 1), ("the parent", 2)])
def test_a_killed_run_leaves_whole_files_and_goes_on_from_them(place, who, jobs):
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_experiments as t; "
    code += "t.killed_run(*sys.argv[2:])"
    command = [sys.executable, "-c", code, str(HERE.parent), str(place.folder), who, str(jobs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = sorted(p.name for p in place.folder.glob("*.json*"))
    assert "half.json.partial" in left
    assert "half.json" not in left
    whole = [name.removesuffix(".json") for name in left if name.endswith(".json")]
    if jobs == 1:
        assert whole == ["before"]
    _gone(int((place.folder / "half.pid").read_text()))
    before = {unit.name: _calls(unit.name, place) for unit in _killed(who)}
    found = run(_killed(who), place, progress=False)
    assert [what["name"] for what in found] == ["before", "half", "after", "last"]
    for name, calls in before.items():
        assert _calls(name, place) == calls + (name not in whole)
    assert not list(place.folder.glob("*.partial"))
    assert not (place.folder / "outlived").exists()


def killed_run(folder: str, who: str, jobs: str) -> None:
    """What the process does that the test has killed."""
    run(_killed(who), Place(Path(folder), full=False), int(jobs), progress=False)


def _gone(pid: int, seconds: float = 20) -> None:
    """Wait until there is no such process: it must not outlive the one that started it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail(f"process {pid} has outlived its parent")


@pytest.mark.parametrize("content", ['{"value": 1.', "", b"\xff\xfe\x00"])
def test_a_damaged_file_is_named_with_the_remedy(place, content):
    path = place.folder / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=r"a\.json is damaged; delete it, and .* measures it again"):
        run([_right("a")], place, progress=False)
    assert _calls("a", place) == 0
    path.unlink()
    assert run([_right("a")], place, progress=False)[0]["name"] == "a"


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_jobs_are_refused(place, jobs):
    with pytest.raises(ValueError, match=f"jobs must be at least 1, got {jobs}"):
        run([_right("a")], place, jobs)
    assert _calls("a", place) == 0


def test_numbers_are_rounded_to_five_digits_wherever_they_lie():
    content = {
        "a": 123456.789,
        "b": [1 / 3, {"c": -2e-9 / 3}],
        "n": 1234567,
        "s": "0.123456",
        "t": True,
        "z": None,
    }
    expected = {
        "a": 123460.0,
        "b": [0.33333, {"c": -6.6667e-10}],
        "n": 1234567,
        "s": "0.123456",
        "t": True,
        "z": None,
    }
    assert rounded(content) == expected


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_never_written(place, bad):
    for content in (bad, [1.0, bad], {"a": {"b": [bad]}}):
        with pytest.raises(ValueError, match=r"a result is (nan|inf|-inf); it is not written"):
            rounded(content)
    kept = place.folder / "kept.json"
    write(kept, {"value": 1.0})
    with pytest.raises(ValueError, match="not written"):
        write(kept, {"value": bad})
    assert read(kept) == {"value": 1.0}
    with pytest.raises(ValueError, match="not written"):
        measured(Unit("bad", lambda place: {"value": bad}), place)
    assert sorted(p.name for p in place.folder.iterdir()) == ["kept.json"]


def test_a_number_in_a_tuple_is_rounded_and_refused_too():
    assert rounded({"a": (1 / 3, 2)}) == {"a": [0.33333, 2]}
    with pytest.raises(ValueError, match="not written"):
        rounded((math.nan,))


# ---- training


class Few(Place):
    """A place with so few images that a test can afford it."""

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
    """A training that nothing came between: kind, place, model, what is said of it."""
    place = Few(tmp_path_factory.mktemp(request.param), full=False)
    return request.param, place, *trained(_training(request.param), place)


def test_a_training_is_described_and_leaves_weights_and_card_alone(straight):
    kind, place, model, about = straight
    path = _training().weights(place)
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
        x, width = data.to_unit(place.images("train").x), model.log_width.clone()
        assert width != start.log_width
        assert model.fit_last_step(x, place.rng(RECIPE.seed)).log_width == width


def test_a_second_call_loads_and_trains_nothing(straight):
    kind, place, model, about = straight
    watched = Watched()
    before = torch.get_rng_state()
    again, same = trained(_training(kind, loss=watched), place)
    assert watched.calls == 0
    assert same == about
    assert torch.equal(_vector(again), _vector(model))
    assert not again.training
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("stop", [1, 5])
def test_an_interrupted_training_goes_on_to_the_same_weights(straight, tmp_path, stop):
    kind, _, model, about = straight
    place, first, second = Few(tmp_path, full=False), Watched(stop), Watched()
    with pytest.raises(KeyboardInterrupt):
        trained(_training(kind, loss=first), place)
    folder = _training().weights(place).parent
    assert [p.name for p in folder.iterdir()] == ["tiny.checkpoint"]
    found, said = trained(_training(kind, loss=second), place)
    assert (first.calls, second.calls) == (stop, RECIPE.steps - stop)
    assert torch.equal(_vector(found), _vector(model))
    assert (said["sha256"], said["curve"]) == (about["sha256"], about["curve"])
    assert sorted(p.name for p in folder.iterdir()) == ["tiny.json", "tiny.safetensors"]


def test_a_kill_between_weights_and_card_trains_nothing_again(monkeypatch, straight, tmp_path):
    kind, _, _, about = straight
    place, watched = Few(tmp_path, full=False), Watched()

    def atomically(path):
        if path.suffix == ".json":
            raise ConnectionAbortedError
        return checkpoint.atomically(path)

    with monkeypatch.context() as patch:
        patch.setattr(training, "atomically", atomically)
        with pytest.raises(ConnectionAbortedError):
            trained(_training(kind), place)
    _, said = trained(_training(kind, loss=watched), place)
    assert watched.calls == 0
    assert said["sha256"] == about["sha256"]


@pytest.mark.parametrize(
    "other",
    [{"lr": 1e-3}, {"steps": 9}, {"batch": 4}, {"ema": 0.5}, {"seed": 4}],
    ids=lambda c: next(iter(c)),
)
def test_another_recipe_is_refused_with_the_remedy(straight, other):
    kind, place, *_ = straight
    with pytest.raises(
        ValueError, match=r"tiny\.safetensors was trained by another recipe; delete it and tiny\.json"
    ):
        trained(_training(kind, replace(RECIPE, **other)), place)


def test_another_recipe_is_refused_in_the_middle_too(tmp_path):
    place = Few(tmp_path, full=False)
    with pytest.raises(KeyboardInterrupt):
        trained(_training(loss=Watched(2)), place)
    with pytest.raises(ValueError, match=r"other settings \(lr: .*tiny\.checkpoint"):
        trained(_training(recipe=replace(RECIPE, lr=1e-3)), place)


def test_a_flipped_byte_of_the_weights_is_refused(straight, tmp_path):
    kind, place, *_ = straight
    files = _training().weights(place)
    copy = _training().weights(other := Few(tmp_path, full=False))
    copy.parent.mkdir(parents=True)
    copy.with_suffix(".json").write_bytes(files.with_suffix(".json").read_bytes())
    content = files.read_bytes()
    for at in (len(content) // 2, len(content) - 1):
        copy.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(ValueError, match=r"tiny\.safetensors .* delete it and tiny\.json to train again"):
            trained(_training(kind), other)
    copy.write_bytes(content)
    trained(_training(kind), other)


def test_a_recipe_of_many_digits_is_its_own_again(tmp_path):
    what = _training(recipe=replace(RECIPE, steps=1, lr=1 / 300, ema=0.999995))
    place = Few(tmp_path, full=False)
    _, about = trained(what, place)
    assert trained(what, place)[1] == about


def test_missing_weights_are_refused_with_the_remedy(straight, tmp_path):
    kind, place, *_ = straight
    card = _training().weights(place).with_suffix(".json")
    copy = _training().weights(other := Few(tmp_path, full=False)).with_suffix(".json")
    copy.parent.mkdir(parents=True)
    copy.write_bytes(card.read_bytes())
    with pytest.raises(ValueError, match=r"tiny\.safetensors .* delete .*tiny\.json to train again"):
        trained(_training(kind), other)


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


# ---- the races


def arithmetic_is_matched(setting: races.Races) -> None:
    for size in setting.sizes:
        for kind in races.KINDS:
            recipe = races.training(setting, kind, size, setting.seeds[0]).recipe
            spent = recipe.steps * recipe.batch * 3 * multiply_adds(races.build(kind, size))
            assert spent == pytest.approx(setting.budget, rel=0.005), (size.name, kind)


@pytest.mark.parametrize("preset", ["cpu", "gpu"])
def test_every_run_of_the_races_costs_the_same_arithmetic(preset):
    arithmetic_is_matched(PRESETS[preset].races)


def test_the_models_of_a_size_have_the_same_number_of_parameters():
    for size in {size for preset in ("cpu", "gpu") for size in PRESETS[preset].races.sizes}:
        vae, *others = (zoo.parameters(races.build(kind, size)) for kind in races.KINDS)
        for other in others:
            assert other == pytest.approx(vae, rel=0.02), size.name
        assert vae == pytest.approx(1e6 * float(size.name.removesuffix("M")), rel=0.07)


def test_every_run_has_a_name_a_training_and_a_measurement_of_its_own():
    setting = replace(SMOKE, sizes=(Size("a", 8, 8, 8), Size("b", 12, 12, 8)), seeds=(0, 1, 2))
    trainings, measurements = races.trainings(setting), races.measurements(setting)
    names = [unit.name for unit in measurements]
    assert [unit.name for unit in trainings] == [f"trained-{name}" for name in names]
    assert len(set(names)) == 18
    size = setting.sizes[0]
    runs = [races.training(setting, "vae", size, seed, beta) for seed in (0, 1) for beta in (0.5, 1.0, 2.0)]
    assert len({run.name for run in runs}) == 6
    assert [run.build().beta for run in runs] == [0.5, 1.0, 2.0] * 2
    assert {run.recipe.seed for run in runs} == {0, 1}


def test_a_bound_in_batches_is_that_of_every_image(monkeypatch):
    x = data.to_unit(data.load("fashion-mnist", "test").x[:7])
    vae, ddpm = build("vae").eval(), build("ddpm").eval()
    found = races.bound_of(vae, x, generator(), batch=3)
    with torch.no_grad():
        rates = torch.cat([vae.bound(part).rates for part in torch.split(x, 3)])
    torch.testing.assert_close(found.rates, rates)
    assert len(found.distortion) == 7
    few = races.bound_of(ddpm, x, generator(), calls=2, batch=3)
    assert few.rates.shape == (7, 3)
    torch.testing.assert_close(few.rates[:, -1], ddpm.prior(x).kl())


def test_the_best_chain_begins_where_the_images_say(monkeypatch):
    monkeypatch.setattr(races, "GRID", 4)
    model = build("ddpm").eval()
    x = data.to_unit(data.load("fashion-mnist", "train").x[:4])
    chain, found = races.best_chain(model, x, generator())
    first, bound = found.even_ladder(1000, best_variance=False)
    assert found.log_snr.tolist() == [12, 6, 0, -6]
    log_snr = chain.schedule.log_snr
    assert chain.schedule.T == 1000
    assert float(log_snr[1]) == pytest.approx(first)
    assert float(log_snr[-1]) == pytest.approx(-6)
    torch.testing.assert_close(log_snr[1:].diff(), torch.full((999,), (-6 - first) / 999).double())
    assert chain.net is model.net
    assert bound == pytest.approx(found.along(log_snr[1:], False), rel=1e-3)


def test_a_run_of_the_races_is_measured_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(races, "GRID", 3)
    monkeypatch.setattr(races, "LEVEL_IMAGES", 4)
    setting, place = replace(SMOKE, budget=3e8, importance=2), Few(tmp_path, full=False)
    vae, ddpm = (measured(races.measurements(setting)[k], place) for k in (0, 1))
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


def test_the_ruler_judges_by_the_classifier_that_ships(tmp_path):
    place = Few(tmp_path, full=False)
    found = Ruler.of(place)
    assert Ruler.of(Few(tmp_path, full=False)) is found
    test, train = place.images("test").x, place.images("train").x
    with torch.no_grad():
        features = zoo.load("classifier-fashion").features(data.to_unit(test)).double()
    torch.testing.assert_close(found.test, features)
    same, dark = found.judge(test), found.judge(torch.zeros_like(test))
    assert same["frechet"] == pytest.approx(0, abs=1e-6 * dark["frechet"])
    assert (same["precision"], same["recall"], same["samples"]) == (1, 1, 60)
    assert dark["recall"] == 0
    floor = ruler.floor(40, place)
    assert floor["samples"] == 40
    assert same["frechet"] < floor["frechet"] < dark["frechet"]
    assert ruler.floor(60, place) == pytest.approx(found.judge(train), rel=1e-3)  # all of them, in any order


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
