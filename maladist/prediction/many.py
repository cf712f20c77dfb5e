"""Many cells through one cluster, their blocks in one queue: the frames of a trajectory, the points of a scan.

A few runs are under way at a time, each in a thread of the client. Their blocks wait in one queue, those
of earlier frames first, so that no worker idles while one frame solves for its Fermi level and sums its energies.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from distributed import Client

from maladist.atoms import AtomsLike
from maladist.cluster import client_or_local
from maladist.errors import BlockError, InputError
from maladist.io import stores
from maladist.io.appearing import check_target
from maladist.learning.model import LDOSModel
from maladist.parallel.progress import Finished, Observer, Silent
from maladist.prediction.options import Options
from maladist.prediction.record import check_record, naming_what_is_kept
from maladist.prediction.result import Prediction
from maladist.prediction.run import Target, execute
from maladist.prediction.setup import Setup, announce, later_notes, setup


@dataclass(frozen=True)
class Frame(Finished):
    """A frame that is finished: its number from 0, how many there are, and its prediction."""

    number: int
    frames: int
    prediction: Prediction

    def line(self, *, bar: bool) -> str:
        """Its Fermi level and total free energy at each temperature."""
        del bar
        lines = []
        for t in self.prediction.temperatures:
            at = self.prediction.at(t)
            total = at.energies.total
            energy = "" if total is None else f", A = {total / at.dataset.sizes['atom']:.6f} eV/atom"
            lines.append(f"frame {self.number} of {self.frames}, {at.level()}{energy}")
        return "\n".join(lines)


def predict_many(
    frames: Sequence[AtomsLike],
    model: LDOSModel | str | Path,
    stores_of: Sequence[str | Path],
    *,
    client: Client | None = None,
    at_once: int = 4,
    resume: bool = False,
    overwrite: bool = False,
    observer: Observer | None = None,
    **options: Unpack[Options],
) -> list[Prediction]:
    """Predict many cells with one model; see `predict`, which this is for each of them.

    Parameters
    ----------
    frames
        Cells to predict.
    model
        A model, or a path of a model file.
    stores_of
        Path of a new store for each frame.
    client
        Client whose workers compute, as in `predict`.
    at_once
        Number of frames that are under way at a time.
    resume
        Whether to take what is finished as it is, continue what is not, and begin what is absent.
    overwrite
        Whether stores that exist are replaced, as in `predict`.
    observer
        Observer that is told of each `Frame` when it is there, and what the user should know; where None that is warned
        of.
    options
        The other parameters of `predict` that say what is computed, and how: temperature, grid, chunks, backend, ...

    Returns
    -------
    list of Prediction
        Results, in the order of the frames.

    Raises
    ------
    InputError
        The input of any frame is bad: told before anything is computed, with a note that names the frame.
    BlockError
        A block of a frame failed; no further frame was begun, those under way were finished.

    Examples
    --------
    >>> with maladist.cluster("local", workers=1) as client:
    ...     stores = ["a.zarr", "b.zarr"]
    ...     results = maladist.predict_many([be, be.repeat((1, 1, 2))], "be-1000K-2", stores, client=client)
    >>> [len(result.atoms) for result in results]
    [2, 4]
    """
    paths = [Path(p).resolve() for p in stores_of]
    if len(paths) != len(frames) or len(set(paths)) != len(paths):
        raise InputError("stores_of", f"{len(set(paths))} stores for {len(frames)} frames", "one store a frame")
    if at_once < 1:
        raise InputError("at_once", f"{at_once}", "at least one frame")
    ready = _ready(frames, model, options)
    announce(sorted({note for one in ready for note in one.system.notes}), observer)
    told, observer = observer, observer or Silent()
    for path in paths:
        check_target(path, overwrite or resume)
    with client_or_local(client) as connected, ThreadPoolExecutor(at_once) as pool:

        def one(i: int) -> Prediction:
            # Earlier frames first: they finish one after another, and not all together at the end.
            return _one(ready[i], Target(paths[i], resume, overwrite), connected, priority=-i)

        observer.begin(connected, f"{len(frames)} frames")
        observer.stage("frames", len(frames))
        running = {pool.submit(one, i): i for i in range(len(frames))}
        # A failed frame is looked at before its result is asked for, so that no other begins.
        for future in as_completed(running):
            _note_frame(future, running[future], pool)
            i, prediction = running[future], future.result()
            announce([f"frame {i}: {note}" for note in later_notes(prediction, ready[i])], told)
            observer.advance(Frame(i, len(frames), prediction))
    return [Prediction.open(path) for path in paths]


def _ready(frames: Sequence[AtomsLike], model: LDOSModel | str | Path, options: Options) -> list[Setup]:
    """Input of all frames, checked; the model and the pseudopotentials are read once."""
    ready: list[Setup] = []
    for i, atoms in enumerate(frames):
        try:
            ready.append(setup(atoms, model, **options))
        except InputError as error:
            error.add_note(f"frame {i} of {len(frames)}")
            raise
        # The first frame's model goes on, so that files are read and checked once.
        model, options = ready[0].given, {**options, "pseudopotentials": None}
    return ready


def _one(ready: Setup, target: Target, client: Client, priority: int) -> Prediction:
    path = target.path
    if target.resume and path.exists() and stores.is_complete(path):
        check_record(path, ready.fingerprint())
    else:
        with naming_what_is_kept(path, client, temporary=False):
            execute(ready, target, client, Silent(), began=time.perf_counter(), priority=priority)
    return Prediction.open(path)


def _note_frame(future: Future[Prediction], i: int, pool: ThreadPoolExecutor) -> None:
    """Where a frame has failed, begin no other and say which it was."""
    # Looked at without raising: the note must be on the error before anybody sees it.
    error = future.exception()
    if error is not None:
        pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(error, InputError | BlockError):
            error.add_note(f"frame {i}; the frames before it, and those that were under way, are finished or kept")
