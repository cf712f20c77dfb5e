"""The store before its blocks: it holds what they write, no more, and a record that is worth nothing is gone first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maladist import LDOSModel
from maladist.arrays import Array
from maladist.errors import StoreError
from maladist.io import stores
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Domain
from maladist.prediction.novelty import NOVELTY
from maladist.prediction.passes import Run
from maladist.prediction.record import BASIS, MODES, REFERENCE, TALLY, check_record, read_basis
from maladist.prediction.setup import setup
from maladist.prediction.tally import row_length
from maladist.prediction.template import make_store, reset_work
from maladist.testing import be_atoms, tiny_model, with_density_channel
from tests.prediction.common import run_of

GRID, CHUNKS, LEVELS = (8, 9, 12), (4, 9, 6), 41


def basis_of(modes: int, seed: int = 0) -> Array:
    return np.asarray(np.linalg.qr(np.random.default_rng(seed).normal(size=(LEVELS, modes)))[0])


def begun(path: Path, model: LDOSModel | None = None, **options: Any) -> Run:
    ready = setup(be_atoms(), model or tiny_model(), grid=GRID, **options)
    return run_of(ready, path, CHUNKS)


def shapes(store: stores.Where) -> dict[str, tuple[int, ...]]:
    """Arrays of a store by name, in its groups too."""
    root = Path(store)
    members = {str(path.parent.relative_to(root)): json.loads(path.read_text()) for path in root.rglob("zarr.json")}
    return {name: tuple(facts["shape"]) for name, facts in members.items() if facts["node_type"] == "array"}


def test_a_store_begins_with_what_its_blocks_write_and_nothing_else(tmp_path: Path) -> None:
    claim = make_store(begun(tmp_path / "a.zarr"), basis_of(3), overwrite=False)
    wanted = {"density": GRID, MODES: (*GRID, 3), TALLY: (4, row_length(LEVELS)), BASIS: (LEVELS, 3)}
    assert shapes(claim) == wanted
    assert stores.open_array(claim, MODES, "r").chunks == (*CHUNKS, 3)
    assert stores.open_array(claim, TALLY, "r").chunks == (1, row_length(LEVELS))  # a row is written whole
    assert not stores.is_complete(claim) and claim.holds()
    assert np.isnan(stores.read_region(claim, TALLY)).all()


def test_what_is_kept_and_what_the_model_knows_has_a_place(tmp_path: Path) -> None:
    model = with_density_channel(tiny_model())
    cells, n = CellRange.of(begun(tmp_path / "x.zarr").setup.system), model.descriptor.n_features
    model = replace(model, domain=Domain(cells, 1.0, torch.zeros(n, 1), torch.zeros(1), None))
    run = begun(tmp_path / "a.zarr", model, keep=("ldos", "descriptors"), temperature=[4000.0, 6000.0])
    found = shapes(make_store(run, basis_of(3), overwrite=False))
    assert found["density"] == (2, *GRID) and found[MODES] == (*GRID, 4)
    assert found[NOVELTY] == GRID and found["ldos"] == (*GRID, LEVELS) and found["descriptors"] == (*GRID, n)
    assert found[REFERENCE] == GRID  # n₀ is at 2000 K, which is none of those asked for


@pytest.mark.parametrize(("temperature", "apart"), [(2000.0, False), ([2000.0, 6000.0], False), (6000.0, True)])
def test_the_density_of_the_double_counting_has_a_place_of_its_own_only_where_it_is_no_result(
    temperature: Any, apart: bool, tmp_path: Path
) -> None:
    claim = make_store(begun(tmp_path / "a.zarr", temperature=temperature), basis_of(3), overwrite=False)
    assert (REFERENCE in shapes(claim)) == apart


def test_a_run_that_goes_on_finds_what_it_was_begun_with(tmp_path: Path) -> None:
    run, basis = begun(tmp_path / "a.zarr"), basis_of(3)
    make_store(run, basis, overwrite=False)
    record = check_record(tmp_path / "a.zarr", run.setup.fingerprint(), unfinished=True)
    assert tuple(record["block_shape"]) == CHUNKS
    np.testing.assert_array_equal(read_basis(tmp_path / "a.zarr"), basis)
    other = begun(tmp_path / "a.zarr", temperature=3000.0).setup.fingerprint()
    with pytest.raises(StoreError, match="another temperature"):
        check_record(tmp_path / "a.zarr", other, unfinished=True)


def test_a_store_that_is_there_is_replaced_only_when_told(tmp_path: Path) -> None:
    run = begun(tmp_path / "a.zarr")
    make_store(run, basis_of(3), overwrite=False).release()
    with pytest.raises(StoreError, match="exists"):
        make_store(run, basis_of(3), overwrite=False)
    assert make_store(run, basis_of(2), overwrite=True).holds()
    assert shapes(tmp_path / "a.zarr")[BASIS] == (LEVELS, 2)


def test_a_new_basis_forgets_what_was_done_on_the_old_one(tmp_path: Path) -> None:
    run = begun(tmp_path / "a.zarr")
    claim = make_store(run, basis_of(3), overwrite=False)
    run = replace(run, path=claim)
    stores.write_region(claim, TALLY, (), np.ones((4, row_length(LEVELS))))
    new = basis_of(2, seed=1)
    reset_work(run, new)
    assert np.isnan(stores.read_region(claim, TALLY)).all() and shapes(claim)[MODES] == (*GRID, 2)
    np.testing.assert_array_equal(read_basis(claim), new)
    assert claim.holds()


def test_a_run_that_dies_between_two_bases_takes_no_block_for_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(tmp_path / "a.zarr")
    claim = make_store(run, basis_of(3), overwrite=False)
    stores.write_region(claim, TALLY, (), np.ones((4, row_length(LEVELS))))

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stores, "add_arrays", dies)
    with pytest.raises(KeyboardInterrupt):
        reset_work(replace(run, path=claim), basis_of(2))
    assert read_basis(tmp_path / "a.zarr") is None
