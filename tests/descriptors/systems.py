"""Small systems and a brute-force reference that the tests of descriptors share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from ase.data import atomic_numbers

from maladist.descriptors import Adjoint, BispectrumSpec, Spec
from maladist.descriptors.bispectrum.su2 import quadrature, tables
from maladist.descriptors.harmonics import gegenbauer
from maladist.grid import Grid
from maladist.neighbors import CellList, LocalAtoms

Array = npt.NDArray[np.float64]

SKEWED = [[3.0, 0.0, 0.0], [2.5, 2.2, 0.0], [-1.9, 1.0, 3.0]]


def around(cell: npt.ArrayLike, positions: Array, cutoff: float, symbols: Sequence[str]) -> LocalAtoms:
    """Atoms, images written out, that points inside the cell can see."""
    numbers = np.array([atomic_numbers[s] for s in symbols], dtype=np.int16)
    return CellList(np.asarray(cell, float), np.asarray(positions, float), numbers, cutoff).around([0] * 3, [1] * 3)


def random_system(
    cell: npt.ArrayLike,
    n_atoms: int,
    cutoff: float,
    elements: Sequence[str] = ("Be",),
    n_points: int = 30,
    seed: int = 0,
) -> tuple[Array, LocalAtoms]:
    """Random points in a cell of random atoms that takes the elements in turn."""
    rng = np.random.default_rng(seed)
    cell = np.asarray(cell, float)
    symbols = [elements[i % len(elements)] for i in range(n_atoms)]
    return rng.uniform(size=(n_points, 3)) @ cell, around(cell, rng.uniform(size=(n_atoms, 3)) @ cell, cutoff, symbols)


def cluster(positions: npt.ArrayLike, symbols: Sequence[str] | None = None) -> LocalAtoms:
    """Atoms as they are, no images."""
    positions = np.array(positions, dtype=float).reshape(-1, 3)
    numbers = [atomic_numbers[s] for s in symbols or ["Be"] * len(positions)]
    return LocalAtoms(positions, np.array(numbers, dtype=np.int16), np.arange(len(positions)))


def cell_with_grid(cutoff: float) -> tuple[CellList, Grid]:
    """Twenty atoms in a skewed cell, and a grid of 9×10×11 points, which blocks of 4×7×3 do not divide."""
    cell = np.array([[6.0, 0, 0], [1.0, 7.0, 0], [0, -1.0, 8.0]])
    positions = np.random.default_rng(0).uniform(size=(20, 3)) @ cell
    return CellList(cell, positions, np.full(20, 4, np.int16), cutoff), Grid(cell.tolist(), (9, 10, 11))


def relative_error(values: torch.Tensor, reference: torch.Tensor | Array) -> float:
    """Largest error of a column over the largest value of that column."""
    reference = torch.as_tensor(reference, dtype=torch.float64)
    return float(((values.double() - reference).abs().amax(0) / reference.abs().amax(0)).max())


def cotangent(points: npt.ArrayLike, spec: Spec) -> Array:
    """Cotangent that is the same for a point whatever other points there are."""
    phase = np.asarray(points) @ np.array([1.0, 2.3, 5.9])
    return np.cos(phase[:, None] * (1 + np.arange(spec.n_features)))


def adjoint_error(found: Adjoint, expected: Adjoint) -> float:
    """Largest error of the gradients, or of the virial, over the largest of their numbers."""
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, expected, strict=True))


def direct_bispectrum(points: Array, atoms: LocalAtoms, spec: BispectrumSpec) -> Array:
    """The definition, neighbour by neighbour: f_n(g) = Σ_k w_k U_n(⟨x_k, g⟩) + U_n(g_0); no moments, no batches.

    For rmin0 = 0 and weights 1 only.
    """
    nodes, constants = quadrature(spec.twojmax).nodes, tables(spec.twojmax)
    rows = []
    for point in points:
        vectors = atoms.positions - point
        r = np.linalg.norm(vectors, axis=1)
        vectors, r = vectors[r < spec.cutoff], r[r < spec.cutoff]
        angle = spec.rfac0 * np.pi * r / spec.cutoff
        quaternions = np.column_stack([np.cos(angle), vectors * (np.sin(angle) / r)[:, None]])
        fade = 0.5 * (np.cos(np.pi * r / spec.cutoff) + 1) if spec.switch else np.ones_like(r)
        weights = np.append(fade, 1.0)
        inner = np.vstack([quaternions, [1.0, 0, 0, 0]]) @ nodes.T
        f = [weights @ u for u in gegenbauer(inner, 1, spec.twojmax)]
        rows.append([(j + 1) * np.sum(constants.weights * f[j1] * f[j2] * f[j]) for j1, j2, j in constants.components])
    return np.array(rows)


def assert_compiled_once(code: str, cache: Path) -> None:
    """Run a program that prints how often it compiled and its CPU seconds, twice: first for two precisions, then not.

    Under a second of CPU time, where compiling takes several.
    """
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}

    def start() -> tuple[int, float]:
        command = [sys.executable, "-c", code]
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
        return int(printed[0]), float(printed[1])

    assert start()[0] == 2
    misses, seconds = start()
    assert misses == 0
    assert seconds < 1.0
