"""The main verb: atoms and a model in; n(r), D(ε) and A[n] out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import ase
from distributed import Client

from maladist.cluster import client_or_local
from maladist.elements import Element
from maladist.grid import Grid
from maladist.io import stores
from maladist.learning.model import LDOSModel
from maladist.numerics import Precision
from maladist.parallel.progress import Observer, Silent
from maladist.physics.fermi import CorrectionMode
from maladist.prediction.record import naming_what_is_kept
from maladist.prediction.result import Prediction, discard, temporary_store
from maladist.prediction.run import Target, execute
from maladist.prediction.setup import Chunks, announce, setup
from maladist.prediction.spread import member_setups, write_spread


def predict(
    atoms: ase.Atoms,
    model: LDOSModel | str | Path,
    *,
    temperature: float | Sequence[float] | None = None,
    grid: Grid | Sequence[int] | None = None,
    client: Client | None = None,
    store: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    chunks: Chunks = "auto",
    descriptors: str = "auto",
    device: str = "auto",
    precision: Precision = "float32",
    pseudopotentials: str | Path | Mapping[str, Element] | None = None,
    density_cutoff: float | None = None,
    correction: CorrectionMode = "auto",
    keep: Sequence[str] = (),
    observer: Observer | None = None,
    spread: bool = False,
) -> Prediction:
    """Predict the electronic structure of a periodic cell; the LDOS is never held whole.

    Parameters
    ----------
    atoms
        Positions, elements and the cell, periodic in three directions.
    model
        A model, or a path of a model file or of a zip that MALA wrote.
    temperature
        Of the electrons, K; several give a leading dim ``temperature``. The model's own where it is not given.
    grid
        Numbers of points along the lattice vectors, or a Grid; by default of the spacing that the model was trained on.
    client
        A Dask client. By default a local cluster is started, used and closed.
    store
        Path of a new zarr store, on a file system that all workers see. By default a temporary one that lives as long
        as the process, or until ``close`` of the result.
    resume
        Continue the run that left ``store`` unfinished.
    overwrite
        Replace ``store`` if it exists.
    chunks
        Points of a block along the lattice vectors; 'auto' fits them to the workers.
    descriptors
        Backend: 'auto', 'cpu', 'torch' or 'lammps'.
    device
        'auto' (decided by each worker), 'cpu', 'cuda', ...
    precision
        'float32' or 'float64', of descriptors and network. Reductions and energies are always float64.
    pseudopotentials
        Folder of UPF files, or elements by symbol, that tell valence and core charge where the model does not.
    density_cutoff
        Sphere of n_core, of the gradient and of XC, eV; replaces the model's.
    correction
        Of the LDOS' broadening: 'auto', 'on' or 'off'.
    keep
        Fields to be kept in the store: any of 'ldos' and 'descriptors'.
    observer
        Is told of progress.
    spread
        Of an ensemble: predict with each member too, and give the standard deviations of density, DOS, Fermi level and
        energies beside the mean's, under their names with ``_std``. Takes the time of k + 1 predictions.

    Returns
    -------
    Prediction
        Density (1/Å³), DOS (1/eV), Fermi level and energies (eV), and the store.

    Raises
    ------
    InputError
        Bad input, before anything is computed: see maladist.errors.
    BlockError
        A block failed on a worker; what was finished is kept in the store.
    """
    began = time.perf_counter()
    ready = setup(
        atoms,
        model,
        temperature=temperature,
        grid=grid,
        pseudopotentials=pseudopotentials,
        density_cutoff=density_cutoff,
        correction=correction,
        descriptors=descriptors,
        device=device,
        precision=precision,
        keep=keep,
        chunks=chunks,
    )
    if observer is None:
        announce(ready.system.notes)
    members = member_setups(ready) if spread else []
    path = temporary_store() if store is None else Path(store).resolve()
    if not (resume and path.exists()):
        stores.check_target(path, overwrite, "output")
    with client_or_local(client) as connected, naming_what_is_kept(path, connected, store is None):
        apart = [temporary_store() for _ in members]
        for member, its in zip(members, apart, strict=True):  # first: a store that is finished has its spread
            execute(member, Target(its), connected, Silent(), began=began)
        execute(ready, Target(path, resume, overwrite), connected, observer or Silent(), began=began)
        if members:
            write_spread(connected, path, apart)
        for its in apart:
            discard(its)
    return Prediction.open(path)
