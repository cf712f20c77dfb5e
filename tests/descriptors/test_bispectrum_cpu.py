"""The compiled CPU kernel: against LAMMPS-checked torch in float64, at the edges, and its bits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

from maladist.descriptors import BispectrumSpec, evaluate
from maladist.grid import Grid
from maladist.neighbors import CellList

from .systems import SKEWED, cluster, random_system, relative_error

# Of the column's maximum; the goals that the project set itself.
GOAL = {torch.float32: 1e-5, torch.float64: 1e-11}
DTYPES = list(GOAL)


def both(points, atoms, spec, dtype):  # type: ignore[no-untyped-def]
    exact = evaluate(points, atoms, spec, backend="torch", dtype=torch.float64)
    return evaluate(points, atoms, spec, backend="cpu", dtype=dtype, threads=1), exact


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("twojmax", range(1, 15))
def test_every_twojmax_even_and_odd(twojmax: int, dtype: torch.dtype) -> None:
    points, atoms = random_system(SKEWED, 3, 4.0)
    assert relative_error(*both(points, atoms, BispectrumSpec(twojmax=twojmax, cutoff=4.0), dtype)) < GOAL[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{"switch": False}, {"rmin0": 0.7}, {"rfac0": 0.9}, {"quadratic": True}])
def test_options(options: dict[str, object], dtype: torch.dtype) -> None:
    points, atoms = random_system(np.diag([4.0, 5.0, 6.0]), 6, 3.5)
    spec = BispectrumSpec(twojmax=6, cutoff=3.5, **options)  # type: ignore[arg-type]
    assert relative_error(*both(points, atoms, spec, dtype)) < GOAL[dtype] * (10 if "quadratic" in options else 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_three_elements_and_more_than_a_hundred_neighbours(dtype: torch.dtype) -> None:
    points, atoms = random_system(np.diag([4.0, 5.0, 6.0]), 12, 6.0, ("Be", "Al", "O"))
    spec = BispectrumSpec(twojmax=8, cutoff=6.0, weights={"Be": 0.4, "Al": 1.0, "O": 0.7})
    assert relative_error(*both(points, atoms, spec, dtype)) < GOAL[dtype]
    assert (np.linalg.norm(atoms.positions - points[0], axis=1) < 6.0).sum() > 72


@pytest.mark.parametrize("dtype", DTYPES)
def test_points_on_atoms_without_neighbours_and_without_atoms(dtype: torch.dtype) -> None:
    spec = BispectrumSpec(twojmax=6, cutoff=3.0)
    atoms = cluster([[0.0, 0.0, 0.0], [1.5, 0.2, -0.3]])
    points = np.array([[0.0, 0.0, 0.0], [1.5, 0.2, -0.3], [50.0, 0.0, 0.0], [0.4, 0.1, 0.0]])
    assert relative_error(*both(points, atoms, spec, dtype)) < GOAL[dtype]
    nothing = cluster(np.zeros((0, 3)))
    assert relative_error(*both(points, nothing, spec, dtype)) < GOAL[dtype]
    assert evaluate(np.zeros((0, 3)), atoms, spec, backend="cpu", dtype=dtype).shape == (0, spec.n_features)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_grouping_threads_or_farther_atoms(dtype: torch.dtype) -> None:
    cell = np.array([[6.0, 0, 0], [1.0, 7.0, 0], [0, -1.0, 8.0]])
    rng = np.random.default_rng(0)
    atoms = CellList(cell, rng.uniform(size=(20, 3)) @ cell, np.full(20, 4, np.int16), 4.0)
    grid = Grid(cell.tolist(), (9, 10, 11))
    spec = BispectrumSpec(twojmax=6, cutoff=4.0)
    options = {"backend": "cpu", "dtype": dtype}
    whole = evaluate(grid.points(), atoms.near_block(grid, grid.whole), spec, threads=1, **options)
    shared = evaluate(grid.points(), atoms.near_block(grid, grid.whole), spec, threads=3, **options)
    assert torch.equal(whole, shared)
    parts = whole.reshape(9, 10, 11, -1)
    for block in grid.blocks((4, 7, 3)):
        part = evaluate(grid.points(block), atoms.near_block(grid, block), spec, threads=1, **options)
        assert torch.equal(part.reshape(*block.shape, -1), parts[block.slices])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_stored_descriptors_of_mala(dtype: torch.dtype, shared_data: Path) -> None:
    atoms = ase.io.read(shared_data / "be2" / "Be_snapshot0.out")
    stored = np.load(shared_data / "be2" / "Be_snapshot0.in.npy")[..., 3:].reshape(-1, 91)
    grid = Grid(atoms.cell.array.tolist(), (18, 18, 27))
    seen = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), 4.67637).near_block(
        grid, grid.whole
    )
    found = evaluate(grid.points(), seen, BispectrumSpec(), backend="cpu", dtype=dtype)
    assert relative_error(found, stored) < {torch.float32: 2e-5, torch.float64: 1e-6}[dtype]


FIRST_CALL = """
import time, numpy as np, torch
from maladist.descriptors import BispectrumSpec, evaluate
from maladist.neighbors import LocalAtoms
atoms = LocalAtoms(np.ones((1, 3)), np.array([4], np.int16), np.zeros(1, np.int64))
import maladist.descriptors.bispectrum_cpu
began = time.perf_counter()
evaluate(np.zeros((1, 3)), atoms, BispectrumSpec(), backend="cpu", dtype=torch.float32)
print(time.perf_counter() - began)
"""


@pytest.mark.timeout(120)
def test_the_first_call_compiles_in_seconds_and_the_next_process_reads_the_cache(tmp_path: Path) -> None:
    def seconds() -> float:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", FIRST_CALL], env=environment, capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    began = time.perf_counter()
    cold, warm = seconds(), seconds()
    print(f"first call: cold {cold:.1f} s, warm {warm:.2f} s ({time.perf_counter() - began:.1f} s in all)")
    assert cold < 20
    assert warm < 1
