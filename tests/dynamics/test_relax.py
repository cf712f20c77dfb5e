"""Relaxations reach the minimum, with and without the cell, in one call or in several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.io import read
from distributed import Client

import maladist
from maladist import RelaxSettings
from maladist.dynamics.folder import TRAJECTORY, read_table
from maladist.dynamics.relax import RELAXED, minimise
from maladist.errors import InputError, StoreError
from maladist.testing import Listener, be_atoms, tiny_model
from tests.dynamics.wells import Wells, crystal

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


def shaken() -> Atoms:
    atoms = crystal()
    atoms.rattle(0.2, seed=1)
    return atoms


@pytest.mark.parametrize("optimizer", ["bfgs", "fire"])
def test_atoms_go_back_to_their_wells(optimizer: str, tmp_path: Path) -> None:
    settings = RelaxSettings(optimizer=optimizer, fmax=1e-4)  # type: ignore[arg-type]
    relaxed = minimise(shaken(), Wells(), tmp_path / "a", settings)
    np.testing.assert_allclose(relaxed.atoms.positions, crystal().positions, atol=1e-4)
    assert relaxed.step.total_free_energy_eV == pytest.approx(-24, abs=1e-6)
    found = read(tmp_path / "a" / RELAXED)
    np.testing.assert_allclose(found.positions, relaxed.atoms.positions, atol=1e-7)
    assert found.get_potential_energy() == pytest.approx(-24, abs=1e-6)
    assert relaxed.to_dict()["step"] == relaxed.step.step == read_table(tmp_path / "a")[-1].step


def test_too_few_steps_are_told_and_more_go_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fmax: a largest force of .* at step 2") as error:
        minimise(shaken(), Wells(), tmp_path / "a", RelaxSettings(steps=2, fmax=1e-4))
    assert "frames kept: 3" in error.value.__notes__[0] and not (tmp_path / "a" / RELAXED).exists()
    observer = Listener()
    done = minimise(shaken(), Wells(), tmp_path / "a", RelaxSettings(fmax=1e-4), observer=observer)
    assert observer.stages == [("relaxation steps", 200, 2)] and observer.tasks[0].step == 3
    assert len(read(tmp_path / "a" / TRAJECTORY, ":")) == done.step.step + 1
    # Once more: there is nothing left to do.
    again = minimise(shaken(), Wells(), tmp_path / "a", RelaxSettings(fmax=1e-4))
    assert again.step == done.step
    with pytest.raises(StoreError, match="cell"):
        minimise(shaken(), Wells(), tmp_path / "a", RelaxSettings(cell="free"))


@pytest.mark.parametrize("cell", ["hydrostatic", "free"])
def test_a_cell_that_moves_finds_the_pressure(cell: str, tmp_path: Path) -> None:
    aluminium = bulk("Al", cubic=True)
    aluminium.set_cell(aluminium.cell @ np.diag([1.03, 1.0, 1.0 if cell == "free" else 1.03]), scale_atoms=True)
    settings = RelaxSettings(cell=cell, pressure=3.0, fmax=1e-3)  # type: ignore[arg-type]
    relaxed = minimise(aluminium, EMT(), tmp_path / "a", settings)
    lengths = relaxed.atoms.cell.lengths()
    assert relaxed.step.pressure_GPa == pytest.approx(3, abs=0.05)
    # All strains make it cubic again; the volume alone keeps the shape that it had.
    assert lengths[0] / lengths[1] == pytest.approx(1 if cell == "free" else 1.03, abs=1e-3)


def test_fixed_atoms_stay(tmp_path: Path) -> None:
    atoms = shaken()
    atoms.set_constraint(FixAtoms([2]))
    relaxed = minimise(atoms, Wells(), tmp_path / "a", RelaxSettings(fmax=1e-3))
    np.testing.assert_array_equal(relaxed.atoms.positions[2], atoms.positions[2])
    assert relaxed.step.largest_force_eV_per_A < 1e-3


def test_a_model_lowers_its_energy(client: Client, tmp_path: Path) -> None:
    observer = Listener()
    settings = RelaxSettings(steps=2, fmax=1e-3)
    with pytest.raises(InputError, match="at step 2"):
        maladist.relax(
            be_atoms(), tiny_model(), tmp_path / "a", settings, client=client, observer=observer, grid=(10, 10, 14)
        )
    steps = read_table(tmp_path / "a")
    assert steps[-1].total_free_energy_eV < steps[0].total_free_energy_eV
    assert [task.step for task in observer.tasks] == [0, 1, 2] and steps[-1].fermi_energy_eV is not None
