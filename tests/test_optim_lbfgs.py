"""LBFGS beyond the laws: it minimises, evaluates as often as torch does, and says what it cannot do."""

import numpy as np
import pytest
import torch

from manualbp.optim import LBFGS
from manualbp.optim.lbfgs import Trial, minimum_of_cubic

SEARCHES = pytest.mark.parametrize("search", [None, "strong_wolfe"])


def rosenbrock(counter):
    def closure(params):
        counter.append(1)
        x, y = params["x"], params["y"]
        grads = {"x": -2 * (1 - x) - 400 * x * (y - x * x), "y": 200 * (y - x * x)}
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2, grads

    return closure


def by_hand(opt, start, steps):
    params, state, calls = dict(zip("xy", map(np.array, start), strict=True)), {}, []
    for _ in range(steps):
        params, state = opt.step(params, rosenbrock(calls), state)
    return np.array([params["x"], params["y"]]), len(calls), state["x"]


def by_torch(opt, start, steps):
    x, y = (torch.tensor(s, dtype=torch.float64, requires_grad=True) for s in start)
    made = torch.optim.LBFGS([x, y], lr=opt.lr, max_iter=opt.max_iter, line_search_fn=opt.line_search_fn)
    calls = []

    def closure():
        calls.append(1)
        made.zero_grad()
        f = (1 - x) ** 2 + 100 * (y - x * x) ** 2
        f.backward()
        return f

    for _ in range(steps):
        made.step(closure)
    return np.array([x.item(), y.item()]), len(calls), made.state[x]


@SEARCHES
@pytest.mark.parametrize("start", [(-1.2, 1.0), (2.0, 2.0), (0.0, -1.0)])
def test_it_takes_the_same_way_as_torch(search, start):
    opt = LBFGS(lr=1 if search else 1e-3, max_iter=5, line_search_fn=search)
    (p, n, s), (q, m, r) = by_hand(opt, start, 2), by_torch(opt, start, 2)
    assert n == m
    assert (s["func_evals"], s["n_iter"]) == (r["func_evals"], r["n_iter"])
    np.testing.assert_allclose(p, q, rtol=1e-9)  # of ten steps, each of which amplifies the rounding of the last


def test_strong_wolfe_finds_the_minimum_of_a_curved_valley():
    p, calls, _ = by_hand(LBFGS(tolerance_change=1e-16, line_search_fn="strong_wolfe"), (-1.2, 1.0), 4)
    np.testing.assert_allclose(p, [1.0, 1.0], atol=1e-8)
    assert calls < 100


def test_at_a_minimum_it_stays():
    params, state, calls = {"x": np.array(1.0), "y": np.array(1.0)}, {}, []
    moved, state = LBFGS().step(params, rosenbrock(calls), state)
    assert (moved["x"], moved["y"], len(calls)) == (1.0, 1.0, 1)
    assert state["x"] == {"func_evals": 1, "n_iter": 0}


@pytest.mark.parametrize("seed", range(5))
def test_the_minimum_of_a_cubic_is_that(seed):
    """A cubic that has one, f′ = 3c(t − a)(t − b) with a < b, is lowest at b; whatever two points it is known by."""
    rng = np.random.default_rng(seed)
    a, b = np.sort(rng.standard_normal(2))
    f = np.polynomial.Polynomial.fromroots([a, b]).integ()
    at = lambda t: Trial(t, f(t), np.zeros(1), f.deriv()(t))  # noqa: E731
    low, high = b - rng.random(), b + rng.random()
    for pair in ((at(low), at(high)), (at(high), at(low))):
        assert minimum_of_cubic(*pair) == pytest.approx(b, rel=1e-10, abs=1e-10)
    assert minimum_of_cubic(at(low), at(high), (b + 1, b + 2)) == pytest.approx(b + 1)


def test_what_it_cannot_do_is_named():
    with pytest.raises(ValueError, match='needs line_search_fn None or "strong_wolfe"'):
        LBFGS(line_search_fn="armijo")
    with pytest.raises(ValueError, match="grads has none of w"):
        LBFGS().step({"w": np.ones(2)}, lambda params: (0.0, {}), {})
    _, state = LBFGS().step({"w": np.ones(2)}, lambda p: ((p["w"] ** 2).sum(), {"w": 2 * p["w"]}), {})
    with pytest.raises(ValueError, match="the same parameters at every step; it had 2 entries, now 3"):
        LBFGS().step({"w": np.ones(3)}, lambda p: ((p["w"] ** 2).sum(), {"w": 2 * p["w"]}), state)
