"""One self-contained HTML file of a result: what came out, how it went, who made it. No network is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import xarray as xr
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import GPa

from maladist import schema
from maladist.attributes import Attributes
from maladist.errors import InputError, StoreError
from maladist.io.memory import Memory
from maladist.io.opening import open_dataset
from maladist.io.targets import check_file, write_whole
from maladist.io.urls import URL, place
from maladist.physics.energies import TERMS, TOTAL
from maladist.prediction.provenance import versions
from maladist.prediction.result import Prediction
from maladist.report.pages import html_page, json_for_script
from maladist.report.pictures import (
    Picture,
    draw_density,
    draw_dos,
    draw_forces,
    draw_novelty,
    draw_stages,
    draw_timeline,
)
from maladist.report.volume import volume_json
from maladist.reprs import size


def report(store: Prediction | str | Path, path: str | Path | None = None, *, overwrite: bool = True) -> Path:
    """Write the report of a finished store.

    Parameters
    ----------
    store
        A Prediction, or the path or URL of a finished store. What it does not hold is left out and said to be.
    path
        HTML file to write. Default: the store's name with .html, beside it; of a URL, here.
    overwrite
        Whether a file that exists is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        A store that does not exist, is unfinished or holds neither density nor DOS; a file that cannot be written.
    """
    prediction = store if isinstance(store, Prediction) else _open(place(store))
    if path is not None:
        target = Path(path)
    elif isinstance(prediction.store, Memory):
        raise InputError("path", "none, of a result in memory", "the path of the report")
    else:
        at = prediction.store  # beside it; what lies behind a URL is read only
        target = Path(at.name if isinstance(at, URL) else at).with_suffix(".html")
    check_file(target, "report", overwrite=overwrite)
    return write_whole(target, page(prediction), "report")


def _open(path: Path | URL) -> Prediction:
    dataset = open_dataset(path)
    if "density" not in dataset and "dos" not in dataset:
        there = ", ".join(map(str, dataset.data_vars)) or "nothing"
        raise StoreError(
            "store",
            f"{path} has neither density nor DOS (there is: {there})",
            "a result",
            "Make one: maladist observe.",
        )
    schema.validate(dataset, ("cell", "position", "number"), str(path))
    return Prediction(dataset, path)


def page(prediction: Prediction) -> str:
    """The report as HTML: the words are in ``templates/report.html``."""
    first = prediction.at(prediction.temperatures[0])
    attrs, formula = _told(prediction), str(prediction.atoms.get_chemical_formula("hill"))
    density = draw_density(first)
    content = {
        "formula": formula,
        "name": prediction.store.name,
        "facts": list(_facts(prediction)),
        "notes": [str(note) for note in attrs.get("notes", [])],
        "energies": _energies(prediction),
        "dos": draw_dos(prediction),
        "temperature": f"{first.temperatures[0]:.5g}",
        "forces": draw_forces(first),
        "stress": _stress(first),
        "density": density,
        "novelty": draw_novelty(first),
        "outside": attrs.get("outside"),
        "volume": json_for_script(volume_json(first.density, first.grid, first.atoms)) if density else None,
        "run": _run(prediction),
        "provenance": [(what, value) for what, value in _provenance(attrs) if value],
    }
    return html_page("report.html", f"{formula}: maladist", content, viewer=bool(density))


def _told(prediction: Prediction) -> Attributes:
    """What the store tells; what it has as null, it does not tell."""
    return cast(Attributes, {k: v for k, v in prediction.dataset.attrs.items() if v is not None})


# -- what came out ---------------------------------------------------------------------------------------------------


def _facts(prediction: Prediction) -> Iterator[tuple[str, str]]:
    """What is told first, in large letters: a value, and what it is."""
    dataset, temperatures = prediction.dataset, prediction.temperatures
    n = dataset.sizes["atom"]
    yield f"{n}", "atoms"
    yield f"{', '.join(f'{t:.5g}' for t in temperatures)} K", "electronic temperature"
    if len(temperatures) == 1:
        for x in _values(prediction, "fermi_energy_eV"):
            yield f"{_number(x, None, 4)} eV", "Fermi level μ"
        for x in _values(prediction, "total_free_energy_eV"):
            if np.isfinite(x):
                yield f"{_number(x / n, None, 5)} eV", "free energy A per atom"
    if {"x", "y", "z"} <= set(dataset.sizes):
        grid = prediction.grid
        yield "×".join(map(str, grid.shape)), f"grid points, {', '.join(f'{x:.3f}' for x in grid.spacing)} Å apart"
    attrs = _told(prediction)
    if "wall" in attrs.get("seconds", {}):
        yield f"{attrs['seconds']['wall']:.1f} s", f"on {attrs.get('workers', '?')} workers"


@dataclass(frozen=True)
class Row:
    """A term of A for the cell and an atom, at each temperature."""

    label: str
    cells: list[str]
    total: bool = False


@dataclass(frozen=True)
class EnergyTable:
    """Every term; ``unknown`` where one is not a number, ``wide`` where the table wants the page's width.

    ``calibrated``: what stands behind ± with A and E_b is a calibrated σ.
    """

    columns: list[str]
    rows: list[Row]
    unknown: bool
    wide: bool
    calibrated: bool


def _energies(prediction: Prediction) -> EnergyTable:
    """Every term, with its σ, or the spread of an ensemble, where there is one."""
    n, several = prediction.dataset.sizes["atom"], len(prediction.temperatures) > 1
    columns = [c for t in prediction.temperatures for c in (f"{t:.5g} K, eV" if several else "eV", "eV/atom")]
    rows = []
    if several:
        levels = [c for x in _values(prediction, "fermi_energy_eV") for c in (_number(x, None, 4), "")]
        rows.append(Row("μ, Fermi level", levels))
    for _, name, sign, label in (*TERMS, TOTAL):
        values = _values(prediction, name)
        # The calibrated σ where there is one; else how far the members of an ensemble are apart.
        spreads = _values(prediction, f"{name.removesuffix('_eV')}_sigma_eV") or _values(prediction, f"{name}_std")
        cells = []
        for i, x in enumerate(values):
            spread = spreads[min(i, len(spreads) - 1)] if spreads else None
            cells += [_number(x, spread, 4), _number(x / n, None if spread is None else spread / n, 6)]
        if cells:
            rows.append(Row(f"{label} (enters with −)" if sign < 0 else label, cells, total=name == TOTAL.name))
    calibrated = "total_free_energy_sigma_eV" in prediction.dataset
    wide = several or calibrated or "total_free_energy_eV_std" in prediction.dataset
    return EnergyTable(columns, rows, any(_UNKNOWN in row.cells for row in rows), wide, calibrated)


def _values(prediction: Prediction, name: str) -> list[float]:
    return [float(x) for x in np.atleast_1d(prediction.dataset[name])] if name in prediction.dataset else []


@dataclass(frozen=True)
class StressShown:
    """The stress as a matrix, eV/Å³, a row a line; and the pressure that it tells, GPa."""

    rows: list[tuple[str, list[str]]]
    pressure: str


def _stress(first: Prediction) -> StressShown | None:
    """The stress of one temperature; None where the store has none."""
    if (stress := first.stress) is None:
        return None
    matrix = voigt_6_to_full_3x3_stress(stress)
    rows = [(axis, [_number(x, None, 5) for x in row]) for axis, row in zip("xyz", matrix, strict=True)]
    return StressShown(rows, _number(-float(np.trace(matrix)) / 3 / GPa, None, 2))


_UNKNOWN = "–"


def _number(value: float, spread: float | None, digits: int) -> str:
    if not np.isfinite(value):
        return _UNKNOWN
    text = f"{value:.{digits}f}".replace("-", "−")
    return text if spread is None or not np.isfinite(spread) else f"{text} ± {spread:.{digits}f}"


# -- how it went, who made it ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunShown:
    """How the run went; ``earlier`` blocks were done by a run that this one went on with."""

    rows: list[tuple[str, str]]
    stages: Picture
    timeline: Picture | None
    earlier: int


def _run(prediction: Prediction) -> RunShown | None:
    attrs = _told(prediction)
    if "seconds" not in attrs:
        return None
    seconds = attrs["seconds"]
    rows = [("wall time", f"{seconds['wall']:.2f} s")] if "wall" in seconds else []
    rows += [("workers", f"{attrs['workers']}")] if "workers" in attrs else []
    if "blocks" in attrs:
        shape = f" of {'×'.join(map(str, attrs['block_shape']))} points" if "block_shape" in attrs else ""
        rows.append(("blocks", f"{attrs['blocks']}{shape}"))
    if "peak_memory_bytes" in attrs:
        rows.append(("peak memory of a worker", size(attrs["peak_memory_bytes"])))
    tasks = _tasks(prediction.store)
    earlier = 0 if tasks is None else max(0, attrs.get("blocks", 0) - tasks.sizes["task"])
    return RunShown(rows, draw_stages(seconds), None if tasks is None else draw_timeline(tasks), earlier)


def _tasks(store: Path | URL | Memory) -> xr.Dataset | None:
    """When and where each block ran; None where the store does not tell."""
    if isinstance(store, Memory) or not (store / "run").is_dir():
        return None
    tasks = open_dataset(store / "run", need=None).load()
    return tasks if tasks.sizes.get("task", 0) else None


def _provenance(attrs: Attributes) -> Iterator[tuple[str, str | None]]:
    """Who made the store of what; a value is None where the store does not tell."""
    yield "command", attrs.get("command")
    yield "model", attrs.get("model")
    yield "model's SHA-256", attrs.get("model_hash")
    yield "made by", attrs.get("source")
    yield "on", attrs.get("host")
    yield "finished", attrs.get("finished")
    yield "versions", ", ".join(f"{k} {v}" for k, v in attrs.get("versions", {}).items())
    yield "functional", attrs.get("xc")
    yield "electrons", f"{attrs['n_electrons']:g}" if "n_electrons" in attrs else None
    yield "density cutoff", f"{attrs['density_cutoff_eV']:.6g} eV" if attrs.get("density_cutoff_eV") else None
    yield "broadening", f"{attrs.get('broadening_kernel', 'unknown')}, {attrs.get('broadening_width_eV', 0):g} eV"
    if "energy_zero_eV" in attrs:
        yield "zero of energy", f"{attrs['energy_zero_eV']:.4f} eV of this cell, added to the model's levels"
    if "broadening_correction" in attrs:
        yield "broadening corrected", "yes" if attrs["broadening_correction"] else "no"
    yield "double counting at", _double_counting(attrs)
    for symbol, told in attrs.get("pseudopotentials", {}).items():
        yield f"pseudopotential {symbol}", told.get("file")
    yield "this report by", f"maladist {versions(('maladist',)).get('maladist', '')}"


def _double_counting(attrs: Attributes) -> str | None:
    """Density at which −E_H + E_xc − ∫ v_xc n was taken; None where the store does not tell."""
    origin = {
        "dft": "the density of the DFT",
        "channel": "the density channel of the model",
        "ldos": "the density from the LDOS",
    }.get(attrs.get("double_counting", ""))
    t0 = attrs.get("reference_temperature_K")
    return origin if origin is None or t0 is None else f"{origin} at {t0:.6g} K"
