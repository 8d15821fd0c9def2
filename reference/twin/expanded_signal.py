"""Calls of signal processing that are several operations: torch code of the same meaning, read in their place."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (its name everywhere)

from .step import UnknownCallError

NORMS = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


def shifted(way: int) -> Callable[..., Any]:
    """The frequency 0 in the middle of each axis (1), or back at its start (−1)."""

    def call(input: Any, dim: Any = None) -> Any:
        dims = tuple(range(input.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
        sizes = [input.shape[d] for d in dims]
        return torch.roll(input, tuple(n // 2 if way > 0 else -(n // 2) for n in sizes), dims)

    return call


def hfft(input: Any, n: Any = None, dim: int = -1, norm: Any = None) -> Any:
    """The transform of what is its own conjugate in reverse, of which one half is given."""
    return torch.fft.irfft(input.conj(), n, dim, NORMS[norm])


def ihfft(input: Any, n: Any = None, dim: int = -1, norm: Any = None) -> Any:
    return torch.fft.rfft(input, n, dim, NORMS[norm]).conj()


def window_of(window: Any, win_length: Any, n_fft: int) -> Any:
    """The window in the middle of n_fft entries; None for one of ones."""
    short = n_fft - (win_length or n_fft)
    if window is None and short == 0:
        return None
    window = torch.ones(win_length) if window is None else window
    return F.pad(window, (short // 2, short - short // 2)) if short else window


def stft(
    input: Any, n_fft: int, hop_length: Any = None, win_length: Any = None, window: Any = None, center: bool = True,
    pad_mode: str = "reflect", normalized: bool = False, onesided: Any = None, return_complex: Any = None,
    align_to_window: Any = None,
) -> Any:  # fmt: skip
    """Frames that overlap, under a window, each transformed."""
    if align_to_window:
        raise UnknownCallError("stft with align_to_window has no class here")
    x = input if input.ndim == 2 else input.unsqueeze(0)
    if center:
        x = F.pad(x.unsqueeze(1), (n_fft // 2, n_fft // 2), mode=pad_mode).squeeze(1)
    frames, window = x.unfold(-1, n_fft, hop_length or n_fft // 4), window_of(window, win_length, n_fft)
    frames = frames if window is None else frames * window
    whole = onesided is False or frames.is_complex() or (window is not None and window.is_complex())
    y = (torch.fft.fft if whole else torch.fft.rfft)(frames, norm="ortho" if normalized else None).transpose(-1, -2)
    y = y if input.ndim == 2 else y.squeeze(0)
    return y if return_complex else torch.view_as_real(y)


def istft(
    input: Any, n_fft: int, hop_length: Any = None, win_length: Any = None, window: Any = None, center: bool = True,
    normalized: bool = False, onesided: Any = None, length: Any = None, return_complex: bool = False,
) -> Any:  # fmt: skip
    """Frames of a half spectrum back under the window, added where they overlap, over the sum of its squares."""
    if return_complex or onesided is False:
        raise UnknownCallError("istft of a whole spectrum has no class here")
    z = input if input.ndim == 3 else input.unsqueeze(0)
    hop, window = hop_length or n_fft // 4, window_of(window, win_length, n_fft)
    frames = torch.fft.irfft(z, n_fft, 1, "ortho" if normalized else None)
    window = (torch.ones(n_fft) if window is None else window).unsqueeze(-1)
    total, start = n_fft + hop * (z.shape[-1] - 1), n_fft // 2 if center else 0
    added = F.fold(frames * window, (1, total), (1, n_fft), stride=(1, hop))[:, 0, 0]
    squares = F.fold((window * window).expand(n_fft, z.shape[-1]).unsqueeze(0), (1, total), (1, n_fft), stride=(1, hop))
    end = start + length if length is not None else total - start
    y = added[:, start:end] / squares[:, 0, 0, start:end]
    y = F.pad(y, (0, length - y.shape[-1])) if length is not None and length > y.shape[-1] else y
    return y if input.ndim == 3 else y.squeeze(0)


SIGNAL: Mapping[str, Callable[..., Any]] = {
    "torch.fft.fftshift": shifted(1), "torch.fft.ifftshift": shifted(-1),
    "torch.fft.hfft": hfft, "torch.fft.ihfft": ihfft,
    **dict.fromkeys(("torch.stft", "Tensor.stft"), stft),
    **dict.fromkeys(("torch.istft", "Tensor.istft"), istft),
}  # fmt: skip
