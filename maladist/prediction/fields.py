"""The energies that need the whole density: in one task of a small grid, by slabs of a large one.

So no worker waits for one that has it all, and none needs to hold it. By slabs, the Fourier transform is done along z
and y in slabs of x, and along x in slabs of y. Between the two the coefficients lie in the store (group ``work``), so
that what a task holds is bounded by its slab and a worker that dies takes nothing with it. (A dask.array with rechunks
does the same exchange in the memory of the workers: every slab of y then waits, in memory, for every slab of x.) The
formulas are those of the one task: `maladist.physics` works on any slab of the reciprocal half space.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import torch
from torch import Tensor

from maladist.arrays import Array
from maladist.grid import Grid
from maladist.io import stores
from maladist.io.stores import ArrayTemplate
from maladist.parallel import waves
from maladist.parallel.here import Runner
from maladist.physics.core import core_charge_of
from maladist.physics.energies import Energies, density_terms, ion_energy
from maladist.physics.ewald import Part, ewald_grid, parts, real_space_energy, reciprocal_energy_of
from maladist.physics.hartree import hartree_energy_of
from maladist.physics.reciprocal import ReciprocalSlab, half_shape
from maladist.physics.system import System
from maladist.physics.xc import XCField, xc_fields, xc_share
from maladist.prediction.record import REFERENCE

T = TypeVar("T")

ReciprocalRange = tuple[Grid, int, int]
"""Grid of the reciprocal sum, and the ends of a slab of y."""

IonShare = Part | ReciprocalRange
"""What one task takes of Ewald's sum."""

Terms = tuple[float | None, ...]
"""Terms of Hartree, XC and XC's potential, or of the ions' energy, eV; None where not known."""

ONE_TASK_REALS: Final = 14
"""Real numbers a point that the terms in one task hold at their peak (measured, density and core charge included)."""

POTENTIAL_REALS: Final = 48
"""Real numbers a point that u(r) and the explicit terms of the derivatives hold at their peak (measured)."""

SLAB_REALS: Final = 24
"""The same for slabs of potentials, of free atoms and of Ewald's sum, with the coefficients that are being read and
written."""

TERMS_REALS: Final = 10
"""The same for the slabs of the energies, whose tasks hold three fields whole and make the rest part by part: the
thicker the slabs, the fewer the files, of which each slab of x leaves one for each slab of y. (Measured: at most 8.)"""

DERIVATIVES_REALS: Final = 50
"""The same for the slabs of the derivatives' sources, which are several fields at once."""

ONE_TASK_POINTS: Final = 2**20
"""Points of the largest grid whose terms are one task: about a second of a core. By slabs they take half as much again,
in files, so that two workers gain a quarter of the time, and any more of them more."""

_SLAB_POINTS: Final = 2**19  # whatever the workers, so that their number changes no bit
_MOST_SLABS: Final = 32  # each reads a piece of all others: a thousand files an array, unless memory asks for more

_PART_POINTS: Final = 2**18  # some megabytes a field: they stay in a core's cache

_EWALD_BYTES_PER_ATOM: Final = 60_000  # of the real-space pairs within 5.7 Å and the non-uniform transform


def one_task_bytes(grid: Grid, n_atoms: int) -> int:
    """Peak memory of the terms of a density in one task, bytes."""
    return 8 * ONE_TASK_REALS * grid.n_points + _EWALD_BYTES_PER_ATOM * n_atoms


def potential_bytes(grid: Grid, n_atoms: int) -> int:
    """Peak memory of u(r) and the explicit terms of the derivatives in one task, bytes."""
    return 8 * POTENTIAL_REALS * grid.n_points + 2 * _EWALD_BYTES_PER_ATOM * n_atoms


def in_slabs(grid: Grid, one_task: int, room: int) -> bool:
    """Whether what needs the whole density is done by slabs, and not in one task of so many bytes."""
    return grid.n_points > ONE_TASK_POINTS or one_task > room


def slabs_along(axis: int, grid: Grid, room: int, reals: int = SLAB_REALS) -> list[tuple[int, int]]:
    """Ends of the slabs along an axis, for that many real numbers a point in ``room`` bytes."""
    n = grid.shape[axis]
    fits = max(1, int(room // (8 * reals * (grid.n_points // n))))
    slabs = min(_MOST_SLABS, math.ceil(grid.n_points / _SLAB_POINTS))
    thick = min(fits, math.ceil(n / slabs))
    return [(a, min(a + thick, n)) for a in range(0, n, thick)]


def reference_density(system: System) -> tuple[str, int | None]:
    """Array of a store that holds n₀, and its index along the temperatures; None where it has none."""
    t0, temperatures = system.reference_temperature, system.temperatures
    if t0 not in temperatures:
        return REFERENCE, None
    return "density", temperatures.index(t0) if len(temperatures) > 1 else None


def terms_of_store(
    client: Runner, path: stores.Where, system: System, *, distributed: bool, room: int, run_key: str
) -> Energies:
    """Hartree, XC and Ewald terms at the density n₀ in a store, see `System.double_counting`.

    Parameters
    ----------
    client
        Client whose workers compute, or this process.
    path
        Store with n₀; where it is distributed, its owner's claim, to write to ``work``.
    system
        Atoms, elements, functional, cutoff and T₀.
    distributed
        Whether the terms are computed by slabs.
    room
        Bytes that a task may use; decides the slabs.
    run_key
        Prefix of the tasks' keys.

    Returns
    -------
    Energies
        The terms without band energy and entropy; the same at every temperature.
    """
    if distributed:
        slabs = Slabs(client, run_key, path, system, room)
        (ewald,), (hartree, xc, xc_potential) = slabs.ewald(), slabs.density_terms()
    else:
        # Two tasks: the ions' sum needs no density and runs beside the rest.
        jobs = [waves.NamedJob("ewald", None, system), waves.NamedJob("terms", path, system)]
        (ewald,), (hartree, xc, xc_potential) = waves.in_order(client, _energy_terms, jobs, run_key=run_key)
    return Energies(system.n_atoms, hartree=hartree, xc=xc, xc_potential=xc_potential, ewald=ewald)


def _energy_terms(store: stores.Where | None, system: System) -> Terms:
    if store is None:
        return (ion_energy(system),)
    return density_terms(reference_density_of(store, system), system)


# -- by slabs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slabs:
    """The terms by slabs of x and of y, of half a million points or what fits ``room`` bytes."""

    client: Runner
    run_key: str
    path: stores.Where
    system: System
    room: int

    @property
    def _grid(self) -> Grid:
        return self.system.grid

    def ranges(self, axis: int, grid: Grid, reals: int = SLAB_REALS) -> list[tuple[int, int]]:
        """Ends of the slabs along an axis, for that many real numbers a point."""
        return slabs_along(axis, grid, self.room, reals)

    def sum(self, task: Callable[..., Sequence[float]], jobs: Sequence[waves.NamedJob]) -> Array:
        """Sums of what the slabs give, in the order of the slabs: they do not depend on who was first."""
        shares = waves.in_order(self.client, task, jobs, run_key=self.run_key)
        return np.asarray(np.array(shares, np.float64).sum(axis=0))

    def coefficients(self) -> float:
        """Leave the coefficients of n and of what XC needs in the store; E_H."""
        xs, ys = (self.ranges(axis, self._grid, TERMS_REALS) for axis in (0, 1))
        store, system = self.path, self.system
        template = self.template((xs[0][1], ys[0][1]))
        # In the group `work`, which goes with the end of the run: a transform is as large as the density itself.
        stores.add_arrays(self.path, {f"work/g_{name}": template for name in ("density", *_fields(system))})
        self.sum(_fft_density, [waves.NamedJob(f"fftx{a}", store, system, a, b) for a, b in xs])
        (hartree,) = self.sum(_hartree_slab, [waves.NamedJob(f"ffty{a}", store, system, a, b) for a, b in ys]).tolist()
        return float(hartree)

    def density_terms(self) -> Terms:
        """E_H, E_xc and ∫ v_xc n; the coefficients stay in the store."""
        hartree = self.coefficients()
        if self.system.functional is None:
            return hartree, None, None
        xs = self.ranges(0, self._grid, TERMS_REALS)
        jobs = [waves.NamedJob(f"xc{a}", self.path, self.system, a, b) for a, b in xs]
        return (hartree, *self.sum(_xc_slab, jobs).tolist())

    def template(self, thick: tuple[int, int]) -> ArrayTemplate:
        """Coefficients that slabs of x, so thick, write and slabs of y read."""
        nx, ny, nh = half_shape(self._grid)
        return ArrayTemplate((nx, ny, nh), (*thick, nh), ("gx", "gy", "gz"), "complex128")

    def ewald(self) -> Terms:
        """E_ii."""
        if self.system.charges is None:
            return (None,)
        return tuple(self.of_ions(_ewald_share, "ewald", SLAB_REALS).tolist())

    def of_ions(self, task: Callable[..., Sequence[float]], name: str, reals: int) -> Array:
        """Sum over both parts of Ewald's sum: the pairs, and the slabs of the reciprocal one; see `share_of_ions`."""
        grid, n = ewald_grid(self._grid.cell_array), self.system.n_atoms
        pairs = [waves.NamedJob(f"{name}-pairs{p.which}", self.system, p) for p in parts(n, grid.volume, self.room)]
        slabs = [waves.NamedJob(f"{name}{a}", self.system, (grid, a, b)) for a, b in self.ranges(1, grid, reals)]
        return self.sum(task, [*pairs, *slabs])


def _fields(system: System) -> tuple[XCField, ...]:
    """What must come back to real space."""
    return () if system.functional is None else xc_fields(system.functional, system.has_core)


def _fft_density(store: stores.Where, system: System, a: int, b: int) -> list[float]:
    """Density of a slab of x -> its transform along y and z, and nothing to be summed."""
    density = reference_density_of(store, system, a, b)
    stores.write_region(
        store, "work/g_density", (slice(a, b),), torch.fft.rfftn(density, dim=(1, 2), norm="forward").numpy()
    )
    return []


def _hartree_slab(store: stores.Where, system: System, a: int, b: int) -> list[float]:
    """A slab of y: transform along x, Hartree's share, and the fields that XC needs, half way back."""
    n_g = torch.from_numpy(stores.read_region(store, "work/g_density", (slice(None), slice(a, b))))
    parts, hartree = list(_parts_of_y(system.grid, a, b)), 0.0
    for at, part in parts:
        n_g[:, at] = torch.fft.fft(n_g[:, at], dim=0, norm="forward")
        hartree += float(hartree_energy_of(n_g[:, at], part, system.assume_isolated))
    if fields := _fields(system):
        core_g = core_charge_of(system, ReciprocalSlab.of_y(system.grid, a, b))
        half_way = torch.empty_like(n_g)
        for field in fields:
            for at, part in parts:
                core = None if core_g is None else core_g[:, at]
                found = field.coefficients(n_g[:, at], core, part, part.sphere(system.sphere))
                half_way[:, at] = torch.fft.ifft(found, dim=0, norm="forward")
            stores.write_region(store, f"work/g_{field}", (slice(None), slice(a, b)), half_way.numpy())
    return [hartree]


def _parts_of_y(grid: Grid, a: int, b: int) -> Iterator[tuple[slice, ReciprocalSlab]]:
    """Parts of a slab of y, and where in it they are: what is made on the way is as large as a part."""
    thick = max(1, grid.shape[1] * _PART_POINTS // grid.n_points)
    for start in range(a, b, thick):
        stop = min(start + thick, b)
        yield slice(start - a, stop - a), ReciprocalSlab.of_y(grid, start, stop)


def _xc_slab(store: stores.Where, system: System, a: int, b: int) -> list[float]:
    """A slab of x: the rest of the way back, and XC point by point."""
    assert system.functional is not None

    def field(wanted: XCField) -> Tensor:
        return real_field(store, wanted, system, a, b)

    density = reference_density_of(store, system, a, b)
    shares = xc_share(system.functional, system.has_core, density, field, system.grid.voxel_volume)
    return [float(x) for x in shares]


def real_field(store: stores.Where, wanted: XCField, system: System, a: int, b: int) -> Tensor:
    """A field on a slab of x: the rest of the way back of its coefficients."""
    # Along x it is in real space already: the slab of y has gone that part of the way back.
    part = torch.from_numpy(stores.read_region(store, f"work/g_{wanted}", (slice(a, b),)))
    return torch.fft.irfftn(part, s=system.grid.shape[1:], dim=(1, 2), norm="forward")


def _ewald_share(system: System, share: IonShare) -> list[float]:
    """The share of the ions' energy of a slab in reciprocal space, or of a part of the pairs in real space."""
    return [float(share_of_ions(system, share, real_space_energy, reciprocal_energy_of))]


def share_of_ions(system: System, share: IonShare, near: Callable[..., T], far: Callable[..., T]) -> T:
    """What ``far`` gives of the charges and a slab of G, or ``near`` of them, the cell and a part of the atoms."""
    positions, charges = torch.as_tensor(system.positions), torch.as_tensor(system.charges)
    isolated = system.assume_isolated
    if isinstance(share, Part):
        return near(positions, charges, system.grid.cell_array, part=share, isolated=isolated)
    return far(positions, charges, ReciprocalSlab.of_y(*share), isolated=isolated)


def reference_density_of(store: stores.Where, system: System, a: int = 0, b: int | None = None) -> Tensor:
    """n₀ of a store on a slab of x, or whole, (b − a, Ny, Nz) float64, 1/Å³."""
    name, t = reference_density(system)
    return torch.from_numpy(stores.read_region(store, name, (*(() if t is None else (t,)), slice(a, b))))
