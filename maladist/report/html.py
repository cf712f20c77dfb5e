"""One self-contained HTML file of a result: what came out, how it went, who made it. No network is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import GPa

from maladist import schema
from maladist.errors import InputError, StoreError
from maladist.io.memory import Memory
from maladist.io.opening import open_dataset
from maladist.io.targets import check_file, write_whole
from maladist.io.urls import URL, place
from maladist.physics.energies import TERMS, TOTAL
from maladist.prediction.result import Prediction
from maladist.report.comparison import comparison_page
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
from maladist.report.told import UNKNOWN, Row, number, provenance, term_label, told, values
from maladist.report.volume import volume_json
from maladist.reprs import size


def report(
    store: Prediction | str | Path,
    path: str | Path | None = None,
    *,
    other: Prediction | str | Path | None = None,
    overwrite: bool = True,
) -> Path:
    """Write the report of a finished store, or of two side by side with their differences.

    Parameters
    ----------
    store
        A Prediction, or the path or URL of a finished store. What it does not hold is left out and said to be.
    path
        HTML file to write. Default: the store's name with .html, beside it; of a URL, here.
    other
        A second result, B, beside that of ``store``, A: the page shows both and B − A. Both have the same elements in
        the same shares. Densities are subtracted where the grids are the same, energies where functional and
        pseudopotentials are. The file's name then has both names.
    overwrite
        Whether a file that exists is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        A store that does not exist, is unfinished or holds neither density nor DOS; a file that cannot be written; two
        results of other compositions, or of several temperatures none of which both have.
    """
    a = store if isinstance(store, Prediction) else _open(place(store), "store")
    b = other if other is None or isinstance(other, Prediction) else _open(place(other), "other")
    target = Path(path) if path is not None else _beside(a, b)
    check_file(target, "report", overwrite=overwrite)
    return write_whole(target, page(a) if b is None else comparison_page(a, b), "report")


def _beside(a: Prediction, b: Prediction | None) -> Path:
    """The page's own place: beside the first store, named by all."""
    names = []
    for p in (a,) if b is None else (a, b):
        if isinstance(p.store, Memory):
            raise InputError("path", "none, of a result in memory", "the path of the report")
        names.append(Path(p.store.name).stem)
    # What lies behind a URL is read only.
    folder = a.store.parent if isinstance(a.store, Path) else Path()
    return folder / f"{'-'.join(names)}.html"


def _open(path: Path | URL, argument: str) -> Prediction:
    dataset = open_dataset(path)
    if "density" not in dataset and "dos" not in dataset:
        there = ", ".join(map(str, dataset.data_vars)) or "nothing"
        raise StoreError(
            argument,
            f"{path} has neither density nor DOS (there is: {there})",
            "a result",
            "Make one: maladist observe.",
        )
    schema.validate(dataset, ("cell", "position", "number"), str(path))
    return Prediction(dataset, path)


def page(prediction: Prediction) -> str:
    """The report as HTML: the words are in ``templates/report.html``."""
    first = prediction.at(prediction.temperatures[0])
    attrs, formula = told(prediction), str(prediction.atoms.get_chemical_formula("hill"))
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
        "sigmas": first.sigmas,
        "stress": _stress(first),
        "density": density,
        "novelty": draw_novelty(first),
        "outside": attrs.get("outside"),
        "volume": json_for_script(volume_json(first.density, first.grid, first.atoms)) if density else None,
        "run": _run(prediction),
        "provenance": [(what, value) for what, value in provenance(attrs) if value],
    }
    return html_page("report.html", f"{formula}: maladist", content, viewer=bool(density))


# -- what came out ---------------------------------------------------------------------------------------------------


def _facts(prediction: Prediction) -> Iterator[tuple[str, str]]:
    """What is told first, in large letters: a value, and what it is."""
    dataset, temperatures = prediction.dataset, prediction.temperatures
    n = dataset.sizes["atom"]
    yield f"{n}", "atoms"
    yield f"{', '.join(f'{t:.5g}' for t in temperatures)} K", "electronic temperature"
    if len(temperatures) == 1:
        for x in values(prediction, "fermi_energy_eV"):
            yield f"{number(x, None, 4)} eV", "Fermi level μ"
        for x in values(prediction, "total_free_energy_eV"):
            if np.isfinite(x):
                yield f"{number(x / n, None, 5)} eV", "free energy A per atom"
    if {"x", "y", "z"} <= set(dataset.sizes):
        grid = prediction.grid
        yield "×".join(map(str, grid.shape)), f"grid points, {', '.join(f'{x:.3f}' for x in grid.spacing)} Å apart"
    attrs = told(prediction)
    if "wall" in attrs.get("seconds", {}):
        yield f"{attrs['seconds']['wall']:.1f} s", f"on {attrs.get('workers', '?')} workers"


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
        levels = [c for x in values(prediction, "fermi_energy_eV") for c in (number(x, None, 4), "")]
        rows.append(Row("μ, Fermi level", levels))
    for term in (*TERMS, TOTAL):
        name, found = term.name, values(prediction, term.name)
        # The calibrated σ where there is one; else how far the members of an ensemble are apart.
        spreads = values(prediction, f"{name.removesuffix('_eV')}_sigma_eV") or values(prediction, f"{name}_std")
        cells = []
        for i, x in enumerate(found):
            spread = spreads[min(i, len(spreads) - 1)] if spreads else None
            cells += [number(x, spread, 4), number(x / n, None if spread is None else spread / n, 6)]
        if cells:
            rows.append(Row(term_label(term), cells, total=term is TOTAL))
    calibrated = "total_free_energy_sigma_eV" in prediction.dataset
    wide = several or calibrated or "total_free_energy_eV_std" in prediction.dataset
    return EnergyTable(columns, rows, any(UNKNOWN in row.cells for row in rows), wide, calibrated)


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
    rows = [(axis, [number(x, None, 5) for x in row]) for axis, row in zip("xyz", matrix, strict=True)]
    return StressShown(rows, number(-float(np.trace(matrix)) / 3 / GPa, None, 2))


# -- how it went, who made it ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunShown:
    """How the run went; ``earlier`` blocks were done by a run that this one went on with."""

    rows: list[tuple[str, str]]
    stages: Picture
    timeline: Picture | None
    earlier: int


def _run(prediction: Prediction) -> RunShown | None:
    attrs = told(prediction)
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
