"""The distillation's experiment: what a student is asked for, how it is judged, one run from end to end."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from few import Few
from lowerbound import metrics, zoo
from lowerbound.diffusion import Diffusion
from lowerbound.nets import UNet
from lowerbound.samplers import ddim
from lowerbound.schedule import cosine, extract
from oracles import generator
from torch import nn

from tools.experiments import distillation
from tools.experiments.distillation import (
    Distillation,
    bootstrapped,
    frechet,
    missed,
    of_student,
    of_teacher,
    over,
    stages,
    student_loss,
    student_of,
    target,
)

TINY = replace(distillation.setting(full=False), samples=12, resampled=3)


@pytest.fixture
def few(tmp_path, monkeypatch):
    tiny, load = random_model(clip=True), zoo.load

    def ours(name, **how):
        return tiny if name == distillation.TEACHER else load(name, **how)

    monkeypatch.setattr(zoo, "load", ours)
    return Few(tmp_path, tmp_path, full=False)


class Says(nn.Module):
    """A network whose guess of the image is the same everywhere."""

    def __init__(self, guess: float) -> None:
        super().__init__()
        self.guess = nn.Parameter(torch.tensor(guess))

    def forward(self, xt, log_snr):
        level = log_snr.double().view(-1, 1, 1, 1)
        signal, noise = (torch.sigmoid(sign * level).sqrt().to(xt) for sign in (1, -1))
        return (xt - signal * self.guess) / noise


def random_model(clip: bool) -> Diffusion:
    torch.manual_seed(3)
    net = UNet(width=8)
    nn.init.normal_(net.head.weight, std=0.3)
    return Diffusion(net, cosine(1000), clip=clip).eval().requires_grad_(False)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("t", [8, 4, 2])
def test_one_step_with_the_target_ends_where_two_steps_of_the_sampler_do(clip, t):
    """Of a chain over the lowest t of eight levels, the first two steps are those from t."""
    chain = over(random_model(clip), 8)
    lower = chain.with_schedule(type(chain.schedule)(chain.schedule.alpha_bar[: t + 1]))
    xt = 1.5 * torch.randn(5, 1, 28, 28, generator=generator(1))
    _, _, landed, *_ = ddim(lower, xt)
    times = torch.full((5,), t)
    guess = target(chain, xt, times)
    now, then = (extract(chain.schedule.alpha_bar, k, xt) for k in (times, times - 2))
    eps = (xt - now.sqrt() * guess) / (1 - now).sqrt()
    torch.testing.assert_close(then.sqrt() * guess + (1 - then).sqrt() * eps, landed, atol=2e-5, rtol=1e-4)


def test_the_loss_weighs_the_error_of_the_guess_by_the_snr_or_by_one():
    teacher = Diffusion(Says(0.25), cosine(1000).respace(8))
    same, other = (Diffusion(Says(guess), cosine(1000).respace(4), clip=False) for guess in (0.25, 0.75))
    x = torch.rand(8, 1, 28, 28, generator=generator(1)) * 2 - 1
    none = student_loss(teacher, same, x, None, generator(2))
    assert float(none.detach()) == pytest.approx(0, abs=1e-6)
    weights = other.schedule.snr[1:].clamp(min=1)  # eight examples, two at each of four levels
    found = student_loss(teacher, other, x, None, generator(2))
    assert float(found.detach()) == pytest.approx(0.25 * float(weights.mean()), rel=1e-3)
    found.backward()
    assert float(other.net.guess.grad) > 0
    assert teacher.net.guess.grad is None


def test_a_teacher_is_asked_at_the_level_of_its_student(monkeypatch):
    asked = []

    def noted(teacher, xt, t):
        asked.append(teacher.schedule.snr[t])
        return torch.zeros_like(xt)

    monkeypatch.setattr(distillation, "target", noted)
    teacher, student = (Diffusion(Says(0.0), cosine(1000).respace(T), clip=False) for T in (8, 4))
    student_loss(teacher, student, torch.zeros(8, 1, 28, 28), None, generator(2))
    wanted = student.schedule.snr[1:].repeat_interleave(2)  # two examples a level
    assert torch.equal(asked[0].sort().values, wanted.sort().values)


def test_every_level_of_a_student_is_a_level_of_its_teacher():
    model = random_model(True)
    for many, half in pairwise(Distillation().calls):
        ours = over(model, many).schedule.respace(half).alpha_bar
        assert torch.equal(ours, over(model, many).schedule.alpha_bar[::2])
        assert torch.equal(ours, over(model, half).schedule.alpha_bar)


def test_the_distance_is_that_of_the_rulers():
    rng = generator(1)
    real, fake = torch.randn(300, 6, generator=rng), 0.5 + 1.3 * torch.randn(200, 6, generator=rng)
    wanted = metrics.feature_distances(real, fake)["frechet"]
    assert frechet(real, [fake, real]) == pytest.approx([wanted, 0.0], rel=1e-4, abs=1e-4)


def test_an_interval_of_distances_covers_the_difference_and_keeps_pairs_together():
    rng = generator(1)
    real, first = torch.randn(2000, 3, generator=rng), torch.randn(400, 3, generator=rng)
    same, *_ = bootstrapped(real, first, first, 20, 1)
    assert same.low == same.mean == same.high == 0
    near, *errors = bootstrapped(real, first + 0.3, first + 0.31, 50, 1)
    assert near.high - near.low < min(errors)
    assert near.high < 0
    far, *_ = bootstrapped(real, first + 1.0, first, 50, 1)
    assert far.low < 3 < far.high + 0.5
    assert far.decided


def test_all_start_from_the_same_noise(few, monkeypatch):
    def start(self, n, rng, sampler):
        return torch.randn(n, 1, 28, 28, generator=rng).clamp(-1, 1)

    monkeypatch.setattr(Diffusion, "sample", start)
    first = of_teacher(TINY, "DDIM", 4, few)
    assert torch.equal(first, of_teacher(TINY, "DPM-Solver++", 2, few))
    monkeypatch.setattr(distillation, "student_of", lambda *_: (random_model(True), {}))
    assert torch.equal(first, of_student(TINY, 1, 0, few))


def test_the_teacher_misses_itself_by_nothing_and_a_student_is_trained_once(few):
    whole = of_teacher(TINY, "DDIM", TINY.calls[0], few)
    assert float(missed(TINY, whole, few).max()) == 0
    shorter = of_teacher(TINY, "DDIM", 1, few)
    assert float(missed(TINY, shorter, few).min()) > 0
    model, about = student_of(TINY, 1, 0, few)
    again, same = student_of(TINY, 1, 0, few)
    assert about == same
    assert model.clip
    assert model.schedule.T == 1
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    other, _ = student_of(TINY, 1, 1, few)
    assert any(not torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert len(of_student(TINY, 1, 0, few)) == TINY.samples


def test_a_job_of_each_kind_is_done_from_end_to_end(few):
    jobs = [job for stage in stages(TINY, few) for job in stage]
    assert len({job.path.stem for job in jobs}) == len(jobs) == 2 + 5
    found = {job.path.stem: job.result() for job in jobs}
    assert found["distil-ddim-4"]["missed"]["mean"] == 0
    student = found["distil-student-1-0"]
    assert set(student["less"]) == {"told", "missed", "pyramid", "labels"}
    for low_to_high in student["less"].values():
        mean, low, high = low_to_high
        assert low <= mean <= high
    other = found["distil-ddim-1"]
    for name in ("pyramid", "labels", "told"):
        rounded = 1e-4 * max(1.0, abs(student[name]))
        assert student["less"][name][0] == pytest.approx(student[name] - other[name], abs=rounded)


def test_each_student_has_its_steps():
    for size in (Distillation(), TINY):
        assert len(size.steps) == len(size.calls) - 1
        assert all(many == 2 * half for many, half in pairwise(size.calls))
    assert Distillation().comparisons == 24
