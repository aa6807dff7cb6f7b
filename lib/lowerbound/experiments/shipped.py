"""The two models that ship, trained longer than the races', on the races' ruler."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lowerbound import zoo
from lowerbound.experiments.races import Races, judged
from lowerbound.experiments.training import multiply_adds
from lowerbound.experiments.units import Place, Unit

MODELS = {"vae": "vae-fashion", "simple": "ddpm-fashion"}


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


def units(setting: Races) -> list[Unit]:
    """A unit for each model."""
    own = replace(setting, seeds=())
    return [Unit(MODELS[kind], partial(measure, own, kind)) for kind in MODELS]
