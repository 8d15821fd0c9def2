"""Functions of torch in a model: the layer of the same meaning, by the function's own signature, or what it calls."""

import inspect

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from manualbp.base import registry
from reference import check_model
from reference.twin import calls
from reference.twin.expanded import EXPANDED

SIGNS, CLASSES, ROWS = torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([0, 2, 1, 2]), torch.tensor([0, 2])
WEIGHT = torch.tensor([1.0, 2.0, 3.0])
WORDS, TEXT = torch.tensor([[1, 2, 2], [3, 4, 1]]), torch.tensor([[1, 2], [2, 1], [1, 1], [2, 2]])
LABELS = torch.tensor([[0, 2, -1], [1, -1, 0], [2, 1, 0], [0, -1, -1]])


class Does(nn.Module):
    """A function of any tensors as a model."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x, *others):
        return self.f(x, *others)


def real(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def cosine(a, b):
    return 1 - F.cosine_similarity(a, b)


def spoken(x):
    """The logarithms of probabilities at seven times, of four sequences."""
    return F.log_softmax(x * real(7, 1, 1), 2)


X, Y, Z, IMAGE = real(4, 3), real(3, 4).T, real(2, 6).view(4, 3), real(2, 3, 6, 6)
POSITIVE = Y.abs() + 0.1

LOSSES = {
    "cosine_embedding": lambda x, **r: F.cosine_embedding_loss(x, Y, SIGNS, 0.2, **r),
    "margin_ranking": lambda x, **r: F.margin_ranking_loss(x[:, 0], x[:, 1], target=SIGNS, margin=0.3, **r),
    "hinge_embedding": lambda x, **r: F.hinge_embedding_loss(x, SIGNS[:, None].expand(4, 3), 0.7, **r),
    "triplet_margin": lambda x, **r: F.triplet_margin_loss(x, Y, Z, margin=2.0, p=2, swap=True, **r),
    "triplet of a function": lambda x, **r: F.triplet_margin_with_distance_loss(x, Y, Z, distance_function=cosine, **r),
    "triplet, the module": lambda x, **r: nn.TripletMarginWithDistanceLoss(distance_function=cosine, **r)(x, Y, Z),
    "multi_margin": lambda x, **r: F.multi_margin_loss(x, CLASSES, 2, 0.5, WEIGHT, **r),
    "multilabel_margin": lambda x, **r: F.multilabel_margin_loss(x, LABELS, **r),
    "multilabel_soft_margin": lambda x, **r: F.multilabel_soft_margin_loss(x, (Y > 0).float(), weight=WEIGHT, **r),
    "soft_margin": lambda x, **r: F.soft_margin_loss(x, torch.sign(Y), **r),
    "gaussian_nll": lambda x, **r: F.gaussian_nll_loss(x, Y, POSITIVE, full=True, **r),
    "gaussian_nll of one number": lambda x, **r: F.gaussian_nll_loss(x, Y, 1.5, **r),
    "poisson_nll": lambda x, **r: F.poisson_nll_loss(x, POSITIVE, **r),
    "kl_div": lambda x, **r: F.kl_div(F.log_softmax(x, 1), Y.softmax(1), **r),
    "binary_cross_entropy": lambda x, **r: F.binary_cross_entropy(x.sigmoid(), Y.sigmoid(), WEIGHT, **r),
    "with_logits": lambda x, **r: F.binary_cross_entropy_with_logits(x, Y.sigmoid(), pos_weight=WEIGHT, **r),
    "smooth_l1": lambda x, **r: F.smooth_l1_loss(x, Y, beta=0.5, **r),
    "huber": lambda x, **r: F.huber_loss(x, Y, delta=0.5, **r),
    "mse, weighted": lambda x, **r: F.mse_loss(x, Y, weight=POSITIVE, **r),
    "nll": lambda x, **r: F.nll_loss(F.log_softmax(x, 1), CLASSES, WEIGHT, **r),
    "cross_entropy": lambda x, **r: F.cross_entropy(x, CLASSES, label_smoothing=0.1, ignore_index=2, **r),
    "ctc": lambda x, **r: F.ctc_loss(spoken(x), TEXT, (7, 7, 7, 7), (2, 2, 1, 2), **r),
    "ctc, the module": lambda x, **r: nn.CTCLoss(**r)(spoken(x), TEXT, torch.tensor([7, 6, 5, 4]), CLASSES % 2 + 1),
}


def written_out(x):
    y = torch.empty(6, 6)
    with torch.no_grad():
        torch.mm(x[0, 0], x[0, 1], out=y)
    return y * x


FUNCTIONS = {
    "instance_norm": lambda x: F.instance_norm(x),
    "instance_norm of weights": lambda x: F.instance_norm(x, weight=x[0, :, 0, 0], bias=x[0, :, 0, 1]),
    "instance_norm of what ran": lambda x: F.instance_norm(x, WEIGHT - 2, WEIGHT, use_input_stats=False),
    "max_pool1d": lambda x: F.max_pool1d(x[0], 2, return_indices=True)[0],
    "max_pool2d": lambda x: F.max_pool2d(x, 2, 2, 0, 1, False, True),
    "max_pool2d, unpooled": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "max_pool3d": lambda x: F.max_pool3d(x, (1, 2, 2), return_indices=True)[0],
    "max_pool2d_with_indices": lambda x: F.max_pool2d_with_indices(x, 2),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 2, return_indices=True)[0],
    "embedding_bag": lambda x: F.embedding_bag(WORDS, x[0, 0]),
    "embedding_bag of offsets": lambda x: F.embedding_bag(WORDS[0], x[0, 0], offsets=ROWS, mode="max"),
    "embedding_bag, weighted": lambda x: F.embedding_bag(
        WORDS, x[0, 0], mode="sum", per_sample_weights=x[0, 1, :2, :3]
    ),
    "rrelu": lambda x: F.rrelu(x, training=True),
    "attention": lambda x: F.multi_head_attention_forward(
        *(x[0],) * 3, 6, 2, x[1].reshape(18, 6), None, None, None, False, 0.0, x[0, 0], None
    )[0],
    "pdist": lambda x: F.pdist(x[0, 0]),
    "tensordot": lambda x: torch.tensordot(x, x[0], dims=([3, 1], [2, 0])),
    "diag": lambda x: torch.diag(x[0, 0, 0]) + torch.diag(x[0, 0], 1).sum() + torch.trace(x[0, 1]),
    "diag_embed": lambda x: torch.diag_embed(x, -1, 0, 2),
    "joined": lambda x: (torch.hstack([x[0], x[1]]), torch.vstack([*x[0, 0, :2]]), torch.atleast_2d(x[0, 0, 0])),
    "masked_select": lambda x: torch.masked_select(x, x[0, 0] > 0),
    "take_along_dim": lambda x: torch.take_along_dim(x, x.argsort(1)[:1], 1),
    "index_fill": lambda x: x.index_fill(1, ROWS, 2.0) + x.clone().index_copy_(1, ROWS, x[:, 1:]),
    "kron": lambda x: torch.kron(x[0, 0], x[1, :, 0]),
    "meshgrid": lambda x: torch.meshgrid(x[0, 0, 0], x[0, 0, 1], indexing="xy"),
    "diff": lambda x: torch.diff(x, 2, 1, prepend=x[:, :1]),
    "logit": lambda x: torch.logit(x.sigmoid(), 0.2),
    "sum_to_size": lambda x: x.sum_to_size(1, 6, 6),
    "searchsorted": lambda x: x * torch.searchsorted(WEIGHT, x.detach()),
    "dropout in place": lambda x: (lambda y: (F.dropout(y, 0.5, True, True), y)[1])(x * 2),
    "sgn": lambda x: torch.sgn(x) * x,
    "slogdet": lambda x: torch.slogdet(x[0])[1] * 2,
    "cholesky_solve": lambda x: torch.cholesky_solve(x[0], torch.linalg.cholesky(x[1] @ x[1].mT + torch.eye(6))),
    "scatter_reduce": lambda x: (
        x.scatter_reduce(1, (x > 0).long(), x * 2, "mean"),
        x.scatter_reduce(1, (x > 0).long(), x * 2, "sum", include_self=False),
    ),
    "scatter_reduce to the largest": lambda x: (
        x.scatter_reduce(1, (x > 0).long(), x * 2, "amax", include_self=False),
        x.scatter_reduce(-1, (x > 0).long() * 3, x.round(), "amin"),
        torch.zeros(2, 3, 6, 6).scatter_reduce_(1, (x > 0).long(), x.round(), "amax"),
    ),
    "logcumsumexp": lambda x: torch.logcumsumexp(x * 9, 1) + torch.logaddexp(x[0], x[1, :1]),
    "matrix_norm": lambda x: torch.linalg.matrix_norm(x) + torch.dist(x[0], x[1]),
    "several outputs, some none": lambda x: (None, x.argmax(1), x.detach(), torch.zeros(3), x.sum(1), None, x * 2),
    "out": written_out,
    "an extreme of the precision": lambda x: x.masked_fill(x < 0, -torch.finfo(x.dtype).max).softmax(-1),
    "floor_divide": lambda x: x * (5 // x.exp().detach()),
    "hyperbolic": lambda x: (torch.sinh(x), x.cosh(), torch.asinh(x), torch.acosh(1.1 + x * x), torch.atanh(x.sin())),
    "angles": lambda x: (x.sin().mul(0.9).asin(), torch.acos(x.sin() * 0.9), torch.atan2(x[0], x[1, :1]), x.sinc()),
    "hypotenuse": lambda x: torch.hypot(x, x[0].exp()) + x.clone().cosh_(),
    "of the normal distribution": lambda x: (
        torch.erfc(x), torch.special.erfcx(x), torch.special.log_ndtr(x), torch.erfinv(x.tanh()),
    ),
    "of the gamma function": lambda x: (torch.lgamma(x), x.exp().lgamma()),
    "entropies": lambda x: (
        torch.xlogy(x, x.exp()), torch.xlogy(2.0, 1 + x * x), torch.xlogy(x, 3), torch.special.xlog1py(x, x[0].abs()),
        torch.special.entr(x.sigmoid()),
    ),
    "signs": lambda x: (torch.copysign(x, x[0]), x.copysign(-2.0) * x, torch.fmod(x, 0.7), x.fmod(x[0])),
    "beside NaN": lambda x: (
        torch.fmax(x, x[0]), x.fmin(x[:, :1]), torch.nan_to_num(x.masked_fill(x > 1, torch.nan), 0.5, 1.0),
    ),
    "medians": lambda x: (x.median(1)[0], torch.nanmedian(x, dim=2, keepdim=True).values, x.nanmedian() + x.median()),
    "in order": lambda x: (torch.kthvalue(x, 2)[0], torch.cummax(x, 1)[0] * x.cummin(-1).values),
    "under another name": lambda x: (x.negative(), x.subtract(x[0]), x.divide(2.0), torch.special.expm1(x)),
}  # fmt: skip

SWAPPED = {  # named arguments in an order of one's own
    "solve": lambda x: torch.linalg.solve(B=x[0], A=x[1, 0] + 9 * torch.eye(6)),
    "baddbmm": lambda x: torch.baddbmm(batch2=x[0], batch1=x[1], input=x[0] * 2),
    "outer": lambda x: torch.outer(vec2=x[0, 0, 0], input=x[0, 0, 1]),
    "addmm": lambda x: torch.addmm(mat2=x[0, 0], mat1=x[0, 1], alpha=2, input=x[0, 2]),
    "index_add": lambda x: x[0].index_add(0, source=x[1], index=torch.tensor([0, 1, 1])),
    "scatter_add": lambda x: x.scatter_add(src=x * 2, dim=1, index=(x > 0).long()),
    "gather": lambda x: torch.gather(index=(x > 0).long(), dim=1, input=x),
    "addcmul": lambda x: torch.addcmul(tensor2=x[1], value=0.5, tensor1=x[0], input=x[0].exp()),
    "lerp": lambda x: torch.lerp(weight=x[1], end=x[0].exp(), input=x[0]),
}


def right(f, *sample):
    for dtype in ("float64", "float32"):
        report = check_model(Does(f), *sample, by_layer=True, dtype=dtype)
        assert report, str(report)


@pytest.mark.filterwarnings("ignore:reduction")  # torch's advice on kl_div
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_inside_of_a_model(name, reduction):
    right(lambda x: LOSSES[name](x, reduction=reduction), X)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_inside_of_a_model(name):
    right(FUNCTIONS[name], IMAGE)


@pytest.mark.parametrize("name", SWAPPED)
def test_arguments_by_name_in_any_order(name):
    right(SWAPPED[name], IMAGE)


def test_every_function_that_has_a_layer_is_known():
    """F.name, of the class Name or NameLoss: all but what draws by itself, and is no function of its signature."""
    classes = {name.lower() for name in registry()}
    functions = [n for n, f in vars(F).items() if callable(f) and not inspect.isclass(f) and "_" not in (n[0], n[-1])]
    having = {n for n in functions if {(plain := n.replace("_", "")), f"{plain}loss"} & classes}
    known = (
        {calls.last(n) for n in calls.operations()}
        | calls.layers().keys()
        | calls.TABLES
        | {*map(calls.last, EXPANDED)}
    )
    assert len(having) > 80
    assert having - known == {"fractional_max_pool2d", "fractional_max_pool3d"}


def test_a_weight_that_the_sample_says_is_noted():
    report = check_model(Does(lambda x: F.cross_entropy(x, CLASSES, weight=x[0].exp().detach())), X)
    assert report
    assert any("F.cross_entropy reads a value of the sample" in note for note in report.notes)


def test_an_argument_without_a_gradient_is_told_with_what_to_do():
    with pytest.raises(ValueError, match=r"with respect to argument 'weight'.*with that one detached"):
        check_model(Does(lambda x, w: F.cross_entropy(x, CLASSES, weight=w)), X, WEIGHT)
