"""Atoms that no prediction can be made of are refused, unusual ones that can be are not."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

import maladist
from maladist.atoms import ase_atoms, check_atoms
from maladist.errors import AtomsError
from maladist.testing import be_atoms


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 0.2))
def test_coincident_atoms_are_found_across_every_face_and_others_are_not(seed: int, distance: float) -> None:
    rng = np.random.default_rng(seed)
    cell = np.diag([5.0, 6.0, 7.0]) + rng.uniform(-1, 1, (3, 3))
    corner = rng.choice([0.0, 0.5, 1.0], 3) @ cell
    direction = rng.standard_normal(3)
    second = corner + distance * direction / np.linalg.norm(direction) + rng.integers(-2, 3, 3) @ cell
    atoms = Atoms("Be2", positions=[corner, second], cell=cell, pbc=True)
    if distance < 0.0999:
        with pytest.raises(AtomsError, match="atoms 0 and 1"):
            check_atoms(atoms)
    elif distance > 0.1001:
        check_atoms(atoms)


@pytest.mark.parametrize(
    ("cell", "positions", "numbers", "words"),
    [
        (np.eye(3), [[0, 0, 0]], [4], "placeholder"),
        (np.eye(3) * 1e10, [[0, 0, 0]], [4], "lattice vectors"),
        (np.diag([3, 3, np.inf]), [[0, 0, 0]], [4], "lattice vectors"),
        (np.diag([3, 3, np.nan]), [[0, 0, 0]], [4], "lattice vectors"),
        (np.diag([3.0, 3.0, 0.0]), [[0, 0, 0]], [4], "linearly independent"),
        (np.eye(3) * 1.1, np.random.default_rng(0).random((20, 3)), [4] * 20, "units"),
        (np.eye(3) * 3, [[0, 0, 1e300]], [4], "beyond"),
        (np.eye(3) * 3, [[0, 0, np.nan]], [4], "not finite"),
        (np.eye(3) * 3, [[0, 0, 0]], [0], "atomic number 0"),
        (np.eye(3) * 3, [[0, 0, 0]], [119], "atomic number 119"),
    ],
)
def test_cells_and_atoms_that_cannot_be(cell: np.ndarray, positions: object, numbers: list[int], words: str) -> None:
    with pytest.raises(AtomsError, match=words):
        check_atoms(Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True))


def test_unusual_cells_that_can_be_pass() -> None:
    check_atoms(Atoms("H", cell=[1.0, 1.0, 1.1], pbc=True))  # dense hydrogen
    check_atoms(Atoms("Be", [[5e5, 0, 0]], cell=[3, 3, 3], pbc=True))  # drifted, unwrapped
    check_atoms(Atoms("Be2", [[0, 0, 0], [0, 0, 2]], cell=[3, 3, 5e4], pbc=True))  # a wire


def test_what_is_not_atoms_is_refused() -> None:
    with pytest.raises(AtomsError, match="a str"):
        check_atoms("be.xyz")  # type: ignore[arg-type]
    with pytest.raises(AtomsError, match="no atoms"):
        check_atoms(Atoms(cell=[1, 1, 1], pbc=True))


class Structure(list[object]):
    """What pymatgen's looks like from here: a sequence of sites that gives ASE's atoms, of a class of its own."""

    class Own(Atoms):
        """As pymatgen's MSONAtoms."""

    def to_ase_atoms(self) -> Atoms:
        if "disordered" in self:
            raise ValueError("ASE Atoms only supports ordered structures")
        return self.Own(be_atoms())


def test_what_gives_atoms_is_taken_for_them_wherever_atoms_are() -> None:
    given, atoms = Structure(["Be", "Be"]), be_atoms()
    assert type(ase_atoms(given)) is Atoms and ase_atoms(given) == atoms
    xr.testing.assert_identical(maladist.structure(given), maladist.structure(atoms))
    xr.testing.assert_identical(maladist.structure([given, atoms]), maladist.structure([atoms, atoms]))
    spec = maladist.BispectrumSpec(twojmax=2, cutoff=3.0)
    described = [maladist.describe(one, spec, (6, 6, 9), precision="float64") for one in (given, atoms)]
    xr.testing.assert_identical(*described)
    assert ase_atoms(atoms) is atoms


def test_what_gives_no_atoms_is_refused() -> None:
    with pytest.raises(AtomsError, match="filled by one atom"):
        ase_atoms(Structure(["disordered"]))
    with pytest.raises(AtomsError, match="Structure of pymatgen"):
        ase_atoms("be.cif")  # type: ignore[arg-type]


def test_a_structure_of_pymatgen_is_such() -> None:
    core = pytest.importorskip("pymatgen.core")
    lattice = core.Lattice(be_atoms().cell.array)
    given = core.Structure(lattice, ["Be", "Be"], be_atoms().positions, coords_are_cartesian=True)
    found = ase_atoms(given)
    assert found.symbols.get_chemical_formula() == "Be2" and all(found.pbc)
    np.testing.assert_allclose(found.cell.array, be_atoms().cell.array)
    with pytest.raises(AtomsError, match="filled by one atom"):
        ase_atoms(core.Structure(lattice, [{"Be": 0.5, "Al": 0.5}], [[0, 0, 0]]))
