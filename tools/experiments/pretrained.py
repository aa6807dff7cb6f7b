"""The two models that ship, trained longer than those of equal budget, and measured as those are."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lowerbound import zoo
from lowerbound.samplers import ddim

from tools.experiments.equal_budget import EqualBudget, judged
from tools.experiments.run_dir import RunDir
from tools.experiments.sample_quality import SampleQuality, reference_job, timed
from tools.experiments.training import multiply_adds
from tools.jobs import Job

MODELS = {"vae": "vae-fashion", "simple": "ddpm-fashion"}
DRAWS = range(6)  # seeds of the noise


def measure(setting: EqualBudget, kind: str, run_dir: RunDir) -> dict[str, Any]:
    """One shipped model: what its card says, its bounds and its samples."""
    model, card = zoo.load(MODELS[kind], device=run_dir.device), zoo.card(MODELS[kind])
    recipe = card["recipe"]
    about = {
        "model": kind,
        "name": MODELS[kind],
        "sha256": card["weights"]["sha256"],
        "parameters": card["weights"]["parameters"],
        "multiply_adds": multiply_adds(model),
        "images": recipe["steps"] * recipe["batch"],
        "recipe": recipe,
    }
    return {**about, **judged(setting, model, 0, run_dir)}


def redrawn(setting: EqualBudget, run_dir: RunDir) -> dict[str, Any]:
    """The distance of the diffusion model by DDIM at 20 calls at most, again and again with other noise."""
    calls, quality = max(n for n in setting.steps if n <= 20), SampleQuality.of(run_dir)
    chain = zoo.load(MODELS["simple"], device=run_dir.device).respaced(calls)
    sets = [timed(partial(chain.sample, rng=run_dir.rng(s), sampler=ddim), setting.samples)[0] for s in DRAWS]
    return {
        "sampler": "DDIM",
        "calls": calls,
        "frechet": [quality.distances(images)["frechet"] for images in sets],
    }


def stages(setting: EqualBudget, run_dir: RunDir) -> list[list[Job]]:
    """The reference, a job for each model, and how much the noise alone moves a distance."""
    own = replace(setting, seeds=())
    models = [run_dir.job(MODELS[kind], measure, own, kind) for kind in MODELS]
    return [[reference_job(setting.samples, run_dir), *models, run_dir.job("redrawn", redrawn, own)]]
