"""A model of your own, back-propagated by hand beside autograd: every gradient, and every step alone."""

import torch
from torch import nn

from reference import check_model


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.norm = nn.Linear(5, 8), nn.Linear(8, 5), nn.LayerNorm(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x + self.down(torch.relu(self.up(x))))


print(check_model(Net(), torch.randn(4, 5), by_layer=True))
