"""Slabs with a Coulomb interaction cut off along c, from the model to the store and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel, metadata
from maladist.calculator import Maladist
from maladist.errors import InputError, ModelError, PhysicsError
from maladist.io.model_file import load_model, save_model
from maladist.io.opening import open_dataset
from maladist.physics.ewald import ewald_energy
from maladist.physics.forces import explicit_terms
from maladist.physics.hartree import hartree_energy
from maladist.prediction.fields import Slabs, reference_density_of, terms_of_store
from maladist.prediction.potential import by_slabs
from maladist.prediction.setup import setup
from maladist.testing import tiny_model
from tests.prediction.common import make_store, make_system

CELL = [[2.3, 0.05, 0.0], [-1.1, 2.0, 0.0], [0.0, 0.0, 13.0]]
GRID = (8, 8, 40)


@pytest.fixture
def slab() -> Atoms:
    """Two layers of Be about the edge of the cell."""
    return Atoms("Be2", [[0.1, 0.2, 12.6], [1.0, 1.1, 1.2]], cell=CELL, pbc=True)


@pytest.fixture(scope="module")
def flat() -> LDOSModel:
    """A model of slabs."""
    return replace(tiny_model(), assume_isolated="2D")


def test_a_model_of_slabs_gives_their_energies_and_its_store_those_again(
    slab: Atoms, flat: LDOSModel, tmp_path: Path, client: Client
) -> None:
    flat = load_model(save_model(flat, tmp_path / "m.maladist"))
    found = maladist.predict(slab, flat, grid=GRID, keep="ldos", precision="float64", store=tmp_path / "p.zarr")
    assert found.dataset.attrs["assume_isolated"] == "2D"
    n = torch.from_numpy(found.density.values.copy())
    grid = setup(slab, flat, grid=GRID).system.grid
    ions = ewald_energy(torch.from_numpy(slab.positions), torch.full((2,), 2.0).double(), CELL, "2D")
    assert found.energies.hartree == pytest.approx(float(hartree_energy(n, grid, "2D")), rel=1e-12)
    assert found.energies.ewald == pytest.approx(float(ions), abs=1e-9)
    observed = maladist.observe(tmp_path / "p.zarr", client=client, pseudopotentials=flat.elements)
    # The LDOS is kept in float32.
    assert observed.energies.total == pytest.approx(found.energies.total, abs=1e-4)
    assert observed.dataset.attrs["assume_isolated"] == "2D"
    of_crystals = maladist.predict(slab, replace(flat, assume_isolated=None), grid=GRID, precision="float64")
    assert "assume_isolated" not in of_crystals.dataset.attrs
    assert abs(of_crystals.energies.ewald - found.energies.ewald) > 50  # type: ignore[operator]


@pytest.mark.slow
def test_forces_are_the_slopes_of_the_energy(slab: Atoms, flat: LDOSModel) -> None:
    def total(shift: float) -> float:
        moved = slab.copy()
        moved.positions += shift * direction
        found = maladist.predict(moved, flat, grid=GRID, precision="float64")
        assert found.energies.total is not None
        return found.energies.total

    direction = np.random.default_rng(2).normal(size=(2, 3))
    forces = maladist.predict(slab, flat, grid=GRID, precision="float64", forces=True).forces
    h = 4e-4  # Å: the bispectrum's switch is smooth to the first derivative only
    slope = (total(h) - total(-h)) / (2 * h)
    assert -float((forces * direction).sum()) == pytest.approx(slope, rel=1e-5)


@pytest.mark.slow
def test_slabs_of_the_grid_give_what_one_task_gives(slab: Atoms, client: Client, tmp_path: Path) -> None:
    made = make_system(slab, "pbe", core=True)
    system = replace(made, assume_isolated="2D", reference_temperature=300.0, density_cutoff=60.0)
    path = make_store(tmp_path / "a.zarr", system)
    one, many = (
        terms_of_store(client, path, system, distributed=d, room=room, run_key=f"{d}{tmp_path}")
        for d, room in ((False, 2**40), (True, 200_000))
    )
    assert one.hartree == pytest.approx(many.hartree, rel=1e-11)
    assert one.ewald == pytest.approx(many.ewald, abs=1e-9)
    found = by_slabs(Slabs(client, f"p{tmp_path}", path, system, 400_000), (14, 18))
    whole = explicit_terms(reference_density_of(path, system), system)
    for name, term in whole.terms.items():
        np.testing.assert_allclose(found.terms[name].by_position, term.by_position, atol=1e-9, err_msg=name)
    voxel = system.grid.voxel_volume
    assert found.overlap == pytest.approx(float((whole.u * reference_density_of(path, system)).sum()) * voxel, rel=1e-9)


def test_stress_a_zero_of_energy_and_cells_that_do_not_fit_are_refused(slab: Atoms, flat: LDOSModel) -> None:
    with pytest.raises(PhysicsError, match=r"stress.*assume_isolated = '2D'"):
        setup(slab, flat, grid=GRID, stress=True)
    thick = slab.copy()
    thick.positions[1, 2] = 4.0
    with pytest.raises(PhysicsError, match="Take more vacuum"):
        setup(thick, flat, grid=GRID)
    with pytest.raises(ModelError, match=r"energy_zero.*'2D'"):
        replace(flat, energy_zero={"Be": 30.0})
    with pytest.raises(ModelError, match="another assume_isolated"):
        LDOSModel.mean_of([flat, tiny_model(seed=1)])
    with pytest.raises(ModelError, match="assume_isolated"):
        replace(flat, assume_isolated="esm")  # type: ignore[arg-type]


def test_ase_gets_forces_and_is_refused_the_stress(slab: Atoms, flat: LDOSModel) -> None:
    with Maladist(flat, grid=GRID) as calculator:
        slab.calc = calculator
        assert np.isfinite(slab.get_forces()).all()
        assert "stress" not in calculator.results
        with pytest.raises(InputError, match="stress"):
            slab.get_stress()


def test_a_field_taken_from_a_slab_s_store_keeps_its_cut_off(slab: Atoms, flat: LDOSModel, tmp_path: Path) -> None:
    maladist.predict(slab, flat, grid=GRID, keep="ldos", store=tmp_path / "p.zarr")
    stored = open_dataset(tmp_path / "p.zarr")
    for name in ("ldos", "density"):
        assert stored[name].attrs["assume_isolated"] == "2D"
    # Of a DataArray nothing but its attributes tells.
    assert metadata.read_system(
        stored["ldos"].to_dataset().assign_attrs(stored["ldos"].attrs), {}, slab
    ).assume_isolated
