"""What a model gave is recorded, and what is there now is held beside it: identical, rounding, or wrong at its node."""

import json
import random
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from faulty import with_fault
from models import samples
from safetensors.numpy import load_file, save_file
from torch import nn

from reference import check_gradients, cli
from reference.faults import corrupt, faults
from reference.golden import format
from reference.golden.now import ByHand
from reference.golden.record import record
from reference.golden.replay import held_beside, replay
from reference.golden.sketch import as_sketched, checksum, projections, sketch
from reference.sides.raised import RefusedError
from reference.sides.run import GRADIENT, Name

OTHERS = ["resnet", "noise", "lstm", "siamese", "own statistic", "weight_norm", "waves"]


def gpt():
    """A GPT of two blocks, its norms with parameters that are no ones and zeros."""
    model, sample = samples()["gpt"]
    torch.manual_seed(3)
    for m in model.modules():
        if isinstance(m, nn.LayerNorm):
            nn.init.normal_(m.weight)
            nn.init.normal_(m.bias)
    return model, sample


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings") / "golden"
    model, sample = gpt()
    record(model, *sample, folder=folder)
    return folder


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings") / "light"
    model, sample = gpt()
    record(model, *sample, folder=folder, light=True)
    return folder


def linear(width=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(width, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(5, width)


@pytest.fixture
def small(tmp_path):
    model, x = linear()
    record(model, x, folder=tmp_path / "small")
    return tmp_path / "small"


# The same environment, and another


def test_a_gpt_is_identical_where_it_was_recorded(golden, light):
    model, sample = gpt()
    report = replay(golden, model)
    assert report.verdict == "identical", str(report)
    assert {"blocks.0.ln_1", "blocks.1.mlp.2", "head", "blocks.0.attn.softmax"} <= report.nodes.keys()
    assert all(t.identical for c in report.nodes.values() for t in c.tensors)
    assert replay(light, model, *sample).verdict == "identical"


def test_the_code_by_hand_is_held_beside_a_recording(golden):
    report = replay(golden, by_hand=True)
    assert report.verdict == "rounding", str(report)
    assert len(report.nodes) == len(format.read(golden).nodes)


def test_other_weights_of_the_model_are_said(small):
    """The replay is run with those of the recording, so that it is identical all the same."""
    model, _ = linear()
    assert not any("weights" in note for note in replay(small, model).notes)
    with torch.no_grad():
        model[0].weight.mul_(2)
    report = replay(small, model)
    assert report.verdict == "identical"
    assert "run with the weights of the recording; the model's own are others: 0.weight" in report.notes


def test_with_other_threads_it_is_rounding_at_most(tmp_path):
    torch.manual_seed(0)
    model, x = (
        nn.Sequential(nn.Linear(200, 300), nn.GELU(), nn.LayerNorm(300), nn.Linear(300, 50)),
        torch.randn(90, 200),
    )
    before = torch.get_num_threads()
    record(model, x, folder=tmp_path / "full")
    record(model, x, folder=tmp_path / "light", light=True)
    try:
        torch.set_num_threads(before + 1)
        for folder, sample in ((tmp_path / "full", ()), (tmp_path / "light", (x,))):
            report = replay(folder, model, *sample)
            assert report.verdict in ("identical", "rounding"), str(report)
            assert any(f"threads {before} then, {before + 1} now" in note for note in report.notes)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_are_identical_too(name, tmp_path):
    model, sample = samples()[name]
    record(model, *sample, folder=tmp_path / "full")
    record(model, *sample, folder=tmp_path / "light", light=True)
    assert replay(tmp_path / "full", model).verdict == "identical"
    assert replay(tmp_path / "light", model, *sample).verdict == "identical"
    assert replay(tmp_path / "full", by_hand=True), name


def test_float32_and_a_sample_by_name(tmp_path):
    model, (words, targets) = gpt()
    found = record(model, words, targets=targets, folder=tmp_path / "g", dtype="float32", only="blocks.0.*")
    assert found.dtype == "float32"
    assert all(n.startswith("blocks.0.") for n in found.nodes)
    assert {n.path for n in found.whole.run if n.role == GRADIENT and "." in n.path} == {
        n for n, _ in model.named_parameters() if n.startswith("blocks.0.")
    }
    report = replay(tmp_path / "g", model)
    assert report.verdict == "identical"
    assert report.tensors[0].hand.dtype == np.float32


# A recording changes nothing


def everything(model, sample):
    """All that a recording must leave as it is, to the bit."""
    of_modules = [
        (n, m.training, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks), sorted(vars(m)))
        for n, m in model.named_modules()
    ]
    tensors = [*model.parameters(), *model.buffers(), *sample]
    return (
        of_modules,
        [(id(t), t.requires_grad, t._version, t.detach().numpy().tobytes()) for t in tensors],
        [p.grad if p.grad is None else p.grad.numpy().tobytes() for p in model.parameters()],
        torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(),
        torch.get_default_dtype(), torch.is_grad_enabled(),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["gpt", "resnet", "noise", "hooked"])
@pytest.mark.parametrize("light", [False, True], ids=["full", "light"])
def test_a_recording_changes_no_bit(name, light, tmp_path):
    model, sample = samples()[name]
    for i, m in enumerate(model.modules()):
        m.train(i % 3 != 0)
    for i, p in enumerate(model.parameters()):
        p.grad = torch.randn_like(p) if i % 2 else None
    torch.rand(1), np.random.rand(), random.random()
    before = everything(model, sample)
    record(model, *sample, folder=tmp_path / "g", light=light)
    assert everything(model, sample) == before
    replay(tmp_path / "g", model, *(sample if light else ()))
    assert everything(model, sample) == before


# Wrong, at the right node

DRAWS = [
    ("blocks.0.ln_1", "D06"), ("norm", "D01"), ("blocks.1.ln_2", "B14"), ("blocks.0.attn.qkv", "B04"),
    ("blocks.1.mlp.2", "B15"), ("head", "B07"), ("blocks.0.mlp.1", "C10"), ("token", "F01"),
]  # fmt: skip


@pytest.mark.parametrize(("node", "id"), DRAWS, ids=lambda value: value)
def test_a_fault_in_a_layer_of_the_model_is_found_at_its_node(node, id, golden, light):
    model, sample = gpt()
    with_fault(model, node, corrupt(format.read(golden).layers[node], faults()[id]))
    report = replay(golden, model)
    assert report.verdict == "wrong"
    assert report.culprit is not None
    assert report.culprit.startswith(f"{node}, its d")
    assert report.wrong_side == "now"
    assert [n for n, c in report.nodes.items() if c.wrong] == [node]
    assert report.suspects[0].fault == id
    assert f"✗ {node}" in str(report)
    sketched = replay(light, model, *sample)
    assert sketched.verdict == "wrong"
    assert sketched.culprit is not None
    assert sketched.culprit.startswith(f"{node}, its d")


def visible(right, wrong):
    """Do two runs of a node differ by more than any rounding?"""

    def same(a, b):
        return (a is None and b is None) or (
            a is not None and b is not None and np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-9, atol=1e-12)
        )

    return not all(same(a, wrong.get(n)) for n, a in right.items())


def by_hand_with(recording, node, fault):
    graph = recording.graph.map_named(lambda n, layer: corrupt(layer, fault) if n == node else layer)
    return ByHand(replace(recording, graph=graph))


def test_thirty_faults_drawn_from_the_catalogue_are_found_at_their_nodes(golden):
    recording = format.read(golden)
    rng = np.random.default_rng(0)
    nodes = [n for n in recording.nodes if faults(type(recording.layers[n]).__name__)]
    seen = unseen = unfit = 0
    while seen < 30:
        node = rng.choice(nodes)
        known = faults(type(recording.layers[node]).__name__)
        fault = known[rng.choice([*known])]

        try:
            wrong = by_hand_with(recording, node, fault).node(node, recording.nodes[node])
            report = held_beside("golden", recording, by_hand_with(recording, node, fault))
        except (ValueError, IndexError, TypeError, RefusedError):  # a mistake may make shapes that fit nowhere
            unfit += 1
            continue
        if visible(ByHand(recording).node(node, recording.nodes[node]), wrong):
            seen += 1
            assert report.verdict == "wrong", (node, fault)
            assert report.culprit is not None
            assert report.culprit.startswith(f"{node}, "), (node, fault, report.culprit)
        else:
            unseen += 1
            assert report or fault.law == "check_pure", (node, fault)  # what shows at a second call only
    print(f"{seen} of {seen} faults wrong at their node; {unseen} change no number here, {unfit} fit no shape")


def test_a_wrong_recording_is_called_wrong(small):
    recording = format.read(small)
    name, part = Name(GRADIENT, "weight"), recording.nodes["2"]
    other = replace(part, run=dict(part.run) | {name: part.run[name] * (1 + 1e-9)})
    report = held_beside("small", replace(recording, nodes={**recording.nodes, "2": other}), ByHand(recording))
    assert report.verdict == "wrong"
    assert report.wrong_side == "recording"
    assert report.culprit == "2, its dweight"


def test_another_function_of_the_same_parameters_is_found(small):
    model, _ = linear()
    model[1] = nn.Sigmoid()
    report = replay(small, model)
    assert report.verdict == "wrong"
    assert report.wrong_side == "now"
    assert report.culprit is not None
    assert report.culprit.startswith("1, its y")


def test_a_change_in_the_ninth_digit_is_seen(small):
    model, _ = linear()
    model[2].register_forward_hook(lambda m, x, y: y * (1 + 1e-9))
    report = replay(small, model)
    assert not report
    assert report.culprit == "2, its y"


def test_float32_inside_is_coarse(small):
    model, _ = linear()
    model[1].forward = lambda x: x.to(torch.bfloat16).to(x.dtype).tanh()
    assert replay(small, model).verdict == "wrong"
    model[1].forward = lambda x: Narrow.apply(x)
    report = replay(small, model)
    assert report.verdict == "coarse"
    assert report.digits in (6, 7)
    assert any("digits" in note for note in report.notes)


class Narrow(torch.autograd.Function):
    """tanh in float32."""

    @staticmethod
    def forward(ctx, x):
        y = x.numpy().astype(np.float32)
        y = np.tanh(y)
        ctx.y = y
        return torch.from_numpy(y.astype(np.float64))

    @staticmethod
    def backward(ctx, dy):
        return torch.from_numpy((dy.numpy().astype(np.float32) * (1 - ctx.y**2)).astype(np.float64))


def test_compiled_it_is_rounding_at_most(small, tmp_path):
    model, _ = linear()
    report = replay(small, model, torch="aot_eager")
    assert report.verdict in ("identical", "rounding"), str(report)
    assert len(report.nodes) == 3
    model[1] = nn.Sigmoid()
    report = replay(small, model, torch="aot_eager")
    assert report.verdict == "wrong"
    assert "run by aot_eager" in report.notes
    with pytest.raises(ValueError, match="runs on the CPU; it got device cuda"):
        replay(small, model, torch="aot_eager", device="cuda")
    noise, sample = samples()["noise"]
    record(noise, *sample, folder=tmp_path / "noise")
    with pytest.raises(ValueError, match="draws random numbers of its own"):
        replay(tmp_path / "noise", noise, torch="aot_eager")


# Light


def test_a_light_recording_has_a_hundredth_of_the_size(tmp_path):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 128)), torch.randn(64, 256)
    for name in ("full", "light"):
        record(model, x, folder=tmp_path / name, light=name == "light")
    full, little = (sum(f.stat().st_size for f in (tmp_path / n).iterdir()) for n in ("full", "light"))
    assert little <= full / 100
    model[2].weight.data[3, 5] *= 1 + 1e-6
    with pytest.raises(ValueError, match=r"other than then are the parameter 2\.weight\. Give the same model"):
        replay(tmp_path / "light", model, x)


def test_a_light_recording_sees_one_entry_and_all(tmp_path):
    model, x = linear()
    record(model, x, folder=tmp_path / "light", light=True)
    for change in (lambda g: g * (1 + 1e-9), lambda g: g + 1e-9 * torch.eye(*g.shape)):
        copy, _ = linear()
        copy[1].register_forward_hook(lambda m, a, y, change=change: Moved.apply(y, change))
        report = replay(tmp_path / "light", copy, x)
        assert report.verdict == "wrong"
        assert report.power < 1e-11


class Moved(torch.autograd.Function):
    """The same forward; a gradient that is changed on its way back."""

    @staticmethod
    def forward(ctx, y, change):
        ctx.change = change
        return y.clone()

    @staticmethod
    def backward(ctx, dy):
        return ctx.change(dy), None


def test_projections_stay_within_their_bound_and_see_what_is_beyond():
    rng, worst = np.random.default_rng(0), 0.0
    for n in (1, 2, 7, 100, 5000):
        a = rng.standard_normal(n)
        for _ in range(100):
            b = 1e-10 * rng.uniform(size=n)
            kept = sketch(a, b)
            near = as_sketched(Name(GRADIENT, "x"), a + b * rng.choice([-1, 1], n), kept)
            assert near.ok
            worst = max(worst, near.ratio)
        far = a.copy()
        far[rng.integers(n)] += 2.1 * near.bound
        assert not as_sketched(Name(GRADIENT, "x"), far, kept).ok
        assert not as_sketched(Name(GRADIENT, "x"), a + 100 * near.bound / np.sqrt(n), kept).ok
    assert 0.1 < worst < 1  # so the bound is neither missed nor beside the point


def test_what_a_sketch_takes_for_the_same():
    a = np.array([[1.5, 0.0, -2.0]])
    of = Name(GRADIENT, "x")
    assert as_sketched(of, a, sketch(a)).identical
    assert as_sketched(of, np.array([[1.5, -0.0, -2.0]]), sketch(a)).identical
    assert not as_sketched(of, a[:, ::-1], sketch(a, 1e-9)).ok
    assert "shape (3,) now" in as_sketched(of, a[0], sketch(a)).what
    assert "float32 of shape" in as_sketched(of, a.astype(np.float32), sketch(a)).what
    lost = np.array([[1.5, np.nan, -2.0]])
    assert "other places" in as_sketched(of, lost, sketch(a)).what
    assert not as_sketched(of, lost, sketch(np.array([[np.nan, 1.5, -2.0]]))).ok
    assert "other integers" in as_sketched(of, np.array([1, 2]), sketch(np.array([1, 3]))).what
    assert projections(np.array([1e300, 1e300, 1e308, 1e308, 1e308]))  # no error where the sum overflows


def test_a_checksum_is_the_same_in_every_layout():
    a = np.arange(12.0).reshape(3, 4)
    assert checksum(a) == checksum(np.asfortranarray(a)) == checksum(a.astype(">f8")) != checksum(a.T)
    assert checksum(a) != checksum(a.astype(np.float32))
    assert checksum(a) == "45c41983b35994e435df85e8334acf96"  # on every machine, in every version


# Numbers of another program


def test_numbers_of_another_program_are_judged(small, tmp_path):
    file = next(small.glob("*.safetensors"))
    arrays = load_file(file)
    theirs = {f"{n.removeprefix('gradient/')}.grad": a for n, a in arrays.items() if n.startswith("gradient/")}
    save_file(theirs, tmp_path / "theirs.safetensors")
    assert check_gradients(tmp_path / "theirs.safetensors", at=small).verdict == "identical"
    assert check_gradients(str(small), at=str(small)).verdict == "identical"
    wrong = check_gradients(theirs | {"2.weight.grad": 5 * theirs["2.weight.grad"]}, at=small)
    assert wrong.verdict == "wrong"
    assert wrong.culprit == "2.weight.grad"
    assert wrong.suspects[0].fault == "A01"  # N = 5
    report = replay(small, numbers=file)
    assert report.verdict == "identical"
    del arrays["gradient/0.bias"]
    save_file(arrays, tmp_path / "part.safetensors")
    missing = replay(small, numbers=tmp_path / "part.safetensors")
    assert missing.verdict == "wrong"
    assert [t.what for t in missing.tensors if not t.ok] == ["nothing now"]


def test_a_loss_may_take_its_numbers_from_a_recording(small):
    up = torch.from_numpy(format.read(small).whole.trial.dy)

    def loss(x, w0, b0, w2, b2):
        return ((torch.tanh(x @ w0.T + b0) @ w2.T + b2) * up).sum()

    assert check_gradients(small, loss=loss, at=small)
    assert not check_gradients(small, loss=lambda *a: 2 * loss(*a), at=small)


def test_what_numbers_cannot_be_judged(small, tmp_path):
    g = {"0.weight": np.zeros((4, 3), np.float32)}
    with pytest.raises(ValueError, match="record with --dtype float32, or write float64"):
        check_gradients(g, at=small)
    with pytest.raises(ValueError, match="the loss is missing"):
        check_gradients(g, at={"0.weight": np.zeros((4, 3))})
    with pytest.raises(ValueError, match="neither a safetensors file nor the folder of a recording"):
        check_gradients(tmp_path / "nothing", at=small)
    save_file({"w": np.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"none of the arrays of the recording, which are called output/y, "):
        replay(small, numbers=tmp_path / "w.safetensors")


# Bad input: a sentence, and nothing lost


def edited(folder, change):
    file = folder / format.FILE
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))


def shortened(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def renamed(told):
    told["whole"]["tensors"][-1]["array"] = "gradient/none"


BAD = {
    "version": (lambda f: edited(f, lambda t: t.update(version=9)), "has format version 9; this manualbp reads"),
    "kind": (lambda f: edited(f, lambda t: t.update(format="x")), "is no recording of manualbp"),
    "no dict": (lambda f: (f / format.FILE).write_text("[1]"), "is no recording of manualbp"),
    "lacks a field": (lambda f: edited(f, lambda t: t.pop("whole")), "cannot be read: KeyError 'whole'"),
    "cut JSON": (lambda f: shortened(f / format.FILE), "is no whole JSON file"),
    "cut arrays": (lambda f: shortened(next(f.glob("*.safetensors"))), "is no whole safetensors file"),
    "no arrays": (lambda f: next(f.glob("*.safetensors")).unlink(), "is not whole: tensors-"),
    "no array": (lambda f: edited(f, renamed), "gradient/none, which recording.json names, is missing"),
    "no JSON": (lambda f: (f / format.FILE).unlink(), "is no recording: there is no recording.json in it"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_recording_is_a_sentence(name, small):
    damage, told = BAD[name]
    damage(small)
    before = {f.name: f.read_bytes() for f in small.iterdir()}
    with pytest.raises(ValueError, match=re.escape(told)):
        replay(small, linear()[0])
    assert {f.name: f.read_bytes() for f in small.iterdir()} == before


def test_another_model_is_a_sentence(small):
    with pytest.raises(
        ValueError, match=r"is not the model recorded, Sequential: of another shape are 0\.weight \(4, 9\)"
    ):
        replay(small, linear(9)[0])
    with pytest.raises(ValueError, match=r"it has no 2\.weight, 2\.bias$"):
        replay(small, nn.Sequential(nn.Linear(3, 4), nn.Tanh()))
    with pytest.raises(ValueError, match=r"the recording has no 3\.weight, 3\.bias$"):
        replay(small, nn.Sequential(*linear()[0], nn.Linear(2, 2)))


def test_a_folder_that_holds_other_things_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    model, x = linear()
    with pytest.raises(ValueError, match="holds other files and no recording"):
        record(model, x, folder=tmp_path / "mine")
    with pytest.raises(ValueError, match="is no folder"):
        record(model, x, folder=tmp_path / "no" / "where" / "golden")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is no folder"):
        record(model, x, folder=tmp_path / "file")
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("which", ["tensors", format.FILE])
def test_a_write_that_fails_leaves_the_old_recording(small, which, monkeypatch):
    before = format.read(small)
    whole = format.replace_whole

    def fail(path, data):
        if path.name.startswith(which):
            raise OSError("disk full")
        whole(path, data)

    model, x = linear()
    with monkeypatch.context() as patched:
        patched.setattr(format, "replace_whole", fail)
        with pytest.raises(OSError, match="disk full"):
            record(model, 2 * x, folder=small)
    assert replay(small, model).verdict == "identical"
    assert np.array_equal(format.read(small).whole.trial.x["input"], before.whole.trial.x["input"])
    record(model, 2 * x, folder=small)
    assert len([*small.iterdir()]) == 2
    assert np.array_equal(format.read(small).whole.trial.x["input"], 2 * before.whole.trial.x["input"])


def test_a_sample_that_no_file_can_hold(tmp_path):
    class Odd(nn.Module):
        def forward(self, x, how):
            return x * 2

    with pytest.raises(ValueError, match="a recording keeps tensors, numbers, strings"):
        record(Odd(), torch.randn(3), object(), folder=tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_what_replay_takes(small):
    with pytest.raises(ValueError, match="replay takes one of"):
        replay(small)
    with pytest.raises(ValueError, match="there is no folder"):
        replay(small / "none", by_hand=True)


# In a terminal

NET = "import torch\nfrom torch import nn\n\nmodel = nn.Sequential(nn.Linear(3, 4), nn.{}(), nn.Linear(4, 2))\n"


@pytest.fixture
def run(monkeypatch, capsys):
    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["manualbp", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return called


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.py").write_text(NET.format("Tanh"))
    return tmp_path / "net.py"


def test_the_recording_of_another_model_is_not_written_over(run, net, tmp_path):
    golden, other = tmp_path / "golden", tmp_path / "other.py"
    other.write_text(NET.format("ReLU"))
    assert run("record", f"{net}:model", "--shape", "5,3", "-o", golden)[0] == 0
    before = (golden / "recording.json").read_bytes()
    code, _, err = run("record", f"{other}:model", "--shape", "5,3", "-o", golden)
    assert code == 2
    assert "holds the recording of" in err
    assert (golden / "recording.json").read_bytes() == before
    assert run("record", f"{net}:model", "--shape", "6,3", "-o", golden)[0] == 0


@pytest.mark.parametrize("options", [(), ("--light",)], ids=["full", "light"])
def test_a_file_is_recorded_and_replayed_from_anywhere(run, net, tmp_path, monkeypatch, options):
    """Its random parameters are those of the seed, so that they need not be kept."""
    golden = tmp_path / "golden"
    code, out, _ = run("record", f"{net}:model", "--shape", "5,3", "--seed", 4, "-o", golden, *options)
    assert code == 0, out
    assert "by hand beside it: rounding" in out
    monkeypatch.chdir("/")
    assert run("replay", golden, "--quiet") == (0, f"{golden}: identical, worst err/bound 0\n", "")
    net.write_text(NET.format("Sigmoid"))
    code, out, _ = run("replay", golden, net, "--json", tmp_path / "r.json", "--junit", tmp_path / "r.xml")
    assert code == 1
    assert "First to differ: 1, its y" in out
    assert "net.py has been changed since it was recorded" in out
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["the whole model"]["verdict"] == "wrong"
    assert "<failure" in (tmp_path / "r.xml").read_text()


def test_exit_codes_of_what_cannot_be_replayed(run, net, tmp_path):
    golden = tmp_path / "golden"
    run("record", f"{net}:model", "--shape", "5,3", "-o", golden)
    assert run("replay", golden, "--by-hand", "--quiet")[0] == 0
    assert run("replay", golden, next(golden.glob("*.safetensors")), "--quiet")[0] == 0
    code, _, err = run("replay", golden, net, "--by-hand")
    assert code == 2
    assert "takes no file" in err
    code, _, err = run("replay", golden, "--device", "nowhere")
    assert code == 2
    assert "torch cannot use --device nowhere" in err
    net.unlink()
    code, _, err = run("replay", golden)
    assert code == 2
    assert "which" in err
    assert "is not there" in err
    edited(golden, lambda told: told.update(version=0))
    code, _, err = run("replay", golden)
    assert code == 2
    assert "format version 0" in err


def test_nothing_to_see_is_vacuous(run, tmp_path):
    net = tmp_path / "still.py"
    net.write_text(
        "import torch\n\nclass Still(torch.nn.Module):\n    def forward(self, x):\n        return x * 0\n\n"
        "model, sample = Still(), torch.randn(3)\n"
    )
    assert run("record", f"{net}:model", "-o", tmp_path / "g")[0] == 3
    assert run("replay", tmp_path / "g", "--quiet")[0] == 3


def test_a_recording_from_python_knows_no_file(run, small):
    code, _, err = run("replay", small)
    assert code == 2
    assert "was recorded from Python and knows no file" in err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["gpt", "resnet", "noise"])
def test_a_recording_is_replayed_on_a_gpu(name, tmp_path):
    model, sample = samples()[name]
    record(model, *sample, folder=tmp_path / "g")
    report = replay(tmp_path / "g", model, device="cuda")
    assert report.verdict in ("identical", "rounding"), str(report)
    assert report.nodes
