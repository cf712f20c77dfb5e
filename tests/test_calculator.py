"""The ASE calculator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError

import maladist
from maladist.calculator import Maladist
from maladist.elements import Element
from maladist.errors import InputError
from maladist.io.memory import Memory
from maladist.parallel.here import InProcess
from maladist.testing import be_atoms, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction", "ignore:no pseudopotential")


def test_the_calculator_gives_a_and_keeps_up_with_the_atoms() -> None:
    atoms, model = be_atoms(), tiny_model()
    with maladist.cluster({"kind": "local", "processes": False}, workers=1) as client:
        atoms.calc = Maladist(model, client=client)
        energy = atoms.get_potential_energy()
        expected = maladist.predict(atoms, model, client=client)
        assert energy == atoms.get_potential_energy(force_consistent=True) == pytest.approx(expected.energies.total)
        np.testing.assert_array_equal(atoms.calc.results["density"], expected.density.values)
        first = atoms.calc.prediction
        atoms.positions[0, 0] += 0.1
        assert atoms.get_potential_energy() != energy
        # No store is left behind for every step of an MD.
        assert first is not None and isinstance(first.store, Path) and not first.store.exists()
        forces, stress = atoms.get_forces(), atoms.get_stress()
        both = maladist.predict(atoms, model, client=client, forces=True, stress=True)
        # Not to the bit: the window of the Fermi level is the first step's, and float32 rounds other projections.
        np.testing.assert_allclose(forces, both.forces, rtol=0, atol=1e-4)
        np.testing.assert_allclose(stress, both.stress, rtol=0, atol=1e-4)
        assert client.status == "running"  # the caller's, which the calculator leaves open
        with pytest.raises(PropertyNotImplementedError, match="dipole"):
            atoms.get_dipole_moment()
        bare = Maladist(replace(model, elements={"Be": Element("Be", 2.0)}), client=client)
        with pytest.raises(InputError, match="no total free energy"):
            bare.get_potential_energy(atoms)


def test_forces_that_the_options_ask_for_come_with_the_energy_and_are_not_computed_again() -> None:
    atoms = be_atoms()
    with Maladist(tiny_model(), grid=(6, 6, 8), forces=True) as calculator:
        atoms.calc = calculator
        atoms.get_potential_energy()
        first = calculator.prediction
        forces = atoms.get_forces()
        assert calculator.prediction is first and first is not None
        np.testing.assert_array_equal(forces, first.forces)
        assert "stress" not in calculator.results


def test_a_calculator_of_its_own_computes_a_small_cell_in_this_process_and_lets_go_of_it() -> None:
    atoms = be_atoms()
    with Maladist(tiny_model(), grid=(6, 6, 8)) as calculator:
        atoms.calc = calculator
        first, threads = atoms.get_potential_energy(), calculator.client
        assert isinstance(threads, InProcess)
        atoms.positions[0, 0] += 0.1
        assert atoms.get_potential_energy() != first and calculator.client is threads
        assert calculator.prediction is not None and isinstance(calculator.prediction.store, Memory)
    assert calculator.client is None and calculator.prediction is None
    assert atoms.get_potential_energy() != first  # what it has computed it still tells


@pytest.mark.filterwarnings("always::UserWarning")
def test_a_calculator_warns_once_and_not_at_every_step(recwarn: pytest.WarningsRecorder) -> None:
    atoms = be_atoms()
    with Maladist(tiny_model(), grid=(6, 6, 8)) as calculator:
        atoms.calc = calculator
        for by in (0.0, 0.1, 0.1):
            atoms.positions[0, 0] += by
            atoms.get_potential_energy()
    said = [str(w.message).partition(":")[0] for w in recwarn]
    assert said and len(set(said)) == len(said)


def test_a_calculator_at_several_temperatures_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(InputError, match=r"temperature: \[300, 1000\] K; wanted one temperature"):
        Maladist(tiny_model(), temperature=[300, 1000])
