"""What forward keeps outside of the cache is told only where the data of another pass change a gradient every time."""

import random

import numpy as np
import pytest
import torch

from reference import check_function


@pytest.mark.parametrize("seed", range(8))
def test_what_varies_from_pass_to_pass_is_no_input_of_another(seed):
    draws = random.Random(seed)

    def back(dy, x):
        """As where the order of a set of objects decides what is written over."""
        return dy * np.cos(x) * draws.choice((1, 1, 0.5))

    report = check_function(np.sin, back, against=torch.sin, inputs={"x": ("N", "D")})
    assert report.verdict == "wrong"
    assert not {"B08", "B10"} & {s.fault for s in report.suspects}


def test_what_forward_keeps_in_one_place_is_told():
    kept = {}

    def forward(x):
        kept["x"] = x.copy()
        return np.sin(x), None

    report = check_function(forward, lambda dy, _: dy * np.cos(kept["x"]), against=torch.sin, inputs={"x": ("N", "D")})
    assert [s.fault for s in report.suspects] == ["B10"]
