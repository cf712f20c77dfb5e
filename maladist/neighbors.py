"""The atoms, periodic images included, that a block of a grid can see.

Atoms are binned once, in fractional coordinates, into bins about as wide as the cutoff; a block gathers the bins that
its own parallelepiped, widened by the cutoff, touches. The cost for a block depends on what it sees, not on the cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import ase.data
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from maladist.arrays import Array, Indices, Numbers
from maladist.grid import Block, Blocks, Grid

_FINE: Final = 8
"""Bins in a cutoff where atoms are only counted."""

_MOST_BINS: Final = 128
"""Of these bins, along a direction: 16 MiB together."""


@dataclass(frozen=True)
class LocalAtoms:
    """Atoms with their images written out.

    Attributes
    ----------
    positions
        Positions, (n, 3) float64, Å.
    numbers
        Atomic numbers, (n,) int16.
    indices
        Index of each atom (of which it is an image) in the whole cell, (n,) int64; None where it was left out, since
        descriptors do not ask which atom it was.
    """

    positions: Array
    numbers: Numbers
    indices: Indices | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def without_indices(self) -> LocalAtoms:
        """The same without the indices: a quarter less to send to a worker."""
        return LocalAtoms(self.positions, self.numbers)


@dataclass(frozen=True)
class CellList:
    """The atoms of a periodic cell, binned for finding those near a region.

    Parameters
    ----------
    cell
        Lattice vectors as rows, (3, 3), Å.
    positions
        Positions, (n_atoms, 3), Å; need not lie inside the cell.
    numbers
        Atomic numbers, (n_atoms,).
    cutoff
        Distance up to which an atom is seen, Å.
    """

    cell: Array
    positions: Array
    numbers: Numbers
    cutoff: float

    @cached_property
    def _reach(self) -> Array:
        """Cutoff in fractional coordinates of each direction: r_c over the distance of the lattice planes."""
        return np.asarray(self.cutoff * np.linalg.norm(np.linalg.inv(self.cell), axis=0))

    @cached_property
    def _bins(self) -> Indices:
        # Never many more bins than atoms, however empty the cell.
        most = max(1, int(np.ceil(2 * len(self.numbers) ** (1 / 3))))
        return np.clip(np.floor(1 / self._reach), 1, most).astype(np.int64)

    @cached_property
    def _sorted(self) -> tuple[Array, Indices, Indices]:
        """Wrapped fractional positions in the order of their bins, the atoms' indices, and where each bin starts."""
        fractional = self.positions @ np.linalg.inv(self.cell)
        # Wrapped into the cell, so that the image of a bin tells the image of its atoms.
        fractional = fractional - np.floor(fractional)
        fractional[fractional >= 1] = 0.0  # -1e-17 wraps to exactly 1
        at = np.minimum((fractional * self._bins).astype(np.int64), self._bins - 1)
        bins = np.ravel_multi_index(tuple(at.T), tuple(self._bins))
        # Stable: atoms of a bin keep their order, and sums over neighbours their bits.
        order = np.argsort(bins, kind="stable")
        starts = np.searchsorted(bins[order], np.arange(np.prod(self._bins) + 1))
        return fractional[order], order, starts

    def around(self, low: npt.ArrayLike, high: npt.ArrayLike) -> LocalAtoms:
        """Atoms within the cutoff of the parallelepiped between two fractional corners.

        The parallelepiped is widened by the cutoff along each lattice plane's normal, so some atoms at its edges and
        corners are farther away than the cutoff; none that is nearer is missing.
        """
        fractional, order, starts = self._sorted
        # In fractional coordinates the widened parallelepiped is a box, in any cell however oblique.
        low = np.asarray(low, dtype=float) - self._reach
        high = np.asarray(high, dtype=float) + self._reach
        first = np.floor(low * self._bins).astype(np.int64)
        last = np.floor(high * self._bins).astype(np.int64)
        wanted = np.stack(np.meshgrid(*map(np.arange, first, last + 1), indexing="ij"), -1).reshape(-1, 3)
        # Bins outside of the cell are those inside of it, moved by whole cells: in a small cell
        # the same bin comes many times.
        image, bins = np.divmod(wanted, self._bins)
        flat = np.ravel_multi_index(tuple(bins.T), tuple(self._bins))
        lengths = starts[flat + 1] - starts[flat]
        # The rows of all wanted bins one after another, without a loop over bins.
        rows = np.repeat(starts[flat] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        shifted = fractional[rows] + np.repeat(image, lengths, axis=0)
        # Bins are coarser than the region: atoms of its outermost bins may lie outside.
        inside = np.all((shifted >= low) & (shifted <= high), axis=1)
        indices = order[rows[inside]]
        return LocalAtoms(shifted[inside] @ self.cell, self.numbers[indices].astype(np.int16), indices)

    def near_block(self, grid: Grid, block: Block) -> LocalAtoms:
        """Atoms that the points of a block can see."""
        shape = np.array(grid.shape)
        return self.around(np.array(block.start) / shape, (np.array(block.stop) - 1) / shape)

    def most_near(self, blocks: Blocks) -> int:
        """Atoms, images apart, that the points of any block can see at most: a bound from above, for every block.

        Atoms are counted in bins much narrower than the cutoff. A block's widened parallelepiped touches bins that are
        a product of those along each direction, so all blocks together cost three products of small matrices.
        """
        bins = np.clip(np.ceil(_FINE / self._reach), 1, _MOST_BINS).astype(np.int64)
        at = np.minimum((self._sorted[0] * bins).astype(np.int64), bins - 1)
        counts = np.bincount(np.ravel_multi_index(tuple(at.T), tuple(bins)), minlength=bins.prod())
        found = counts.reshape(bins).astype(float)
        for n, size, reach, b in zip(blocks.grid.shape, blocks.block_shape, self._reach, bins, strict=True):
            starts = np.arange(0, n, size)
            # Wider by a rounding: where `around` takes an atom at the very edge, its bin is counted.
            low, high = starts / n - reach - 1e-9, (np.minimum(starts + size, n) - 1) / n + reach + 1e-9
            first, last = np.floor(low * b).astype(np.int64), np.floor(high * b).astype(np.int64)
            # Of all images of a bin the first that is not below the region: it is touched if it is not above.
            image = first[:, None] + (np.arange(b) - first[:, None]) % b
            found = np.tensordot(found, image <= last[:, None], axes=(0, 1))
        return int(found.max())


def nearest_distances(cell: Array, positions: Array, numbers: Numbers, within: float) -> dict[str, float]:
    """Smallest distance between atoms by pair of elements, Å: 'Al-Be', in the order of the alphabet.

    Parameters
    ----------
    cell, positions, numbers
        Periodic atoms: (3, 3) and (n, 3), Å; (n,). An atom's own images are among its neighbours.
    within
        Distance, Å; pairs whose atoms never come nearer are left out.
    """
    every = CellList(cell, positions, numbers, within).around([0, 0, 0], [1, 1, 1])
    fractional = positions @ np.linalg.inv(cell)
    inside = (fractional - np.floor(fractional)) @ cell
    symbols = {z: ase.data.chemical_symbols[z] for z in np.unique(numbers).tolist()}
    trees = {z: cKDTree(every.positions[every.numbers == z]) for z in symbols}
    nearest = {}
    for a in symbols:
        for b in symbols:
            if symbols[a] > symbols[b]:
                continue
            k = 2 if a == b else 1  # the nearest of its own kind is the atom itself
            distances = trees[b].query(inside[numbers == a], k=[k], distance_upper_bound=within)[0]
            if np.isfinite(distances.min()):
                nearest[f"{symbols[a]}-{symbols[b]}"] = float(distances.min())
    return nearest
