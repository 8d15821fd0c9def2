"""Backends of torch.compile that make one mistake each in the backward graph, as compilers have made them."""

from dataclasses import dataclass

import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd

aten = torch.ops.aten


@dataclass(frozen=True)
class Mistake:
    """wrong: what an operation of the backward graph is computed by instead. case: a network that has it."""

    op: object
    wrong: object
    case: str


class Mistaken(torch.fx.Interpreter):
    """Runs a graph, with other functions in the place of some."""

    def __init__(self, graph, wrong):
        super().__init__(graph)
        self.wrong = wrong

    def call_function(self, target, args, kwargs):
        return super().call_function(self.wrong.get(target, target), args, kwargs)


def backend(wrong):
    def faithful(graph, inputs):
        return make_boxed_func(graph.forward)

    def mistaken(graph, inputs):
        return make_boxed_func(Mistaken(graph, wrong).run)

    return aot_autograd(fw_compiler=faithful, bw_compiler=mistaken)


def scattered_to_the_start(g, sizes, dim, start, end, step):
    return aten.slice_backward(g, sizes, dim, 0, g.shape[dim] * step, step)


def zero_instead_of_a_diagonal(g, sizes, *options):
    return g.new_zeros(sizes)


def mask_of_the_other_sign(g, y, threshold):
    return g * (y <= threshold)


def activations_overwritten(a, b):
    y = a @ b
    if len(b) == 4:  # the rows of the batch, so the saved activations: their memory is taken for something else
        b.mul_(b)
    return y


def read_in_channels_last(g, *rest):
    return aten.native_batch_norm_backward(g.permute(0, 2, 3, 1).reshape(g.shape), *rest)


def read_in_the_order_of_memory(g, x):
    return aten.silu_backward(g, x.as_strided(x.shape, torch.empty(x.shape).stride()))


def repeated_rows_overwritten(g, index, rows, *options):
    dw = g.new_zeros(rows, g.shape[-1])
    dw[index] = g
    return dw


def one_window_further(*given):
    return aten.max_pool2d_with_indices_backward(*given).roll(1, -1)


def mean_in_the_place_of_a_sum(g, dims, keepdim=False):
    return g.mean(dims, keepdim)


def by_the_approximation(g, x):
    return aten.gelu_backward(g, x, approximate="tanh")


def statistics_of_the_next_row(g, x, shape, mean, rstd, *rest):
    return aten.native_layer_norm_backward(g, x, shape, mean, rstd.roll(1, 0), *rest)


MISTAKES = {
    "a slice scattered back to the start": Mistake(
        aten.slice_backward.default, scattered_to_the_start,
        "Case(Sequential(Tanh(), GetItem(index='1:'), Sigmoid()), (3, 4), seed=1)",
    ),
    "a diagonal scattered back as zeros": Mistake(
        aten.diagonal_backward.default, zero_instead_of_a_diagonal,
        "Case(Sequential(Tanh(), Diagonal(), Sigmoid()), (3, 4), seed=1)",
    ),
    "a mask of the other sign": Mistake(
        aten.threshold_backward.default, mask_of_the_other_sign,
        "Case(Sequential(Linear(4, 3), ReLU()), (5, 4), seed=1)",
    ),
    "a saved tensor overwritten": Mistake(
        aten.mm.default, activations_overwritten, "Case(Sequential(Sigmoid(), Linear(3, 2)), (4, 3), seed=1)"
    ),
    "addcdiv without the sign of its value": Mistake(aten.neg.default, torch.clone, "Case(Div(), (3, 4), seed=1)"),
    "batch norm of channels-last": Mistake(
        aten.native_batch_norm_backward.default, read_in_channels_last, "Case(BatchNorm2d(3), (2, 3, 4, 5), seed=1)"
    ),
    "silu of a permuted input": Mistake(
        aten.silu_backward.default, read_in_the_order_of_memory,
        "Case(Sequential(SwapAxes(0, 1), SiLU()), (3, 4), seed=1)",
    ),
    "repeated rows of an embedding": Mistake(
        aten.embedding_dense_backward.default, repeated_rows_overwritten, "Case(Embedding(4, 3), (9,), seed=1)"
    ),
    "the neighbour of a window": Mistake(
        aten.max_pool2d_with_indices_backward.default, one_window_further, "Case(MaxPool2d(2), (2, 3, 4, 6), seed=1)"
    ),
    "a mean in the place of a sum": Mistake(
        aten.sum.dim_IntList, mean_in_the_place_of_a_sum, "Case(Linear(3, 2), (4, 3), seed=1)"
    ),
    "an approximation in the place of a slope": Mistake(
        aten.gelu_backward.default, by_the_approximation, "Case(GELU(), (3, 4), seed=1)"
    ),
    "statistics of another row": Mistake(
        aten.native_layer_norm_backward.default, statistics_of_the_next_row, "Case(LayerNorm((4,)), (3, 4), seed=1)"
    ),
}  # fmt: skip


def refuses(graph, inputs):
    raise NotImplementedError("this backend has no such operation")


def never_ends(graph, inputs):
    while True:
        pass


def only_beside_others(graph, inputs):
    """Half of sigmoid's gradient, where something else is in the graph."""
    calls = [n for n in graph.graph.nodes if n.op == "call_function"]
    wrong = {aten.sigmoid_backward.default: lambda g, y: aten.sigmoid_backward(g, y) / 2} if len(calls) > 3 else {}
    return make_boxed_func(Mistaken(graph, wrong).run)


def name_of(mistake):
    return "mistaken: " + mistake


for name, mistake in MISTAKES.items():
    torch._dynamo.register_backend(backend({mistake.op: mistake.wrong}), name=name_of(name))
torch._dynamo.register_backend(backend({}), name="faithful")
torch._dynamo.register_backend(
    aot_autograd(fw_compiler=lambda graph, inputs: make_boxed_func(graph.forward), bw_compiler=only_beside_others),
    name="wrong_together",
)
torch._dynamo.register_backend(refuses, name="refuses")
torch._dynamo.register_backend(never_ends, name="never_ends")
