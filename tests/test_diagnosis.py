"""The mistake is named: plain NumPy gradients with a mistake in them, of many kinds of functions, on random shapes."""

import re
from dataclasses import replace
from types import SimpleNamespace as Space

import diagnosis_cases
import numpy as np
import pytest
import torch

import manualbp as m
from reference import check_function
from reference.diagnose.diagnosis import diagnose
from reference.diagnose.evidence import Evidence
from reference.diagnose.replays import of_layer
from reference.draw.case import Case
from reference.faults import faults
from reference.sides.hand import Hand

TRIALS = 3  # of different sizes, as a check makes them
LEAST = 0.95  # of the catalogue's mistakes must be named first


def evidence(function, wrong, rng):
    """What a check would know of one trial: a piece of evidence for every wrong gradient."""
    arrays, sizes, numbers = function.draw(rng)
    tensors = {n: torch.tensor(a, requires_grad=a.dtype.kind == "f") for n, a in arrays.items()}
    y = function.truth(*tensors.values())
    draw = (lambda s: rng.integers(1, 4, s) * rng.choice([-1.0, 1.0], s)) if function.small else rng.standard_normal
    dy = np.asarray(draw(tuple(y.shape)), float)
    y.backward(torch.as_tensor(dy))
    right = {n: t.grad.numpy() for n, t in tensors.items() if t.grad is not None}
    known = arrays | {"dy": dy, "y": y.detach().numpy()}
    given = right | wrong(Space(**{**sizes, **arrays}, dy=dy, y=known["y"], g=Space(**right)))
    for n, a in arrays.items():
        numbers |= {f"{n}.shape[{i}]": k for i, k in enumerate(a.shape) if k not in numbers.values()}
        numbers |= {f"{n}.size": a.size} if a.ndim > 1 else {}
    for n, g in right.items():
        bound = 2.0**-46 * np.abs(g).max(initial=0)
        yours = np.zeros(0) if given[n] is None else given[n]
        if yours.shape != g.shape or not np.isfinite(yours).all() or np.abs(yours - g).max(initial=0) > bound:
            all_given = {k: v for k, v in given.items() if v is not None}
            yield Evidence(n, yours, g, bound, known, right, all_given, numbers)


def suspects(case, seed):
    _, function, wrong = case
    rng = np.random.default_rng(seed)
    return diagnose([replace(e, trial=k) for k in range(TRIALS) for e in evidence(function, wrong, rng)])


@pytest.mark.parametrize("draw", range(5))
def test_the_catalogues_mistakes_are_named_first(draw):
    missed = []
    for i, case in enumerate(diagnosis_cases.KNOWN):
        found = suspects(case, (i, 7 + draw))
        if not found or (found[0].fault or "").split(".")[0] != case[0]:
            missed.append((case[0], found[0].fault if found else None))
    share = 1 - len(missed) / len(diagnosis_cases.KNOWN)
    print(f"{share:.1%} of {len(diagnosis_cases.KNOWN)} mistakes named first; not: {missed}")
    assert len({case[0] for case in diagnosis_cases.KNOWN}) >= 60
    assert share >= LEAST, missed


def test_mistakes_that_no_catalogue_has_are_explained():
    explained = 0
    for i, case in enumerate(diagnosis_cases.UNKNOWN):
        told = " ".join(f"{s.text} {s.relation}" for s in suspects(case, (i, 8))[:2])
        explained += bool(re.search(case[0], told))
    print(f"{explained} of {len(diagnosis_cases.UNKNOWN)} mistakes outside of the catalogue explained")
    assert explained >= 0.7 * len(diagnosis_cases.UNKNOWN)


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_given_no_name(seed):
    rng = np.random.default_rng(seed)
    function = diagnosis_cases.affine
    noise = (evidence(function, lambda a: {"w": rng.standard_normal(a.w.shape)}, rng) for _ in range(TRIALS))
    found = [replace(e, trial=k) for k, of in enumerate(noise) for e in of]
    assert diagnose(found) == ()


def test_mistakes_are_replayed_in_the_order_of_the_layers():
    """So that among equals the first is the same in every process: a digest of a campaign depends on it."""
    layers = m.Linear(3, 4), m.Softplus(), m.LayerNorm(4), m.Tanh(), m.Softmax(-1), m.Sigmoid()
    case = Case(m.Sequential(*layers), (5, 3))
    found = list(of_layer(case.layer, 0, case.trial()))
    inside = [fault for layer in layers for fault in faults(type(layer).__name__)]
    assert found == [fault for fault in dict.fromkeys([*faults("Sequential"), *inside]) if fault in found]
    assert len(found) > len(layers)


def test_a_mistake_that_changes_nothing_is_no_evidence():
    """What the right code by hand gives there itself, as NaN beside a finite number in torch, no mistake explains."""
    layer = m.Sequential(m.Linear(3, 4), m.operations.Mul(other=float("inf")), m.operations.Mul(other=0.0))
    case = Case(layer, (5, 3))
    right = Hand(layer).run(case.trial())
    assert np.isnan(next(a for n, a in right.items() if n.path == "x")).all()
    found = of_layer(layer, 0, case.trial())
    assert len(found) > 5
    assert not any(np.array_equal(a, right[n], equal_nan=True) for run in found.values() for n, a in run.items())


def test_a_factor_is_no_second_path():
    def forward(x, u, v):
        return x + 2 * (x @ u) @ v, (x, u, v)

    def backward(dy, cache):
        x, u, v = cache
        return dy + 2 * dy @ v.T @ u.T, 2 * x.T @ (dy @ v.T), (x @ u).T @ dy

    report = check_function(
        forward, backward, against=lambda x, u, v: x + 2 * x @ u @ v,
        inputs={"x": ("N", "D"), "u": ("D", "R"), "v": ("R", "D")},
    )  # fmt: skip
    assert "½ times" in report.suspects[0].text
    assert not [s for s in report.suspects if s.fault == "F11"]
