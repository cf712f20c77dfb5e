"""The compiled backend: against the definition, LAMMPS and the torch backend, at the edges, and its promises.

A point's numbers must be the same to the last bit however points are grouped, or blocks and batches would be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk

from maladist.descriptors import BispectrumSpec, evaluate
from maladist.descriptors.bispectrum import cpu as bispectrum_cpu
from maladist.descriptors.bispectrum.spec import CPU_TWOJMAX
from maladist.errors import InputError
from maladist.grid import Grid
from maladist.neighbors import CellList, LocalAtoms
from tests.descriptors.systems import (
    SKEWED,
    around,
    assert_compiled_once,
    cell_with_grid,
    cluster,
    direct_bispectrum,
    random_system,
    relative_error,
)

F64, F32 = torch.float64, torch.float32

EXACT = 1e-11
"""Rounding of float64 sums of up to 3740 nodes and 100 neighbours, of a column's largest value; 1e-13 is typical."""

SINGLE = 1e-5
"""The same in float32: 2e-6 at twojmax 10, 4e-6 at 14."""


def _cpu(
    points: Any, atoms: LocalAtoms, spec: BispectrumSpec, dtype: torch.dtype = F64, threads: int = 1
) -> torch.Tensor:
    return evaluate(points, atoms, spec, backend="cpu", dtype=dtype, threads=threads)


# Each twojmax is compiled for each precision, 2 s at 6 and 9 s at 14 where the cache is cold.
@pytest.mark.parametrize(
    "twojmax",
    [n if n in (0, 1, 2, 3, 6) else pytest.param(n, marks=pytest.mark.slow) for n in (*range(11), CPU_TWOJMAX)],
)
def test_it_is_the_definition_up_to_the_largest_twojmax(twojmax: int) -> None:
    points, atoms = random_system(np.eye(3) * 5, 12, 4.0, n_points=10)
    spec = BispectrumSpec(twojmax=twojmax, cutoff=4.0)
    expected = direct_bispectrum(points, atoms, spec)
    assert relative_error(_cpu(points, atoms, spec), expected) < EXACT
    assert relative_error(_cpu(points, atoms, spec, F32), expected) < SINGLE


@pytest.fixture(scope="module")
def crystal() -> tuple[np.ndarray, LocalAtoms]:
    """Points of a brick of a grid in hot beryllium and the atoms that they see."""
    atoms = bulk("Be", "hcp", a=2.29, c=3.59) * (5, 5, 3)
    atoms.rattle(0.15, seed=1)
    grid = Grid.from_spacing(atoms.cell.array, (0.3, 0.3, 0.3))
    brick = grid.blocks((5, 7, 11))[1]
    cells = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), 4.67637)
    return grid.points(brick), cells.near_block(grid, brick)


@pytest.mark.slow
def test_errors_at_the_size_of_models_in_use(crystal: tuple[np.ndarray, LocalAtoms]) -> None:
    """The goal: 1e-11 and 1e-5 of a column's maximum at twojmax 10, r_c 4.67637 Å, about 53 neighbours."""
    points, atoms = crystal
    expected = direct_bispectrum(points, atoms, BispectrumSpec())
    assert relative_error(_cpu(points, atoms, BispectrumSpec()), expected) < EXACT
    assert relative_error(_cpu(points, atoms, BispectrumSpec(), F32), expected) < SINGLE


@pytest.mark.lammps
def test_it_is_lammps(crystal: tuple[np.ndarray, LocalAtoms]) -> None:
    points, atoms = crystal
    expected = evaluate(points, atoms, BispectrumSpec(), backend="lammps", dtype=F64)
    assert relative_error(_cpu(points, atoms, BispectrumSpec()), expected) < EXACT
    assert relative_error(_cpu(points, atoms, BispectrumSpec(), F32), expected) < SINGLE


@pytest.mark.parametrize(("dtype", "tolerance"), [(F32, 2e-5), (F64, 1e-6)])
def test_it_is_what_mala_stores(dtype: torch.dtype, tolerance: float, shared_data: Path) -> None:
    """LAMMPS' numbers, stored in float32 relative to other units of the positions."""
    atoms = ase.io.read(shared_data / "be2" / "Be_snapshot0.out")
    stored = np.load(shared_data / "be2" / "Be_snapshot0.in.npy")[..., 3:].reshape(-1, 91)
    grid = Grid(atoms.cell.array.tolist(), (18, 18, 27))
    cells = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), 4.67637)
    values = _cpu(grid.points(), cells.near_block(grid, grid.whole), BispectrumSpec(), dtype)
    assert relative_error(values, stored) < tolerance


@pytest.mark.parametrize("switch", [True, False])
@pytest.mark.parametrize(
    ("cell", "n_atoms"),
    [(np.diag([1.8, 1.9, 2.0]), 1), (SKEWED, 3), (np.diag([2.0, 9.0, 3.0]), 4)],
    ids=["tiny", "skewed", "flat"],
)
def test_it_is_the_definition_in_tiny_and_skewed_cells(cell: Any, n_atoms: int, switch: bool) -> None:
    points, atoms = random_system(cell, n_atoms, 4.5, n_points=10)
    spec = BispectrumSpec(twojmax=6, cutoff=4.5, switch=switch)
    expected = direct_bispectrum(points, atoms, spec)
    assert relative_error(_cpu(points, atoms, spec), expected) < EXACT
    assert relative_error(_cpu(points, atoms, spec, F32), expected) < SINGLE


@pytest.mark.parametrize("switch", [True, False])
@pytest.mark.parametrize(("rmin0", "rfac0"), [(0.0, 1.0), (0.6, 0.99363), (1.4, 0.7)])
@pytest.mark.parametrize("twojmax", [3, 6])
def test_it_is_torch_with_rmin0_and_element_weights(twojmax: int, rmin0: float, rfac0: float, switch: bool) -> None:
    points, atoms = random_system(SKEWED, 5, 3.7, ("Be", "Al", "O"), n_points=40)
    weights = {"Be": 1.0, "Al": 0.4, "O": -1.3}
    spec = BispectrumSpec(twojmax, 3.7, rfac0=rfac0, rmin0=rmin0, switch=switch, weights=weights, quadratic=True)
    expected = evaluate(points, atoms, spec, backend="torch", dtype=F64)
    assert relative_error(_cpu(points, atoms, spec), expected) < EXACT
    # Squares double the relative error.
    assert relative_error(_cpu(points, atoms, spec, F32), expected) < 2 * SINGLE


def test_hundreds_of_neighbours() -> None:
    points, atoms = random_system(np.eye(3) * 4, 60, 6.0, n_points=20)
    spec = BispectrumSpec(twojmax=3, cutoff=6.0)
    distances = np.linalg.norm(points[:, None] - atoms.positions, axis=2)
    assert (distances < 6.0).sum(axis=1).min() > 700
    expected = direct_bispectrum(points, atoms, spec)
    assert relative_error(_cpu(points, atoms, spec), expected) < EXACT
    assert relative_error(_cpu(points, atoms, spec, F32), expected) < SINGLE


def test_no_neighbour_leaves_the_point_itself() -> None:
    """Each component is (j + 1) ∫ U_j1 U_j2 U_j = j + 1."""
    spec = BispectrumSpec(twojmax=6)
    expected = direct_bispectrum(np.array([[50.0, 0, 0]]), cluster([[0, 0, 0]]), spec)
    for atoms in (cluster([[0, 0, 0]]), cluster([[50.0, 0, 4.7]]), cluster(np.empty((0, 3)))):
        np.testing.assert_allclose(_cpu([[50.0, 0, 0]], atoms, spec), expected, rtol=1e-12)


def test_no_points() -> None:
    assert _cpu(np.empty((0, 3)), cluster([[0, 0, 0]]), BispectrumSpec(twojmax=2)).shape == (0, 5)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_an_atom_on_a_point_is_the_limit_of_one_that_comes_near(dtype: torch.dtype) -> None:
    others = [[1.2, 0.3, -0.4], [-1.0, 1.1, 0.2]]
    spec = BispectrumSpec(twojmax=6)
    near = direct_bispectrum(np.zeros((1, 3)), cluster([[0, 0, 1e-7], *others]), spec)
    for on in ([0.0, 0, 0], [0, 1e-12, 0], [0, 0, 1e-9]):
        values = _cpu(np.zeros((1, 3)), cluster([on, *others]), spec, dtype)
        assert relative_error(values, near) < 1e-5
        assert torch.isfinite(values).all()


def test_far_from_the_origin_nothing_is_lost() -> None:
    """Differences are taken in float64: at 10⁴ Å those are still good to 1e-12 Å."""
    points, atoms = random_system(np.eye(3) * 5, 12, 4.0, n_points=10)
    spec, shift = BispectrumSpec(twojmax=6, cutoff=4.0), np.array([1e4, -2e4, 3e4])
    moved = LocalAtoms(atoms.positions + shift, atoms.numbers, atoms.indices)
    assert relative_error(_cpu(points + shift, moved, spec, F32), _cpu(points, atoms, spec)) < SINGLE


def test_points_far_apart_cost_no_bins_for_the_space_between() -> None:
    """A fine bin for all of it would be 10¹³ bins."""
    spec = BispectrumSpec(twojmax=2, cutoff=4.0)
    at = np.array([[0.0, 0, 0], [3e4, 0, 0], [0, 5e4, 0], [0, 0, -6e4]])
    atoms = cluster([*(at + np.array([1.0, 0.5, 0.2])), *(at - np.array([0.3, 1.5, 0.2]))])
    assert relative_error(_cpu(at, atoms, spec), direct_bispectrum(at, atoms, spec)) < EXACT


Change = Callable[[np.ndarray, LocalAtoms], tuple[np.ndarray, LocalAtoms, np.ndarray]]


def _reordered(atoms: LocalAtoms, order: np.ndarray) -> LocalAtoms:
    return LocalAtoms(atoms.positions[order], atoms.numbers[order], atoms.indices[order])


def _in_another_order(points: np.ndarray, atoms: LocalAtoms) -> tuple[np.ndarray, LocalAtoms, np.ndarray]:
    chosen = np.random.default_rng(0).permutation(len(points))
    return points, atoms, chosen


def _a_few(points: np.ndarray, atoms: LocalAtoms) -> tuple[np.ndarray, LocalAtoms, np.ndarray]:
    return points, atoms, np.random.default_rng(1).permutation(len(points))[:37]


def _one(points: np.ndarray, atoms: LocalAtoms) -> tuple[np.ndarray, LocalAtoms, np.ndarray]:
    return points, atoms, np.array([123])


def _atoms_in_another_order(points: np.ndarray, atoms: LocalAtoms) -> tuple[np.ndarray, LocalAtoms, np.ndarray]:
    return points, _reordered(atoms, np.random.default_rng(2).permutation(len(atoms))), np.arange(len(points))


def _more_far_atoms(points: np.ndarray, atoms: LocalAtoms) -> tuple[np.ndarray, LocalAtoms, np.ndarray]:
    lowest = points.min(axis=0) - 4.68
    far = lowest - np.random.default_rng(3).uniform(0, 30, (50, 3))
    positions = np.concatenate([far, atoms.positions])
    numbers = np.concatenate([np.full(50, 4, np.int16), atoms.numbers])
    return points, LocalAtoms(positions, numbers, np.arange(len(positions))), np.arange(len(points))


def _atoms_of_these_points_only(points: np.ndarray, atoms: LocalAtoms) -> tuple[np.ndarray, LocalAtoms, np.ndarray]:
    chosen = np.arange(40, 80)
    near = np.linalg.norm(points[chosen, None] - atoms.positions, axis=2).min(axis=0) < 4.67637
    return points, _reordered(atoms, np.flatnonzero(near)), chosen


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize(
    "change",
    [_in_another_order, _a_few, _one, _atoms_in_another_order, _more_far_atoms, _atoms_of_these_points_only],
)
def test_the_same_bits_however_points_are_grouped(
    crystal: tuple[np.ndarray, LocalAtoms], change: Change, dtype: torch.dtype
) -> None:
    spec = BispectrumSpec(twojmax=6)
    whole = _cpu(*crystal, spec, dtype)
    points, atoms, chosen = change(*crystal)
    assert torch.equal(_cpu(points[chosen], atoms, spec, dtype), whole[chosen])


@pytest.mark.parametrize("dtype", [F32, F64])
def test_the_same_bits_for_one_block_and_for_many(dtype: torch.dtype) -> None:
    cells, grid = cell_with_grid(4.0)
    spec = BispectrumSpec(twojmax=6, cutoff=4.0)
    whole = _cpu(grid.points(), cells.near_block(grid, grid.whole), spec, dtype).reshape(9, 10, 11, -1)
    for block in grid.blocks((4, 7, 3)):
        part = _cpu(grid.points(block), cells.near_block(grid, block), spec, dtype)
        assert torch.equal(part.reshape(*block.shape, -1), whole[block.slices])


@pytest.mark.parametrize("threads", [2, 3, 50])
def test_the_same_bits_for_any_number_of_threads(crystal: tuple[np.ndarray, LocalAtoms], threads: int) -> None:
    spec = BispectrumSpec(twojmax=6)
    assert torch.equal(_cpu(*crystal, spec, threads=threads), _cpu(*crystal, spec))


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_every_width_of_vectors_gives_the_same(
    crystal: tuple[np.ndarray, LocalAtoms], lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on processors with other registers; operations are the same in every lane, so the bits are too."""
    spec = BispectrumSpec(twojmax=2)
    expected = _cpu(*crystal, spec)
    monkeypatch.setattr(bispectrum_cpu, "lanes_of", lambda _: lanes)
    assert torch.equal(_cpu(*crystal, spec), expected)


def test_the_threads_of_a_worker_may_call_at_once(crystal: tuple[np.ndarray, LocalAtoms]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    spec = BispectrumSpec(twojmax=6)
    expected = _cpu(*crystal, spec, F32)
    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(lambda _: _cpu(*crystal, spec, F32, threads=2), range(8)):
            assert torch.equal(values, expected)


def test_beyond_what_it_compiles_the_choice_falls_on_torch() -> None:
    spec = BispectrumSpec(twojmax=CPU_TWOJMAX + 1, cutoff=3.0)
    atoms = around(np.eye(3) * 4, np.array([[0.5, 1.0, 2.0]]), 3.0, ["Be"])
    with pytest.raises(InputError, match="backend"):
        _cpu([[0.0, 0, 0]], atoms, spec)
    with pytest.raises(InputError, match="torch"):
        bispectrum_cpu.bispectrum_cpu(np.zeros((1, 3)), atoms.positions, np.ones(len(atoms)), spec, np.dtype("f8"), 1)
    assert "cpu" not in spec.kernels() and "cpu" in BispectrumSpec(twojmax=CPU_TWOJMAX).kernels()


SECOND_START = """
import time, numpy as np
from maladist.descriptors import BispectrumSpec
from maladist.descriptors.bispectrum.cpu import bispectrum_cpu, code_version, lanes_of, tile_kernel
began = time.process_time()
for name in ("f4", "f8"):
    bispectrum_cpu(np.zeros((1, 3)), np.ones((1, 3)), np.ones(1), BispectrumSpec(twojmax=2), np.dtype(name), 1)
stats = [tile_kernel(2, lanes_of(np.dtype(name)), code_version()).stats for name in ("f4", "f8")]
print(sum(sum(s.cache_misses.values()) for s in stats), time.process_time() - began)
"""


@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    """Also from a folder that cannot be written, where NUMBA_CACHE_DIR names another; under 1 s of CPU time."""
    assert_compiled_once(SECOND_START, tmp_path)
