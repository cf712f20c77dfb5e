"""The MALA project's Be2 test data and model, through the whole engine: the figures that MALA makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from distributed import Client

import maladist
from maladist.io.qe.upf import read_pseudopotentials

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


# Energies as the issue tracker asks for them; float32 adds the rounding of descriptors, 6e-6 of a column's maximum.
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("snapshot", [0, 1])
def test_predictions_of_an_imported_model_are_those_of_mala(
    snapshot: int, precision: str, client: Client, shared_data: Path
) -> None:
    folder = shared_data / "be2"
    known = json.loads((folder / "reference.json").read_text())[f"snapshot{snapshot}"]["predicted_by_Be_model"]
    atoms = ase.io.read(folder / f"Be_snapshot{snapshot}.out")
    result = maladist.predict(
        atoms, folder / "Be_model.zip", client=client, broadening_correction="off", precision=precision, keep=("ldos",)
    )
    found = result.to_dict()
    assert found["grid"] == [18, 18, 27]
    assert found["fermi_energy_eV"] == pytest.approx(known["fermi_energy_eV"], abs=1e-5)
    assert found["band_energy_eV"] == pytest.approx(known["band_energy_eV"], abs=1e-4)
    assert found["entropy_contribution_eV"] == pytest.approx(known["entropy_contribution_eV"], abs=1e-4)
    assert found["n_electrons"] == pytest.approx(known["n_electrons"], abs=1e-9)
    np.testing.assert_allclose(result.dos, known["dos_per_eV"], atol=1e-6)
    assert float(result.density.min()) == pytest.approx(known["density_min"], abs=1e-5)
    assert float(result.density.max()) == pytest.approx(known["density_max"], abs=1e-5)
    assert float(result.dataset["ldos"].sum(dtype=float)) == pytest.approx(known["ldos_sum"], rel=1e-6)
    # No pseudopotential in the zip: what needs its core charge is not there, the rest is.
    assert found["xc_eV"] is found["total_free_energy_eV"] is None
    assert found["ewald_eV"] is not None and found["hartree_eV"] is not None


def test_pseudopotentials_complete_the_energies(client: Client, shared_data: Path) -> None:
    folder = shared_data / "be2"
    atoms = ase.io.read(folder / "Be_snapshot0.out")
    elements = read_pseudopotentials(folder)
    result = maladist.predict(atoms, folder / "Be_model.zip", client=client, pseudopotentials=elements)
    # Of the DFT run with the same atoms, but for the network's and the coarse energy grid's errors in n: 0.1 eV/atom.
    assert result.energies.ewald == pytest.approx(-83.5168194486182, abs=1e-4)
    assert result.energies.xc == pytest.approx(-44.824968436426765, abs=0.2)
    assert result.energies.total is not None


def test_128_atoms_give_an_atom_what_2_give(client: Client, shared_data: Path) -> None:
    folder = shared_data / "be2"
    atoms = ase.io.read(folder / "Be_snapshot0.out")
    elements = read_pseudopotentials(folder)
    model = maladist.load_model(folder / "Be_model.zip", elements)
    small = maladist.predict(atoms, model, client=client)
    large = maladist.predict(atoms * (4, 4, 4), model, client=client)
    assert large.grid.shape == (72, 72, 108)
    for (name, a), (_, b) in zip(large.energies.per_atom(), small.energies.per_atom(), strict=True):
        assert a is not None and b is not None
        assert a == pytest.approx(b, abs=1e-6), name
    seconds = large.to_dict()["seconds"]
    print(f"128 atoms: {seconds['wall']:.1f} s, worker seconds {seconds}")
