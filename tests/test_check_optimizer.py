"""Optimizers of anybody: no right rule is called wrong, no wrong one passes, and what is named is what is wrong."""

import numpy as np
import pytest
import torch
from people.rules import (
    COARSE,
    MOMENTUM,
    RIGHT,
    WRONG,
    DictMomentum,
    FirstGroupOnly,
    PlainDescent,
    RateAlone,
    RateAtBirth,
    RateInside,
    adam,
    make_adadelta,
)

from reference import check_optimizer

SGD = torch.optim.SGD


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_rule_passes(name):
    rule, against, options = RIGHT[name]
    report = check_optimizer(rule, against=against, **options)
    assert report, str(report)
    assert not report.suspects


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_is_called_wrong_by_its_name(name):
    rule, against, options, said = WRONG[name]
    report = check_optimizer(rule, against=against, **options)
    assert report.verdict == "wrong", str(report)
    assert report.wrong_side in ("update", "contract")
    named = [s.text for s in report.suspects]
    if said:
        assert named, str(report)
        assert said in named[0], str(report)
    else:  # no name is better than a false one
        assert not named, str(report)
        assert report.notes or report.contracts


@pytest.mark.parametrize("name", COARSE)
def test_what_only_rounds_is_coarse(name):
    rule, against, options, said = COARSE[name]
    report = check_optimizer(rule, against=against, **options)
    assert report.verdict == "coarse", str(report)
    assert not report
    (suspect,) = report.suspects
    assert said in suspect.text
    assert report.digits == (2 if said == "float16" else report.digits)


def test_of_no_rule_is_said_what_its_state_is_when_it_has_one():
    for name in ("clipped one by one", "ASGD, a constant rate", "not averaged", "RAdam without rectification"):
        rule, against, options, _ = WRONG[name]
        told = " ".join(s.text for s in check_optimizer(rule, against=against, **options).suspects)
        assert "No state" not in told
        assert "share" not in told
        assert "betas" not in told


def test_generators_of_random_numbers_are_left_as_they_were():
    def state():
        return np.random.default_rng, np.random.get_state(legacy=False)["state"]["key"].sum()

    before, drawn = state(), torch.get_rng_state()
    assert not check_optimizer(WRONG["noise"][0], against=SGD, lr=0.1)
    assert state() == before
    assert torch.equal(torch.get_rng_state(), drawn)


def test_a_rate_inside_is_no_mistake_and_what_could_not_be_tried_is_said():
    report = check_optimizer(lambda params: RateInside(params), against=SGD, lr=0.2)
    assert report
    assert report.notes == ("its param_groups have no lr, so that neither a schedule nor groups could be tried",)


def test_a_single_number_that_becomes_an_array_is_noted():
    report = check_optimizer(lambda p, g, s: (np.atleast_1d(p - 0.1 * g), s), against=SGD, lr=0.1)
    assert report
    assert report.notes == ("it gives back parameters of another shape: () becomes (1,)",)


def test_what_is_wrong_is_said():
    report = check_optimizer(lambda p, g, s: (p + 0.1 * g, s), against=SGD, lr=0.1)
    assert "The update is not that of the rule intended." in str(report)
    assert "the first wrong step is 1 of 12" in report.notes
    assert "the change of the parameters is -1 times the right one throughout" in report.notes
    report = check_optimizer(lambda p, g, s: (p - 0.1 * g, g), against=SGD, **MOMENTUM)
    assert "the first wrong step is 2 of 12" in report.notes
    report = check_optimizer(adam(decay=0.1), against=torch.optim.AdamW, lr=0.01, weight_decay=0.3)
    assert "yours − right = 0.002 · p in that step" in report.notes


def test_what_a_torch_optimizer_makes_of_its_groups_is_seen():
    report = check_optimizer(FirstGroupOnly, against=SGD, lr=0.1)
    assert [c for c in report.contracts if c.startswith("with a second group with other options it is wrong")]
    report = check_optimizer(RateAtBirth, against=SGD, lr=0.1)
    assert [c for c in report.contracts if c.startswith("with a learning rate that is changed in param_groups")]


def test_a_parameter_without_gradient_is_let_alone():
    class Zeros(PlainDescent):
        def step(self, closure=None):
            for w in self.param_groups[0]["params"]:
                w.grad = torch.zeros_like(w) if w.grad is None else w.grad
            super().step()

    report = check_optimizer(Zeros, against=SGD, lr=0.1, weight_decay=0.1)
    assert [c for c in report.contracts if c.startswith("with a parameter without gradient it is wrong")]
    assert not [n for n in check_optimizer(PlainDescent, against=SGD, lr=0.1).notes if "gradient" in n]


def test_muon_says_which_rounding_it_was_compared_with():
    for name, said in (("Muon in NumPy", "without that rounding"), ("Muon in bfloat16", "so does yours")):
        rule, against, options = RIGHT[name]
        (note,) = check_optimizer(rule, against=against, **options).notes
        assert note.startswith("torch's Muon rounds to bfloat16 inside")
        assert note.endswith(said)


def test_shapes_that_are_refused_are_left_out():
    rule, against, options = RIGHT["matrices only"]
    (note,) = check_optimizer(rule, against=against, **options).notes
    assert note.startswith("compared on arrays of 2 axes alone")


def test_what_does_not_move_is_no_pass():
    assert check_optimizer(lambda p, g, s: (p, s), against=SGD, lr=0.0).verdict == "vacuous"


class NoMethod:
    def advance(self):
        pass


class OtherOptions:
    def __init__(self, lr=0.1, friction=0.9):
        self.lr = lr

    def update(self, w, grad):
        return w - self.lr * grad


class KnowsItsNet:
    def __init__(self, lr):
        self.lr = lr

    def step(self):
        pass


def misspelt(p, g, s):
    return p - rate * g, s  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


def unpacks(p, g, s):
    m, v = s
    return p - 0.1 * g, (m, v)


def breaks(p, g, s):
    s = 1 if s is None else s + 1
    if s == 4:
        raise RuntimeError("no fourth step")
    return p - 0.1 * g, s


def made():
    return SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


SENTENCES = {
    "too many arguments": (lambda: check_optimizer(lambda p, g, s, a, b: p, against=SGD), r"takes \(p, g, s, a, b\)"),
    "an option that is unknown": (
        lambda: check_optimizer(misspelt, against=SGD, learning_rate=0.1),
        r"against=SGD takes no learning_rate; it takes lr, .* check_optimizer\(step, against=SGD, lr=…\)",
    ),
    "an option of the wrong type": (lambda: check_optimizer(misspelt, against=SGD, lr="0.1"), "with lr='0.1' raised"),
    "a negative rate": (lambda: check_optimizer(misspelt, against=SGD, lr=-1.0), "Invalid learning rate"),
    "against an instance": (lambda: check_optimizer(misspelt, against=made()), "give the class and its options"),
    "an instance": (lambda: check_optimizer(made(), against=SGD), r"check_optimizer\(lambda params: SGD\(params, …\)"),
    "against a string": (lambda: check_optimizer(misspelt, against="SGD"), "against='SGD' is no optimizer"),
    "against nothing": (lambda: check_optimizer(misspelt), "against=None is no optimizer"),
    "against a layer": (lambda: check_optimizer(misspelt, against=torch.nn.Linear), "is no optimizer"),
    "against a scheduler": (
        lambda: check_optimizer(misspelt, against=torch.optim.lr_scheduler.StepLR), "is no optimizer"),
    "nothing": (lambda: check_optimizer(None, against=SGD), "None is no rule; taken are step"),
    "an array": (lambda: check_optimizer(np.zeros(2), against=SGD), "is no rule"),
    "a layer": (lambda: check_optimizer(torch.nn.Linear(2, 2), against=SGD), "is no rule"),
    "an object without a step": (lambda: check_optimizer(NoMethod(), against=SGD), r"is no rule \(it has advance\)"),
    "a class without a step": (lambda: check_optimizer(NoMethod, against=SGD), "NoMethod has no step or update"),
    "other options": (
        lambda: check_optimizer(OtherOptions, against=SGD, **MOMENTUM),
        r"OtherOptions takes no momentum, .* check_optimizer\(lambda: OtherOptions\(…\)",
    ),
    "no gradients": (lambda: check_optimizer(KnowsItsNet, against=SGD, lr=0.1), r"lambda params: KnowsItsNet\(params"),
    "a closure": (lambda: check_optimizer(misspelt, against=torch.optim.LBFGS), "takes a closure, not gradients"),
    "sparse": (lambda: check_optimizer(misspelt, against=torch.optim.SparseAdam), "takes sparse gradients"),
    "another shape": (
        lambda: check_optimizer(lambda p, g, s: (p.sum(), s), against=SGD), r"\(4,\) became float64 of shape \(\)"),
    "no numbers": (lambda: check_optimizer(lambda p, g, s: ("p", s), against=SGD), "a parameter of shape"),
    "a name": (lambda: check_optimizer(misspelt, against=SGD), "NameError: .*test_check_optimizer.py, line .*misspelt"),
    "a state unpacked": (lambda: check_optimizer(unpacks, against=SGD), r"in unpacks: m, v = s.*\(None at first\)"),
    "a later step": (lambda: check_optimizer(breaks, against=SGD), "no fourth step .*line .* in breaks"),
    "a rule as against that raises": (lambda: check_optimizer(breaks, against=misspelt), r"against \(misspelt\)"),
    "a memory for all arrays": (
        lambda: check_optimizer(make_adadelta(), against=torch.optim.Adadelta), "all arrays share it: .*make_rule"),
    "no steps": (lambda: check_optimizer(misspelt, against=SGD, steps=0), "steps=0: a number of steps is needed"),
}  # fmt: skip


@pytest.mark.parametrize("name", SENTENCES)
def test_a_misuse_is_answered_with_the_right_call(name):
    call, said = SENTENCES[name]
    with pytest.raises(ValueError, match=said):
        call()


def test_what_is_written_into_the_gradient_is_noted():
    def decayed(p, g, s):
        g += 0.1 * p
        return p - 0.1 * g, s

    report = check_optimizer(decayed, against=SGD, lr=0.1, weight_decay=0.1)
    assert report
    assert report.notes == ("it writes into the gradients that it is given: g += … where g = g + … is meant",)


def test_the_memory_of_a_gradient_is_no_parameter():
    def into_g(p, g, s):
        g *= -0.1
        g += p
        return g, s

    report = check_optimizer(into_g, against=SGD, lr=0.1)
    assert report.verdict == "wrong"
    assert report.suspects[0].text == "What it keeps is the gradient's own array, not a copy."


def test_options_of_a_rule_are_changed_by_their_names():
    def decayed(p, g, s, lr, weight_decay):
        return p - lr * (g + weight_decay * p), s

    def forgotten(p, g, s, lr):
        return p - lr * g, s

    for against in (decayed, lambda p, g, s: decayed(p, g, s, 0.1, 0.2)):
        report = check_optimizer(forgotten, against=against, lr=0.1, weight_decay=0.2)
        assert [s.text for s in report.suspects] == ["The weight decay is forgotten."] * (against is decayed)
        assert "yours − right = 0.02 · p in that step" in report.notes


def test_an_instance_is_left_as_it_was():
    own = DictMomentum(0.1, 0.9)
    assert check_optimizer(own, against=SGD, **MOMENTUM)
    assert own.v is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Lion without the sign", "is a sign left out?"),
        ("the sign alone", "is a sign too many?"),
        ("Adam for Lion", None),
        ("adam upward", None),
    ],
)
def test_a_sign_is_seen_where_all_entries_move_by_the_same_amount(name, said):
    rule, against, options, _ = WRONG[name]
    notes = " ".join(check_optimizer(rule, against=against, **options).notes)
    assert said in notes if said else "is a sign" not in notes


def test_what_is_clipped_is_seen_in_large_gradients():
    rule, against, options, _ = WRONG["clipped by entries"]
    report = check_optimizer(rule, against=against, **options)
    assert any("the first with gradients above 1" in note for note in report.notes), str(report)


@pytest.mark.parametrize("step", [adam(first=False, second=False), adam(inside=True)])
def test_a_mistake_of_the_catalogue_is_named_in_a_function_of_anybody(step):
    report = check_optimizer(step, against=torch.optim.Adam, lr=0.01)
    assert report.verdict == "wrong"
    assert [s.fault for s in report.suspects if s.fault]


def test_an_option_that_a_class_has_not_is_not_set_in_a_group():
    assert check_optimizer(RateAlone, against=SGD, lr=0.1)


def test_a_warm_up_that_ends_too_late_is_seen():
    def warmed(length):
        def step(p, g, t):
            t = (t or 0) + 1
            return p - 0.1 * min(1.0, t / length) * g, t

        return step

    assert check_optimizer(warmed(8), against=warmed(8))
    assert not check_optimizer(warmed(9), against=warmed(8))
    assert not check_optimizer(lambda p, g, t: (p - 0.1 * g * ((t or 0) < 8), (t or 0) + 1), against=SGD, lr=0.1)
