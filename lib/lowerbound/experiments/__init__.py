"""The measurements of chapter 5, run by `python -m lowerbound.experiments` into results/.

An experiment is a list of units, and a unit is one file: what was stopped or killed goes on. `units` says
how, `training` trains to a budget of arithmetic, `ruler` judges samples, `presets` names the costs.

`races` compares VAE and diffusion at equal parameters and equal arithmetic, `shipped` the two models that
ship, `sweep` one network and new ones at T = 1, 2, 4, …, `codes` the places that a decoder may start from,
and `reverse_step` the true reverse step on the line. `report` reads the results.
"""
