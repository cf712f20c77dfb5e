"""Cube files: what was written comes back, what is damaged or another kind of cube is refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io.cube import write_cube as ase_write_cube

from maladist.errors import DataFileError
from maladist.io.fields import cube
from tests.io.fields.conftest import GRID, write_cube


def read(path: Path, thickness: int = 2) -> np.ndarray:
    found = np.full(cube.read_header(path).shape, np.nan)
    for region, values in cube.read_slabs(path, thickness):
        found[region] = values
    return found


@pytest.mark.parametrize("thickness", [1, 2, 3, 100])
def test_values_come_back_in_slabs_of_any_thickness(
    thickness: int, tmp_path: Path, crystal: Atoms, values: np.ndarray
) -> None:
    path = write_cube(tmp_path / "a.cube", crystal, values)
    found = read(path, thickness)
    assert np.abs(found / np.where(values, values, 1) - (values != 0)).max() < 1e-8  # nine digits


def test_header_and_level(tmp_path: Path, crystal: Atoms, values: np.ndarray) -> None:
    header = cube.read_header(write_cube(tmp_path / "a.cube", crystal, values, cube.level_title(-1.5, 0.25)))
    assert (header.shape, header.slow_axis, header.energy, header.broadening) == (GRID.shape, 0, -1.5, 0.25)
    assert np.abs(header.atoms.positions - crystal.positions).max() < 1e-9
    assert np.abs(header.atoms.cell.array - GRID.cell_array).max() < 1e-8  # ten digits of a step, times its number


def test_lengths_in_angstrom_where_the_numbers_of_points_are_negative(
    tmp_path: Path, crystal: Atoms, values: np.ndarray
) -> None:
    lines = write_cube(tmp_path / "a.cube", crystal, values).read_text().splitlines(keepends=True)
    wanted = cube.read_header(tmp_path / "a.cube").atoms.cell.array / 0.529177210903
    for i, n in enumerate(GRID.shape):
        lines[3 + i] = f"{-n:5d}{lines[3 + i][5:]}"
    (tmp_path / "a.cube").write_text("".join(lines))
    assert np.allclose(cube.read_header(tmp_path / "a.cube").atoms.cell.array, wanted, rtol=1e-8)


def test_cubes_of_ase_which_end_without_an_end_of_line(tmp_path: Path, crystal: Atoms) -> None:
    values = np.random.default_rng(0).random(GRID.shape)
    with (tmp_path / "a.cube").open("w") as stream:
        ase_write_cube(stream, crystal, data=values)
    assert np.allclose(read(tmp_path / "a.cube"), values, rtol=1e-5)


def test_a_value_for_each_point_is_what_nval_1_says(tmp_path: Path, crystal: Atoms, values: np.ndarray) -> None:
    lines = write_cube(tmp_path / "a.cube", crystal, values).read_text().splitlines()
    for nval, good in (("1", True), ("2", False), ("0", False), ("x", False)):
        (tmp_path / "a.cube").write_text("\n".join([*lines[:2], f"{lines[2]}    {nval}", *lines[3:]]) + "\n")
        if good:
            assert read(tmp_path / "a.cube").shape == GRID.shape
        else:
            with pytest.raises(DataFileError, match=r"values a point|cannot be understood"):
                cube.read_header(tmp_path / "a.cube")


def test_asterisks_are_an_energy_that_nobody_can_read(tmp_path: Path, crystal: Atoms, values: np.ndarray) -> None:
    title = "  Energy = ******** eV, broadening =   0.2000 eV"
    header = cube.read_header(write_cube(tmp_path / "a.cube", crystal, values, title))
    assert header.energy is None
    assert header.broadening == 0.2
    assert (
        cube.read_header(write_cube(tmp_path / "b.cube", crystal, values, title.replace("********", "nan"))).energy
        is None
    )


def line(number: int, text: str) -> Callable[[str], str]:
    """Put a line in place of another."""

    def change(content: str) -> str:
        lines = content.splitlines()
        return "\n".join([*lines[:number], text, *lines[number + 1 :]]) + "\n"

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s[:-30], "truncated|within a number"),
        (lambda s: s.rstrip()[:-2], "within a number"),  # 1.25E+05 has become 1.25E+
        (lambda s: s[:-200] + s[-230:], "more numbers than its grid|other than numbers|something else"),
        (lambda s: s[:500] + s[530:], "truncated|something else|cannot be understood|header"),
        (lambda s: s + " 1.0E+00\n", "more numbers than its grid"),
        (lambda s: s[:-8] + "nan\n", "not finite|something else"),
        (lambda s: s.replace("E+0", "E+9"), "beyond|header"),
        (line(2, "   -2 0 0 0"), "orbitals"),
        (line(2, "99999 0 0 0"), "ends in its header|cannot be understood"),
        (line(2, "    2 0 0 0.5"), "origin"),
        (line(2, "    2 0 0 nan"), "origin"),
        (line(2, "  inf 0 0 0"), "cannot be understood"),
        (line(3, "0 0.575 0 0"), "cell in its header"),
        (line(3, "9e9 0.575 0 0"), "cannot be understood"),
        (line(3, "900000000000 0.575 0 0"), "at most 1e"),
        (line(3, "4 0.575 0"), "cannot be understood"),
        (line(3, "4 1e10 0 0"), "lattice vectors"),
        (line(6, "400 4 0 0 0"), "atomic numbers"),
        (line(6, "nan 4 0 0 0"), "atomic numbers"),
        (line(6, "4 4 0 0 inf"), "not finite"),
        (line(6, "4 4 0 0"), "cannot be understood"),
        (lambda s: "", "ends in its header"),
        (lambda s: s[:60], "header"),
    ],
)
def test_damage_is_refused_with_the_files_name(
    change: Callable[[str], str], words: str, tmp_path: Path, crystal: Atoms, values: np.ndarray
) -> None:
    path = write_cube(tmp_path / "a.cube", crystal, np.abs(values) + 1)
    text = change(path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    with pytest.raises(DataFileError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_thirty_bytes_doubled_anywhere_among_the_numbers_are_seen(
    tmp_path: Path, crystal: Atoms, values: np.ndarray
) -> None:
    path = write_cube(tmp_path / "a.cube", crystal, values)
    text = path.read_text()
    start = len("".join(text.splitlines(keepends=True)[:8]))
    for at in range(start, len(text) - 30, 37):
        path.write_text(text[: at + 30] + text[at:])
        with pytest.raises(DataFileError):
            read(path)


def test_gzip_that_is_cut_off_or_none_is_refused(tmp_path: Path, crystal: Atoms, values: np.ndarray) -> None:
    text = write_cube(tmp_path / "a.cube", crystal, values).read_bytes()
    path = tmp_path / "a.cube.gz"
    path.write_bytes(gzip.compress(text))
    assert read(path).shape == GRID.shape
    for content in (gzip.compress(text)[:-9], gzip.compress(text)[:300], text, b""):
        path.write_bytes(content)
        with pytest.raises(DataFileError, match=r"a\.cube\.gz"):
            read(path)
