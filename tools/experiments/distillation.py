"""Progressive distillation of a shipped diffusion model: two DDIM steps in one, judged by the rulers."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from lowerbound import data, metrics, zoo
from lowerbound.classifier import features
from lowerbound.coordinates import EPS, X0, convert, two_steps_in_one
from lowerbound.diffusion import Diffusion
from lowerbound.fit import Recipe, fit
from lowerbound.results import Interval, apart, over_images
from lowerbound.samplers import ddim, dpm_solver
from lowerbound.schedule import cosine, extract
from torch import Tensor

from tools.experiments import rulers
from tools.experiments.registry import even_chain
from tools.experiments.run_dir import RunDir
from tools.experiments.training import VALIDATION
from tools.jobs import Job

TEACHER = "ddpm-fashion-long"
SAMPLERS = {"DDIM": ddim, "DPM-Solver++": dpm_solver}
DISTANCES = ("pyramid", "labels")  # whose differences are bootstrapped


@dataclass(frozen=True)
class Distillation:
    """What it costs.

    calls: of the teacher, and of each student half as many as before; seeds: of the trainings
    steps: of each student's training; batch, lr, ema: of all of them, at a rate that falls to nothing
    samples: judged of each; all come from the same noise
    resampled: how often, for the errors of distances
    """

    calls: tuple[int, ...] = (16, 8, 4, 2)
    seeds: tuple[int, ...] = (0, 1)
    steps: tuple[int, ...] = (80, 120, 200)
    batch: int = 32
    lr: float = 5e-4
    ema: float = 0.95
    samples: int = 500
    resampled: int = 200

    @property
    def comparisons(self) -> int:
        """Differences between a student and its teacher that are made together."""
        return len(self.seeds) * (len(self.calls) - 1) * (len(DISTANCES) + 2)


def setting(full: bool) -> Distillation:
    """All of it, or a little to see that it works."""
    return Distillation() if full else Distillation((4, 2, 1), (0,), (1, 1), 4, samples=20, resampled=4)


# ---- students


def over(model: Diffusion, calls: int) -> Diffusion:
    """The model over so many of the cosine's levels, those of half as many among them."""
    return model.with_schedule(cosine(1000).respace(calls))


@torch.no_grad()
def target(teacher: Diffusion, xt: Tensor, t: Tensor) -> Tensor:
    """The guess of x_0 by which one DDIM step lands where the teacher's two from t do. xt, (B, ...)."""
    alpha_bar = teacher.schedule.alpha_bar
    first = teacher.predict_x0(xt, t)
    signal, noise = extract(alpha_bar.sqrt(), t, xt), extract((1 - alpha_bar).sqrt(), t, xt)
    middle = teacher.q_sample(first, t - 1, convert(first, xt, X0, EPS, signal, noise))
    second = teacher.predict_x0(middle, t - 1)
    snr = teacher.schedule.snr.to(xt.device)
    levels = [snr[k].view(-1, *[1] * (xt.ndim - 1)) for k in (t, t - 1, t - 2)]
    return two_steps_in_one(first, second, *levels)


def student_loss(
    teacher: Diffusion, student: Diffusion, x: Tensor, y: Tensor | None, rng: torch.Generator
) -> Tensor:
    """max(SNR, 1) times the squared error of the student's guess, a mean. Salimans & Ho 2022, Alg. 2.

    student: over every second level of the teacher, and without clipping, so that each error has a slope
    """
    steps = student.schedule.T
    u = torch.arange(len(x), device=x.device) / len(x) + torch.rand(1, generator=rng, device=x.device)
    t = 1 + (u.frac() * steps).long()  # stratified
    eps = torch.randn(x.shape, generator=rng, dtype=x.dtype, device=x.device)
    xt = student.q_sample(x, t, eps)
    wanted = target(teacher, xt, 2 * t)
    weight = extract(student.schedule.snr, t, xt).clamp(min=1)
    loss: Tensor = (weight * (wanted - student.predict_x0(xt, t)) ** 2).mean()
    return loss


def student_of(
    size: Distillation, calls: int, seed: int, run_dir: RunDir
) -> tuple[Diffusion, dict[str, Any]]:
    """The model that takes so many calls, each student the teacher of the next; kept in the scratch."""
    if calls == size.calls[0]:
        model: Diffusion = zoo.load(TEACHER, device=run_dir.device)
        return over(model, calls), {}
    before = size.calls[size.calls.index(calls) - 1]
    steps = size.steps[size.calls.index(calls) - 1]
    teacher, _ = student_of(size, before, seed, run_dir)
    student = Diffusion(deepcopy(teacher.net), teacher.schedule.respace(calls), clip=False)
    student.to(run_dir.device).requires_grad_(True)
    x = run_dir.images("train").x
    recipe = Recipe(steps, size.batch, size.lr, warmup=10, ema=size.ema, seed=seed, precision="auto")
    losses = fit(
        student,
        x[:-VALIDATION] if run_dir.full else x,
        recipe,
        loss=partial(_loss, teacher),
        checkpoint=run_dir.scratch / f"student-{calls}-{seed}.checkpoint",
        settings={"calls": list(size.calls), "steps_before": list(size.steps), "teacher": TEACHER},
        every=20,
        progress=False,
    )
    few = max(1, steps // 5)
    about = {
        "training_cpu_seconds": losses.cpu_seconds,
        "images": steps * size.batch,
        "first_loss": math.fsum(losses[:few]) / few,
        "last_loss": math.fsum(losses[-few:]) / few,
    }
    clipped = Diffusion(student.net, student.schedule).to(run_dir.device)
    return clipped.eval().requires_grad_(False), about


def _loss(teacher: Diffusion, student: Any, x: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
    return student_loss(teacher, student, x, y, rng)


# ---- judged


def kept(name: str, size: Distillation, run_dir: RunDir, draw: Callable[[], tuple[Diffusion, Any]]) -> Tensor:
    """`size.samples` images, uint8, from a model and its sampler; kept in the scratch folder.

    The noise at the start is the same whatever is drawn from.
    """
    path = run_dir.scratch / f"drawn-{name}-{size.samples}.pt"
    if not path.is_file():
        model, sampler = draw()
        rng = run_dir.rng(11)
        parts = [
            model.sample(min(100, size.samples - i), rng, sampler=sampler)
            for i in range(0, size.samples, 100)
        ]
        torch.save(data.to_uint8(torch.cat(parts).cpu()), path)
    images: Tensor = torch.load(path)
    return images


def of_teacher(size: Distillation, sampler: str, calls: int, run_dir: RunDir) -> Tensor:
    """Images of the teacher by so many calls: by DDIM on the cosine's levels, DPM-Solver++ on even ones."""

    def draw() -> tuple[Diffusion, Any]:
        model: Diffusion = zoo.load(TEACHER, device=run_dir.device)
        even = sampler == "DPM-Solver++"
        chain = model.with_schedule(even_chain(calls, 4.0)) if even else over(model, calls)
        return chain, SAMPLERS[sampler]

    return kept(f"teacher-{sampler}-{calls}", size, run_dir, draw)


def of_student(size: Distillation, calls: int, seed: int, run_dir: RunDir) -> Tensor:
    """Images of a student by its own calls, by DDIM."""
    return kept(
        f"student-{calls}-{seed}",
        size,
        run_dir,
        lambda: (student_of(size, calls, seed, run_dir)[0], ddim),
    )


def missed(size: Distillation, images: Tensor, run_dir: RunDir) -> Tensor:
    """How far each image is from where the first teacher's DDIM ends from the same noise, in grey levels."""
    end = of_teacher(size, "DDIM", size.calls[0], run_dir)
    return (images.double() - end.double()).abs().flatten(1).mean(1)


def in_features(name: str, images: Tensor, run_dir: RunDir) -> tuple[Tensor, Tensor]:
    """What a Fréchet distance of `rulers` compares: features of the test images and of these."""
    reference = rulers.Reference.of(run_dir)
    if name == "pyramid":
        return reference.pyramid, reference.scaled(images)
    return reference.labels, features(reference.classifier, images)


def frechet(real: Tensor, fakes: list[Tensor]) -> list[float]:
    """The Fréchet distance of each of several sets of features (M, F) from those of real images (N, F)."""
    real = real.double()
    values, vectors = torch.linalg.eigh(real.T.cov())
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    found = []
    for fake in (each.double() for each in fakes):
        spread = fake.T.cov()
        both = torch.linalg.eigvalsh(root @ spread @ root).clamp(min=0).sqrt().sum()
        far = (real.mean(0) - fake.mean(0)).square().sum()
        found.append(float(far + values.sum() + spread.trace() - 2 * both))
    return found


def bootstrapped(
    real: Tensor, first: Tensor, second: Tensor, times: int, comparisons: int
) -> tuple[Interval, float, float]:
    """How much farther the features `first` are from `real` than `second`, (M, F) from the same M noises.

    The error is the standard deviation over resamplings of the M noises: a pair stays together. Then the
    standard deviations of either distance alone.
    """
    rng = torch.Generator().manual_seed(5)
    drawn = [torch.randint(len(first), (len(first),), generator=rng) for _ in range(times)]
    each = [torch.tensor(frechet(real, [part[rows] for rows in drawn])) for part in (first, second)]
    ahead, behind = frechet(real, [first, second])
    interval = apart(ahead - behind, float((each[0] - each[1]).std()), comparisons)
    return interval, float(each[0].std()), float(each[1].std())


def estimate(values: Tensor) -> dict[str, float]:
    """The mean of independent values (N,) and its standard error."""
    return {"mean": float(values.mean()), "error": float(values.std() / math.sqrt(len(values)))}


def teacher_judged(size: Distillation, sampler: str, calls: int, run_dir: RunDir) -> dict[str, Any]:
    """What the rulers say of the teacher's images."""
    images = of_teacher(size, sampler, calls, run_dir)
    said = {"kind": "teacher", "sampler": sampler, "calls": calls, "samples": len(images)}
    away = estimate(missed(size, images, run_dir))
    return {**said, "missed": away, **rulers.judge(images, run_dir)}


def student_judged(size: Distillation, calls: int, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """What the rulers say of a student's images, and differences from the teacher's DDIM of as many calls.

    less: [estimate, low, high] of student less teacher; of the two-sample test, each with its own judge
    """
    images, same = of_student(size, calls, seed, run_dir), of_teacher(size, "DDIM", calls, run_dir)
    _, about = student_of(size, calls, seed, run_dir)
    judged = rulers.judge(images, run_dir)
    n = min(len(images), len(run_dir.images("test").x))
    told = metrics.two_sample(run_dir.images("test").x[:n], same[:n])
    error = math.hypot(judged["told_error"], told["error"])
    away = [missed(size, part, run_dir) for part in (images, same)]
    less = {
        "told": apart(judged["told"] - told["bits"], error, size.comparisons),
        "missed": over_images(away[0].tolist(), away[1].tolist(), size.comparisons),
    }
    errors = {}
    for name in DISTANCES:
        (real, first), (_, second) = (in_features(name, part, run_dir) for part in (images, same))
        interval, own, other = bootstrapped(real, first, second, size.resampled, size.comparisons)
        less[name], errors[name] = interval, {"student": own, "teacher": other}
    said = {"kind": "student", "calls": calls, "seed": seed, "samples": len(images), **about}
    return {
        **said,
        "missed": estimate(away[0]),
        **judged,
        "bootstrap_errors": errors,
        "less": {name: [i.mean, i.low, i.high] for name, i in less.items()},
        "comparisons": size.comparisons,
    }


def stages(size: Distillation, run_dir: RunDir) -> list[list[Job]]:
    """The students of each seed, fewer calls after more; beside them the teacher by every sampler."""
    alone, shorts = replace(size, seeds=()), {"DDIM": "ddim", "DPM-Solver++": "dpm"}
    teachers = [
        run_dir.job(f"distil-{shorts[name]}-{calls}", teacher_judged, alone, name, calls)
        for calls in size.calls
        for name in (SAMPLERS if calls < size.calls[0] else ("DDIM",))
    ]
    students = [
        run_dir.job(f"distil-student-{calls}-{seed}", student_judged, size, calls, seed)
        for seed in size.seeds
        for calls in size.calls[1:]
    ]
    return [students[: len(size.calls) - 1], teachers, students[len(size.calls) - 1 :]]
