"""The measurements of chapter 5, run by `python -m tools.experiments` into results/.

A job (`tools.jobs`) trains a model and judges it, and leaves one small file in results/comparison/, which
goes into git: what was stopped or killed goes on, on this machine or another.

`registry` has the models, `rulers` the measures of samples and their report card: to add a model or a ruler
is to edit one of these files. `training` trains to a budget of arithmetic, `comparison` says what is run, and
`reverse_step` is the true reverse step on the line. `lowerbound.results` reads what they wrote.
"""
