"""Atoms and model of a run that moves atoms, checked and made fixed before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ase
from distributed import Client

from maladist.calculator import Maladist
from maladist.errors import InputError
from maladist.io.model_file import load_model
from maladist.io.shipped import shipped_models
from maladist.learning.model import LDOSModel
from maladist.parallel.progress import Observer
from maladist.prediction.options import Options
from maladist.prediction.setup import announce, setup

UNLEARNT: Final = "the cell follows the model's stress, which no training has learnt: hold it against DFT first"


@dataclass(frozen=True)
class Ready:
    """What a run begins with.

    Attributes
    ----------
    model
        Model, read.
    options
        Options of every prediction; the grid is that of the first cell.
    arguments
        What a run that goes on must have in common with this one, of model and predictions.
    notes
        What the user should know.
    """

    model: LDOSModel
    options: Options
    arguments: dict[str, object]
    notes: tuple[str, ...]

    def calculator(self, client: Client | None, observer: Observer | None) -> Maladist:
        """Calculator of the forces, to be closed; the observer is told what the user should know."""
        announce(self.notes, observer)
        return Maladist(self.model, client=client, observer=observer, **self.options)


def prepare(atoms: ase.Atoms, model: LDOSModel | str | Path, options: Options, *, cell_moves: bool) -> Ready:
    """Check that forces can be had of these atoms by this model.

    Parameters
    ----------
    cell_moves
        Whether the cell follows the stress.

    Raises
    ------
    InputError
        As `predict`; several temperatures of the electrons; fields to keep, for which every step would need a store.
    """
    wanted: Options = {**options, "forces": True, "stress": cell_moves}
    first = setup(atoms, model, **wanted)
    if len(first.system.temperatures) != 1:
        came = f"{len(first.system.temperatures)} temperatures of the electrons"
        raise InputError("temperature", came, "one: A at one temperature is what the ions move on")
    if kept := (*first.keep, *(("force_terms",) if first.force_terms else ())):
        raise InputError("keep", ", ".join(kept), "nothing", "Predict frames of the trajectory that are wanted.")
    # Fixed from here on: a grid that followed a cell would jump by a point, and A with it.
    fixed: Options = {**options, "grid": first.system.grid.shape}
    same = {k: v for k, v in first.fingerprint().items() if k not in ("atoms", "keep")}
    notes = _about_stress(first.given) if cell_moves else ()
    return Ready(first.given, fixed, same, notes)


def _about_stress(model: LDOSModel) -> tuple[str, ...]:
    cards = [m.card.stress for m in shipped_models().values() if load_model(m.file).content_hash == model.content_hash]
    return (UNLEARNT, *(f"of this model's stress its card says: {card}" for card in cards if card))
