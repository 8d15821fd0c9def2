"""The training loop: what it computes, that it can be stopped anywhere and gone on with to the bit, what it refuses."""

import os

import numpy as np
import pytest
import torch

from manualbp.activation import Tanh
from manualbp.base import flatten, run
from manualbp.batchnorm import BatchNorm1d
from manualbp.checkpoint import load_checkpoint
from manualbp.container import Objective, Parallel, Sequential
from manualbp.dropout import Dropout
from manualbp.linear import Linear
from manualbp.loss import MSELoss
from manualbp.optim import LBFGS, SGD, Adam
from manualbp.training import evaluate, fit, predict

PLAIN = Objective(Sequential(Linear(3, 4), Tanh(), Linear(4, 2)), MSELoss())
RANDOM = Objective(Sequential(Linear(3, 4), BatchNorm1d(4), Dropout(0.3), Tanh(), Linear(4, 2)), MSELoss())
MOMENTUM = SGD(lr=0.1, momentum=0.9)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((10, 3))
    return x, np.sin(x[:, :2])


def start(objective, dtype=np.float64):
    return objective.init(np.random.default_rng(1), dtype)


def train(objective, data, epochs=3, seed=2, **options):
    rng = options.pop("rng", None) or np.random.default_rng(seed)
    options = {"batch_size": 4, "params": start(objective), "optimizer": MOMENTUM} | options
    return fit(objective, options.pop("params"), options.pop("optimizer"), data, epochs=epochs, rng=rng, **options)


def assert_same(a, b):
    """Equal to the bit: parameters, buffers, optimizer state, losses, generator, place."""
    for one, other in ((flatten(a.params), flatten(b.params)), (flatten(a.state), flatten(b.state))):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], strict=isinstance(one[name], np.ndarray))
    assert a.losses.tobytes() == b.losses.tobytes()
    assert (a.rng, a.epoch, a.done) == (b.rng, b.epoch, b.done)


class Interrupt:
    """on_step that behaves as Ctrl-C does, after so many steps."""

    def __init__(self, after):
        self.left = after

    def __call__(self, now):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_the_loss_goes_down(data):
    losses = train(PLAIN, data, epochs=100).losses
    assert losses[-3:].mean() < 0.1 * losses[:3].mean()


def test_it_is_the_loop_that_one_writes_by_hand(data):
    params, rng, slots, losses = start(PLAIN), np.random.default_rng(2), {}, []
    for _ in range(2):
        order = rng.permutation(10)
        for rows in (order[:4], order[4:8], order[8:]):
            y, cache = run(PLAIN, params, tuple(a[rows] for a in data), rng)
            params, slots = MOMENTUM.step(params, PLAIN.backward(params, cache, np.ones_like(y))[1], slots)
            losses.append(y)
    done = train(PLAIN, data, epochs=2)
    np.testing.assert_array_equal(done.losses, losses)
    for name, p in flatten(params).items():
        np.testing.assert_array_equal(flatten(done.params)[name], p)


def test_it_ends_where_torch_does(data):
    done = train(PLAIN, data, epochs=2, optimizer=SGD(lr=0.1))
    twin = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    twin.load_state_dict({name: torch.tensor(p) for name, p in flatten(start(PLAIN)["model"]).items()})
    rng = np.random.default_rng(2)
    for _ in range(2):
        order = rng.permutation(10)
        for rows in (order[:4], order[4:8], order[8:]):
            x, t = (torch.tensor(a[rows]) for a in data)
            loss = torch.nn.functional.mse_loss(twin(x), t)
            for p, g in zip(twin.parameters(), torch.autograd.grad(loss, list(twin.parameters())), strict=True):
                p.data -= 0.1 * g
    for name, p in twin.state_dict().items():
        np.testing.assert_allclose(flatten(done.params["model"])[name], p.numpy(), rtol=1e-13, atol=1e-15)


def test_arguments_stay_as_they_are(data):
    params = start(RANDOM)
    before = {name: p.copy() for name, p in flatten(params).items()}
    for a in (*flatten(params).values(), *data):
        a.flags.writeable = False
    train(RANDOM, data, params=params)
    for name, p in flatten(params).items():
        np.testing.assert_array_equal(p, before[name])


def test_float32_stays_float32(data):
    done = train(RANDOM, tuple(a.astype(np.float32) for a in data), params=start(RANDOM, np.float32))
    assert {a.dtype.name for a in flatten(done.params).values()} == {"float32", "int64"}


def test_running_statistics_move(data):
    model = train(RANDOM, data).params["model"]["1"]
    assert model["num_batches_tracked"] == 9
    assert np.all(model["running_mean"] != 0)


def test_the_same_generator_gives_the_same_training(data):
    assert_same(train(RANDOM, data), train(RANDOM, data))


def test_another_generator_gives_another_order(data):
    assert train(PLAIN, data, seed=2).losses[0] != train(PLAIN, data, seed=3).losses[0]


def test_every_example_is_seen_once_an_epoch():
    seen = []

    class Watching(MSELoss):
        def forward(self, params, x):
            seen.extend(x[1][:, 0])
            return super().forward(params, x)

    objective = Objective(Linear(1, 1), Watching())
    train(objective, (np.zeros((10, 1)), np.arange(10.0)[:, None]), epochs=2, optimizer=SGD(lr=0.1))
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


@pytest.mark.parametrize("first", [1, 2])
def test_going_on_after_some_epochs_is_as_without_a_break(data, first):
    half = train(RANDOM, data, epochs=first)
    assert_same(train(RANDOM, data, state=half, seed=99), train(RANDOM, data))


@pytest.mark.parametrize("steps", range(1, 10))
def test_going_on_after_ctrl_c_is_as_without_one(data, tmp_path, steps):
    path = tmp_path / "run.safetensors"
    half = train(RANDOM, data, on_step=Interrupt(steps), checkpoint=path)
    assert len(half.losses) == steps
    assert_same(load_checkpoint(path), half)
    assert_same(train(RANDOM, data, state=load_checkpoint(path), checkpoint=path, seed=99), train(RANDOM, data))


@pytest.mark.parametrize("optimizer", [Adam(), LBFGS(max_iter=3)], ids=repr)
def test_any_optimizer_goes_on_from_a_file(data, tmp_path, optimizer):
    path = tmp_path / "run.safetensors"
    train(RANDOM, data, epochs=2, optimizer=optimizer, checkpoint=path)
    again = train(RANDOM, data, optimizer=optimizer, state=load_checkpoint(path))
    whole = train(RANDOM, data, optimizer=optimizer)
    assert again.losses.tobytes() == whole.losses.tobytes()
    for name, p in flatten(whole.params).items():
        np.testing.assert_array_equal(flatten(again.params)[name], p)


def test_ctrl_c_while_a_checkpoint_is_written_loses_nothing(data, tmp_path, monkeypatch):
    path, real, calls = tmp_path / "run.safetensors", os.fsync, []

    def interrupted(file):
        calls.append(file)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(file)

    monkeypatch.setattr(os, "fsync", interrupted)
    half = train(RANDOM, data, checkpoint=path)
    assert half.epoch == load_checkpoint(path).epoch == 2


def test_ctrl_c_amid_a_step_keeps_the_steps_before(data):
    calls = []

    class Slow(Dropout):
        def forward(self, params, x, rng=None):
            y = super().forward(params, x, rng)
            calls.append(1)
            if len(calls) == 5:
                raise KeyboardInterrupt
            return y

    objective, rng = Objective(Sequential(Linear(3, 2), Slow(0.3)), MSELoss()), np.random.default_rng(2)
    half = train(objective, data, rng=rng)
    assert len(half.losses) == 4
    assert rng.bit_generator.state == half.rng
    whole = train(objective, data)
    assert_same(train(objective, data, state=half), whole)


def test_a_state_can_be_gone_on_from_twice(data):
    half = train(RANDOM, data, on_step=Interrupt(4))
    assert_same(train(RANDOM, data, state=half), train(RANDOM, data, state=half))


def test_parameters_become_what_a_file_gives_back(data):
    fortran = start(PLAIN)
    fortran["model"]["0"]["weight"] = np.asfortranarray(fortran["model"]["0"]["weight"])
    done = train(PLAIN, data, params=fortran)  # a BLAS rounds differently in Fortran order
    assert all(p.flags.c_contiguous for p in flatten(done.params).values())


def test_the_loss_of_a_step_is_the_one_before_it(data):
    first, _ = run(PLAIN, start(PLAIN), data, None)
    done = train(PLAIN, data, epochs=1, batch_size=10, optimizer=LBFGS(max_iter=3))
    assert done.losses[0] == pytest.approx(float(first), rel=1e-14)


def test_epochs_count_those_already_done(data):
    done = train(PLAIN, data, epochs=2)
    assert train(PLAIN, data, epochs=2, state=done).losses.shape == (6,)


def test_the_learning_rate_may_change_between_calls(data):
    half = train(PLAIN, data, epochs=1)
    still = train(PLAIN, data, epochs=2, state=half, optimizer=SGD(lr=0.0))
    np.testing.assert_array_equal(still.params["model"]["0"]["weight"], half.params["model"]["0"]["weight"])


def test_on_step_sees_every_step_and_can_stop(data):
    seen = []

    def stop(now):
        seen.append((now.epoch, now.done, now.losses[-1]))
        return len(seen) == 4

    done = train(PLAIN, data, on_step=stop)
    assert [s[:2] for s in seen] == [(0, 4), (0, 8), (1, 0), (1, 4)]
    assert [s[2] for s in seen] == done.losses.tolist()


def test_a_checkpoint_is_not_overwritten_by_a_new_run(data, tmp_path):
    path = tmp_path / "run.safetensors"
    train(PLAIN, data, epochs=1, checkpoint=path)
    with pytest.raises(FileExistsError, match=r"state=load_checkpoint\("):
        train(PLAIN, data, epochs=1, checkpoint=path)


def test_a_state_of_another_network_is_refused(data):
    with pytest.raises(
        ValueError,
        match=r"parameters in state are not those wanted; missing: model\.2\.weight.*; surplus: model\.1\.weight",
    ):
        train(PLAIN, data, state=train(RANDOM, data, epochs=1))


def test_a_state_amid_another_dataset_is_refused(data):
    half = train(PLAIN, data, on_step=Interrupt(1))
    with pytest.raises(ValueError, match="amid an epoch of 10 examples; data holds 9"):
        train(PLAIN, tuple(a[:9] for a in data), state=half)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_found(data, bad):
    data[1][7, 1] = bad
    with pytest.raises(ValueError, match=rf"data\[1\]\[7, 1\] is {bad}: 1 of 20"):
        train(PLAIN, data)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x, t: (x[:0], t[:0]), r"data\[0\] holds 0, data\[1\] holds 0"),
        (lambda x, t: (x, t[:9]), r"data\[0\] holds 10, data\[1\] holds 9"),
        (lambda x, t: (x, 3.0), r"data\[1\] must be an array .* it is float 3.0"),
        (lambda x, t: (), "data has no array"),
    ],
    ids=["empty", "unequal", "no array", "nothing"],
)
def test_unusable_data_are_refused(data, change, told):
    with pytest.raises(ValueError, match=told):
        train(PLAIN, change(*data))


@pytest.mark.parametrize("option", ["epochs", "batch_size"])
def test_counts_must_be_positive(data, option):
    with pytest.raises(ValueError, match=f"{option} must be an integer from 1 on, not 0"):
        train(PLAIN, data, **{option: 0})


def test_a_loss_that_is_no_number_is_refused(data):
    with pytest.raises(ValueError, match="must give one number"):
        train(Objective(Linear(3, 2), MSELoss("none")), data)


def test_predict_is_the_model_in_evaluation_mode(data):
    done = train(RANDOM, data)
    y, _ = RANDOM.model.eval().forward(done.params["model"], data[0])
    np.testing.assert_allclose(predict(RANDOM.model, done.params["model"], data[0], batch_size=3), y, rtol=1e-14)


def test_predict_joins_every_output(data):
    model = Parallel(Linear(3, 2), Tanh())
    params = model.init(np.random.default_rng(0))
    whole, _ = model.forward(params, data[0])
    for found, wanted in zip(predict(model, params, data[0], batch_size=3), whole, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_evaluate_is_the_loss_of_the_whole(data, reduction):
    objective = Objective(RANDOM.model, MSELoss(reduction))
    params = start(objective)
    whole, _ = objective.eval().forward(params, data)
    assert evaluate(objective, params, data, batch_size=3) == pytest.approx(float(whole), rel=1e-14)


def test_evaluate_takes_input_and_target(data):
    with pytest.raises(ValueError, match=r"takes a tuple \(input, target\)"):
        evaluate(PLAIN, start(PLAIN), (data[0],))


def test_a_bar_is_drawn_in_a_terminal_only(data, capsys, monkeypatch):
    train(PLAIN, data)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    train(PLAIN, data)
    assert "loss" in capsys.readouterr().err
    train(PLAIN, data, progress=False)
    assert capsys.readouterr().err == ""
