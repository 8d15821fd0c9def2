"""Hypothesis profiles: dev (fast), ci (more, always the same), thorough. Choose with HYPOTHESIS_PROFILE=thorough."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("dev", max_examples=10, **COMMON)
settings.register_profile("ci", max_examples=12, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=500, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)
