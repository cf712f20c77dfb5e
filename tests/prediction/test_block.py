"""A block on a worker, in this process: what it writes is that of the whole grid, its row last, and never a NaN."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maladist import LDOSModel
from maladist.arrays import Array
from maladist.io import stores
from maladist.io.ownership import Claim
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Domain
from maladist.prediction import block as module
from maladist.prediction.block import (
    Clock,
    ModelBlob,
    Report,
    Work,
    compute_block,
    density_blocks,
    mean_ldos,
    time_ldos,
    worker_model,
)
from maladist.prediction.novelty import NOVELTY
from maladist.prediction.passes import Run
from maladist.prediction.record import MODES, REFERENCE, TALLY
from maladist.prediction.setup import Setup, setup
from maladist.prediction.tally import STAGES, Tally, add_up
from maladist.prediction.template import make_store
from maladist.testing import RECUT, be_atoms, tiny_model, with_density_channel
from tests.prediction.common import fields_of, run_of

GRID = (8, 9, 12)
T0 = 2000.0


def ready_of(model: LDOSModel, **options: Any) -> Setup:
    return setup(be_atoms(), model, grid=GRID, precision="float64", device="cpu", **options)


def basis_of(model: LDOSModel, modes: int = 3) -> Array:
    values = np.random.default_rng(0).normal(size=(model.energy_grid.levels, modes))
    return np.asarray(np.linalg.qr(values)[0])


def begun(ready: Setup, path: Path) -> tuple[Run, Claim, Work]:
    """A run whose store waits for its blocks."""
    run, model = run_of(ready, path), ready.model
    basis = basis_of(model)
    store = make_store(run, basis, overwrite=False)
    knows = model.domain is not None
    grid = ready.system.grid
    return run, store, Work(store, grid, ready.numerics, basis, model.has_density_channel, knows, ready.keep)


def compute(run: Run, work: Work, index: int) -> Report:
    block, ready = run.plan.blocks[index], run.setup
    return compute_block(block, ready.cell_list.near_block(work.grid, block).without_indices(), ready.blob, work)


@pytest.mark.parametrize("channel", [False, True])
def test_blocks_together_are_the_whole_grid(channel: bool, tmp_path: Path) -> None:
    model = with_density_channel(tiny_model()) if channel else tiny_model()
    ready = ready_of(model, keep=("ldos", "descriptors"))
    run, store, work = begun(ready, tmp_path / "a.zarr")
    assert len(run.plan.blocks) == 12
    reports = [compute(run, work, i) for i in range(12)]
    assert [r.block for r in reports] == list(range(12)) and set(reports[0].seconds) == set(STAGES)

    ldos, density, features = fields_of(ready)
    total, voxel = add_up(map(Tally.from_row, stores.read_region(store, TALLY)), 41), ready.system.grid.voxel_volume
    wanted = [ldos.numpy() @ work.basis, *([density.numpy()[:, None]] if density is not None else [])]
    modes = stores.read_region(store, MODES).reshape(-1, 3 + channel)
    np.testing.assert_allclose(modes, np.concatenate(wanted, axis=1), rtol=0, atol=RECUT * np.abs(modes).max())
    np.testing.assert_allclose(total.dos, ldos.sum(0).numpy() * voxel, rtol=RECUT)
    assert total.n_points == np.prod(GRID)
    assert total.electrons == pytest.approx(0.0 if density is None else float(density.sum()) * voxel, rel=RECUT)
    for name, values in (("ldos", ldos), ("descriptors", features)):  # kept in float32
        kept = stores.read_region(store, name)
        assert kept.dtype == np.float32
        np.testing.assert_allclose(kept.reshape(values.shape), values, rtol=0, atol=1e-6 * float(values.max()))


@pytest.mark.parametrize("where", ["LDOS", "channel"])
def test_what_is_not_finite_ends_the_block_and_leaves_no_record_of_it(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_density_channel(tiny_model()).to("cpu", torch.float64)
    run, store, work = begun(ready_of(model), tmp_path / "a.zarr")
    with torch.no_grad():
        list(model.network.parameters())[-1][-1 if where == "channel" else 0] = torch.nan
    monkeypatch.setattr(module, "worker_model", lambda *_: model)  # a file of it would be refused
    with pytest.raises(FloatingPointError, match="not finite"):
        compute(run, work, 0)
    assert np.isnan(stores.read_region(store, TALLY)).all() and np.isnan(stores.read_region(store, MODES)).all()


def test_the_row_of_a_block_is_written_after_all_that_it_tells_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that dies between two writes must find the block not done."""
    names: list[str] = []
    real = stores.write_region

    def listen(path: Any, name: str, *rest: Any) -> None:
        names.append(name)
        real(path, name, *rest)

    monkeypatch.setattr(stores, "write_region", listen)
    model = tiny_model()
    cells, n = CellRange.of(ready_of(model).system), model.descriptor.n_features
    model = replace(model, domain=Domain(cells, 1.0, torch.zeros(n, 1), torch.zeros(1), None))
    run, _, work = begun(ready_of(model, keep=("ldos", "descriptors")), tmp_path / "a.zarr")
    names.clear()
    compute(run, work, 5)
    assert set(names) == {MODES, "ldos", "descriptors", NOVELTY, TALLY} and names[-1] == TALLY
    assert names.count(TALLY) == 1


@pytest.mark.filterwarnings("ignore:outside of the model's training")
def test_the_point_that_is_farthest_out_is_told_by_its_place_in_the_whole_grid(tmp_path: Path) -> None:
    model = tiny_model()
    cells, n = CellRange.of(ready_of(model).system), model.descriptor.n_features
    model = replace(model, domain=Domain(cells, 1.0, torch.zeros(n, 1), torch.zeros(1), None))
    run, store, work = begun(ready_of(model), tmp_path / "a.zarr")
    for i, block in enumerate(run.plan.blocks):
        compute(run, work, i)
        outside = Tally.from_row(stores.read_region(store, TALLY)[i]).outside
        novelty = stores.read_region(store, NOVELTY)
        assert outside.points == block.n_points and outside.outside == (novelty[block.slices] > 1).sum()
        assert novelty.ravel()[outside.at] == novelty[block.slices].max() == pytest.approx(outside.farthest)


def test_a_worker_decodes_a_model_once_whatever_carries_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data, calls = tiny_model(seed=3).to_bytes(), []
    real = LDOSModel.from_bytes

    def counted(data: bytes) -> LDOSModel:
        calls.append(len(data))
        return real(data)

    monkeypatch.setattr(module.LDOSModel, "from_bytes", staticmethod(counted))
    numerics = ready_of(tiny_model()).numerics
    one, two = (worker_model(ModelBlob(bytes(data), "3"), numerics) for _ in range(2))
    assert one is two and len(calls) == 1 and one.dtype == torch.float64
    assert worker_model(ModelBlob(data, "another"), numerics) is not one
    assert not any(weight.requires_grad for weight in one.network.parameters())  # forces would pay for it


@pytest.mark.parametrize("temperatures", [1, 2])
@pytest.mark.parametrize("apart", [False, True])  # n₀ at a temperature of its own
def test_densities_are_the_projections_by_their_coefficients(temperatures: int, apart: bool, tmp_path: Path) -> None:
    given = [T0, 6000.0][:temperatures] if not apart else [4000.0, 6000.0][:temperatures]
    ready = ready_of(tiny_model(), temperature=given)
    run, store, _ = begun(ready, tmp_path / "a.zarr")
    rng = np.random.default_rng(1)
    modes, rows = rng.normal(size=(*GRID, 3)), rng.normal(size=(temperatures + apart, 3))
    stores.write_region(store, MODES, (), modes)
    density_blocks(run.plan.blocks[:7], store, rows, temperatures)
    density_blocks(run.plan.blocks[7:], store, rows, temperatures)
    wanted = np.moveaxis(modes @ rows.T, -1, 0)
    found = stores.read_region(store, "density")
    np.testing.assert_allclose(found, wanted[:temperatures] if temperatures > 1 else wanted[0], rtol=1e-12, atol=1e-12)
    if apart:
        np.testing.assert_allclose(stores.read_region(store, REFERENCE), wanted[-1], rtol=1e-12, atol=1e-12)


def test_a_sample_of_points_gives_their_mean_ldos_and_what_they_cost() -> None:
    ready = ready_of(tiny_model())
    grid = ready.system.grid
    points, seen = grid.points(), ready.cell_list.near_block(grid, grid.whole)
    ldos, _, _ = fields_of(ready)
    chosen = np.arange(0, len(points), 7)
    found = mean_ldos(points[chosen], seen, ready.blob, ready.numerics)
    np.testing.assert_allclose(found, ldos[chosen].mean(0).numpy(), rtol=RECUT)
    began = time.perf_counter()
    assert 0 < time_ldos(points[chosen], seen, ready.blob, ready.numerics) <= time.perf_counter() - began


def test_seconds_of_a_stage_add_up_and_belong_to_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 3.0, 6.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(times))
    clock = Clock()
    for stage in ("network", "io", "network"):
        clock.lap(stage)
    assert clock.seconds == {**dict.fromkeys(STAGES, 0.0), "network": 1.0 + 3.0, "io": 2.0}
