"""Model files: one file that holds everything, and MALA's zips read in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from maladist.elements import Element
from maladist.errors import ModelError
from maladist.io.mala.model import import_mala
from maladist.io.paths import plain_file
from maladist.io.qe.upf import read_pseudopotentials
from maladist.io.refused import refuse_file_names
from maladist.io.shipped import shipped_models
from maladist.io.targets import check_file, write_whole
from maladist.learning.about import HELD_OUT
from maladist.learning.model import LDOSModel
from maladist.learning.uncertainty import Uncertainty


def save_model(model: LDOSModel, path: str | Path) -> Path:
    """Write a model; the file is there whole or not at all.

    Parameters
    ----------
    model
        Model to write.
    path
        File to write; one that exists is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError
        A place that is absent, full or cannot be written.

    Examples
    --------
    >>> maladist.save_model(maladist.load_model("be-1000K-2"), "mine.maladist").name
    'mine.maladist'
    """
    return write_whole(path, model.to_bytes())


def check_model_file(path: str | Path) -> Path:
    """Refuse what `write_held_out` and `write_uncertainty` could not write to.

    Raises
    ------
    ModelError
        What is no model file of ours: MALA's zip, or the name of a model that comes with the package.
    OutputError
        The file cannot be written.
    """
    path = plain_file(Path(path), "a model file", "model", ModelError)
    if path.read_bytes()[:2] == b"PK":
        raise ModelError("model", f"{path.name} is MALA's zip", "a model file of maladist", "Use import-mala first.")
    return check_file(path, overwrite=True)


def write_held_out(path: str | Path, errors: Mapping[str, Any]) -> None:
    """Write errors on held-out cells into a model's file; its content hash stays, and with it what it was used for.

    Parameters
    ----------
    path
        Model file; refused as by `check_model_file`.
    errors
        What `maladist.evaluation.statistics.held_out` gives, and the ``data``.
    """
    model = LDOSModel.from_bytes(check_model_file(path).read_bytes())
    save_model(replace(model, provenance={**model.provenance, HELD_OUT: dict(errors)}), path)


def write_uncertainty(path: str | Path, known: Uncertainty) -> None:
    """Write a calibrated σ into a model's file; all else of it stays.

    Parameters
    ----------
    path
        Model file; refused as by `check_model_file`.
    known
        Calibration, as `maladist.evaluation.coverage.calibrate` gives it.
    """
    model = LDOSModel.from_bytes(check_model_file(path).read_bytes())
    save_model(replace(model, uncertainty=known), path)


def load_model(path: str | Path, pseudopotentials: Mapping[str, Element] | str | Path | None = None) -> LDOSModel:
    """Read a model file, or a zip that MALA saved, whichever it is by its content.

    Parameters
    ----------
    path
        The file, or the name of a model that comes with the package (`maladist info` lists them).
    pseudopotentials
        Element of each symbol, or a folder of UPF files; replaces what the file knows of them.

    Raises
    ------
    ModelError
        A file that is absent, truncated, damaged, not a model, of another version, or that asks for code to be run; a
        pseudopotential with another valence than the model was trained with.
    PseudopotentialError
        UPF files that cannot be read, or two for one element.
    PhysicsError
        Physics that this program does not have, such as PAW.

    Examples
    --------
    >>> model = maladist.load_model("be-1000K-2")  # the name of a shipped model, or a file
    >>> model.energy_grid.levels, model.temperature
    (95, 1000.0)
    """
    models = shipped_models()
    wanted = f"a model file, MALA's zip, or a model of the package: {', '.join(models)}"
    shipped = models.get(str(path))
    path = shipped.file if shipped and not Path(path).exists() else plain_file(path, wanted, "model", ModelError)
    given = read_pseudopotentials(pseudopotentials) if isinstance(pseudopotentials, str | Path) else pseudopotentials
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError("model", f"{path}: {error.strerror or error}", wanted) from None
    # By content, since users rename files: every zip begins with these two letters.
    if content[:2] == b"PK":
        return import_mala(path, given)
    try:
        model = LDOSModel.from_bytes(content)
    except ModelError as error:
        raise ModelError("model", f"{path.name}: {error.came}", error.wanted, error.remedy) from None
    known = {s: e.pseudopotential for s, e in model.elements.items() if s not in (given or {})}
    # Of a pseudopotential that is not given anew the file's name is all that the model has kept.
    refuse_file_names(known.values(), path.name)
    return model.with_pseudopotentials(given) if given else model
