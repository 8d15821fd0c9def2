"""The matrix of names: the catalogue's mistakes, made in layers and optimizers, are named by a check of these."""

import pytest

from reference.audit import named
from reference.faults import faults

# One of every kind: by numbers, by a forward, by buffers, by a contract, by a convention, by NaN, by updates.
KINDS = ("B01", "C10", "D13", "D14", "B08", "B10", "C20", "C17", "H03", "H12")


@pytest.mark.parametrize("id", KINDS)
def test_a_mistake_is_named_first(id):
    (row,) = named.rows([id])
    assert row.told
    assert row.named
    # A weight of one entry, in small integers, may tell too little for a name.
    assert row.right >= len(row.told) - 1, row.told


def test_what_no_check_of_one_function_shows_has_no_cases():
    (row,) = named.rows(["H23"])  # the groups of an optimizer
    assert row.told == ()
    assert row.named


def test_a_row_counts_variants_of_a_mistake_and_nothing_else():
    row = named.Naming(faults()["G13"], "MultiheadAttention", ("G13", "G13.transposed", "G14", None))
    assert (row.right, row.named) == (2, False)
    assert "G14, none" in [str(cell) for column in named.table([row]).columns for cell in column.cells]


def test_a_mistake_that_is_unknown_is_an_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        named.main(["Z99"])
    assert "Z99" in capsys.readouterr().err
