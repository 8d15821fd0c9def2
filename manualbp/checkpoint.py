"""Parameters, and whole training runs, in safetensors files.

    save(path, params)                    params = load(path)                 under the names of torch's state_dict
    save_checkpoint(path, checkpoint)     checkpoint = load_checkpoint(path)  all that training needs to go on

`safetensors.torch.save_file(module.state_dict(), path)` writes what `load` reads, and `load_file` reads what `save`
writes. A file is replaced as a whole or not at all, whenever the process dies.
"""

import contextlib
import dataclasses
import json
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .base import Array, Params, flatten, unflatten

STORED = [np.dtype(kind) for kind in "?bhiqBHIQefdF"]  # what safetensors has of NumPy's dtypes
VERSION = 1
FilePath = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training run between two steps. To go on from it gives the same bits as never to have stopped.

    params, state   the parameters, and the optimizer's state
    rng             state of the generator: rng.bit_generator.state
    epoch, done     epochs finished; examples done in the epoch after these
    order           the order of the examples in that epoch, None where none of it is done
    losses          the loss of every step so far
    """

    params: Params
    state: dict[str, Any]
    rng: Any
    epoch: int = 0
    done: int = 0
    order: Array | None = None
    losses: Array = dataclasses.field(default_factory=lambda: np.zeros(0))


def save(path: FilePath, params: Params) -> None:
    """Write parameters as a safetensors file, under the names of torch's state_dict."""
    _write(path, flatten(params))


def load(path: FilePath, like: Params | None = None) -> Params:
    """The parameters in a safetensors file.

    With `like` (say, net.init(rng)) names and shapes must be the same, and dtypes become those of `like` where that
    loses nothing. ValueError, naming every difference, if they are not; ValueError for any other kind of file.
    """
    flat, metadata = read_arrays(path)
    if "manualbp" in metadata:
        raise ValueError(f"{path} is a checkpoint of a training run; its parameters are load_checkpoint(path).params")
    layers = {name[:i] for name in flat for i, c in enumerate(name) if c == "."}
    if both := sorted(layers & flat.keys()):
        raise ValueError(f"{path} has names that are a parameter and a layer at once: {_listed(both)}")
    return unflatten(flat if like is None else matched(flat, flatten(like), str(path)))


def save_checkpoint(path: FilePath, checkpoint: Checkpoint) -> None:
    """Write a training run: its arrays as tensors "params.…" and "state.…", the rest as JSON in the metadata."""
    arrays: dict[str, Array] = {}
    fields = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint)}
    tree = {name: _encode(value, name, arrays) for name, value in fields.items()}
    _write(path, arrays, {"manualbp": json.dumps({"version": VERSION, "checkpoint": tree})})


def load_checkpoint(path: FilePath) -> Checkpoint:
    """The training run that `save_checkpoint` wrote. ValueError if the file holds none."""
    arrays, metadata = read_arrays(path)
    if "manualbp" not in metadata:
        raise ValueError(f"{path} holds parameters alone, no training run: read it with load(path)")
    try:
        told = json.loads(metadata["manualbp"])
        if told["version"] != VERSION:
            raise ValueError(f"it has version {told['version']}, this is manualbp's version {VERSION}")
        return Checkpoint(**{name: _decode(value, arrays) for name, value in told["checkpoint"].items()})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is a checkpoint that cannot be read: {error}") from error


def matched(flat: dict[str, Array], like: dict[str, Array], source: str) -> dict[str, Array]:
    """The arrays in the order and dtypes of `like`; a ValueError that names every difference otherwise."""
    both = [name for name in like if name in flat]
    shapes = [f"{n} {flat[n].shape} for {like[n].shape}" for n in both if flat[n].shape != np.shape(like[n])]
    wider = [f"{n} {flat[n].dtype} for {like[n].dtype}" for n in both if not np.can_cast(flat[n].dtype, like[n].dtype)]
    told = [
        f"{what} {_listed(names)}"
        for what, names in (
            ("missing:", [name for name in like if name not in flat]),
            ("surplus:", [name for name in flat if name not in like]),
            ("of another shape:", shapes),
            ("not to be converted without loss:", wider),
        )
        if names
    ]
    if told:
        raise ValueError(f"the parameters in {source} are not those wanted; {'; '.join(told)}")
    return {name: flat[name].astype(like[name].dtype, copy=False) for name in like}


def _listed(names: Iterable[str], most: int = 8) -> str:
    first, more = list(names)[:most], len(list(names)) - most
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def _write(path: FilePath, flat: dict[str, Array], metadata: dict[str, str] | None = None) -> None:
    """A safetensors file of these arrays."""
    replace_whole(path, as_safetensors(flat, metadata))


def as_safetensors(flat: dict[str, Array], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file of these arrays."""
    import safetensors.numpy  # here, so that layers can be used where it is not installed

    return safetensors.numpy.save({name: _storable(name, a) for name, a in flat.items()}, metadata)


def replace_whole(path: FilePath, data: bytes) -> None:
    """All bytes go to a new file beside `path`, and to the disk; only then does it take the name of the old one."""
    target = Path(os.path.realpath(path))  # a symbolic link stays one
    _remove_abandoned(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except FileNotFoundError:  # another process, which saves to the same file, took this one for abandoned
        replace_whole(path, data)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_abandoned(target: Path) -> None:
    """What writers that were killed have left beside the file."""
    for path in target.parent.iterdir():
        if re.fullmatch(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.tmp", path.name):
            with contextlib.suppress(OSError):  # another process was faster; on Windows it may still be written
                path.unlink()


def _storable(name: str, a: Array) -> Array:
    """The array as safetensors takes for granted that it is: in C order and in the machine's byte order."""
    a = np.asarray(a)
    kind = a.dtype.newbyteorder("=")
    if kind not in STORED:
        raise ValueError(
            f"{name} is {a.dtype}, which safetensors and torch have not; they have {', '.join(map(str, STORED))}. "
            f"Convert it first, as in tree_map(lambda a: a.astype(np.float64), params)"
        )
    return np.asarray(a, kind, order="C")


def read_arrays(path: FilePath) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of a safetensors file; a ValueError that says what is wrong with any other."""
    import safetensors

    with open(path, "rb") as file:
        start = file.read(4)
    try:
        with safetensors.safe_open(path, "np") as file:
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            if foreign := [f"{name} {kind}" for name, kind in kinds.items() if kind in ("BF16",) or kind[:2] == "F8"]:
                raise ValueError(f"{path} has numbers that NumPy has not ({_listed(foreign)}); in torch, use .float()")
            return {name: file.get_tensor(name) for name in kinds}, file.metadata() or {}
    except safetensors.SafetensorError as error:
        kind = (
            "It looks like a file of torch.save: in torch, write safetensors.torch.save_file(torch.load(path), other)"
            if start == b"PK\x03\x04"
            else "It may have been cut off while it was written or copied, or be a file of another kind"
        )
        raise ValueError(f"{path} is no whole safetensors file ({error}). {kind}.") from error


def _encode(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """A tree as JSON, its arrays put aside under names that say where they belong."""
    if isinstance(value, dict):
        return {"dict": {key: _encode(v, f"{name}.{key}", arrays) for key, v in value.items()}}
    if isinstance(value, (tuple, list)):
        return {type(value).__name__: [_encode(v, f"{name}.{i}", arrays) for i, v in enumerate(value)]}
    if isinstance(value, (np.ndarray, np.generic)):
        while name in arrays:
            name += "_"
        arrays[name] = np.asarray(value)
        return {"array" if isinstance(value, np.ndarray) else "number": name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{name} is {type(value).__name__} {value!s:.60}, which a checkpoint cannot hold")


def _decode(value: Any, arrays: dict[str, Array]) -> Any:
    """The inverse of `_encode`."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "dict":
        return {key: _decode(v, arrays) for key, v in inner.items()}
    if kind in ("tuple", "list"):
        return {"tuple": tuple, "list": list}[kind](_decode(v, arrays) for v in inner)
    return arrays[inner] if kind == "array" else arrays[inner][()]
