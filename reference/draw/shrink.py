"""The smallest case that still fails, found by making the record of its decisions shorter and its numbers smaller."""

from collections.abc import Callable, Iterator


def shrink(indices: list[int], fails: Callable[[list[int]], list[int] | None], tries: int = 400) -> list[int]:
    """A smaller record that still fails. `fails` gives the record as it was used, or None where the case passes."""
    best, left = indices, tries
    while True:
        for candidate in _smaller(best):
            if left == 0:
                return best
            left -= 1
            used = fails(candidate)
            if used is not None and _size(used) < _size(best):
                best = used
                break
        else:
            return best


def _size(indices: list[int]) -> tuple[int, int, list[int]]:
    return len(indices), sum(indices), indices


def _smaller(indices: list[int]) -> Iterator[list[int]]:
    """Without a run of decisions, the longest runs first; then with a decision nearer to the simplest."""
    n, width = len(indices), len(indices) // 2
    while width:
        yield from (indices[:i] + indices[i + width :] for i in range(0, n - width + 1, max(width // 2, 1)))
        yield from ([*indices[:i], *([0] * width), *indices[i + width :]] for i in range(0, n - width + 1, width))
        width //= 2
    for i in range(n):
        yield from (
            [*indices[:i], k, *indices[i + 1 :]] for k in {0, indices[i] // 2, indices[i] - 1} if 0 <= k < indices[i]
        )
