"""Calls that are read as several operations, each in a tiny model, in both precisions, beside torch's own result."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import linalg, nn

from reference import check_model
from reference.twin.expanded import EXPANDED, expansion
from reference.twin.layers import from_torch


class Does(nn.Module):
    """A function of one matrix, and of a parameter, as a model."""

    def __init__(self, f):
        super().__init__()
        self.f, self.w = f, nn.Parameter(real(4, 3))

    def forward(self, x):
        return self.f(x + self.w)


def real(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def square(x):
    return x[:3] + 3 * torch.eye(3)


def definite(x):
    return x[:3] @ x[:3].mT + 2 * torch.eye(3)


OTHER, CUBE, KERNEL = real(3, 4).T, real(2, 3, 5), real(2, 4, 2)
PLACES, TWICE, TIMES = torch.tensor([0, 3]), torch.tensor([1, 1]), torch.tensor([1, 2, 0, 1])
UPPER = torch.tensor([0.0, 1.0, 3.0, 4.0])

CALLS = {
    "degrees": lambda x: (torch.deg2rad(x), x.rad2deg(), x.clone().deg2rad_(), x.frac(), x.clone().frac_()),
    "ndtr": lambda x: torch.special.ndtr(x) + torch.logaddexp2(x, OTHER),
    "powers of two": lambda x: torch.ldexp(x, torch.tensor([1, 2, 3])),
    "mvlgamma": lambda x: torch.mvlgamma(x.abs() + 3, 2) + torch.special.multigammaln(x.abs() + 3, 3),
    "masks": lambda x: x * torch.isclose(x, OTHER) + x * torch.isfinite(x) + x * torch.signbit(x) + x * x.isneginf(),
    "more masks": lambda x: x * torch.isposinf(x) + x.real * torch.isreal(x) + x.conj(),
    "sums beside NaN": lambda x: [f(x.masked_fill(x > 1, torch.nan), 1) for f in (torch.nansum, torch.nanmean)],
    "nansum of all": lambda x: x.nansum() * x.masked_fill(x > 1, torch.nan).nanmean(0, True),
    "quantile of all": lambda x: torch.quantile(x, 0.3),
    "quantiles": lambda x: torch.quantile(x, torch.tensor([0.2, 0.5], dtype=x.dtype), dim=1, keepdim=True),
    **{
        f"quantile, {kind}": lambda x, kind=kind: (
            x.quantile(0.4, 0, interpolation=kind), x.quantile(0.4, keepdim=True, interpolation=kind),
            x.quantile(torch.tensor([0.1, 0.9], dtype=x.dtype), 1, interpolation=kind),
        )
        for kind in ("linear", "lower", "higher", "nearest", "midpoint")
    },
    "quantile beside NaN": lambda x: x.masked_fill(x > 1, torch.nan).nanquantile(0.3, 1) * x.msort()[:, 0],
    "extremes": lambda x: torch.aminmax(x, dim=1).min + x.aminmax().max,
    "cross": lambda x: torch.cross(x, OTHER, dim=1) + linalg.cross(x, OTHER[:1]) + x.mT.cross(OTHER.mT, 0).mT,
    "products of vectors": lambda x: (torch.vdot(x[0], x[1]), linalg.vecdot(x, OTHER), torch.inner(x, OTHER)),
    "products of matrices": lambda x: (
        torch.chain_matmul(x, OTHER.T, x), torch.addbmm(x[:, :1], x.expand(2, 4, 3), CUBE, beta=2, alpha=0.5),
    ),
    "addr": lambda x: torch.addr(x, x[:, 0], x[0], beta=0.5, alpha=2) + x[:, 0].addmv(x, x[1], alpha=3)[:, None],
    "cov": lambda x: torch.cov(x) + x.cov(correction=0) + torch.cov(x[0]),
    "cov, weighted": lambda x: torch.cov(x, fweights=TIMES[:3], aweights=torch.tensor([0.1, 0.2, 0.4], dtype=x.dtype)),
    "corrcoef": lambda x: torch.corrcoef(x.mT),
    "trapezoids": lambda x: (torch.trapezoid(x, dx=0.5), torch.trapz(x, OTHER, dim=0), torch.trapz(x, UPPER, dim=0)),
    "running trapezoids": lambda x: (torch.cumulative_trapezoid(x, dim=0), torch.cumulative_trapezoid(x, OTHER, dim=0)),
    "gradient": lambda x: (*torch.gradient(x), *torch.gradient(x, spacing=2.0, dim=1, edge_order=2)),
    "gradient by places": lambda x: torch.gradient(x, spacing=(UPPER.to(x.dtype),), dim=0, edge_order=2),
    "renorm": lambda x: torch.renorm(x, 2, 0, 1.0) + x.renorm(1, 1, 0.5),
    "turned": lambda x: (torch.rot90(x), x.rot90(2), x.rot90(3, (1, 0)), x.rot90(4)),
    "block_diag": lambda x: torch.block_diag(x, OTHER, x[0]) * torch.diagflat(x[0, :1], 1).sum(),
    "choices": lambda x: (torch.cartesian_prod(x[0], x[1]), torch.combinations(x[0], 3, True)),
    "powers": lambda x: linalg.vander(x) + linalg.vander(x[0], N=3),
    "put": lambda x: torch.put(x, PLACES, x[0, :2]) + x.put(TWICE, x[0, :2], True) + x.clone().put_(PLACES, x[1, :2]),
    "index_put_": lambda x: x.clone().index_put_((PLACES, TWICE), x[0, :2], accumulate=True),
    "index_reduce": lambda x: [x.index_reduce(0, TIMES[:3], OTHER[:3], r) for r in ("amax", "amin", "prod", "mean")],
    "index_reduce alone": lambda x: x.index_reduce(1, TWICE, OTHER[:, :2], "mean", include_self=False),
    "scatter_reduce by a product": lambda x: (
        x.scatter_reduce(0, (x > 0).long(), x * 2, "prod"),
        x.scatter_reduce(0, (x > 0).long(), x.round(), "prod", include_self=False),
    ),
    "segments": lambda x: [
        torch.segment_reduce(x, how, lengths=torch.tensor([1, 3])) for how in ("sum", "mean", "max", "min", "prod")
    ],
    "slices put": lambda x: torch.slice_scatter(x, OTHER[:2], 0, 1, 3) + x.select_scatter(OTHER[:, 0], 1, -1),
    "diagonals put": lambda x: torch.diagonal_scatter(x, OTHER[0]) + x.clone().fill_diagonal_(2.0),
    "another diagonal put": lambda x: x.diagonal_scatter(OTHER[0, :2], 1),
    "as_strided": lambda x: x.as_strided((2, 2), (1, 2), 1) + torch.as_strided(x, (2, 2), (2, 1)),
    "stacked": lambda x: (torch.dstack([x, OTHER]), torch.column_stack([x[:, 0], OTHER]), torch.atleast_3d(x)),
    "stacked in depth": lambda x: torch.dstack([x[0], OTHER[0]]),
    "split": lambda x: (*torch.tensor_split(x, 3), *x.tensor_split((1, -1), 1), *torch.hsplit(x, 3), *x.vsplit([1, 9])),
    "split in depth": lambda x: (*torch.dsplit(x[:, :, None].expand(4, 3, 2), 2), *torch.unsafe_chunk(x, 2)),
    "tiled": lambda x: torch.tile(x, (2, 1, 1)) + x.tile(2)[:, :3],
    "repeated": lambda x: (x.repeat_interleave(TIMES, 0), torch.repeat_interleave(x[:, :2], torch.tensor([2]), dim=1)),
    "repeated as a row": lambda x: x.repeat_interleave(torch.tensor([2])),
    "powers of a matrix": lambda x: torch.matrix_power(square(x), 3) + linalg.matrix_power(square(x), -2),
    "no power": lambda x: square(x).matrix_power(0) + square(x).matrix_power(1),
    "with errors": lambda x: linalg.solve_ex(square(x), OTHER[:3]).result + linalg.inv_ex(square(x))[0],
    "cholesky": lambda x: linalg.cholesky_ex(definite(x)).L + torch.cholesky_inverse(linalg.cholesky(definite(x))),
    "tensors": lambda x: (
        linalg.tensorsolve(square(x).reshape(3, 1, 3), OTHER[0][:, None]),
        linalg.tensorinv(square(x).reshape(3, 3, 1), 1),
    ),
    "norms of matrices": lambda x: [linalg.matrix_norm(x, ord, keepdim=True) for ord in (1, -1, math.inf, -math.inf)],
    "norms": lambda x: [linalg.norm(x, ord, dim) for ord, dim in ((None, None), (1, None), (1, 1), (math.inf, (1, 0)))],
    "norm of a vector": lambda x: linalg.norm(x[0], 3) + linalg.norm(x, "fro"),
    "norms of singular values": lambda x: [linalg.norm(x, ord) for ord in (2, -2, "nuc")],
    "norms of turned matrices": lambda x: linalg.matrix_norm(x[:, :, None].expand(4, 3, 2), 2, (1, 0), keepdim=True),
    "condition": lambda x: (linalg.cond(x), linalg.cond(x, -2), linalg.svdvals(x)),
    "a whitened matrix": lambda x: (lambda w, V: V @ torch.diag(w**-0.5) @ V.mT)(*linalg.eigh(definite(x))),
    "the nearest rotation": lambda x: (lambda U, s, Vt: U @ Vt)(*linalg.svd(x, full_matrices=False)),
    "singular vectors": lambda x: (lambda U, s, V: (U * s.exp()) @ V.mT)(*torch.svd(x)),
    "singular vectors of a square": lambda x: (lambda U, s, Vt: U * s.sin() @ Vt)(*linalg.svd(square(x))),
    "eigenvalues": lambda x: linalg.eigvalsh(definite(x)) * linalg.eigvalsh(definite(x), UPLO="U"),
    "qr": lambda x: (*linalg.qr(x), *torch.qr(square(x)), *linalg.qr(x.mT, "complete")),
    "pseudoinverses": lambda x: torch.pinverse(x) + linalg.pinv(x) + linalg.pinv(x.mT).mT,
    "exponentials": lambda x: torch.matrix_exp(square(x) / 3) + x[:3].matrix_exp(),
    "a factor": lambda x: (
        torch.cholesky_solve(OTHER[:3], square(x).tril()) + torch.cholesky_inverse(square(x).triu(), upper=True)
    ),
    "rounded": lambda x: torch.round(x, decimals=1) * x + x.round(decimals=-1),
    "nothing but options": lambda x: (
        x.topk(2, 1, True, True)[0], torch.cdist(x, OTHER, 1.0, "use_mm_for_euclid_dist"), *torch.var_mean(x, True),
        torch.constant_pad_nd(x, (1, 1), 2.0), torch.diff(x, 0, append=x), *torch.gradient(x, spacing=None),
    ),
    "quantiles by places that are learned": lambda x: torch.quantile(x, x[0].sigmoid(), 1),
    "a value put twice": lambda x: x.index_fill(0, TWICE, x[0, 0]),
    "norms with a bias alone": lambda x: (
        F.layer_norm(x, (3,), bias=x[0]) + F.batch_norm(x, None, None, None, x[1], True)
    ),
    "triangles": lambda x: linalg.lu(square(x).flip(0)),
    "solve from the right": lambda x: linalg.solve(square(x), OTHER, left=False),
    "linear by a vector": lambda x: F.linear(x, x[0]),
    "weighted losses": lambda x: F.huber_loss(x, OTHER, weight=OTHER.abs()) + F.smooth_l1_loss(x, OTHER, beta=0.0),
    "group_norm without a bias": lambda x: F.group_norm(x[None], 2, weight=x[:, 0]),
    "weights that are no parameters": lambda x: F.layer_norm(F.conv1d(x[None], KERNEL), (2,), torch.ones(2)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore:torch.chain_matmul")
def test_a_call_of_several_operations_is_torchs(name, dtype):
    report = check_model(Does(CALLS[name]), real(4, 3), dtype=dtype)
    assert report, str(report)


@pytest.mark.filterwarnings("ignore:torch.triangular_solve")
@pytest.mark.parametrize("transpose", [False, True])
def test_triangular_solve(transpose):
    f = lambda x: torch.triangular_solve(OTHER[:3], square(x), transpose=transpose)[0]  # noqa: E731
    assert check_model(Does(f), real(4, 3))


@pytest.mark.parametrize("name", ["a whitened matrix", "the nearest rotation", "singular vectors of a square"])
def test_the_signs_of_vectors_do_not_count_where_the_result_has_none(name):
    """Every node alone, too, though LAPACK's signs are not those by hand."""
    report = check_model(Does(CALLS[name]), real(4, 3), by_layer=True)
    assert report, str(report)


@pytest.mark.parametrize("column", [slice(None), 0])
def test_least_squares(column):
    """torch's own have other last bits at every call, so that `check_model` does not compare them."""
    model, x = Does(lambda x: linalg.lstsq(x, OTHER[:, column].to(x.dtype)).solution).double(), real(4, 3).double()
    graph, params = from_torch(model, x.requires_grad_())
    y, cache = graph.forward(params, x.detach().numpy())
    there = model(x)
    dy = real(*there.shape).double()
    there.backward(dy)
    dx, grads = graph.backward(params, cache, dy.numpy())
    for found, wanted in ((y, there.detach()), (dx, x.grad), (grads["w"], model.w.grad)):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-11, atol=1e-12)


def test_columns_that_the_matrix_says_nothing_of_are_told():
    with pytest.raises(TypeError, match="full_matrices=False"):
        check_model(Does(lambda x: linalg.svd(x)[0]), real(4, 3))


def test_every_expansion_has_the_name_of_a_call():
    for name in EXPANDED:
        place, last = name.rsplit(".", 1)
        places = eval(place.replace("Tensor", "torch.Tensor")), torch._C._nn  # torch.pad_sequence, by its own name
        assert any(hasattr(p, last) for p in places), f"torch has no {name}"


def test_what_is_in_place_is_the_same_written_into_the_tensor():
    assert expansion("Tensor.frac_")
    assert not expansion("Tensor.add_")
    assert not expansion("torch.frac_")
    x = torch.tensor([1.25, -2.5])
    assert expansion("Tensor.frac_")(x) is x
    assert x.tolist() == [0.25, -0.5]


def test_a_norm_of_a_matrix_is_none_of_its_entries():
    """torch.linalg.norm with an order and two axes is that of a matrix: it was read as one of a vector."""
    x = torch.tensor([[1.0, -2.0], [3.0, 4.0]])
    assert check_model(Does(lambda y: linalg.norm(y[:2, :2], 1)), real(4, 3))
    assert linalg.norm(x, 1) == 6.0
    assert check_model(Does(lambda y: linalg.norm(y, math.inf, (1, 0))), real(4, 3))
