"""The reciprocal lattice of a grid, brick by brick.

A real field on a grid of shape (Nx, Ny, Nz) has its Fourier coefficients on the half space (Nx, Ny, Nz // 2 + 1) that
``rfftn`` returns, n(G) = (1/N) Σ_r n(r) exp(−iG·r). Every kernel of the physics takes coefficients on a
:class:`ReciprocalSlab`, any brick of that half space, so that one task with the whole transform and many tasks with a
slab each run the same lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from maladist.errors import GridError
from maladist.grid import Grid
from maladist.units import RYDBERG_BOHR2

Device = torch.device | str


@dataclass(frozen=True)
class ReciprocalSlab:
    """A brick start ≤ (i, j, k) < stop of the half space of a grid's reciprocal lattice.

    Attributes
    ----------
    grid
        Grid in real space.
    start, stop
        Indices into the half space (Nx, Ny, Nz // 2 + 1), in the order of ``rfftn``.

    Raises
    ------
    GridError
        The brick is empty or leaves the half space.
    """

    grid: Grid
    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def __post_init__(self) -> None:
        bounds = zip(self.start, self.stop, half_shape(self.grid), strict=True)
        if not all(0 <= a < b <= n for a, b, n in bounds):
            wanted = f"a brick of the half space {half_shape(self.grid)}"
            raise GridError("slab", f"{self.start} to {self.stop}", wanted)

    @classmethod
    def whole(cls, grid: Grid) -> ReciprocalSlab:
        """The whole half space of a grid."""
        return cls(grid, (0, 0, 0), half_shape(grid))

    @classmethod
    def of_y(cls, grid: Grid, start: int, stop: int) -> ReciprocalSlab:
        """The slab of the half space between two indices along its second axis, and all of the others."""
        nx, _, nh = half_shape(grid)
        return cls(grid, (0, start, 0), (nx, stop, nh))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of coefficients along each axis."""
        a, b = self.start, self.stop
        return (b[0] - a[0], b[1] - a[1], b[2] - a[2])

    def integers(self, axis: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Signed integer coordinates of G along one reciprocal vector, (shape[axis],) int64.

        The Nyquist coefficient of an even size counts as positive.
        """
        n = self.grid.shape[axis]
        index = np.arange(self.start[axis], self.stop[axis], dtype=np.int64)
        # The second half of an axis are the negative coordinates, as an FFT orders them.
        return np.where(index > n // 2, index - n, index)

    def _coordinates(self, device: Device) -> tuple[Tensor, Tensor, Tensor]:
        """Integer coordinates as float64, shaped to broadcast against one another."""
        x, y, z = (torch.tensor(self.integers(a), dtype=torch.float64, device=device) for a in range(3))
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def component(self, axis: int, device: Device = "cpu") -> Tensor:
        """Cartesian component of G, (shape) float64, 1/Å."""
        b = self.grid.reciprocal
        x, y, z = self._coordinates(device)
        # In this order of sums, whatever the slab: one task and many tasks then have the same bits.
        return (x * b[0, axis] + y * b[1, axis]) + z * b[2, axis]

    def squared(self, device: Device = "cpu") -> Tensor:
        """|G|², (shape) float64, 1/Å²."""
        # The metric of the reciprocal lattice: no array of vectors is needed.
        m = self.grid.reciprocal @ self.grid.reciprocal.T
        x, y, z = self._coordinates(device)
        return (self.squared_in_plane(device) + z * (2 * m[0, 2] * x + 2 * m[1, 2] * y)) + z * z * m[2, 2]

    def squared_in_plane(self, device: Device = "cpu") -> Tensor:
        """|G|² of the G along the first two reciprocal vectors, (shape[0], shape[1], 1) float64, 1/Å²."""
        m = self.grid.reciprocal @ self.grid.reciprocal.T
        x, y, _ = self._coordinates(device)
        return x * x * m[0, 0] + y * y * m[1, 1] + x * y * (2 * m[0, 1])

    def outer_sum(self, weight: Tensor) -> Tensor:
        """Σ_G weight G_a G_b over the slab, (3, 3) float64, on the device of the weight."""
        components = [self.component(axis, weight.device) for axis in range(3)]
        rows = [torch.stack([(weight * a * b).sum() for b in components]) for a in components]
        return torch.stack(rows)

    def multiplicity(self, device: Device = "cpu") -> Tensor:
        """How often a coefficient counts in a sum over the whole space: once where −G is in the half space, else twice.

        Shape (1, 1, shape[2]) float64.
        """
        n = self.grid.shape[2]
        index = np.arange(self.start[2], self.stop[2])
        # On these two planes −G is in the half space itself.
        once = (index == 0) | (2 * index == n)
        return torch.tensor(np.where(once, 1.0, 2.0)[None, None, :], device=device)

    def sphere(self, cutoff: float, device: Device = "cpu") -> Tensor:
        """Whether ħ²G²/2m ≤ cutoff (eV), (shape) bool.

        Nyquist coefficients of even sizes never belong to it: they stand for +G and −G at once and have no gradient.
        """
        inside = self.squared(device) <= cutoff / RYDBERG_BOHR2
        for axis, coordinate in enumerate(self._coordinates(device)):
            if self.grid.shape[axis] % 2 == 0:
                inside = inside & (coordinate != self.grid.shape[axis] // 2)
        return inside


def half_shape(grid: Grid) -> tuple[int, int, int]:
    """Shape of the coefficients that ``rfftn`` returns for a grid."""
    nx, ny, nz = grid.shape
    return (nx, ny, nz // 2 + 1)


def largest_cutoff(grid: Grid) -> float:
    """Kinetic energy ħ²G²/2m (eV) of the largest sphere that a grid resolves in every direction.

    The sphere just short of the first G that the grid cannot tell from −G or from a shorter one.
    """
    lengths = np.linalg.norm(grid.cell_array, axis=1)
    # Of even sizes the Nyquist coefficient is missing too: it stands for +G and −G.
    first_missing = (np.array(grid.shape) - 1) // 2 + 1
    radius = float(np.min(2 * np.pi * first_missing / lengths))
    return RYDBERG_BOHR2 * radius**2 * (1 - 1e-9)


def resolving_shape(cell: npt.ArrayLike, cutoff: float) -> tuple[int, int, int]:
    """Fewest points along the lattice vectors of a grid whose `largest_cutoff` is a cutoff (eV) or more."""
    lengths = np.linalg.norm(np.asarray(cell, dtype=float), axis=1)
    first_missing = np.ceil(lengths * np.sqrt(cutoff / RYDBERG_BOHR2 / (1 - 1e-9)) / (2 * np.pi)).astype(int)
    nx, ny, nz = (2 * int(m) - 1 for m in np.maximum(first_missing, 1))
    return nx, ny, nz


def to_reciprocal(field: Tensor) -> Tensor:
    """Fourier coefficients of a real field on the whole grid, (Nx, Ny, Nz) -> (Nx, Ny, Nz // 2 + 1) complex."""
    return torch.fft.rfftn(field, norm="forward")


def to_real(coefficients: Tensor, grid: Grid) -> Tensor:
    """Real field on the whole grid from its Fourier coefficients; the inverse of :func:`to_reciprocal`."""
    return torch.fft.irfftn(coefficients, s=grid.shape, norm="forward")
