"""What each experiment costs on which machine.

smoke: two minutes, on the bundled subset, to see that everything works; cpu: what two cores do in an hour and
a half, all experiments together; gpu: the real thing, hours on a GPU by an estimate from its operations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tools.experiments.equal_budget import EqualBudget, Size
from tools.experiments.number_of_steps import NumberOfSteps

HALF_A_MILLION, ONE_AND_A_HALF = Size("0.5M", unet=40, vae=38), Size("1.4M", unet=64, vae=64)
DOUBLINGS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SOME = (1, 2, 4, 8, 16, 64, 256, 1024)


@dataclass(frozen=True)
class Preset:
    """The settings of all experiments; full: on all of Fashion-MNIST, or on the bundled subset."""

    equal_budget: EqualBudget
    pretrained: EqualBudget
    number_of_steps: NumberOfSteps
    full: bool = True


SMOKE = EqualBudget(
    sizes=(Size("tiny", unet=8, vae=8, latents=8),),
    seeds=(0,),
    budget=3e9,
    batch=16,
    lr=2e-3,
    warmup=5,
    bound_images=20,
    samples=30,
    steps=(1, 2),
    more=(("ancestral", 3),),
)
CPU = EqualBudget(
    sizes=(HALF_A_MILLION, ONE_AND_A_HALF),
    seeds=(0, 1, 2),
    budget=5.5e12,
    batch=32,
    lr=2e-3,
    warmup=100,
    bound_images=500,
    samples=500,
    steps=(1, 2, 5, 10, 20),
)
GPU = EqualBudget(
    sizes=(HALF_A_MILLION, ONE_AND_A_HALF),
    seeds=(0, 1, 2),
    budget=1.8e15,
    batch=256,
    lr=3e-3,
    warmup=500,
    bound_images=10_000,
    samples=10_000,
    steps=(1, 2, 5, 10, 20, 50),
    more=(("ancestral", 50), ("ancestral", 1000)),
)
PRESETS = {
    "smoke": Preset(
        SMOKE,
        replace(SMOKE, samples=10),
        NumberOfSteps(
            counts=(1, 2, 4),
            anew=(1, 2, 4),
            seeds=(0,),
            width=8,
            steps=10,
            batch=16,
            lr=2e-3,
            warmup=5,
            grid=7,
            level_images=4,
            bound_images=20,
            samples=30,
            ladder=4,
        ),
        full=False,
    ),
    "cpu": Preset(
        CPU,
        replace(CPU, steps=(1, 2, 5, 10, 20, 50), more=(("ancestral", 50), ("DPM-Solver++", 10))),
        NumberOfSteps(
            counts=DOUBLINGS,
            anew=SOME,
            seeds=(0,),
            width=24,
            steps=700,
            batch=32,
            lr=2e-3,
            warmup=100,
            grid=73,
            level_images=200,
            bound_images=500,
            samples=250,
        ),
    ),
    "gpu": Preset(
        GPU,
        replace(GPU, more=(*GPU.more, ("ancestral", 20), ("DPM-Solver++", 10), ("DPM-Solver++", 20))),
        NumberOfSteps(
            counts=DOUBLINGS,
            anew=DOUBLINGS,
            seeds=(0, 1, 2),
            width=64,
            steps=20_000,
            batch=256,
            lr=3e-3,
            warmup=500,
            grid=145,
            level_images=2000,
            bound_images=10_000,
            samples=5000,
            calls=32,
        ),
    ),
}
