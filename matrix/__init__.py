"""Where the labs run and what they give there: environments, labs compared, results/reproducibility.json.

`make matrix` runs all configurations, `make replica` that of Colab, `make faults` plants errors for the
labs' comparison to catch. `matrix.cells` and `matrix.images` are the part of the comparison that is ours.
"""
