"""Structure of the ions: g(r), triangles of atoms, and the static structure factor S(q), over frames.

    S(q) = ⟨|Σ_k exp(−iq·r_k)|²⟩ / N     over the frames and the waves q = 2π (h, k, l) of the cell in a shell of |q|

Waves of the cell only: of others, S(q) of a periodic cell is not defined. g_ab(r) counts periodic images too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Final

import ase
import numpy as np
import torch
import xarray as xr

from maladist.arrays import Array
from maladist.atoms import AtomsLike, HasAtoms, ase_atoms, check_atoms
from maladist.errors import InputError
from maladist.grid import Grid
from maladist.physics.reciprocal import ReciprocalSlab, half_shape
from maladist.physics.structure_factor import structure_factors
from maladist.sampling.trajectory import radial_distributions
from maladist.sampling.triplets import triplet_distribution

_SLAB: Final = 2**22  # waves that are transformed at a time


def structure(
    frames: AtomsLike | Sequence[AtomsLike],
    *,
    cutoff: float = 6.0,
    width: float = 0.05,
    largest_q: float = 10.0,
    q_width: float = 0.05,
    triplets: float | None = None,
    triplet_width: float = 0.2,
) -> xr.Dataset:
    """Compute radial distribution functions and the static structure factor of atoms; of triangles where asked for.

    Parameters
    ----------
    frames
        Atoms, or frames of a trajectory of the same atoms, periodic in three directions.
    cutoff, width
        Largest distance r and width of its bins, Å. Periodic images count: the cutoff may exceed half of the cell.
    largest_q, q_width
        Largest wave number |q| and width of its shells, 1/Å.
    triplets, triplet_width
        Longest side of the triangles whose distribution is wanted, Å, and width of its bins; none where None. Their
        number grows with the sixth power of the side.

    Returns
    -------
    Dataset
        Means over the frames: ``radial_distribution`` (pair, r), g_ab(r), 1 where nothing is ordered, with the
        coordinates ``r`` (middles of the bins, Å) and ``pair`` (as Si-C); ``static_structure_factor`` (q) of all atoms
        alike, with the coordinate ``q`` (middles of the shells, 1/Å), NaN where a shell has no wave of the cell; and
        ``waves`` (q), how many it has, ±q counted twice. With ``triplets`` ``triplet_distribution`` (side_1, side_2,
        side_3), g₃ of all atoms alike, see `maladist.sampling.triplets`; NaN where no triangle is.

    Raises
    ------
    InputError
        No frames, frames of other atoms, cells that are not periodic, or lengths that are none.

    Examples
    --------
    >>> found = maladist.structure(be.repeat((2, 2, 2)))
    >>> g = found.radial_distribution[0]
    >>> round(float(found.r[g.values.argmax()]), 3)  # the nearest neighbours, Å
    2.225
    """
    # Before it is taken for a sequence: one of pymatgen is one, of its sites.
    given = [frames] if isinstance(frames, ase.Atoms | HasAtoms) else frames
    cells = [ase_atoms(one) for one in given]
    if not cells:
        raise InputError("frames", "none", "atoms, or frames of a trajectory")
    if not (np.isfinite(largest_q) and largest_q > q_width > 0):
        raise InputError("largest_q", f"{largest_q} 1/Å", f"a wave number above the width of {q_width} 1/Å")
    for cell in cells:
        check_atoms(cell)
    functions = radial_distributions(cells, cutoff=cutoff, width=width).mean(axis=0)
    symbols = [ase.data.chemical_symbols[z] for z in np.unique(cells[0].numbers)]
    pairs = ["-".join(pair) for pair in combinations_with_replacement(symbols, 2)]
    shells = round(largest_q / q_width)
    square, waves = (sum(parts) for parts in zip(*(_by_shell(c, shells, q_width) for c in cells), strict=True))
    bins = functions.size // len(pairs)
    with np.errstate(invalid="ignore"):
        mean = square / waves / len(cells[0])
    long = {
        "radial_distribution": "g(r), radial distribution function",
        "static_structure_factor": "S(q), static structure factor",
        "waves": "waves of the cell in a shell, of all frames",
    }
    variables = {
        "radial_distribution": (("pair", "r"), functions.reshape(len(pairs), bins)),
        "static_structure_factor": (("q",), mean),
        "waves": (("q",), waves.astype(np.int64)),
    }
    coordinates = {
        "r": ("r", width * (np.arange(bins) + 0.5), {"units": "Å", "long_name": "distance"}),
        "q": ("q", q_width * (np.arange(shells) + 0.5), {"units": "1/Å", "long_name": "wave number"}),
        "pair": pairs,
    }
    if triplets is not None:
        found = triplet_distribution(cells, triplets, triplet_width)
        sides = ("side_1", "side_2", "side_3")
        long["triplet_distribution"] = "g₃, triangles of atoms by their sides, 1 where nothing is ordered"
        variables["triplet_distribution"] = (sides, found)
        middles = triplet_width * (np.arange(len(found)) + 0.5)
        coordinates |= {side: (side, middles, {"units": "Å", "long_name": "side of the triangle"}) for side in sides}
    described = {name: (*found, {"units": "1", "long_name": long[name]}) for name, found in variables.items()}
    return xr.Dataset(described, coordinates, {"frames": len(cells), "n_atoms": len(cells[0])})


def _by_shell(atoms: ase.Atoms, shells: int, width: float) -> tuple[Array, Array]:
    """Σ |Σ_k exp(−iq·r_k)|² and the number of waves in each shell of |q|, q ≠ 0, each (shells,)."""
    largest = shells * width
    # A grid whose half space holds every wave of the sphere: |h| ≤ |q| |a|/2π. It is only a way to name waves.
    nx, ny, nz = (2 * (int(largest * length / (2 * np.pi)) + 1) + 1 for length in atoms.cell.lengths())
    grid = Grid(atoms.cell.array.tolist(), (nx, ny, nz))
    positions = torch.as_tensor(atoms.positions, dtype=torch.float64)
    ones = torch.ones(len(atoms), dtype=torch.float64)
    square, waves = np.zeros(shells), np.zeros(shells)
    thick = max(1, _SLAB // (nx * half_shape(grid)[2]))
    # Slab by slab: of a hundred thousand atoms there are tens of millions of waves.
    for a in range(0, ny, thick):
        slab = ReciprocalSlab.of_y(grid, a, min(a + thick, ny))
        factor = structure_factors(positions, ones, slab).abs().square()
        length, twice = slab.squared().sqrt(), slab.multiplicity().expand(slab.shape)
        inside = (length > 0) & (length < largest)
        shell = (length[inside] / width).long().clamp(max=shells - 1).numpy()
        waves += np.bincount(shell, twice[inside].numpy(), shells)
        square += np.bincount(shell, (twice * factor)[inside].numpy(), shells)
    return square, waves
