"""A pass of its own over the blocks, given a field at every point: computed once, and continued where it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from maladist.grid import Block
from maladist.io import stores
from maladist.io.stores import ArrayTemplate
from maladist.neighbors import LocalAtoms
from maladist.parallel import waves
from maladist.parallel.progress import Silent
from maladist.parallel.workers import Workers
from maladist.prediction.block import Report
from maladist.prediction.passes import Pass, Run, run_pass
from maladist.prediction.plan import make_plan
from maladist.prediction.setup import setup
from maladist.testing import be_atoms, tiny_model

RECORD, FIELD, TWICE = "work/second", "field", "twice"


def double(block: Block, atoms: LocalAtoms, store: stores.Where) -> Report:
    """Twice the field in a block; its record tells how many atoms the block saw."""
    values = np.asarray(stores.open_array(store, FIELD, "r")[block.slices])
    stores.write_region(store, TWICE, block.slices, 2 * values)
    stores.write_region(store, RECORD, (slice(block.index, block.index + 1),), np.array([[float(len(atoms))]]))
    return Report(block.index, "here", 0.0, 0.0, 0)


@pytest.fixture
def run(client: Client, tmp_path: Path) -> Iterator[Run]:
    """A run of eight blocks whose store has a field at every point."""
    ready = setup(be_atoms(), tiny_model(), grid=(6, 6, 8))
    plan = make_plan(ready, Workers(2, 2, None, 1, False), chunks=(3, 3, 4))
    whole, block = ready.system.grid.shape, plan.block_shape
    fields = {name: ArrayTemplate(whole, block, ("x", "y", "z")) for name in (FIELD, TWICE)}
    record = ArrayTemplate((len(plan.blocks), 1), (1, 1), ("block", "entry"))
    with stores.create(tmp_path / "run.zarr", {**fields, RECORD: record}, {}) as claim:
        stores.open_array(claim, FIELD)[...] = np.arange(np.prod(whole), dtype=float).reshape(whole)
        model = waves.share(client, ready.blob, run_key="test")
        yield Run(ready, plan, claim, client, "test", 0, Silent(), model)


def the_pass(run: Run) -> Pass:
    cells, grid, store = run.setup.cell_list, run.plan.grid, run.path
    return Pass("second", double, lambda b: (cells.near_block(grid, b), store), RECORD, (TWICE,))


def test_a_pass_reaches_every_block_and_keeps_its_record(run: Run) -> None:
    reports = run_pass(run, the_pass(run), resumed=False)
    assert [r.block for r in reports] == list(range(8))
    field, twice = (stores.open_array(run.path, name, "r")[...] for name in (FIELD, TWICE))
    np.testing.assert_array_equal(twice, 2 * field)
    assert (stores.open_array(run.path, RECORD, "r")[...] > 0).all()


def test_a_resumed_pass_computes_what_its_record_does_not_have_or_cannot_be_read(run: Run) -> None:
    run_pass(run, the_pass(run), resumed=False)
    stores.open_array(run.path, RECORD)[2] = np.nan
    stores.write_region(run.path, TWICE, run.plan.blocks[5].slices, np.full((3, 3, 4), np.nan))
    notes: list[str] = []

    class Notes(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    again = replace(run, observer=Notes())
    assert [r.block for r in run_pass(again, the_pass(run), resumed=True)] == [2, 5]
    assert "1 blocks of the earlier run cannot be read" in notes[0]
    assert np.isfinite(stores.open_array(run.path, TWICE, "r")[...]).all()
