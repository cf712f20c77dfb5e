"""Snapshots through a DFT code on Dask: one task runs one snapshot in a directory of its own and writes it.

What fails is named with its reason and the rest is kept; a second call does what is missing.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ase
import numpy as np
from distributed import Client

from maladist.atoms import AtomsLike, ase_atoms, check_atoms
from maladist.cluster import client_or_local
from maladist.datasets.convert.source import CheckedSource, Source, snapshot_attributes
from maladist.datasets.dft.code import Calculated, DFTCode
from maladist.datasets.dft.scratch import Scratch
from maladist.datasets.verify import verify_density, verify_ldos
from maladist.errors import DependencyError, DFTError, InputError, OutputError, StoreError
from maladist.grid import Grid
from maladist.io import datasets, stores
from maladist.io.appearing import remove
from maladist.io.ownership import Claim
from maladist.io.stores import field_template
from maladist.parallel import waves
from maladist.parallel.blocking import choose_block
from maladist.parallel.progress import Finished, Observer, Silent
from maladist.parallel.workers import wait_for_worker
from maladist.physics.broadening import wide_note

_NAMED: Final = 3  # snapshots that are named beside a note; of more, their number is told


@dataclass(frozen=True)
class Outcome(Finished):
    """How a snapshot ended: an empty reason means that it is in the data set; notes are what the user should know."""

    name: str
    reason: str
    seconds: float
    notes: tuple[str, ...] = ()

    def line(self, *, bar: bool) -> str:
        """How it ended."""
        del bar
        return f"{self.name}: {self.reason or 'done'} ({self.seconds:.1f} s)"


def dft(
    snapshots: Sequence[AtomsLike],
    code: DFTCode,
    output: str | Path,
    *,
    names: Sequence[str] | None = None,
    client: Client | None = None,
    scratch: str | Path | None = None,
    observer: Observer | None = None,
) -> list[Outcome]:
    """Run snapshots through a DFT code into a data set; those that it has already are left as they are.

    Parameters
    ----------
    snapshots
        Atoms, each with its cell.
    code
        The DFT code, with what the calculations have in common: `Espresso` or `GPAW`.
    output
        Data set; made if it is not there.
    names
        Names of the snapshots; s0000, s0001, ... where not given.
    client
        Client whose workers run the code; a local cluster where None.
    scratch
        Folder for the calculations' files on the workers; removed afterwards.
    observer
        Observer that is told how many snapshots there are, and the `Outcome` of each; nobody where None.

    Returns
    -------
    list of Outcome
        How the snapshots ended that were run, in the order of their names.

    Raises
    ------
    DependencyError
        A worker does not have the program.
    """
    names = list(names) if names is not None else [f"s{i:04d}" for i in range(len(snapshots))]
    if len(names) != len(snapshots) or len(set(names)) != len(names):
        raise InputError("names", f"{len(names)} for {len(snapshots)} snapshots", "one different name for each")
    output, observer = Path(output).resolve(), observer or Silent()
    snapshots = [ase_atoms(one) for one in snapshots]
    for atoms in snapshots:
        # All snapshots before the first runs: a mistake in the last must not cost the DFT of the others.
        check_atoms(atoms, code.elements)
    # What an earlier run into this data set settled holds for all its snapshots: energies must be the same in all.
    kept, left_open = datasets.proposed(output), code.needs_survey
    code = code.settled(kept)
    proposed, told = code.propose(snapshots, datasets.cells(output))
    code = code.settled(proposed)
    for atoms in snapshots:
        code.check(atoms)
    datasets.open_data_set(output)
    datasets.keep_proposed(output, proposed)
    for line in told:
        observer.note(line)
    todo = [
        (name, atoms)
        for name, atoms in zip(names, snapshots, strict=True)
        if not stores.is_complete(datasets.snapshot_path(output, name))
    ]
    if not todo:
        return []
    with client_or_local(client) as connected, ExitStack() as owned:
        wait_for_worker(connected)
        if not all(connected.run(_has_program, code.program).values()):
            remedy = "It makes data; predict needs none."
            raise DependencyError(code.program, "not found on a worker", "the DFT code on every worker", remedy)
        where = None if scratch is None else str(Path(scratch).resolve())
        outcomes, jobs = list[Outcome](), list[waves.NamedJob]()
        observer.begin(connected, f"{len(todo)} snapshots")
        whence = "as the data set has them"
        if code.needs_survey:
            code, whence = _surveyed(connected, code, *todo[0], output, where), f"from a calculation of {todo[0][0]}"
        if left_open:
            observer.note(f"energies {whence}: {code.energy_grid}")
        if broad := wide_note(code.energy_grid, code.temperature):
            observer.note(broad)
        observer.stage("snapshots", len(names), len(names) - len(todo))

        def ended(outcome: Outcome) -> None:
            outcomes.append(outcome)
            observer.advance(outcome)

        for name, atoms in todo:
            try:
                # Each snapshot is claimed before any runs, so that two calls into one data set
                # share it without running one twice.
                group = owned.enter_context(stores.making(datasets.snapshot_path(output, name), {}, {}, True))
            except StoreError as error:  # another run is at it
                ended(Outcome(name, str(error), 0.0))
            else:
                jobs.append(waves.NamedJob(name, name, atoms, code, group, where))
        for outcome in waves.run(connected, run_snapshot, jobs, run_key=f"dft-{time.time_ns():x}"):
            ended(outcome)
    outcomes.sort(key=lambda o: o.name)
    for line in together(outcomes):
        observer.note(line)
    return outcomes


def together(outcomes: Iterable[Outcome]) -> list[str]:
    """Notes of snapshots, each once with whose it is; those that differ in their numbers only are one."""
    whose: dict[str, list[tuple[str, str]]] = {}
    for one in outcomes:
        for note in one.notes:
            whose.setdefault(re.sub(r"[-+]?\d[\d.e+-]*", "#", note), []).append((one.name, note))
    lines = []
    for found in whose.values():
        names = [name for name, _ in found]
        who = ", ".join(names) if len(names) <= _NAMED else f"{len(names)} snapshots, such as {names[0]}"
        lines.append(f"{who}: {found[0][1]}")
    return lines


def _surveyed(client: Client, code: DFTCode, name: str, atoms: ase.Atoms, output: Path, where: str | None) -> DFTCode:
    """The code with what it left open as a calculation of the first snapshot proposes it, kept in the data set."""
    job = waves.NamedJob(name, name, atoms, code, where)
    (proposed,) = waves.run(client, survey_snapshot, [job], run_key=f"dft-survey-{time.time_ns():x}")
    if isinstance(proposed, InputError):
        raise proposed
    datasets.keep_proposed(output, proposed)
    return code.settled(proposed)


def _has_program(name: str) -> bool:
    return shutil.which(name) is not None


# -- on a worker -----------------------------------------------------------------------------------------------------


def survey_snapshot(name: str, atoms: ase.Atoms, code: DFTCode, scratch: str | None) -> dict[str, object] | InputError:
    """What a calculation proposes for the settings that are left open, or what it refuses."""
    try:
        with Scratch(name, scratch, code.threads) as kept:
            return code.survey(atoms, kept)
    except InputError as error:
        return error
    except OSError as error:
        return DFTError(name, str(error), "a scratch folder that can be written")


def run_snapshot(name: str, atoms: ase.Atoms, code: DFTCode, group: Claim, scratch: str | None) -> Outcome:
    """Run one snapshot; never raises for what a calculation can do wrong."""
    start = time.perf_counter()
    try:
        with Scratch(name, scratch, code.threads) as kept:
            calculated = code.calculate(atoms, kept)
        notes = write_snapshot(group, calculated, code)
    # A calculation that fails is one snapshot's outcome: the others go on.
    except (InputError, OSError) as error:
        with suppress(OutputError):
            remove(group)
        return Outcome(name, str(error), time.perf_counter() - start)
    return Outcome(name, "", time.perf_counter() - start, notes)


def write_snapshot(group: Claim, calculated: Calculated, code: DFTCode) -> tuple[str, ...]:
    """Hold the fields against the calculation and write the snapshot; complete when its last attribute is written.

    Returns
    -------
    tuple of str
        Notes of the calculation, which the snapshot has too.
    """
    run, density, ldos = calculated
    grid, energies = Grid(run.atoms.cell.array.tolist(), density.shape), code.energy_grid
    dos = ldos.reshape(-1, energies.levels).sum(axis=0, dtype=np.float64) * grid.voxel_volume
    _, notes = verify_ldos(run, dos, energies, kernel_given=True)
    verify_density(run, float(density.sum()) * grid.voxel_volume, "density")
    source, told = Source(run, (), pseudopotentials=code.pseudopotentials), (*run.notes, *notes)
    ready = CheckedSource(source, run, grid, energies, (), 1.0, told)
    block = choose_block(grid, 1, 10**6 // energies.levels * 12)
    arrays = {
        "ldos": field_template("ldos", ldos.shape, (*block, energies.levels)),
        "density": field_template("density", grid.shape, block),
    }
    about = {**snapshot_attributes(ready, None), "source": code.program}
    stores.set_attributes(group, {**about, "notes": list(told)} if told else about)
    stores.add_arrays(group, arrays)
    stores.open_array(group, "ldos")[...] = ldos
    stores.open_array(group, "density")[...] = density
    # As all data sets have them: in the cell.
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
    return told
