"""A cell of two atoms, and a setup for it that Quantum ESPRESSO takes seconds for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ase import Atoms

from maladist.datasets.dft.espresso import Espresso


@pytest.fixture
def be2() -> Atoms:
    return Atoms(
        "Be2", [[0.02, 0.03, -0.01], [0.01, 1.3, 1.8]], cell=[[2.26, 0, 0], [-1.13, 1.957, 0], [0, 0, 3.57]], pbc=True
    )


@pytest.fixture
def setup(own_data: Path) -> Espresso:
    energies = {"origin": -6.0, "spacing": 0.5, "levels": 39}
    files = str(own_data / "pseudopotentials")
    return Espresso(
        temperature=1000, pseudopotentials=files, ecutwfc=18, kpoints=(2, 2, 1), energies=energies, broadening=0.5
    )


@pytest.fixture
def values(own_data: Path) -> dict[str, Any]:
    """Settings that a test changes some of."""
    return {
        "temperature": 1000,
        "pseudopotentials": str(own_data / "pseudopotentials"),
        "ecutwfc": 18,
        "kpoints": {2: [2, 2, 1], 4: [1, 2, 1]},
        "energies": {"origin": -6.0, "spacing": 0.5, "levels": 39},
        "broadening": 0.5,
    }
