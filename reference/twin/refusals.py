"""What is said of a model that cannot be read: the call, its place in the user's code, and what to do."""

import linecache
import sys

import torch

from manualbp.base import Layer

from . import calls, passes

TORCH = torch.__file__.rpartition("/")[0]
HERE = (__file__, passes.__file__, __file__.replace("refusals", "reading"))

PACKED = (
    "a packed sequence has no axis of time left to read along. Give the layer the padded sequences: in one direction, "
    "up to its end each gives the same; by hand the lengths are an input, as in "
    "LSTM(3, 4).forward(params, (x, None, lengths))"
)
REFUSED = {
    "torch._pack_padded_sequence": PACKED,
    "torch._pad_packed_sequence": PACKED,
    "Tensor.register_hook": "a hook on a tensor may change the gradient; remove it",
    "Tensor.data.__set__": "x.data = … changes a tensor behind autograd's back; assign to x instead",
    "Tensor.set_": "x.set_(…) changes a tensor behind autograd's back; assign to x instead",
}


class Missing(Layer, family=True):
    """The place of a call that has no class here: an error only if the output depends on it."""

    call: str
    reason: str
    place: str


def told(missing: list[Missing]) -> str:
    """The calls without a class, and the one class to write."""
    lines = {f"  {calls.shown(m.call)} ({m.reason}) {m.place}": None for m in missing}
    first = missing[0].call
    cls = "".join(part.capitalize() for part in calls.last(first).strip("_").split("_"))
    return "\n".join([
        f"from_torch cannot read this model: {len(lines)} call{'s' * (len(lines) > 1)} without a class here.",
        *lines,
        "One class makes a call readable, here and in models of your own:",
        f"    class {cls}(manualbp.operations.Operation):",
        f'        calls = ("{first}",)',
        "        def forward(self, params, x): ...  # y, cache",
        "        def backward(self, params, cache, dy): ...  # dx, {}",
    ])  # fmt: skip


def place(path: str) -> str:
    """Where in the user's code a call is: module, file, line, text."""
    frame, module = sys._getframe(1), f"in {path or 'the model'}"
    while frame.f_back and frame.f_code.co_filename in HERE:
        frame = frame.f_back
    while frame.f_back and frame.f_code.co_filename.startswith((TORCH, *HERE, "<frozen")):
        if frame.f_code.co_filename == passes.__file__ and frame.f_code.co_name == "run":
            return module  # a module of torch's own
        frame = frame.f_back
    file, line = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(file, line).strip()
    return f"{module}, {file}:{line}" + (f": {text}" if text else "")
