"""Snapshots through Quantum ESPRESSO on Dask: one task runs one snapshot in a directory of its own and writes it.

What fails is named with its reason and the rest is kept; a second call does what is missing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
import numpy.typing as npt
import torch
from distributed import Client

from maladist import schema
from maladist.cluster import cluster
from maladist.datasets.convert.source import Ready, Source, snapshot_attributes
from maladist.datasets.dft.scratch import Scratch
from maladist.datasets.dft.setup import DFTSetup, check_covers
from maladist.datasets.verify import verify_density, verify_ldos
from maladist.errors import DependencyError, DFTError, InputError
from maladist.grid import Grid
from maladist.io import datasets, stores
from maladist.io.fields import cube
from maladist.io.qe.input import force_gaussian, ldos_input, pw_input
from maladist.io.qe.run import DFTRun
from maladist.io.qe.wavefunctions import ldos_of_states, read_density
from maladist.io.qe.xml import read_qe_xml
from maladist.io.stores import field_template
from maladist.parallel import waves
from maladist.parallel.blocking import choose_block
from maladist.parallel.progress import Observer, Silent
from maladist.units import LDOS_QE


@dataclass(frozen=True)
class Outcome:
    """How a snapshot ended: an empty reason means that it is in the data set."""

    name: str
    reason: str
    seconds: float


def dft(
    snapshots: Sequence[ase.Atoms],
    setup: DFTSetup,
    output: str | Path,
    *,
    names: Sequence[str] | None = None,
    client: Client | None = None,
    scratch: str | Path | None = None,
    told: Callable[[Outcome], None] | None = None,
    observer: Observer | None = None,
) -> list[Outcome]:
    """Run snapshots through Quantum ESPRESSO into a data set; those that it has already are left as they are.

    Parameters
    ----------
    snapshots
        Atoms, each with its cell.
    setup
        What the calculations have in common.
    output
        Data set; made if it is not there.
    names
        Of the snapshots; s0000, s0001, ... where not given.
    client
        Whose workers run pw.x; a local cluster where None.
    scratch
        Folder for the calculations' files on the workers; removed afterwards.
    told
        Is told each outcome as it comes.
    observer
        Is told how many snapshots there are, and of each that ends; nobody where None.

    Returns
    -------
    list of Outcome
        Of the snapshots that were run, in the order of their names.

    Raises
    ------
    DependencyError
        No pw.x on a worker.
    """
    names = list(names) if names is not None else [f"s{i:04d}" for i in range(len(snapshots))]
    if len(names) != len(snapshots) or len(set(names)) != len(names):
        raise InputError("names", f"{len(names)} for {len(snapshots)} snapshots", "one different name for each")
    for atoms in snapshots:
        schema.check_atoms(atoms, setup.elements)
        setup.mesh(len(atoms))
    output = Path(output).resolve()
    setup = setup.model_copy(update={"pseudopotentials": str(Path(setup.pseudopotentials).resolve())})
    datasets.open_data_set(output)
    todo = [
        (name, atoms)
        for name, atoms in zip(names, snapshots, strict=True)
        if not datasets.is_complete(datasets.snapshot_path(output, name))
    ]
    if not todo:
        return []
    context: AbstractContextManager[Client] = nullcontext(client) if client is not None else cluster("local")
    with context as connected:
        connected.wait_for_workers(1)
        if not all(connected.run(_has_program).values()):
            raise DependencyError(
                "pw.x", "not found on a worker", "Quantum ESPRESSO", "It makes data; predict needs none."
            )
        where = None if scratch is None else str(Path(scratch).resolve())
        jobs = [waves.NamedJob(n, n, a, setup, str(output), where) for n, a in todo]
        observer, outcomes = observer or Silent(), []
        observer.begin(connected, f"{len(todo)} snapshots")
        observer.stage("snapshots", len(names), len(names) - len(todo))
        for outcome in waves.run(connected, run_snapshot, jobs, run_key=f"dft-{time.time_ns():x}"):
            outcomes.append(outcome)
            observer.advance(outcome)
            if told is not None:
                told(outcome)
    return sorted(outcomes, key=lambda o: o.name)


def _has_program() -> bool:
    return shutil.which("pw.x") is not None


# -- on a worker -----------------------------------------------------------------------------------------------------


def run_snapshot(name: str, atoms: ase.Atoms, setup: DFTSetup, output: str, scratch: str | None) -> Outcome:
    """Run one snapshot; never raises for what a calculation can do wrong."""
    start = time.perf_counter()
    group = datasets.snapshot_path(Path(output), name)
    try:
        with Scratch(name, scratch, setup.threads) as kept:
            run, density, ldos = calculate(atoms, setup, kept)
        write_snapshot(group, run, density, ldos, setup)
    except (InputError, OSError) as error:
        with suppress(OSError):
            stores.remove(group)
        return Outcome(name, str(error), time.perf_counter() - start)
    return Outcome(name, "", time.perf_counter() - start)


def calculate(
    atoms: ase.Atoms, setup: DFTSetup, scratch: Scratch
) -> tuple[DFTRun, npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Self-consistency, density and LDOS of a snapshot in a scratch folder.

    Raises
    ------
    DFTError
        pw.x failed, did not converge, or its bands or window do not cover what is needed.
    """
    torch.set_num_threads(max(1, setup.threads))
    files = {s: e.pseudopotential for s, e in setup.elements.items()}
    system, electrons = setup.namelists(atoms)
    mesh = setup.mesh(len(atoms))
    (scratch.folder / "scf.in").write_text(pw_input(atoms, files, mesh, system, electrons, setup.pseudopotentials))
    scratch.run("pw.x", "scf")
    save = scratch.folder / "out" / "m.save"
    run = read_qe_xml(save / "data-file-schema.xml")
    run.check_converged()
    mu = run.fermi_energy
    if mu is None or run.shape is None:
        raise DFTError("pw.x", "no Fermi energy in its XML", "a metal's calculation with smearing")
    check_covers(float(run.eigenvalues.min()), float(run.eigenvalues.max(axis=1).min()), mu, setup)
    density = read_density(save, run.shape)
    ldos = _ldos_of_pp(scratch, run, setup) if run.ultrasoft else ldos_of_states(save, run, setup.energy_grid)
    return run, density, ldos


def _ldos_of_pp(scratch: Scratch, run: DFTRun, setup: DFTSetup) -> npt.NDArray[np.float32]:
    """LDOS of ultrasoft pseudopotentials, whose augmentation only pp.x knows."""
    energies, folder = setup.energy_grid, scratch.folder
    force_gaussian(folder / "out" / "m.save" / "data-file-schema.xml")
    (folder / "pp.in").write_text(ldos_input(energies))
    scratch.run("pp.x", "pp")
    paths = sorted(folder.glob("tmp.pp*ldos.cube"))
    headers = {cube.read_header(p).energy: p for p in paths}
    if len(headers) != energies.levels or run.shape is None:
        raise DFTError("pp.x", f"{len(headers)} levels", f"{energies.levels}")
    ldos = np.empty((*run.shape, energies.levels), np.float32)
    for i, energy in enumerate(sorted(e for e in headers if e is not None)):
        for region, values in cube.read_slabs(headers[energy], run.shape[0]):
            ldos[(*region, i)] = values * LDOS_QE
    return ldos


def write_snapshot(
    group: Path, run: DFTRun, density: npt.NDArray[np.float64], ldos: npt.NDArray[np.float32], setup: DFTSetup
) -> None:
    """Hold the fields against the calculation and write the snapshot; complete when its last attribute is written."""
    assert run.shape is not None
    grid, energies = Grid(run.atoms.cell.array.tolist(), run.shape), setup.energy_grid
    dos = ldos.reshape(-1, energies.levels).sum(axis=0, dtype=np.float64) * grid.voxel_volume
    _, notes = verify_ldos(run, dos, energies, kernel_given=True)
    verify_density(run, float(density.sum()) * grid.voxel_volume, "density")
    ready = Ready(Source(run, (), pseudopotentials=setup.pseudopotentials), run, grid, energies, (), 1.0, notes)
    block = choose_block(grid, 1, 10**6 // energies.levels * 12)
    arrays = {
        "ldos": field_template("ldos", ldos.shape, (*block, energies.levels)),
        "density": field_template("density", grid.shape, block),
    }
    stores.create(group, arrays, {**snapshot_attributes(ready, None), "source": "pw.x"}, overwrite=True)
    stores.open_array(group, "ldos")[...] = ldos
    stores.open_array(group, "density")[...] = density
    wrapped = run.atoms.get_scaled_positions(wrap=True) @ grid.cell_array
    stores.write_values(
        group,
        {
            "energy": (("energy",), energies.values, "eV"),
            "dos": (("energy",), dos, "1/eV"),
            "position": (("atom", "xyz"), wrapped, "Å"),
            "number": (("atom",), run.atoms.numbers.astype(np.int16), "1"),
        },
    )
    datasets.write_reference(group, run)
    stores.finish(group)
