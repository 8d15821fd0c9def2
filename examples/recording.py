"""What a model gives is recorded; a later one, in which a slip was made, is held beside it and the slip is found."""

import tempfile

import torch
from torch import nn

from reference import record, replay


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.norm = nn.Linear(5, 8), nn.Linear(8, 5), nn.LayerNorm(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x + self.down(torch.relu(self.up(x))))


with tempfile.TemporaryDirectory() as golden:
    record(Net(), torch.randn(4, 5), folder=golden)
    print(replay(golden, Net()).verdict)  # its own parameters do not matter: the recording holds them
    later = Net()
    later.norm = nn.LayerNorm(5, eps=1e-6)
    print(replay(golden, later))
