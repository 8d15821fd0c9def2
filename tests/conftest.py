"""Hypothesis profiles: dev (fast), ci (more, always the same), thorough. Choose with HYPOTHESIS_PROFILE=thorough."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("dev", max_examples=20, **COMMON)
settings.register_profile("ci", max_examples=30, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=500, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

# torch's own advice about its own options, which the random networks draw on purpose.
ADVICE = (
    "ignore:Using padding='same' with even kernel lengths:UserWarning",
    "ignore:reduction. 'mean' divides the total loss by both the batch size:UserWarning",
    "ignore:Using a target size:UserWarning",
    "ignore:LSTM with projections is not supported with oneDNN:UserWarning",
)


def pytest_configure(config):
    for line in ADVICE:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)
