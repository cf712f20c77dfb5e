"""A folder of MALA's snapshots, converted as a whole: files, energies and descriptors are found, not given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from distributed import Client

from maladist.cluster import client_or_local
from maladist.datasets.convert.convert import convert
from maladist.datasets.convert.source import Source, array_shape, prepare
from maladist.descriptors.spec import Spec
from maladist.energy_grid import EnergyGrid
from maladist.errors import DataFileError, InputError
from maladist.io import datasets, stores
from maladist.io.mala.data import isolated_of
from maladist.io.mala.folder import SnapshotFiles, find_parameters, find_snapshots
from maladist.io.mala.parameters import read_descriptor, read_energy_grid
from maladist.io.qe.run import DFTRun
from maladist.parallel.progress import Observer, Silent

T = TypeVar("T")


@dataclass(frozen=True)
class _Snapshot:
    """One snapshot to be converted."""

    name: str
    source: Source
    spec: Spec | None


def convert_folder(
    source: Source,
    output: str | Path,
    *,
    spec: Spec | None = None,
    client: Client | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> list[Path]:
    """Convert all snapshots of a folder of MALA's into a data set; those that it already has stay as they are.

    All files are found and their headers read before the first is converted. Descriptors are taken where MALA's
    parameters tell what they are, and left out, with a note, where they do not.

    Parameters
    ----------
    source
        Source with the folder as its ``run``: it holds NAME.out.npy or .h5 and NAME.info.json of each snapshot, and
        MALA's params.json or the zip of a model. The rest is what they do not tell: energies where no parameters are
        there, kernel, width, units, temperature, pseudopotentials; no files.
    output
        Data set, which is made if it is not there; the snapshots have the files' names in it.
    spec
        Descriptor to compute in place of those in the files.
    client
        Client whose workers do it; a local cluster where None.
    overwrite
        Whether finished snapshots are made again.
    observer
        Observer that is told of stages and finished tasks, and what the user should know; nobody where None.

    Returns
    -------
    list of Path
        Groups of the snapshots.

    Raises
    ------
    InputError
        For the reasons of `convert`; there are no snapshots or no parameters, files lack their partners, or parameters
        disagree.
    """
    output, observer = Path(output).resolve(), observer or Silent()
    snapshots, notes = _found(source, spec)
    groups = {one.name: datasets.snapshot_path(output, one.name) for one in snapshots}
    # A folder of a hundred snapshots that was interrupted goes on where it was.
    there = set() if overwrite else {name for name, group in groups.items() if stores.is_complete(group)}
    if there:
        notes.append(f"{len(there)} of {len(groups)} snapshots are in {output.name} already and were left as they are")
    with client_or_local(client) as connected:
        for one in snapshots:
            if one.name not in there:
                convert(
                    one.source,
                    output,
                    name=one.name,
                    spec=one.spec,
                    client=connected,
                    overwrite=overwrite,
                    observer=observer,
                )
    for text in notes:
        observer.note(text)
    return list(groups.values())


def _found(like: Source, spec: Spec | None) -> tuple[list[_Snapshot], list[str]]:
    """Snapshots whose headers are read and held against one another, and what the user should know."""
    assert not isinstance(like.run, DFTRun)
    folder = Path(like.run)
    given = [name for name in ("ldos", "density", "dos", "descriptors") if getattr(like, name)]
    if given:
        came = f"{given[0]} beside the folder {folder}"
        raise InputError(
            given[0], came, "the folder alone", "Its files are found; or name the .info.json of one snapshot."
        )
    files, parameters = find_snapshots(folder), find_parameters(folder)
    energies = None if like.energies or like.parts else _energies(folder, parameters)
    told = {path: isolated_of(found) for path, found in parameters.items()}
    isolated = _alike(folder, told, "assume_two_dimensional") if told else None
    snapshots, notes = [], []
    for name, mine in files.items():
        levels = array_shape(mine.ldos)[-1]
        if energies is not None and levels != energies.levels:
            came = f"{levels} levels"
            raise DataFileError(
                str(mine.ldos), came, f"{energies.levels}, by {' and '.join(p.name for p in parameters)}"
            )
        source = replace(like, run=mine.run, ldos=[mine.ldos], density=mine.density, dos=mine.dos)
        if isolated is not None:  # the .info.json does not tell it
            source = replace(source, assume_isolated=isolated)
        if energies is not None:
            source = replace(source, parts=energies.windows)
        # All headers are held against one another before the first conversion takes its hour.
        run = prepare(source).run
        own = spec
        if own is None and mine.descriptors is not None:
            try:
                own = _descriptors(mine, parameters, run)
                source = replace(source, descriptors=mine.descriptors)
            except DataFileError as error:
                notes.append(f"{mine.descriptors.name} is left out: {error}")
        snapshots.append(_Snapshot(name, replace(source, run=run), own))
    return snapshots, notes


def _energies(folder: Path, parameters: Mapping[Path, Mapping[str, object]]) -> EnergyGrid:
    """Energies of the LDOS, which all parameters must tell alike."""
    if not parameters:
        remedy = "Copy MALA's params.json or the zip of its model there, or give --energies ORIGIN SPACING (eV)."
        raise DataFileError(str(folder), "no params.json in it", "MALA's parameters, for the LDOS' energies", remedy)
    grids = {path: read_energy_grid(path, found) for path, found in parameters.items()}
    return _alike(folder, grids, "energies of the LDOS")


def _descriptors(files: SnapshotFiles, parameters: Mapping[Path, Mapping[str, object]], run: DFTRun) -> Spec:
    """What the descriptors in a snapshot's file are, by parameters that must tell it alike."""
    assert files.descriptors is not None
    if not parameters:
        raise DataFileError(str(files.descriptors), "no params.json beside it", "parameters that tell what it holds")
    symbols = sorted(set(run.atoms.get_chemical_symbols()))
    voxel = None if run.shape is None else run.atoms.cell.array / np.array(run.shape)[:, None]
    specs = {path: read_descriptor(path, found, symbols, voxel) for path, found in parameters.items()}
    return _alike(files.descriptors.parent, specs, "descriptors")


def _alike(folder: Path, found: Mapping[Path, T], what: str) -> T:
    """The one value that all files tell."""
    (first, value), *others = found.items()
    for path, other in others:
        if other != value:
            came = f"other {what} in {first.name} than in {path.name}"
            raise DataFileError(str(folder), came, "parameters of one set of data", "Leave one of them.")
    return value
