"""The measurements of chapter 5, run by `python -m tools.experiments` into results/.

An experiment is a list of jobs (`tools.jobs`), each of which is one file: what was stopped or killed goes on.
`run_dir` says where they lie, `training` trains to a budget of arithmetic, `sample_quality` measures samples,
`presets` names the costs.

`equal_budget` compares VAE and diffusion at equal parameters and equal arithmetic, `pretrained` the two
models that ship, `number_of_steps` one network and new ones at T = 1, 2, 4, …, `latent_prior` the places that
a decoder may start from, and `reverse_step` the true reverse step on the line. `lowerbound.results` reads
what they wrote.
"""
