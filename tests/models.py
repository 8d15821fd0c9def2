"""Small models of the kinds that people write, with a sample each. Their words and sizes are the tests' own."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class Skip(nn.Module):
    """A homework net with a residual connection."""

    def __init__(self):
        super().__init__()
        self.up, self.down, self.act = nn.Linear(5, 7), nn.Linear(7, 5), nn.Tanh()

    def forward(self, x):
        return x + self.down(self.act(self.up(x)))


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.relu = nn.ReLU(inplace=True)
        self.short = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o)) if i != o else None

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.short is None else self.short(x)
        return self.relu(out)


class Residuals(nn.Module):
    """Two ResNet blocks: one ReLU module used throughout, in place, and a sum in place."""

    def __init__(self):
        super().__init__()
        self.stem, self.blocks, self.head = (
            nn.Conv2d(3, 4, 3),
            nn.Sequential(Block(4, 4, 1), Block(4, 6, 2)),
            nn.Linear(6, 3),
        )

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class CausalAttention(nn.Module):
    def __init__(self, width, heads, longest):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.drop = nn.Dropout(0.2)
        self.register_buffer("mask", torch.tril(torch.ones(longest, longest)).view(1, 1, longest, longest))

    def forward(self, x):
        N, T, E = x.size()
        q, k, v = (t.view(N, T, self.heads, E // self.heads).transpose(1, 2) for t in self.qkv(x).split(E, dim=2))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(k.size(-1))
        scores = scores.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf"))
        y = self.drop(F.softmax(scores, dim=-1)) @ v
        return self.out(y.transpose(1, 2).contiguous().view(N, T, E))


class Decoder(nn.Module):
    """A GPT: the embedding's weight is the head's, too; a dict comes out, with a loss where there are targets."""

    def __init__(self, words=9, width=8, longest=6):
        super().__init__()
        self.token, self.place = nn.Embedding(words, width), nn.Embedding(longest, width)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({
                "ln_1": nn.LayerNorm(width), "attn": CausalAttention(width, 2, longest), "ln_2": nn.LayerNorm(width),
                "mlp": nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)),
            }) for _ in range(2)
        )  # fmt: skip
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)
        self.head.weight = self.token.weight

    def forward(self, words, targets=None):
        x = self.token(words) + self.place(torch.arange(words.size(1)))
        for block in self.blocks:
            x = x + block["attn"](block["ln_1"](x))
            x = x + block["mlp"](block["ln_2"](x))
        logits = self.head(self.norm(x))
        loss = None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return {"logits": logits, "loss": loss}


class Hourglass(nn.Module):
    """A U-Net: what goes down is joined to what comes up."""

    def __init__(self):
        super().__init__()
        self.down, self.mid, self.up = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 1)
        self.out = nn.Conv2d(6, 1, 1)

    def forward(self, x):
        high = F.relu(self.down(x))
        low = F.relu(self.mid(F.max_pool2d(high, 2)))
        wide = self.up(low).repeat_interleave(2, 2).repeat_interleave(2, 3)
        return self.out(torch.cat([wide, high], dim=1))


class Patches(nn.Module):
    """A ViT: a class token that is a bare parameter, and nn.MultiheadAttention."""

    def __init__(self, width=6):
        super().__init__()
        self.cut = nn.Conv2d(3, width, 2, 2)
        self.first, self.place = nn.Parameter(torch.randn(1, 1, width)), nn.Parameter(torch.randn(1, 5, width))
        self.norm, self.attn = nn.LayerNorm(width), nn.MultiheadAttention(width, 2, batch_first=True)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.cut(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x], dim=1) + self.place
        h = self.norm(x)
        return self.head((x + self.attn(h, h, h, need_weights=False)[0])[:, 0])


class Twins(nn.Module):
    """Siamese: one network, called on each of two inputs; two outputs."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))

    def forward(self, left, right):
        a, b = self.net(left), self.net(right)
        return F.cosine_similarity(a, b), (a - b).pow(2).sum(1)


class Reader(nn.Module):
    """A bidirectional LSTM over words; its last states and the mean of its outputs."""

    def __init__(self):
        super().__init__()
        self.words, self.lstm = nn.Embedding(7, 4), nn.LSTM(4, 3, batch_first=True, bidirectional=True)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        every, (last, _) = self.lstm(self.words(x))
        return self.head(torch.cat([last[-2], last[-1]], dim=1)) + every.mean(1)[:, :2]


class Calls(nn.Module):
    """Functions with bare parameters instead of modules."""

    def __init__(self):
        super().__init__()
        self.kernel, self.shift = nn.Parameter(torch.randn(4, 2, 3, 3)), nn.Parameter(torch.randn(4))
        self.gamma, self.beta = nn.Parameter(torch.rand(4) + 1), nn.Parameter(torch.randn(4))
        self.out = nn.Parameter(torch.randn(3, 16))

    def forward(self, x):
        x = F.conv2d(x, self.kernel, self.shift, padding=1)
        x = F.leaky_relu(F.batch_norm(x, None, None, self.gamma, self.beta, training=True), 0.2)
        return F.log_softmax(F.linear(F.avg_pool2d(x, 2).reshape(x.size(0), -1), self.out), dim=1)


class InPlace(nn.Module):
    """relu_, mul_, +=, and an assignment to a part."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        h = self.a(x)
        h.relu_()
        h = self.b(h)
        h.mul_(2)
        h += 1
        h[:, 0] = x[:, 1]
        h[:, 2:] *= 3
        return h


class Hooked(nn.Module):
    """A forward hook on a module that would be taken whole without it."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.a.register_forward_hook(lambda module, x, y: 2 * y + x[0])

    def forward(self, x):
        return self.a(x).tanh()


class LayerNorm(nn.Module):
    """Somebody's own, under torch's name: with the unbiased deviation, and ε added to it."""

    def __init__(self, n, eps=1e-6):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.rand(n) + 0.5), nn.Parameter(torch.randn(n)), eps
        self.normalized_shape, self.elementwise_affine = (n,), True

    def forward(self, x):
        mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
        return self.weight * (x - mean) / (std + self.eps) + self.bias


class Averaged(nn.Module):
    """A statistic of its own, moved under no_grad."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        h = self.fc(x)
        with torch.no_grad():
            self.mean.mul_(0.9).add_(h.mean(0), alpha=0.1)
        return (h - self.mean) * h.detach().exp()


class Waves(nn.Module):
    """Constants made in the forward pass: positions by waves, a mask, in the model's own dtype."""

    def __init__(self, width=6):
        super().__init__()
        self.width, self.fc = width, nn.Linear(width, width)
        self.base = torch.full((width // 2,), 10.0)  # no buffer

    def forward(self, x):
        steps = torch.arange(x.size(1)).float()[:, None] / self.base ** (torch.arange(self.width // 2) / 3.3)
        h = self.fc(x + torch.cat([steps.sin(), steps.cos()], -1)).to(torch.float32)
        hidden = torch.ones(x.size(1), x.size(1), dtype=torch.bool).triu(1)
        scores = (h @ h.transpose(1, 2)).masked_fill(hidden, torch.finfo(h.dtype).min)
        return F.softmax(scores, dim=-1, dtype=torch.float32) @ h


class Noise(nn.Module):
    """Stochastic depth with torch's own random numbers, and dropout by function."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        kept = x.new_empty(x.shape[0], 1).bernoulli_(0.7) / 0.7
        return x + kept * F.dropout(self.fc(x), 0.3, self.training) + torch.randn_like(x)


def samples():
    """name -> (model, sample), each made anew with the same numbers."""
    torch.manual_seed(7)
    r, i = torch.randn, torch.randint
    return {
        "skip": (Skip(), (r(3, 5),)), "resnet": (Residuals(), (r(2, 3, 8, 8),)),
        "gpt": (Decoder(), (i(0, 9, (2, 6)), i(0, 9, (2, 6)))), "unet": (Hourglass(), (r(2, 1, 4, 4),)),
        "vit": (Patches(), (r(2, 3, 4, 4),)), "siamese": (Twins(), (r(3, 4), r(3, 4))),
        "lstm": (Reader(), (i(0, 7, (2, 5)),)), "functions": (Calls(), (r(2, 2, 4, 4),)),
        "in place": (InPlace(), (r(3, 4),)), "hooked": (Hooked(), (r(3, 4),)),
        "own LayerNorm": (nn.Sequential(nn.Linear(3, 4), LayerNorm(4), nn.Linear(4, 2)), (r(5, 3),)),
        "weight_norm": (nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), (r(2, 3),)),
        "own statistic": (Averaged(), (r(5, 4),)), "noise": (Noise(), (r(5, 4),)),
        "waves": (Waves(), (r(2, 4, 6),)),
    }  # fmt: skip


class Does(nn.Module):
    """A model that does one thing."""

    def __init__(self, f):
        super().__init__()
        self.f, self.fc = f, nn.Linear(4, 4)

    def forward(self, x):
        return self.f(self.fc(x))
