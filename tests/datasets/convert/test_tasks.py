"""What a worker does of a conversion, by itself: levels and blocks at their places, sums in float64, no NaN let in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from maladist import BispectrumSpec
from maladist.arrays import AnyArray
from maladist.datasets.convert.tasks import (
    Level,
    assemble_block,
    compute_descriptors,
    read_descriptors,
    stage_level,
    store_density,
)
from maladist.descriptors.dispatch import evaluate
from maladist.errors import DataFileError
from maladist.io import stores
from maladist.io.fields import cube
from maladist.io.ownership import Claim
from maladist.io.stores import ArrayTemplate, field_template
from maladist.neighbors import CellList
from maladist.units import LDOS_QE
from tests.datasets.convert.conftest import GRID, write_text

BLOCKS = GRID.blocks((4, 5, 3))
LEVELS = 4


@pytest.fixture
def store(tmp_path: Path) -> Claim:
    shape = BLOCKS.block_shape
    arrays = {
        "ldos": field_template("ldos", (*GRID.shape, LEVELS), (*shape, LEVELS)),
        "density": field_template("density", GRID.shape, shape),
        "descriptors": field_template("descriptors", (*GRID.shape, 5), (*shape, 5)),
        "work/levels": ArrayTemplate((LEVELS, *GRID.shape), (1, *shape), ("energy", "x", "y", "z"), "float32"),
    }
    return stores.create(tmp_path / "a.zarr", arrays, {})


def whole(store: Claim, name: str) -> AnyArray:
    return stores.read_region(store, name)


@pytest.mark.parametrize("kind", ["cube", "xsf"])  # whose slow axes are the first and the last
def test_levels_are_staged_at_their_places_and_put_together_by_block(
    kind: str, store: Claim, tmp_path: Path, crystal: Atoms, ldos: np.ndarray
) -> None:
    for i, path in enumerate(write_text(tmp_path, crystal, ldos, kind)):
        assert stage_level(Level(str(path), i), store, BLOCKS.block_shape, LDOS_QE) == i
    sums = [assemble_block(block, store, "", 1.0) for block in BLOCKS]
    # Text has six digits.
    np.testing.assert_allclose(whole(store, "ldos"), ldos, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sum(sums), ldos.sum((0, 1, 2)), rtol=1e-5)


def test_a_level_that_never_came_is_told_by_the_block_and_nothing_of_it_is_stored(store: Claim) -> None:
    staged = stores.open_array(store, "work/levels")
    staged[: LEVELS - 1] = 1.0
    block = BLOCKS[1]
    with pytest.raises(DataFileError, match="not finite in block 1"):
        assemble_block(block, store, "", 1.0)
    assert np.isnan(whole(store, "ldos")).all()


def test_sums_of_a_block_are_those_of_float64(tmp_path: Path) -> None:
    """In float32 a hundred thousand points would be off by 1e-4, which is tenths of an electron of a large cell."""
    grid = type(GRID)(GRID.cell, (40, 50, 50))
    (block,) = grid.blocks(grid.shape)
    values = np.full((*grid.shape, 2), 0.1, np.float32)
    np.save(tmp_path / "ldos.npy", values)
    store = stores.create(tmp_path / "a.zarr", {"ldos": field_template("ldos", values.shape, values.shape)}, {})
    total = assemble_block(block, store, str(tmp_path / "ldos.npy"), 1.0)
    np.testing.assert_allclose(total, grid.n_points * float(np.float32(0.1)), rtol=1e-12)


@pytest.mark.parametrize("form", ["cube", "npy"])
def test_a_density_is_stored_whole_in_its_unit_and_its_sum_is_what_is_stored(
    form: str, store: Claim, tmp_path: Path, crystal: Atoms
) -> None:
    density = np.random.default_rng(2).random(GRID.shape)
    path = tmp_path / f"n.{form}"
    if form == "npy":
        np.save(path, density[..., None])  # as MALA has it
    else:
        with path.open("w") as stream:
            cube.write_header(stream, crystal, GRID, "density")
            cube.write_slab(stream, density)
            cube.write_end(stream)
    total = store_density(str(path), store, BLOCKS, 0.5)
    np.testing.assert_allclose(whole(store, "density"), 0.5 * density, rtol=1e-5)
    assert total == pytest.approx(float(whole(store, "density").sum()), rel=1e-6)


def test_positions_in_a_file_of_descriptors_are_left_out(store: Claim, tmp_path: Path) -> None:
    values = np.random.default_rng(3).random((*GRID.shape, 3 + 5)).astype(np.float32)
    np.save(tmp_path / "b.npy", values)
    assert [read_descriptors(b, str(tmp_path / "b.npy"), store, 3) for b in BLOCKS] == list(range(len(BLOCKS)))
    np.testing.assert_array_equal(whole(store, "descriptors"), values[..., 3:])


def test_descriptors_by_blocks_are_those_of_the_whole_grid(store: Claim, crystal: Atoms) -> None:
    spec = BispectrumSpec(twojmax=2, cutoff=3.0)
    cells = CellList(GRID.cell_array, crystal.positions, crystal.numbers.astype(np.int16), spec.cutoff)
    for block in BLOCKS:
        compute_descriptors(block, GRID, cells.near_block(GRID, block), spec, store)
    (everything,) = GRID.blocks(GRID.shape)
    atoms = cells.near_block(GRID, everything)
    wanted = evaluate(GRID.points(everything), atoms, spec, dtype=torch.float64).numpy()
    np.testing.assert_allclose(whole(store, "descriptors").reshape(-1, 5), wanted, rtol=1e-4, atol=1e-4)
