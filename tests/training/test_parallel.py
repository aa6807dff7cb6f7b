"""Two gloo processes under the real torchrun reach the loss of one, within its spread over seeds."""

import json
import statistics
import subprocess
import sys
from dataclasses import replace

import pytest
import ranks
from lowerbound import checkpoint, train, zoo

SMALL = ["--width", "8", "--T", "8", "--steps", "10", "--batch", "8", "--every", "4", "--grid", "5"]
SAVED = "ddpm-classes-smoke.checkpoint"
COMMAND = ["ddpm-classes-smoke", "--subset", "--threads", "1", "--device", "cpu", "--quiet", *SMALL]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What two processes leave, in a folder; in its "two" they go on with a training that one has begun."""
    folder, original = tmp_path_factory.mktemp("ranks"), train.fit

    def fit_and_stop(model, x, recipe, y, loss, **options):
        steps = list(range(7))
        return original(model, x, recipe, y, lambda *a: (steps.pop(), loss(*a))[1], **options)

    begun = [*COMMAND, "--out", str(folder / "two")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "fit", fit_and_stop)
        with pytest.raises(IndexError):
            train.main(begun)
    assert len(checkpoint.read(folder / "two" / SAVED)["steps"]) == 4
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, ranks.__file__, str(folder), *begun, "--resume"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)], folder, done


@pytest.mark.usefixtures("unshaped")
def test_two_processes_reach_the_loss_of_one_within_its_spread_over_seeds(outcomes):
    (first, second), *_ = outcomes
    assert first["trained"] == second["trained"]  # one loss, and the same weights to the bit
    alone = [ranks.trained(replace(ranks.RECIPE, seed=seed))[0] for seed in range(5)]
    start = ranks.trained(replace(ranks.RECIPE, steps=100, lr=1e-9))[0]
    mean, spread = statistics.mean(alone), statistics.stdev(alone)
    assert abs(first["trained"][0] - mean) < 3 * spread
    assert spread < 0.1 * (start - mean)  # a spread that tells a trained network from another


@pytest.mark.usefixtures("unshaped")
def test_each_process_sees_other_data_and_other_noise(outcomes):
    """With one seed for all, two processes of half the batch would be one process of half the batch."""
    halved = ranks.trained(replace(ranks.RECIPE, batch=ranks.RECIPE.batch // 2))
    assert halved[1] != pytest.approx(outcomes[0][0]["trained"][1], rel=1e-3)


def test_ctrl_c_that_reaches_one_process_stops_both_at_the_same_step_and_saves_it(outcomes):
    (first, second), folder, _ = outcomes
    assert first["stopped"] == second["stopped"] == ranks.STOPPED_AT
    saved = checkpoint.read(folder / "stopped.checkpoint")
    assert len(saved["steps"]) == ranks.SHORT.steps  # gone on with, to the end
    assert first["resumed"] == second["resumed"]


def test_one_process_that_stops_is_continued_by_two_which_write_what_one_writes(tmp_path, outcomes):
    _, folder, done = outcomes
    folders = tmp_path, folder / "two"
    train.main([*COMMAND, "--out", str(tmp_path)])
    assert done.stdout.count("bits_per_dim") == 1
    assert "arning" not in done.stderr.replace("OMP_NUM_THREADS", "")
    assert len(checkpoint.read(folders[1] / SAVED)["steps"]) == 10
    assert [zoo.card("ddpm-classes-smoke", folder)["processes"] for folder in folders] == [1, 2]
    names = [sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) for folder in folders]
    assert names[0] == names[1]
