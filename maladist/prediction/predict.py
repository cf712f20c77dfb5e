"""The main verb: atoms and a model in; n(r), D(ε) and A[n] out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Unpack

from distributed import Client

from maladist.atoms import AtomsLike
from maladist.io import stores
from maladist.io.appearing import check_target
from maladist.learning.model import LDOSModel
from maladist.parallel.progress import Observer, Silent
from maladist.prediction.options import Options
from maladist.prediction.place import client_or_here, is_small
from maladist.prediction.record import naming_what_is_kept
from maladist.prediction.result import Prediction, discard, is_temporary, temporary_store
from maladist.prediction.run import Target, execute
from maladist.prediction.setup import announce, later_notes, setup
from maladist.prediction.spread import member_setups, write_spread


def predict(
    atoms: AtomsLike,
    model: LDOSModel | str | Path,
    *,
    client: Client | None = None,
    store: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    observer: Observer | None = None,
    spread: bool = False,
    **options: Unpack[Options],
) -> Prediction:
    """Predict the electronic structure of a periodic cell; the LDOS is never held whole.

    Parameters
    ----------
    atoms
        Positions, elements and the cell, periodic in three directions: ASE's atoms, or a Structure of pymatgen.
    model
        A model, or a path of a model file or of a zip that MALA wrote.
    client
        A Dask client. By default a small cell (`maladist.prediction.place`) is computed in this process, to the same
        bits, and for a larger one a local cluster is started, used and closed.
    store
        Path of a new zarr store, on a file system that all workers see. By default a temporary one that lives as long
        as the process, or until ``close`` of the result.
    resume
        Continue the run that left ``store`` unfinished.
    overwrite
        Replace ``store`` if it exists.
    observer
        Observer that is told of progress, and what the user should know; where None that is warned of.
    spread
        Predict with each member of an ensemble too, and give the standard deviations of density, DOS, Fermi level and
        energies beside the mean's, under their names with ``_std``. Takes the time of k + 1 predictions.
    temperature
        Temperature of the electrons, K; several give a leading dim ``temperature``. The model's own where it is not
        given.
    grid
        Numbers of points along the lattice vectors, or a Grid; by default of the spacing that the model was trained on.
    chunks
        Points of a block along the lattice vectors; 'auto' fits them to the workers.
    backend
        Kernel of the descriptors: 'auto', 'cpu', 'torch' or 'lammps'.
    device
        Device that they and the network are computed on: 'auto' (decided by each worker), 'cpu', 'cuda', ...
    precision
        Floating point of descriptors and network: 'float32' or 'float64'. Reductions and energies are always float64.
    pseudopotentials
        Folder of UPF files, or elements by symbol, that tell valence and core charge where the model does not.
    density_cutoff
        Cutoff of the sphere of n_core, of the gradient and of XC, eV; replaces the model's.
    broadening_correction
        Whether to correct the energies for the broadening of the LDOS: 'auto', 'on' or 'off'.
    keep
        What else is to be kept in the store: any of the fields 'ldos' and 'descriptors', and of 'force_terms', forces
        and stress by term too: ``forces_ewald``, ... (`Prediction.forces_by_term`).
    strict
        Whether to refuse a cell outside of the model's training, in place of a warning. What its volume, distances,
        temperature and a sample of its points do not tell is known when the blocks are computed: the store is then left
        unfinished.
    forces
        Forces −∂A/∂R, ``forces`` (atom, xyz) in eV/Å, by a second pass over the blocks.
    stress
        Stress (1/Ω) ∂A/∂ε, ``stress`` (xx, yy, zz, yz, xz, xy) in eV/Å³ and with the sign of ASE, by the same pass.

    Returns
    -------
    Prediction
        Density (1/Å³), DOS (1/eV), Fermi level and energies (eV), forces and stress if asked for, and the store.

    Raises
    ------
    InputError
        The input is bad: told before anything is computed, see maladist.errors.
    PhysicsError
        Forces or stress where A is not stationary in the Fermi level; the blocks are kept, and serve without them.
    DomainError
        The cell is outside of the model's training, or the model does not know it, if ``strict``.
    BlockError
        A block failed on a worker; what was finished is kept in the store.

    Examples
    --------
    >>> result = maladist.predict(be, "be-1000K-2")
    >>> round(result.energies.per_atom().total, 2)  # eV
    -34.54
    >>> result.density.shape, float(result.density.sum()) * result.grid.voxel_volume
    ((14, 14, 24), 4.0...)
    """
    began = time.perf_counter()
    # Before a client is asked for: bad input must not first start a cluster.
    ready = setup(atoms, model, **options)
    announce(ready.system.notes, observer)
    members = member_setups(ready) if spread else []
    path = temporary_store() if store is None else Path(store).resolve()
    check_target(path, overwrite or resume)
    with client_or_here(client, is_small(ready)) as connected, naming_what_is_kept(path, connected, is_temporary(path)):
        apart = [temporary_store() for _ in members]
        try:
            for member, its in zip(members, apart, strict=True):  # first: a store that is finished has its spread
                execute(member, Target(its), connected, Silent(), began=began)

            def last(path: stores.Where) -> None:
                if members:
                    write_spread(connected, path, apart, ready.model.uncertainty)

            target = Target(path, resume, overwrite)
            execute(ready, target, connected, observer or Silent(), began=began, last=last)
        finally:
            for its in apart:
                discard(its)
    prediction = Prediction.open(path)
    if observer is None:  # which the run has told already
        announce(later_notes(prediction, ready), None)
    return prediction
