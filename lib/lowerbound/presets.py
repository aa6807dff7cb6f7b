"""What can be trained by name: a model, and a recipe that suits a machine.

smoke: seconds, to see that everything works; short: five to ten minutes on two slow cores;
cpu: below 20 minutes on two cores with bfloat16; gpu: below 10 minutes on a T4, by an estimate from its
floating-point operations.
"""

from __future__ import annotations

from lowerbound.recipe import Recipe
from lowerbound.zoo import Architecture

SMOKE = Recipe(steps=20, warmup=5)
VAE, DDPM, CLASSIFIER = Architecture("vae"), Architecture("ddpm"), Architecture("classifier", width=48)
DDPM_CLASSES = Architecture("ddpm", classes=10)
SHORT = Recipe(steps=500, lr=3e-3, warmup=50, ema=0.99, precision="auto")
LONG = Recipe(steps=9_000, lr=3e-3, warmup=500, precision="auto")
LONGER = Recipe(steps=20_000, batch=256, lr=3e-3, warmup=500, ema=0.9995, precision="auto")

PRESETS: dict[str, tuple[Architecture, Recipe]] = {
    "vae-smoke": (Architecture("vae", width=16, latents=8), SMOKE),
    "ddpm-smoke": (Architecture("ddpm", width=16), SMOKE),
    "ddpm-classes-smoke": (Architecture("ddpm", width=16, classes=10), SMOKE),
    "classifier-smoke": (Architecture("classifier", width=16), SMOKE),
    "vae-short": (VAE, SHORT),
    "ddpm-short": (DDPM, SHORT),
    "ddpm-classes-short": (DDPM_CLASSES, SHORT),
    "classifier-short": (CLASSIFIER, SHORT),
    "vae-cpu": (VAE, Recipe(steps=7_000, precision="auto")),
    "ddpm-cpu": (DDPM, LONG),
    "ddpm-classes-cpu": (DDPM_CLASSES, LONG),
    "classifier-cpu": (CLASSIFIER, Recipe(steps=6_000, batch=128, lr=3e-3, warmup=500, precision="auto")),
    "vae-gpu": (VAE, Recipe(steps=20_000, batch=256, precision="auto")),
    "ddpm-gpu": (DDPM, LONGER),
    "ddpm-classes-gpu": (DDPM_CLASSES, LONGER),
    "classifier-gpu": (CLASSIFIER, Recipe(steps=20_000, batch=256, precision="auto")),
}
