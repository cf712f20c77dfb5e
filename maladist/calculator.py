"""An ASE calculator over the engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Unpack

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from distributed import Client

from maladist.arrays import Array
from maladist.errors import InputError
from maladist.io.model_file import load_model
from maladist.learning.model import LDOSModel
from maladist.parallel.here import Runner
from maladist.parallel.progress import Observer
from maladist.prediction.options import Options, check_names
from maladist.prediction.result import Prediction
from maladist.prediction.stepper import Stepper


class Maladist(Calculator):
    """Total free energy of ASE atoms, its forces and stress.

    Results ``energy`` and ``free_energy`` are both A[n] in eV (forces are derivatives of A, so an optimiser or an MD
    that asks for ``energy`` gets what is conserved), ``density`` and ``dos`` are the arrays of the prediction, which
    itself is ``prediction``. ``forces`` and ``stress`` come together, by a second pass, where either is asked for: a
    caller that wants both energy and forces asks for the forces first, as ASE's optimisers and dynamics do.

    A step after the first takes the window of the Fermi level from the one before; where the model has no density
    channel its numbers are those of `predict` to the rounding of its precision, and not to the bit.

    Parameters
    ----------
    model
        A model, or a path of a model file or of a zip that MALA wrote.
    client
        A Dask client that is used for every calculation. Without one a small cell is computed in this process, as by
        `predict`, and nothing of it is written to a disk; with a larger one a local cluster starts and stays for the
        next calculations, until :meth:`close`, the end of a ``with`` block, or that of the process.
    observer
        Observer that is told what the user should know, once and not at every step; where None that is warned of.
    options
        The parameters of `maladist.predict` that say what is computed, and how: temperature, grid, chunks, backend, ...

    Examples
    --------
    >>> with Maladist("be-1000K-2") as calculator:  # doctest: +SKIP
    ...     atoms.calc = calculator
    ...     FIRE(atoms).run(fmax=0.01)

    Raises
    ------
    InputError
        As `predict` (PhysicsError where A has no forces), and where A cannot be had because the pseudopotentials are
        not known.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(
        self,
        model: LDOSModel | str | Path,
        *,
        client: Client | None = None,
        observer: Observer | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_names(options)
        temperature = options.get("temperature")
        if isinstance(temperature, Sequence | np.ndarray) and len(temperature) > 1:
            came = f"{temperature} K"
            raise InputError("temperature", came, "one temperature", "A calculator has one A: make one for each.")
        super().__init__()
        self.model = model if isinstance(model, LDOSModel) else load_model(model)  # read once, not at every step
        self.options = options
        self.prediction: Prediction | None = None
        self._stepper = Stepper(self.model, client, observer)

    @property
    def client(self) -> Runner | None:
        """What computes: the client that was given, or what was started here; None before that and once closed."""
        return self._stepper.client

    @property
    def window(self) -> Array | None:
        """Window of the Fermi level that the next calculation takes from the last one; see `Stepper`."""
        return self._stepper.window

    @window.setter
    def window(self, window: Array | None) -> None:
        self._stepper.window = window

    def __enter__(self) -> Maladist:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the last prediction's store, and the threads or the cluster that were started here, if any."""
        if self.prediction is not None:
            self.prediction.close()
            self.prediction = None
        self._stepper.close()

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Predict the atoms."""
        super().calculate(atoms, properties, system_changes)
        both = not {"forces", "stress"}.isdisjoint(properties)
        # A slab with a cut-off has no stress; it is refused by name where it is what was asked for.
        stress = "stress" in properties or self.model.assume_isolated is None
        options: Options = {**self.options, "forces": True, "stress": stress} if both else self.options
        if self.prediction is not None:
            self.prediction.close()
        self.prediction = self._stepper.predict(self.atoms, **options)
        total = self.prediction.energies.total
        if total is None:
            notes = "; ".join(self.prediction.dataset.attrs.get("notes", []))
            raise InputError("calculator", f"no total free energy ({notes})", "a model that knows its pseudopotentials")
        self.results = {
            "energy": total,
            "free_energy": total,
            "density": self.prediction.density.values,
            "dos": self.prediction.dos.values,
        }
        # What is there, whoever asked: options may have forces made with every energy.
        derivatives = {"forces": self.prediction.forces, "stress": self.prediction.stress}
        self.results |= {name: value for name, value in derivatives.items() if value is not None}
