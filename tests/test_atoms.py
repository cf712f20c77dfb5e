"""Atoms that no prediction can be made of are refused, unusual ones that can be are not."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from maladist.atoms import check_atoms
from maladist.errors import AtomsError


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
