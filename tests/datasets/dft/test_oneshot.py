"""One step of pw.x at a given density: the terms of Harris and Foulkes, and densities that do not belong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from distributed import Client

from maladist.datasets.dft.dft import dft
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.oneshot import OneShot, oneshot
from maladist.energy_grid import EnergyGrid
from maladist.errors import InputError
from maladist.io import stores
from maladist.io.datasets import read_reference, reference_terms, snapshot_path
from maladist.io.opening import open_dataset
from maladist.physics.energies import Energies


@pytest.fixture
def found() -> OneShot:
    """A step of two atoms, one level above a store's."""
    step = Energies(2, 2.0, -0.5, 1.0, -3.0, -4.0, -5.0)
    stored = Energies(2, 1.5, -0.5, 1.0, -3.0, -4.0, -5.0)
    energies = EnergyGrid(-1.0, 0.5, 5, "gaussian", 0.5)
    dos = np.arange(5.0)
    return OneShot(step, 0.25, np.array([[0.0, 1.0]]), np.array([2.0]), stored, 0.125, energies, dos, 2 * dos)


def test_the_table_tells_by_how_much_the_store_is_off(found: OneShot) -> None:
    rows = {line[:26].strip(): line[26:].split() for line in str(found).splitlines()}
    assert rows["band energy"] == ["1.500000", "2.000000", "-250.000"]
    assert rows["total free energy"][2] == "-250.000" and rows["fermi energy"] == [
        "0.125000",
        "0.250000",
        "-125.000",
        "meV",
    ]
    values = found.to_dict()
    assert values["total_free_energy_eV"] == found.energies.total and values["eigenvalues_eV"] == [[0.0, 1.0]]
    assert values["stored_dos"] == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_a_density_of_another_temperature_or_pseudopotential_is_refused(
    small_data_set: Path, setup: Espresso, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = small_data_set / "snapshots" / "train-0"
    with pytest.raises(InputError, match="temperature: 2000 K in the settings; wanted 1000 K"):
        oneshot(snapshot, setup.model_copy(update={"temperature": 2000}))
    other = {"Be": {"file": "Be.other.UPF", "sha256": "0" * 64}}
    attributes = {**open_dataset(snapshot).attrs, "pseudopotentials": other}
    monkeypatch.setattr(
        "maladist.datasets.dft.oneshot.open_dataset",
        lambda path, **_: open_dataset(path).assign_attrs(attributes),
    )
    with pytest.raises(InputError, match=r"another file for Be than Be\.other\.UPF"):
        oneshot(snapshot, setup)


@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="no pw.x on this machine")
def test_the_energy_of_one_step_has_an_error_of_second_order_in_the_density(
    be2: Atoms, setup: Espresso, tmp_path: Path, client: Client
) -> None:
    """At the density of an scf the step gives its energies; at one that is off by x, A is off by c x²."""
    (done,) = dft([be2], setup.model_copy(update={"pulay": False}), tmp_path / "d.zarr", names=["a"], client=client)
    assert done.reason == ""
    group = snapshot_path(tmp_path / "d.zarr", "a")
    terms, density = reference_terms(read_reference(group)), open_dataset(group).density.values
    exact = oneshot(group, setup)
    # pw.x' terms and ours agree to 0.1 meV an atom (energies.md); levels of one density, to what they were converged.
    assert exact.energies.total == pytest.approx(terms["total_free_energy_eV"], abs=2e-4)
    assert exact.energies.band == pytest.approx(terms["band_energy_eV"], abs=1e-4)
    assert exact.fermi_energy == pytest.approx(terms["fermi_energy_eV"], abs=1e-4)
    assert exact.dos is not None and exact.stored_dos is not None
    assert np.abs(exact.dos - exact.stored_dos).max() < 1e-4 * exact.dos.max()
    wave = np.cos(2 * np.pi * np.arange(density.shape[2]) / density.shape[2])
    errors = []
    for x in (0.02, 0.04):
        stores.write_region(group, "density", (), density + x * density.mean() * wave)
        stores.seal(group)
        step = oneshot(group, setup).energies
        assert step.total is not None and exact.energies.total is not None
        errors.append(step.total - exact.energies.total)
    assert errors[1] / errors[0] == pytest.approx(4.0, rel=0.02)
