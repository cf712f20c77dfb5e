"""The compiled adjoint: against autograd of the torch backend, at the edges, and its promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from ase.build import bulk

from maladist.descriptors import Adjoint, BispectrumSpec, adjoint
from maladist.descriptors.bispectrum import cpu_adjoint
from maladist.descriptors.bispectrum.lammps import lammps_adjoint
from maladist.descriptors.bispectrum.spec import CPU_TWOJMAX
from maladist.errors import InputError
from maladist.grid import Grid
from maladist.neighbors import CellList, LocalAtoms
from tests.descriptors.systems import (
    SKEWED,
    adjoint_error,
    assert_compiled_once,
    cell_with_grid,
    cluster,
    cotangent,
    random_system,
)

Array = npt.NDArray[np.float64]

F64, F32 = torch.float64, torch.float32

EXACT = 1e-12
"""The goal in float64, of the largest number; 1e-14 is typical."""

SINGLE = 1e-5
"""The goal in float32; 2e-6 is typical."""


def _cpu(points: Any, atoms: LocalAtoms, spec: BispectrumSpec, dtype: torch.dtype = F64, threads: int = 1) -> Adjoint:
    return adjoint(points, atoms, spec, cotangent(points, spec), backend="cpu", dtype=dtype, threads=threads)


def _torch(points: Any, atoms: LocalAtoms, spec: BispectrumSpec) -> Adjoint:
    return adjoint(points, atoms, spec, cotangent(points, spec), backend="torch", dtype=F64)


# Each twojmax is compiled for each precision, where the cache is cold.
@pytest.mark.parametrize(
    "twojmax",
    [n if n in (0, 1, 3) else pytest.param(n, marks=pytest.mark.slow) for n in (*range(11), CPU_TWOJMAX)],
)
def test_it_is_autograd_up_to_the_largest_twojmax(twojmax: int) -> None:
    points, atoms = random_system(np.eye(3) * 5, 12, 4.0, n_points=21)
    spec = BispectrumSpec(twojmax=twojmax, cutoff=4.0)
    expected = _torch(points, atoms, spec)
    assert adjoint_error(_cpu(points, atoms, spec, F32), expected) < SINGLE
    # The largest is compiled for 40 s, so for the precision of predictions only: rounding that grew would show there.
    if twojmax < CPU_TWOJMAX:
        assert adjoint_error(_cpu(points, atoms, spec), expected) < EXACT


@pytest.mark.parametrize("switch", [True, False])
@pytest.mark.parametrize(("rmin0", "rfac0"), [(0.0, 1.0), (0.6, 0.99363), (1.4, 0.7)])
@pytest.mark.parametrize("quadratic", [True, False])
def test_it_is_autograd_with_rmin0_element_weights_and_products(
    rmin0: float, rfac0: float, switch: bool, quadratic: bool
) -> None:
    points, atoms = random_system(SKEWED, 5, 3.7, ("Be", "Al", "O"), n_points=40)
    weights = {"Be": 1.0, "Al": 0.4, "O": -1.3}
    spec = BispectrumSpec(3, 3.7, rfac0=rfac0, rmin0=rmin0, switch=switch, weights=weights, quadratic=quadratic)
    expected = _torch(points, atoms, spec)
    assert adjoint_error(_cpu(points, atoms, spec), expected) < EXACT
    # Cotangents of products have B's own error.
    assert adjoint_error(_cpu(points, atoms, spec, F32), expected) < 2 * SINGLE


@pytest.fixture(scope="module")
def crystal() -> tuple[Array, LocalAtoms]:
    """Points of a brick of a grid in hot beryllium, some portions of them, and the atoms that they see."""
    atoms = bulk("Be", "hcp", a=2.29, c=3.59) * (5, 5, 3)
    atoms.rattle(0.15, seed=1)
    grid = Grid.from_spacing(atoms.cell.array, (0.3, 0.3, 0.3))
    brick = grid.blocks((7, 9, 13))[1]
    cells = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), 4.67637)
    return grid.points(brick), cells.near_block(grid, brick)


def test_errors_in_a_crystal(crystal: tuple[Array, LocalAtoms]) -> None:
    spec = BispectrumSpec(twojmax=6)
    expected = _torch(*crystal, spec)
    assert adjoint_error(_cpu(*crystal, spec), expected) < EXACT
    assert adjoint_error(_cpu(*crystal, spec, F32), expected) < SINGLE


@pytest.mark.lammps
@pytest.mark.parametrize("options", [{}, {"quadratic": True}, {"rmin0": 0.6, "switch": False}], ids=str)
def test_it_is_lammps(options: dict[str, Any]) -> None:
    """`compute snad/atom` differentiates by formulas of its own; its sum over the points wants one cotangent."""
    points, atoms = random_system(SKEWED, 5, 3.7, ("Be", "Al", "O"), n_points=21)
    spec = BispectrumSpec(3, 3.7, weights={"Be": 1.0, "Al": 0.4, "O": -1.3}, **options)
    c = np.cos(np.arange(spec.n_features))
    found = adjoint(points, atoms, spec, np.tile(c, (21, 1)), backend="cpu", dtype=F64, threads=1)
    expected = lammps_adjoint(points, atoms.positions, atoms.numbers, spec, c)
    np.testing.assert_allclose(found.gradient, expected, rtol=0, atol=EXACT * np.abs(expected).max())


@pytest.mark.slow
def test_errors_at_the_size_of_models_in_use(crystal: tuple[Array, LocalAtoms]) -> None:
    expected = _torch(*crystal, BispectrumSpec())
    assert adjoint_error(_cpu(*crystal, BispectrumSpec()), expected) < EXACT
    assert adjoint_error(_cpu(*crystal, BispectrumSpec(), F32), expected) < SINGLE


def test_more_neighbours_than_are_written_out_at_a_time() -> None:
    points, atoms = random_system(np.eye(3) * 4, 60, 6.0, n_points=20)
    spec = BispectrumSpec(twojmax=3, cutoff=6.0)
    expected = _torch(points, atoms, spec)
    assert adjoint_error(_cpu(points, atoms, spec), expected) < EXACT
    assert adjoint_error(_cpu(points, atoms, spec, F32), expected) < SINGLE


@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_point_without_neighbours_pulls_at_no_atom(dtype: torch.dtype) -> None:
    spec = BispectrumSpec(twojmax=3)
    for atoms in (cluster([[0, 0, 0]]), cluster([[50.0, 0, 4.7]])):
        found = _cpu([[50.0, 0, 0]], atoms, spec, dtype)
        assert not found.gradient.any() and not found.virial.any()
    one = cluster([[0.3, 1.0, 0], [80.0, 0, 0]])
    both = _cpu([[0.0, 0, 0], [50.0, 0, 0]], one, spec, dtype)
    assert both.gradient[0].any() and not both.gradient[1].any()
    np.testing.assert_array_equal(both.gradient, _cpu([[0.0, 0, 0]], one, spec, dtype).gradient)


@pytest.mark.parametrize(("dtype", "tolerance"), [(F32, SINGLE), (F64, 1e-7)])
def test_an_atom_on_a_point_or_near_it_is_autograds(dtype: torch.dtype, tolerance: float) -> None:
    """sin θ0/r must not lose its digits; on the point itself the displacement of 1e-8 Å is not added but taken."""
    others = [[1.2, 0.3, -0.4], [-1.0, 1.1, 0.2]]
    spec = BispectrumSpec(twojmax=6)
    for on in ([0.0, 0, 0], [0, 1e-12, 0], [0, 0, 1e-9], [1e-6, 2e-6, 0], [1e-3, 0, 2e-3]):
        atoms, point = cluster([on, *others]), np.zeros((1, 3))
        assert adjoint_error(_cpu(point, atoms, spec, dtype), _torch(point, atoms, spec)) < tolerance


def test_far_from_the_origin_nothing_is_lost() -> None:
    """Differences are taken in float64: at 10⁴ Å those are still good to 1e-12 Å."""
    points, atoms = random_system(np.eye(3) * 5, 12, 4.0, n_points=10)
    spec, shift = BispectrumSpec(twojmax=6, cutoff=4.0), np.array([1e4, -2e4, 3e4])
    c = cotangent(points, spec)
    moved = LocalAtoms(atoms.positions + shift, atoms.numbers)
    here, there = (adjoint(p, a, spec, c, dtype=F64, threads=1) for p, a in ((points, atoms), (points + shift, moved)))
    assert adjoint_error(there, here) < 1e-10


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("threads", [2, 3, 50])
def test_the_same_bits_for_any_number_of_threads(
    crystal: tuple[Array, LocalAtoms], threads: int, dtype: torch.dtype
) -> None:
    spec = BispectrumSpec(twojmax=3)
    for one, other in zip(_cpu(*crystal, spec, dtype), _cpu(*crystal, spec, dtype, threads=threads), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_bits_whatever_the_order_of_atoms_and_others_far_away(crystal: tuple[Array, LocalAtoms]) -> None:
    spec, (points, atoms) = BispectrumSpec(twojmax=3), crystal
    expected = _cpu(points, atoms, spec)
    far = points.min(axis=0) - 4.68 - np.random.default_rng(3).uniform(0, 30, (50, 3))
    chosen = np.random.default_rng(2).permutation(len(atoms) + 50)
    positions = np.concatenate([atoms.positions, far])[chosen]
    found = _cpu(points, LocalAtoms(positions, np.full(len(positions), 4, np.int16)), spec)
    np.testing.assert_array_equal(found.gradient, np.concatenate([expected.gradient, np.zeros((50, 3))])[chosen])
    np.testing.assert_array_equal(found.virial, expected.virial)


@pytest.mark.parametrize(("dtype", "tolerance"), [(F32, 1e-6), (F64, 1e-14)])
def test_blocks_change_only_rounding(dtype: torch.dtype, tolerance: float) -> None:
    """Float32 as well: a point's numbers are the same to the bit, and their sums are in float64."""
    cells, grid = cell_with_grid(4.0)
    spec = BispectrumSpec(twojmax=3, cutoff=4.0)

    def in_the_cell(blocks: Any) -> Adjoint:
        gradient, virial = np.zeros((20, 3)), np.zeros((3, 3))
        for block in blocks:
            seen = cells.near_block(grid, block)
            part = _cpu(grid.points(block), seen, spec, dtype)
            np.add.at(gradient, seen.indices, part.gradient)
            virial += part.virial
        return Adjoint(gradient, virial)

    assert adjoint_error(in_the_cell(grid.blocks((4, 7, 3))), in_the_cell([grid.whole])) < tolerance


@pytest.mark.parametrize("lanes", [pytest.param(2, marks=pytest.mark.slow), 4, 8, 16])
def test_every_width_of_vectors_gives_the_same(
    crystal: tuple[Array, LocalAtoms], lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on processors with other registers: the order of the sums is another."""
    points, atoms = crystal[0][:37], crystal[1]
    spec = BispectrumSpec(twojmax=2)
    expected = _cpu(points, atoms, spec)
    monkeypatch.setattr(cpu_adjoint, "lanes_of", lambda _: lanes)
    assert adjoint_error(_cpu(points, atoms, spec), expected) < 1e-14


def test_beyond_what_it_compiles_the_choice_falls_on_torch() -> None:
    spec = BispectrumSpec(twojmax=CPU_TWOJMAX + 1, cutoff=3.0)
    with pytest.raises(InputError, match="backend"):
        _cpu([[0.0, 0, 0]], cluster([[1.0, 0, 0]]), spec)
    with pytest.raises(InputError, match="torch"):
        cpu_adjoint.bispectrum_adjoint(np.zeros((1, 3)), np.ones((1, 3)), np.ones(1), spec, np.ones((1, 9)), 1)


START = """
import sys, time, numpy as np
from maladist.descriptors import BispectrumSpec
from maladist.descriptors.bispectrum.cpu import bispectrum_cpu
where = np.zeros((1, 3)), np.ones((1, 3)), np.ones(1), BispectrumSpec(twojmax=2)
bispectrum_cpu(*where, np.dtype("f8"), 1)
assert "maladist.descriptors.bispectrum.cpu_adjoint" not in sys.modules
began = time.process_time()
from maladist.descriptors.bispectrum.cpu_adjoint import adjoint_version, bispectrum_adjoint, lanes_of, tile_adjoint
for name in ("f4", "f8"):
    bispectrum_adjoint(*where, np.ones((1, 5), name), 1)
stats = [tile_adjoint(2, lanes_of(np.dtype(name)), adjoint_version()).stats for name in ("f4", "f8")]
print(sum(sum(s.cache_misses.values()) for s in stats), time.process_time() - began)
"""


@pytest.mark.slow
def test_a_second_process_compiles_nothing_and_descriptors_alone_need_none_of_it(tmp_path: Path) -> None:
    assert_compiled_once(START, tmp_path)
