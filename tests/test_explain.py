"""The worked example gives the text's numbers, each computed twice."""

import io
from itertools import pairwise

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from manualbp.base import flatten
from manualbp.container import Objective
from manualbp.loss import MSELoss
from reference import explain
from reference.cli import app


@pytest.fixture(scope="module")
def rows():
    return {row.quantity: row for row in explain.first_step()}


def printed(steps: int, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    explain.explain(steps, console)
    return console.file.getvalue()


def test_the_solved_biases_give_the_assumed_activations(rows):
    for quantity, assumed in {"A_h1": 0.59, "A_h2": 0.60, "A_o1": 0.70}.items():
        assert abs(rows[quantity].by_hand - assumed) <= np.spacing(assumed)  # exactly, where exp rounds as here


@pytest.mark.parametrize(
    ("quantity", "value"),
    {
        "L": 0.00125,
        "δ_o1": -0.0105,
        "∂L/∂W31": -0.006195,
        "∂L/∂W41": -0.0063,
        "∂L/∂B3": -0.0105,
        "W31 new": 0.4030975,
        "W41 new": 0.45315,
        "δ_h1": -0.00101598,
        "δ_h2": -0.001134,
        "∂L/∂W11": -0.000050799,
        "∂L/∂W22": -0.0001134,
        "W11 new": 0.1500253995,
    }.items(),
)
def test_the_numbers_that_follow_from_the_text(rows, quantity, value):
    assert explain.number(rows[quantity].by_hand) == explain.number(value)
    assert explain.number(rows[quantity].pytorch) == explain.number(value)


def test_the_text_rounds_two_numbers_and_no_other(rows):
    assert {row.quantity for row in rows.values() if row.rounded} == {"δ_h1", "∂L/∂W11"}
    for row in rows.values():
        if row.rounded:  # to the digits that it prints
            assert abs(float(row.text) - row.by_hand) < 0.01 * abs(row.by_hand)


def test_by_hand_and_pytorch_differ_by_rounding_only(rows):
    # A chain of about ten operations, each off by half a spacing at most.
    assert all(abs(row.by_hand - row.pytorch) <= 8 * np.spacing(abs(row.by_hand)) for row in rows.values())


def test_every_parameter_has_a_gradient_and_an_update(rows):
    for symbol in explain.PLACES:
        assert {f"∂L/∂{symbol}", f"{symbol} new"} <= set(rows)


def test_the_spelled_out_chain_rule_is_that_of_the_containers(rows):
    net, params = Objective(explain.NET, MSELoss()), {"model": explain.start()}
    _, cache = net.forward(params, (explain.X, explain.Y))
    (dx, _), grads = net.backward(params, cache, np.array(0.5))
    flat = flatten(grads["model"])
    for symbol, (name, index) in explain.PLACES.items():
        assert rows[f"∂L/∂{symbol}"].by_hand == flat[name][index]
    assert [rows["∂L/∂X1"].by_hand, rows["∂L/∂X2"].by_hand] == dx.tolist()


def test_the_loss_goes_down_alike_on_both_sides():
    history = list(explain.losses(50))
    assert [at.steps for at in history] == list(range(51))
    assert all(after.by_hand < before.by_hand for before, after in pairwise(history))
    assert history[-1].by_hand < 0.1 * history[0].by_hand
    assert all(abs(at.by_hand - at.pytorch) < 1e-15 for at in history)  # the activations' spacing, 50 times over


def test_what_is_printed():
    text = printed(steps=1)
    assert "Loss by step" not in text
    for part in ("by hand", "PyTorch", "~ -0.00101", "0.4030975", "solved for", "½ · MSELoss", "(out, in)"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text  # nothing cut off


def test_the_loss_table_is_thinned_but_keeps_both_ends():
    lines = printed(steps=200).split("Loss by step")[1].split("\n")[2:]
    shown = [int(line.split()[0]) for line in lines if line.strip()]
    assert shown[0] == 0
    assert shown[-1] == 200
    assert len(shown) == 20


def test_fewer_than_one_step_is_an_error():
    with pytest.raises(ValueError, match="at least 1; it is 0"):
        explain.explain(0)


def test_what_goes_into_a_pipe_is_not_cut(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    out = CliRunner().invoke(app, ["explain"])
    assert "0.3364653772" in out.output
    assert "…" not in out.output
    assert max(map(len, out.output.splitlines())) > 60
