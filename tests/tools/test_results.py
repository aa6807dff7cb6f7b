"""What the chapter says of the results files, and the files themselves."""

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


def test_a_spread_is_the_mean_and_the_sample_standard_deviation():
    spread = Spread((3.0, 3.2))
    assert spread.mean == pytest.approx(3.1)
    assert spread.std == pytest.approx(0.2 / math.sqrt(2))
    assert f"{spread:.2f}" == "3.10 ± 0.14"
    assert f"{Spread((3.0,)):.1f}" == "3.0"
    with pytest.raises(ValueError, match="no run matches"):
        Spread(())


# The report card, and what ships


def _found():
    """A comparison in miniature: two rulers, two kinds of fault, two models that ship."""
    about = {"label": "", "best": "low", "most": None, "about": ""}
    made = {"rulers": {"rulers": {"a": about, "b": about | {"most": 1.0}}, "kinds": ["blur", "copy"]}}
    for seed, (a, b) in enumerate([(1.0, 0.0), (1.2, 0.01), (0.8, -0.01)]):
        made[f"floor-{seed}"] = {"a": a, "b": b}
    made["fault-blur-0"] = {"fault": "mild", "kind": "blur", "a": 5.0, "b": 0.97}
    made["fault-blur-1"] = {"fault": "strong", "kind": "blur", "a": 4.0, "b": 0.95}
    made["fault-copy-0"] = {"fault": "copy", "kind": "copy", "a": 12.3, "b": -0.02}
    row = {"sampler": "N(0, I), mean", "calls": 1, "chosen": "", "seconds": 0.004, "a": 2.5, "b": 0.5}
    made["ships-v-1"] = {"name": "v", "model": "vae", "samplers": [row | {"b_error": 0.034}]}
    for calls in (16, 2):
        more = {"sampler": "best of four", "calls": calls, "chosen": "DDIM, even"}
        made[f"ships-d-{calls}"] = {"name": "d", "model": "simple", "samplers": [row | more]}
    return made | {"ships-d-bits": {"name": "d", "bits": {}}}


def _latent():
    """The latent prior's experiment in miniature: a start, a chain of two trainings, a row of no cost."""
    costs = [("chain", 2, 3.0, 75e6), ("N(0, I)", 0, 2.0, 73e6), ("image diffusion", 2, 9.0, 234e6)]
    keys = ("sampler", "calls", "ms", "multiply_adds")
    runs = [{"kind": "clock", "rows": [dict(zip(keys, row, strict=True)) for row in costs]}]
    for sampler, calls, end, a, told in [
        ("N(0, I)", 0, "mean", 20.0, 0.85),
        ("chain", 2, "mean", 12.0, 0.625),
        ("chain", 2, "mean", 9.0, 0.61),
        ("chain", 2, "draw", 1.0, 0.1),
        ("chain", 7, "mean", 1.0, 0.1),
    ]:
        said = {"sampler": sampler, "calls": calls, "end": end, "a": a, "told": told, "told_error": 0.011}
        runs.append({"kind": "samples", **said})
    return runs


def test_the_ways_to_draw_an_image_stand_with_what_they_cost_and_what_the_rulers_say():
    found = _found()
    for calls in (2, 16):
        found[f"ships-d-{calls}"]["name"] = "ddpm-fashion-long"
    found["ships-e-2"] = found["ships-d-2"] | {"name": "another"}
    found["rulers"]["rulers"] = {"a": {}, "told": {}}
    for run in found.values():
        for row in run.get("samplers", ()):
            row |= {"told": 0.3, "told_error": 0.02}
    chain, start, image = report.ways(_latent(), found)  # in the order of the clock
    assert (chain["way"], chain["calls"], chain["values"]["a"]) == ("VAE, chain", 2, [12.0, 9.0])
    assert (start["ms"], start["multiply_adds"]) == (2.0, 73e6)
    assert (image["way"], image["values"]["told"]) == ("image diffusion", [0.3])
    assert report.ways_table(_latent(), found) == [
        {"way": way, "calls": calls, "adds": adds, "ms": ms, "a": a, "told": told}
        for way, calls, adds, ms, a, told in [
            ("VAE, chain", "2", "75", "3.0", "9.00–12", "0.61–0.62"),
            ("VAE, N(0, I)", "–", "73", "2.0", "20", "0.85 ± 0.02"),
            ("image diffusion", "2", "234", "9.0", "2.50", "0.30 ± 0.02"),
        ]
    ]


def test_the_card_has_the_floor_and_each_fault_with_whether_its_kind_is_seen():
    assert report.card(_found()) == [
        {"fault": "none: real images", "a": "1.00 ± 0.20", "b": "0.000 ± 0.010"},
        {"fault": "mild", "a": "5.00 ✓", "b": "0.97 ✓"},
        {"fault": "strong", "a": "4.00 ✓", "b": "0.95 ✓"},
        {"fault": "copy", "a": "12 ✓", "b": "−0.02 ✗"},
    ]
    kinds = [(ruler, report.seen(_found(), ruler, "blur")) for ruler in "ab"]
    assert kinds == [("a", False), ("b", True)]  # to b both are as bad as can be, to a out of order


def test_samples_of_what_ships_are_read_few_calls_first():
    assert [(row["name"], row["calls"]) for row in report.shipped(_found())] == [
        ("v", 1),
        ("d", 2),
        ("d", 16),
    ]
    first, second, _ = report.shipped_table(_found())
    assert first == {"what": "VAE, N(0, I), mean", "calls": "1", "ms": "4.0", "a": "2.50", "b": "0.50 ± 0.04"}
    assert second["what"] == "diffusion, DDIM, even"


def test_the_rulers_that_judge_have_seen_how_images_are_drawn_and_the_class_distance_has_not():
    """The measured card: what the chapter's verdicts rest on."""
    found = report.comparison()
    drawing = ("blur", "noise", "grey", "mirrored")
    for ruler in ("told", "pyramid"):
        assert all(report.seen(found, ruler, kind) for kind in drawing)
    assert not any(report.seen(found, "labels", kind) for kind in drawing)
    told = Spread(tuple(report.floors(found, "told")))
    assert len(told.values) == 8
    assert abs(told.mean) < 3 * told.std
    faint = [found[f"fault-{kind}-0"]["told"] for kind in ("blur", "noise", "grey")]
    assert min(faint) > 0.5
    assert [ruler for ruler in found["rulers"]["rulers"] if report.seen(found, ruler, "copy")] == ["nearer"]


def test_a_difference_of_two_models_is_paired_over_images():
    rnd = random.Random(3)
    dear = [rnd.gauss(3, 1) for _ in range(400)]
    first, second = ([d + shift + rnd.gauss(0, 0.1) for d in dear] for shift in (0.03, 0.0))
    gap = report.over_images(first, second)
    gaps = [a - b for a, b in zip(first, second, strict=True)]
    spread = Spread(tuple(gaps))
    assert gap.mean == pytest.approx(spread.mean)
    assert gap.high - gap.mean == pytest.approx(1.959964 * spread.std / 20)
    assert gap.decided
    assert report.over_images(first, second, comparisons=20).low < gap.low
    with pytest.raises(ValueError, match="two images or more"):
        report.over_images([1.0], [2.0])
    with pytest.raises(ValueError, match="zip"):
        report.over_images([1.0, 2.0], [2.0])


def test_intervals_hold_together_as_often_as_they_promise():
    """Eight differences without a difference: all intervals hold zero in about 95 of 100 experiments."""
    rnd, missed = random.Random(4), 0
    for _ in range(2000):
        missed += any(report.apart(rnd.gauss(0, 2.0), 2.0, comparisons=8).decided for _ in range(8))
    assert 60 < missed < 145


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


def test_trainings_of_one_size_had_the_same_arithmetic_data_and_test_images():
    found = report.comparison()
    kinds = ("vae", "hvae4", "simple", "bound")
    runs = [run for kind in kinds for run in report.trainings(found, kind, "0.5M")]
    spent = [3 * run["multiply_adds"] * run["images"] for run in runs]
    assert max(spent) <= 1.005 * min(spent)
    assert max(run["parameters"] for run in runs) <= 1.15 * min(run["parameters"] for run in runs)
    assert len({len(run["bits"]["bound"]["each"]) for run in runs}) == 1
    assert len({run["recipe"]["batch"] for run in runs}) == 1
    for kind in {run["model"] for run in runs}:
        tried = [run for job, run in found.items() if job.startswith(f"rate-{kind}-0.5M-")]
        best = min(tried, key=lambda run: run["validation"])["lr"]
        assert {run["lr"] for run in report.trainings(found, kind, "0.5M")} == {best}


def _races():
    """Two seeds of two kinds of model in miniature, one of them with bits by many codes."""
    found = {"rulers": {"rulers": {"told": {}}}, "rate-vae-1M-0.1": {"model": "vae", "size": "1M", "lr": 0.1}}
    for seed in (0, 1):
        about = {"size": "1M", "seed": seed, "parameters": 1000, "images": 2000, "lr": 0.1}
        bound = {"mean": 3.0 + seed / 10, "each": [2.0, 4.0 + seed / 5]}
        row = {"sampler": "draw", "calls": 1, "told": 0.75 + seed / 10}
        bits = {"bound": bound, "weighted": {"mean": 1.5, "each": [1.5]}}
        latent = {"model": "vae", "label": "VAE", "depth": 1, "bits": bits, "samplers": [row]}
        chain = {"model": "simple", "label": "diffusion, L_simple", "depth": None, "bits": {"bound": bound}}
        found[f"simple-1M-{seed}"] = about | chain | {"samplers": [row | {"calls": 4}, row | {"calls": 2}]}
        found[f"vae-1M-{seed}"] = about | latent
    return found | {"vae-10M-0": found["vae-1M-0"] | {"size": "10M"}}


def test_trainings_are_read_by_kind_and_size():
    runs = report.trainings(_races(), "vae", "1M")
    assert [run["seed"] for run in runs] == [0, 1]
    assert report.bits(runs) == [[2.0, 4.0], [2.0, 4.2]]
    assert report.bits(runs, "weighted") == [[1.5], [1.5]]
    chains = report.trainings(_races(), "simple", "1M")
    assert report.bits(chains, "weighted") == report.bits(chains)
    assert report.judged(chains, "told", "draw", 4) == [[0.75], [0.85]]
    with pytest.raises(ValueError, match="no samples by 'draw' with 8 calls"):
        report.judged(chains, "told", "draw", 8)


def test_the_tables_of_the_trainings():
    about = {"parameters": "1,000", "images": "2,000", "rate": "0.1", "seeds": "2", "bound": "3.05 ± 0.07"}
    assert report.trained_table(_races(), "1M") == [
        {"model": "VAE", **about, "gap": "0.50 ± 0.00"},
        {"model": "diffusion, simple loss", **about, "gap": "–"},
    ]
    assert report.drawn_table(_races(), "1M") == [
        {"what": "VAE, draw", "calls": "1", "told": "0.75–0.85"},
        {"what": "diffusion, simple loss, draw", "calls": "2", "told": "0.75–0.85"},
        {"what": "diffusion, simple loss, draw", "calls": "4", "told": "0.75–0.85"},
    ]


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
    assert report.stored()["sweep"] == json.loads((RESULTS / "sweep.json").read_text())
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no sweep\.json in .*: install lowerbound anew"):
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
