"""What a file or a store holds, for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from maladist import metadata
from maladist.errors import InputError
from maladist.io import datasets
from maladist.io.chunks import refuse_format_2
from maladist.io.digests import read_digests
from maladist.io.model_file import load_model
from maladist.io.opening import open_dataset
from maladist.io.paths import plain_file
from maladist.io.shipped import shipped_models
from maladist.io.urls import URL, Place, place
from maladist.learning.about import card_of, model_rows
from maladist.learning.model import LDOSModel


def describe(path: str | Path) -> list[tuple[str, str]]:
    """Rows of (what, how much) about a model file, a MALA zip, a store or a data set.

    Raises
    ------
    InputError
        A path that does not exist or holds neither.
    """
    models = shipped_models()
    if isinstance(at := place(path), URL):
        return _store_rows(at)
    path = at
    if str(path) in models and not path.exists():
        return _model_rows(load_model(path), path)
    if path.is_dir():
        if frames := _frames(path):
            return [("folder of results", f"{len(frames)}, of a frame each: {frames[0]} to {frames[-1]}")]
        return _data_set_rows(path) if (path / datasets.SNAPSHOTS).is_dir() else _store_rows(path)
    wanted = f"a model file, a store, or {', '.join(models)}"
    return _model_rows(load_model(plain_file(path, wanted, "file", InputError)), path)


def _frames(path: Path) -> list[str]:
    """Names of the stores in the folder of `predict_many`; none of another folder."""
    return [] if (path / "zarr.json").exists() else sorted(p.parent.name for p in path.glob("*.zarr/zarr.json"))


def card(model: str | Path) -> str:
    """The card of a model, Markdown: what it is for, its errors on held-out cells, how it was made.

    Parameters
    ----------
    model
        A model file, a MALA zip, or the name of a model that comes with the package, whose card is a page of its own.

    Raises
    ------
    ModelError
        No model of that name and no such file.
    """
    shipped = shipped_models().get(str(model))
    if shipped is not None and not Path(model).exists():
        return shipped.text
    loaded = load_model(model)
    return card_of(loaded, Path(model).name, loaded.content_hash)


def _model_rows(model: LDOSModel, name: str | Path) -> list[tuple[str, str]]:
    more = f"`maladist card {name}`: errors on held-out cells, how it was trained"
    return [*model_rows(model, model.content_hash), ("card", more)]


def _data_set_rows(path: Path) -> list[tuple[str, str]]:
    """What the snapshots of a data set are, and where they differ."""
    refuse_format_2(path)
    if not (groups := datasets.finished(path)):
        return [("kind", "data set"), ("snapshots", "none that is finished")]
    told = [_of_snapshot(open_dataset(group)) for group in groups]
    # A dict keeps the order of the snapshots, so that the same data set has the same rows.
    rows = [(what, "; ".join(dict.fromkeys(one[what] for one in told))) for what in told[0]]
    names = f"{groups[0].name} to {groups[-1].name}" if len(groups) > 1 else groups[0].name
    return [("kind", "data set"), ("snapshots", f"{len(groups)}: {names}"), *rows]


def _of_snapshot(dataset: xr.Dataset) -> dict[str, str]:
    attrs = dataset.attrs
    known = {k: v.get("file") or "unknown" for k, v in attrs.get("pseudopotentials", {}).items()}
    temperature, cutoff = attrs.get("temperature_K"), attrs.get("density_cutoff_eV")
    return {
        "atoms": str(metadata.atoms_of(dataset).symbols) if {"number", "position"} <= set(dataset) else "not told",
        "energies": _energies(dataset),
        "temperature": "not told" if temperature is None else f"{np.mean(temperature):.6g} K",
        "assume_isolated": _isolated(dataset),
        "functional": attrs.get("xc") or "not told",
        "density cutoff": "not told" if cutoff is None else f"{cutoff:.1f} eV",
        "pseudopotentials": ", ".join(f"{k} {file}" for k, file in known.items()) or "not told",
    }


def _energies(dataset: xr.Dataset) -> str:
    if "energy" not in dataset.variables:
        return "none"
    grid = metadata.energy_grid_of(dataset)
    return f"{grid}; broadening {grid.kernel}{f' {grid.width:g} eV' if grid.width else ''}"


def _isolated(dataset: xr.Dataset) -> str:
    return dataset.attrs.get("assume_isolated") or "none, a crystal"


def _store_rows(path: Place) -> list[tuple[str, str]]:
    dataset = open_dataset(path, unfinished=True)
    rows = [("kind", "store" if dataset.attrs.get("complete", True) else "store that a run left unfinished (--resume)")]
    for name, variable in dataset.data_vars.items():
        where = " ".join(f"{d} {n}" for d, n in variable.sizes.items())
        value = f"{float(variable):.8g}" if variable.ndim == 0 else where
        rows.append((str(name), f"{value} {variable.attrs.get('units', '')}"))
    # Said here, since such a store opens without complaint and only `info --verify` could show that it is damaged.
    if dataset.attrs.get("complete") is True and not read_digests(path).attributes:
        rows.append(("digests", "none, as of an earlier version: what it has lost cannot always be told"))
    if "energy" in dataset.variables:
        rows.append(("energies", _energies(dataset)))
    if "cell" in dataset.attrs:
        rows.append(("assume_isolated", _isolated(dataset)))
    said = ("complete", "work", "assume_isolated")
    return rows + [(str(k), str(v)) for k, v in dataset.attrs.items() if k not in said]
