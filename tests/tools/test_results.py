"""What the chapter says of the results files, and the files themselves."""

import functools
import json
import math
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lowerbound import results as report
from lowerbound import zoo
from lowerbound.results import Spread

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


# The files


@pytest.mark.parametrize("name", report.STORED)
def test_a_results_file_says_how_it_was_made(name):
    how = json.loads((RESULTS / f"{name}.json").read_text())["how"]
    assert re.fullmatch(r"python -m (lowerbound|tools)\.experiments \w+ --preset \w+", how["command"])
    assert how["setting"]
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


# The comparison


def test_what_is_measured_so_far_is_read_by_job_and_says_how_it_was_made():
    found = report.comparison()
    assert {f"floor-{seed}" for seed in range(8)} <= set(found)
    for name, result in found.items():
        assert len(result["how"]["commit"]) == 40, f"{name}: made from a changed working tree"


def _kinds(rnd, spreads, seeds=3, images=30):
    """Two kinds of model without a difference: seeds of each, on the same images."""
    shared = [rnd.gauss(3, 0.3) for _ in range(images)]
    found = []
    for spread in spreads:
        own = [rnd.gauss(0, 0.05) for _ in range(images)]
        shifts = [rnd.gauss(0, spread) for _ in range(seeds)]
        found.append(
            [[i + o + s + rnd.gauss(0, 0.05) for i, o in zip(shared, own, strict=True)] for s in shifts]
        )
    return found


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spreads", [(0.02, 0.005), (0.02, 0.02), (0.02, 0.08)])
def test_where_there_is_no_difference_one_is_declared_at_most_five_times_in_a_hundred(
    seeds, spreads, monkeypatch
):
    monkeypatch.setattr(report, "student_quantile", functools.cache(report.student_quantile))
    rnd = random.Random(0)
    decided = [report.difference(*_kinds(rnd, spreads, seeds)) for _ in range(1000)]
    assert sum(interval.decided for interval in decided) <= 50 + 2 * math.sqrt(1000 * 0.05 * 0.95)
    first = sum(interval.low > 0 for interval in decided)
    second = sum(interval.high < 0 for interval in decided)
    assert abs(first - second) <= 4 * math.sqrt(first + second + 1)  # neither kind is favoured


def test_a_bootstrap_over_three_seeds_would_promise_too_much():
    rnd, wrong, trials = random.Random(1), 0, 300
    for _ in range(trials):
        kinds = _kinds(rnd, (0.02, 0.08), images=12)
        means = []
        for _ in range(200):
            rows = [rnd.randrange(12) for _ in range(12)]
            a, b = ([sum(seed[i] for i in rows) / 12 for seed in rnd.choices(kind, k=3)] for kind in kinds)
            means.append((sum(a) - sum(b)) / 3)
        means.sort()
        wrong += means[5] > 0 or means[-6] < 0
    assert wrong / trials > 0.075


def test_a_difference_that_is_there_is_found_and_more_comparisons_ask_for_more():
    rnd = random.Random(2)
    first, second = _kinds(rnd, (0.01, 0.01), images=200)
    higher = [[v + 0.2 for v in seed] for seed in first]
    alone, among = (report.difference(higher, second, comparisons=m) for m in (1, 20))
    assert alone.decided
    assert 0.1 < alone.low < alone.mean < alone.high < 0.3
    assert among.high - among.low > 2 * (alone.high - alone.low)
    assert f"{report.Interval(0.25, -0.125, 0.625, 0.95, 1):.2f}" == "0.25 [−0.12, 0.62]"


def test_one_seed_is_no_verdict_and_other_images_are_refused():
    with pytest.raises(ValueError, match="one seed of a kind is no verdict"):
        report.difference([[1.0]], [[1.0], [2.0]])
    with pytest.raises(ValueError, match="on the same images"):
        report.difference([[1.0], [2.0]], [[1.0, 2.0], [2.0, 1.0]])


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.995, 4, 4.6041), (0.975, 30, 2.0423), (0.9, 7, 1.4149)],
)
def test_students_quantile_is_the_tables(probability, freedom, expected):
    assert report.student_quantile(probability, freedom) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("bad", [(0.4, 3), (1.0, 3), (0.9, 0)])
def test_no_quantile_of_what_is_none(bad):
    with pytest.raises(ValueError, match="need a probability"):
        report.student_quantile(*bad)


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
