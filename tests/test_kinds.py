"""Models of the kinds that people publish, each written as they write it, beside its back-propagation by hand."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from reference import check_model

EDGES = torch.tensor([[0, 1, 1, 3, 4, 2, 0], [1, 0, 2, 4, 3, 2, 3]])


class GraphAttention(nn.Module):
    """Messages along edges, weighted by a softmax over those that come to a node, by index_add."""

    def __init__(self):
        super().__init__()
        self.W, self.a = nn.Linear(4, 6, bias=False), nn.Parameter(torch.randn(12))

    def forward(self, x):
        src, dst = EDGES
        h = self.W(x)
        e = F.leaky_relu(torch.cat([h[src], h[dst]], -1) @ self.a, 0.2)
        e = (e - e.max()).exp()
        z = torch.zeros(x.shape[0]).index_add(0, dst, e)
        return torch.zeros(x.shape[0], 6).index_add(0, dst, (e / (z[dst] + 1e-16))[:, None] * h[src])


class OfNeighbours(nn.Module):
    def __init__(self):
        super().__init__()
        self.message, self.update = nn.Linear(8, 6), nn.GRUCell(6, 4)

    def forward(self, x):
        m = torch.relu(self.message(torch.cat([x[EDGES[0]], x[EDGES[1]]], 1)))
        index = EDGES[1][:, None].expand(-1, 6)
        mean = torch.zeros(len(x), 6).scatter_reduce(0, index, m, reduce="mean", include_self=False)
        return self.update(mean, x), torch.zeros(len(x), 6).scatter_reduce_(0, index, m, "amax", include_self=False)


class Experts(nn.Module):
    """The two of four experts that a gate chooses, and each expert on those rows alone that it is chosen for."""

    def __init__(self):
        super().__init__()
        self.gate, self.experts = nn.Linear(4, 4), nn.ModuleList(nn.Linear(4, 4) for _ in range(4))

    def forward(self, x):
        weights, chosen = torch.topk(F.softmax(self.gate(x), -1), 2, dim=-1)
        weights, out = weights / weights.sum(-1, keepdim=True), torch.zeros_like(x)
        for k, expert in enumerate(self.experts):
            row, place = torch.where(chosen == k)
            if row.numel():
                out[row] += weights[row, place, None] * expert(x[row])
        return out


class Quantized(nn.Module):
    """A VQ-VAE: the nearest of eight codes, with the gradient straight through the choice."""

    def __init__(self):
        super().__init__()
        self.encoder, self.codes, self.decoder = nn.Linear(4, 3), nn.Embedding(8, 3), nn.Linear(3, 4)

    def forward(self, x):
        z, E = self.encoder(x), self.codes.weight
        distance = (z**2).sum(1, keepdim=True) + (E**2).sum(1) - 2 * torch.matmul(z, E.t())
        nearest = distance.argmin(1).unsqueeze(1)
        chosen = torch.zeros(len(x), 8).scatter_(1, nearest, 1)
        q = chosen @ E
        loss = F.mse_loss(q, z.detach()) + 0.25 * F.mse_loss(q.detach(), z)
        return self.decoder(z + (q - z).detach()), loss


class SelectiveScan(nn.Module):
    """A Mamba block's state, one step after another."""

    def __init__(self):
        super().__init__()
        self.conv, self.inner, self.step = nn.Conv1d(4, 4, 3, groups=4, padding=2), nn.Linear(4, 7), nn.Linear(1, 4)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, 4, dtype=torch.float32).repeat(4, 1)))
        self.D = nn.Parameter(torch.ones(4))

    def forward(self, x):
        b, length, _ = x.shape
        x = F.silu(self.conv(x.transpose(1, 2))[..., :length]).transpose(1, 2)
        dt, B, C = self.inner(x).split([1, 3, 3], -1)
        dt, A, h, ys = F.softplus(self.step(dt)), -torch.exp(self.A_log.float()), torch.zeros(b, 4, 3), []
        for t in range(length):
            h = torch.exp(dt[:, t, :, None] * A) * h + torch.einsum("bd,bn,bd->bdn", dt[:, t], B[:, t], x[:, t])
            ys.append(torch.einsum("bdn,bn->bd", h, C[:, t]))
        return torch.stack(ys, 1) + x * self.D


class Flow(nn.Module):
    """RealNVP: coupling layers with masks, their log-determinants, and the density of a prior in a plain attribute."""

    def __init__(self):
        super().__init__()
        self.masks = [torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])]
        self.s, self.t = (nn.ModuleList(nn.Linear(4, 4) for _ in range(2)) for _ in range(2))
        self.prior = torch.distributions.MultivariateNormal(torch.zeros(4), torch.eye(4))

    def forward(self, x):
        log_det = x.new_zeros(x.shape[0])
        for mask, s, t in zip(self.masks, self.s, self.t, strict=True):
            kept = x * mask
            a = torch.tanh(s(kept)) * (1 - mask)
            x = kept + (1 - mask) * (x * torch.exp(a) + t(kept))
            log_det = log_det + a.sum(dim=1)
        return self.prior.log_prob(x) + log_det


class ActorCritic(nn.Module):
    """An action drawn by the policy, and the clipped loss of PPO."""

    def __init__(self):
        super().__init__()
        self.body, self.policy, self.value = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 1)

    def forward(self, x):
        h = torch.tanh(self.body(x))
        choice = torch.distributions.Categorical(logits=self.policy(h))
        log_p, gain = choice.log_prob(choice.sample()), x.sum(1)
        ratio = torch.exp(log_p - log_p.detach())
        clipped = torch.min(ratio * gain, torch.clamp(ratio, 0.8, 1.2) * gain).mean()
        return F.mse_loss(self.value(h).squeeze(-1), gain) - clipped - 0.01 * choice.entropy().mean()


class Rotary(nn.Module):
    """Attention with rotary embeddings, grouped keys, and a mask of the precision's lowest number."""

    def __init__(self):
        super().__init__()
        self.q, self.kv = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.frequencies = 1.0 / (10000 ** (torch.arange(0, 4, 2).float() / 4))

    def turned(self, x):
        angle = torch.outer(torch.arange(x.shape[-2]).type_as(self.frequencies), self.frequencies)
        angle, (a, b) = torch.cat((angle, angle), -1), x.chunk(2, -1)
        return x * angle.cos() + torch.cat((-b, a), -1) * angle.sin()

    def forward(self, x):
        n, length, _ = x.shape
        q = self.turned(self.q(x).view(n, length, 2, 4).transpose(1, 2))
        k, v = self.kv(x).view(n, length, 2, 1, 4).expand(-1, -1, -1, 2, -1).unbind(2)
        scores = q @ self.turned(k.transpose(1, 2)).transpose(-1, -2) / 2
        scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), torch.finfo(scores.dtype).min)
        return (F.softmax(scores.float(), -1).type_as(q) @ v.transpose(1, 2)).transpose(1, 2).reshape(n, length, 8)


class Contrastive(nn.Module):
    """SimCLR: two noisy views, all pairs but those of a row with itself."""

    def __init__(self):
        super().__init__()
        self.f = nn.Linear(4, 3)

    def forward(self, x):
        z = F.normalize(self.f(torch.cat([x, x + 0.1 * torch.randn_like(x)])), dim=1)
        alike, n = z @ z.T, len(z)
        others = alike[~torch.eye(n, dtype=torch.bool)].view(n, -1) / 0.5
        same = torch.cat([torch.diag(alike, n // 2), torch.diag(alike, -n // 2)])
        return (torch.logsumexp(others, 1) - same / 0.5).mean()


class Boxes(nn.Module):
    """A YOLO head: parts of one tensor by different functions, and how much boxes overlap."""

    def __init__(self):
        super().__init__()
        self.c, self.anchors = nn.Conv2d(1, 14, 1), torch.tensor([[1.0, 2.0], [3.0, 1.0]])

    def forward(self, x):
        p = self.c(x).view(1, 2, 7, 4, 4).permute(0, 1, 3, 4, 2).contiguous()
        grid = torch.stack(torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="xy"), -1)
        out = torch.empty_like(p)
        out[..., :2] = torch.sigmoid(p[..., :2]) + grid
        out[..., 2:4] = torch.exp(p[..., 2:4]) * self.anchors.view(1, 2, 1, 1, 2)
        out[..., 4:] = p[..., 4:].sigmoid()
        low, high = out[..., :2] - out[..., 2:4] / 2, out[..., :2] + out[..., 2:4] / 2
        common = (torch.min(high[:, 0], high[:, 1]) - torch.max(low[:, 0], low[:, 1])).clamp(0).prod(-1)
        return out, common


KINDS = {
    GraphAttention: (5, 4), OfNeighbours: (5, 4), Experts: (6, 4), Quantized: (5, 4), SelectiveScan: (2, 5, 4),
    Flow: (3, 4), ActorCritic: (5, 4), Rotary: (2, 5, 8), Contrastive: (4, 4), Boxes: (1, 1, 4, 4),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda cls: cls.__name__)
def test_a_model_of_this_kind(kind, dtype):
    torch.manual_seed(0)
    model = kind()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    report = check_model(model, torch.randn(KINDS[kind]), dtype=dtype, by_layer=True)
    assert report, str(report)
    named = {t.name for t in report.tensors}
    assert all({f"{n}.grad", f"d{n}"} & named for n, _ in model.named_parameters())
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
