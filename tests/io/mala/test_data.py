"""MALA's snapshots: what it wrote is read as it meant it; other types, sizes and places are refused by name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from maladist import Grid
from maladist.errors import DataFileError, PhysicsError
from maladist.io.fields import raw
from maladist.io.mala.data import (
    check_positions,
    create_field,
    open_field,
    read_info,
    split_positions,
    write_info,
)
from maladist.units import RYDBERG

GRID = Grid([[2.3, 0, 0], [-1.1, 2.0, 0], [0.1, 0, 3.6]], (4, 3, 5))
ATOMS = Atoms("Be2", [[0.1, 0.2, 0.3], [1.0, 0.9, 2.0]], cell=GRID.cell_array, pbc=True)


def content(**changes: Any) -> dict[str, Any]:
    return {
        "fermi_energy_dft": 8.743,
        "temperature": 300.0,
        "number_of_electrons_exact": 4.0,
        "grid_dimensions": [4, 3, 5],
        "ecutrho": 160.0,
        "pseudopotentials": {"Be": "Be.UPF"},
        "atoms": {
            "numbers": [4, 4],
            "positions": {"array": ATOMS.positions.tolist()},
            "cell": ATOMS.cell.array.tolist(),
            "pbc": [True] * 3,
        },
        "something_of_a_later_version": {"of": ["any", "kind"]},
    } | changes


def atoms_with(**changes: Any) -> dict[str, Any]:
    return content(atoms=content()["atoms"] | changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.info.json"


def test_info_is_read_in_our_units(path: Path) -> None:
    path.write_text(json.dumps(content()))
    run = read_info(path)
    assert np.allclose(run.atoms.positions, ATOMS.positions)
    assert (run.shape, run.temperature, run.n_electrons) == ((4, 3, 5), 300.0, 4.0)
    assert run.density_cutoff == 160.0 * RYDBERG
    assert run.terms == {"fermi_energy_eV": 8.743}
    assert run.pseudopotentials == {"Be": "Be.UPF"}


def test_what_mala_does_not_know_is_none(path: Path) -> None:
    path.write_text(json.dumps({"atoms": content()["atoms"], "temperature": None}))
    run = read_info(path)
    assert (run.shape, run.temperature, run.n_electrons, run.density_cutoff) == (None, None, None, None)


def test_what_we_write_we_read(path: Path) -> None:
    facts = {"temperature_K": 1000.0, "n_electrons": 4.0, "density_cutoff_eV": 400.0}
    write_info(path, ATOMS, GRID, facts, {"fermi_energy_eV": 8.5, "total_free_energy_eV": -73.0})
    run = read_info(path)
    assert (run.shape, run.temperature) == (GRID.shape, 1000.0)
    assert run.density_cutoff == pytest.approx(400.0)
    assert run.terms["total_free_energy_eV"] == -73.0


def test_what_we_write_has_every_key_that_mala_demands(path: Path) -> None:
    """Target.read_additional_calculation_data of MALA 1.4 looks these up without a default."""
    facts = {"temperature_K": 1000.0, "n_electrons": 4.0, "density_cutoff_eV": 400.0}
    terms = {"fermi_energy_eV": 8.5, "hartree_eV": 1.0, "xc_eV": -2.0, "ewald_eV": -3.0}
    write_info(path, ATOMS, GRID, facts, terms)
    written = json.loads(path.read_text())
    assert {"atoms", "voxel", "grid_dimensions", "pseudopotentials"} <= set(written)
    assert written["ibrav"] == 0
    assert written["degauss"] == pytest.approx(0.0063336, rel=1e-4)  # k_B 1000 K, Ry
    assert written["ecutwfc"] == pytest.approx(written["ecutrho"] / 4)
    assert [written[f"{name}_contribution"] for name in ("hartree", "xc", "ewald")] == [1.0, -2.0, -3.0]
    assert read_info(path).terms == terms
    write_info(path, ATOMS, GRID, {}, {})  # what is not known is null, and there
    written = json.loads(path.read_text())
    assert all(written[key] is None for key in ("ecutwfc", "ecutrho", "degauss", "temperature"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (None, "a JSON NoneType"),
        ([content()], "a JSON list"),
        ({}, "atoms: Field required"),
        (content(atoms=None), "atoms"),
        (content(temperature="warm"), "temperature"),
        (content(temperature=[300]), "temperature"),
        (content(temperature=float("nan")), "temperature"),
        (content(temperature=float("inf")), "temperature"),
        (content(grid_dimensions=[4, 3]), "grid_dimensions"),
        (content(grid_dimensions=[4, 3, 5.5]), "grid_dimensions"),
        (content(grid_dimensions="4 3 5"), "grid_dimensions"),
        (content(pseudopotentials=["Be.UPF"]), "pseudopotentials"),
        (content(pseudopotentials={"Be": 3}), "pseudopotentials"),
        (content(fermi_energy_dft={"of": 1}), "fermi_energy_dft"),
        (atoms_with(numbers=[4]), "2 positions of 1 atoms"),
        (atoms_with(numbers=[4, 0]), "numbers"),
        (atoms_with(numbers=[4, 119]), "numbers"),
        (atoms_with(numbers="Be2"), "numbers"),
        (atoms_with(positions=[[0, 0, 0], [1, 1]]), "positions"),
        (atoms_with(positions=[[0, 0, 0], [1, 1, None]]), "positions"),
        (atoms_with(cell=[1, 2, 3]), "cell"),
    ],
)
def test_other_types_are_refused_by_name(values: Any, words: str, path: Path) -> None:
    path.write_text(json.dumps(values))
    with pytest.raises(DataFileError, match=words) as caught:
        read_info(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "not JSON", "[" * 20000, '{"a": ' * 20000, "9" * 10000, "\xff\xfe"])
def test_what_is_no_json_is_refused(text: str, path: Path) -> None:
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataFileError, match=r"s\.info\.json"):
        read_info(path)


def test_a_fifo_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(DataFileError, match="FIFO"):
        read_info(path)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 3)), "of shape"),
        (np.zeros((2, 3, 4, 5, 6)), "of shape"),
        (np.zeros((2, 3, 4), int), "int64"),
        (np.zeros((2, 3, 4), complex), "complex"),
    ],
)
def test_arrays_that_are_no_fields(array: np.ndarray, words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataFileError, match=words):
        open_field(tmp_path / "a.npy")


def test_regions_of_a_new_field_come_back(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((4, 3, 5, 2)).astype(np.float32)
    offsets = create_field(tmp_path / "a.npy", values.shape)
    for x in range(4):
        region = (slice(x, x + 1), slice(0, 3), slice(0, 5))
        raw.write_region(tmp_path / "a.npy", offsets, values.shape, region, values[region])
    assert np.array_equal(open_field(tmp_path / "a.npy"), values)


def test_columns_of_positions(tmp_path: Path) -> None:
    assert split_positions((4, 3, 5, 8), 8, tmp_path) == 0
    assert split_positions((4, 3, 5, 11), 8, tmp_path) == 3
    with pytest.raises(DataFileError, match="own --twojmax"):
        split_positions((4, 3, 5, 9), 8, tmp_path)
    places = GRID.points().reshape(*GRID.shape, 3)
    check_positions(places, GRID, tmp_path)
    for wrong in (places[::-1], places * 1.01, np.full_like(places, np.nan)):
        with pytest.raises(DataFileError, match="another snapshot"):
            check_positions(wrong, GRID, tmp_path)


def test_atoms_that_are_not_periodic_are_refused(path: Path) -> None:
    path.write_text(json.dumps(atoms_with(pbc={"array": [True, True, False]})))
    with pytest.raises(PhysicsError, match=r"not periodic \(pbc = \[True, True, False\]\)"):
        read_info(path)
