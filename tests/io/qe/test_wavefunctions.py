"""Binary files of Quantum ESPRESSO: fields that are known in closed form, and damage in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from maladist import EnergyGrid
from maladist.errors import DataFileError
from maladist.io.qe.run import DFTRun
from maladist.io.qe.wavefunctions import (
    DENSITY,
    ldos_of_states,
    plane_waves,
    read_density,
    read_states,
    write_density,
)
from maladist.units import BOHR, RYDBERG_BOHR2

SHAPE = (4, 3, 5)


def record(data: bytes) -> bytes:
    size = len(data).to_bytes(4, "little")
    return size + data + size


def density_file(miller: list[list[int]], coefficients: list[complex], gamma: bool) -> bytes:
    head = np.array([gamma, len(miller), 1], "<i4").tobytes()
    parts = [head, np.eye(3).tobytes(), np.array(miller, "<i4").tobytes(), np.array(coefficients, "<c16").tobytes()]
    return b"".join(map(record, parts))


def states_file(miller: list[list[int]], bands: list[list[complex]], gamma: bool, spinors: int = 1) -> bytes:
    head = np.array([1], "<i4").tobytes() + np.zeros(3).tobytes() + np.array([1, gamma], "<i4").tobytes()
    counts = np.array([len(miller), len(miller), spinors, len(bands)], "<i4").tobytes()
    parts = [head + bytes(4), counts, np.eye(3).tobytes(), np.array(miller, "<i4").tobytes()]
    return b"".join(map(record, [*parts, *(np.array(b, "<c16").tobytes() for b in bands)]))


def phase(h: int, k: int, m: int) -> np.ndarray:
    x, y, z = np.meshgrid(*(np.arange(n) / n for n in SHAPE), indexing="ij")
    return 2 * np.pi * (h * x + k * y + m * z)


@pytest.mark.parametrize("gamma", [False, True])
def test_a_density_of_two_waves(gamma: bool, tmp_path: Path) -> None:
    miller, coefficients = [[0, 0, 0], [1, 0, 1], [-1, 0, -1]], [0.5, 0.1 + 0.2j, 0.1 - 0.2j]
    if gamma:  # half of the sphere is stored
        miller, coefficients = miller[:2], coefficients[:2]
    (tmp_path / "charge-density.dat").write_bytes(density_file(miller, coefficients, gamma))
    wanted = 0.5 + 0.2 * np.cos(phase(1, 0, 1)) - 0.4 * np.sin(phase(1, 0, 1))
    np.testing.assert_allclose(read_density(tmp_path, SHAPE), wanted / BOHR**3, atol=1e-12)


# Sheared, so that no two axes are alike and few plane waves but ±G have one length.
CELL = np.array([[4.1, 0.2, -0.1], [0.4, 3.2, 0.3], [-0.2, 0.1, 5.3]])


def density(shape: tuple[int, int, int], miller: list[list[int]]) -> np.ndarray:
    """A field of few plane waves on a grid, whose mean is one."""
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"), axis=-1)
    waves = [0.1 / (i + 1) * np.cos(2 * np.pi * points @ np.array(g) + i) for i, g in enumerate(miller)]
    return 1.0 + np.sum(waves, axis=0)


def test_a_density_that_was_written_is_read_on_any_grid(tmp_path: Path) -> None:
    """Fourier interpolation: the file has plane waves, so a finer grid than the writer's shows the same field."""
    waves, volume = [[1, 0, 0], [-2, 1, 3], [0, 0, 4]], float(np.linalg.det(CELL))
    write_density(tmp_path / DENSITY, density((8, 7, 9), waves), CELL, 120.0, volume)
    for shape in ((8, 7, 9), (10, 9, 12)):
        np.testing.assert_allclose(read_density(tmp_path, shape), density(shape, waves), atol=1e-12)


def test_a_density_is_scaled_to_its_electrons_and_plane_waves_that_its_grid_lacks_are_zero(tmp_path: Path) -> None:
    field = density((4, 4, 4), [[1, 0, -1]])
    write_density(tmp_path / DENSITY, field, CELL, 400.0, 3.0)
    read = read_density(tmp_path, (12, 12, 14))
    assert read.mean() * np.linalg.det(CELL) == pytest.approx(3.0, rel=1e-12)
    np.testing.assert_allclose(read, density((12, 12, 14), [[1, 0, -1]]) * read.mean(), atol=1e-12)


def test_plane_waves_come_by_length_and_opposites_by_their_indices() -> None:
    miller = plane_waves(CELL, 100.0)
    lengths = np.linalg.norm(miller @ np.linalg.inv(CELL).T * 2 * np.pi, axis=1)
    assert (miller[0] == 0).all() and (np.diff(lengths) > -1e-8).all()
    np.testing.assert_array_equal(miller[1::2], -miller[2::2])
    assert all(tuple(g) < (0, 0, 0) for g in miller[1::2])  # the lower of two opposites is the first
    # As many as the sphere has room for: its volume over that of the reciprocal cell, to its surface.
    radius = np.sqrt(100.0 / RYDBERG_BOHR2)
    assert len(miller) == pytest.approx(radius**3 * np.linalg.det(CELL) / (6 * np.pi**2), rel=0.05)
    assert lengths.max() <= radius


def test_states_have_a_mean_of_one_and_spinors_add_up(tmp_path: Path) -> None:
    path = tmp_path / "wfc1.dat"
    path.write_bytes(states_file([[0, 0, 0], [0, 1, 0]], [[1, 0], [0.6, 0.8j]], gamma=False))
    plane, mixed = read_states(path, SHAPE)
    np.testing.assert_allclose(plane, 1.0)
    np.testing.assert_allclose(mixed, 1.0 - 2 * 0.6 * 0.8 * np.sin(phase(0, 1, 0)), atol=1e-12)
    path.write_bytes(states_file([[0, 0, 0], [0, 1, 0]], [[0.6, 0, 0, 0.8]], gamma=False, spinors=2))
    (spinor,) = read_states(path, SHAPE)
    np.testing.assert_allclose(spinor, 1.0)


def test_the_ldos_of_plane_waves(tmp_path: Path) -> None:
    """One state a k-point, each with |ψ|² = 1: d = Σ_k w_k K((ε − ε_k)/δ)/(δ Ω), the same everywhere."""
    atoms = Atoms("H", [[0, 0, 0]], cell=[2.0, 3.0, 4.0], pbc=True)
    run = DFTRun(Path("x"), atoms, SHAPE, eigenvalues=np.array([[-1.0], [2.0]]), weights=np.array([0.5, 1.5]))
    for k in (1, 2):
        (tmp_path / f"wfc{k}.dat").write_bytes(states_file([[0, 0, 0]], [[1.0]], gamma=False))
    energies = EnergyGrid(-4.0, 0.1, 100, "gaussian", 0.3)
    ldos = ldos_of_states(tmp_path, run, energies)
    x = (energies.values[:, None] - [-1.0, 2.0]) / 0.3
    wanted = (np.exp(-(x**2)) / np.sqrt(np.pi) / 0.3 * [0.5, 1.5]).sum(axis=1) / 24.0
    np.testing.assert_allclose(ldos, np.broadcast_to(wanted, (*SHAPE, 100)), rtol=1e-6, atol=1e-12)
    (tmp_path / "wfc2.dat").write_bytes(states_file([[0, 0, 0]], [[1.0], [1.0]], gamma=False))
    with pytest.raises(DataFileError, match=r"wfc2\.dat: 2 bands; wanted 1"):
        ldos_of_states(tmp_path, run, energies)


@pytest.mark.parametrize("keep", [2, 3, 30, -1, -5])
def test_a_file_that_is_cut_is_one_line(keep: int, tmp_path: Path) -> None:
    whole = density_file([[0, 0, 0]], [1.0], gamma=False)
    (tmp_path / "charge-density.dat").write_bytes(whole[:keep])
    with pytest.raises(DataFileError, match=r"charge-density\.dat: is truncated or of another kind"):
        read_density(tmp_path, SHAPE)


@pytest.mark.parametrize("content", [b"", b"\x00" * 8, record(b"abcd"), b"text, not records", record(bytes(12)) * 3])
def test_another_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "charge-density.dat").write_bytes(content)
    with pytest.raises(DataFileError, match=r"charge-density\.dat: "):
        read_density(tmp_path, SHAPE)
    with pytest.raises(DataFileError, match="cannot be read"):
        read_density(tmp_path / "nowhere", SHAPE)
    (tmp_path / "wfc1.dat").write_bytes(content)
    with pytest.raises(DataFileError, match=r"wfc1\.dat: "):
        list(read_states(tmp_path / "wfc1.dat", SHAPE))


def test_coefficients_that_do_not_fit_their_waves(tmp_path: Path) -> None:
    (tmp_path / "charge-density.dat").write_bytes(density_file([[0, 0, 0], [1, 0, 0]], [1.0], gamma=False))
    with pytest.raises(DataFileError, match=r"charge-density\.dat: "):
        read_density(tmp_path, SHAPE)
