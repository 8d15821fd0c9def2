"""Files: what is written comes back to the bit, torch reads and writes the same, and nothing is ever half replaced."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from manualbp.activation import Tanh
from manualbp.base import flatten, tree_map
from manualbp.batchnorm import BatchNorm1d
from manualbp.checkpoint import Checkpoint, load, load_checkpoint, save, save_checkpoint
from manualbp.container import Sequential
from manualbp.linear import Linear

NET = Sequential(Linear(3, 4), BatchNorm1d(4), Tanh(), Linear(4, 2, bias=False))
TWIN = torch.nn.Sequential(
    torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Linear(4, 2, bias=False)
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.fixture
def params():
    return NET.init(np.random.default_rng(0), np.float32)


def assert_same(a, b):
    a, b = flatten(a), flatten(b)
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].shape == b[name].shape
        assert a[name].tobytes() == b[name].tobytes()


def test_what_was_saved_comes_back_to_the_bit(path, params):
    save(path, params)
    assert_same(load(path), params)


def test_nan_infinity_and_negative_zero_come_back(path):
    odd = {"a": np.array([np.nan, np.inf, -0.0, 5e-324])}
    save(path, odd)
    assert_same(load(path), odd)


@pytest.mark.parametrize(
    "array",
    [np.arange(6.0).reshape(2, 3).T, np.arange(12.0)[::2], np.broadcast_to(7.0, (2, 2)), np.arange(3, dtype=">i4")],
    ids=["transposed", "strided", "broadcast", "big-endian"],
)
def test_the_layout_in_memory_does_not_matter(path, array):
    save(path, {"a": array})
    np.testing.assert_array_equal(load(path)["a"], array)


def test_no_parameters_are_parameters_too(path):
    save(path, {})
    assert load(path) == {}


def test_torch_reads_what_is_written_here(path, params):
    save(path, params)
    TWIN.load_state_dict(safetensors.torch.load_file(path), strict=True)
    assert_same(params, {name: t.numpy() for name, t in TWIN.state_dict().items()})


def test_what_torch_writes_is_read_here(path, params):
    safetensors.torch.save_file(TWIN.state_dict(), path)
    assert_same(load(path, like=params), {name: t.numpy() for name, t in TWIN.state_dict().items()})


def test_every_missing_surplus_and_misshapen_name_is_told(path, params):
    save(path, params | {"0": {"weight": params["0"]["weight"].T}, "9": {"weight": np.zeros(1)}})
    with pytest.raises(ValueError, match=r"missing: 0\.bias; surplus: 9\.weight; of another shape: 0\.weight \(3, 4\)"):
        load(path, like=params)


def test_dtypes_become_those_wanted_where_nothing_is_lost(path, params):
    save(path, params)
    wide = NET.init(np.random.default_rng(1))
    assert load(path, like=wide)["0"]["weight"].dtype == np.float64
    save(path, wide)
    with pytest.raises(ValueError, match=r"without loss: 0\.weight float64 for float32"):
        load(path, like=params)


@pytest.mark.parametrize("dtype", [np.longdouble, np.complex128])
def test_a_dtype_that_no_file_holds_is_refused(path, dtype):
    if np.dtype(dtype) == np.float64:
        pytest.skip("longdouble is double here")
    with pytest.raises(ValueError, match=rf"a is {np.dtype(dtype)}, which safetensors and torch have not"):
        save(path, {"a": np.zeros(2, dtype)})
    assert not path.exists()


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_truncated_file_is_told_in_one_paragraph(path, params, keep):
    save(path, params)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"no whole safetensors file .* cut off") as told:
        load(path)
    assert "\n" not in str(told.value)


def test_a_file_of_torch_save_is_recognised(path):
    torch.save(TWIN.state_dict(), path)
    with pytest.raises(ValueError, match=r"in torch, write safetensors\.torch\.save_file"):
        load(path)


def test_bfloat16_is_named(path):
    safetensors.torch.save_file({"a": torch.ones(2, dtype=torch.bfloat16)}, path)
    with pytest.raises(ValueError, match=r"numbers that NumPy has not \(a BF16\)"):
        load(path)


def test_a_name_that_is_parameter_and_layer_is_refused(path):
    safetensors.torch.save_file({"a": torch.ones(1), "a.b": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="a parameter and a layer at once"):
        load(path)


def test_a_missing_file_is_a_missing_file(path):
    with pytest.raises(FileNotFoundError):
        load(path)


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, params, monkeypatch, function):
    save(path, params)

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(os, function, fail)
        with pytest.raises(OSError, match="disk full"):
            save(path, tree_map(np.zeros_like, params))
    assert_same(load(path), params)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_the_old_file(path, params):
    save(path, params)
    code = (
        "import os, sys; import numpy as np; from manualbp.checkpoint import save\n"
        "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "save(sys.argv[1], {'other': np.zeros(1000)})"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -signal.SIGKILL
    assert_same(load(path), params)
    assert len(os.listdir(path.parent)) == 2
    (path.parent / f".{path.name}.mine.tmp").touch()
    (path.parent / ".other.01234567.tmp").touch()
    save(path, params)
    assert sorted(os.listdir(path.parent)) == [f".{path.name}.mine.tmp", ".other.01234567.tmp", path.name]


def test_a_file_that_another_process_took_for_abandoned_is_written_again(path, params, monkeypatch):
    replace, calls = os.replace, []

    def first_removed(old, new):
        calls.append(old)
        if len(calls) == 1:
            os.unlink(old)
        replace(old, new)

    monkeypatch.setattr(os, "replace", first_removed)
    save(path, params)
    assert_same(load(path), params)
    assert len(calls) == 2
    assert os.listdir(path.parent) == [path.name]


def test_a_directory_that_is_not_there_is_named(tmp_path, params):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save(tmp_path / "nowhere" / "net.safetensors", params)


def test_a_symbolic_link_stays_one(path, params, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    save(link, params)
    assert link.is_symlink()
    assert_same(load(path), params)


def test_permissions_are_those_of_any_new_file(path, params):
    save(path, params)
    (path.parent / "plain").write_bytes(b"")
    assert path.stat().st_mode == (path.parent / "plain").stat().st_mode


@pytest.fixture
def halfway(params):
    rng = np.random.Generator(np.random.MT19937(3))
    state = {"0.weight": {"step": 7, "exp_avg": params["0"]["weight"] * 2, "none": None, "pair": (1.5, [np.inf, True])}}
    return Checkpoint(params, state, rng.bit_generator.state, 2, 5, np.arange(9), np.array([0.1, np.nan]))


def test_a_checkpoint_comes_back_whole(path, halfway):
    save_checkpoint(path, halfway)
    found = load_checkpoint(path)
    assert_same(found.params, halfway.params)
    assert (found.epoch, found.done) == (2, 5)
    assert found.losses.tobytes() == halfway.losses.tobytes()
    assert found.order.tolist() == list(range(9))
    slots, wanted = found.state["0.weight"], halfway.state["0.weight"]
    assert slots["exp_avg"].tobytes() == wanted["exp_avg"].tobytes()
    assert {k: v for k, v in slots.items() if k != "exp_avg"} == {k: v for k, v in wanted.items() if k != "exp_avg"}


def test_names_that_look_alike_stay_apart(path, params):
    state = {"a.b": {"c": np.zeros(1)}, "a": {"b": {"c": np.ones(1)}}}
    save_checkpoint(path, Checkpoint(params, state, None))
    assert load_checkpoint(path).state == state


@pytest.mark.parametrize("kind", ["PCG64", "MT19937", "Philox", "SFC64"])
def test_a_generator_goes_on_where_it_was(path, params, kind):
    rng = np.random.Generator(getattr(np.random, kind)(0))
    rng.random(3)
    save_checkpoint(path, Checkpoint(params, {}, rng.bit_generator.state))
    other = np.random.Generator(getattr(np.random, kind)(1))
    other.bit_generator.state = load_checkpoint(path).rng
    assert other.random() == rng.random()


def test_checkpoints_and_parameters_are_not_mistaken_for_one_another(path, params, halfway):
    save_checkpoint(path, halfway)
    with pytest.raises(ValueError, match=r"load_checkpoint\(path\)\.params"):
        load(path)
    save(path, params)
    with pytest.raises(ValueError, match=r"holds parameters alone.*load\(path\)"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "told", ["{", "[]", '{"version": 99}', '{"version": 1, "checkpoint": {"params": {"array": "x"}}}']
)
def test_a_damaged_checkpoint_is_told(path, told):
    path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}, {"manualbp": told}))
    with pytest.raises(ValueError, match="a checkpoint that cannot be read"):
        load_checkpoint(path)


def test_what_a_checkpoint_cannot_hold_is_named(path, params):
    with pytest.raises(ValueError, match=r"state\.0\.weight\.f is builtin_function"):
        save_checkpoint(path, Checkpoint(params, {"0.weight": {"f": len}}, None))
