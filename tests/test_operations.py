"""Operations where the laws' random examples do not go: ties, zeros, bounds, integers, indices, wrong calls."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: F401, N812  (names in `calls` are looked up in torch)

import manualbp
from manualbp import operations as ops
from manualbp.base import registry
from manualbp.operations import rotations
from reference.draw.trial import Trial
from reference.sides.hand import by_hand
from reference.sides.module import twin_of
from reference.sides.run import OUTPUT, Name
from reference.twin.conventions import as_in
from reference.twin.layers import from_torch, to_torch
from reference.twin.operations import TABLE
from reference.twin.rules import indexed

OPERATIONS = {n: c for n, c in registry().items() if issubclass(c, ops.Operation)}
INF, NAN = math.inf, math.nan
SPECIAL = np.array([-INF, -2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, INF, NAN])
A = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, -1.0]])
REPEATED, MASK = np.array([2, 0, 0, 1]), np.array([True, False, True])


def alike(layer, x, dy=None):
    """Outputs and gradients of both sides are the same numbers, NaN and ∞ in the same places."""
    y, _ = layer.forward({}, x)
    ones = [np.linspace(0.5, 1.5, a.size).reshape(a.shape) for a in (y if isinstance(y, tuple) else (y,))]
    dy = (ones[0], None) if isinstance(y, tuple) else ones[0] if dy is None else dy
    hand, torch_ = by_hand(as_in(layer), {}, x, dy), twin_of(layer).run(Trial(x, params={}, dy=dy))
    assert hand.keys() == torch_.keys()
    for name, a in hand.items():
        assert (a is None) == (torch_[name] is None), name
        if a is not None:
            close(a, torch_[name], f"{layer} {name}")


def close(a, b, told):
    assert a.dtype == b.dtype, told
    np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15, err_msg=told)


@pytest.mark.parametrize("name", [n for n, c in OPERATIONS.items() if issubclass(c, ops.functions.Function)])
def test_a_function_is_torchs_at_zero_below_and_at_infinity(name):
    alike(OPERATIONS[name](), SPECIAL[:-1] if name in ("Sign", "Abs") else SPECIAL)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (ops.Amax(dim=1), A),
        (ops.Amax(), A),
        (ops.Amin(dim=0), A),
        (ops.Max(1), A),
        (ops.Min(1), A),
        (ops.Max(0), np.tile([1.0, 2.0], 100)),
        (ops.Min(0), np.tile([1.0, 2.0], 100)),
        (ops.Argmax(), np.tile([1.0, 2.0], 100)),
        (ops.MedianOfAll(), A),
        (ops.MedianOfAll(), SPECIAL),
        (ops.NanMedianOfAll(), SPECIAL),
        (ops.Median(0), np.array([NAN, 2.0, 1.0])),
        (ops.NanMedian(0), np.array([3.0, NAN, 1.0])),
        (ops.Kthvalue(3), np.array([3.0, NAN, 1.0])),
        *[(f(0), np.array([1.0, 2.0, 2.0, 1.0, 3.0])) for f in (ops.Cummax, ops.Cummin)],
        *[(f(0), np.array([1.0, NAN, 2.0, NAN, 0.0])) for f in (ops.Cummax, ops.Cummin)],
        (ops.Cummax(1), A),
        (ops.Sort(descending=True), np.tile([1.0, 2.0], 20)),
        (ops.Argsort(), np.tile([1.0, 2.0], 20)),
        (ops.Maximum(), (A, A)),
        (ops.Minimum(other=2.0), A),
        (ops.Maximum(), (SPECIAL, SPECIAL[::-1].copy())),
        (ops.Clamp(-1.0, 1.0), SPECIAL[:-1]),
        (ops.Clamp(2.0, 1.0), A),
        (ops.Clamp(), (A, np.full((2, 3), 2.0), np.full((2, 3), 2.0))),
        (ops.Clamp(), (A, np.array([3.0, 0.0, 2.0]), np.array([1.0, 2.5, 2.0]))),
        (ops.Clamp(), (A, None, np.array([1.0, 2.5, 2.0]))),
        (ops.Std(dim=0), np.ones((3, 2))),
        (ops.Std(dim=0, correction=0), np.ones((1, 2))),
        (ops.Prod(dim=1), np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [2.0, 4.0, -3.0]])),
        (ops.Cumprod(dim=1), np.array([[2.0, 0.0, 3.0, 4.0], [0.0, 0.0, 3.0, 1.0], [2.0, 4.0, -3.0, 0.5]])),
        (ops.Cumprod(dim=0), np.array(2.0)),
        (ops.MaskedScatter(), (A, MASK, np.arange(5.0))),
        (ops.MaskedScatter(), (A, np.tile(MASK, (2, 1)), np.arange(8.0).reshape(2, 4))),
        (ops.Windows(1, 2, 1), A),
        (ops.Windows(0, 2, 3), np.arange(7.0)),
        (ops.LogSumExp(dim=0), np.array([[-INF, INF, 1.0], [-INF, 0.0, 2.0]])),
        (ops.Where(), (MASK, np.array([NAN, 1.0, 2.0]), np.array([1.0, NAN, INF]))),
        (ops.MaskedFill(-INF), (A, MASK)),
        (ops.Div(), (np.array([0.0, 1.0, -1.0]), np.zeros(3))),
        (ops.Pow(), (np.array([0.0, 0.0, 0.0, 2.0, -2.0, -2.0]), np.array([0.0, 2.0, -1.0, 3.0, 2.0, 3.0]))),
        (ops.Pow(input=0.0), np.array([-1.0, 0.0, 2.0])),
        (ops.Pow(exponent=0.5), np.array([-1.0, 0.0, 4.0])),
        (ops.Pow(exponent=0), np.array([-1.0, 0.0, NAN])),
        (ops.Normalize(dim=0), np.array([[0.0, 3.0], [0.0, 4.0]])),
        *[(f(), (SPECIAL[:, None], SPECIAL)) for f in (ops.Fmax, ops.Fmin, ops.Xlogy, ops.Xlog1py, ops.CopySign)],
        (ops.Fmod(), (SPECIAL[1:-2], np.full(7, 0.0))),
        (ops.Fmod(other=-0.75), SPECIAL),
        (ops.Atan2(), (A[0] - 1, np.zeros(3))),
        (ops.Atan2(), (np.zeros(3), np.array([1.0, 0.0, -1.0]))),
        (ops.Hypot(), (np.array([0.0, 3.0, 1e200, INF]), np.array([0.0, 0.0, 1e200, 1.0]))),
        (ops.NanToNum(nan=2.0, posinf=1.0), SPECIAL),
        *[(ops.Norm(p=p), np.array([3.0, 0.0, -3.0])) for p in (0, 1, 2, 3, 0.5, INF, -INF)],
        *[(ops.Norm(p=p), np.zeros(3)) for p in (0, 1, 2, 3, 0.5, INF, -INF)],
    ],
    ids=repr,
)
def test_ties_zeros_and_bounds_are_torchs(layer, x):
    alike(layer, x)


def test_a_query_that_sees_no_key_gets_zero_and_passes_no_gradient():
    q, k, v = np.random.default_rng(0).standard_normal((3, 2, 3, 4))
    mask = np.array([[True, False, False], [False, False, False], [True, True, True]])
    alike(ops.ScaledDotProductAttention(), (q, k, v, mask))
    y, _ = ops.ScaledDotProductAttention().forward({}, (q, k, v, mask))
    assert not y[:, 1].any()


@pytest.mark.parametrize(
    "index",
    [
        0, -1, slice(1, 3), slice(None, None, 2), ..., None, (slice(0, 0),), (slice(-2, None), ..., -1),
        (0, slice(None), [2, 0, 0]), ([2, 0, 0], slice(None), [1, 1, 0]), ([2, 0], None, [1, 1]), ([[0, 1], [2, 2]],),
        (slice(None), 1, [0, 0]), ([1, 0], 1, [0, 0]), (..., [True, False, True, True]),
        ([[True] * 3] * 3, [0] * 9),
    ],
    ids=repr,
)  # fmt: skip
def test_an_index_takes_and_puts_what_torch_does(index):
    text, tensors = indexed(index)
    x, arrays = np.arange(36.0).reshape(3, 3, 4), [t.numpy() for t in tensors]
    alike(ops.GetItem(text), (x, *arrays) if arrays else x)
    there = torch.from_numpy(x)[index]
    y, _ = ops.GetItem(text).forward({}, (x, *arrays) if arrays else x)
    assert np.array_equal(y, there.numpy())
    alike(ops.SetItem(text, accumulate=True), (x, np.asarray(y) + 1, *arrays))


def test_repeated_indices_collect():
    dy = np.array([1.0, 2.0, 4.0, 8.0])
    for layer in (ops.GetItem("i"), ops.IndexSelect(0), ops.Gather(0)):
        _, cache = layer.forward({}, (np.zeros(3), REPEATED))
        (dx, no_gradient), _ = layer.backward({}, cache, dy)
        assert dx.tolist() == [6.0, 8.0, 1.0], layer
        assert no_gradient is None


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (ops.Add(other=2), REPEATED),
        (ops.Mul(), (REPEATED, REPEATED[:, None])),
        (ops.FloorDivide(other=2), REPEATED),
        (ops.Remainder(other=2), REPEATED),
        (ops.Abs(), -REPEATED),
        (ops.Neg(), REPEATED),
        (ops.Reshape((2, 2)), REPEATED),
        (ops.Cumsum(0), REPEATED),
        (ops.SumOver(), REPEATED),
        (ops.Cat(), (REPEATED, REPEATED)),
        (ops.Maximum(other=1), REPEATED),
        (ops.Clamp(0, 1), REPEATED),
        (ops.MaskedFill(7), (REPEATED, REPEATED == 0)),
        (ops.GetItem("1:, None"), REPEATED),
        (ops.Eq(other=0), REPEATED),
        (ops.LogicalNot(), MASK),
        (ops.Tril(), np.ones((3, 3), bool)),
        (ops.To("float64"), MASK),
        (ops.OneHot(3), REPEATED),
    ],
    ids=repr,
)
def test_integers_and_masks_pass_and_have_no_gradient(layer, x):
    hand, torch_ = by_hand(layer, {}, x, None), twin_of(layer).run(Trial(x, params={}, dy=None))
    assert hand.keys() == torch_.keys()
    y = Name(OUTPUT, "y")
    assert all(hand[name] is None for name in hand.keys() - {y})
    assert np.array_equal(hand[y], torch_[y])
    assert hand[y].dtype == torch_[y].dtype


def test_integers_beside_real_arrays_keep_their_dtype_and_get_no_gradient():
    x = np.ones(3, np.float32), np.array([1, 2, 3])
    y, cache = ops.Mul().forward({}, x)
    assert y.dtype == np.float32
    (dx, no_gradient), _ = ops.Mul().backward({}, cache, y)
    assert dx.dtype == np.float32
    assert no_gradient is None


def test_a_part_that_nobody_uses_counts_as_zero():
    x = np.arange(6.0)
    for layer in (ops.Split(2), ops.Chunk(3), ops.Unbind()):
        y, cache = layer.forward({}, x)
        dx, _ = layer.backward({}, cache, (y[0], *(None,) * (len(y) - 1)))
        assert np.array_equal(np.asarray(dx)[: np.size(y[0])], np.ravel(y[0]))
        assert not np.asarray(dx)[np.size(y[0]) :].any()
    _, cache = ops.Sort().forward({}, x)
    assert not ops.Sort().backward({}, cache, (None, None))[0].any()


WRONG = [
    (lambda: ops.Add().forward({}, (A, np.ones((2, 2)))), "equally long, or 1 long"),
    (lambda: ops.Add().forward({}, A), "takes a tuple"),
    (lambda: ops.Add(1.0, 2.0), "has no input left"),
    (lambda: ops.Add().forward({}, (A, "x")), "array of numbers"),
    (lambda: ops.Matmul().forward({}, (A, A)), "as second input"),
    (lambda: ops.Einsum("ij,jk->ik").forward({}, (A, A)), "one length for every letter"),
    (lambda: ops.Einsum("ij").forward({}, (A, A)), "takes 1 inputs"),
    (lambda: ops.Einsum("ijk").forward({}, A), "an axis for every letter"),
    (lambda: ops.Reshape((2, -1, -1)), "−1 once"),
    (lambda: ops.Reshape((5,)).forward({}, A), "6 entries|5 entries"),
    (lambda: ops.Permute((0, 0)).forward({}, A), "2 axes"),
    (lambda: ops.Expand((4, 3)).forward({}, A), "broadcasts to size"),
    (lambda: ops.GetItem("5").forward({}, A), "no such place"),
    (lambda: ops.GetItem("x-1"), "is no index"),
    (lambda: ops.GetItem("::-1"), "slices as 1:3"),
    (lambda: ops.Gather(0).forward({}, (A, np.full((2, 3), 2))), "0, …, 1"),
    (lambda: ops.Cat().forward({}, A), "takes a tuple of arrays"),
    (lambda: ops.Cat().forward({}, (A, A[:, 1:])), "differ along axis 0 only"),
    (lambda: ops.Split((1, 2)).forward({}, A), "along dim"),
    (lambda: ops.SumOver(dim=2).forward({}, A), "an axis 2"),
    (lambda: ops.SumOver(dim=(0, 0)).forward({}, A), "different axes"),
    (lambda: ops.Clamp().forward({}, A), "has no bound"),
    (lambda: ops.Where().forward({}, (A, A, A)), "condition"),
    (lambda: ops.Topk(4).forward({}, A), "S ≥ k"),
    (lambda: ops.To("float99"), "name of one in NumPy"),
    (lambda: ops.ScaledDotProductAttention().forward({}, (A, A[:, 1:], A)), "as key"),
    (lambda: ops.Kthvalue(4).forward({}, A), "S ≥ k"),
    (lambda: ops.Cummax(2).forward({}, A), "an axis 2"),
    (lambda: ops.MedianOfAll().forward({}, A[:0]), "with an entry"),
    (lambda: ops.Svd().forward({}, A), "with full_matrices"),
    (lambda: ops.Svdvals().forward({}, A[0]), r"\(\*, m, n\)"),
    (lambda: ops.Qr("r"), "torch has no gradient of another"),
    (lambda: ops.Qr("complete").forward({}, A.T), "m ≤ n for this mode"),
    (lambda: ops.MatrixExp().forward({}, A), r"\(\*, n, n\)"),
    (lambda: ops.Solve(left=False).forward({}, (np.eye(2), A)), r"\(\*, k, 2\) as B"),
    (lambda: ops.Atan2().forward({}, (A, A[:, :2])), "equally long"),
    (lambda: ops.ScaledDotProductAttention(is_causal=True).forward({}, (A, A, A, np.ones((2, 2), bool))), "is_causal"),
]


@pytest.mark.parametrize(("call", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_wrong_call_is_told_what_is_right(call, told):
    with pytest.raises(ValueError, match=told):
        call()


def test_every_operation_names_its_twin_and_the_calls_that_it_is():
    assert TABLE.keys() == OPERATIONS.keys()
    assert set(ops.__all__) - {"Operation"} == OPERATIONS.keys()
    for name, cls in OPERATIONS.items():
        assert cls.calls, name
        for call in cls.calls:
            place, last = call.rsplit(".", 1)
            assert hasattr(eval(place.replace("Tensor", "torch.Tensor")), last), f"{name}: torch has no {call}"


def test_a_call_means_one_operation_but_for_those_of_which_the_inputs_decide():
    of: dict[str, list[str]] = {}
    for name, cls in OPERATIONS.items():
        for call in cls.calls:
            of.setdefault(call, []).append(name)
    several = {call: names for call, names in of.items() if len(names) > 1}
    assert {tuple(names) for names in several.values()} == {
        ("Abs", "Modulus"), ("Amax", "Max", "Maximum"), ("Amin", "Min", "Minimum"),
        ("Median", "MedianOfAll"), ("NanMedian", "NanMedianOfAll"),
    }  # fmt: skip


def test_operations_stay_out_of_the_names_of_the_package():
    names: dict[str, object] = {}
    exec("from manualbp import *", names)
    assert "Linear" in names
    assert not OPERATIONS.keys() & names.keys()
    assert manualbp.operations is ops


def test_the_twin_leads_back():
    layer = ops.ScaledDotProductAttention(is_causal=True, scale=0.5)
    assert from_torch(to_torch(layer)) == (layer, {})


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_rotations_and_reflections_give_the_factors_in_every_precision(dtype):
    rng, eps = np.random.default_rng(0), float(np.finfo(dtype).eps)
    A = rng.standard_normal((3, 7, 4)).astype(dtype)
    U, s, V = rotations.singular(A)
    assert (np.diff(s) <= 0).all()
    Q, R = rotations.reflected(A)
    S = A[:, :4] + A[:, :4].swapaxes(1, 2)
    w, W = rotations.symmetric(S)
    assert (np.diff(w) >= 0).all()
    for found, wanted in ((U * s[:, None] @ V.swapaxes(1, 2), A), (Q @ R, A), (W * w[:, None] @ W.swapaxes(1, 2), S)):
        assert found.dtype == dtype
        assert np.abs(found - wanted).max() < 100 * eps
    for columns in (U, V, Q, W):
        assert np.abs(columns.swapaxes(1, 2) @ columns - np.eye(4)).max() < 50 * eps


def test_matrices_without_full_rank_have_singular_values_and_a_pseudoinverse():
    A = np.outer([1.0, 2.0, 2.0], [3.0, 4.0])
    y, _ = ops.Svdvals().forward({}, A)
    np.testing.assert_allclose(y, [15, 0], atol=1e-14)
    Y, _ = ops.Pinv().forward({}, A)
    np.testing.assert_allclose(Y, A.T / 225, atol=1e-15)
    assert not np.asarray(ops.Svdvals().forward({}, np.zeros((3, 2)))[0]).any()


def test_every_pair_of_columns_meets_once_a_round():
    for n in range(1, 9):
        met = [pair for p, q in rotations.rounds(n) for pair in zip(p.tolist(), q.tolist(), strict=True)]
        assert sorted(met) == [(p, q) for p in range(n) for q in range(p + 1, n)]
