"""Two processes under the real torchrun follow one: the same losses, the same weights, one checkpoint."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import ranks
import torch
from lowerbound import checkpoint, train, zoo
from lowerbound.noise import normal
from lowerbound.parallel import ALONE, Processes

SMALL = ["--width", "8", "--T", "8", "--steps", "10", "--batch", "8", "--every", "4", "--grid", "5"]
COMMAND = ["ddpm-classes-smoke", "--subset", "--threads", "1", "--device", "cpu", "--quiet", *SMALL]


def _torchrun(*arguments):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run([*launch, *map(str, arguments)], capture_output=True, text=True, timeout=200)


def _losses(folder):
    with (folder / "ddpm-classes-smoke.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def _weights(folder):
    model = zoo.load("ddpm-classes-smoke", folder)
    return torch.nn.utils.parameters_to_vector(model.parameters())


def _assert_follows(folder, straight):
    assert len(_losses(folder)) == 10
    assert _losses(folder) == pytest.approx(_losses(straight), rel=1e-5)
    torch.testing.assert_close(_weights(folder), _weights(straight), rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    train.main([*COMMAND, "--out", str(folder)])
    return folder


def test_the_command_line_on_two_processes_follows_one(tmp_path, straight):
    done = _torchrun("-m", "lowerbound.train", *COMMAND, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    _assert_follows(tmp_path, straight)
    assert done.stdout.count("bits_per_dim") == 1
    assert "arning" not in done.stderr.replace("OMP_NUM_THREADS", "")
    cards = [zoo.card("ddpm-classes-smoke", folder) for folder in (tmp_path, straight)]
    assert [card["processes"] for card in cards] == [2, 1]
    names = [sorted(str(p.relative_to(f)) for p in f.rglob("*")) for f in (tmp_path, straight)]
    assert names[0] == names[1]


def test_two_processes_of_which_one_is_killed_are_continued_by_one(tmp_path, straight):
    done = _torchrun(Path(ranks.__file__), "killed", 7, *COMMAND, "--out", tmp_path)
    assert done.returncode != 0
    assert len(checkpoint.read(tmp_path / "ddpm-classes-smoke.checkpoint")["losses"]) == 4
    train.main([*COMMAND, "--out", str(tmp_path), "--resume"])
    _assert_follows(tmp_path, straight)


def test_one_process_that_stops_is_continued_by_two(tmp_path, straight, monkeypatch):
    fits = train.fit

    def fit_and_stop(model, x, recipe, y, loss, **options):
        steps = iter(range(7))
        return fits(model, x, recipe, y, lambda *a: (next(steps), loss(*a))[1], **options)

    monkeypatch.setattr(train, "fit", fit_and_stop)
    with pytest.raises(StopIteration):
        train.main([*COMMAND, "--out", str(tmp_path)])
    assert len(checkpoint.read(tmp_path / "ddpm-classes-smoke.checkpoint")["losses"]) == 4
    done = _torchrun("-m", "lowerbound.train", *COMMAND, "--out", tmp_path, "--resume")
    assert done.returncode == 0, done.stderr
    _assert_follows(tmp_path, straight)


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    done = _torchrun(Path(ranks.__file__), "fits", folder)
    assert done.returncode == 0, done.stderr
    came = [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
    return came, checkpoint.read(folder / "stopped.checkpoint")


@pytest.mark.parametrize("kind", ranks.KINDS)
def test_every_loss_follows_one_process_and_both_processes_agree_to_the_bit(fits, kind):
    (first, second), _ = fits
    assert first[kind] == second[kind]
    losses, weights = ranks.fitted(kind)
    tolerance = 1e-3 if kind == "float16" else 1e-5
    assert first[kind][0] == pytest.approx(losses, rel=tolerance)
    assert first[kind][1] == pytest.approx(weights, rel=100 * tolerance, abs=tolerance)


def test_ctrl_c_that_reaches_one_process_stops_both_at_the_same_step_and_saves_it(fits):
    (first, second), saved = fits
    assert first["stopped"] == second["stopped"] == ranks.STOPPED_AT
    assert len(saved["losses"]) == ranks.STOPPED_AT


def test_the_parts_of_a_batch_and_of_its_noise_make_up_the_whole():
    rows, like = torch.arange(12), torch.zeros(1)
    three = [Processes(rank, 3) for rank in range(3)]
    assert torch.equal(torch.cat([p.part(rows) for p in three]), ALONE.part(rows))
    draws = [normal(like, (12 // p.size, 2), p.generator(5, torch.device("cpu"))) for p in (*three, ALONE)]
    assert torch.equal(torch.cat(draws[:3]), draws[3])
    assert [p.chief for p in three] == [True, False, False]
