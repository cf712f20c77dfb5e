"""The energies that need the whole density: in one task where a worker can hold its work arrays, by slabs where not.

By slabs, the Fourier transform is done along z and y in slabs of x, and along x in slabs of y. Between the two the
coefficients lie in the store (group ``work``), so that what a task holds is bounded by its slab and a worker that dies
takes nothing with it. (A dask.array with rechunks does the same exchange in the memory of the workers: every slab of y
then waits, in memory, for every slab of x.) The formulas are those of the one task: `maladist.physics` works on any
slab of the reciprocal half space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from distributed import Client
from torch import Tensor

from maladist.grid import Grid
from maladist.io import stores
from maladist.io.stores import ArrayTemplate
from maladist.parallel import waves
from maladist.physics.core import core_charge_of
from maladist.physics.energies import density_terms, ion_energy
from maladist.physics.ewald import ewald_grid, real_space_energy, reciprocal_energy_of
from maladist.physics.functionals import integrate, needs_gradient
from maladist.physics.hartree import hartree_energy_of
from maladist.physics.reciprocal import ReciprocalSlab, half_shape
from maladist.physics.system import System
from maladist.physics.xc import gradient_of

Terms = dict[str, float | None]
Run = Callable[[Any, Sequence[waves.NamedJob]], Iterator[Any]]

ONE_TASK_REALS: Final = 14
"""Real numbers a point that the terms in one task hold at their peak (measured, density and core charge included)."""

SLAB_REALS: Final = 24
"""The same for a slab of the distributed form, with the coefficients that are being read and written."""

_EWALD_BYTES_PER_ATOM: Final = 60_000  # of the real-space pairs within 5.7 Å and the non-uniform transform


def one_task_bytes(grid: Grid, n_atoms: int) -> int:
    """Peak memory of the terms of a density in one task, bytes."""
    return 8 * ONE_TASK_REALS * grid.n_points + _EWALD_BYTES_PER_ATOM * n_atoms


def terms_of_store(
    client: Client, path: Path, system: System, *, distributed: bool, room: int, run_key: str
) -> list[Terms]:
    """Hartree, XC and Ewald terms of the densities in a store.

    Parameters
    ----------
    client
        Whose workers compute.
    path
        Store with ``density`` (and, where it is distributed, with room for ``work``).
    system
        Atoms, elements, functional, cutoff and temperatures.
    distributed
        Whether by slabs.
    room
        Bytes that a task may use; decides the slabs.
    run_key
        Prefix of the tasks' keys.

    Returns
    -------
    list of dict
        For each temperature: ``hartree_eV``, ``xc_eV``, ``xc_potential_eV``, ``ewald_eV``; None where not known.
    """

    def run(function: Any, jobs: Sequence[waves.NamedJob]) -> Iterator[Any]:
        return waves.run(client, function, jobs, run_key=run_key)

    nt = len(system.temperatures)
    if distributed:
        slabs = _Slabs(path, system, room)
        ewald = slabs.ewald(run)
        return [{**slabs.density_terms(run, t), "ewald_eV": ewald} for t in range(nt)]
    jobs = [waves.NamedJob(f"terms{t}", str(path), system, t) for t in range(nt)]
    jobs.append(waves.NamedJob("ewald", str(path), system, None))
    found = dict(run(_one_task, jobs))
    return [{**found[t], **found[None]} for t in range(nt)]


def _one_task(store: str, system: System, t: int | None) -> tuple[int | None, Terms]:
    torch.set_num_threads(1)
    p = system
    if t is None:
        return None, {"ewald_eV": ion_energy(p.positions, p.symbols, p.elements, p.grid)}
    density = _density(store, t, 0, p.grid.shape[0])
    terms = density_terms(density, p.grid, p.positions, p.symbols, p.elements, p.xc, p.density_cutoff)
    return t, dict(zip(("hartree_eV", "xc_eV", "xc_potential_eV"), terms, strict=True))


# -- by slabs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Slabs:
    """The terms by slabs of x and of y, thick enough for ``room`` bytes and no thicker."""

    path: Path
    system: System
    room: int

    @property
    def _grid(self) -> Grid:
        return self.system.grid

    def _ranges(self, axis: int, grid: Grid) -> list[tuple[int, int]]:
        plane = grid.n_points // grid.shape[axis]
        thick = max(1, int(self.room // (8 * SLAB_REALS * plane)))
        n = grid.shape[axis]
        return [(a, min(a + thick, n)) for a in range(0, n, thick)]

    def density_terms(self, run: Run, t: int) -> Terms:
        xs, ys = self._ranges(0, self._grid), self._ranges(1, self._grid)
        fields = _fields(self.system)
        thick = (xs[0][1], ys[0][1])
        stores.add_arrays(self.path, {f"work/g_{name}": self._template(thick) for name in ("density", *fields)})
        store, system = str(self.path), self.system
        _drain(run(_forward, [waves.NamedJob(f"fft{t}x{a}", store, t, a, b) for a, b in xs]))
        hartree = run(_reciprocal, [waves.NamedJob(f"fft{t}y{a}", store, system, a, b, fields) for a, b in ys])
        terms: Terms = {"hartree_eV": _in_order(hartree)[0], "xc_eV": None, "xc_potential_eV": None}
        if system.xc is not None and system.knows_core:
            xc = run(_real, [waves.NamedJob(f"xc{t}x{a}", store, system, t, a, b, fields) for a, b in xs])
            terms["xc_eV"], terms["xc_potential_eV"] = _in_order(xc)
        return terms

    def _template(self, thick: tuple[int, int]) -> ArrayTemplate:
        nx, ny, nh = half_shape(self._grid)
        return ArrayTemplate((nx, ny, nh), (*thick, nh), ("gx", "gy", "gz"), "complex128")

    def ewald(self, run: Run) -> float | None:
        if self.system.charges is None:
            return None
        grid = ewald_grid(self._grid.cell_array)
        jobs = [waves.NamedJob(f"ewald{a}", self.system, grid, a, b) for a, b in self._ranges(1, grid)]
        return _in_order(run(_ewald_slab, [*jobs, waves.NamedJob("ewald-pairs", self.system, None, -1, 0)]))[0]


def _fields(system: System) -> tuple[str, ...]:
    """What must come back to real space for XC, by name."""
    if system.xc is None or not system.knows_core:
        return ()
    gradients = tuple(f"rho{a}" for a in range(3)) if needs_gradient(system.xc) else ()
    if not system.has_core:
        return gradients
    return ("core", *gradients, *(f"n{a}" for a in range(len(gradients))))


def _forward(store: str, t: int, a: int, b: int) -> int:
    """Density of a slab of x -> its transform along y and z."""
    torch.set_num_threads(1)
    density = _density(store, t, a, b)
    stores.write_region(
        store, "work/g_density", (slice(a, b),), torch.fft.rfftn(density, dim=(1, 2), norm="forward").numpy()
    )
    return a


def _reciprocal(store: str, system: System, a: int, b: int, fields: Sequence[str]) -> tuple[int, list[float]]:
    """A slab of y: transform along x, Hartree's share, and the fields that XC needs, half way back."""
    torch.set_num_threads(1)
    grid = system.grid
    nx, _, nh = half_shape(grid)
    slab = ReciprocalSlab(grid, (0, a, 0), (nx, b, nh))
    mixed = torch.from_numpy(np.asarray(stores.open_array(store, "work/g_density", "r")[:, a:b]))
    n_g = torch.fft.fft(mixed, dim=0, norm="forward")
    del mixed
    hartree = float(hartree_energy_of(n_g, slab))
    if fields:
        sphere = slab.sphere(system.density_cutoff)
        positions = torch.as_tensor(system.positions)
        core_g = core_charge_of(positions, system.symbols, system.elements, slab, system.density_cutoff)
        rho_g = n_g if core_g is None else n_g + core_g
        for name in fields:
            source = {"c": core_g, "r": rho_g, "n": n_g}[name[0]]
            assert source is not None
            field = source if name == "core" else gradient_of(source, slab, int(name[-1]), sphere)
            back = torch.fft.ifft(field, dim=0, norm="forward").numpy()
            stores.write_region(store, f"work/g_{name}", (slice(None), slice(a, b)), back)
    return a, [hartree]


def _real(store: str, system: System, t: int, a: int, b: int, fields: Sequence[str]) -> tuple[int, list[float]]:
    """A slab of x: the rest of the way back, and XC point by point."""
    torch.set_num_threads(1)
    grid = system.grid

    def field(name: str) -> Tensor:
        part = torch.from_numpy(np.asarray(stores.open_array(store, f"work/g_{name}", "r")[a:b]))
        return torch.fft.irfftn(part, s=grid.shape[1:], dim=(1, 2), norm="forward")

    n = _density(store, t, a, b)
    rho = n + field("core") if "core" in fields else n
    gradients: tuple[Tensor, ...] = ()
    if "rho0" in fields:
        sigma, overlap = torch.zeros_like(n), torch.zeros_like(n)
        for axis in range(3):
            of_rho = field(f"rho{axis}")
            sigma.addcmul_(of_rho, of_rho)
            overlap.addcmul_(of_rho, field(f"n{axis}") if "n0" in fields else of_rho)
        gradients = (sigma, overlap)
    assert system.xc is not None
    return a, (integrate(system.xc, rho, n, *gradients) * grid.voxel_volume).tolist()


def _ewald_slab(system: System, grid: Grid | None, a: int, b: int) -> tuple[int, list[float]]:
    torch.set_num_threads(1)
    positions, charges = torch.as_tensor(system.positions), torch.as_tensor(system.charges)
    if grid is None:
        return a, [float(real_space_energy(positions, charges, system.grid.cell_array))]
    nx, _, nh = half_shape(grid)
    return a, [float(reciprocal_energy_of(positions, charges, ReciprocalSlab(grid, (0, a, 0), (nx, b, nh))))]


def _density(store: str, t: int, a: int, b: int) -> Tensor:
    array = stores.open_array(store, "density", "r")
    return torch.from_numpy(np.asarray(array[t, a:b] if array.ndim == 4 else array[a:b]))


def _in_order(results: Iterator[tuple[int, list[float]]]) -> list[float]:
    """Sum of the slabs' shares in the order of the slabs, so that it does not depend on who was first."""
    shares: npt.NDArray[np.float64] = np.array([share for _, share in sorted(results)])
    return [float(x) for x in shares.sum(axis=0)]


def _drain(results: Iterator[Any]) -> None:
    for _ in results:
        pass
