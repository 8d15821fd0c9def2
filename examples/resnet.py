"""A small ResNet trained by hand on scikit-learn's digits, beside itself: python examples/resnet.py [--quick]

Where a block's input is used twice, gradients meet; its ReLU works in place; its batch norms keep running statistics.
The model is a torch.nn.Module with a forward of its own; nothing of it is written a second time.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from beside import picture, train
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F  # noqa: N812  (its name everywhere)

from manualbp.optim import SGD


class Block(nn.Module):
    def __init__(self, n: int, m: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n, m, 3, stride, 1, bias=False), nn.BatchNorm2d(m)
        self.conv2, self.bn2 = nn.Conv2d(m, m, 3, 1, 1, bias=False), nn.BatchNorm2d(m)
        self.relu = nn.ReLU(inplace=True)
        self.short = nn.Sequential(nn.Conv2d(n, m, 1, stride, bias=False), nn.BatchNorm2d(m))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.short(x)
        return self.relu(y)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2), Block(16, 32, 2))
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.head(self.blocks(self.stem(x)).mean((2, 3)))
        return {"scores": scores, "loss": F.cross_entropy(scores, targets)}


def main(quick: bool) -> None:
    torch.manual_seed(0)
    x, t = load_digits(return_X_y=True)
    data = train_test_split(x.reshape(-1, 1, 8, 8) / 16, t, test_size=0.2, random_state=0, stratify=t)
    x_train, x_test, t_train, t_test = map(torch.from_numpy, data)
    orders = [torch.randperm(len(x_train)) for _ in range(1 if quick else 4)]
    rows = [rows for order in orders for rows in order.split(32)[:-1]][: 3 if quick else None]
    run = train(ResNet().double(), [(x_train[r], t_train[r]) for r in rows], SGD(lr=0.1, momentum=0.9), "loss")
    print(f"ResNet on {len(x_train)} digits, {run}")
    scores = run.model.eval()(x_test, t_test)["scores"]
    print(f"accuracy on {len(t_test)} others: {np.mean((scores.argmax(1) == t_test).numpy()):.3f}")
    picture(run, "ResNet on digits", Path("resnet.png"))


if __name__ == "__main__":
    main("--quick" in sys.argv)
