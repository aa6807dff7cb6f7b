"""What every test shares: one thread, the same examples at every run, a generator of noise."""

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("lowerbound", derandomize=True, deadline=None, max_examples=25, database=None)
settings.load_profile("lowerbound")


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)
