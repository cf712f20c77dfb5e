"""u(r) and the explicit terms: by slabs of any thickness what they are in one task, and that is what physics gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from distributed import Client

from maladist.io import stores
from maladist.io.ownership import Claim
from maladist.io.stores import ArrayTemplate
from maladist.physics.forces import explicit_terms
from maladist.physics.system import System
from maladist.prediction.fields import Slabs
from maladist.prediction.potential import Fields, by_slabs, u_whole
from maladist.prediction.record import POTENTIAL
from tests.prediction.common import GRID, make_store, make_system


def in_one(store: Claim, system: System) -> Fields:
    stores.add_arrays(store, {POTENTIAL: ArrayTemplate(GRID, GRID, ("x", "y", "z"))})
    return u_whole(store, system)


def system_at(atoms: Atoms, xc: str, core: bool, t0: float) -> System:
    return replace(make_system(atoms, xc, core), reference_temperature=t0)


def test_in_one_task_they_are_those_of_the_density_of_the_double_counting(atoms: Atoms, tmp_path: Path) -> None:
    """Of two densities in the store that at T₀ counts, which is here the second one."""
    system = system_at(atoms, "pbe", True, 1000.0)
    store = make_store(tmp_path / "n.zarr", system)
    found, density = in_one(store, system), torch.from_numpy(stores.read_region(store, "density")[1])
    wanted = explicit_terms(density, system)
    np.testing.assert_array_equal(stores.read_region(store, POTENTIAL), wanted.u.numpy())
    assert set(found.terms) == {"double_counting", "core", "ewald"}
    assert found.overlap == pytest.approx(float((wanted.u * density).sum()) * system.grid.voxel_volume, rel=1e-12)


@pytest.mark.parametrize(("xc", "core"), [("pbe", True), ("pbe", False), ("pw92", True)])
@pytest.mark.parametrize("planes", [4, 99])
def test_slabs_of_any_thickness_give_what_one_task_gives(
    xc: str, core: bool, planes: int, atoms: Atoms, client: Client, tmp_path: Path
) -> None:
    system = system_at(atoms, xc, core, 300.0)
    one, many = (make_store(tmp_path / f"{name}.zarr", system) for name in ("one", "many"))
    for store in (one, many):
        # Ripples of the core charge would take ρ through zero, where v_xc has a cusp and roundings grow.
        stores.open_array(store, "density")[...] += 3.0
    whole = in_one(one, system)
    # Room for so many planes of x of the sources, with their 50 numbers a point; those of y are a little larger.
    slabs = Slabs(client, f"{tmp_path}", many, system, 8 * 50 * planes * GRID[1] * GRID[2])
    assert len(slabs.ranges(0, system.grid, 50)) == -(-GRID[0] // min(planes, GRID[0]))
    slabs.density_terms()
    found = by_slabs(slabs, (5, 7))
    # The same sums in other pieces: some 1e-15 of terms of tens of eV.
    u = stores.read_region(one, POTENTIAL)
    np.testing.assert_allclose(stores.read_region(many, POTENTIAL), u, rtol=0, atol=1e-12 * np.abs(u).max())
    assert stores.open_array(many, POTENTIAL, "r").chunks[1:] == (5, 7)  # the blocks read it
    assert found.overlap == pytest.approx(whole.overlap, rel=1e-11)
    assert set(found.terms) == set(whole.terms) == {"double_counting", "ewald", *(["core"] if core else [])}
    for name, term in whole.terms.items():
        np.testing.assert_allclose(found.terms[name].by_position, term.by_position, rtol=0, atol=1e-10, err_msg=name)
        np.testing.assert_allclose(found.terms[name].by_strain, term.by_strain, rtol=0, atol=1e-10, err_msg=name)
