"""What each experiment costs on which machine.

smoke: seconds, on the bundled subset, to see that everything works; cpu: what two cores do in about an hour
and a half, all experiments together; gpu: the real thing, an estimate of a few hours on one GPU.
"""

from __future__ import annotations

from lowerbound.experiments.races import Races, Size

HALF_A_MILLION, ONE_AND_A_HALF = Size("0.5M", unet=40, vae=38), Size("1.4M", unet=64, vae=64)

RACES = {
    "smoke": Races(
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
    ),
    "cpu": Races(
        sizes=(HALF_A_MILLION, ONE_AND_A_HALF),
        seeds=(0, 1, 2),
        budget=5.5e12,
        batch=32,
        lr=2e-3,
        warmup=100,
        bound_images=500,
        samples=1000,
        steps=(1, 2, 5, 10, 20),
        more=(("DDIM", 50), ("ancestral", 50)),
    ),
    "gpu": Races(
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
    ),
}
