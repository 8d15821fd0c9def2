"""What a training step of a decoder's layers costs by hand and in PyTorch: `training_step.py` with other networks.

    OMP_NUM_THREADS=1 python tests/benchmarks/spatial_step.py [seconds a network]

A step is forward, loss, backward and the update of SGD, in float32, on one thread; both sides take turns.
"""

import sys

import torch
from rich.console import Console
from training_step import Network, Timing, measure, step_table

import manualbp as bp


def networks() -> list[Network]:
    """Each layer behind a convolution, so that its dx is asked for as in a network; targets where there are any."""
    mse = bp.MSELoss()

    def behind(*layers: bp.Layer) -> bp.Sequential:
        return bp.Sequential(bp.Conv2d(4, 16, 1), *layers)

    doubled = bp.ConvTranspose2d(16, 8, 4, stride=2, padding=1)
    smooth = bp.Upsample(scale_factor=2.0, mode="bilinear")
    return [
        Network("ConvTranspose2d 4, 8×8 to 16×16 (16)", behind(doubled), mse, (16, 4, 8, 8), 1.2),
        Network("ConvTranspose2d 4, 16×16 to 32×32 (16)", behind(doubled), mse, (16, 4, 16, 16), 1.2),
        Network("bilinear, 8×8 to 16×16 (16)", behind(smooth), mse, (16, 4, 8, 8), 1.2),
        Network("bilinear, 16×16 to 32×32 (16)", behind(smooth), mse, (16, 4, 16, 16), 1.2),
        Network("AdaptiveAvgPool2d, 7×7 to 1×1 (16)", behind(bp.AdaptiveAvgPool2d(1)), mse, (16, 4, 7, 7)),
        Network("AdaptiveMaxPool2d, 16×16 to 5×5 (16)", behind(bp.AdaptiveMaxPool2d(5)), mse, (16, 4, 16, 16)),
    ]


def main(seconds: float = 3.0) -> None:
    torch.set_num_threads(1)
    rows: list[Timing] = [measure(net, 1, seconds) for net in networks()]
    Console(width=180).print(step_table(rows), highlight=False)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
