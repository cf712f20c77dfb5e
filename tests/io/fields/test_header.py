"""What a field's header must be before anybody loops over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from maladist.errors import DataFileError
from maladist.io.fields.header import FieldHeader, header_atoms
from tests.io.fields.conftest import GRID


@pytest.mark.parametrize(("axis", "thickness"), [(0, 1), (0, 3), (2, 2), (1, 100)])
def test_slabs_cover_the_field_once(axis: int, thickness: int, crystal: Atoms) -> None:
    seen = np.zeros(GRID.shape, int)
    for planes, region in FieldHeader(Path("a"), crystal, GRID.shape, axis).slabs(thickness):
        seen[region] += 1
        assert region[axis].stop - region[axis].start == planes <= thickness
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("numbers", "length", "shape"),
    [([119], 3.0, (2, 2, 2)), ([0], 3.0, (2, 2, 2)), ([4.5], 3.0, (2, 2, 2)), ([4], 1e10, (2, 2, 2)),
     ([4], 3.0, (10**9, 10**9, 10**9)), ([4], 3.0, (0, 2, 2)), ([4], np.inf, (2, 2, 2)), ([], 3.0, (2, 2, 2))],
)  # fmt: skip
def test_headers_of_no_cell_no_grid_or_no_elements(
    numbers: list[float], length: float, shape: tuple[int, int, int]
) -> None:
    with pytest.raises(DataFileError, match=r"a\.cube.* in its header"):
        header_atoms(Path("a.cube"), numbers, np.zeros((len(numbers), 3)), np.diag([length] * 3), shape)
