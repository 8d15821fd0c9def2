"""Test vectors: right by hand and in float32, wrong with every mistake that a flag names, the same bytes twice, and
read in C, Rust and JavaScript."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from manualbp import CosineSimilarity, Linear, ReLU, Tanh
from manualbp.base import flatten, registry, run, unflatten
from manualbp.operations import Amax, Argmax, Clamp
from manualbp.operations.complex import Complexes
from manualbp.optim import Optimizer, Rows
from reference import cli
from reference.audit import frameworks
from reference.draw.case import Case
from reference.draw.expression import parse
from reference.draw.steps import Steps
from reference.draw.trial import Trial
from reference.faults import KNOWN, Fault, corrupt
from reference.sides.hand import Hand
from reference.sides.run import GRADIENT, Name, leaves
from reference.sides.steps import HandUpdates
from reference.twin.conventions import as_in
from reference.vectors import choose, files, kinks, make, of_layers, of_updates
from reference.vectors.beside.__main__ import NOT_THERE, RAISES
from reference.vectors.beside.__main__ import told as told_of
from reference.vectors.beside.numpy_like import NotThere, same
from reference.vectors.of_layers import MismatchError, numbers
from reference.vectors.of_updates import Update
from reference.vectors.read import CONVENTION, EXACT, FORMAT, WITHIN, WRONG, judged, read, verdict

READERS = Path(__file__).parents[1] / "examples" / "vectors"
LAYERS = (
    "Linear", "ReLU", "LayerNorm", "Softmax", "CrossEntropyLoss", "MaxPool2d", "BatchNorm1d", "Dropout", "RReLU",
    "Clamp", "Sort", "Embedding", "LSTMCell", "Residual", "MultiheadAttention",
)  # fmt: skip
OPTIMIZERS = ("SGD", "Adam", "SparseAdam")
every_layer = pytest.mark.parametrize("name", LAYERS)
every_class = pytest.mark.parametrize("name", LAYERS + OPTIMIZERS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Vectors are written into it when they are first asked for."""
    return tmp_path_factory.mktemp("vectors") / "of"


def written(folder, *names):
    make.write(folder, [n for n in names if not (folder / f"{n}.json").exists()], 0, Console(quiet=True))
    return folder


def of(folder, name):
    return read(written(folder, name) / f"{name}.json")


class Replayed:
    """A generator that gives the numbers of a vector."""

    def __init__(self, vector):
        self.left = list(vector.arrays("draws").values())

    def random(self, *shape):
        return self.left.pop(0)

    uniform = random


def nested(arrays, path):
    """The (nested) tuple whose arrays have the names x[0], x[1][0], …; None where there is none."""
    if path in arrays:
        return arrays[path]
    inner = {int(m[1]) for n in arrays if (m := re.match(rf"{re.escape(path)}\[(\d+)\]", n))}
    return tuple(nested(arrays, f"{path}[{i}]") for i in range(max(inner) + 1)) if inner else None


def passed(layer, vector, dtype="float64"):
    """What a layer gives on the numbers of a vector, by nothing but what is in its file."""
    given = {section: {n: a.astype(dtype) if a.dtype.kind == "f" else a for n, a in vector.arrays(section).items()}
             for section in ("inputs", "parameters", "dy")}  # fmt: skip
    params, x = unflatten(given["parameters"]), nested(given["inputs"], "x")
    with np.errstate(all="ignore"):
        y, cache = run(layer, params, x, Replayed(vector))
        several = tuple(given["dy"].get(n) for n in leaves(y, "y"))
        dx, grads = layer.backward(params, cache, several if isinstance(y, tuple) else several[0])
        after = flatten(layer.track(params, cache))
    return {"outputs": leaves(y, "y"), "gradients": leaves(dx, "x") | flatten(grads), "buffers": after}


def updated(opt, vector):
    """What an optimizer gives on the steps of a vector, by nothing but what is in its file."""
    params = {n: np.array(p) for n, p in vector.arrays("parameters").items()}
    grads = [given(vector.arrays(f"steps[{k}]/gradients"), params) for k in range(len(vector.rates))]
    steps = Steps(params, grads, list(vector.rates))
    return of_updates.by_section(HandUpdates(opt).run(steps, np.float64), steps)


def given(arrays, params):
    rows = {n.removesuffix("/indices") for n in arrays if n.endswith("/indices")}
    found = {n: Rows(arrays[f"{n}/indices"], arrays[f"{n}/values"], params[n].shape) for n in rows}
    return {n: np.array(arrays[n]) if n in arrays else found.get(n) for n in params}


def results(vector, thing):
    return updated(thing, vector) if isinstance(thing, Optimizer) else passed(thing, vector)


# What is in the files


def test_every_class_has_vectors():
    of_complex = {n for n, cls in registry().items() if issubclass(cls, Complexes)}
    assert set(files.classes()) == {*registry(), *registry(Optimizer)} - of_complex
    assert {files.kind_of(c) for c in files.classes().values()} == {"layer", "loss", "operation", "optimizer"}


@every_class
def test_the_code_by_hand_gives_the_numbers_of_the_file(folder, name):
    found = of(folder, name)
    assert [v.id for v in found] == [f"{name}-{i + 1}" for i in range(len(found))]
    for v in found:
        assert verdict(v, results(v, parse(v.layer))) == EXACT, v.id


@every_layer
def test_in_float32_it_keeps_the_bound_of_float32(folder, name):
    for v in of(folder, name):
        assert verdict(v, passed(parse(v.layer), v, "float32"), "float32") in (EXACT, WITHIN), v.id


@every_class
def test_every_flag_is_a_mistake_that_fails(folder, name):
    vectors = of(folder, name)
    told = json.loads((folder / f"{name}.json").read_text())
    assert told["notes"].keys() == {id for v in vectors for id in v.flags}
    for v in vectors:
        for id in v.flags:
            with np.errstate(all="ignore"):
                found = results(v, corrupt(parse(v.layer), KNOWN[id]))
            assert verdict(v, found) == WRONG, (v.id, id)


def test_most_mistakes_of_a_class_have_a_flag(folder):
    shown = {name: {id for v in of(folder, name) for id in v.flags} for name in ("Linear", "LayerNorm", "Adam")}
    assert len(shown["Linear"]) > 10
    assert {"D01", "D02"} <= shown["LayerNorm"]
    assert {"H01", "H02", "H04", "H06"} <= shown["Adam"]


def test_what_changes_no_number_gets_no_flag(monkeypatch):
    class Harmless:
        """Nothing."""

    made = Fault("Z99", "nothing", "–", "–", "–", ("Linear",), lambda cls: type(cls.__name__, (Harmless, cls), {}))
    case = Case(Linear(2, 2), (4, 2), 3)
    monkeypatch.setitem(KNOWN, "Z99", made)
    assert made in of_layers.possible(case.layer)
    shown = of_layers.vector(case, "it").flags
    assert "B04" in shown
    assert "Z99" not in shown


def test_a_layer_that_is_wrong_by_hand_gets_no_vector():
    case = Case(corrupt(Linear(2, 2), KNOWN["B04"]), (4, 2), 3)
    with pytest.raises(MismatchError, match=r"differ in Case\(Linear\(2, 2\).*gradients bias"):
        of_layers.vector(case, "it")
    with pytest.raises(MismatchError, match="by hand and torch differ in Adam"):
        of_updates.vector(Update(corrupt(parse("Adam()"), KNOWN["H02"]), 1), "it")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folder, tmp_path):
    written(folder, "RReLU", "SGD")
    for seed, names in ((0, ("RReLU", "SGD")), (1, ("RReLU",))):
        make.write(tmp_path / str(seed), names, seed, Console(quiet=True))
        for file in (f"{name}.{kind}" for name in names for kind in ("json", "safetensors")):
            assert ((tmp_path / str(seed) / file).read_bytes() == (folder / file).read_bytes()) == (seed == 0), file


def test_files_keep_to_the_schema(folder):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((written(folder, *LAYERS, *OPTIMIZERS) / "schema.json").read_text())
    check = jsonschema.Draft202012Validator(schema)
    check.check_schema(schema)
    for name in LAYERS + OPTIMIZERS:
        assert not [*map(str, check.iter_errors(json.loads((folder / f"{name}.json").read_text())))], name
    told = json.loads((folder / "Linear.json").read_text())
    for spoil in (
        lambda t: t["tests"][0].pop("dy"),
        lambda t: t["tests"][0]["outputs"]["y"].pop("bound"),
        lambda t: t["tests"][0].update(result="fine"),
        lambda t: t["tests"][0]["inputs"]["x"].update(data=["1"]),
        lambda t: t["tests"][0].update(another=1),
    ):
        spoiled = json.loads(json.dumps(told))
        spoil(spoiled)
        assert not check.is_valid(spoiled)


def test_the_files_are_small_and_plain(folder):
    exact = next(v for v in of(folder, "Linear") if v.exact)
    text = (folder / "Linear.json").read_text()
    assert max(map(len, text.splitlines())) < 2000
    assert sum(p.stat().st_size for p in folder.glob("Linear.*")) < 50_000
    assert f'"{exact.id}"' in text
    assert f"{exact.id}/inputs/x" not in (folder / "Linear.safetensors").read_bytes().decode(errors="replace")


def test_steps_are_exact_where_no_operation_rounds(folder):
    for text, exact in (("SGD(lr=0.5, momentum=0.5)", True), ("SGD(lr=0.1)", False), ("Adam()", False)):
        update = Update(parse(text), 1, exact=True)
        assert of_updates.proved(update.opt, of_updates.numbers(update)) == exact
    assert any(v.exact for v in of(folder, "SGD"))


# How results are judged


@every_layer
def test_one_entry_that_is_off_by_a_billionth_is_wrong(folder, name):
    for v in of(folder, name):
        right = passed(parse(v.layer), v)
        for section, tensor, e in v.expected():
            if section == "gradients" and e.low is None and e.bounds[0] is not None and e.array.any():
                off = e.array.copy()
                off.flat[np.argmax(np.abs(off))] *= 1 + 1e-9
                found = right | {section: right[section] | {tensor: off}}
                (told,) = judged(v, found)
                assert (told.verdict, told.section, told.name) == (WRONG, section, tensor)


def test_of_an_exact_vector_every_bit_counts(folder):
    v = next(v for v in of(folder, "Linear") if v.exact)
    right = passed(parse(v.layer), v)
    dx = np.nextafter(right["gradients"]["x"], np.inf)
    assert verdict(v, right | {"gradients": right["gradients"] | {"x": dx}}) == WRONG


def test_what_is_missing_of_another_shape_or_not_a_number_is_wrong(folder):
    v = next(v for v in of(folder, "Linear") if not v.exact)
    right = passed(parse(v.layer), v)
    for dx, told in ((None, "is missing"), (np.zeros(7), "has shape (7,)"), (right["gradients"]["x"] * np.nan, "nan")):
        (off,) = judged(v, right | {"gradients": right["gradients"] | {"x": dx}})
        assert (off.verdict, off.name) == (WRONG, "x")
        assert told in str(off)
    assert judged(v, {"outputs": right["outputs"]}, only_found=True) == []


# Kinks and ties


def test_another_slope_at_a_kink_is_a_convention_and_another_beside_it_is_wrong(folder):
    v = next(v for v in of(folder, "ReLU") if v.result == "acceptable")
    x, dy = v.arrays("inputs")["x"], v.arrays("dy")["y"]
    at = (x == 0) & (dy != 0)
    assert at.any()
    assert any("torch" in told for told in v.conventions)
    for slope, told in ((0, EXACT), (0.5, CONVENTION), (1, CONVENTION), (2, WRONG), (-1, WRONG)):
        dx = dy * np.where(x == 0, slope, x > 0)
        assert verdict(v, {"outputs": {"y": np.maximum(x, 0)}, "gradients": {"x": dx}}) == told, slope
    assert verdict(v, {"outputs": {"y": np.maximum(x, 0)}, "gradients": {"x": dy}}) == WRONG


def test_clamp_by_an_older_torch_is_acceptable_and_the_vector_says_whose_it_is():
    case = Case(Clamp(0.0, 1.0), (8,), 5, exact=True)
    v = of_layers.vector(case, "it")
    assert v.result == "acceptable"
    assert any("clamp at its bounds" in told and "2.14" in told for told in v.conventions)
    older = of_layers.by_section(Hand(as_in(case.layer, "2.13")).run(numbers(case)))
    newer = of_layers.by_section(Hand(as_in(case.layer, "2.14")).run(numbers(case)))
    assert (verdict(v, older), verdict(v, newer)) == (CONVENTION, EXACT)


def test_smooth_functions_and_real_numbers_meet_no_kink():
    for layer, exact, kinked in ((Tanh(), True, False), (ReLU(), False, False), (ReLU(), True, True)):
        case = Case(layer, (8,), 5, exact=exact)
        trial = numbers(case)
        assert bool(kinks.ends(Hand(layer), trial, Hand(layer).run(trial), exact)) == kinked


@pytest.mark.parametrize(("layer", "name"), [(Amax(0), "gradients"), (Argmax(0), "outputs")])
def test_of_equal_maxima_any_may_be_taken(layer, name):
    case = next(c for seed in range(9) if (c := Case(layer, (8,), seed, exact=True)) and tied(c))
    v = of_layers.vector(case, "it")
    ((low, high),) = [(e.low, e.high) for section, _, e in v.expected() if section == name]
    assert (low < high).any()


def test_of_many_equal_maxima_each_is_the_largest_once():
    trial = Trial(np.ones(24), integers=True, dy=np.array(1.0))
    hand = Hand(Amax())
    ((low, high),) = kinks.ends(hand, trial, hand.run(trial), exact=True).values()
    assert (low == 0).all()
    assert (high == 1).all()


def test_a_steep_slope_is_no_kink():
    trial, hand = Trial((np.array([-1.0, 1.0]), np.zeros(2)), dy=np.array(1.0)), Hand(CosineSimilarity(-1))
    assert np.abs(hand.run(trial)[Name(GRADIENT, "x[1]")]).max() > 1e7
    assert not kinks.ends(hand, trial, hand.run(trial))


def tied(case):
    x = numbers(case).x
    return np.count_nonzero(x == x.max()) > 1


# Other frameworks


class Torch:
    """torch as a framework to be judged: some functions are not there as asked for, one raises, one is wrong."""

    @staticmethod
    def prelu(o):
        raise NotThere("weight")

    FUNCTIONS = {
        "ReLU": same(torch.relu),
        "RReLU": prelu,
        "Softmax": lambda o: lambda x: torch.softmax(x, o["dim"]),
        "Clamp": lambda o: lambda x: torch.nix(x),
        "Dropout": same(torch.reshape),
        "LayerNorm": same(lambda x, weight=1, bias=0: 2 * x * weight + bias),
        "Linear": same(torch.nn.functional.linear),
    }

    @staticmethod
    def passed(f, real, dy):
        tensors = {n: torch.tensor(a, requires_grad=True) for n, a in real.items()}
        y = f(tensors)
        y.backward(torch.tensor(dy[0]))
        return y.detach().numpy(), {n: t.grad.numpy() for n, t in tensors.items()}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ReLU", {EXACT}), ("Softmax", {EXACT, WITHIN}), ("RReLU", {NOT_THERE}), ("Clamp", {NOT_THERE}),
        ("Sort", {NOT_THERE}), ("Dropout", {RAISES}), ("LayerNorm", {WRONG}),
    ],
)  # fmt: skip
def test_a_framework_is_judged_function_by_function(folder, name, wanted):
    assert {told_of(Torch, v, "float64")[0] for v in of(folder, name)} <= wanted


def test_a_framework_with_another_convention_is_told_so_with_the_limits(folder):
    class Other(Torch):
        FUNCTIONS = {"ReLU": same(lambda x: torch.maximum(x, torch.zeros_like(x)))}  # half of dy at 0

    _, text = next(found for v in of(folder, "ReLU") if (found := told_of(Other, v, "float64"))[0] == CONVENTION)
    assert re.match(r"gradients x at \[\d\]: expected 0.0, found -?[\d.]+, limits ", text)


def test_figures_and_conventions_come_as_tables(folder):
    rows = [(v.id, v.cls, *told_of(Torch, v, "float64")) for name in ("Linear", "LayerNorm") for v in of(folder, name)]
    text = frameworks.markdown([{"framework": "torch", "version": "2", "dtype": "float64", "rows": rows}])
    wrong = len(of(folder, "LayerNorm"))
    assert f"| {WRONG} | {wrong} |" in text
    assert "| classes tried | 2 |" in text
    assert re.search(rf"\| `LayerNorm` \| torch, float64 \| wrong \| {wrong} \| LayerNorm-1: outputs y at ", text)


def test_the_table_of_frameworks_wants_a_folder_of_vectors(tmp_path, capsys):
    assert frameworks.main([str(tmp_path)]) == 2
    assert f"{tmp_path} holds no vectors: manualbp vectors -o {tmp_path} writes them" in capsys.readouterr().err


def test_vectors_are_read_without_torch():
    code = "import sys, reference.vectors.read, reference.vectors.beside.__main__; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# The command


@pytest.fixture
def command(monkeypatch, capsys):
    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["manualbp", "vectors", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return called


def test_the_command_writes_one_class_and_keeps_others(command, tmp_path):
    place = tmp_path / "new" / "vectors"
    assert command("-o", place, "--only", "ReLU")[0] == 0
    code, out, _ = command("-o", place, "--only", "Tanh")
    assert code == 0
    assert re.fullmatch(r"\d+ vectors of 1 classes, .*mistakes of the catalogue shown in .*\n", out)
    listed = json.loads((place / "vectors.json").read_text())
    assert listed["classes"].keys() == {"ReLU", "Tanh"}
    assert {p.name for p in place.iterdir()} >= {"ReLU.json", "Tanh.json", "Tanh.safetensors", "schema.json"}


def test_the_help_has_an_example(command):
    code, out, _ = command("--help")
    assert code == 0
    assert "manualbp vectors -o vectors/" in out


def test_an_unknown_class_gets_the_nearest(command, tmp_path):
    code, _, err = command("-o", tmp_path / "v", "--only", "LayerNrom")
    assert code == 2
    assert err.startswith(
        "manualbp: no layer, loss, operation or optimizer is called LayerNrom; did you mean LayerNorm"
    )
    assert not (tmp_path / "v").exists()
    assert "the README lists the" in command("--only", "Qqqqqq")[2]


def test_a_folder_that_holds_something_else_is_left_alone(command, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    code, _, err = command("-o", tmp_path, "--only", "ReLU")
    assert code == 2
    assert "holds something else (thesis.tex); give a new folder" in err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_place_that_cannot_be_written_is_told_before_any_work(command, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        code, _, err = command("-o", place, "--only", "ReLU")
        assert code == 2
        assert f"-o takes a folder for the vectors; {tmp_path / 'file'} is a file" in err
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    code, _, err = command("-o", tmp_path / "v", "--only", "ReLU")
    assert code == 2
    assert f"cannot be written: no permission in {tmp_path}" in err


def test_ctrl_c_keeps_and_lists_what_is_done(command, tmp_path, monkeypatch):
    def interrupted(cls, seed):
        if cls is Tanh:
            raise KeyboardInterrupt
        return choose.vectors(cls, seed)

    monkeypatch.setattr(make, "vectors", interrupted)
    code, _, _ = command("-o", tmp_path / "v", "--only", "ReLU", "--only", "Tanh")
    assert code == 130
    assert json.loads((tmp_path / "v" / "vectors.json").read_text())["classes"].keys() == {"ReLU"}


def test_where_by_hand_and_torch_differ_the_code_is_that_of_a_mismatch(command, tmp_path, monkeypatch):
    def differs(cls, seed):
        raise MismatchError("by hand and torch differ in Case(…)")

    monkeypatch.setattr(make, "vectors", differs)
    code, out, _ = command("-o", tmp_path / "v", "--only", "ReLU")
    assert code == 1
    assert out.startswith("by hand and torch differ in Case(…). No vectors of this class are written.")


def test_another_format_is_refused_with_the_remedy(folder, tmp_path):
    told = json.loads((written(folder, "ReLU") / "ReLU.json").read_text()) | {"format": FORMAT + 1}
    (tmp_path / "ReLU.json").write_text(json.dumps(told))
    with pytest.raises(
        ValueError, match=f"has format {FORMAT + 1}; this reads format {FORMAT}: write the vectors anew"
    ):
        read(tmp_path / "ReLU.json")


# Readers in other languages, each with a layer of its own; and with a mistake in it


@pytest.mark.parametrize("file", sorted(p.name for p in READERS.iterdir()))
def test_a_reader_is_short(file):
    assert len((READERS / file).read_text().splitlines()) <= 60


def built(tmp_path, file, change):
    """The command that runs a reader, with this change in its text; skipped where there is no compiler."""
    source, program = tmp_path / file, str(tmp_path / "program")
    text = (READERS / file).read_text()
    assert text.count(change[0]) == 1
    source.write_text(text.replace(*change))
    tool = {".c": "cc", ".rs": "rustc", ".mjs": "node"}[source.suffix]
    if shutil.which(tool) is None:
        assert tool != "cc", "a C compiler is always wanted"
        pytest.skip(f"there is no {tool} here")
    if tool == "node":
        return ["node", source]
    options = ["-std=c99", "-Wall", "-Wextra", "-Werror"] if tool == "cc" else ["--edition", "2021", "-O"]
    subprocess.run(
        [tool, *options, source, "-o", program, *(["-lm"] if tool == "cc" else [])], check=True, cwd=tmp_path
    )
    return [program]


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("linear.c", ("+= d * Wo[i]", "+= d * Wo[0]"), "wrong: gradients x["),
        ("linear.c", ("db[k % O] += d", "db[k % O] = d"), "wrong: gradients bias["),
        ("softmax.rs", ("dy.v[i] - mean", "dy.v[i] - mean * y[i]"), "wrong: gradients x["),
        ("layer_norm.mjs", ("- gm - h * gh", "- h * gh"), "LayerNorm-1 wrong: gradients x["),
        ("layer_norm.mjs", ("(v > 0 ? dy.v[i] : 0)", "(v > -1 ? dy.v[i] : 0)"), "ReLU-1 wrong: gradients x["),
        ("layer_norm.mjs", ("(v > 0 ? dy.v[i] : 0)", "(v >= 0 ? dy.v[i] : 0)"), None),
    ],
)  # fmt: skip
def test_a_reader_finds_the_layer_right_and_a_mistake_in_it(folder, tmp_path, file, change, told):
    """None: another convention at a kink, which is no mistake."""
    written(folder, "Linear", "Softmax", "LayerNorm", "ReLU")
    for changed, wrong in ((("", ""), False), (change, told is not None)):
        changed = changed if changed[0] else (change[0], change[0])
        ended = subprocess.run([*built(tmp_path, file, changed), folder], capture_output=True, text=True, check=False)
        assert ended.returncode == int(wrong), ended.stdout + ended.stderr
        assert (told in ended.stdout) if wrong else ("wrong" not in ended.stdout and "-1 right" in ended.stdout)


def test_a_reader_without_vectors_says_so(tmp_path):
    ended = subprocess.run([*built(tmp_path, "linear.c", ("%s right", "%s right")), tmp_path], capture_output=True,
                           text=True, check=False)  # fmt: skip
    assert ended.returncode == 2
    assert f"{tmp_path}/Linear.json cannot be read" in ended.stderr
