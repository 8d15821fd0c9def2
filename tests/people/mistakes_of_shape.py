"""Gradients of a wrong shape, as people make them, each by its cause; as in `mistakes`."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from reference import Indices

from .corpus import ND, XWB
from .mistakes import wrongly

NORM = {"x": ("N", "D"), "g": ("D",), "b": ("D",)}
IMAGE = {"x": ("N", "C", "H", "W"), "b": ("C",)}
COLUMN = {"x": ("N", "D"), "s": ("N", 1)}
MATRIX = {"W": ("M", "D"), "x": ("D",)}
BATCHES = {"a": ("B", "N", "D"), "b": ("B", "D", "M")}


def affine(x, W, b):
    return x @ W + b


def affine_back(db=lambda dy: dy.sum(0), dW=lambda x, dy: x.T @ dy):
    return lambda dy, x, W, b: (dy @ W.T, dW(x, dy), db(dy))


def standard(x):
    d = x - x.mean(1, keepdims=True)
    s = np.sqrt((d * d).mean(1, keepdims=True) + 1e-5)
    return d / s, s


def layer_norm_back(dg):
    def back(dy, x, g, b):
        h, s = standard(x)
        d = dy * g
        dx = (d - d.mean(1, keepdims=True) - h * (d * h).mean(1, keepdims=True)) / s
        return dx, dg(dy * h), dy.sum(0)

    return back


def affine_of(name, says, ids="", **parts):
    return wrongly(f"affine: {name}", affine, affine_back(**parts), affine, XWB, ids=ids, says=says)


def layer_norm_of(name, says, dg, ids=""):
    return wrongly(
        f"layer norm: {name}", lambda x, g, b: standard(x)[0] * g + b, layer_norm_back(dg),
        lambda x, g, b: F.layer_norm(x, (x.shape[1],), g, b), NORM, ids=ids, says=says,
    )  # fmt: skip


def pooled(x, m):
    return (x * m[..., None]).sum(1) / m.sum(1)[:, None].clip(1, None)


def cell(z, c):
    new = c * np.tanh(z)
    return np.tanh(new), new


def cell_back(dh, dc, z, c):
    h, _ = cell(z, c)
    dnew = dh * (1 - h * h)  # and dc
    return dnew * c * (1 - np.tanh(z) ** 2), dnew * np.tanh(z)


def torch_cell(z, c):
    return (c * z.tanh()).tanh(), c * z.tanh()


def image_of(name, says, axes, ids=""):
    def added(x, b):
        return x + b[:, None, None]

    return wrongly(f"image: {name}", added, lambda dy, x, b: (dy, dy.sum(axes)), added, IMAGE, ids=ids, says=says)


def column_of(name, says, ds, ids=""):
    return wrongly(
        f"column: {name}", lambda x, s: x * s, lambda dy, x, s: (dy * s, ds(dy * x)), lambda x, s: x * s, COLUMN,
        ids=ids, says=says,
    )  # fmt: skip


MISTAKES = [
    affine_of("db is dy", "with an axis of the batch", "B03|F06", db=lambda dy: dy),
    affine_of("an axis is left", "keepdims=True leaves it", db=lambda dy: dy.sum(0, keepdims=True)),
    affine_of(
        "a mean, an axis is left", "1/N times.*keepdims=True leaves it", db=lambda dy: dy.mean(0, keepdims=True)
    ),
    affine_of("db over the other axis", "summed over axis 1 of dy.*sum over axis 0", db=lambda dy: dy.sum(1)),
    affine_of("a mean over the other axis", "averaged over axis 1 of dy.*sum over axis 0", db=lambda dy: dy.mean(1)),
    affine_of("all in one", "summed over axis 0, which the input itself has", db=lambda dy: dy.sum()),
    affine_of("dW the other way round", "right but transposed", dW=lambda x, dy: dy.T @ x),
    affine_of("dW of each sample", "not summed over it", "F06", dW=lambda x, dy: x[:, :, None] * dy[:, None]),
    layer_norm_of("dg of each sample", "not summed over it", lambda terms: terms, "F06"),
    layer_norm_of("dg over the other axis", "summed over axis 1 of dy.*sum over axis 0", lambda terms: terms.sum(1)),
    image_of("places left out", "repeated along axes 1 and 2; its gradient", 0, "F06|B06"),
    image_of("the batch left out", "not summed over it", (2, 3), "F06|B06"),
    image_of("other axes", "axes 0 and 1 of dy, where the sum over axes 0, 2 and 3", (0, 1)),
    column_of("an axis is lost", "length 1 is lost, which keepdims=True keeps", lambda terms: terms.sum(1)),
    column_of("not summed", "repeated along axis 1; its gradient is not summed", lambda terms: terms, "F06"),
    column_of(
        "over the other axis", "summed over axis 0 of dy, where the sum over axis 1", lambda terms: terms.sum(0)[None]
    ),
    wrongly(
        "row sums: dy is handed on", lambda x: x.sum(1), lambda dy, x: dy, lambda x: x.sum(1), ND,
        says="not spread along axis 1 again",
    ),
    wrongly(
        "row means: a column is handed on", lambda x: x.mean(1), lambda dy, x: dy[:, None] / x.shape[1],
        lambda x: x.mean(1), ND, says="not spread along axis 1 again",
    ),
    wrongly(
        "flattened: dy is handed on", lambda x: x.reshape(len(x), -1), lambda dy, x: dy, lambda x: x.flatten(1),
        {"x": ("N", "C", "D")}, says="The numbers are right, but the shape is not that of the input",
    ),
    wrongly(
        "matrix times a vector: dy for its outer product", lambda W, x: W @ x, lambda dy, W, x: (dy, W.T @ dy),
        lambda W, x: W @ x, MATRIX, says="The factor x is missing",
    ),
    wrongly(
        "batched product: db the other way round", np.matmul,
        lambda dy, a, b: (dy @ b.swapaxes(1, 2), dy.swapaxes(1, 2) @ a), torch.matmul, BATCHES,
        says="right but transposed",
    ),
    wrongly(
        "padding: its mask left out", pooled,
        lambda dy, x, m: (dy / m.sum(1)[:, None].clip(1, None))[:, None].repeat(x.shape[1], 1), pooled,
        {"x": ("N", "T", "D"), "m": Indices(("N", "T"), below=2)}, says="not 0 where m hides",
    ),
    wrongly(
        "two outputs: the gradient of the second left out", cell, cell_back, torch_cell,
        {"z": ("N", "D"), "c": ("N", "D")}, says=r"dz, dc do not depend on dy\[1\], while y\[1\] depends on",
    ),
    wrongly(
        "axes turned: turned on in backward", lambda x: x.transpose(1, 2, 0), lambda dy, x: dy.transpose(1, 2, 0),
        lambda x: x.permute(1, 2, 0), {"x": ("N", "C", "D")}, says="the axes are in another order",
    ),
]  # fmt: skip
