"""Points that are learnt from: chosen whatever else there is, once each, and the same rows from files as computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maladist.datasets.snapshots import Snapshot, find_snapshots
from maladist.descriptors import GaussianSpec
from maladist.errors import InputError
from maladist.learning.scaling import Moments
from maladist.training import samples as module
from maladist.training.samples import (
    Chunk,
    Wanted,
    _by_block,
    _choose,
    _jobs,
    _key,
    moments,
    number_of_points,
    sample_chunk,
)

SPEC = GaussianSpec(cutoff=3.0, sigma=0.5)


@pytest.fixture(scope="module")
def snapshot(small_data_set: Path) -> Snapshot:
    """One of the small data set, in chunks that do not divide its grid."""
    (found,) = find_snapshots([str(small_data_set / "snapshots/train-0")], "data")
    return replace(found, chunks=(4, 5, 7))


def wanted(folder: Path, points: float = 50, **more: Any) -> Wanted:
    values = {"seed": 0, "shuffled": False, "cross": (False, False), "fields": ("ldos",), **more}
    return Wanted(SPEC, points, folder, **values)


@pytest.mark.parametrize(
    ("points", "expected"), [(1.0, 1000), (0.25, 250), (1e-9, 1), (1.5e9, 1000), (7, 7), (0.9999, 1000)]
)
def test_a_fraction_and_a_number_of_points(points: float, expected: int) -> None:
    assert number_of_points(points, 1000) == expected


def test_points_are_chosen_once_each_and_do_not_depend_on_other_snapshots(snapshot: Snapshot) -> None:
    chosen = _choose(snapshot, 200, seed=3)
    assert len(set(chosen.tolist())) == 200
    np.testing.assert_array_equal(chosen, _choose(replace(snapshot, path=f"/elsewhere/{snapshot.name}"), 200, seed=3))
    assert not np.array_equal(chosen, _choose(snapshot, 200, seed=4))
    assert not np.array_equal(chosen, _choose(replace(snapshot, path="/a/other"), 200, seed=3))


def test_every_chosen_point_is_in_its_block_and_in_no_other(snapshot: Snapshot) -> None:
    grid, chosen = snapshot.system.grid, _choose(snapshot, 300, seed=0)
    blocks, number = grid.blocks(snapshot.chunks), np.arange(grid.n_points).reshape(grid.shape)
    found = [number[blocks[i].slices].ravel()[rows] for i, rows in _by_block(chosen, snapshot).items()]
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), chosen)


@pytest.mark.parametrize("size", [1, 7, 30, 99, 1000])
def test_parts_of_a_chunk_are_its_rows_one_after_the_other_and_none_is_small(snapshot: Snapshot, size: int) -> None:
    (block,) = snapshot.system.grid.blocks(snapshot.system.grid.shape)
    chunk = Chunk(0, 99, snapshot.path, block, features="f", targets="t", start=10)
    parts = chunk.split(size)
    assert [p.start for p in parts] == [10, *(10 + np.cumsum([p.rows for p in parts])[:-1])]
    assert sum(p.rows for p in parts) == 99
    assert min(p.rows for p in parts) >= min(size, 99)
    assert replace(chunk, features="").split(size) == [replace(chunk, features="")]


def test_rows_from_files_are_those_that_were_computed(snapshot: Snapshot, tmp_path: Path) -> None:
    job = next(iter(_jobs(0, snapshot, wanted(tmp_path))))
    first = sample_chunk(*job.arguments)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert len(times) == 2
    again = sample_chunk(*job.arguments)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == times, "computed a second time"
    assert again.digest == first.digest
    for a, b in zip(first.moments, again.moments, strict=True):
        assert torch.equal(a.mean, b.mean)


def test_shuffled_rows_are_the_same_points_and_keep_descriptors_beside_targets(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    rows = []
    for shuffled in (False, True):
        job = next(iter(_jobs(0, snapshot, wanted(tmp_path, shuffled=shuffled))))
        rows.append(np.hstack(sample_chunk(*job.arguments).chunk.read()))
    plain, mixed = rows
    assert not np.array_equal(plain, mixed)
    np.testing.assert_array_equal(np.sort(plain.view([("", plain.dtype)] * plain.shape[1]), axis=0),
                                  np.sort(mixed.view([("", mixed.dtype)] * mixed.shape[1]), axis=0))  # fmt: skip


def test_files_of_other_settings_have_other_names(snapshot: Snapshot, tmp_path: Path) -> None:
    base = wanted(tmp_path)
    others = [
        _key(snapshot, replace(base, seed=1), 50),
        _key(snapshot, replace(base, shuffled=True), 50),
        _key(snapshot, replace(base, fields=("ldos", "density")), 50),
        _key(snapshot, replace(base, spec=GaussianSpec(cutoff=4.0, sigma=0.5)), 50),
        _key(snapshot, base, 51),
        _key(replace(snapshot, zero=1.0), base, 50),
        _key(replace(snapshot, chunks=(5, 5, 5)), base, 50),
        _key(replace(snapshot, potential="/samples/train-0-a.potential.npy"), base, 50),
        _key(replace(snapshot, potential="/samples/train-0-b.potential.npy"), base, 50),
    ]
    assert len({_key(snapshot, base, 50), *others}) == len(others) + 1
    assert _key(snapshot, replace(base, folder=tmp_path / "other"), 50) == _key(snapshot, base, 50)


def test_numbers_that_are_not_finite_are_refused_naming_the_snapshot(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.read_block

    def spoilt(*where: Any) -> np.ndarray:
        values = real(*where).copy()
        values[:, 3] = np.nan
        return values

    monkeypatch.setattr(module, "read_block", spoilt)
    job = next(iter(_jobs(0, snapshot, wanted(tmp_path))))
    with pytest.raises(InputError, match="train-0: LDOS that are not finite"):
        sample_chunk(*job.arguments)


def test_moments_of_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32) + 100
    monkeypatch.setattr(module, "_LEVELS", 64)
    parts, whole = moments(rows, True), Moments.of(torch.from_numpy(rows), cross=True)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-13)  # float64 sums in another order
    np.testing.assert_allclose(parts.mean, rows.astype(float).mean(0), rtol=1e-13)
