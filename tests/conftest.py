"""What every test may rely on: the same random numbers each time, and the real data where it is there."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

os.environ["TRITON_INTERPRET"] = "1"  # read by Triton when a kernel is defined: the tests run it in numpy

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "minibert",
    derandomize=True,
    deadline=None,
    max_examples=30,
    database=None,
    # The autouse seed below runs once per test, not once per example: hypothesis derandomizes its own draws.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("minibert")


@pytest.fixture(autouse=True)
def seed() -> int:
    """Start every test from the same state of torch's global generator."""
    torch.manual_seed(0)
    return 0


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets, `../shared/data`; skip where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not beside the project (../shared/data)")
    return folder


torch.set_num_threads(1)  # the models of the tests are too small to share between cores
