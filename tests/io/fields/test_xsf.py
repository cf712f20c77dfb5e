"""XSF files: what was written comes back; a grid that does not close, or is not alone, is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from maladist.errors import DataFileError
from maladist.io.fields import xsf
from tests.io.fields.conftest import GRID, write_xsf


def read(path: Path, thickness: int = 2) -> np.ndarray:
    found = np.full(xsf.read_header(path).shape, np.nan)
    for region, values in xsf.read_slabs(path, thickness):
        found[region] = values
    return found


@pytest.mark.parametrize("thickness", [1, 2, 100])
def test_values_come_back_in_slabs_of_any_thickness(
    thickness: int, tmp_path: Path, crystal: Atoms, values: np.ndarray
) -> None:
    found = read(write_xsf(tmp_path / "a.xsf", crystal, values), thickness)
    assert np.abs(found / np.where(values, values, 1) - (values != 0)).max() < 1e-8  # nine digits
    header = xsf.read_header(tmp_path / "a.xsf")
    assert (header.shape, header.slow_axis, header.energy) == (GRID.shape, 2, None)
    assert np.abs(header.atoms.positions - crystal.positions).max() < 1e-9


def test_elements_as_numbers_and_the_conventional_cell(tmp_path: Path, crystal: Atoms, values: np.ndarray) -> None:
    path = write_xsf(tmp_path / "a.xsf", crystal, values)
    path.write_text(path.read_text().replace("\nBe ", "\n4  ").replace("PRIMVEC", "CONVVEC"))
    assert xsf.read_header(path).atoms.get_chemical_formula() == "Be2"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s[: s.index("END_DATAGRID")], "without closing its grid"),
        (lambda s: s[:-300], "truncated|within a number|something else"),
        (lambda s: s[:900] + s[870:], "something else|more numbers|ends differ|understood|whole cell"),
        (lambda s: s.replace("END_DATAGRID", " 1.0\nEND_DATAGRID"), "more numbers"),
        (lambda s: s + s[s.index("BEGIN_BLOCK") :], "more than one grid"),
        (lambda s: s.replace("BEGIN_DATAGRID_3D", "BEGIN_DATAGRID_2D"), "ends in its header"),
        (lambda s: s.replace("\nBe ", "\nXx ", 1), "cannot be understood"),
        (lambda s: s.replace("5 4 6\n", "5 4 60\n"), "truncated|something else"),
        (lambda s: s.replace("5 4 6\n", "5 4 6 7\n"), "whole cell"),
        (lambda s: s.replace("5 4 6\n", "1 4 6\n"), "grid"),
        (lambda s: s.replace("5 4 6\n", "5 4 1e3\n"), "cannot be understood"),
        (lambda s: s.replace("      2.3000000000", "               nan", 1), "whole cell"),
        (lambda s: s.replace("      2.3000000000", "      1.0e10", 2), "in its header"),
    ],
)
def test_damage_is_refused_with_the_files_name(
    change: Callable[[str], str], words: str, tmp_path: Path, crystal: Atoms, values: np.ndarray
) -> None:
    path = write_xsf(tmp_path / "a.xsf", crystal, np.abs(values) + 1)
    text = change(path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    with pytest.raises(DataFileError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_grid_that_does_not_repeat_its_first_planes(tmp_path: Path, crystal: Atoms, values: np.ndarray) -> None:
    path = tmp_path / "a.xsf"
    with path.open("w") as stream:
        xsf.write_header(stream, crystal, GRID, "")
        xsf.write_slab(stream, np.concatenate([values, values[:, :, 1:2]], axis=2))
        xsf.write_end(stream)
    with pytest.raises(DataFileError, match="ends differ"):
        read(path)
