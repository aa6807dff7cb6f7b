"""What every test shares: one thread, the same examples at every run, a generator of noise.

A test that plants an error records `mutation`, the side it is on; the end of a run says how many were caught.
"""

import pytest
import torch
from hypothesis import settings
from jaxtyping import config, install_import_hook

SHAPED = (
    "bound",
    "classifier",
    "dense",
    "diffusion",
    "gaussian",
    "guidance",
    "latent",
    "likelihood",
    "metrics",
    "nets",
    "schedule",
    "vae",
)
install_import_hook([f"lowerbound.{name}" for name in SHAPED], "beartype.beartype")

torch.set_num_threads(1)
settings.register_profile(
    "lowerbound",
    derandomize=True,
    deadline=None,
    max_examples=25,
    database=None,
    report_multiple_bugs=False,  # a failure is then one AssertionError, which a mutation waits for
)
settings.load_profile("lowerbound")
SIDES = "library", "proofs"


@pytest.fixture
def unshaped():
    """Shapes and dtypes in signatures unchecked, as for a user: what answers then is the library itself."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def counted(reports) -> str:
    """How many planted errors were caught, from the reports of finished tests; "" where none was planted."""
    sides = [(value, r.passed) for r in reports for key, value in r.user_properties if key == "mutation"]
    counts = {side: [passed for at, passed in sides if at == side] for side in SIDES}
    said = [f"{sum(found)} of {len(found)} in the {side}" for side, found in counts.items() if found]
    return f"mutations caught: {', '.join(said)}" if said else ""


def pytest_terminal_summary(terminalreporter) -> None:
    stats = terminalreporter.stats
    finished = [r for kind in ("passed", "failed") for r in stats.get(kind, []) if r.when == "call"]
    if line := counted(finished):
        terminalreporter.write_line(line)
