"""u(r) and the explicit terms of the derivatives: in one task of a small grid, by slabs of a large one.

By slabs as the energies (`fields`), whose coefficients of n and of its gradients lie in the store: slabs of x make the
sources of u and s, slabs of y put them together and take what the core charge feels of them, slabs of x write u(r).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maladist.arrays import Array
from maladist.io import stores
from maladist.io.stores import ArrayTemplate
from maladist.parallel import waves
from maladist.physics.core import core_derivatives_of
from maladist.physics.double_counting import Sources, xc_sources
from maladist.physics.ewald import real_space_derivatives, reciprocal_derivatives_of
from maladist.physics.forces import Derivatives, explicit_terms
from maladist.physics.functionals import needs_gradient
from maladist.physics.hartree import coulomb_kernel, hartree_strain_of
from maladist.physics.reciprocal import ReciprocalSlab
from maladist.physics.system import System
from maladist.physics.xc import XCField, divergence_of
from maladist.prediction.fields import (
    DERIVATIVES_REALS,
    IonShare,
    Slabs,
    real_field,
    reference_density_of,
    share_of_ions,
)
from maladist.prediction.passes import Run
from maladist.prediction.record import POTENTIAL


class Fields(NamedTuple):
    """What comes of the whole density: derivatives of the explicit terms by name, and ∫ u n₀, eV."""

    terms: dict[str, Derivatives]
    overlap: float


def make_potential(run: Run) -> Fields:
    """Write u(r) into a run's store; and the explicit terms."""
    system, (bx, by, bz) = run.setup.system, run.plan.block_shape
    if not run.plan.distributed_potential:
        template = ArrayTemplate(system.grid.shape, (bx, by, bz), ("x", "y", "z"))
        stores.add_arrays(run.path, {POTENTIAL: template})
        job = waves.NamedJob("potential", run.path, system)
        return waves.in_order(run.client, u_whole, [job], run_key=run.key)[0]
    slabs = Slabs(run.client, run.key, run.path, system, run.plan.room)
    if not run.plan.distributed_fields:  # else the energies have left them
        slabs.density_terms()
    return by_slabs(slabs, (by, bz))


def u_whole(store: stores.Where, system: System) -> Fields:
    """The same on a worker that can hold the fields."""
    density = reference_density_of(store, system)
    found = explicit_terms(density, system)
    stores.write_region(store, POTENTIAL, (slice(None),) * 3, found.u.numpy())
    return Fields(found.terms, float((found.u * density).sum()) * system.grid.voxel_volume)


def by_slabs(slabs: Slabs, chunk: tuple[int, int]) -> Fields:
    """The same by slabs, from the coefficients that `Slabs.density_terms` has left in the store.

    Parameters
    ----------
    slabs
        How the work is cut.
    chunk
        Points of a chunk of u along y and z: those of a block. Along x it is a slab's, which writes whole chunks.
    """
    store, system = slabs.path, slabs.system
    xs, ys = (slabs.ranges(axis, system.grid, DERIVATIVES_REALS) for axis in (0, 1))
    # Other slabs than the energies': the sources are several fields at once, and a task holds them all.
    template = slabs.template((xs[0][1], ys[0][1]))
    stores.add_arrays(store, {_place(name): template for name in (*_names(system), "total")})
    stores.add_arrays(store, {POTENTIAL: ArrayTemplate(system.grid.shape, (xs[0][1], *chunk), ("x", "y", "z"))})
    of_xc = slabs.sum(_u_sources, [waves.NamedJob(f"source{a}", store, system, a, b) for a, b in xs])
    together = slabs.sum(_u_reciprocal, [waves.NamedJob(f"together{a}", store, system, a, b) for a, b in ys])
    (overlap,) = slabs.sum(_u_slab, [waves.NamedJob(f"u{a}", store, system, a, b) for a, b in xs])
    # These terms know the atoms only through n₀ and the core charge, and the core's share is a term of its own.
    none = np.zeros((system.n_atoms, 3))
    terms = {"double_counting": Derivatives(none, (of_xc + together[:9]).reshape(3, 3))}
    if system.has_core:
        terms["core"] = _derivatives(together[9:])
    terms["ewald"] = _derivatives(slabs.of_ions(_ewald_forces, "ions", DERIVATIVES_REALS))
    return Fields(terms, float(overlap))


def _derivatives(numbers: Array) -> Derivatives:
    """Derivatives of nine numbers of the strain and three of each atom."""
    return Derivatives(numbers[9:].reshape(-1, 3), numbers[:9].reshape(3, 3))


def _place(name: str) -> str:
    return f"work/source_{name}"


def _names(system: System) -> list[str]:
    """Sources that are transformed: those of u, and of s where there is a core charge to feel it."""
    assert system.functional is not None
    flux = "xyz" if needs_gradient(system.functional) else ""
    return [f"{field}{axis}" for field in ("us" if system.has_core else "u") for axis in ("", *flux)]


def _fields_of(sources: Sources, system: System) -> Iterator[Tensor]:
    """The sources in the order of their names."""
    pairs = [(sources.u, sources.u_flux), (sources.s, sources.s_flux)]
    for scalar, flux in pairs if system.has_core else pairs[:1]:
        yield scalar
        yield from () if flux is None else flux


def _u_sources(store: stores.Where, system: System, a: int, b: int) -> list[float]:
    """A slab of x: sources, transformed along y and z; the strain's share of XC."""
    assert system.functional is not None

    def field(charge: str, axis: int | None = None) -> Tensor:
        return real_field(store, XCField(charge, axis), system, a, b)  # type: ignore[arg-type]

    # Only a functional with gradients asks for them: three fields each, read from the store and transformed.
    by_rho = by_n = None
    if needs_gradient(system.functional):
        by_rho = torch.stack([field("all", axis) for axis in range(3)])
        by_n = torch.stack([field("valence", axis) for axis in range(3)]) if system.has_core else by_rho
    core = field("core") if system.has_core else None
    found = xc_sources(system.functional, reference_density_of(store, system, a, b), core, by_n, by_rho)
    for name, values in zip(_names(system), _fields_of(found, system), strict=True):
        transformed = torch.fft.rfftn(values, dim=(1, 2), norm="forward")
        stores.write_region(store, _place(name), (slice(a, b),), transformed.numpy())
    return [float(x) for x in (found.strain * system.grid.voxel_volume).ravel()]


def _u_reciprocal(store: stores.Where, system: System, a: int, b: int) -> list[float]:
    """A slab of y: transform along x; u, half way back; shares of Hartree's strain and of the core charge."""
    slab = ReciprocalSlab.of_y(system.grid, a, b)
    sphere, names = slab.sphere(system.sphere), _names(system)

    def coefficients(array: str) -> Tensor:
        mixed = torch.from_numpy(stores.read_region(store, array, (slice(None), slice(a, b))))
        return torch.fft.fft(mixed, dim=0, norm="forward")

    def gathered(field: str) -> Tensor:
        flux = (coefficients(_place(f"{field}{axis}")) for axis in "xyz" if f"{field}{axis}" in names)
        return coefficients(_place(field)) + divergence_of(flux, slab, sphere)

    n_g = coefficients("work/g_density")
    # The band energy counts Hartree's twice, so that E_H is subtracted from it: in u stands −v_H.
    u_g = gathered("u") - n_g * coulomb_kernel(slab, system.assume_isolated)
    half_way = torch.fft.ifft(u_g, dim=0, norm="forward")
    stores.write_region(store, _place("total"), (slice(None), slice(a, b)), half_way.numpy())
    shares = [-hartree_strain_of(n_g, slab, system.assume_isolated).ravel()]
    if system.has_core:
        by_position, by_strain = core_derivatives_of(system, slab, gathered("s"))
        shares += [by_strain.ravel(), by_position.ravel()]
    return [float(x) for share in shares for x in share]


def _u_slab(store: stores.Where, system: System, a: int, b: int) -> list[float]:
    """A slab of x: u(r), and its share of ∫ u n₀."""
    part = torch.from_numpy(stores.read_region(store, _place("total"), (slice(a, b),)))
    u = torch.fft.irfftn(part, s=system.grid.shape[1:], dim=(1, 2), norm="forward")
    stores.write_region(store, POTENTIAL, (slice(a, b),), u.numpy())
    return [float((u * reference_density_of(store, system, a, b)).sum()) * system.grid.voxel_volume]


def _ewald_forces(system: System, share: IonShare) -> list[float]:
    """The share of the ions' derivatives of a slab in reciprocal space, or of a part of the pairs."""
    found = share_of_ions(system, share, real_space_derivatives, reciprocal_derivatives_of)
    return [float(x) for part in (found.by_strain, found.by_position) for x in part.ravel()]
