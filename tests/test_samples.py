"""PyTorch's own samples of its modules: the command that runs them."""

import subprocess
import sys

import pytest


def test_samples_of_pytorch_pass():
    pytest.importorskip("expecttest")
    classes = "Linear", "ReLU", "CTCLoss", "FractionalMaxPool3d", "LSTMCell"
    command = [sys.executable, "-m", "reference.audit.samples", *classes]  # its import changes settings of torch
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "refused" not in done.stdout
