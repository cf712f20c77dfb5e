"""The record of finished blocks, read with distrust: rows, holes, and a store of something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maladist.errors import StoreError
from maladist.grid import Grid
from maladist.io import stores
from maladist.io.ownership import Claim
from maladist.io.stores import ArrayTemplate
from maladist.prediction.record import BASIS, TALLY, check_record, find_damaged, kept, read_basis, recorded, verify_jobs

N = 11


@pytest.fixture
def store(tmp_path: Path) -> Claim:
    """A store with a record of eleven blocks, of which 0, 3 and 10 are done."""
    arrays = {TALLY: ArrayTemplate((N, 4), (1, 4), ("block", "entry"))}
    claim = stores.create(tmp_path / "a.zarr", arrays, {"work": {"grid": [4, 4, 4], "model": "abc"}})
    for i in (0, 3, 10):
        stores.write_region(claim, TALLY, (slice(i, i + 1),), np.full((1, 4), float(i)))
    return claim


def done(store: Claim) -> list[int]:
    return np.flatnonzero(recorded(store, TALLY, N)).tolist()


def test_a_block_is_done_when_its_row_is_whole(store: Claim) -> None:
    assert done(store) == [0, 3, 10]
    stores.write_region(store, TALLY, (slice(5, 6),), np.array([[1.0, np.nan, 1.0, 1.0]]))
    assert done(store) == [0, 3, 10]
    assert "3 of 11 blocks are kept" in kept(Path(store))


def test_a_row_that_is_garbled_costs_its_block_alone(store: Claim) -> None:
    (row,) = (Path(store) / TALLY / "c").glob("3/*")
    row.write_bytes(row.read_bytes()[:-1])
    assert done(store) == [0, 10]


def test_a_store_that_is_not_there_keeps_nothing(tmp_path: Path) -> None:
    assert kept(tmp_path / "none.zarr") == ""


def test_only_what_was_computed_with_the_same_is_gone_on_with(store: Claim) -> None:
    path = Path(store)
    assert check_record(path, {"grid": [4, 4, 4], "model": "abc"}, unfinished=True)["model"] == "abc"
    with pytest.raises(StoreError, match=r"was made with another grid \(\[4, 4, 4\]\); wanted the same grid"):
        check_record(path, {"grid": [5, 4, 4]})
    with pytest.raises(StoreError, match="was made with another model; wanted"):  # a hash tells a reader nothing
        check_record(path, {"model": "def"})
    stores.finish(store)
    with pytest.raises(StoreError, match="is finished"):
        check_record(path, {}, unfinished=True)
    # Who asks for another temperature is not sent to read this one.
    with pytest.raises(StoreError, match="was made with another grid"):
        check_record(path, {"grid": [5, 4, 4]}, unfinished=True)
    with pytest.raises(StoreError, match="Give --overwrite"):
        check_record(path / "nowhere", {})


def test_a_basis_with_holes_is_none(store: Claim) -> None:
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((9, 3)))[0]
    stores.write_values(store, {BASIS: (("energy", "mode"), basis, "1")})
    np.testing.assert_array_equal(read_basis(store), basis)
    stores.write_values(store, {BASIS: (("energy", "mode"), np.where(basis > 0.3, 0.0, basis), "1")})
    assert read_basis(store) is None


def test_blocks_that_the_record_calls_done_are_looked_at_once_each(store: Claim) -> None:
    grid = Grid([[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0]], (11, 2, 2))
    blocks, flags = grid.blocks((1, 2, 2)), recorded(store, TALLY, N)
    stores.add_arrays(store, {"density": ArrayTemplate(grid.shape, (1, 2, 2), ("x", "y", "z"))})
    for i in (0, 10):
        stores.write_region(store, "density", blocks[i].slices, np.ones((1, 2, 2)))
    jobs = list(verify_jobs(store, blocks, flags, ("density",)))
    assert [b.index for job in jobs for b in job.arguments[1]] == [0, 3, 10]
    assert [i for job in jobs for i in find_damaged(*job.arguments)] == [3]  # never written: it reads as NaN
    assert list(verify_jobs(store, blocks, np.zeros(N, bool), ("density",))) == []
