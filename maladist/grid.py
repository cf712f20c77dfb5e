"""Real-space grids and the blocks they are cut into: frozen and self-validating.

Point (i, j, k) of a grid of shape (Nx, Ny, Nz) lies at i/Nx·a + j/Ny·b + k/Nz·c, with the rows of ``cell`` as a, b, c.
Blocks form a regular lattice with ragged ends only; their index runs in C order (z fastest).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from maladist.arrays import Array
from maladist.errors import GridError
from maladist.reprs import html_table

_FACTORS = (2, 3, 5, 7)

MOST_POINTS: Final = 10**11
"""Most points of a grid: a density of 0.8 TB, of some twenty million atoms. Loops over more would not end."""

MOST_BLOCKS: Final = 10**7
"""Most blocks of a grid; each is a task."""


def fft_friendly(n: int) -> int:
    """Return the smallest integer ≥ n whose prime factors are 2, 3, 5 and 7 only."""
    while not _is_friendly(n):
        n += 1
    return n


def _is_friendly(n: int) -> bool:
    for p in _FACTORS:
        while n % p == 0:
            n //= p
    return n == 1


@dataclass(frozen=True)
class Block:
    """A brick of a grid: points start ≤ (i, j, k) < stop.

    Attributes
    ----------
    index
        Number of the block in its grid, C order.
    start, stop
        Indices of the first point and of the one behind the last, three each.
    """

    index: int
    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of points in each direction."""
        a, b = self.start, self.stop
        return (b[0] - a[0], b[1] - a[1], b[2] - a[2])

    @property
    def n_points(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Slices that cut the block out of an array of the grid's shape."""
        a, b = self.start, self.stop
        return (slice(a[0], b[0]), slice(a[1], b[1]), slice(a[2], b[2]))


@dataclass(frozen=True)
class Grid:
    """A periodic real-space grid.

    Attributes
    ----------
    cell
        Lattice vectors as rows, Å (any 3×3 sequence is accepted and stored as tuples).
    shape
        Number of points along a, b and c.

    Raises
    ------
    GridError
        The cell is not 3×3, finite and of positive volume, or the shape is not three positive integers.
    """

    cell: Sequence[Sequence[float]]
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        try:
            cell = np.asarray(self.cell, dtype=float)
            shape = tuple(int(n) for n in self.shape)
        except (TypeError, ValueError, OverflowError) as error:
            raise GridError(
                "grid", f"{self.cell!r:.80}, {self.shape!r:.80}", "a 3×3 cell and three integers"
            ) from error
        if cell.shape != (3, 3) or not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-6:
            raise GridError("cell", f"{cell.tolist()}", "three finite, linearly independent vectors in Å")
        if len(shape) != 3 or min(shape) < 1 or any(a != b for a, b in zip(shape, self.shape, strict=True)):
            raise GridError("grid", f"{tuple(self.shape)}", "three positive integers NX NY NZ")
        if math.prod(shape) > MOST_POINTS:
            raise GridError("grid", f"{math.prod(shape):.3g} points", f"at most {MOST_POINTS:.0e}")
        # Tuples: a grid can then be compared and hashed, and nobody changes an array that others hold.
        object.__setattr__(self, "cell", tuple(tuple(map(float, row)) for row in cell))
        object.__setattr__(self, "shape", shape)

    def __repr__(self) -> str:
        nx, ny, nz = self.shape
        lengths, angles = self._lengths_and_angles()
        return (
            f"<Grid {nx} × {ny} × {nz}: a, b, c {' '.join(f'{x:.3f}' for x in lengths)} Å, "
            f"α, β, γ {' '.join(f'{x:.2f}' for x in angles)}°>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (axis, f"{n}", f"{h:.4f}", f"{length:.4f}", *(f"{x:.4f}" for x in vector))
            for axis, n, h, length, vector in zip(
                "abc", self.shape, self.spacing, self._lengths_and_angles()[0], self.cell_array, strict=True
            )
        ]
        title = f"Grid of {self.n_points} points, {self.volume:.3f} Å³"
        return html_table(title, rows, ("", "points", "spacing (Å)", "length (Å)", "x", "y", "z"))

    def _lengths_and_angles(self) -> tuple[Array, Array]:
        """a, b, c in Å and α, β, γ in degrees."""
        lengths = np.linalg.norm(self.cell_array, axis=1)
        units = self.cell_array / lengths[:, None]
        cosines = np.array([units[i] @ units[j] for i, j in ((1, 2), (0, 2), (0, 1))])
        return lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))

    @classmethod
    def from_spacing(cls, cell: npt.ArrayLike, spacing: Sequence[float]) -> Grid:
        """Grid of a cell with at most the given spacing (Å) along a, b and c, at FFT-friendly sizes.

        A size that is FFT-friendly and within 0.1 % of the spacing is taken as it is, so that a supercell of the
        cell that the spacing came from gets a multiple of its grid.
        """
        lengths = np.linalg.norm(np.asarray(cell, dtype=float), axis=1)
        wanted = [length / h for length, h in zip(lengths, spacing, strict=True)]
        if not math.prod(wanted) <= MOST_POINTS:
            came = (
                f"a cell of {' × '.join(f'{x:.4g}' for x in lengths)} Å by {' × '.join(f'{x:.4g}' for x in spacing)} Å"
            )
            raise GridError("grid", came, f"at most {MOST_POINTS:.0e} points")
        # A thousandth of slack: a spacing that was measured on a grid must give that grid back in spite of rounding.
        nx, ny, nz = (fft_friendly(max(1, math.ceil(n * (1 - 1e-3)))) for n in wanted)
        return cls(np.asarray(cell, dtype=float).tolist(), (nx, ny, nz))

    @cached_property
    def cell_array(self) -> Array:
        """Lattice vectors as rows, (3, 3) float64, Å."""
        return np.array(self.cell)

    @cached_property
    def reciprocal(self) -> Array:
        """Reciprocal lattice vectors as rows, with the factor 2π, (3, 3) float64, 1/Å."""
        return np.asarray(2 * np.pi * np.linalg.inv(self.cell_array).T)

    @property
    def n_points(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    @cached_property
    def volume(self) -> float:
        """Volume of the cell, Å³."""
        return float(abs(np.linalg.det(self.cell_array)))

    @property
    def voxel_volume(self) -> float:
        """Volume that belongs to a point, Å³."""
        return self.volume / self.n_points

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring points along a, b and c, Å."""
        a, b, c = (float(x) / n for x, n in zip(np.linalg.norm(self.cell_array, axis=1), self.shape, strict=True))
        return (a, b, c)

    @property
    def whole(self) -> Block:
        """The block that is the whole grid."""
        return Block(0, (0, 0, 0), self.shape)

    def points(self, block: Block | None = None) -> Array:
        """Cartesian positions of a block's points in C order, (n_points, 3) float64, Å."""
        block = self.whole if block is None else block
        axes = [np.arange(a, b) / n for a, b, n in zip(block.start, block.stop, self.shape, strict=True)]
        # Through fractional coordinates of the whole grid: a point has the same bits in whichever block it is.
        fractional = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        return np.asarray(fractional @ self.cell_array)

    def blocks(self, block_shape: Sequence[int]) -> Blocks:
        """Cut the grid into blocks of at most ``block_shape`` points."""
        # A block larger than the grid is the grid: (10**6,) * 3 is a way to ask for one block.
        bx, by, bz = (min(int(b), n) for b, n in zip(block_shape, self.shape, strict=True))
        blocks = Blocks(self, (bx, by, bz))
        if math.prod(blocks.counts) > MOST_BLOCKS:
            came = f"{math.prod(blocks.counts):.3g} blocks of {bx} × {by} × {bz}"
            raise GridError("chunks", came, f"at most {MOST_BLOCKS:.0e} blocks")
        return blocks


@dataclass(frozen=True)
class Blocks(Sequence[Block]):
    """The blocks of a grid, made on demand: a sequence that holds nothing but its two shapes."""

    grid: Grid
    block_shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        if min(self.block_shape) < 1:
            raise GridError("chunks", f"{self.block_shape}", "a block of at least one point in each direction")

    @property
    def counts(self) -> tuple[int, int, int]:
        """Number of blocks along a, b and c."""
        a, b, c = (-(-n // m) for n, m in zip(self.grid.shape, self.block_shape, strict=True))
        return (a, b, c)

    def __len__(self) -> int:
        return math.prod(self.counts)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        # Made when they are asked for: a grid may have millions of blocks.
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        # As lists have it: −1 is the last block.
        i = int(index) % len(self)
        at = np.unravel_index(i, self.counts)
        start = tuple(int(k) * m for k, m in zip(at, self.block_shape, strict=True))
        stop = tuple(min(s + m, n) for s, m, n in zip(start, self.block_shape, self.grid.shape, strict=True))
        return Block(i, start, stop)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Block]:
        return (self[i] for i in range(len(self)))
