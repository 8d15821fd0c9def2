"""A mistake of the catalogue in one node of a model is found, in its node, and named; some draws of the benchmark."""

import sys
from pathlib import Path

import pytest

from reference.faults import faults
from reference.faults.base import _made

sys.path.append(str(Path(__file__).parent / "benchmarks"))
from wrong_nodes import draws


def test_a_wrong_node_is_found_and_named():
    for d in draws(12):
        assert d.found, d
        assert d.localised, d
        assert d.named, d


@pytest.mark.parametrize("fault", faults().values(), ids=lambda fault: fault.id)
def test_a_mistake_can_be_made_in_every_class_that_it_is_of(fault):
    for cls in fault.classes().values():
        assert _made(fault, cls).__name__ == cls.__name__
