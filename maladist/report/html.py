"""One self-contained HTML file of a result: what came out, how it went, who made it. No network is needed."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maladist import schema
from maladist.errors import StoreError
from maladist.io import stores
from maladist.io.targets import check_file, write_whole
from maladist.physics.energies import TERMS, TOTAL
from maladist.prediction.novelty import NOVELTY
from maladist.prediction.provenance import versions
from maladist.prediction.result import Prediction
from maladist.report.charts import stages_axes, timeline_axes
from maladist.report.figures import dos_axes, draw_plane, plane_across, plane_through
from maladist.report.isosurface import Isosurface, html_page, resource
from maladist.reprs import size


def report(store: Prediction | str | Path, path: str | Path | None = None, *, overwrite: bool = True) -> Path:
    """Write the report of a finished store.

    Parameters
    ----------
    store
        A Prediction, or the path of a finished store. What it does not hold is left out and said to be.
    path
        HTML file to write. Default: the store's name with .html, beside it.
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
    prediction = store if isinstance(store, Prediction) else _open(Path(store))
    target = Path(path) if path is not None else prediction.store.with_suffix(".html")
    check_file(target, "report", overwrite=overwrite)
    return write_whole(target, page(prediction), "report")


def _open(path: Path) -> Prediction:
    dataset = stores.open_dataset(path)
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
    """The report as HTML."""
    first = prediction.at(prediction.temperatures[0])
    parts = [
        _head(prediction),
        _notes(prediction),
        f'<div class="{_beside(prediction)}">{_energies(prediction)}{_dos(prediction)}</div>',
        _slices(first),
        _novelty(first),
        _surface(first),
        _run(prediction),
        _provenance(prediction),
    ]
    script = resource("viewer.js") if "density" in prediction.dataset else ""
    return html_page(f"{_formula(prediction)}: maladist", "<main>\n" + "\n".join(parts) + "\n</main>", script)


# -- what came out ---------------------------------------------------------------------------------------------------


def _formula(prediction: Prediction) -> str:
    return str(prediction.atoms.get_chemical_formula("hill"))


def _head(prediction: Prediction) -> str:
    atoms, grid = prediction.atoms, prediction.grid if _has_points(prediction) else None
    title = "".join(f"<sub>{c}</sub>" if c.isdigit() else escape(c) for c in _formula(prediction))
    temperatures = ", ".join(f"{t:.5g}" for t in prediction.temperatures)
    facts = [(f"{len(atoms)}", "atoms"), (f"{temperatures} K", "electronic temperature")]
    if len(prediction.temperatures) == 1:
        facts += [(f"{_number(x, None, 4)} eV", "Fermi level μ") for x in _values(prediction, "fermi_energy_eV")]
        totals = [x / len(atoms) for x in _values(prediction, "total_free_energy_eV")]
        facts += [(f"{_number(x, None, 5)} eV", "free energy A per atom") for x in totals if np.isfinite(x)]
    if grid is not None:
        h = ", ".join(f"{x:.3f}" for x in grid.spacing)
        facts.append(("×".join(map(str, grid.shape)), f"grid points, {h} Å apart"))
    seconds = prediction.dataset.attrs.get("seconds", {}).get("wall")
    if seconds is not None:
        facts.append((f"{seconds:.1f} s", f"on {prediction.dataset.attrs.get('workers', '?')} workers"))
    cards = "".join(
        f'<div class="fact"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in facts
    )
    where = escape(str(prediction.store.name))
    return f'<h1>{title}</h1>\n<p class="under">Electronic structure in {where}</p>\n<div class="facts">{cards}</div>'


def _beside(prediction: Prediction) -> str:
    """Whether energies and DOS fit beside one another: a wide table has the page's width to itself."""
    wide = len(prediction.temperatures) > 1 or "total_free_energy_eV_std" in prediction.dataset
    return "" if wide else "pair"


def _has_points(prediction: Prediction) -> bool:
    return {"x", "y", "z"} <= set(prediction.dataset.sizes)


def _values(prediction: Prediction, name: str) -> list[float]:
    return [float(x) for x in np.atleast_1d(prediction.dataset[name])] if name in prediction.dataset else []


def _notes(prediction: Prediction) -> str:
    notes = prediction.dataset.attrs.get("notes", [])
    return f'<div class="notes">{"".join(f"<p>{escape(str(n))}</p>" for n in notes)}</div>' if notes else ""


def _energies(prediction: Prediction) -> str:
    """Every term, for the cell and an atom, for each temperature; with the spread of an ensemble where there is one."""
    n = prediction.dataset.sizes["atom"]
    head = "".join(
        f"<th>{f'{t:.5g} K, ' if len(prediction.temperatures) > 1 else ''}eV</th><th>eV/atom</th>"
        for t in prediction.temperatures
    )
    rows = []
    if len(prediction.temperatures) > 1:
        levels = "".join(f"<td>{_number(x, None, 4)}</td><td></td>" for x in _values(prediction, "fermi_energy_eV"))
        rows.append(f"<tr><td>μ, Fermi level</td>{levels}</tr>")
    for _, name, sign, label in (*TERMS, TOTAL):
        values, spreads = _values(prediction, name), _values(prediction, f"{name}_std")
        if not values:
            continue
        cells = []
        for i, x in enumerate(values):
            spread = spreads[i] if spreads else None
            cells += [_number(x, spread, 4), _number(x / n, None if spread is None else spread / n, 6)]
        kind = ' class="total"' if name.startswith("total") else ""
        enters = " (enters with −)" if sign < 0 else ""
        rows.append(f"<tr{kind}><td>{_indices(label)}{enters}</td>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    if not rows:
        return _section("Energies", '<p class="said">The store holds no energies.</p>')
    table = f"<table><thead><tr><th>term</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    said = "A = E<sub>b</sub> − TS − E<sub>H</sub> + E<sub>xc</sub> − ∫ v<sub>xc</sub> n + E<sub>ii</sub>."
    if "–</td>" in table:
        said += " A dash: a term that needs what is not known (a pseudopotential or the functional)."
    return _section("Energies", f'<div class="scroll">{table}</div><p class="said">{said}</p>')


def _indices(label: str) -> str:
    return re.sub(r"_(\w+)", r"<sub>\1</sub>", label)


def _number(value: float, spread: float | None, digits: int) -> str:
    if not np.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}".replace("-", "−")
    return text if spread is None or not np.isfinite(spread) else f"{text} ± {spread:.{digits}f}"


def _dos(prediction: Prediction) -> str:
    if "dos" not in prediction.dataset or "fermi_energy_eV" not in prediction.dataset:
        return _section("Density of states", '<p class="said">The store holds no DOS with a Fermi level.</p>')
    drawn = _svg(lambda ax: dos_axes(ax, prediction), (6.2, 4.3), "Density of states, its occupied part and μ")
    return _section("Density of states", f'<div class="{"" if _beside(prediction) else "middle"}">{drawn}</div>')


def _slices(first: Prediction) -> str:
    if "density" not in first.dataset:
        return _section("Density", '<p class="said">The store holds no density.</p>')
    said = (
        f"Lattice planes through atoms, in Cartesian coordinates, at {first.temperatures[0]:.5g} K. Circles: atoms"
        " within 0.4 Å of the plane."
    )
    heights = [plane_through(first.grid, first.atoms.positions, axis) for axis in range(3)]
    drawn = _three_slices(first, first.density, heights, "1/Å$^3$", "$n(r)$")
    return _section("Electron density n(r)", f'{drawn}<p class="said">{said}</p>')


def _novelty(first: Prediction) -> str:
    """Where the cell lies outside of the model's training; nothing where the store does not tell."""
    outside = first.dataset.attrs.get("outside")
    if outside is None or NOVELTY not in first.dataset:
        return ""
    heights = (np.array(outside["largest_at_A"]) @ np.linalg.inv(first.grid.cell_array)) % 1.0
    drawn = _three_slices(first, first.dataset[NOVELTY], heights.tolist(), "novelty", "novelty")
    said = (
        f"Distance of the surroundings of a point from those in the model's training; 1 is where that ends."
        f" {outside['points']:,} points ({100 * outside['share']:.3g} %) lie outside, the farthest at"
        f" {outside['largest_novelty']:.3g}; the planes go through it."
    )
    return _section("Where the model was trained", f'{drawn}<p class="said">{said}</p>')


def _three_slices(first: Prediction, field: xr.DataArray, heights: Sequence[float], unit: str, name: str) -> str:
    """A plane across each lattice vector, at its height, with one scale of length and of colour for all three."""
    grid, atoms = first.grid, first.atoms
    planes = [plane_across(field, grid, axis, heights[axis]) for axis in (2, 1, 0)]
    wide, high = zip(*(p.size for p in planes), strict=True)
    scale = min(9.6 / sum(wide), 4.2 / max(high))
    figure = Figure(figsize=(11.6, scale * max(high) + 0.9), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=wide)
    limits = (min(p.values.min() for p in planes), max(p.values.max() for p in planes))
    for ax, plane in zip(axes, planes, strict=True):
        mesh = draw_plane(ax, plane, atoms, limits, name)
    figure.colorbar(mesh, ax=axes, label=unit, shrink=0.85, pad=0.01)
    return _svg_of(figure, f"{name.strip('$')} in planes across c, b and a")


def _surface(first: Prediction) -> str:
    if "density" not in first.dataset:
        return ""
    return _section("Isosurface of n(r)", Isosurface.of(first.density, first.grid, first.atoms).body)


# -- how it went, who made it ----------------------------------------------------------------------------------------


def _run(prediction: Prediction) -> str:
    attrs = prediction.dataset.attrs
    if "seconds" not in attrs:
        return ""
    seconds = {k: float(v) for k, v in attrs["seconds"].items()}
    rows = [("wall time", f"{seconds['wall']:.2f} s")] if "wall" in seconds else []
    rows += [("workers", f"{attrs['workers']}")] if "workers" in attrs else []
    if "blocks" in attrs:
        shape = f" of {'×'.join(map(str, attrs['block_shape']))} points" if "block_shape" in attrs else ""
        rows.append(("blocks", f"{attrs['blocks']}{shape}"))
    if "peak_memory_bytes" in attrs:
        rows.append(("peak memory of a worker", size(attrs["peak_memory_bytes"])))
    stages = _svg(lambda ax: stages_axes(ax, seconds), (6.2, 2.7), "Worker seconds of each stage")
    body = f'<div class="pair"><div>{_plain(rows)}</div><div>{stages}</div></div>'
    tasks = _tasks(prediction.store)
    if tasks is not None:
        height = min(9.0, 1.3 + 0.32 * max(2, int(np.unique(tasks["worker"]).size)))
        body += _svg(lambda ax: timeline_axes(ax, tasks), (11.5, height), "Blocks by worker and by time")
        fewer = int(attrs.get("blocks", 0)) - tasks.sizes["task"]
        before = f" {fewer} blocks more were done by an earlier run that this one went on with." if fewer > 0 else ""
        body += f'<p class="said">Each bar is a block, in the row of the worker that computed it.{before}</p>'
    return _section("The run", body)


def _tasks(store: Path) -> xr.Dataset | None:
    """When and where each block ran; None where the store does not tell."""
    if not (store / "run").is_dir():
        return None
    tasks = xr.open_zarr(str(store), group="run", chunks=None, consolidated=False).load()
    return tasks if tasks.sizes.get("task", 0) else None


def _provenance(prediction: Prediction) -> str:
    attrs = prediction.dataset.attrs
    known: list[tuple[str, Any]] = [
        ("command", attrs.get("command")),
        ("model", attrs.get("model")),
        ("model's SHA-256", attrs.get("model_hash")),
        ("made by", attrs.get("source")),
        ("on", attrs.get("host")),
        ("finished", attrs.get("finished")),
        ("versions", ", ".join(f"{k} {v}" for k, v in attrs.get("versions", {}).items())),
        ("functional", attrs.get("xc")),
        ("electrons", f"{attrs['n_electrons']:g}" if "n_electrons" in attrs else None),
        ("density cutoff", f"{attrs['density_cutoff_eV']:.6g} eV" if attrs.get("density_cutoff_eV") else None),
        ("broadening", f"{attrs.get('broadening_kernel', 'unknown')}, {attrs.get('broadening_width_eV', 0):g} eV"),
        ("broadening corrected", {True: "yes", False: "no"}.get(attrs.get("broadening_correction"))),
        ("double counting at", _double_counting(attrs)),
        *((f"pseudopotential {s}", p.get("file")) for s, p in attrs.get("pseudopotentials", {}).items()),
        ("this report by", f"maladist {versions(('maladist',)).get('maladist', '')}"),
    ]
    return _section("Provenance", _plain([(what, str(value)) for what, value in known if value]))


def _double_counting(attrs: Mapping[str, Any]) -> str | None:
    """Density at which −E_H + E_xc − ∫ v_xc n was taken; None where the store does not tell."""
    origin = {
        "dft": "the density of the DFT",
        "channel": "the density channel of the model",
        "ldos": "the density from the LDOS",
    }.get(attrs.get("double_counting", ""))
    t0 = attrs.get("reference_temperature_K")
    return origin if origin is None or t0 is None else f"{origin} at {t0:.6g} K"


# -- pieces ----------------------------------------------------------------------------------------------------------


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>\n{body}\n</section>"


def _plain(rows: Sequence[tuple[str, str]]) -> str:
    """A table of texts. A store is somebody else's file: none of its words may become a page's markup or script."""

    def cell(what: str, value: str) -> str:
        return f"<code>{escape(value)}</code>" if what in ("command", "model's SHA-256") else escape(value)

    body = "".join(f"<tr><td>{escape(what)}</td><td>{cell(what, value)}</td></tr>" for what, value in rows)
    return f'<table class="plain"><tbody>{body}</tbody></table>'


def _svg(draw: Callable[[Axes], None], inches: tuple[float, float], label: str) -> str:
    figure = Figure(figsize=inches, layout="constrained")
    draw(figure.subplots())
    return _svg_of(figure, label)


def _svg_of(figure: Figure, label: str) -> str:
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": label}):
        figure.savefig(buffer, format="svg", dpi=160, transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return f'<figure role="img" aria-label="{escape(label)}">{text[text.index("<svg") :]}</figure>'
