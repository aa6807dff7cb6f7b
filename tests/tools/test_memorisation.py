"""Memorisation over the training: what a copy is, and that few images are copied sooner than many."""

from dataclasses import replace

import pytest
import torch
from lowerbound import data
from oracles import generator

from tools.experiments import memorisation
from tools.experiments.memorisation import copied, halved, nearer, stages
from tools.experiments.run_dir import RunDir


def test_an_image_is_halved_by_the_mean_of_its_pixels():
    x = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    x[0, 0, 0, 1] = x[0, 0, 1, 0] = 255
    points = halved(x)
    assert points.shape == (1, 196)
    assert float(points[0, 0]) == pytest.approx(0.0, abs=1e-6)
    assert float(points[0, 1]) == -1.0


def test_a_copy_is_far_nearer_to_one_training_image_than_to_the_next():
    train = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    fake = torch.tensor([[0.2, 0.0], [0.4, 0.0], [0.5, 3.0], [1.0, 0.0]])
    assert copied(fake, train) == 0.5  # 0.2 against 0.8, and the image itself; 0.4 against 0.6 is none


def test_copies_are_nearer_to_training_images_and_others_are_not():
    images = halved(data.load("fashion-mnist", "train").x[:400])
    train, test, other = images[:100], images[100:200], images[200:]
    assert nearer(train, train, test) == 1.0
    assert nearer(test, train, test) == 0.0
    assert 0.3 < nearer(other, train, test) < 0.7
    noise = 0.01 * torch.randn(train.shape, generator=generator(1))
    assert copied(train + noise, train) > 0.9
    assert copied(other, train) < 0.1


def test_a_job_is_done_from_end_to_end(tmp_path):
    small = memorisation.Memorisation((4,), (0,), 8, 1, 4, 4, marks=(2, 4), samples=8, calls=2)
    ((job,),) = stages(small, RunDir(tmp_path, tmp_path, full=False))
    found = job.result()
    assert [row["step"] for row in found["curve"]] == [2, 4]
    assert all(0 <= row["nearer"] <= 1 and 0 <= row["copied"] <= 1 for row in found["curve"])
    assert found["count"] == 4


def test_the_setting_marks_the_last_step_and_names_each_job(tmp_path):
    size = memorisation.Memorisation()
    assert size.marks[-1] == size.steps
    jobs = [job for stage in stages(size, RunDir(tmp_path, tmp_path)) for job in stage]
    assert len({job.path.stem for job in jobs}) == len(size.counts) * len(size.seeds)
    assert replace(size, seeds=()) != size
