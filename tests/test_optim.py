"""One law a test, over every optimizer: updates and state are those of torch.optim, and the design is kept to."""

import functools
import inspect
import itertools
import random
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

import manualbp.optim
from manualbp.base import as_call, flatten, options_of, registry, tree_map
from manualbp.optim import SGD, Adagrad, Adam, AdamW, Group, Muon, Optimizer, Rows, SparseAdam
from reference.compare.bound import distance, largest
from reference.compare.certificate import dyadic, plain
from reference.compare.updates import lockstep
from reference.draw.steps import Steps, draw, in_two_groups, scaled
from reference.sides.steps import HandUpdates, TorchUpdates, quartic, torch_step
from reference.twin import optimizers as twin
from reference.twin.conventions import known_options, minimising
from reference.twin.optimizers import to_torch_optim

CLASSES = registry(Optimizer)
every = pytest.mark.parametrize("name", CLASSES)
RULES = [name for name, cls in CLASSES.items() if not cls.by_closure]
DTYPES = ("float64", "float32")


def examples(cls, n=6):
    """Optimizers in which every value of every option occurs, in combinations that differ, and n random ones."""
    found = []
    for k in range(max(map(len, cls.options.values()))):
        turn = itertools.count(k)
        found.append(cls.example(lambda *values, turn=turn: values[next(turn) % len(values)]))
    draws = random.Random(cls.__name__)
    return found + [cls.example(lambda *values: draws.choice(values)) for _ in range(n)]


@functools.cache
def runs(name):
    """Every example of a class in lock-step with torch: made once, for all laws that look at it."""
    return [lockstep(opt, seed) for seed, opt in enumerate(examples(CLASSES[name]))]


def data(cls, seed=0):
    """Parameters and two sets of gradients; for LBFGS closures."""
    case = draw(cls(), seed, 2)
    grads = [quartic(g) if cls.by_closure else g for g in case.grads]
    return case.params, grads


# Equality with torch


@every
@pytest.mark.parametrize("dtype", DTYPES)
def test_updates_and_state_equal_torch(name, dtype):
    for run in runs(name):
        for t in replace(run, dtype=dtype).found:
            assert t.ok, f"{run.hand.opt} differs in {t.name}: err/bound = {t.ratio:.3g}"


@pytest.mark.parametrize("name", RULES)
def test_a_fault_of_1e_9_would_be_seen(name):
    """Of a parameter's largest entry everywhere; of what a step changes it by in most."""
    found = [t for run in runs(name) for t in run.found if t.of.path in run.steps.params and largest(t.hand)]
    assert max(t.bound / largest(t.hand) for t in found if largest(t.hand) > 1e-3) < 1e-9
    assert np.median([t.power for t in found if t.power is not None]) < 1e-9


def test_what_was_run_covers_what_the_rules_depend_on():
    for run in runs("Adam"):
        sizes = np.abs(np.concatenate([g.ravel() for gs in run.steps.grads for g in gs.values() if g is not None]))
        assert (sizes == 0).any()
        assert sizes.max() > 0.5
        assert 0 < sizes[sizes > 0].min() < 1e-7
        assert {p.ndim for p in run.steps.params.values()} == {0, 1, 2, 3, 4, 5}
        assert len(set(run.steps.rates)) > 1
        assert len(run.steps.grads) >= 5
        assert any(all(gs[n] is None for gs in run.steps.grads) for n in run.steps.params)
        assert {run.hand.opt.group_of(n) for n in run.steps.params} == {0, 1}


@every
def test_every_value_of_every_option_was_run(name):
    opts = [run.hand.opt for run in runs(name)]
    for option, values in CLASSES[name].options.items():
        assert {getattr(opt, option) for opt in opts} >= set(values) - {None}, option


@pytest.mark.parametrize("seed", range(12))
def test_sgd_is_torch_bit_for_bit_where_nothing_rounds(seed):
    draws = random.Random(seed)
    fine = {"lr": (0.5, 0.25), "momentum": (0, 0.5), "dampening": (0, 0.25), "weight_decay": (0, 0.5)}
    opt = SGD(**{name: draws.choice(values) for name, values in fine.items()}, maximize=draws.random() < 0.5)
    opt = opt.replace(nesterov=opt.momentum > 0 and opt.dampening == 0 and seed % 2 == 0)
    run = lockstep(opt, seed, count=5, exact=True)
    assert all(t.identical for t in run.found)
    certified(run)


def certified(run):
    """No operation of the run can have rounded."""
    params, state = {n: dyadic(p) for n, p in run.steps.params.items()}, {}
    for grads, rate in zip(run.steps.grads, run.steps.rates, strict=True):
        groups = tuple(Group(g.names, **g.options | {"lr": g.options["lr"] * rate}) for g in run.hand.opt.groups)
        opt = run.hand.opt.replace(lr=run.hand.opt.lr * rate, groups=groups)
        params, state = opt.step(params, {n: None if g is None else dyadic(g) for n, g in grads.items()}, state)
    for name, p in flatten(params).items():
        np.testing.assert_array_equal(plain(p), run.runs[0][-1][name])


@pytest.mark.parametrize("name", [name for name in RULES if name != "SparseAdam"])  # its arithmetic is Adam's
def test_numbers_leave_the_range_where_they_do_in_torch(name):
    cls, shape = CLASSES[name], (2, 3)
    odd = np.array([[np.inf, np.nan, -np.inf], [1e300, 1e-310, -1e200]])
    fine = np.ones(shape)
    case = Steps({"w": fine}, [{"w": g} for g in (fine, odd, fine)], [1.0] * 3)
    hand, made = HandUpdates(cls()).run(case, np.float64), TorchUpdates(cls()).run(case, np.float64)
    for ours, theirs in zip(hand, made, strict=True):
        for n, a in ours.items():
            np.testing.assert_array_equal(np.isfinite(a), np.isfinite(theirs[n]), err_msg=n)


# State


@every
def test_training_begun_in_torch_goes_on_by_hand(name):
    for run in runs(name)[-3:]:
        opt, case, k = minimising(run.hand.opt), run.steps, 4
        made, tensors = torch_at(opt, case, k)
        found, state = twin.from_torch_optim(made)
        found = found.replace(**{n: getattr(opt, n) for n in options_of(opt) if n in ("eps", "max_eval")})
        params = {n: p.detach().numpy().copy() for n, p in tensors.items()}
        given = asked(opt, case.grads[k])
        params, state = found.step(params, given, state)
        after = flatten(params) | slots(found, state)
        within_bound(run, k, after, run.runs[1][k], name)


@every
def test_training_begun_by_hand_goes_on_in_torch(name):
    for run in runs(name)[-3:]:
        opt, case, k = minimising(run.hand.opt), run.steps, 4
        opt = scaled(opt, case.rates[k])
        begun = Steps(case.params, case.grads[:k], case.rates[:k])
        params, state = hand_at(run.hand.opt, begun)
        made, tensors = to_torch_optim(opt, params)
        twin.load_into_torch(made, opt, state, list(tensors))
        torch_step(opt, made, tensors, case.grads[k])
        after = {n: p.detach().numpy() for n, p in tensors.items()}
        after |= {n: v.numpy() for n, v in twin.torch_slots(made, tensors).items() if isinstance(v, torch.Tensor)}
        within_bound(run, k, after, run.runs[0][k], name)


def asked(opt, grads):
    return quartic(grads, opt.maximize) if opt.by_closure else grads


def hand_at(opt, case):
    params, state = case.params, {}
    for grads, rate in zip(case.grads, case.rates, strict=True):
        params, state = scaled(opt, rate).step(params, asked(opt, grads), state)
    return flatten(params), state


def torch_at(opt, case, k):
    """The twin after k steps, with the rates of the next."""
    with twin.scalars_as(np.float64):
        made, tensors = to_torch_optim(opt, case.params)
        first = [group["lr"] for group in made.param_groups]
        for i in range(k + 1):
            for group, lr in zip(made.param_groups, first, strict=True):
                group["lr"] = lr * case.rates[i]
            if i < k:
                torch_step(opt, made, tensors, case.grads[i])
    return made, tensors


def slots(opt, state):
    kept = {n: opt.to_slots(s) for n, s in state.items()}
    return {f"{n}/{k}": v for n, s in kept.items() for k, v in s.items() if isinstance(v, np.ndarray)}


def within_bound(run, k, after, other, name):
    for array, a in after.items():
        if array in other and a.shape == other[array].shape:
            scalars = 2.0**-23 * 16 if name in ("NAdam", "ASGD") else 0  # torch keeps their scalars in float32
            assert distance(a, other[array]) <= run.bound(k, array) + scalars * largest(a), array


@every
def test_state_survives_the_structure_of_torch(name):
    run = runs(name)[-1]
    opt, case = run.hand.opt, run.steps
    _, state = hand_at(opt, Steps(case.params, case.grads[:3], case.rates[:3]))
    names = list(case.params)
    again, loaded = CLASSES[name]().load_state_dict(opt.state_dict(state, names))
    assert [again.of(n).plain_options() for n in names] == [opt.of(n).plain_options() for n in names]
    kept = {n: s for n, s in state.items() if opt.to_slots(s)}
    assert loaded.keys() == kept.keys()
    for n, s in kept.items():
        for k in s.keys() - {"step"}:
            np.testing.assert_array_equal(np.asarray(loaded[n][k]), np.asarray(s[k]), err_msg=f"{n}/{k}")
    same, _ = opt.load_state_dict(opt.state_dict(state, names))
    assert same.replace(**{n: None for n in ("max_eval",) if hasattr(opt, n) and opt.max_eval is None}) == opt


def test_state_is_found_by_position_where_torch_has_no_names():
    p = [torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)]
    made = torch.optim.Adam([{"params": p[:1]}, {"params": p[1:], "weight_decay": 0.5}], lr=0.1)
    for t in p:
        t.grad = torch.ones_like(t)
    made.step()
    opt, state = twin.from_torch_optim(made, ["a", "b"])
    assert (opt.of("a").weight_decay, opt.of("b").weight_decay, opt.of("b").lr) == (0, 0.5, 0.1)
    assert state["b"]["exp_avg"].shape == (2,)
    assert state["a"]["step"] == 1


def test_an_optimizer_that_is_not_here_is_named():
    class Lion(torch.optim.SGD):
        pass

    with pytest.raises(ValueError, match="no optimizer Lion by hand; there are ASGD, Adadelta"):
        twin.from_torch_optim(Lion([torch.ones(1, requires_grad=True)]))


def test_a_parameter_may_be_added_later():
    case = draw(Adam(), 3, 4)
    a, b = ({n: p for n, p in case.params.items() if n.startswith(c)} for c in "02")
    opt = Adam(lr=0.1)
    params, state = opt.step(a, {n: case.grads[0][n] for n in a}, opt.init(a))
    params, state = opt.step(flatten(params) | b, {n: case.grads[1][n] for n in a | b}, state)
    made, tensors = to_torch_optim(opt, a)
    torch_step(opt, made, tensors, {n: case.grads[0][n] for n in a})
    tensors |= {n: torch.tensor(p, requires_grad=True) for n, p in b.items()}
    made.add_param_group({"params": [(n, tensors[n]) for n in b]})
    torch_step(opt, made, tensors, {n: case.grads[1][n] for n in a | b})
    for n, p in flatten(params).items():
        assert distance(p, tensors[n].detach().numpy()) <= 16 * 2.0**-52 * largest(p)
    assert [state[n]["step"] for n in a | b] == [2] * len(a) + [1] * len(b)


# What the design asks


@every
def test_nothing_is_written_into_and_nothing_is_shared(name):
    opt = in_two_groups(examples(CLASSES[name])[1])
    params, grads = data(CLASSES[name])
    for tree in [params, *(g for g in grads if not callable(g))]:
        tree_map(lambda a: (a.values if isinstance(a, Rows) else a).setflags(write=False), tree)
    state = {}
    for g in grads:
        before = flatten(params), {n: dict(s) for n, s in state.items()}
        moved, new = opt.step(params, g, state)
        again, same = opt.step(params, g, state)
        assert repr((moved, new)) == repr((again, same))
        assert repr((flatten(params), state)) == repr(before)
        owners = [*arrays(before[0]), *arrays(before[1]), *([] if callable(g) else arrays(g))]
        still = {id(p) for p in flatten(params).values()}
        made = [a for a in [*arrays(flatten(moved)), *arrays(new)] if id(a) not in still]
        for i, a in enumerate(made):
            assert opt.by_closure or not any(np.shares_memory(a, b) for b in owners + made[:i] if b is not a)
        params, state = moved, new


def arrays(tree):
    for value in tree.values():
        if isinstance(value, dict):
            yield from arrays(value)
        elif isinstance(value, Rows):
            yield value.values
        elif isinstance(value, np.ndarray):
            yield value


@pytest.mark.parametrize("name", RULES)
def test_strange_layouts_of_memory_change_nothing(name):
    opt, (params, grads) = CLASSES[name](), data(CLASSES[name])
    odd = tree_map(lambda a: a if isinstance(a, Rows) else strange(a), (params, grads[0]))
    want, got = opt.step(params, grads[0], {}), opt.step(*odd, {})
    for a, b in zip(flatten(want[0]).values(), flatten(got[0]).values(), strict=True):
        assert distance(a, b) <= 4e-16 * largest(a)


def strange(a):
    """Every other entry of a larger array, in Fortran's order."""
    if not a.ndim:
        return a.copy()
    large = np.zeros([2 * n for n in a.shape], a.dtype, order="F")
    part = large[(slice(None, None, 2),) * a.ndim]
    part[...] = a
    return part


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_dtype_is_kept(name, dtype):
    cls = CLASSES[name]
    case = draw(cls(), 0, 3)
    for opt in (*examples(cls)[:3], cls(lr=np.float64(0.5))):
        for after in HandUpdates(in_two_groups(opt)).run(case, dtype):
            numbers = {n: a for n, a in after.items() if n.split("/")[-1].split("[")[0] not in SCALARS}
            assert {n: a.dtype for n, a in numbers.items()} == dict.fromkeys(numbers, np.dtype(dtype))


SCALARS = {"step", "mu_product", "eta", "mu", "func_evals", "n_iter", "t", "H_diag", "prev_loss"}


@every
def test_an_optimizer_is_the_expression_that_it_prints(name):
    for opt in examples(CLASSES[name]):
        for value in (opt, in_two_groups(opt)):
            again = eval(repr(value), vars(manualbp.optim))
            assert again == value
            assert hash(again) == hash(value)
            assert type(value).__name__ in as_call(value)


@every
def test_parameters_without_gradient_do_not_move_and_keep_no_state(name):
    cls = CLASSES[name]
    params, grads = data(cls)
    opt = cls(**{"weight_decay": 0.5} if "weight_decay" in options_of(cls()) else {})
    moved, state = opt.step(params, grads[0], {})
    np.testing.assert_array_equal(flatten(moved)["unused.weight"], params["unused.weight"])
    assert "unused.weight" not in state


@pytest.mark.parametrize("name", RULES)
def test_at_most_three_arrays_live_beside_old_and_new(name):
    cls, shape = CLASSES[name], (256, 256)
    rng = np.random.default_rng(0)
    p, g = rng.standard_normal((2, *shape))
    grads = {"w": Rows(np.arange(0, 256, 3), g[::3], shape) if cls is SparseAdam else g}
    for opt in [*examples(cls), cls()]:
        params, state = opt.step({"w": p}, grads, {})
        params, state = opt.step(params, grads, state)
        tracemalloc.start()
        kept = opt.step(params, grads, state)
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (peak - now) / p.nbytes < 3.1, opt
        del kept


# Completeness

EXCLUDED = {
    "Optimizer": "torch's base class",
    "lr_scheduler": "a module: test_schedule.py",
    "swa_utils": "a module: test_optim_average.py",
    "swap_in_optimizer_params_and_state": "puts tensors that live elsewhere into an optimizer; changes no number",
}
IMPLEMENTATION = {"self", "params", "foreach", "fused", "capturable", "differentiable"}  # choose how, not what


def test_every_optimizer_of_torch_is_here_or_excluded_with_a_reason():
    assert set(torch.optim.__all__) - CLASSES.keys() - EXCLUDED.keys() == set()
    assert not EXCLUDED.keys() & CLASSES.keys()


@every
def test_options_are_those_of_torch_in_name_and_default(name):
    theirs = inspect.signature(getattr(torch.optim, name).__init__).parameters
    given = {n: p.default for n, p in theirs.items() if n not in IMPLEMENTATION}
    known = known_options(CLASSES[name]())
    ours = {n: p.default for n, p in inspect.signature(CLASSES[name]).parameters.items() if n in known}
    assert ours == given
    positional = [n for n in given if theirs[n].kind is not inspect.Parameter.KEYWORD_ONLY]
    assert list(ours)[: len(positional)] == positional


@every
def test_every_option_that_changes_a_number_is_drawn(name):
    assert set(options_of(CLASSES[name]())) - {"groups"} == set(CLASSES[name].options)


@every
def test_the_docstring_has_its_headings(name):
    doc = CLASSES[name].__doc__
    for heading in ("Rule", "Shapes", "Errors", "Source"):
        assert f"\n    {heading}  " in doc


# Messages


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: Adam(lr=-1), r"Adam\(lr=-1\) needs lr ≥ 0"),
        (lambda: Adam(betas=(0.9, 1.0)), r"Adam\(betas=\(0.9, 1.0\)\) needs betas in \[0, 1\)"),
        (lambda: SGD(nesterov=True), "needs momentum > 0 and dampening = 0"),
        (lambda: SparseAdam(lr=0), "needs lr, eps > 0"),
        (lambda: Muon(adjust_lr_fn="x"), "needs adjust_lr_fn original"),
        (lambda: SGD(groups=(Group("*", lr=-1.0),)), r"SGD\(lr=-1.0\) needs lr ≥ 0"),
        (lambda: SGD().step({"w": np.ones(2)}, {"v": np.ones(2)}, {}), "gradient of 'v'; the parameters are w"),
        (lambda: SGD().step({"w": np.ones(2)}, {"w": np.ones(3)}, {}), r"'w' is float64 of shape \(2,\), its gradient"),
        (lambda: SGD().step({"w": np.ones(2)}, {"w": np.ones(2, np.float32)}, {}), "its gradient float32"),
        (lambda: Adam().step({"w": np.ones(2, complex)}, {"w": np.ones(2, complex)}, {}), "moves real parameters"),
        (lambda: Adam().step({"w": np.ones((2, 2))}, {"w": ROWS}, {}), "SparseAdam takes Rows; that of 'w' is Rows"),
        (lambda: SparseAdam().step({"w": np.ones(2)}, {"w": np.ones(2)}, {}), "needs Rows as gradients, and Adam"),
        (lambda: Muon().step({"w": np.ones(2)}, {"w": np.ones(2)}, {}), r"needs matrices; it got .* shape \(2,\)"),
        (lambda: Rows(np.array([2]), np.ones((1, 2)), (2, 2)), "has the indices 0 to 1; it got"),
        (lambda: Rows(np.array([1]), np.ones((2, 2)), (2, 2)), r"takes indices \(k,\) and values \(k, 2\)"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(wrong, told):
    with pytest.raises(ValueError, match=told):
        wrong()


ROWS = Rows(np.array([1, 1, 0]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), (2, 2))


def test_an_option_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="SGD has no option 'rate'; it has lr, momentum"):
        SGD().replace(rate=1)
    with pytest.raises(TypeError, match="SGD has no option 'betas'"):
        SGD(groups=(Group("*", betas=(0.0, 0.0)),))


# What only some have


def test_rows_are_the_array_that_they_stand_for():
    np.testing.assert_array_equal(ROWS.dense(), [[5.0, 6.0], [4.0, 6.0]])
    once = ROWS.summed()
    np.testing.assert_array_equal(once.indices, [0, 1])
    np.testing.assert_array_equal(once.dense(), ROWS.dense())
    np.testing.assert_array_equal((ROWS + ROWS).dense(), 2 * ROWS.dense())
    for total in (ROWS + np.ones((2, 2)), np.ones((2, 2)) + ROWS):
        np.testing.assert_array_equal(total, ROWS.dense() + 1)


def test_rows_that_were_not_looked_up_do_not_move():
    p = np.random.default_rng(0).standard_normal((4, 2))
    moved, state = SparseAdam().step({"w": p}, {"w": Rows(np.array([1, 3, 1]), np.ones((3, 2)), (4, 2))}, {})
    np.testing.assert_array_equal(moved["w"][[0, 2]], p[[0, 2]])
    assert (moved["w"][[1, 3]] != p[[1, 3]]).all()
    assert not state["w"]["exp_avg"][[0, 2]].any()


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("opt", [SGD(lr=0.1), Adagrad(lr=0.1, initial_accumulator_value=0.5)], ids=repr)
def test_optimizers_that_take_rows_take_them_as_torch_does(opt):
    p = np.random.default_rng(0).standard_normal((2, 2))
    made, tensors = to_torch_optim(opt, {"w": p})
    params, state = {"w": p}, {}
    for _ in range(3):
        params, state = opt.step(params, {"w": ROWS}, state)
        torch_step(opt, made, tensors, {"w": ROWS})
    assert distance(params["w"], tensors["w"].detach().numpy()) <= 16 * 2.0**-52 * largest(params["w"])


def test_a_group_has_its_own_initial_accumulator():
    opt = Adagrad(groups=(Group("b", initial_accumulator_value=2.0),))
    case = Steps({"a": np.ones(2), "b": np.ones(2)}, [{"a": np.ones(2), "b": np.ones(2)}] * 2, [1.0, 1.0])
    assert not lockstep(opt, steps=case).wrong


@pytest.mark.parametrize("shape", [(4, 4), (3, 6), (7, 2), (1, 5)])
def test_muon_as_torch_ships_it_is_within_the_rounding_of_bfloat16(shape):
    """The bound is the unrounded one's, with the rounding measured: what NS makes of u rounded to 8 bits."""
    rng, opt = np.random.default_rng(shape[0]), Muon(lr=1.0, weight_decay=0.0)
    p, g = rng.standard_normal((2, *shape)).astype(np.float32)
    made, tensors = to_torch_optim(opt, {"w": p})
    tensors["w"].grad = torch.from_numpy(g)
    made.step()  # as it ships
    moved, state = opt.step({"w": p}, {"w": g}, {})
    u = (1 - opt.momentum) * g + opt.momentum * state["w"]["momentum_buffer"]
    rounded = torch.from_numpy(u).bfloat16().float().numpy()
    own = distance(opt.scale(*shape) * opt.orthogonal(rounded), opt.scale(*shape) * opt.orthogonal(u))
    step = p - moved["w"]
    error = distance(moved["w"], tensors["w"].detach().numpy())
    assert 0 < error <= 16 * (own + 2.0**-8 * largest(step))
    assert error > 2.0**-12 * largest(step), "torch no longer rounds to bfloat16: compare it as the others are"


def test_muon_without_rounding_is_torchs_own_formula():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 5)))
    with twin.unrounded_muon():
        want = torch.optim._muon._zeropower_via_newtonschulz(x, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    assert want.dtype == torch.float64
    assert distance(Muon().orthogonal(x.numpy()), want.numpy()) < 1e-13
    singular = np.linalg.svd(Muon().orthogonal(x.numpy()), compute_uv=False)
    assert singular.min() > 0.6
    assert singular.max() < 1.3


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_muon_unclamped_scales_by_the_root_of_rows_by_columns(shape):
    p, g = np.random.default_rng(0).standard_normal((2, *shape))
    moves = {}
    for kind in ("spectral_unclamped", "match_rms_adamw"):
        opt = Muon(lr=1.0, weight_decay=0.0, adjust_lr_fn=kind)
        moves[kind] = opt.step({"w": p}, {"w": g}, {})[0]["w"] - p
    ratio = np.sqrt(shape[0] / shape[1]) / (0.2 * np.sqrt(max(shape)))
    np.testing.assert_allclose(moves["spectral_unclamped"], ratio * moves["match_rms_adamw"], rtol=1e-12)


@pytest.mark.skipif(torch.__version__ < "2.14", reason="torch has it since 2.14")
def test_muon_unclamped_equals_torch():
    for seed in range(3):
        assert all(t.ok for t in lockstep(Muon(lr=0.1, adjust_lr_fn="spectral_unclamped"), seed).found)


def test_adamw_is_adam_with_decoupled_decay():
    case = draw(Adam(), 5)
    one = HandUpdates(AdamW(weight_decay=0.1)).run(case, np.float64)
    other = HandUpdates(Adam(weight_decay=0.1, decoupled_weight_decay=True)).run(case, np.float64)
    assert repr(one) == repr(other)
