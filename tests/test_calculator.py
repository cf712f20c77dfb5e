"""The ASE calculator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError

import maladist
from maladist.calculator import Maladist
from maladist.elements import Element
from maladist.errors import InputError
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
        assert first is not None and not first.store.exists()  # no store is left behind for every step of an MD
        forces, stress = atoms.get_forces(), atoms.get_stress()
        both = maladist.predict(atoms, model, client=client, forces=True, stress=True)
        np.testing.assert_array_equal(forces, both.forces)
        np.testing.assert_array_equal(stress, both.stress)
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


def test_a_calculator_of_its_own_keeps_one_cluster_and_closes_it() -> None:
    atoms = be_atoms()
    with Maladist(tiny_model(), grid=(6, 6, 8)) as calculator:
        atoms.calc = calculator
        first, client = atoms.get_potential_energy(), calculator.client
        assert client is not None
        atoms.positions[0, 0] += 0.1
        assert atoms.get_potential_energy() != first and calculator.client is client
        store = calculator.prediction.store if calculator.prediction is not None else None
    assert client.status == "closed" and calculator.client is None
    assert store is not None and not store.exists()
