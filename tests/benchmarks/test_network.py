"""What the shipped model's networks cost a point, beside the same layer by layer, and where a run's seconds go.

pytest tests/benchmarks/test_network.py --benchmark-enable -s
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from typing import Any

import ase.io
import numpy as np
import pytest
import torch

import maladist
from maladist.descriptors import evaluate
from maladist.grid import Grid
from maladist.io.shipped import shipped_models
from maladist.learning.ensemble import EnsembleNetwork
from maladist.learning.head import Reduction
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.neighbors import CellList
from maladist.parallel.task import in_a_task, in_batches


@pytest.fixture(autouse=True)
def task() -> Iterator[None]:
    """One thread, memory at hand: as on a worker."""
    with in_a_task(), in_batches():
        yield


pytestmark = [pytest.mark.timeout(3000), pytest.mark.filterwarnings("ignore")]

MODES = 10
HELD_OUT = shipped_models()["be-1000K"].folder / "held-out.extxyz"
Kept = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Σ_r d(ε, r), projections with n₀ behind them, novelty."""


@pytest.fixture(scope="module")
def model() -> LDOSModel:
    return maladist.load_model("be-1000K")


@pytest.fixture(scope="module")
def features(model: LDOSModel) -> torch.Tensor:
    """Descriptors of 24,000 points of the held-out cell."""
    atoms = ase.io.read(HELD_OUT)
    grid = Grid(atoms.cell.array.tolist(), (30, 40, 20))
    cells = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), model.descriptor.cutoff)
    return evaluate(grid.points(), cells.near_block(grid, grid.whole), model.descriptor, threads=1)


def layer_by_layer(model: LDOSModel, features: torch.Tensor, basis: torch.Tensor) -> Kept:
    """Every layer of every member by torch's own product, the LDOS of each point, and its sums in float64."""
    assert isinstance(model.network, EnsembleNetwork) and model.density_scaler is not None and model.domain is not None
    levels, dos = len(basis), torch.zeros(len(basis), dtype=torch.float64)
    kept, novelty = torch.empty(len(features), basis.shape[1] + 1, dtype=torch.float64), torch.empty(len(features))
    with torch.inference_mode():
        for first in range(0, len(features), 8192):
            fields = torch.empty(min(8192, len(features) - first), levels + 1)
            for start in range(0, len(fields), 4096):
                rows = slice(first + start, min(first + start + 4096, first + len(fields)))
                z = model.input_scaler.transform(features[rows])
                novelty[rows] = model.domain.novelty(z)
                outputs = sum(_plain(one, z) for one in model.network.networks) / len(model.network.networks)
                ldos, density = outputs[:, :levels], outputs[:, levels:]
                scaled = [model.output_scaler.inverse(ldos), model.density_scaler.inverse(density)]
                fields[start : start + 4096] = torch.cat(scaled, dim=1)
            rows = slice(first, first + len(fields))
            wide = fields.double()
            dos += wide[:, :levels].sum(0)
            kept[rows] = torch.cat([wide[:, :levels] @ basis, wide[:, levels:]], dim=1)
    return dos, kept, novelty


def _plain(network: FeedForward, x: torch.Tensor) -> Any:
    for linear, act in zip(network.linear, network.activation, strict=True):
        x = act(linear(x))
    return x


def as_a_block_does(model: LDOSModel, features: torch.Tensor, basis: torch.Tensor) -> Kept:
    reduction, novelty = Reduction(model, basis), torch.empty(len(features))
    kept = torch.empty(len(features), basis.shape[1] + 1, dtype=torch.float64)
    for first in range(0, len(features), model.batch):
        rows = slice(first, first + model.batch)
        with torch.inference_mode():
            hidden = model.hidden(features[rows], novelty[rows])
        kept[rows] = reduction.add(hidden)
    return reduction.sum, kept, novelty


def test_a_point_of_the_ensemble_beside_layer_by_layer(
    benchmark: Any, model: LDOSModel, features: torch.Tensor
) -> None:
    """Processor time on one thread, the memory of arrays kept for both, turn by turn."""
    basis = torch.linalg.qr(torch.randn(model.energy_grid.levels, MODES, dtype=torch.float64))[0]
    exact = layer_by_layer(model.to(dtype=torch.float64), features.double(), basis)
    ways, best = {"layer by layer": layer_by_layer, "here": as_a_block_does}, {}
    for name, way in ways.items():
        found = way(model, features, basis)
        off = [float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, exact, strict=True)]
        print(f"\n{name}, off the same in float64, of the largest: D {off[0]:.1e}, kept {off[1]:.1e}, s {off[2]:.1e}")
        assert off[0] < 1e-6 and max(off[1:]) < 1e-5
    for _ in range(9):
        for name, way in ways.items():
            began = time.process_time()
            way(model, features, basis)
            best[name] = min(best.get(name, np.inf), (time.process_time() - began) / len(features))
    benchmark.pedantic(as_a_block_does, (model, features, basis), rounds=3)
    times = ", ".join(f"{name} {1e6 * seconds:.2f} µs" for name, seconds in best.items())
    print(f"{model}, a point on one core: {times}, {best['layer by layer'] / best['here']:.2f} times as fast")
    assert best["here"] < 0.8 * best["layer by layer"]


def test_the_way_back_beside_torchs_own_products(benchmark: Any, model: LDOSModel, features: torch.Tensor) -> None:
    """Cotangents of the descriptors, which forces need, with weights that are trained, and fixed as in a run."""
    rows, best = features[:8192], {True: np.inf, False: np.inf}
    network = model.network
    of_ldos, of_density = torch.randn(1, len(rows), model.energy_grid.levels).double(), torch.randn(len(rows))
    try:
        for turn in range(18):
            network.requires_grad_(turn % 2 == 0)
            began = time.process_time()
            model.pullback(rows, of_ldos, of_density)
            seconds = (time.process_time() - began) / len(rows)
            best[turn % 2 == 0] = min(best[turn % 2 == 0], seconds)
    finally:
        network.requires_grad_(True)
    benchmark.pedantic(lambda: None)
    print(f"\nthere and back, a point on one core: {1e6 * best[True]:.1f} µs, in a run {1e6 * best[False]:.1f} µs")
    assert best[False] < 0.9 * best[True]


def used() -> tuple[float, float]:
    """Seconds of processor time of this process, its own and the system's for it."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return mine.ru_utime, mine.ru_stime


@pytest.mark.parametrize("repeat", [(4, 2, 2), (5, 10, 5)], ids=["128 atoms", "2000 atoms"])
def test_a_run_spends_its_seconds_on_its_points(benchmark: Any, model: LDOSModel, repeat: tuple[int, int, int]) -> None:
    """Stages by the clock on the wall, which a busy machine lengthens; the workers' processor time beside them."""
    atoms = ase.io.read(HELD_OUT)
    with maladist.cluster("local") as client:
        maladist.predict(atoms * (2, 2, 1), model, client=client).close()  # compiled, imported, warm
        before = np.array(list(client.run(used).values())).sum(axis=0)
        result = maladist.predict(atoms * repeat, model, client=client)
        user, system = np.array(list(client.run(used).values())).sum(axis=0) - before
    facts = result.to_dict()
    result.close()
    benchmark.pedantic(lambda: None)
    points = int(np.prod(facts["grid"]))
    stages = ", ".join(f"{name} {1e6 * s / points:.2f}" for name, s in facts["seconds"].items())
    print(f"\n{facts['n_atoms']} atoms, {points} points, µs a point: {stages}")
    print(f"the workers' processors: {1e6 * user / points:.2f}, and {1e6 * system / points:.2f} of the system")
    assert system < 0.1 * user
