"""The potential of the double counting at every point of the snapshots, which the loss of the total energy needs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from distributed import Client

from maladist.datasets.snapshots import Snapshot
from maladist.elements import Element
from maladist.errors import InputError
from maladist.io import stores
from maladist.io.samples import write_rows
from maladist.learning.loss import Sensitivity
from maladist.parallel import waves
from maladist.physics.double_counting import double_counting_potential
from maladist.physics.fermi import number_slopes
from maladist.physics.forces import has_hold


def potentials(
    snapshots: Sequence[Snapshot],
    elements: Mapping[str, Element],
    folder: Path,
    client: Client,
    *,
    correction: bool,
    channel: bool,
) -> list[Snapshot]:
    """The snapshots with a file each that holds u(r) of :mod:`maladist.physics.double_counting` at the DFT's density.

    The number of electrons is fixed, so u is given up to the constant that makes its first-order effect right: with a
    density channel, which is scaled to N electrons, less ∫ u n / N; else less u_F = ∫ u d_F / ∫ d_F with d_F the change
    of the density with μ, since μ moves to keep N.

    Parameters
    ----------
    elements
        Pseudopotentials by symbol.
    folder
        Folder of the files; a file that is there is taken as it is.
    correction
        Whether the Fermi weights are corrected for the broadening.
    channel
        Whether the network has a density channel.

    Raises
    ------
    InputError
        A snapshot lacks its density, functional, pseudopotentials or Fermi level.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with_potential, jobs = [], []
    for i, (s, felt) in enumerate(energetic(snapshots, elements, "loss.mean_total", correction=correction)):
        path = folder / f"{file_stem(s, channel, correction)}.potential.npy"
        with_potential.append(replace(snapshots[i], potential=str(path)))
        if not path.exists():
            jobs.append(waves.NamedJob(f"{s.name} (snapshot {i})", s, str(path), felt, correction, channel))
    waves.in_order(client, write_potential, jobs, run_key="potential")
    return with_potential


def file_stem(snapshot: Snapshot, *how: object) -> str:
    """Name of what is kept of a snapshot, without its ending: another for each way ``how`` and each pseudopotential."""
    pseudopotentials = sorted((e.symbol, e.sha256) for e in snapshot.system.elements.values())
    of_data = (snapshot.energies.windows, snapshot.zero, snapshot.system.assume_isolated)
    made = f"{snapshot.path} {how} {of_data} {pseudopotentials}"
    return f"{snapshot.name}-{hashlib.sha256(made.encode()).hexdigest()[:12]}"


def energetic(
    snapshots: Sequence[Snapshot], elements: Mapping[str, Element], key: str, *, correction: bool
) -> list[tuple[Snapshot, Sensitivity]]:
    """Snapshots with their pseudopotentials, and what their energies feel of the LDOS.

    Raises
    ------
    InputError
        The total energy of a snapshot cannot be had; names ``key`` of the configuration.
    """
    with_elements = []
    for snapshot in snapshots:
        s = replace(snapshot, system=replace(snapshot.system, elements=elements))
        felt = s.sensitivity(correction=correction)
        lacks = [
            *([] if s.has_density else ["a density"]),
            *([] if s.system.xc else ["a functional"]),
            *([] if s.system.knows_core else ["pseudopotentials of all its elements (data.pseudopotentials)"]),
            *([] if felt else ["a Fermi level"]),
        ]
        if lacks or felt is None:
            wanted = "snapshots whose total energy is known"
            raise InputError(key, f"{s.name} without {', '.join(lacks)}", wanted, "Or leave it at 0.")
        with_elements.append((s, felt))
    return with_elements


def write_potential(snapshot: Snapshot, path: str, felt: Sensitivity, correction: bool, channel: bool) -> str:
    """Compute one snapshot's u(r) on a worker and write it, (Nx, Ny, Nz) float32, eV."""
    # The whole density on one worker: its Hartree potential is not local.
    n = torch.as_tensor(np.asarray(stores.open_array(snapshot.path, "density", "r")[...], dtype=float))
    u = centred(
        double_counting_potential(n, snapshot.system), n, snapshot, felt, correction=correction, channel=channel
    )
    write_rows(Path(path), u.numpy().astype(np.float32))
    return snapshot.name


def centred(
    potential: torch.Tensor,
    density: torch.Tensor,
    snapshot: Snapshot,
    felt: Sensitivity,
    *,
    correction: bool,
    channel: bool,
) -> torch.Tensor:
    """u(r) less the constant that makes its first-order effect right, (Nx, Ny, Nz); see `potentials`."""
    weight = density if channel else density_by_fermi_level(snapshot, felt, correction)
    # In a gap μ has no hold on n: N is what its levels hold, and only the scale of the density is left to fix.
    if not channel and not has_hold(float(weight.mean()), float(density.mean())):
        weight = density
    return potential - (potential * weight).sum() / weight.sum()


def density_by_fermi_level(snapshot: Snapshot, felt: Sensitivity, correction: bool) -> torch.Tensor:
    """∂n/∂μ from the LDOS at the DFT's Fermi level, (Nx, Ny, Nz) float64, 1/(Å³ eV)."""
    weights = number_slopes(snapshot.energies, felt.fermi_energy, felt.temperature, correction=correction).numpy()
    if snapshot.resampling is not None:
        # Weights of the levels on disk, so that the LDOS itself need not be resampled point by point.
        weights = snapshot.resampling.astype(float) @ weights
    ldos = stores.open_array(snapshot.path, "ldos", "r")
    slope = np.empty(snapshot.system.grid.shape)
    for block in snapshot.system.grid.blocks(snapshot.chunks):
        slope[block.slices] = np.asarray(ldos[block.slices], dtype=float) @ weights
    return torch.as_tensor(slope)
