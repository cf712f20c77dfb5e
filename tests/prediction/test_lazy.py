"""Lazy descriptors and LDOS: right, and no more is computed than is looked at."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import torch
from ase import Atoms

import maladist
from maladist import LDOSModel
from maladist.descriptors import BispectrumSpec, evaluate
from maladist.errors import AccuracyWarning, GridError, StoreError
from maladist.grid import Grid
from maladist.neighbors import CellList
from maladist.prediction import lazy
from maladist.testing import be_atoms
from tests.conftest import same

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


def _raise(*_: object, **__: object) -> None:
    raise AssertionError("something was computed")


def test_asking_for_an_ldos_computes_nothing(atoms: Atoms, model: LDOSModel) -> None:
    with dask.config.set(scheduler=_raise):
        field = maladist.ldos(atoms, model, chunks=(5, 4, 7))
        assert field.sizes["energy"] == model.energy_grid.levels
    assert field.attrs["broadening_kernel"] == "gaussian"


@pytest.mark.parametrize(
    ("selection", "blocks"),
    [({"z": 0}, 3 * 4), ({"x": 3, "y": 2, "z": 5}, 1), ({"x": slice(0, 5)}, 4 * 3), ({"energy": 7}, 3 * 4 * 3)],
)
def test_a_slice_computes_only_the_blocks_that_it_touches(
    selection: dict[str, object], blocks: int, atoms: Atoms, model: LDOSModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []
    real = lazy._ldos_block

    def counting(grid, block, *rest):  # type: ignore[no-untyped-def]
        computed.append(block.index)
        return real(grid, block, *rest)

    monkeypatch.setattr(lazy, "_ldos_block", counting)
    field = maladist.ldos(atoms, model, grid=(14, 14, 20), chunks=(5, 4, 7))
    with dask.config.set(scheduler="sync"):
        field.isel(selection).compute()
    assert len(computed) == len(set(computed)) == blocks


def test_values_are_those_of_the_kernel_and_the_network(atoms: Atoms, model: LDOSModel) -> None:
    grid = Grid(atoms.cell.array.tolist(), (8, 7, 9))
    spec = model.descriptor
    seen = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), spec.cutoff).near_block(
        grid, grid.whole
    )
    expected = evaluate(grid.points(), seen, spec, backend="torch", dtype=torch.float64)
    with dask.config.set(scheduler="sync"):
        features = maladist.describe(atoms, spec, grid, chunks=(3, 7, 4), precision="float64")
        assert features.chunks is not None and len(features.chunks[0]) == 3
        assert same(features.values.reshape(-1, spec.n_features), expected, 1e-10)
        field = maladist.ldos(atoms, model, grid=grid, chunks=(3, 7, 4), precision="float64")
        levels = model.energy_grid.levels
        assert same(field.values.reshape(-1, levels), model.to("cpu", torch.float64).ldos(expected), 1e-9)


def test_elements_that_look_alike_are_told_of(atoms: Atoms) -> None:
    other, spec = atoms.copy(), BispectrumSpec(twojmax=2, cutoff=3.0)
    other.symbols[0] = "Al"
    grid = Grid(atoms.cell.array.tolist(), (4, 4, 4))
    with pytest.warns(AccuracyWarning, match="does not tell Al, Be apart.*for_elements"):
        maladist.describe(other, spec, grid)
    maladist.describe(other, spec.for_elements(["Al", "Be"]), grid)
    maladist.describe(atoms, spec, grid)


def test_chunks_that_are_no_block_are_refused(atoms: Atoms, model: LDOSModel) -> None:
    for chunks in ((0, 1, 1), (2, 2), "many"):
        with pytest.raises(GridError, match="chunks"):
            maladist.ldos(atoms, model, chunks=chunks)  # type: ignore[arg-type]


def test_a_slice_is_not_taken_for_the_whole_cell(atoms: Atoms, model: LDOSModel) -> None:
    part = maladist.ldos(atoms, model, grid=(14, 14, 20)).isel(x=slice(0, 8))
    with pytest.raises(StoreError, match="a part of its grid"):
        maladist.observe(part, atoms, temperature=300.0)


def test_descriptors_take_the_numbers_of_points_for_a_grid() -> None:
    atoms, spec = be_atoms(), BispectrumSpec(twojmax=2, cutoff=3.0)
    whole = Grid(atoms.cell.array.tolist(), (5, 6, 7))
    np.testing.assert_array_equal(maladist.describe(atoms, spec, (5, 6, 7)), maladist.describe(atoms, spec, whole))
    with pytest.raises(GridError, match="another cell"):
        maladist.describe(atoms, spec, Grid([[3, 0, 0], [0, 3, 0], [0, 0, 3]], (5, 6, 7)))
    with pytest.raises(GridError):
        maladist.describe(atoms, spec, (5, 6))
