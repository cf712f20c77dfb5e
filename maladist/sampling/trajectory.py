"""Which configurations of an MD trajectory to take: those after its equilibration, and none like the one before.

Configurations are told apart by the cosine distance of their radial distribution functions, as in MALA's trajectory
analysis (Fiedler et al., npj Comput. Mater. 9, 115 (2023)). Where the equilibrated part begins is found on the series
of distances to the trajectory's end, and on the potential energy where the frames have it, as Chodera does (J. Chem.
Theory Comput. 12, 1799 (2016)): drop as much from the beginning as leaves the largest number of uncorrelated samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import ase
import numpy as np
from scipy.spatial import cKDTree

from maladist.arrays import Array, Indices
from maladist.errors import InputError
from maladist.neighbors import CellList

TOO_NEAR: Final = 0.1
"""Quantile of the distances of independent configurations below which two count as correlated."""
END: Final = 0.25
"""Share of a trajectory, its last, whose mean the frames' distances are measured to."""
_IMAGES: Final = 3e7  # of atoms, for which a radial distribution takes a few GB


@dataclass(frozen=True)
class Uncorrelated:
    """What was taken from a trajectory.

    Attributes
    ----------
    indices
        Frames that were taken, rising.
    start
        First frame of the equilibrated part.
    inefficiency
        Statistical inefficiency g, frames for one uncorrelated sample: the largest of those of the radial distribution
        functions, of their distance to the end, and of the energy.
    threshold
        Smallest cosine distance between one taken frame and the next.
    distances
        Cosine distance of every frame to the trajectory's end, (n_frames,).
    ion_temperature
        Temperature of the ions, K, that taken frames are held to; None where none is.
    """

    indices: tuple[int, ...]
    start: int
    inefficiency: float
    threshold: float
    distances: Array
    ion_temperature: float | None = None


def uncorrelated(
    frames: Sequence[ase.Atoms],
    count: int | None = None,
    *,
    cutoff: float = 6.0,
    ion_temperature: float | None = None,
    temperature_tolerance: float | None = None,
) -> Uncorrelated:
    """Choose uncorrelated configurations of the equilibrated part of a trajectory.

    A frame is taken where it is at least g frames after the one before, and farther from it than all but a tenth
    of the pairs that are g or more frames apart.

    Parameters
    ----------
    frames
        Frames of one substance, in the order of time; cells may differ.
    count
        Number of configurations, spread evenly over all that would do; every one where None.
    cutoff
        Largest distance of the radial distribution functions, Å.
    ion_temperature
        Temperature of the ions, K, that frames are held to; the mean of the equilibrated part where None.
    temperature_tolerance
        Share of it by which a taken frame's own temperature may differ; any where None, as is right for an ensemble: in
        one of N atoms the temperature fluctuates by √(2/3N).

    Raises
    ------
    InputError
        Fewer than 20 frames, frames of other atoms, a trajectory that is not in equilibrium by its middle, fewer
        uncorrelated configurations than wanted; frames without momenta where their temperature counts.
    """
    if count is not None and count < 1:
        raise InputError("count", str(count), "one configuration or more")
    if len(frames) < 20:
        raise InputError("trajectory", f"{len(frames)} frames", "20 or more", "Write frames more often.")
    functions = radial_distributions(frames, cutoff=cutoff)
    n = len(functions)
    distances = distances_to_end(functions)
    equilibrated = [equilibration(s) for s in (distances, *_energies(frames))]
    # The slowest quantity decides: a structure may still drift while the energy already fluctuates about its mean.
    start = max(t for t, _ in equilibrated)
    g = max(statistical_inefficiency(functions[start:]), *(g for _, g in equilibrated))
    if start > n / 2:
        came = f"in equilibrium from frame {start} of {n} at the earliest"
        raise InputError("trajectory", came, "equilibrium in its first half", "Run it longer.")
    # Frames that are g apart may still be alike by chance: both conditions must hold.
    threshold = _threshold(functions[start:], g)
    held, near = _near_temperature(frames, start, ion_temperature, temperature_tolerance)
    step, taken = int(np.ceil(g)), [int(near[0])]
    for i in near[1:].tolist():
        if i - taken[-1] >= step and cosine_distance(functions[i], functions[taken[-1]]) > threshold:
            taken.append(i)
    if count is not None:
        if len(taken) < count:
            came = f"{count} of {len(taken)} uncorrelated configurations ({len(near)} frames, g = {g:.1f})"
            raise InputError("count", came, f"{len(taken)} or fewer", "Or run the trajectory longer.")
        taken = [taken[i] for i in np.round(np.linspace(0, len(taken) - 1, count)).astype(int)]
    return Uncorrelated(tuple(taken), start, g, threshold, distances, held)


def _near_temperature(
    frames: Sequence[ase.Atoms], start: int, target: float | None, tolerance: float | None
) -> tuple[float | None, Indices]:
    """Temperature that frames are held to, K, and the equilibrated frames that are near enough to it."""
    if tolerance is None:
        if target is not None:
            remedy = "Give temperature_tolerance, the share by which frames may differ from it."
            raise InputError("ion_temperature", f"{target} K without a tolerance", "both, or neither", remedy)
        return None, np.arange(start, len(frames))
    if not tolerance > 0 or (target is not None and not target > 0):
        came = f"{tolerance} of {'the mean' if target is None else f'{target} K'}"
        raise InputError("temperature_tolerance", came, "a positive share of a positive temperature")
    for i, frame in enumerate(frames[start:], start):
        if not frame.has("momenta"):
            raise InputError("trajectory", f"frame {i} without momenta", "momenta, which tell the ions' temperature")
    own = np.array([frame.get_temperature() for frame in frames[start:]])
    held = float(own.mean()) if target is None else target
    near = start + np.flatnonzero(np.abs(own - held) <= tolerance * held)
    if not near.size:
        came = f"ions at {own.min():.4g} to {own.max():.4g} K"
        raise InputError("trajectory", came, f"some within {tolerance:.3g} of {held:.4g} K", "Take a larger tolerance.")
    return held, near


def _energies(frames: Sequence[ase.Atoms]) -> list[Array]:
    """The series of potential energies, eV; none where a frame does not know its own."""
    if any(f.calc is None or "energy" not in f.calc.results for f in frames):
        return []
    return [np.array([f.get_potential_energy() for f in frames])]


def radial_distributions(frames: Sequence[ase.Atoms], *, cutoff: float = 6.0, width: float = 0.1) -> Array:
    """Partial radial distribution functions g_ab(r) of frames, those of all pairs of elements one after the other.

    Parameters
    ----------
    cutoff, width
        Largest distance and width of its bins, Å. Periodic images count: the cutoff may exceed half of the cell.

    Returns
    -------
    numpy.ndarray
        (n_frames, pairs × bins) float64.
    """
    if not cutoff > width > 0:
        raise InputError("cutoff", str(cutoff), f"a length above {width} Å")
    numbers = frames[0].numbers
    for i, frame in enumerate(frames):
        if not np.array_equal(frame.numbers, numbers):
            raise InputError("trajectory", f"other atoms in frame {i} than in the first", "the same atoms in all")
        # Without a volume there is no density that a radial distribution could be relative to.
        if not all(frame.pbc) or frame.cell.rank < 3:
            raise InputError("trajectory", f"frame {i} is not periodic", "cells that are periodic in three directions")
    edges = width * np.arange(round(cutoff / width) + 1, dtype=np.float64)
    edges[0] = 1e-3 * width  # an atom is as near as rounding to itself
    return np.stack([_radial_distribution(frame, edges) for frame in frames])


def _radial_distribution(atoms: ase.Atoms, edges: Array) -> Array:
    density, largest = len(atoms) / atoms.get_volume(), float(edges[-1])
    # Their bytes are some hundred each. The cell's edges may be oblique: this is a bound, not their number.
    images = density * float(np.prod(atoms.cell.lengths() + 2 * largest))
    if images > _IMAGES:
        wanted = f"less, as for {_IMAGES:.0e} images"
        raise InputError("cutoff", f"{largest:g} Å: {images:.0e} images of the atoms within it", wanted, "It is in Å.")
    cells = CellList(atoms.cell.array, atoms.positions, atoms.numbers.astype(np.int16), float(edges[-1]))
    # All images within the cutoff of any point of the cell, so that distances beyond half of the cell are counted too.
    near = cells.around(np.zeros(3), np.ones(3))
    wrapped = atoms.get_positions(wrap=True)
    elements = np.unique(atoms.numbers)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    parts = []
    for i, a in enumerate(elements):
        here = cKDTree(wrapped[atoms.numbers == a])
        for b in elements[i:]:
            there = cKDTree(near.positions[near.numbers == b])
            within = here.count_neighbors(there, edges)  # an atom itself is in all of these, so in no difference
            # Pairs per shell over those of an ideal gas of the same density: 1 where nothing is ordered.
            parts.append(np.diff(within) * atoms.get_volume() / (here.n * np.sum(atoms.numbers == b) * shells))
    return np.concatenate(parts)


def cosine_distance(a: Array, b: Array) -> Array:
    """1 − a·b / |a||b| along the last axis."""
    return np.asarray(1 - np.sum(a * b, axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)))


def distances_to_end(functions: Array, parts: int = 5) -> Array:
    """Cosine distance of each frame to the mean of a trajectory's last quarter, (n_frames,).

    A frame is nearer to a mean that has itself in it, so the mean is over all but one of the quarter's parts: the
    frame's own, or any one for the frames before.
    """
    n = len(functions)
    first = n - max(parts, round(END * n))
    # Frames before the last quarter belong to none of its parts: they take turns, so that all means are used alike.
    left_out = np.arange(n) % parts
    pieces = np.array_split(np.arange(first, n), parts)
    for i, rows in enumerate(pieces):
        left_out[rows] = i
    total = functions[first:].sum(axis=0)
    means = np.stack([total - functions[rows].sum(axis=0) for rows in pieces])
    return cosine_distance(functions, means[left_out])


def equilibration(series: Array) -> tuple[int, float]:
    """Where a series' equilibrated part begins, and its statistical inefficiency there.

    The beginning t₀ that maximises (T − t₀) / g(t₀), the number of uncorrelated samples that are left
    (J. D. Chodera, J. Chem. Theory Comput. 12, 1799 (2016)).
    """
    n = len(series)
    # Some 200 beginnings and not all: each costs an autocorrelation of what is left.
    starts = range(0, n - 10, max(1, n // 200))
    g = np.array([statistical_inefficiency(series[t:]) for t in starts])
    best = int(np.argmax((n - np.array(starts)) / g))
    return starts[best], float(g[best])


def statistical_inefficiency(series: Array) -> float:
    """Statistical inefficiency g = 1 + 2 Σ_t (1 − t/T) C(t), with the autocorrelation up to where it first is zero.

    Parameters
    ----------
    series
        Values in the order of time, (T,) or, for the autocorrelation of vectors, (T, n).
    """
    n = len(series)
    columns = series.reshape(n, -1)
    apart = columns - columns.mean(axis=0)
    variance = float(np.sum(apart**2)) / n
    # Relative to the values themselves: rounding of a constant is no fluctuation.
    if variance <= 1e-15 * float(np.sum(columns**2)) / n:
        return float(n)  # a constant says nothing but once
    # Padded to twice the length, so that the end of the series does not correlate with its beginning.
    power = np.sum(np.abs(np.fft.rfft(apart, 2 * n, axis=0)) ** 2, axis=1)
    lags = np.arange(n)
    correlation = np.fft.irfft(power, 2 * n)[:n] / (n - lags) / variance
    # Beyond its first zero the estimate is noise, whose sum grows with the length of the series.
    below = np.flatnonzero(correlation <= 0)
    last = int(below[0]) if len(below) else n
    return max(1.0, 1 + 2 * float(np.sum((1 - lags[1:last] / n) * correlation[1:last])))


def _threshold(functions: Array, g: float, most: int = 400) -> float:
    # Some 400 rows: pairs grow with the square, and a quantile needs no more.
    rows = np.unique(np.round(np.linspace(0, len(functions) - 1, most)).astype(int))
    unit = functions[rows] / np.linalg.norm(functions[rows], axis=1, keepdims=True)
    i, j = np.triu_indices(len(rows), 1)
    apart = rows[j] - rows[i] >= g
    if not apart.any():
        raise InputError("trajectory", f"{len(functions)} frames, g = {g:.1f}", "many more than g", "Run it longer.")
    return float(np.quantile(1 - np.sum(unit[i[apart]] * unit[j[apart]], axis=1), TOO_NEAR))
