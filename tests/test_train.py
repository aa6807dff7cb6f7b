"""The command line, end to end on the bundled subset."""

import csv

import pytest
import torch
from lowerbound import data, train, zoo
from lowerbound.fit import Recipe, fit
from lowerbound.zoo import Architecture

SMALL = {
    "vae-smoke": ["--width", "8"],
    "ddpm-smoke": ["--width", "8", "--T", "4"],
    "classifier-smoke": ["--width", "8"],
}


def _train(folder, preset, *more):
    few = ["--subset", "--steps", "3", "--batch", "16", "--threads", "1", "--device", "cpu"]
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
    with (tmp_path / f"{preset}.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["step", "loss"]
    assert [int(step) for step, _ in rows[1:]] == [1, 2, 3]


def test_the_same_command_twice_writes_the_same_weights(tmp_path):
    for folder in ("a", "b"):
        _train(tmp_path / folder, "vae-smoke")
    first, second = ((tmp_path / f / "vae-smoke.safetensors").read_bytes() for f in ("a", "b"))
    assert first == second


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    images = data.load("fashion-mnist", "train").x
    model = zoo.build(Architecture("ddpm", width=8, T=4, schedule="cosine"))
    recipe = Recipe(steps=3, batch=16, warmup=5)
    fit(model, images, recipe, checkpoint=tmp_path / "ddpm-smoke.checkpoint", every=3, progress=False)
    with pytest.raises(ValueError, match="other settings"):
        _train(tmp_path, "ddpm-smoke", "--schedule", "linear")


def test_an_unknown_preset_lists_the_presets(capsys):
    with pytest.raises(SystemExit):
        train.main(["vae-huge"])
    message = capsys.readouterr().err
    assert all(preset in message for preset in train.PRESETS)


def test_every_preset_builds_and_the_pairs_share_their_budget():
    for architecture, recipe in train.PRESETS.values():
        assert zoo.parameters(zoo.build(architecture)) > 1000
        assert recipe.warmup < recipe.steps


def test_the_environment_is_named():
    named = train.environment()
    assert named["torch"] == torch.__version__.split("+")[0]
    assert named["hardware"]
    assert int(named["threads"]) == torch.get_num_threads()
