"""Lower Bound: a small VAE and DDPM, their bounds in the same units, and the proofs behind them.

Five ideas carry the library: `Gaussian`, `Bound`, `Schedule`, a model with `bound`, `loss` and
`sample`, and `Derivation`. Modules load torch only when they are imported themselves.
"""

__version__ = "0.1.0"
