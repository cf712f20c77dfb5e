"""The torch backend against its definition, against stored descriptors, and its derivatives."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

from maladist.descriptors import BispectrumSpec, evaluate
from maladist.descriptors.bispectrum.su2 import components
from maladist.grid import Grid
from maladist.neighbors import CellList, LocalAtoms
from tests.descriptors.systems import SKEWED, cluster, direct_bispectrum, random_system, relative_error

F64, F32 = torch.float64, torch.float32

EXACT = 1e-11
"""Rounding of float64 sums of up to 3740 nodes and 100 neighbours, of a column's largest value; 1e-13 is typical."""

SINGLE = 1e-5
"""The same in float32: 8e-6 at twojmax 14."""


def _torch(points: object, atoms: LocalAtoms, spec: BispectrumSpec, dtype: torch.dtype = F64) -> torch.Tensor:
    return evaluate(points, atoms, spec, backend="torch", dtype=dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize("twojmax", range(15))
def test_it_is_the_definition_for_every_twojmax(twojmax: int) -> None:
    points, atoms = random_system(np.eye(3) * 5, 12, 4.0, n_points=10)
    spec = BispectrumSpec(twojmax=twojmax, cutoff=4.0)
    expected = direct_bispectrum(points, atoms, spec)
    assert relative_error(_torch(points, atoms, spec), expected) < EXACT
    assert relative_error(_torch(points, atoms, spec, F32), expected) < SINGLE


@pytest.mark.parametrize("switch", [True, False])
@pytest.mark.parametrize(
    ("cell", "n_atoms"),
    [(np.diag([1.8, 1.9, 2.0]), 1), (SKEWED, 3), (np.diag([2.0, 9.0, 3.0]), 4)],
    ids=["tiny", "skewed", "flat"],
)
def test_it_is_the_definition_in_tiny_and_skewed_cells(cell: object, n_atoms: int, switch: bool) -> None:
    points, atoms = random_system(cell, n_atoms, 4.5, n_points=10)  # type: ignore[arg-type]
    spec = BispectrumSpec(twojmax=6, cutoff=4.5, switch=switch)
    assert relative_error(_torch(points, atoms, spec), direct_bispectrum(points, atoms, spec)) < EXACT


def test_no_neighbour_leaves_the_point_itself() -> None:
    """Each component is (j + 1) ∫ U_j1 U_j2 U_j: characters of SU(2), whose integral is 1 where the triangle holds."""
    spec = BispectrumSpec(twojmax=6)
    values = _torch([[50.0, 0, 0]], cluster([[0, 0, 0]]), spec)[0]
    np.testing.assert_allclose(values, [j + 1 for *_, j in components(6)], rtol=1e-12)
    assert torch.equal(_torch([[50.0, 0, 0]], cluster(np.empty((0, 3))), spec)[0], values)


def test_an_atom_on_a_point_is_the_limit_of_one_that_comes_near() -> None:
    spec = BispectrumSpec(twojmax=8)
    others = np.random.default_rng(0).uniform(-3, 3, (20, 3))
    on, near = (_torch([[0.0, 0, 0]], cluster([[x, 0, 0], *others]), spec) for x in (0.0, 1e-7))
    torch.testing.assert_close(on, near, rtol=1e-6, atol=1e-6 * float(on.max()))


def test_the_atom_on_a_point_weighs_as_much_as_the_point() -> None:
    spec = BispectrumSpec(twojmax=4)
    alone, doubled = (_torch([[0.0, 0, 0]], cluster(x), spec) for x in (np.empty((0, 3)), [[0, 0, 0]]))
    torch.testing.assert_close(doubled, 8 * alone, rtol=1e-6, atol=0)


def test_an_atom_at_the_cutoff_is_not_seen() -> None:
    spec = BispectrumSpec(twojmax=4, cutoff=2.0, switch=False)
    outside, inside = (_torch([[0.0, 0, 0]], cluster([[x, 0, 0]]), spec) for x in (2.0, np.nextafter(2.0, 0)))
    alone = _torch([[0.0, 0, 0]], cluster(np.empty((0, 3))), spec)
    assert torch.equal(outside, alone)
    assert not torch.allclose(inside, alone)


def test_weights_scale_the_neighbours_of_their_element() -> None:
    """Two atoms of weight ½ at one place are one atom of weight 1."""
    points, spec = [[0.1, 0.2, 0.3]], BispectrumSpec(twojmax=4, weights={"Al": 0.5, "Be": 1.0})
    two = _torch(points, cluster([[1.0, 0, 0], [1.0, 0, 0]], ["Al", "Al"]), spec)
    one = _torch(points, cluster([[1.0, 0, 0]], ["Be"]), spec)
    torch.testing.assert_close(two, one)


def test_quadratic_features_are_the_products_row_by_row_with_half_squares() -> None:
    points, atoms = random_system(SKEWED, 3, 3.0, n_points=4)
    b = _torch(points, atoms, BispectrumSpec(twojmax=2, cutoff=3.0))
    full = _torch(points, atoms, BispectrumSpec(twojmax=2, cutoff=3.0, quadratic=True))
    products = [b[:, i] * b[:, j] * (0.5 if i == j else 1.0) for i in range(5) for j in range(i, 5)]
    torch.testing.assert_close(full, torch.cat([b, torch.stack(products, dim=1)], dim=1))


@pytest.mark.parametrize("n_points", [1, 7, 400])
def test_the_batches_cannot_be_seen(n_points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    points, atoms = random_system(np.eye(3) * 9, 50, 3.0, n_points=n_points)
    spec = BispectrumSpec(twojmax=5, cutoff=3.0)
    whole = _torch(points, atoms, spec)
    monkeypatch.setattr("maladist.descriptors.moments._CPU_BUDGET", 10_000)
    monkeypatch.setattr("maladist.descriptors.bispectrum.torch_kernel._CPU_TILE", 1)
    assert relative_error(_torch(points, atoms, spec), whole) < EXACT


@pytest.mark.parametrize(
    "spec",
    [
        BispectrumSpec(twojmax=3, cutoff=3.0),
        BispectrumSpec(twojmax=2, cutoff=3.0, switch=False),
        BispectrumSpec(twojmax=2, cutoff=3.0, rmin0=0.4),
        BispectrumSpec(twojmax=2, cutoff=3.0, quadratic=True),
    ],
    ids=["plain", "no switch", "rmin0", "quadratic"],
)
def test_gradients_with_respect_to_positions(spec: BispectrumSpec) -> None:
    points = [[0.0, 0, 0], [0.7, 0.2, -0.1]]
    positions = torch.tensor([[0.8, -0.5, 0.4], [-0.3, 0.6, 1.1], [-1.0, -1.0, 0.2]], dtype=F64, requires_grad=True)
    atoms = cluster(positions.detach().numpy())

    def value(x: torch.Tensor) -> torch.Tensor:
        return evaluate(points, atoms, spec, dtype=F64, positions=x)

    assert torch.autograd.gradcheck(value, positions)


def test_gradients_with_an_atom_exactly_on_a_point() -> None:
    spec = BispectrumSpec(twojmax=3, cutoff=3.0)
    positions = torch.tensor([[0.0, 0, 0], [-0.3, 0.6, 1.1]], dtype=F64, requires_grad=True)
    atoms = cluster(positions.detach().numpy())

    def value(x: torch.Tensor) -> torch.Tensor:
        return evaluate([[0.0, 0, 0]], atoms, spec, dtype=F64, positions=x)

    # Curvature makes the analytic gradient, taken 1e-8 Å off, differ by 1e-8 times the second derivative.
    assert torch.autograd.gradcheck(value, positions, atol=1e-4)


@pytest.mark.parametrize("rmin0", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_gradients_are_finite_with_an_atom_on_a_point_even_where_no_limit_exists(
    rmin0: float, dtype: torch.dtype
) -> None:
    spec = BispectrumSpec(twojmax=10, rmin0=rmin0)
    positions = torch.tensor([[0.0, 0, 0], [-0.3, 0.6, 1.1]], dtype=F64, requires_grad=True)
    values = evaluate([[0.0, 0, 0]], cluster(positions.detach().numpy()), spec, dtype=dtype, positions=positions)
    (gradient,) = torch.autograd.grad(values.sum(), positions)
    assert torch.isfinite(values).all()
    assert torch.isfinite(gradient).all()


def test_gradients_with_respect_to_points_are_minus_those_of_all_atoms_together() -> None:
    spec = BispectrumSpec(twojmax=4, cutoff=3.0)
    points = torch.tensor([[0.1, 0.2, 0.3]], dtype=F64, requires_grad=True)
    positions = torch.tensor([[0.8, -0.5, 0.4], [-0.3, 0.6, 1.1]], dtype=F64, requires_grad=True)
    total = evaluate(points, cluster(positions.detach().numpy()), spec, dtype=F64, positions=positions).sum()
    of_points, of_positions = torch.autograd.grad(total, (points, positions))
    torch.testing.assert_close(of_points.sum(0), -of_positions.sum(0))


def test_a_gradient_keeps_no_batch_in_memory_but_what_it_started_from() -> None:
    points, atoms = random_system(np.eye(3) * 6, 12, 4.0, n_points=500)
    positions, saved = torch.tensor(atoms.positions, requires_grad=True), []

    def note(x: torch.Tensor) -> torch.Tensor:
        saved.append(x.nbytes)
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        evaluate(points, atoms, BispectrumSpec(twojmax=6, cutoff=4.0), positions=positions)
    assert 0 < sum(saved) < 500 * 200  # f_n on 470 nodes alone would be 13 kB a point


def _stored(folder: Path, snapshot: int) -> tuple[np.ndarray, LocalAtoms, np.ndarray]:
    """Points, atoms and stored descriptors (float32) of a snapshot of Be2."""
    atoms = ase.io.read(folder / "be2" / f"Be_snapshot{snapshot}.out")
    stored = np.load(folder / "be2" / f"Be_snapshot{snapshot}.in.npy")
    grid = Grid(atoms.cell.array.tolist(), stored.shape[:3])
    cells = CellList(atoms.cell.array, atoms.positions, atoms.numbers.astype(np.int16), BispectrumSpec().cutoff)
    return grid.points(), cells.near_block(grid, grid.whole), stored.reshape(-1, 94)[:, 3:]


@pytest.mark.slow
def test_stored_descriptors_of_beryllium_are_met_on_every_point(shared_data: Path) -> None:
    """≤ 1e-6 of a column's maximum is asked; the stored ones are rounded to float32, 6e-8."""
    points, atoms, stored = _stored(shared_data, 0)
    assert relative_error(_torch(points, atoms, BispectrumSpec()), stored) < 1.2e-7


def test_stored_descriptors_of_beryllium_are_met_in_both_precisions(shared_data: Path) -> None:
    points, atoms, stored = _stored(shared_data, 1)
    some = np.random.default_rng(0).choice(len(points), 300, replace=False)
    scale = np.abs(stored).max(0)
    for dtype, wanted in ((F64, 1e-6), (F32, 2e-5)):
        error = np.abs(_torch(points[some], atoms, BispectrumSpec(), dtype).numpy() - stored[some]).max(0)
        assert (error / scale).max() < wanted
