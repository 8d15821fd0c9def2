"""Models that compute with complex numbers inside, small, as real ones do."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class Rotary(nn.Module):
    """Attention whose queries and keys are turned, pairs of features as complex numbers."""

    def __init__(self, width=8, heads=2, length=5):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        size = width // heads
        speeds = 100.0 ** (-torch.arange(0, size, 2)[: size // 2].float() / size)
        angles = torch.outer(torch.arange(length), speeds)
        self.register_buffer("freqs_cis", torch.polar(torch.ones_like(angles), angles), persistent=False)

    def turned(self, x):
        z = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        freqs = self.freqs_cis.view(1, z.shape[1], 1, z.shape[-1])
        return torch.view_as_real(z * freqs).flatten(3).type_as(x)

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (self.heads, -1)) for t in self.qkv(x).chunk(3, -1))
        q, k, v = (t.transpose(1, 2) for t in (self.turned(q), self.turned(k), v))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class FourierMixing(nn.Module):
    """A block of FNet: two transforms in the place of attention."""

    def __init__(self):
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(6), nn.Linear(6, 6)

    def forward(self, x):
        x = self.norm(x + torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real)
        return x + F.gelu(self.inner(x))


class GlobalFilter(nn.Module):
    """A layer of GFNet: a learned product in the spectrum of an image."""

    def __init__(self, a=4, b=6, width=3):
        super().__init__()
        self.complex_weight = nn.Parameter(torch.randn(a, b // 2 + 1, width, 2) * 0.5)

    def forward(self, x):
        z = torch.fft.rfft2(x, dim=(1, 2), norm="ortho")
        z = z * torch.view_as_complex(self.complex_weight)
        return torch.fft.irfft2(z, s=x.shape[1:3], dim=(1, 2), norm="ortho")


class AdaptiveFilter(nn.Module):
    """A layer of AFNO: a small network on the two parts of a spectrum, and soft thresholding."""

    def __init__(self, width=3):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(2, width, width)), nn.Parameter(torch.randn(2, width))

    def forward(self, x):
        z = torch.fft.rfft2(x, dim=(1, 2), norm="ortho")
        re = torch.einsum("...i,io->...o", z.real, self.w[0]) - torch.einsum("...i,io->...o", z.imag, self.w[1])
        im = torch.einsum("...i,io->...o", z.imag, self.w[0]) + torch.einsum("...i,io->...o", z.real, self.w[1])
        y = torch.stack([F.relu(re + self.b[0]), F.relu(im + self.b[1])], -1)
        y = torch.view_as_complex(F.softshrink(y, 0.01))
        return x + torch.fft.irfft2(y, s=x.shape[1:3], dim=(1, 2), norm="ortho")


class SpectralConv(nn.Module):
    """A layer of a Fourier neural operator: the lowest frequencies mixed by complex parameters, the rest left out."""

    def __init__(self, width=2, modes=2):
        super().__init__()
        self.modes = modes
        self.low = nn.Parameter(torch.randn(width, 3, modes, modes, dtype=torch.cfloat))
        self.high = nn.Parameter(torch.randn(width, 3, modes, modes, dtype=torch.cfloat))

    def forward(self, x):
        m, z = self.modes, torch.fft.rfft2(x)
        y = torch.zeros(len(x), 3, x.size(-2), x.size(-1) // 2 + 1, dtype=torch.cfloat, device=x.device)
        y[:, :, :m, :m] = torch.einsum("bixy,ioxy->boxy", z[:, :, :m, :m], self.low)
        y[:, :, -m:, :m] = torch.einsum("bixy,ioxy->boxy", z[:, :, -m:, :m], self.high)
        return torch.fft.irfft2(y, s=(x.size(-2), x.size(-1)))


class Autocorrelation(nn.Module):
    """Autoformer's attention: of a period, found in the spectrum."""

    def __init__(self, width=4):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x):
        q, k, v = (f(x).transpose(1, 2) for f in (self.q, self.k, self.v))
        found = torch.fft.rfft(q, dim=-1) * torch.conj(torch.fft.rfft(k, dim=-1))
        corr = torch.fft.irfft(found, dim=-1, n=q.shape[-1])
        mean = corr.mean(1)
        index = torch.topk(mean.mean(0), 2, dim=-1)[1]
        weights = torch.softmax(torch.stack([mean[:, index[i]] for i in range(2)], -1), -1)
        return sum(torch.roll(v, -int(index[i]), -1) * weights[:, i, None, None] for i in range(2))


class DiagonalStateSpace(nn.Module):
    """S4D: a convolution as long as its input, whose kernel is a sum of complex exponentials."""

    def __init__(self, width=3, state=4):
        super().__init__()
        self.log_dt, self.C = nn.Parameter(torch.randn(width) - 1), nn.Parameter(torch.randn(width, state, 2))
        self.log_re = nn.Parameter(torch.log(0.5 * torch.ones(width, state)))
        self.im = nn.Parameter(math.pi * torch.arange(state).repeat(width, 1).float())

    def kernel(self, length):
        dt, C = torch.exp(self.log_dt), torch.view_as_complex(self.C)
        A = -torch.exp(self.log_re) + 1j * self.im
        dtA = A * dt.unsqueeze(-1)
        K = dtA.unsqueeze(-1) * torch.arange(length)
        C = C * (torch.exp(dtA) - 1.0) / A
        return 2 * torch.einsum("hn,hnl->hl", C, torch.exp(K)).real

    def forward(self, u):
        n = u.size(-1)
        k_f, u_f = torch.fft.rfft(self.kernel(n), n=2 * n), torch.fft.rfft(u, n=2 * n)
        return torch.fft.irfft(u_f * k_f, n=2 * n)[..., :n] + u


class LongConvolution(nn.Module):
    """Hyena's: gated, by the transform, with a kernel of its own parameters."""

    def __init__(self, width=3, length=7):
        super().__init__()
        self.k, self.gate = nn.Parameter(torch.randn(width, length)), nn.Linear(length, length)

    def forward(self, x):
        n = x.shape[-1]
        y = torch.fft.irfft(torch.fft.rfft(x, n=2 * n) * (torch.fft.rfft(self.k, n=2 * n) / (2 * n)), norm="forward")
        return y[..., :n] * torch.sigmoid(self.gate(x))


class SpectralLoss(nn.Module):
    """How far the spectra of frames are apart, in size and on a logarithmic scale."""

    def __init__(self, n=6):
        super().__init__()
        self.n, self.net = n, nn.Conv1d(1, 1, 3, padding=1)
        self.register_buffer("window", torch.hann_window(n))

    def spectrum(self, x):
        frames = F.pad(x, (self.n // 2, self.n // 2), mode="reflect").squeeze(1).unfold(-1, self.n, 2) * self.window
        return torch.fft.rfft(frames).abs()

    def forward(self, x, t):
        a, b = self.spectrum(self.net(x)), self.spectrum(t)
        return (a - b).norm() / b.norm() + F.l1_loss(torch.log(a + 1e-3), torch.log(b + 1e-3))


class Stft(nn.Module):
    """A mask on the short-time transform of a signal."""

    def __init__(self, n=8):
        super().__init__()
        self.n, self.mask = n, nn.Linear(n // 2 + 1, n // 2 + 1)
        self.register_buffer("window", torch.hamming_window(n))

    def forward(self, x):
        z = torch.stft(x, self.n, 2, window=self.window, return_complex=True)
        m = torch.sigmoid(self.mask(z.abs().transpose(1, 2))).transpose(1, 2)
        return torch.istft(z * m, self.n, 2, window=self.window, length=x.shape[-1])


class ComplexNetwork(nn.Module):
    """Complex layers with modReLU between them: complex input, parameters and output."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5, dtype=torch.cfloat), nn.Linear(5, 3, dtype=torch.cfloat)
        self.b = nn.Parameter(-0.1 * torch.rand(5))

    def forward(self, z):
        h = self.first(z)
        size = h.abs()
        return self.last(F.relu(size + self.b) * h / (size + 1e-3))


class LinearRecurrence(nn.Module):
    """A linear recurrent unit: complex eigenvalues inside the unit circle, step by step."""

    def __init__(self, width=3, state=4):
        super().__init__()
        self.nu, self.theta = nn.Parameter(torch.randn(state) * 0.3), nn.Parameter(torch.randn(state))
        self.B = nn.Parameter(torch.randn(state, width, dtype=torch.cfloat))
        self.C = nn.Parameter(torch.randn(width, state, dtype=torch.cfloat))

    def forward(self, x):
        turn = torch.exp(torch.complex(-torch.exp(self.nu), torch.exp(self.theta)))
        Bx = x.to(torch.cfloat) @ self.B.T
        h, states = torch.zeros_like(Bx[:, 0]), []
        for u in Bx.unbind(1):
            h = turn * h + u
            states.append(h)
        return (torch.stack(states, 1) @ self.C.mT).real


class LowPass(nn.Module):
    """The middle of a shifted spectrum kept, and phases turned."""

    def __init__(self):
        super().__init__()
        self.phase = nn.Parameter(torch.randn(6))

    def forward(self, x):
        z = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1))
        keep = torch.zeros(x.shape[-2:], dtype=torch.bool)
        keep[1:-1, 1:-1] = True
        z = torch.where(keep, z, torch.zeros_like(z)) * torch.polar(torch.ones(6), self.phase)
        return torch.fft.ifft2(torch.fft.ifftshift(z, dim=(-2, -1))).real


class RotationScore(nn.Module):
    """RotatE: relations turn embeddings in the complex plane."""

    def __init__(self):
        super().__init__()
        self.entities, self.relations = nn.Embedding(7, 8), nn.Embedding(3, 4)

    def forward(self, head, relation, tail):
        h, t = (torch.complex(*self.entities(i).chunk(2, -1)) for i in (head, tail))
        r = torch.polar(torch.ones(4), self.relations(relation))
        return 6.0 - (h * r - t).abs().sum(-1), torch.angle(h * r)


class Holographic(nn.Module):
    """Vectors bound by circular correlation, and brought back to their lengths."""

    def __init__(self):
        super().__init__()
        self.keys = nn.Parameter(torch.randn(3, 6))

    def forward(self, x):
        bound = torch.fft.ifft(torch.fft.fft(x).conj() * torch.fft.fft(self.keys), norm="backward").real
        z = torch.fft.hfft(torch.fft.ihfft(bound, n=6), n=6)
        return torch.linalg.vector_norm(torch.fft.rfft(z), dim=-1), (torch.fft.fftn(z, norm="forward") ** 2).mean(
            0
        ).imag


class Hermitian(nn.Module):
    """A mixed state: products with the adjoint, its trace, and an expected value."""

    def __init__(self):
        super().__init__()
        self.psi = nn.Parameter(torch.randn(3, 4, 2))
        self.register_buffer("observed", torch.randn(4, 4, dtype=torch.cfloat))

    def forward(self, x):
        psi = torch.view_as_complex(self.psi) * torch.exp(1j * x)
        rho = psi.mH @ psi
        rho = rho / rho.diagonal().sum()
        return torch.einsum("ij,ji->", rho, self.observed + self.observed.adjoint()).real, (
            rho - rho.T.conj()
        ).abs().sum()


def images(channels_last=True):
    return torch.randn(2, 4, 6, 3) if channels_last else torch.randn(2, 2, 6, 6)


MODELS = {
    "rotary attention": (Rotary, lambda: (torch.randn(2, 5, 8),)),
    "FNet": (FourierMixing, lambda: (torch.randn(2, 5, 6),)),
    "GFNet": (GlobalFilter, lambda: (images(),)),
    "AFNO": (AdaptiveFilter, lambda: (images(),)),
    "FNO": (SpectralConv, lambda: (images(channels_last=False),)),
    "Autoformer": (Autocorrelation, lambda: (torch.randn(2, 9, 4),)),
    "S4D": (DiagonalStateSpace, lambda: (torch.randn(2, 3, 6),)),
    "long convolution": (LongConvolution, lambda: (torch.randn(2, 3, 7),)),
    "spectral loss": (SpectralLoss, lambda: (torch.randn(2, 1, 16), torch.randn(2, 1, 16))),
    "short-time transform": (Stft, lambda: (torch.randn(2, 20),)),
    "complex network": (ComplexNetwork, lambda: (torch.randn(3, 4, dtype=torch.cfloat),)),
    "linear recurrence": (LinearRecurrence, lambda: (torch.randn(2, 4, 3),)),
    "low pass": (LowPass, lambda: (torch.randn(2, 5, 6),)),
    "RotatE": (RotationScore, lambda: (torch.tensor([0, 3, 6]), torch.tensor([1, 0, 1]), torch.tensor([2, 2, 5]))),
    "holographic": (Holographic, lambda: (torch.randn(3, 6),)),
    "Hermitian": (Hermitian, lambda: (torch.randn(3, 4),)),
}
