"""A small GPT trained by hand on the Zen of Python, beside itself: python examples/gpt.py [--quick]

Its attention is causal, and the weight that embeds characters is the one that predicts them, so two gradients meet
there. The model is a torch.nn.Module with a forward of its own; nothing of it is written a second time.
"""

import codecs
import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import torch
from beside import Trained, picture, train
from torch import nn
from torch.nn import functional as F  # noqa: N812  (its name everywhere)

from manualbp.optim import AdamW

with contextlib.redirect_stdout(io.StringIO()):
    import this

TEXT = codecs.decode(this.s, "rot13")
LETTERS = sorted(set(TEXT))
WIDTH, HEADS, SEEN, BATCH = 32, 4, 24, 16


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (t.unflatten(2, (HEADS, -1)).transpose(1, 2) for t in self.qkv(self.ln_1(x)).chunk(3, dim=2))
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(heads.transpose(1, 2).flatten(2))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(len(LETTERS), WIDTH), nn.Embedding(SEEN, WIDTH)
        nn.init.normal_(self.letters.weight, std=0.1)
        nn.init.normal_(self.places.weight, std=0.1)
        self.blocks, self.norm = nn.Sequential(Block(), Block()), nn.LayerNorm(WIDTH)

    def forward(self, words: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.letters(words) + self.places(torch.arange(SEEN))
        logits = F.linear(self.norm(self.blocks(x)), self.letters.weight)  # tied
        return {"logits": logits, "loss": F.cross_entropy(logits.flatten(0, 1), targets.flatten())}


def batches(steps: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pieces of the text from anywhere, and the same pieces one character on."""
    codes = torch.tensor([LETTERS.index(c) for c in TEXT])
    starts = torch.randint(0, len(TEXT) - SEEN - 1, (steps, BATCH), generator=torch.Generator().manual_seed(0))
    pieces = codes[starts[..., None] + torch.arange(SEEN + 1)]
    return [(p[:, :-1], p[:, 1:]) for p in pieces]


def written(run: Trained, begin: str, letters: int) -> str:
    """What the trained model goes on with, by hand: at each place the likeliest character."""
    codes = [LETTERS.index(c) for c in begin]
    for _ in range(letters):
        last = codes[-SEEN:] + [0] * (SEEN - len(codes))
        words = np.tile(last, (BATCH, 1))
        y, _ = run.graph.forward(run.params, (words, words))
        codes.append(int(y["logits"][0, min(len(codes), SEEN) - 1].argmax()))
    return "".join(LETTERS[i] for i in codes)


def main(quick: bool) -> None:
    torch.manual_seed(0)
    run = train(GPT().double(), batches(3 if quick else 200), AdamW(lr=5e-3), "loss")
    print(f"GPT on the {len(TEXT)} characters of the Zen of Python, {run}")
    print(written(run, "Beautiful is", 10 if quick else 120))
    picture(run, "GPT on the Zen of Python", Path("gpt.png"))


if __name__ == "__main__":
    main("--quick" in sys.argv)
