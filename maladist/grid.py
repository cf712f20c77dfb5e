"""Real-space grids, the blocks they are cut into, and energy grids: frozen and self-validating.

Point (i, j, k) of a grid of shape (Nx, Ny, Nz) lies at i/Nx·a + j/Ny·b + k/Nz·c, with the rows of ``cell`` as a, b, c.
Blocks form a regular lattice with ragged ends only; their index runs in C order (z fastest).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from maladist.arrays import Array
from maladist.errors import GridError
from maladist.reprs import html_table

Kernel = Literal["gaussian", "fermi-derivative", "none", "unknown"]

_FACTORS = (2, 3, 5, 7)

MOST_POINTS: Final = 10**11
"""Most points of a grid: a density of 0.8 TB, of some twenty million atoms. Loops over more would not end."""

MOST_BLOCKS: Final = 10**7
"""Most blocks of a grid; each is a task."""

MOST_LEVELS: Final = 10**6
"""Most energies of an LDOS."""

FARTHEST_ENERGY: Final = 1e6
"""Largest energy, eV: ten times that of the innermost electron of any element."""


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


@dataclass(frozen=True)
class EnergyGrid:
    """Energies ε_i = origin + i·spacing of an LDOS, or several such parts, with the broadening of its samples.

    Parts lie apart, as those of semicore and valence states do; in the gaps between them nothing is known, and every
    integral takes D(ε) for zero there. `of_parts` makes them.

    Attributes
    ----------
    origin, spacing
        Energy of the first sample, and distance of two samples (of the first part), eV.
    levels
        Number of samples of all parts; 0 where there is no LDOS (`NO_ENERGIES`).
    kernel
        Kernel that the samples were broadened with: 'gaussian' exp(−x²)/(√π δ), 'fermi-derivative' 1/(2+2cosh x)/δ,
        both with x = (ε−ε_i)/δ, 'none' or 'unknown'.
    width
        Width δ of the kernel, eV; 0 where the kernel is 'none' or 'unknown'.
    further
        Origin, spacing (eV) and number of samples of each part above the first.

    Raises
    ------
    GridError
        Numbers that no axis has; parts that are not in order, or nearer to one another than the sum of their spacings.
    """

    origin: float
    spacing: float
    levels: int
    kernel: Kernel = "unknown"
    width: float = 0.0
    further: tuple[tuple[float, float, int], ...] = ()

    def __post_init__(self) -> None:
        within = abs(self.origin) <= FARTHEST_ENERGY and 0 < self.spacing <= FARTHEST_ENERGY
        if not (within and (self.levels == 0 or 2 <= self.levels <= MOST_LEVELS)):
            came = f"origin {self.origin}, spacing {self.spacing}, {self.levels} levels"
            wanted = (
                f"an origin and a positive spacing of at most {FARTHEST_ENERGY:.0e} eV, and 2 to {MOST_LEVELS} levels"
            )
            raise GridError("energy grid", came, wanted)
        if self.kernel not in get_args(Kernel):
            raise GridError("broadening_kernel", repr(self.kernel), f"one of {', '.join(get_args(Kernel))}")
        if self.kernel in ("gaussian", "fermi-derivative") and not 0 < self.width <= FARTHEST_ENERGY:
            raise GridError("broadening_width_eV", f"{self.width}", f"a positive width in eV for kernel {self.kernel}")
        # A model's file has lists where this has tuples.
        object.__setattr__(self, "further", tuple((float(at), float(step), int(n)) for at, step, n in self.further))
        for below, above in pairwise(self.parts):
            end, least = float(below.values[-1]), below.spacing + above.spacing
            # The hats of the two would overlap: what lies between would be counted twice, or in part.
            if not above.origin - end >= least * (1 - 1e-6):
                came = f"a part that ends at {end:g} eV and one that begins at {above.origin:g} eV"
                remedy = "Parts that adjoin or overlap are not supported: leave a gap without states, or take one part."
                raise GridError("energies", came, f"parts in order, {least:g} eV or more apart", remedy)

    def __repr__(self) -> str:
        known = {"unknown": "broadening unknown", "none": "not broadened"}
        kernel = known.get(self.kernel, f"{self.kernel} broadening of {self.width:g} eV")
        return f"<EnergyGrid {self}, {kernel}>"

    def __str__(self) -> str:
        if not self.levels:
            return "no energies"
        if self.further:
            return " and ".join(map(str, self.parts))
        end = self.origin + self.spacing * (self.levels - 1)
        return f"{self.origin:g} to {end:g} eV: {self.levels} levels, {self.spacing:g} eV apart"

    def _repr_html_(self) -> str:
        rows = [
            ("from", ", ".join(f"{p.origin:g} eV" for p in self.parts)),
            ("to", ", ".join(f"{p.origin + p.spacing * (p.levels - 1):g} eV" for p in self.parts)),
            ("levels", ", ".join(f"{p.levels}" for p in self.parts)),
            ("spacing", ", ".join(f"{p.spacing:g} eV" for p in self.parts)),
            ("broadening", f"{self.kernel} {self.width:g} eV" if self.width else self.kernel),
        ]
        return html_table("Energy grid", rows)

    @classmethod
    def of_parts(
        cls, parts: Iterable[tuple[float, float, int]], kernel: Kernel = "unknown", width: float = 0.0
    ) -> EnergyGrid:
        """Energy grid of parts, the lowest first: origin and spacing in eV, and number of samples of each."""
        found = [(float(origin), float(spacing), int(levels)) for origin, spacing, levels in parts]
        if not found or (len(found) > 1 and min(levels for *_, levels in found) < 2):
            raise GridError("energy grid", f"parts {found}", "one part or more, each of 2 levels or more")
        (origin, spacing, _), *further = found
        return cls(origin, spacing, sum(levels for *_, levels in found), kernel, width, tuple(further))

    @classmethod
    def from_values(
        cls, energies: npt.ArrayLike, kernel: Kernel = "unknown", width: float = 0.0, parts: Sequence[int] = ()
    ) -> EnergyGrid:
        """Energy grid from its samples, of which each part must be equidistant to 1e-6 of its spacing.

        ``parts`` are the numbers of samples in each; without them there is one part. Samples that are fewer than these
        are a selection, and one part.
        """
        e = np.asarray(energies, dtype=float)
        if len(parts) > 1 and sum(parts) == e.size:
            found = [cls.from_values(some) for some in np.split(e, np.cumsum(parts)[:-1])]
            return cls.of_parts([(p.origin, p.spacing, p.levels) for p in found], kernel, width)
        if e.ndim != 1 or len(e) < 2:
            raise GridError("energy", f"an array of shape {e.shape}", "a vector of at least two energies in eV")
        # From the ends: differences of neighbours carry the rounding of files.
        spacing = (e[-1] - e[0]) / (len(e) - 1)
        if not np.allclose(np.diff(e), spacing, rtol=0, atol=1e-6 * abs(spacing)):
            remedy = "Parts with gaps between them are told by the attribute energy_parts: how many samples each has."
            raise GridError("energy", "samples that are not equidistant", "an equidistant energy axis in eV", remedy)
        return cls(float(e[0]), float(spacing), len(e), kernel, width)

    @cached_property
    def values(self) -> Array:
        """The energies, (levels,) float64, eV."""
        if self.further:
            return np.concatenate([part.values for part in self.parts])
        return np.asarray(self.origin + self.spacing * np.arange(self.levels, dtype=np.float64))

    @cached_property
    def parts(self) -> tuple[EnergyGrid, ...]:
        """Each part as an axis of its own, the lowest first; the axis itself where there is one."""
        if not self.further:
            return (self,)
        first = self.levels - sum(levels for *_, levels in self.further)
        every = ((self.origin, self.spacing, first), *self.further)
        return tuple(EnergyGrid(origin, spacing, levels, self.kernel, self.width) for origin, spacing, levels in every)

    @property
    def windows(self) -> list[tuple[float, float, int]]:
        """Origin, spacing (eV) and number of samples of each part: what `of_parts` takes."""
        return [(part.origin, part.spacing, part.levels) for part in self.parts]

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Last energy below and first above each gap between parts, eV."""
        return [(float(below.values[-1]), above.origin) for below, above in pairwise(self.parts)]

    @property
    def coarsest(self) -> float:
        """Largest spacing of all parts, eV."""
        return max(part.spacing for part in self.parts)

    def shifted(self, by: float) -> EnergyGrid:
        """The grid with so many eV added to all energies."""
        further = tuple((origin + by, spacing, levels) for origin, spacing, levels in self.further)
        return replace(self, origin=self.origin + by, further=further)

    @property
    def variance(self) -> float | None:
        """Variance s² of the broadening kernel in eV²; None where the kernel is unknown."""
        factor = {"gaussian": 0.5, "fermi-derivative": np.pi**2 / 3, "none": 0.0}.get(self.kernel)
        return None if factor is None else factor * self.width**2


NO_ENERGIES: Final = EnergyGrid(0.0, 0.1, 0, "none")
"""The energies of a model of the density alone; origin and spacing mean nothing."""
