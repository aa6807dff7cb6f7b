"""The command line, end to end on the bundled subset."""

import csv
import os
import signal
from dataclasses import asdict

import pytest
import torch
from lowerbound import checkpoint, data, train, zoo
from lowerbound.fit import Recipe, fit
from lowerbound.zoo import Architecture
from matplotlib.image import imread as image

SMALL = {
    "vae-smoke": ["--width", "8"],
    "ddpm-smoke": ["--width", "8", "--T", "4"],
    "classifier-smoke": ["--width", "8"],
    "ddpm-classes-smoke": ["--width", "8", "--T", "4"],
}
COLUMNS = ["step", "loss", "lr", "gradient_norm", "images_per_second", "seconds"]


def _train(folder, preset, *more):
    few = ["--subset", "--steps", "3", "--batch", "16", "--threads", "1", "--device", "cpu", "--grid", "2"]
    train.main([preset, "--out", str(folder), *few, *SMALL[preset], *more])


@pytest.mark.parametrize("preset", SMALL)
def test_a_preset_trains_exports_and_measures(tmp_path, preset):
    _train(tmp_path, preset)
    model, card = zoo.load(preset, tmp_path), zoo.card(preset, tmp_path)
    assert isinstance(model, torch.nn.Module)
    assert card["preset"] == preset
    assert card["recipe"]["steps"] == 3
    assert card["architecture"]["width"] == 8
    assert "4000 training images" in card["data"].replace(",", "")
    assert {"seconds", "commit", "torch", "hardware", "threads"} <= set(card)
    if preset == "classifier-smoke":
        assert 0 <= card["metrics"]["accuracy"] <= 1
    else:
        assert card["metrics"]["bits_per_dim"] > 0
        assert card["metrics"]["test_images"] == (1000 if preset == "vae-smoke" else 100)
    assert card["recipe"]["precision"] == "float32"
    assert card["architecture"]["classes"] == (10 if "classes" in preset else 0)
    rows = _rows(tmp_path, preset)
    assert list(rows[0]) == COLUMNS
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert float(rows[0]["lr"]) == pytest.approx(1e-3 / 5)
    assert all(float(row[name]) > 0 for row in rows for name in COLUMNS)
    grids = [path.name for path in tmp_path.glob(f"{preset}-samples/*")]
    assert grids == ([] if preset == "classifier-smoke" else ["000002.png"])
    if grids:
        grid = image(tmp_path / f"{preset}-samples" / grids[0])
        assert grid.shape == (10 * 30 + 2 if "classes" in preset else 8 * 30 + 2, 8 * 30 + 2, 3)
        assert grid.std() > 0.01


def _rows(folder, name):
    with (folder / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def _stop_at(monkeypatch, step, number=signal.SIGINT):
    """Send this process a signal in one step of the training."""
    original, steps = train.default_loss, []

    def loss(*arguments):
        steps.append(1)
        if len(steps) == step:
            os.kill(os.getpid(), number)
        return original(*arguments)

    monkeypatch.setattr(train, "default_loss", loss)


@pytest.mark.parametrize(
    ("number", "preset"), [(signal.SIGINT, "ddpm-classes-smoke"), (signal.SIGTERM, "vae-smoke")]
)
def test_ctrl_c_names_the_command_that_goes_on_to_the_same_files(
    tmp_path, monkeypatch, capsys, number, preset
):
    _train(tmp_path / "straight", preset, "--every", "1")
    _stop_at(monkeypatch, 2, number)
    with pytest.raises(SystemExit) as end:
        _train(tmp_path / "stopped", preset, "--every", "1")
    assert end.value.code == 130
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"stopped; go on with: python -m lowerbound.train {preset} --out ")
    assert said.endswith(" --resume")
    train.main(said.split("lowerbound.train ")[1].split())
    folders = [tmp_path / "straight", tmp_path / "stopped"]
    rows = [[(r["step"], r["loss"], r["lr"], r["gradient_norm"]) for r in _rows(f, preset)] for f in folders]
    assert len(rows[0]) == 3
    assert rows[0] == rows[1]
    for end in (".safetensors", "-samples/000002.png"):
        first, second = ((f / f"{preset}{end}").read_bytes() for f in folders)
        assert first == second


def test_resume_without_a_checkpoint_starts_and_says_so(tmp_path, capsys):
    _train(tmp_path, "classifier-smoke", "--resume")
    assert "classifier-smoke.checkpoint to go on from; starting at step 0" in capsys.readouterr().out
    _train(tmp_path, "classifier-smoke", "--resume")
    assert len(checkpoint.read(tmp_path / "classifier-smoke.checkpoint")["steps"]) == 3


def test_the_bar_shows_loss_and_speed_and_quiet_shows_none(tmp_path, capsys):
    _train(tmp_path / "bar", "vae-smoke", "--progress")
    assert "3/3" in (bar := capsys.readouterr().err)
    assert "loss=" in bar
    assert "images/s=" in bar
    _train(tmp_path / "quiet", "vae-smoke", "--quiet")
    assert capsys.readouterr().err == ""


def test_the_same_command_twice_writes_the_same_weights(tmp_path):
    for folder in ("a", "b"):
        _train(tmp_path / folder, "vae-smoke")
    first, second = ((tmp_path / f / "vae-smoke.safetensors").read_bytes() for f in ("a", "b"))
    assert first == second


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path, capsys):
    images = data.load("fashion-mnist", "train").x
    model = zoo.build(Architecture("ddpm", width=8, T=4, schedule="cosine"))
    recipe = Recipe(steps=3, batch=16, warmup=5)
    settings = asdict(Architecture("ddpm", width=8, T=4))
    path = tmp_path / "ddpm-smoke.checkpoint"
    fit(model, images, recipe, checkpoint=path, settings=settings, every=3, progress=False)
    with pytest.raises(SystemExit):
        _train(tmp_path, "ddpm-smoke", "--schedule", "linear", "--resume")
    assert (
        "belongs to a run with other settings (schedule: cosine then, linear now)" in capsys.readouterr().err
    )


def test_an_unknown_preset_lists_the_presets(capsys):
    with pytest.raises(SystemExit):
        train.main(["vae-huge"])
    message = capsys.readouterr().err
    assert all(preset in message for preset in train.PRESETS)


def test_every_preset_builds_and_has_steps_left_after_its_warm_up():
    for architecture, recipe in train.PRESETS.values():
        assert zoo.parameters(zoo.build(architecture)) > 1000
        assert recipe.warmup < recipe.steps


def test_the_commit_is_that_of_the_package_or_none(tmp_path, monkeypatch):
    assert len(train.environment()["commit"].split()[0]) == 40
    monkeypatch.setattr(train, "__file__", str(tmp_path / "train.py"))
    assert train.environment()["commit"] == "not a checkout"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert train.environment()["commit"] == "no git here"


def test_the_environment_is_named():
    named = train.environment()
    assert named["torch"] == torch.__version__.split("+")[0]
    assert named["hardware"]
    assert int(named["threads"]) == torch.get_num_threads()
