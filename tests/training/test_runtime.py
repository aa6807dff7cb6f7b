"""What a notebook finds: a device, a folder, and a training that goes on where it was cut off."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lowerbound import data, figures, metrics, runtime, train, zoo
from lowerbound.samplers import ddim

TINY = replace(zoo.SMOKE, steps=4, batch=4, warmup=1)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smoke presets in four steps, on the processor, their models not measured afterwards."""
    small = {name: (model, TINY) for name, (model, _) in zoo.PRESETS.items() if name.endswith("smoke")}
    monkeypatch.setattr(runtime, "PRESETS", {**zoo.PRESETS, **small})
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cpu"))
    monkeypatch.setattr(metrics, "summary", lambda *_: {"bits_per_dim": 8.0})


def test_the_line_names_device_and_preset(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.announce()
    assert "device cpu: what is trained at length takes the preset “short”" in capsys.readouterr().out
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    runtime.announce()
    assert "device Tesla T4: what is trained at length takes the preset “gpu”" in capsys.readouterr().out


def test_every_model_has_the_presets_that_a_device_chooses() -> None:
    models = {name.rpartition("-")[0] for name in zoo.PRESETS}
    assert {f"{model}-{size}" for model in models for size in ("smoke", "short", "cpu", "gpu")} == set(
        zoo.PRESETS
    )


def test_the_folder_is_in_drive_once_that_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime.folder() == Path("runs")
    monkeypatch.setattr(runtime, "DRIVE", tmp_path)
    assert runtime.folder() == tmp_path / "lowerbound"


def test_a_training_that_is_cut_off_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    straight = runtime.train("vae", "smoke", tmp_path / "straight", full=False)
    original, calls = train.default_loss, []

    def loss(*arguments: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(train, "default_loss", loss)
    with pytest.raises(KeyboardInterrupt):
        runtime.train("vae", "smoke", tmp_path / "cut", full=False)
    again = runtime.train("vae", "smoke", tmp_path / "cut", full=False)
    assert len(calls) == TINY.steps
    for name, value in straight.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert "goes on" in capsys.readouterr().out


def test_the_training_shows_its_newest_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(runtime, "_live", lambda: seen.append)
    monkeypatch.setattr(runtime, "Run", lambda *a, **k: train.Run(*a, **k, grid=2))
    runtime.train("ddpm", "smoke", tmp_path, full=False)
    assert [path.name for path in seen] == ["000002.png", "000004.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in seen)


def test_in_a_notebook_a_grid_takes_the_place_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    handle = types.SimpleNamespace(update=lambda picture: shown.append(f"again {picture.alt}"))

    def display(picture: object, display_id: bool) -> object:
        assert display_id
        shown.append(getattr(picture, "alt", ""))
        return handle

    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", display)
    show = runtime._live()
    assert show is not None
    for step in (500, 1000):
        (tmp_path / f"{step:06d}.png").write_bytes(b"\x89PNG")
        show(tmp_path / f"{step:06d}.png")
    assert shown == ["Samples after 500 steps.", "again Samples after 1,000 steps."]


def test_without_the_full_set_the_subset_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(split: str, folder: Path) -> data.Images:
        raise ConnectionError("Fashion-MNIST could not be fetched.")

    monkeypatch.setattr(data, "_full", unreachable)
    runtime.train("classifier", "smoke", tmp_path)
    assert "Using the bundled subset instead." in capsys.readouterr().out


def test_on_colab_without_drive_the_folders_end_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    runtime.train("vae", "smoke", tmp_path, full=False)
    assert "drive.mount('/content/drive')" in capsys.readouterr().out


def test_an_unknown_preset_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no preset 'gan-short'; there are vae-smoke"):
        runtime.train("gan", out=tmp_path)


LABS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def cells(lab: Path) -> list[str]:
    """The sources of the code cells."""
    notebook = json.loads(lab.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("lab", LABS, ids=lambda path: path.stem)
def test_the_labs_of_the_models_offer_to_train_them(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One flag away: the cell does nothing as it is, and with `TRAIN = True` it runs to its end."""
    sources = cells(lab)
    offers = [source for source in sources if source.startswith("TRAIN = False\nif TRAIN:\n")]
    assert len(offers) == (lab.stem in ("02_vae", "04_reverse", "05_comparison"))
    shown: list[str] = []
    monkeypatch.setattr(
        runtime, "train", functools.partial(runtime.train, preset="smoke", out=tmp_path, full=False)
    )
    for offer in offers:
        names: dict[str, Any] = {"runtime": runtime, "torch": torch, "ddim": ddim, "dims": 784}
        names["figures"] = types.SimpleNamespace(
            image_grid=figures.image_grid, show=lambda figure, key, alt: shown.append(key)
        )
        names |= {"vae": zoo.load("vae-fashion"), "model": zoo.load("ddpm-fashion")}
        names |= {"x": data.to_unit(data.load("fashion-mnist", "test").x[:4]), "rng": torch.Generator()}
        exec(offer, dict(names))
        assert shown == []
        exec(offer.replace("TRAIN = False", "TRAIN = True"), names)
        assert shown == ["own"]
        trained = capsys.readouterr().out.count("4 steps of 4 images on cpu")
        assert trained == offer.count("runtime.train(") > 0
