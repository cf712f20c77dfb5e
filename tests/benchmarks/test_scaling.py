"""Cost of whole predictions: an atom of a small and of a large cell, one worker and two, and MALA's way beside it.

    make bench                                          everything
    pytest tests/benchmarks/test_scaling.py --benchmark-enable -s -k atoms

MALA's way is what MALA does for a prediction: LAMMPS' `compute sna/grid` for all points of the cell, which loops over
every atom of its box for every point, and the same network.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms

import maladist
from maladist import LDOSModel
from maladist.descriptors import BispectrumSpec, evaluate
from maladist.descriptors.bispectrum.lammps import _instance
from maladist.grid import Grid
from maladist.neighbors import CellList
from tests.benchmarks.snapshot_model import CASE, train_on_snapshot

pytestmark = [pytest.mark.timeout(3000), pytest.mark.filterwarnings("ignore")]

DATA = Path(__file__).parent.parent / "data"
REPEATS = {2: (1, 1, 1), 16: (2, 2, 2), 128: (4, 4, 4), 512: (8, 8, 4), 2000: (10, 10, 10)}


@pytest.fixture(scope="module")
def beryllium() -> tuple[Atoms, LDOSModel]:
    """Two atoms and a model of them: 91-128-128-130, twojmax 10."""
    return ase.io.read(DATA / "qe" / CASE / "atoms.extxyz"), train_on_snapshot(DATA, epochs=2)


def run(atoms: Atoms, model: LDOSModel, client: Any) -> dict[str, Any]:
    result = maladist.predict(atoms, model, client=client)
    values = result.to_dict()
    result.close()
    return values


def test_seconds_and_memory_an_atom_are_flat(benchmark: Any, beryllium: tuple[Atoms, LDOSModel]) -> None:
    atoms, model = beryllium
    rows = {}
    with maladist.cluster("local") as client:
        run(atoms * (4, 4, 4), model, client)  # compiled, imported, warm
        for n, repeat in REPEATS.items():
            rows[n] = run(atoms * repeat, model, client)
        benchmark.pedantic(run, (atoms * (4, 4, 4), model, client), rounds=3)
    stages = "descriptors network reductions io density energies"
    print(f"\natoms   points     blocks  wall s   s/atom   peak MB   worker seconds, share of {stages}")
    each = {}
    for n, row in rows.items():
        seconds, points = row["seconds"], math.prod(row["grid"])
        wall, parts = seconds["wall"], [v for k, v in seconds.items() if k != "wall"]
        total = sum(parts)
        each[n] = wall / n
        shares = " ".join(f"{v / total:6.1%}" for v in parts)
        peak = row["peak_memory_bytes"] / 1e6
        print(
            f"{n:5d} {points:9d} {row['blocks']:8d} {wall:8.2f} {wall / n:9.5f} {peak:8.0f}    {total:8.2f}  {shares}"
        )
    # The fields of 2,000 atoms in one task, above what batches leave at hand where a worker has room: some 64 MB.
    assert max(rows[n]["peak_memory_bytes"] for n in (512, 2000)) < 1.15 * rows[128]["peak_memory_bytes"] + 120e6
    assert each[2000] < 1.15 * each[128]
    per_atom = [rows[n]["total_free_energy_eV"] / n for n in (128, 512, 2000)]
    assert max(per_atom) - min(per_atom) < 1e-5


def test_two_workers_beside_one(benchmark: Any, beryllium: tuple[Atoms, LDOSModel]) -> None:
    atoms, model = beryllium[0] * (8, 8, 4), beryllium[1]
    walls = {}
    for workers in (1, 2):
        with maladist.cluster("local", workers=workers) as client:
            run(beryllium[0] * (4, 4, 4), model, client)
            walls[workers] = min(run(atoms, model, client)["seconds"]["wall"] for _ in range(2))
    benchmark.pedantic(lambda: None)
    print(f"\n512 atoms: one worker {walls[1]:.2f} s, two {walls[2]:.2f} s, {walls[1] / walls[2]:.2f} times as fast")
    assert walls[2] < walls[1]


def sna_grid(atoms: Atoms, spec: BispectrumSpec, n: int) -> float:
    """Seconds a point of `compute sna/grid` on n×n×n points of a cell."""
    box, _ = atoms.cell.standard_form()
    (ax, _, _), (bx, by, _), (cx, cy, cz) = box
    positions = np.ascontiguousarray(atoms.get_scaled_positions(wrap=True) @ box)
    with _instance() as lammps:
        lammps.commands_list(
            [
                "units metal",
                "boundary p p p",
                "box tilt large",
                f"region all prism 0 {ax} 0 {by} 0 {cz} {bx} {cx} {cy}",
                "create_box 1 all",
                "mass * 1.0",
                f"pair_style zero {spec.cutoff} nocoeff",
                "pair_coeff * *",
            ]
        )
        lammps.create_atoms(len(atoms), None, np.ones(len(atoms), int), positions.ravel())
        lammps.command(
            f"compute g all sna/grid grid {n} {n} {n} {spec.cutoff} {spec.rfac0} {spec.twojmax} 0.5 1.0 "
            "rmin0 0 switchflag 1 bzeroflag 0"
        )
        lammps.command("run 0 post no")
        began = time.perf_counter()
        lammps.extract_compute("g", 0, 2)
        return (time.perf_counter() - began) / n**3


@pytest.mark.lammps
@pytest.mark.parametrize(("n", "edge"), [(2, 12), (128, 12), (2000, 8)])
def test_a_point_beside_malas_way(benchmark: Any, beryllium: tuple[Atoms, LDOSModel], n: int, edge: int) -> None:
    pytest.importorskip("lammps")
    atoms, model = beryllium[0] * REPEATS[n], beryllium[1]
    spec = model.descriptor
    assert isinstance(spec, BispectrumSpec)
    grid = Grid.from_spacing(atoms.cell.array, model.spacing)  # type: ignore[arg-type]
    block = grid.blocks((24, 24, 24))[0]
    seen = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), spec.cutoff).near_block(
        grid, block
    )
    points = grid.points(block)

    def ours() -> float:
        began = time.perf_counter()
        model.ldos(evaluate(points, seen, spec, dtype=torch.float32, threads=1))
        return (time.perf_counter() - began) / len(points)

    def network() -> float:
        features = torch.zeros(len(points), spec.n_features)
        began = time.perf_counter()
        model.ldos(features)
        return (time.perf_counter() - began) / len(points)

    torch.set_num_threads(1)
    ours()
    mala = sna_grid(atoms, spec, edge) + min(network() for _ in range(3))
    here = min(ours() for _ in range(3))
    benchmark.pedantic(ours, rounds=3)
    times = f"MALA's way {1e6 * mala:.1f} µs, here {1e6 * here:.1f} µs: {mala / here:.0f} times"
    print(f"\n{n} atoms, a point on one core: {times}")
    assert here < mala
