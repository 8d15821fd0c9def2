"""How a model is read: tensors that share memory, what runs twice or is compiled, calls that draw, linear algebra."""

import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from models import Does
from torch import nn
from torch.utils.checkpoint import checkpoint

from reference import check_model

VIEWS = {
    "T": lambda x: x.T, "view": lambda x: x.view(-1), "flatten": lambda x: x.flatten(),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "diagonal": lambda x: x.diagonal(), "unsqueeze": lambda x: x.unsqueeze(0), "select": lambda x: x.select(0, 1),
    "an index": lambda x: x[1:], "an index of an index": lambda x: x[1:][:, 0], "unbind": lambda x: x.unbind(0)[1],
    "split": lambda x: x.split(2, 1)[1], "unfold": lambda x: x.unfold(1, 2, 2),
    "expand": lambda x: x[:, :1].expand(4, 4),
    "detach": lambda x: x.detach(), "unflatten": lambda x: x.unflatten(1, (2, 2)), "of an index": lambda x: x[1:].T,
}  # fmt: skip
WRITES = {
    "mul_": lambda v: v.mul_(2),
    "+=": lambda v: v.__iadd__(1),
    "v[..., 0] =": lambda v: v.__setitem__((..., 0), 0.5),
}


REFUSED = ("unbind", "split", "expand", "detach")  # all but the last by torch itself


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_that_is_written_to_is_read_or_refused_with_what_to_do(view, write):
    def f(x):
        part = VIEWS[view](x)
        WRITES[write](part)
        return x * 3 + part.sum()

    if view not in REFUSED:
        assert check_model(Does(f), torch.randn(4, 4))
        return
    with pytest.raises((TypeError, ValueError)) as e:
        check_model(Does(f), torch.randn(4, 4))
    assert "in place" in str(e.value) or "Does ends in RuntimeError on this sample" in str(e.value)


def into_zeros(x):
    z = torch.zeros(3, 4)
    z.view(-1)[2] = x[0, 0]
    return z * x


def into_transposed(x):
    z = torch.zeros(3, 4)
    z.t()[1:3] = x[:, :2].t()
    return z


def after_another_tensor_was(x):
    z = torch.zeros(3, 4)
    z[:, 1:3] = x[:, 1:3]
    z = z.masked_fill(z > 1, 0.5)
    z[:, ::2] *= x.mean()
    return z


def beside_one_that_was_not(x):
    z = x * 2
    first, second = z[0], z[1]
    first.mul_(3)
    return first * second


def below_what_was_written_to(x):
    z = x * 2
    row = z[1]
    z.add_(1)
    return row * z


def along_the_diagonal(x):
    z = x * 2
    z.diagonal().add_(x[:, 0])
    return z


def view_of_a_view(x):
    z = x.clone()
    z.view(3, 2, 2).transpose(1, 2)[0].mul_(2.0)
    return z


@pytest.mark.parametrize(
    "f",
    [into_zeros, into_transposed, after_another_tensor_was, beside_one_that_was_not, below_what_was_written_to,
     along_the_diagonal, view_of_a_view],
)  # fmt: skip
def test_tensors_that_share_memory(f):
    assert check_model(Does(f), torch.randn(3, 4))


def test_several_views_that_are_written_to_are_refused_with_what_to_do():
    def f(x):
        z = x * 2
        a, b = z[0], z[:, 0]
        a.mul_(2)
        b.mul_(3)
        return z

    with pytest.raises(TypeError, match=r"x = x\.clone\(\) before the change"):
        check_model(Does(f), torch.randn(3, 4))


class Checkpointed(nn.Module):
    """float32, as models are; where it is compared in float64, a second run would take these parameters."""

    def __init__(self, reentrant):
        super().__init__()
        self.linear, self.reentrant = nn.Linear(4, 3), reentrant

    def forward(self, x):
        return checkpoint(lambda a: torch.tanh(self.linear(a)), x, use_reentrant=self.reentrant)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_is_what_it_runs(reentrant):
    report = check_model(Checkpointed(reentrant), torch.randn(2, 4))
    assert report
    assert {"linear.weight.grad", "linear.bias.grad"} <= {t.name for t in report.tensors}


def fused(x, b):
    return x * 0.5 * (1.0 + torch.tanh(x)) + b


def test_a_scripted_function_is_read_through():
    with warnings.catch_warnings(action="ignore"):
        scripted = torch.jit.script(fused)

    class Biased(nn.Module):
        def __init__(self):
            super().__init__()
            self.b = nn.Parameter(torch.randn(4))

        def forward(self, x):
            return scripted(x, self.b)

    assert check_model(Biased(), torch.randn(2, 4))


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_draws_the_same_on_both_sides(hard):
    assert check_model(Does(lambda x: F.gumbel_softmax(x, tau=0.7, hard=hard)), torch.randn(3, 4))


def whitened(x):
    covariance = x.T @ x / len(x) + 0.1 * torch.eye(4)
    L = torch.linalg.cholesky(covariance)
    z = torch.linalg.solve_triangular(L, x.T, upper=False)
    return z, torch.logdet(covariance), torch.linalg.inv(covariance), torch.linalg.solve(covariance, x.T)


def nearest(x):
    return x[torch.cdist(x, x.detach() + 0.3).argmin(1)] + torch.cdist(x, 2 * x, p=1.0).mean()


@pytest.mark.parametrize("f", [whitened, nearest])
def test_linear_algebra_and_distances(f):
    assert check_model(Does(f), torch.randn(9, 4))


def by_a_list(x):
    y = x * 1
    y[[0, 2]] = 0.0
    y[[0, 1], [2, 3]] = x[1, :2]
    return y + x[range(4), [1, 2, 0, 3]]


def test_an_index_that_is_a_list_means_rows():
    assert check_model(Does(by_a_list), torch.randn(4, 4), by_layer=True)
    assert check_model(Does(lambda x: torch.mm(x, x.t())), torch.randn(4, 4))


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.src = nn.Embedding(11, 4)

    def forward(self, src):
        return self.src(src) * (src != 0).unsqueeze(-1)


def test_an_argument_may_have_the_name_of_a_module():
    assert check_model(Named(), torch.randint(0, 11, (2, 6)), by_layer=True)


class Shared(nn.Module):
    """One module under two names, and tensors in plain attributes that the first call makes."""

    def __init__(self):
        super().__init__()
        self.a = self.b = nn.Linear(4, 4)
        self.n = self.m = nn.BatchNorm1d(4)
        self.table, self.mean = None, torch.zeros(4)

    def forward(self, x):
        if self.table is None:
            self.table = torch.arange(4, dtype=x.dtype)
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return self.m(self.b(torch.relu(self.n(self.a(x))))) + self.table


def test_a_model_stays_as_it_is_whatever_it_shares_and_keeps():
    model, x = Shared(), torch.randn(3, 4)
    before = {n: (id(t), t.clone()) for n, t in model.state_dict(keep_vars=True).items()}
    for _ in range(2):
        assert check_model(model, x, by_layer=True)
    after = model.state_dict(keep_vars=True)
    assert all(id(after[n]) == at and torch.equal(after[n], t) for n, (at, t) in before.items())
    assert all(p.grad is None for p in model.parameters())
    assert model.table is None
    assert not model.mean.any()
    model(x)


def by_data(x):
    y = x * 2
    y.data.clamp_(0)
    return y * y


def stepping(x):
    (x * 2).sum().backward(retain_graph=True)
    return x * 2


def by_numpy(x):
    y = x * 2
    y.detach().numpy()[0] = 0
    return y * 3


@pytest.mark.parametrize(
    ("f", "told"),
    [
        (by_data, r"clamp_ changes a tensor by its \.data"),
        (lambda x: torch.sin(x.detach().requires_grad_()), r"requires_grad_\(\) makes a tensor"),
        (stepping, "it calls backward inside of its forward pass, .*: give the model that computes the loss"),
        (lambda x: x * torch.autograd.grad((x**2).sum(), x)[0], "it takes a gradient inside of its forward pass"),
        (lambda x: torch.func.grad(lambda a: a.sin().sum())(x), "it takes a gradient inside of its forward pass"),
        (lambda x: torch.func.vmap(torch.sin)(x), r"within torch\.func\.vmap .*: write it for the batch as a whole"),
        (lambda x: torch.distributions.Gamma(x.exp(), 1.0).rsample(), r"draw by sample\(\), or give what is drawn"),
        (
            lambda x: x * torch.ones(4, dtype=torch.bfloat16),
            r"a tensor of torch\.bfloat16.*make it torch\.float32",
        ),
        (by_numpy, r"read-only\. x\.numpy\(\) shares its memory with x, .* x\.numpy\(\)\.copy\(\)"),
        (lambda x: x @ torch.eye(4, dtype=torch.float16), "register_buffer"),
    ],
)
def test_what_is_not_read_is_told_with_its_cause(f, told):
    with pytest.raises((TypeError, ValueError), match=told):
        check_model(Does(f), torch.randn(4, 4))


def test_a_check_under_inference_mode_is_refused_with_what_to_do():
    with (
        torch.inference_mode(),
        pytest.raises((TypeError, ValueError), match=r"inference_mode.*torch\.no_grad\(\) does"),
    ):
        check_model(Does(lambda x: x * 2), torch.randn(4, 4))


class Taught(nn.Module):
    """A teacher whose answers have no gradient."""

    def __init__(self, mode):
        super().__init__()
        self.teacher, self.student, self.mode = nn.Linear(4, 3), nn.Linear(4, 3), mode

    def forward(self, x):
        with self.mode():
            t = torch.tanh(self.teacher(x))
        return (self.student(x) - t.clone()).square().mean()


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_what_runs_without_a_gradient_inside_of_a_model(mode):
    report = check_model(Taught(mode), torch.randn(3, 4), by_layer=True)
    assert report, str(report)
    zero = next(t for t in report.tensors if t.name == "teacher.weight.grad")
    assert not zero.hand.any()


def offloaded(x):
    with torch.autograd.graph.save_on_cpu():
        return x * x.exp()


def flagged(x):
    h = x[:, None]
    h.requires_grad = True
    return h.exp()


@pytest.mark.parametrize("f", [offloaded, flagged])
def test_what_changes_no_number_is_read(f):
    report = check_model(Does(f), torch.randn(3, 4), by_layer=True)
    assert report, str(report)


class Scaled(nn.Module):
    """An input that is changed in place: an error of torch's only where that input has a gradient."""

    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 2)

    def forward(self, x):
        x = x - x.mean(1, keepdim=True)
        x /= x.std(1, keepdim=True)
        return self.l(x)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_inputs_get_no_gradient_where_only_that_makes_an_error(dtype):
    report = check_model(Scaled(), torch.randn(3, 4), by_layer=True, dtype=dtype)
    assert report, str(report)
    assert {t.name for t in report.tensors} == {"y", "l.weight.grad", "l.bias.grad"}
    assert any("no gradient by the inputs is compared" in note for note in report.notes)


class Binned(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 2)

    def forward(self, x):
        return self.l(x * (x // 0.5))


def test_a_function_of_the_input_that_has_no_derivative():
    report = check_model(Binned(), torch.randn(3, 4), by_layer=True)
    assert report, str(report)
    assert {t.name for t in report.tensors} == {"y", "l.weight.grad", "l.bias.grad"}


def test_what_torch_cannot_go_back_through_is_refused():
    def f(h):
        y = h.exp()
        y += 1
        return y

    with pytest.raises(ValueError, match="autograd itself cannot go back through this Does"):
        check_model(Does(f), torch.randn(3, 4))


class SpatialTransformer(nn.Module):
    """As the tutorial has it: an image turned as the network itself says."""

    def __init__(self):
        super().__init__()
        self.localization = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, 2), nn.ReLU())
        self.fc_loc = nn.Linear(2 * 3 * 3, 6)

    def forward(self, x):
        xs = self.localization(x).view(-1, 2 * 3 * 3)
        theta = self.fc_loc(xs).view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)


def test_a_spatial_transformer():
    assert check_model(SpatialTransformer(), torch.randn(2, 1, 8, 8), by_layer=True)


def over_constants(x):
    """As libraries make their masks."""
    rows = torch.func.vmap(lambda i: torch.func.vmap(lambda j: j <= i)(torch.arange(4)))(torch.arange(4))
    z = torch.zeros(4, 4)
    z.numpy()[0] = 1
    return x.masked_fill(~rows, 0.0) + z


def test_constants_may_be_computed_in_any_way():
    assert check_model(Does(over_constants), torch.randn(4, 4))


def test_operands_that_are_swapped():
    W = torch.randn(4, 4)
    for f in (W.__rmatmul__, lambda x: x.__rmatmul__(W), lambda x: torch.bmm(mat2=x[None], input=W[None].exp())):
        report = check_model(Does(f), torch.randn(4, 4), by_layer=True)
        assert report, str(report)


DRAWN = {
    "bernoulli": lambda x: torch.bernoulli(torch.sigmoid(x)) * x,
    "Tensor.bernoulli": lambda x: torch.sigmoid(x).bernoulli() * x,
    "bernoulli_": lambda x: torch.empty(4, 4).bernoulli_(torch.sigmoid(x)) * x,
    "normal": lambda x: torch.normal(x, x.exp()) * x,
    "poisson": lambda x: torch.poisson(x.exp()) * x,
    "distribution": lambda x: torch.distributions.Normal(x, x.exp()).rsample().sum(1),
    "mixed": lambda x: torch.distributions.Beta(1.0, 1.0).sample().item() * x + x.flip(0),
    "gamma": lambda x: torch.distributions.Gamma(x.exp(), 1.0).sample() * x,
    "torch.dropout": lambda x: torch.dropout(x * 2, 0.5, True) + torch.rrelu(x, training=True),
    "choice": lambda x: (d := torch.distributions.Categorical(logits=x)).log_prob(d.sample()),
}


UNSEEN = ("distribution", "mixed", "torch.dropout")  # which draw by no number of the sample


@pytest.mark.parametrize("f", DRAWN)
def test_what_is_drawn_by_numbers_of_the_sample_is_drawn_once_and_has_no_gradient(f):
    report = check_model(Does(DRAWN[f]), torch.randn(4, 4), by_layer=True)
    assert report, str(report)
    assert any("draws as the sample says" in note for note in report.notes) or f in UNSEEN
