"""What the chapter says of the results files, and the files themselves."""

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lowerbound import results as report
from lowerbound import zoo
from lowerbound.results import Spread
from oracles import generator

from tools.experiments import number_of_steps
from tools.experiments.__main__ import EXPERIMENTS, main
from tools.experiments.number_of_steps import bound_loss, even_chain
from tools.experiments.presets import PRESETS
from tools.experiments.reverse_step import ReverseStep
from tools.experiments.run_dir import RunDir
from tools.jobs import fingerprint, write

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"


def run(model, size, seed, bits, distances, each=(1.0, 2.0)):
    rows = [{"sampler": "DDIM", "calls": n, "frechet": d} for n, d in distances.items()]
    bound = {"bits_per_dim": bits, "each": list(each)}
    return {"model": model, "size": size, "seed": seed, "bound": bound, "samplers": rows}


RUNS = [
    run("vae", "s", 0, 3.0, {1: 20.0}, (3.0, 5.0)),
    run("vae", "s", 1, 3.2, {1: 22.0}, (3.2, 5.4)),
    run("bound", "s", 0, 2.9, {1: 90.0, 20: 5.0}, (2.0, 3.0)),
    run("bound", "s", 1, 3.1, {1: 95.0, 20: 6.0}, (2.4, 3.2)),
    run("bound", "l", 0, 2.0, {1: 99.0, 20: 1.0}),
]


def test_a_spread_is_the_mean_and_the_standard_deviation_over_the_seeds_that_match():
    spread = report.over_seeds(RUNS, "bound.bits_per_dim", model="vae", size="s")
    assert spread.values == (3.0, 3.2)
    assert spread.mean == pytest.approx(3.1)
    assert spread.std == pytest.approx(0.2 / math.sqrt(2))
    assert f"{spread:.2f}" == "3.10 ± 0.14"
    assert f"{Spread((3.0,)):.1f}" == "3.0"
    assert report.over_seeds(RUNS, "samplers.DDIM 20.frechet", model="bound", size="s").values == (5.0, 6.0)
    with pytest.raises(ValueError, match="no run matches"):
        report.over_seeds(RUNS, "bound.bits_per_dim", model="gan")


def test_a_race_is_won_only_if_every_seed_says_so():
    assert report.lower({"a": Spread((1.0, 2.0)), "b": Spread((2.1, 9.0))}) == "a"
    assert report.lower({"a": Spread((1.0, 2.2)), "b": Spread((2.1, 9.0))}) is None
    assert report.lower({"a": Spread((3.0,)), "b": Spread((1.0, 2.0)), "c": Spread((4.0,))}) == "b"


def test_bounds_are_paired_image_by_image():
    mean, error = report.paired(RUNS, {"model": "vae", "size": "s"}, {"model": "bound", "size": "s"})
    assert mean == pytest.approx((0.9 + 2.1) / 2)  # (3.1 − 2.2, 5.2 − 3.1)
    assert error == pytest.approx(1.2 / math.sqrt(2) / math.sqrt(2))
    with pytest.raises(ValueError, match="no runs"):
        report.paired(RUNS, {"model": "gan"}, {"model": "vae"})
    with pytest.raises(ValueError, match="compare the same"):
        report.paired([*RUNS, run("x", "s", 0, 1.0, {}, (1.0,))], {"model": "vae"}, {"model": "x"})


def test_calls_and_crossings():
    assert report.calls_of(RUNS[2], "DDIM") == [1, 20]
    assert report.first_below([1, 2, 5], [9.0, 3.0, 1.0], 4.0) == 2
    assert report.first_below([1, 2, 5], [9.0, 8.0, 7.0], 4.0) is None


# The sweep's network


@pytest.mark.parametrize("T", [1, 2, 7])
def test_the_learned_variance_starts_where_it_is_best_for_a_network_that_says_nothing(T):
    model = number_of_steps.build(T, 6.0, 8)
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


@pytest.mark.parametrize("T", [1, 2, 6])
def test_the_sweeps_loss_is_the_bound_whatever_share_has_t_equal_to_one(T):
    torch.manual_seed(0)
    model = number_of_steps.build(T, 4.0, 8)
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


# The files


@pytest.mark.parametrize("name", report.STORED)
def test_a_results_file_says_how_it_was_made(name):
    how = json.loads((RESULTS / f"{name}.json").read_text())["how"]
    (experiment,) = (key for key, each in EXPERIMENTS.items() if each.file == name)
    command = rf"python -m (lowerbound\.experiments {name}|tools\.experiments {experiment}) --preset (\w+)"
    preset = re.fullmatch(command, how["command"])[2]
    assert how["setting"]
    assert preset in PRESETS
    for commit in how["commit"]:
        assert len(commit) == 40, "made from a changed working tree; commit, then measure"
    if "classifier" in how:
        assert zoo.card("classifier-fashion")["weights"]["sha256"].startswith(how["classifier"])


def test_the_races_were_fair():
    content = json.loads((RESULTS / "races.json").read_text())
    budget = content["how"]["setting"]["budget"]
    for each in content["runs"]:
        assert 3 * each["multiply_adds"] * each["images"] == pytest.approx(budget, rel=0.005)
    sizes = {each["size"] for each in content["runs"]}
    assert len(sizes) >= 2
    for size in sizes:
        alike = [each for each in content["runs"] if each["size"] == size]
        assert max(e["parameters"] for e in alike) <= 1.02 * min(e["parameters"] for e in alike)
        seeds = {
            kind: {e["seed"] for e in alike if e["model"] == kind} for kind in ("vae", "simple", "bound")
        }
        assert len(set(map(frozenset, seeds.values()))) == 1
        assert len({len(e["bound"]["each"]) for e in alike}) == 1


def test_the_sweep_knows_its_own_best():
    levels = json.loads((RESULTS / "sweep.json").read_text())["levels"]
    for name in ("fixed", "best"):
        for T, even in zip(levels["T"], levels[f"even_{name}"], strict=True):
            if len(levels[f"ladder_{name}"]) >= T:  # chosen on training images, judged on test images
                assert levels[f"ladder_{name}"][T - 1] < even + 0.02
    for kind in ("even", "cosine", "ladder"):
        pairs = zip(levels[f"{kind}_best"], levels[f"{kind}_fixed"], strict=True)
        assert all(best < fixed + 1e-3 for best, fixed in pairs)


# The command line


def test_an_unknown_experiment_is_told_in_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["race"])
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "unknown experiment 'race'; there is equal_budget, pretrained" in said


def test_an_experiment_is_put_together_from_jobs_that_are_done(tmp_path, capsys):
    out, runs = tmp_path / "results", tmp_path / "runs"
    arguments = ["reverse_step", "--preset", "smoke", "--out", str(out), "--runs", str(runs)]
    made_with = {"commit": "c", "torch": "t", "hardware": "h", "threads": "1", "seconds": 2, "cpu_seconds": 1}
    ((job,),) = EXPERIMENTS["reverse_step"].stages(ReverseStep(), RunDir(runs / "smoke"))
    content = {"theory_slope": 3, "how": made_with}
    write(job.path, {"key": fingerprint(job.key), "seconds": 2, "result": content})
    main(arguments)
    found = json.loads((out / "reverse_step.json").read_text())
    assert found["runs"] == [{"theory_slope": 3}]
    assert found["how"]["command"] == "python -m tools.experiments reverse_step --preset smoke"
    assert found["how"]["setting"]["betas"]
    assert (found["how"]["seconds"], found["how"]["commit"]) == (2, ["c"])
    assert "classifier" not in found["how"]
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["1 of 1 done", f"wrote {out / 'reverse_step.json'}"]


def test_presets_hold_the_sizes_that_the_chapter_names():
    for name in ("cpu", "gpu"):
        assert [size.name for size in PRESETS[name].equal_budget.sizes] == ["0.5M", "1.4M"]


def test_the_stored_results_are_those_of_the_checkout(tmp_path, monkeypatch):
    assert set(report.stored()) == set(report.STORED)
    assert report.stored()["races"] == json.loads((RESULTS / "races.json").read_text())
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no races\.json in .*: install lowerbound anew"):
        report.stored()


def test_installed_results_lie_beside_the_module(tmp_path):
    """As in a wheel, whose package lowerbound.stored is the folder results/."""
    package = tmp_path / "lowerbound"
    (package / "stored").mkdir(parents=True)
    shutil.copy(report.__file__, package)
    for name in report.STORED:
        (package / "stored" / f"{name}.json").write_text(f'{{"of": "{name}"}}')
    code = "import results; print(*(content['of'] for content in results.stored().values()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=package, capture_output=True, text=True)
    assert done.stdout.split() == list(report.STORED), done.stderr


def test_what_is_installed_holds_every_folder_of_the_library_and_the_stored_results():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.setuptools]")[2]
    listed = set(re.findall(r'"(lowerbound[\w.]*)"', text.partition("packages")[2].partition("]")[0]))
    folders = {path.parent for path in (ROOT / "lib/lowerbound").rglob("*.py")}
    names = {".".join(folder.relative_to(ROOT / "lib").parts) for folder in folders}
    assert listed == names | {"lowerbound.stored"}
    files = set(re.findall(r'"(\w+)\.json"', text))
    assert files == set(report.STORED)
    assert all((RESULTS / f"{name}.json").is_file() for name in files)
