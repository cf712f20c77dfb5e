"""The result that a verb works on: one that is there, or that of an LDOS, or of atoms and a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias, Unpack, cast

import ase
import xarray as xr
from distributed import Client

from maladist import schema
from maladist.atoms import AtomsLike, HasAtoms
from maladist.errors import InputError
from maladist.io.model_file import load_model
from maladist.io.opening import open_dataset
from maladist.learning.model import LDOSModel
from maladist.prediction.observe import observe
from maladist.prediction.options import CellOptions, ObserveOptions, SourceOptions, check_names
from maladist.prediction.predict import predict
from maladist.prediction.result import Prediction

Source: TypeAlias = Prediction | xr.Dataset | xr.DataArray | AtomsLike | str | Path
"""A result, or its store; an LDOS of the data contract, or its store; atoms, with a model."""

_NEED: Final = ("dos", "energy", "density", "fermi_energy_eV", "position", "number", "n_electrons")


@contextmanager
def result_of(
    source: Source,
    model: LDOSModel | str | Path | None = None,
    *,
    client: Client | None = None,
    atoms: AtomsLike | None = None,
    **options: Unpack[SourceOptions],
) -> Iterator[xr.Dataset]:
    """Data set of a result: `predict`'s of atoms, `observe`'s of an LDOS; lazy, and there while the context lasts.

    Raises
    ------
    InputError
        Atoms without a model, a model for what is no atoms, or an option that this source does not take.
    StoreError
        What is there is neither a result nor an LDOS.
    """
    check_names(options, SourceOptions.__optional_keys__)
    if isinstance(source, ase.Atoms | HasAtoms):
        if model is None:
            raise InputError("model", "none", "a model for the atoms", "Give --model.")
        _only("atoms with a model", options, CellOptions.__optional_keys__)
        model = model if isinstance(model, LDOSModel) else load_model(model)
        if model.temperature is None and options.get("temperature") is None:
            raise _without_temperature("model", "predict")
        made = predict(source, model, client=client, **cast(CellOptions, options))
    elif model is not None:
        raise InputError("model", "one", "none where a result or an LDOS is given", "Leave --model out.")
    else:
        opened = _opened(source)
        if isinstance(opened, xr.Dataset) and {"dos", "fermi_energy_eV"} <= set(opened.variables):
            _only("a result, which has been computed", options, frozenset())
            schema.validate(opened, _NEED, "result")
            yield opened
            return
        _only("an LDOS", options, ObserveOptions.__optional_keys__)
        if opened.attrs.get("temperature_K") is None and options.get("temperature") is None:
            raise _without_temperature("source", "observe")
        made = observe(opened, atoms, client=client, **cast(ObserveOptions, options))
    try:
        yield made.dataset
    finally:
        made.close()


def _opened(source: Prediction | xr.Dataset | xr.DataArray | str | Path) -> xr.Dataset | xr.DataArray:
    if isinstance(source, Prediction):
        return source.dataset
    return open_dataset(source, chunks={}) if isinstance(source, str | Path) else source


def _without_temperature(argument: str, verb: str) -> InputError:
    remedy = f"Make a result first, with maladist {verb} --temperature T --output RESULT, and give that."
    return InputError(argument, "no temperature of the data behind it", "one, for the double counting", remedy)


def _only(what: str, options: SourceOptions, known: frozenset[str]) -> None:
    """Refuse options that would be of no effect."""
    for name in options:
        if name not in known:
            raise InputError(name, f"given for {what}", "nothing", f"{name} has no effect there: leave it out.")
