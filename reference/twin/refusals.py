"""What is said of a model that cannot be read: the call, its place in the user's code, and what to do."""

import linecache
import sys
from collections.abc import Callable
from typing import Any

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
BACKWARD = (
    "it calls backward inside of its forward pass, so that its own gradients are added to those of the comparison: "
    "give the model that computes the loss, and call backward outside of it"
)
GRADIENT = (
    "it takes a gradient inside of its forward pass (torch.autograd.grad, torch.func.grad, jvp, jacrev), whose own "
    "gradient is one of second order: write that gradient as a formula of its inputs"
)
HOOK = "a hook on a tensor may change the gradient; remove it"
SAVED = (
    "within saved_tensors_hooks what is kept for the backward pass is changed, or may be: run it without them "
    "(save_on_cpu is read)"
)
REFUSED = {
    "torch._pack_padded_sequence": PACKED,
    "torch._pad_packed_sequence": PACKED,
    "Tensor.register_hook": HOOK,
    "Tensor.register_post_accumulate_grad_hook": HOOK,
    "Tensor.data.__set__": "x.data = … changes a tensor behind autograd's back; assign to x instead",
    "Tensor.set_": "x.set_(…) changes a tensor behind autograd's back; assign to x instead",
    **dict.fromkeys(("Tensor.backward", "torch.backward"), BACKWARD),
    "torch.grad": GRADIENT,
}
OF_A_FUNCTION = (
    "{0} is compared with the backward that this torch.autograd.Function has; check_function({0}, against=…, inputs=…) "
    "judges that one"
)
MOVES = (
    ", which by hand leaves its parameters as they are: change it after the step, outside of forward, or where it is "
    "never trained, as in a teacher that follows, keep it as a buffer (register_buffer)"
)
IMPLICIT = (
    "it draws from a Gamma, Beta or Dirichlet distribution with a gradient by its parameters, which is no function of "
    "what is drawn: draw by sample(), or give what is drawn as an input"
)
AUTOCAST = (
    "it computes under autocast, where torch rounds to bfloat16 as it sees fit. Run it without: "
    "torch.autocast(…, enabled=False)"
)
INFERENCE = (
    "it is asked under torch.inference_mode, whose tensors count no changes and have no gradient: torch.no_grad() does "
    "the same here"
)
TRANSFORMED = (
    "within torch.func.{0} it computes on stand-ins of tensors, where the calls are not those of its numbers: write it "
    "for the batch as a whole, or as a loop"
)


def unreadable(name: str, given: list[torch.Tensor], fixed: Callable[[torch.Tensor], bool]) -> str | None:
    """Why a call cannot be read whatever comes of it, and what to do; None for any other."""
    if name in REFUSED:
        return REFUSED[name]
    if torch.is_autocast_enabled("cpu"):
        return AUTOCAST
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    if hooks is not None and not hooks[0].__qualname__.startswith("save_on_cpu."):
        return SAVED
    transform = torch._C._functorch.peek_interpreter_stack()
    if transform is not None and not all(map(fixed, map(inside, given))):
        return (TRANSFORMED if transform.key().name == "Vmap" else GRADIENT).format(transform.key().name.lower())
    return None


class Watched:
    """A node of autograd's graph that a model looks at; a hook on it is refused."""

    def __init__(self, node: Any, refuse: Callable[[], Exception]) -> None:
        self._node, self._refuse = node, refuse

    def __getattr__(self, name: str) -> Any:
        if name in ("register_hook", "register_prehook"):
            raise self._refuse()
        return getattr(self._node, name)

    def __repr__(self) -> str:
        return repr(self._node)


def inside(t: torch.Tensor) -> torch.Tensor:
    """The tensor that a stand-in of torch.func's is made of."""
    while torch._C._functorch.is_functorch_wrapped_tensor(t):
        t = torch._C._functorch.get_unwrapped(t)
    return t


class Missing(Layer, family=True):
    """The place of a call that has no class here: an error only if the output depends on it."""

    call: str
    reason: str
    place: str
    lost: bool = False  # would no class make it readable, since a tensor that it takes is not known?


def told(missing: list[Missing]) -> str:
    """The calls without a class, and the one class to write; or what else cannot be read."""
    lines = {f"  {calls.shown(m.call)} ({m.reason}) {m.place}": None for m in missing}
    if (first := next((m.call for m in missing if not m.lost), None)) is None:
        return "\n".join(["from_torch cannot read this model:", *lines])
    own = "." not in first  # a Function of the user's, whose name is taken
    cls = f"{first}ByHand" if own else "".join(p.capitalize() for p in calls.last(first).strip("_").split("_"))
    return "\n".join([
        f"from_torch cannot read this model: {len(lines)} call{'s' * (len(lines) > 1)} without a class here.",
        *lines,
        "One class makes a call readable, here and in models of your own:",
        f"    class {cls}(manualbp.operations.Operation):",
        f'        calls = ("{first}",)',
        "        def forward(self, params, x): ...  # y, cache",
        "        def backward(self, params, cache, dy): ...  # dx, {}",
        *([OF_A_FUNCTION.format(first).replace("is compared", "is then compared")] if own else []),
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
