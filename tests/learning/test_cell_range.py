"""What cells are like before anything is computed: the range of several, and in what another departs from it."""

from __future__ import annotations

from itertools import permutations

import pytest

from maladist.learning.cell_range import CellRange

CELLS = CellRange((7.7, 9.0), {"Be-Be": 1.67}, (1000.0, 1000.0))


def test_the_range_of_cells_holds_each_of_them() -> None:
    cells = [
        CellRange((8.0, 8.0), {"Al-Be": 2.5, "Be-Be": 2.0}, (1000.0, 1000.0)),
        CellRange((9.0, 9.0), {"Be-Be": 1.9}),
        CellRange((7.0, 7.0), {}, (300.0, 500.0)),
    ]
    (whole, *others) = [a + b + c for a, b, c in permutations(cells)]
    assert all(other == whole for other in others)
    assert whole == CellRange((7.0, 9.0), {"Al-Be": 2.5, "Be-Be": 1.9}, (300.0, 1000.0))
    assert CellRange.from_dict(whole.to_dict()) == whole
    assert not any(whole.departures(cell) for cell in cells)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (CellRange((16.2, 16.2)), "16.2 Å³ an atom, trained on 7.7 to 9"),
        (CellRange((7.4, 7.4)), "7.4 Å³ an atom"),
        (CellRange((8.0, 8.0), {"Be-Be": 1.0}), "Be-Be 1 Å apart, in the training 1.67 or more"),
        (CellRange((8.0, 8.0), {"Al-Be": 2.2}), "Al-Be 2.2 Å apart, in the training none below 4"),
        (CellRange((8.0, 8.0), {}, (300.0, 1e5)), "100000 K, trained at 1000 K"),
    ],
)
def test_a_cell_outside_says_in_what(cell: CellRange, said: str) -> None:
    (line,) = CELLS.departures(cell)
    assert line.startswith(said)


def test_a_little_more_than_the_training_is_inside() -> None:
    assert CELLS.departures(CellRange((7.65, 9.1), {"Be-Be": 1.6}, (300.0, 5000.0))) == []
