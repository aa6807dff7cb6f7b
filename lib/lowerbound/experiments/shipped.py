"""The two models that ship, trained longer than the races', on the races' ruler."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lowerbound import zoo
from lowerbound.experiments.races import Races, judged
from lowerbound.experiments.ruler import Ruler, timed
from lowerbound.experiments.training import multiply_adds
from lowerbound.experiments.units import Place, Unit
from lowerbound.samplers import ddim

MODELS = {"vae": "vae-fashion", "simple": "ddpm-fashion"}
DRAWS = range(6)  # seeds of the noise


def measure(setting: Races, kind: str, place: Place) -> dict[str, Any]:
    """One shipped model: what its card says, its bounds and its samples."""
    model, card = zoo.load(MODELS[kind], device=place.device), zoo.card(MODELS[kind])
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
    return {**about, **judged(setting, model, 0, place)}


def redrawn(setting: Races, place: Place) -> dict[str, Any]:
    """The distance of the diffusion model by DDIM at 20 calls at most, again and again with other noise."""
    calls, ruler = max(n for n in setting.steps if n <= 20), Ruler.of(place)
    chain = zoo.load(MODELS["simple"], device=place.device).respaced(calls)
    sets = [timed(partial(chain.sample, rng=place.rng(s), sampler=ddim), setting.samples)[0] for s in DRAWS]
    return {"sampler": "DDIM", "calls": calls, "frechet": [ruler.judge(images)["frechet"] for images in sets]}


def units(setting: Races) -> list[Unit]:
    """A unit for each model, and how much the noise alone moves a distance."""
    own = replace(setting, seeds=())
    models = [Unit(MODELS[kind], partial(measure, own, kind)) for kind in MODELS]
    return [*models, Unit("redrawn", partial(redrawn, own))]
