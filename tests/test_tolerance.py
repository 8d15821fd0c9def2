"""The comparison itself: what it must see, what it must not, and what a pass is worth."""

import numpy as np
import pytest

from manualbp import (
    BatchNorm1d,
    BCELoss,
    CosineEmbeddingLoss,
    Identity,
    LayerNorm,
    Linear,
    MSELoss,
    MultiLabelSoftMarginLoss,
    Objective,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Sum,
    Tanh,
    base,
)
from reference.check import on_case
from reference.compare.comparison import compare, compare_case, compare_passes
from reference.compare.nudge import moved
from reference.draw.case import Case
from reference.draw.expression import parse
from reference.sides.hand import Hand
from reference.sides.module import twin_of
from reference.verify import check

NETWORK = Objective(Sequential(Linear(3, 5), Tanh(), LayerNorm(5), Linear(5, 4), Sigmoid()), MSELoss())


class Off(base.Layer, family=True):
    """A layer whose gradient of one tensor is off by a relative error, in one entry or in all."""

    layer: base.Layer
    name: str
    by: float
    entry: bool

    def init(self, rng, dtype=np.float64):
        return self.layer.init(rng, dtype)

    def forward(self, params, x):
        return self.layer.forward(params, x)

    def backward(self, params, cache, dy):
        dx, grads = self.layer.backward(params, cache, dy)
        flat = base.flatten(grads)
        g = np.array(flat[self.name])
        where = np.unravel_index(np.abs(g).argmax(), g.shape) if self.entry else ...
        g[where] *= 1 + self.by
        return dx, base.unflatten(flat | {self.name: g})


def wrong(case, name, by, entry):
    off = Off(case.layer, name, by, entry)
    return [t.name for t in compare(Hand(off, case.seed), twin_of(case.layer, case.seed), case.trial()).wrong]


@pytest.mark.parametrize("entry", [False, True])
@pytest.mark.parametrize(("dtype", "by"), [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize("name", ["model.0.weight", "model.2.weight", "model.2.bias", "model.3.bias"])
def test_a_small_relative_fault_in_one_tensor_is_seen_and_named(name, dtype, by, entry):
    for seed in range(10):
        case = Case(NETWORK, (6, 3), seed=seed, dtype=dtype)
        assert wrong(case, name, 0.0, entry) == []
        assert wrong(case, name, by, entry) == [name + ".grad"]


@pytest.mark.parametrize(
    "layer",
    [
        Sequential(Linear(3, 4), BatchNorm1d(4)),  # the true gradient of the bias is 0
        LayerNorm(1),  # one side says 0, the other 1e-17
        Sequential(Linear(3, 1), Softmax(-1)),  # one class
        Sequential(Linear(3, 4), Sigmoid(), Sigmoid()),
    ],
    ids=str,
)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_what_cancels_or_saturates_is_no_false_alarm(layer, scale):
    width = 1 if layer == LayerNorm(1) else 3
    for seed in range(30):
        assert not compare_case(Case(layer, (5, width), seed=seed, scale=scale)).wrong


def test_a_pass_states_its_power_and_its_blind_fraction():
    found = compare_case(Case(NETWORK, (6, 3), seed=1))
    assert found.verdict == "rounding"
    assert found.power is not None
    assert found.power < 1e-9
    assert 0 <= found.blind < 0.2


def test_nothing_to_see_is_vacuous():
    layer = Sequential(Linear(3, 1), Softmax(-1))
    params, x, _ = Case(layer, (2, 3)).data()
    assert compare_passes(layer, params, x, np.zeros((2, 1))).verdict == "vacuous"


def test_nan_is_never_equal_to_nan():
    layer = Tanh()
    found = compare_passes(layer, {}, np.array([np.nan, np.nan]), np.array([1.0, 2.0]))
    assert found.verdict == "vacuous"


def test_a_label_that_must_not_move_loosens_no_bound(monkeypatch):
    """±1 are real numbers; a second look that moved them would find no gradient left, and excuse everything."""
    layer = CosineEmbeddingLoss(reduction="sum")
    right = CosineEmbeddingLoss.backward
    monkeypatch.setattr(CosineEmbeddingLoss, "backward", lambda self, p, c, dy: right(self, p, c, -dy))
    assert all(compare_case(Case(layer, (5, 3), seed=seed)).wrong for seed in range(5))


def test_inputs_without_a_gradient_move_unless_they_are_whole():
    """LayerNorm over one entry: dx is 0, and what torch leaves of dγ depends on the last bits of x alone."""
    rng, x, t = np.random.default_rng(0), np.full(50, 0.3), np.array([1.0, -1.0] * 25)
    assert (moved(rng, x, gradient=False) != x).any()
    assert moved(rng, t, gradient=False) is t
    assert (moved(rng, t) != t).any()
    assert not compare_case(Case(LayerNorm((1,)), (4, 1), seed=21637)).wrong


def test_where_float32_of_torch_alone_overflows_its_float64_decides():
    x, t = np.array([[-91.5], [1.0]], np.float32), np.array([[0.3], [0.6]], np.float32)
    layer = Objective(Sigmoid(), BCELoss())
    found = compare_passes(layer, {}, (x, t), np.float32(0.7))
    assert found.verdict == "rounding"
    dt = next(tensor for tensor in found.tensors if tensor.name == "dx[1]")
    assert np.isfinite(dt.torch).all()
    assert dt.power is not None


@pytest.mark.parametrize(("size", "seen"), [(2e38, "vacuous"), (1.0, "wrong")])
def test_where_no_output_is_finite_no_gradient_is_compared(monkeypatch, size, seen):
    monkeypatch.setattr(ReLU, "backward", lambda self, p, c, dy: (np.nan * dy, {}))
    layer, x = Sequential(ReLU(), Sum(Identity(), Identity())), np.full((1, 2), size, np.float32)
    assert compare_passes(layer, {}, x, np.ones_like(x)).verdict == seen


def test_beside_an_output_that_overflows_a_gradient_need_not_be_finite(monkeypatch):
    x = np.array([[2e38, 1.0]], np.float32)
    layer = Sequential(ReLU(), Sum(Identity(), Identity()))
    monkeypatch.setattr(ReLU, "backward", lambda self, p, c, dy: (np.where(dy > 1, np.nan, dy), {}))
    assert compare_passes(layer, {}, x, np.ones_like(x)).verdict == "vacuous"
    monkeypatch.setattr(ReLU, "backward", lambda self, p, c, dy: (2 * dy, {}))
    assert compare_passes(layer, {}, x, np.ones_like(x)).verdict == "wrong"


def test_what_underflows_on_one_side_is_no_mistake():
    """torch's sigmoid is 0 from −710 on, where e⁻⁷¹² is a number still."""
    found = compare_passes(Sigmoid(), {}, np.array([-712.0, -711.5]), np.array([1.5, -2.0]))
    assert any(t.error > 0 for t in found.tensors)
    assert not found.wrong
    assert found.verdict == "vacuous"


def test_what_cancels_in_torch_alone_is_no_mistake():
    """∂v/∂t = −x/C is a difference of two logarithms in torch, of which little is left where x is small."""
    for seed in (0, 10, 11, 12):
        rng = np.random.default_rng(seed)
        x, t = np.array([2e-11 * rng.standard_normal(), 0.0]), rng.random(2)
        found = compare_passes(MultiLabelSoftMarginLoss(weight=(0.5, 2.0)), {}, (x, t), np.array(1.3))
        assert not all(t.identical for t in found.tensors)
        assert not found.wrong


# False alarms of long runs, each for its own reason.
@pytest.mark.parametrize(
    "text",
    [
        # bicubic weights sum to 1 but for rounding, so pooling finds its ties broken, by either side in its own way
        "Case(Objective(Sequential(Sequential(Chunk(5, dim=2), Select()), Sum(Upsample(size=(3, 1), mode='bicubic'), "
        "Upsample(size=(3, 1), mode='bicubic'), Upsample(size=(3, 1), mode='bicubic')), Sum(Repeat(Sequential("
        "MaxPool3d(2, padding=(0, 0, 1), return_indices=True), MaxUnpool3d(2, padding=(0, 0, 1), "
        "output_size=(8, 3, 1)))), Abs(), Abs()), Abs()), HingeEmbeddingLoss()), (8, 8, 2, 4), exact=True)",
        # a layer that is applied again has moved its buffers, and with them its weight
        "Case(Repeat(Sequential(SpectralNorm(Linear(2, 3)), Linear(3, 2))), (2, 2), seed=3)",
        "Case(Graph(Node('v0', SpectralNorm(Linear(5, 3, bias=False)), 'x'), Node('v1', SpectralNorm(Linear(5, 3, "
        "bias=False)), 'x', 'v0'), Node('v2', Add(), ('v0', 'v1'))), (2, 5), seed=3)",
        # torch's MaxPool3d refuses memory that is transposed
        "Case(Sequential(MoveDim(3, -3), MaxPool3d((3, 1, 1), stride=(2, 3, 1), return_indices=True), Select()), "
        "(4, 3, 3, 3), seed=1, exact=True)",
        # ... and an upstream gradient that is, where its input has no batch
        "Case(Objective(Sequential(MaxPool3d((1, 2, 3), padding=(0, 1, 1), return_indices=True, ceil_mode=True), "
        "Select(), Parallel(Identity(), Identity(), Identity()), ScaledDotProductAttention(scale=1.0, training=False), "
        "LogSumExp(dim=3)), TripletMarginLoss(margin=0.5, eps=0.25, reduction='none')), (1, 1, 3, 1), seed=13703745)",
        # equal entries in every channel: x − μ is 0 by hand, and 10⁻¹⁶ in torch, that 1/√ε makes larger. No moved data
        # show it, since they are clipped
        "Case(Objective(Sequential(Sequential(Softplus(), Add(other=0.5), Reciprocal(), Residual(Abs()), Hardtanh("
        "min_val=-0.3, max_val=0.7), Abs()), SyncBatchNorm(3), Hardtanh(min_val=-25.0, max_val=25.0), Sigmoid()), "
        "BCELoss()), (5, 3, 5, 1), optimizer=Adam(betas=(0.0, 0.9)))",
        # gradients whose squares overflow
        "Case(Objective(Sequential(Sequential(Sum(Repeat(Linear(4, 4)), Identity())), Sequential(Parallel(Identity(), "
        "Identity()), TransformerDecoderLayer(4, 1, dim_feedforward=2, dropout=0.0, activation=Tanh(), "
        "norm_first=True, training=False))), PoissonNLLLoss(reduction='sum')), (4, 2, 4), seed=9799694, scale=3.0, "
        "optimizer=Adafactor(beta2_decay=-0.5, eps=(0.001, 0.1)))",
        # a line search that ends sooner on parameters moved by their last bits
        "Case(Objective(Sequential(AdaptiveMaxPool2d(2), Hardtanh(min_val=-25.0, max_val=25.0), Sigmoid()), "
        "BCELoss()), (1, 2, 4), seed=8836821, optimizer=LBFGS(max_iter=6, tolerance_change=0.001, maximize=True))",
        # tanh so near 1 that of 1 − y² few digits are left, where either side's tanh is off by its last bit
        "Case(Sequential(Linear(3, 4), Tanh(), Linear(4, 2), LogSoftmax(dim=-1)), (5, 3), seed=2257, scale=30.0)",
        # two paths that cancel, σ(z) = ½ + ½ tanh ½z: each side leaves last bits of its own, and no moved data show
        # them, since they are clipped
        "Case(Sequential(Hardtanh(min_val=-0.1, max_val=3.1), Graph(Node('s', Sigmoid(), 'x'), "
        "Node('t', Mul(other=0.5), 'x'), Node('v', Tanh(), 't'), Node('w', Mul(other=0.5), 'v'), "
        "Node('u', Add(other=0.5), 'w'), Node('d', Sub(), ('s', 'u')), Node('e', Mul(other=1099511627776.0), 'd'))), "
        "(2, 3), seed=38, scale=30.0)",
        # products that overflow: −∞ by hand, ∞ − ∞ in torch, by the order of a sum
        "Case(Repeat(Repeat(Sequential(Sequential(Parallel(Identity(), Identity()), Bilinear(4, 4, 1)), Linear(1, 4)), "
        "times=3), times=3), (2, 2, 4), exact=True)",
        # torch's transposed convolution refuses odd strides of an axis of length 1
        "Case(Sequential(Pad((0, 2), value=-1.0), Sequential(RNN(3, 1, num_layers=2, batch_first=True, "
        "training=False), Select()), ConvTranspose2d(3, 9, (1, 4), stride=(2, 1), groups=3, bias=False, "
        "dilation=(2, 1))), (3, 1, 1))",
        # thirds that add up to 10⁻¹⁷ by hand and to 0 in torch, and a sign of them: on integers, where no output rounds
        "Case(Objective(Sequential(Sequential(Concat(AdaptiveAvgPool1d(2), Sequential(Parallel(Identity(), Identity(), "
        "Identity()), Addcmul()), Abs()), AdaptiveAvgPool1d(2), Abs(), Abs()), Sign()), HingeEmbeddingLoss()), "
        "(8, 2, 2), seed=25, exact=True)",
        # nothing but infinities and zeros
        "Case(MaskedFill(value=float('-inf')), (1, 4), seed=8353445, exact=True)",
    ],
)
def test_a_false_alarm_stays_away(text):
    found = check(parse(text))
    assert not found.wrong, found.wrong


@pytest.mark.parametrize(
    "text",
    [
        "Case(Parallel(Objective(Sequential(ELU()), TripletMarginWithDistanceLoss(distance_function=CosineSimilarity("
        "dim=-1), margin=0.3)), Select()), (5, 3, 1), seed=1496829, scale=3.0)",
        "Case(Objective(Sequential(Sequential(VarMean(dim=(1, 0), keepdim=True, correction=0), Select())), "
        "CosineEmbeddingLoss(reduction='none')), (5, 5), seed=4397111, scale=0.3)",
    ],
)
def test_what_is_near_its_bound_is_looked_at_more_closely(text):
    """It passed before, by luck."""
    assert check(parse(text)).ratio < 0.5


def test_where_last_bits_move_a_gradient_so_does_the_order_of_sums():
    """A weight divided by a norm that is nearly 0, in float32: another layout in memory is another order of sums."""
    case = parse(
        "Case(Objective(Sequential(Sequential(Atan(), Graph(Node('v0', SpectralNorm(Linear(3, 3, bias=False), eps=0.6),"
        "'x')), Graph(Node('v0', PairwiseDistance(eps=0.0), ('x', 'x')), Node('v1', Linear(3, 5, bias=False), 'x', "
        "(('weight', 'x'),))), Concat(Residual(Detach()), Residual(Sequential(Sequential(Softplus(), Add(other=0.5)), "
        "Log())), Identity(), dim=0))), TripletMarginLoss(margin=0.5, eps=0.25, reduction='sum')), (5, 3), "
        "seed=7464073, dtype='float32', scale=0.1)"
    )
    assert on_case(case, torch=twin_of(case.layer, case.seed)).verdict == "rounding"
