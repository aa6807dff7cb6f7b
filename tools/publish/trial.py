"""Try the installed library, away from its checkout: `cd elsewhere && python -I …/tools/publish/trial.py`.

Everything that it comes with is used once: models and weights, images, measured results, proofs.
"""

from __future__ import annotations

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Raise if something is missing."""
    import lowerbound

    if CHECKOUT in Path(lowerbound.__file__).resolve().parents:
        sys.exit(f"this is the library of {CHECKOUT}, and not an installed one; run it from elsewhere")
    import torch
    from lowerbound import data, proofs, results, zoo

    images = data.to_unit(data.load("fashion-mnist", "test").x[:2])
    with torch.no_grad():
        bound = zoo.load("vae-fashion").bound(images, torch.Generator().manual_seed(0))
    bits = bound.bits_per_dim(images[0].numel())
    if not (bits.shape == (2,) and bool(((bits > 1) & (bits < 8)).all())):
        sys.exit(f"the shipped VAE needs {bits.tolist()} bits/dim for two test images, not between 1 and 8")
    value = proofs.linear_gaussian_kl().as_function()(1.0, 1.0, 0.5, 1.0, 2.0)  # m, s, v, w, x: the posterior
    if abs(value) > 1e-12:
        sys.exit(f"the KL of the posterior from itself is {value}, not 0")
    if not results.stored()["sweep"]:
        sys.exit("the measured results are empty")
    print(
        f"lowerbound {lowerbound.__version__}, {Path(lowerbound.__file__).parent}: {bits.tolist()} bits/dim"
    )


if __name__ == "__main__":
    main()
