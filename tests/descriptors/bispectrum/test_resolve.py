"""Elements resolved: each has the bispectrum of its atoms alone, whatever the kernel, and nothing else has changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maladist.descriptors import BispectrumSpec, Spec, adjoint, evaluate, spec_from_dict
from maladist.errors import AtomsError, InputError
from maladist.grid import Grid
from maladist.neighbors import CellList, LocalAtoms
from tests.descriptors.systems import SKEWED, cluster, random_system, relative_error

F64 = torch.float64
WEIGHTS = {"Al": 0.4, "Be": 1.0, "O": -1.3}
RESOLVED = BispectrumSpec(3, 3.7, rmin0=0.2, weights=WEIGHTS, quadratic=True, resolve="elements")
BACKENDS = ["torch", "cpu", pytest.param("lammps", marks=pytest.mark.lammps)]
EXACT = 1e-11  # rounding of float64 sums, of a column's largest value


def _system() -> tuple[np.ndarray, LocalAtoms]:
    return random_system(SKEWED, 5, 3.7, ("Be", "Al", "O"), n_points=40)


def _of_element(number: int, atoms: LocalAtoms) -> LocalAtoms:
    here = atoms.numbers == number
    return LocalAtoms(atoms.positions[here], atoms.numbers[here])


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_channel_is_the_bispectrum_of_one_elements_atoms(backend: str) -> None:
    points, atoms = _system()
    found = evaluate(points, atoms, RESOLVED, backend=backend, dtype=F64)
    assert found.shape == (40, RESOLVED.n_features)
    for part, (symbol, number) in zip(found.chunk(3, dim=1), (("Al", 13), ("Be", 4), ("O", 8)), strict=True):
        alone = BispectrumSpec(3, 3.7, rmin0=0.2, weights={symbol: WEIGHTS[symbol]}, quadratic=True)
        expected = evaluate(points, _of_element(number, atoms), alone, backend="torch", dtype=F64)
        assert relative_error(part, expected) < EXACT


def test_the_compiled_adjoint_is_autograd() -> None:
    points, atoms = _system()
    c = np.random.default_rng(2).normal(size=(40, RESOLVED.n_features))
    found, expected = (adjoint(points, atoms, RESOLVED, c, backend=b, dtype=F64, threads=1) for b in ("cpu", "torch"))
    assert np.abs(found.gradient - expected.gradient).max() < EXACT * np.abs(expected.gradient).max()
    assert np.abs(found.virial - expected.virial).max() < EXACT * np.abs(expected.virial).max()


def test_exchanged_elements_exchange_their_channels() -> None:
    """What no weights of one bispectrum have: either element's surroundings by themselves."""
    points, atoms = random_system(SKEWED, 4, 3.0, ("Be", "Al"))
    spec = BispectrumSpec(4, 3.0, weights={"Al": 1.0, "Be": 1.0}, resolve="elements")
    exchanged = LocalAtoms(atoms.positions, np.where(atoms.numbers == 4, 13, 4).astype(np.int16))
    aluminium, beryllium = evaluate(points, atoms, spec, dtype=F64).chunk(2, dim=1)
    assert relative_error(aluminium, beryllium) > 0.1
    assert torch.equal(torch.cat([beryllium, aluminium], dim=1), evaluate(points, exchanged, spec, dtype=F64))


@pytest.mark.parametrize("backend", ["torch", "cpu"])
def test_an_element_out_of_sight_leaves_the_point_itself(backend: str) -> None:
    spec = BispectrumSpec(2, 3.0, weights={"Be": 1.0, "Al": 1.0}, resolve="elements")
    alone = BispectrumSpec(2, 3.0)
    found = evaluate([[0.0, 0, 0]], cluster([[1.0, 0, 0]], ["Be"]), spec, backend=backend, dtype=F64)
    nothing, something = (
        evaluate([[0.0, 0, 0]], cluster(where), alone, backend="torch", dtype=F64) for where in ([], [[1.0, 0, 0]])
    )
    assert torch.allclose(found, torch.cat([nothing, something], dim=1), rtol=EXACT)
    c = np.ones((1, spec.n_features))
    of_atom = adjoint([[0.0, 0, 0]], cluster([[1.0, 0, 0]], ["Be"]), spec, c, backend=backend, dtype=F64)
    assert of_atom.gradient.shape == (1, 3)
    assert np.isfinite(of_atom.gradient).all()


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_same_bits_for_one_block_and_for_many(dtype: torch.dtype) -> None:
    cell = np.array([[6.0, 0, 0], [1.0, 7.0, 0], [0, -1.0, 8.0]])
    positions = np.random.default_rng(0).uniform(size=(20, 3)) @ cell
    cells, grid = CellList(cell, positions, np.array([4, 13] * 10, np.int16), 4.0), Grid(cell.tolist(), (5, 6, 7))
    spec = BispectrumSpec(3, 4.0, weights={"Be": 1.0, "Al": 1.0}, resolve="elements")
    whole = evaluate(grid.points(), cells.near_block(grid, grid.whole), spec, dtype=dtype).reshape(5, 6, 7, -1)
    for block in grid.blocks((3, 4, 2)):
        part = evaluate(grid.points(block), cells.near_block(grid, block), spec, dtype=dtype)
        assert torch.equal(part.reshape(*block.shape, -1), whole[block.slices])


def test_elements_get_the_weight_1_and_are_told_apart() -> None:
    spec = BispectrumSpec(2, resolve="elements")
    assert spec.for_elements(["Si", "C", "Si"]).weights == {"C": 1.0, "Si": 1.0}
    assert spec.for_elements(["Si", "C"]).n_features == 10
    assert spec.for_elements(["Be"]).n_features == 5
    given = BispectrumSpec(2, resolve="elements", weights={"Si": 2.0, "C": 2.0})
    assert given.for_elements(["Si", "C"]) == given
    assert given.indistinct(["Si", "C"]) == ()


def test_what_cannot_be_resolved_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="resolve"):
        BispectrumSpec(resolve="atoms")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="weights"):
        evaluate([[0.0, 0, 0]], cluster([[1.0, 0, 0]]), BispectrumSpec(2, resolve="elements"))
    with pytest.raises(AtomsError, match="O"):
        evaluate([[0.0, 0, 0]], cluster([[1.0, 0, 0]], ["O"]), BispectrumSpec(2, resolve="elements", weights={"C": 1}))


def test_files_from_before_are_read_and_written_as_they_were() -> None:
    written = {"family": "bispectrum", "twojmax": 4, "cutoff": 3.0, "rfac0": 0.9, "rmin0": 0.0, "switch": True}
    written |= {"weights": {}, "quadratic": False}
    spec: Spec = spec_from_dict(written)
    assert spec.to_dict() == written
    assert spec_from_dict(RESOLVED.to_dict()) == RESOLVED
