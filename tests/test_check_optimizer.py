"""Optimizers of anybody: no right rule is called wrong, no wrong one passes, and what is named is what is wrong."""

import numpy as np
import pytest
import torch

from reference import check_optimizer

from people.rules import RIGHT, WRONG, Lion, PlainDescent


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
    assert report.verdict == "wrong" and report.wrong_side in ("update", "contract"), str(report)
    named = [s.text for s in report.suspects]
    if said:
        assert named and said in named[0], str(report)
    else:  # no name is better than a false one
        assert not named and (report.notes or report.contracts), str(report)
