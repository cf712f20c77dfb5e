"""One cell after another of an MD or a relaxation, each from atoms that moved a little: what they share stays warm.

Kept between steps are the model, the threads or the cluster, and the window of the Fermi level, so that a step needs no
pilot. A step whose Fermi level has left the window computes its blocks a second time, as a run whose pilot missed it,
and the next one makes a window of its own. So a step's numbers are those of `predict`, but for the rounding of other
modes, which is that of the precision; with a density channel, at its own temperature, there are no modes, and every bit
is the same.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Unpack

import ase
from distributed import Client

from maladist.arrays import Array
from maladist.cluster import Later
from maladist.io.memory import Memory
from maladist.learning.model import LDOSModel
from maladist.parallel.here import InProcess, Runner
from maladist.parallel.progress import Observer, Silent
from maladist.prediction.options import Options
from maladist.prediction.place import client_or_here, is_small
from maladist.prediction.record import naming_what_is_kept
from maladist.prediction.result import Prediction, temporary_store
from maladist.prediction.run import Target, execute
from maladist.prediction.setup import Setup, announce, later_notes, setup


class Stepper:
    """Predicts one cell after another.

    Parameters
    ----------
    model
        A model, or a path of a model file or of a zip that MALA wrote; read once.
    client
        A Dask client. Without one, as in `predict`, but what was started stays until `close`.
    observer
        Observer that is told what the user should know; where None that is warned of. What many steps have to say, each
        with other figures, is told of the first of them; the ``notes`` of every prediction have all of it.

    Attributes
    ----------
    client
        What computes, the caller's client or what was started here; None before the first step and after `close`.
    window
        Basis of the modes over the window of the Fermi level, (levels, modes), which the next step takes; None where
        it makes one of its own.
    """

    def __init__(
        self, model: LDOSModel | str | Path, client: Client | None = None, observer: Observer | None = None
    ) -> None:
        self._given = client
        # A cluster that is still to begin waits for the first cell: its input may be bad.
        self.client: Runner | None = None if isinstance(client, Later) else client
        self._model = model
        self._observer = observer
        self._told: set[str] = set()
        self._elements: object = None  # pseudopotentials that the model has been given
        self._own: AbstractContextManager[Runner] | None = None
        self.window: Array | None = None

    def close(self) -> None:
        """End the threads or the cluster that was started here, if any."""
        if self._own is not None:
            own, self._own, self.client = self._own, None, None
            own.__exit__(None, None, None)

    def predict(self, atoms: ase.Atoms, **options: Unpack[Options]) -> Prediction:
        """Predict a cell, into memory where this process computes it, else into a temporary store; see `predict`."""
        began, elements = time.perf_counter(), options.get("pseudopotentials")
        if elements is self._elements:  # their files are read and checked once
            options["pseudopotentials"] = None
        ready = setup(atoms, self._model, **options)
        self._model, self._elements = ready.given, elements
        self._tell(ready.system.notes)
        client = self._connected(ready)
        if isinstance(client, InProcess):
            memory = Memory()
            self.window = execute(ready, memory, client, Silent(), began=began, window=self.window)
            prediction = Prediction.open(memory)
        else:
            path = temporary_store()
            with naming_what_is_kept(path, client, temporary=True):
                self.window = execute(ready, Target(path), client, Silent(), began=began, window=self.window)
            prediction = Prediction.open(path)
        self._tell(later_notes(prediction, ready))
        return prediction

    def _tell(self, notes: Sequence[str]) -> None:
        for note in notes:
            kind = re.sub(r"[\d.,]+", "", note).partition(":")[0]
            if kind not in self._told:
                self._told.add(kind)
                announce([note], self._observer)

    def _connected(self, ready: Setup) -> Runner:
        if isinstance(self.client, InProcess) and not is_small(ready):
            self.close()
        if self.client is None:
            own = client_or_here(self._given, is_small(ready))
            self.client, self._own = own.__enter__(), own
        return self.client
