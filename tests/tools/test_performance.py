"""The measured performance: what the page reads is there, and the floors that it is to keep.

Nothing is timed here. The floors are held against results/performance.json as `make bench` wrote it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lowerbound import data
from lowerbound.diffusion import Diffusion
from lowerbound.nets import UNet
from lowerbound.samplers import ddim
from lowerbound.schedule import cosine, linear

from tools.bench import peers, quality, speed, training
from tools.bench.__main__ import PARTS
from tools.bench.quality import FromIndex
from tools.bench.settings import QUICK, Settings, record

ROOT = Path(__file__).parents[2]
FIGURES: dict[str, Any] = json.loads((ROOT / "results" / "performance.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "book" / "performance.md").read_text(encoding="utf-8")
METRICS = ("bits_per_dim", "frechet_ddim_20", "frechet_dpm_20")
DIFFUSION = ("diffusers", "denoising_diffusion_pytorch", "smalldiffusion")


def at(path: str) -> Any:
    value = FIGURES
    for part in path.split("."):
        value = value[part]
    return value


# The results file


@pytest.mark.parametrize("path", sorted(set(re.findall(r"performance\.json:([\w.]+)", PAGE))))
def test_the_page_finds_what_it_reads(path: str) -> None:
    assert isinstance(at(path), int | float | str)


def test_every_number_of_the_page_is_read() -> None:
    """Beside the roles there are names, sizes of the task, settings of samplers and what is exact."""
    prose = re.sub(r"{\w+}`[^`]*`|```.*?```|`[^`]*`|\$[^$]*\$", "", PAGE, flags=re.S)
    allowed = {"28", "14", "7", "2", "1", "0", "20", "32", "16", "256", "60,000"}
    assert set(re.findall(r"\d[\d,.]*\d|\d", prose)) <= allowed


@pytest.mark.parametrize("part", PARTS)
def test_every_part_was_measured_in_full(part: str) -> None:
    about = at(f"how.parts.{part}")
    assert about["quick"] is False, f"replace the provisional numbers: make bench PART={part}"
    assert re.fullmatch(r"[0-9a-f]{40}", about["commit"])


# The floors


@pytest.mark.parametrize("peer", DIFFUSION)
def test_training_as_shipped_is_four_times_as_fast(peer: str) -> None:
    rates = at("speed.training.shipped")
    assert rates["lowerbound"]["ratio"] >= 4 * rates[peer]["ratio"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("peer", DIFFUSION)
def test_training_in_equal_precision_is_two_and_a_half_times_as_fast(peer: str, precision: str) -> None:
    rates = at(f"speed.training.{precision}")
    assert rates["lowerbound"]["ratio"] >= 2.5 * rates[peer]["ratio"]


def test_sampling_is_four_times_as_fast() -> None:
    assert at("speed.sampling.bfloat16_against_shipped.ratio") >= 4


@pytest.mark.parametrize("kind", ["peak_ratio", "increment_ratio"])
def test_training_takes_at_most_two_thirds_of_the_memory(kind: str) -> None:
    assert at(f"memory.models.lowerbound.{kind}") <= 2 / 3


def test_the_import_takes_less_than_two_seconds() -> None:
    assert at("imports.beyond_torch.lowerbound") < 2


@pytest.mark.parametrize("metric", METRICS)
def test_quality_is_better_for_equal_time(metric: str) -> None:
    models = at("quality.models")
    assert all(
        models["lowerbound"][metric] < row[metric] for name, row in models.items() if name != "lowerbound"
    )


def test_the_vae_has_the_better_bound_for_equal_time() -> None:
    models = at("vae.models")
    theirs = [row["bits_per_dim"] for name, row in models.items() if name != "lowerbound"]
    assert models["lowerbound"]["bits_per_dim"] < min(theirs)


# The code that measures


def test_our_own_steps_are_timed_and_our_own_samples_drawn() -> None:
    torch.manual_seed(0)
    peer = peers.LowerBound(batch=2)
    before = next(peer.net.parameters()).clone()
    assert peer.train(data.load("fashion-mnist", "train").x[:8], 1) > 0
    assert not torch.equal(before, next(peer.net.parameters()))
    assert peer.sample(2, 2).shape == (2, 1, 28, 28)
    assert peer.predict(torch.zeros(2, 1, 28, 28), torch.tensor([0, 999])).shape == (2, 1, 28, 28)


def test_ratios_are_taken_within_a_round() -> None:
    """Where one round was slow for all, the ratio must not feel it."""
    out = speed.against({"a": [1.0, 10.0, 2.0], "b": [3.0, 30.0, 8.0]}, "a")
    assert out["b"] == {"images_per_second": 8.0, "ratio": 3.0, "low": 3.0, "high": 4.0}


def test_turns_are_interleaved() -> None:
    order: list[str] = []
    turns = {name: (lambda name=name: order.append(name) or 1.0) for name in "AB"}
    assert speed.rounds(turns, 2) == {"A": [1.0, 1.0], "B": [1.0, 1.0]}
    assert order == ["A", "B", "A", "B"]


@pytest.mark.parametrize("steps", [1000, 20])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_noise_level_is_traced_back_to_its_index(steps: int, dtype: torch.dtype) -> None:
    whole = linear(1000)
    levels = whole.respace(steps).log_snr[1:].to(dtype)
    expected = torch.linspace(0, 1000, steps + 1, dtype=torch.float64).round().long()[1:] - 1
    assert torch.equal(FromIndex(torch.nn.Identity(), whole).index(levels), expected)


def test_a_model_of_the_part_on_quality_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    few = data.Images(data.load("fashion-mnist", "test").x[:60], torch.zeros(60))
    monkeypatch.setattr(quality.data, "load", lambda *_, **__: few)
    monkeypatch.setattr(quality.metrics, "distances", lambda classifier, real, fake: {"frechet": len(fake)})
    monkeypatch.setattr(quality, "SAMPLERS", {"ddim_2": (ddim, 2)})
    found = quality.measured(Diffusion(UNet(width=8), cosine(4)).eval(), QUICK, 0)
    assert set(found) == {"bits_per_dim", "standard_error", "frechet_ddim_2", "milliseconds_ddim_2"}
    assert all(value > 0 for value in found.values())
    assert found["frechet_ddim_2"] == QUICK.drawn


def test_the_learning_rate_follows_the_time_spent() -> None:
    assert 0 < training.lr_factor(0) < 0.01
    assert training.lr_factor(0.02) == pytest.approx(1, abs=0.01)
    assert training.lr_factor(0.5) == pytest.approx(0.5)
    assert training.lr_factor(1.0) == training.lr_factor(1.2) == pytest.approx(0, abs=1e-9)


def test_training_for_a_time_ends_with_averaged_weights() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(784, 1)
    average, seen = model.weight.detach().clone(), []

    def loss(model: Any, batch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        seen.append(model.weight.detach().clone())
        return (model(batch.flatten(1)) - 1).square().mean()

    x = torch.randint(256, (64, 1, 28, 28), dtype=torch.uint8)
    out = training.train(model, x, loss, training.Plan(seconds=0.2, batch=8))
    assert out["steps"] == len(seen)
    assert not model.training
    for step, weight in enumerate([*seen[1:], seen[-1]]):  # at the last step the rate is next to nothing
        average.lerp_(weight, 1 - min(0.999, (1 + step) / (10 + step)))
    lag = (average - seen[-1]).abs().max()
    assert (model.weight - average).abs().max() < 0.1 * lag


def test_a_part_is_recorded_beside_the_others(tmp_path: Path) -> None:
    path = tmp_path / "performance.json"
    versions = dict.fromkeys(("diffusers", "denoising_diffusion_pytorch", "smalldiffusion", "pythae"), "1.0")
    record(path, "speed", {"ratio": 4.123456789}, 1.0, False, 2, versions)
    record(path, "vae", {"bits": 3.0}, 1.0, True, 1, versions)
    kept = json.loads(path.read_text())
    assert kept["speed"] == {"ratio": 4.1235}
    assert [kept["how"]["parts"][part]["quick"] for part in ("speed", "vae")] == [False, True]
    assert not path.with_suffix(".partial").exists()


def test_the_quick_settings_are_smaller() -> None:
    assert all(getattr(QUICK, key) <= getattr(Settings(), key) for key in Settings.__dataclass_fields__)


def test_the_command_line_names_its_parts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench", "nonsense"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no part nonsense; there are speed" in done.stderr


def test_the_schedule_of_the_page_is_that_of_the_preset() -> None:
    peer = peers.LowerBound()
    assert torch.equal(peer.model.schedule.alpha_bar, cosine(1000).alpha_bar)
