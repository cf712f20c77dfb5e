"""Two results side by side, A and B, with B − A: one self-contained HTML file, as the report of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase.geometry import find_mic

from maladist.errors import InputError
from maladist.physics.energies import TERMS, TOTAL
from maladist.prediction.difference import difference, same_grid
from maladist.prediction.result import Prediction
from maladist.report.pages import html_page
from maladist.report.pictures import Picture, draw_difference, draw_two_dos
from maladist.report.told import UNKNOWN, Row, number, provenance, term_label, told, values


def comparison_page(a: Prediction, b: Prediction) -> str:
    """The page as HTML: the words are in ``templates/comparison.html``.

    Raises
    ------
    InputError
        Other elements, or another share of one; no temperature that both have, where one of them has several.
    """
    _check_composition(a, b)
    t_a, t_b = _temperatures(a, b)
    one, two = a.at(t_a), b.at(t_b)
    why_not = list(_incomparable(one, two))
    density = _density(a, b, t_a)
    formulas = [str(p.atoms.get_chemical_formula("hill")) for p in (one, two)]
    names = [p.store.name for p in (a, b)]
    content = {
        "formulas": list(dict.fromkeys(formulas)),
        "names": names,
        "facts": list(_facts(one, two, density, bool(why_not))),
        "notes": list(_notes(a, b, (t_a, t_b), why_not)),
        "cells": [*_cells(one, two, bool(why_not)), *_moves(one, two)],
        "energies": _energies(one, two, bool(why_not)),
        "dos": draw_two_dos(one, two),
        "density": density,
        "forces": _forces(one, two),
        "provenance": _provenance(one, two),
    }
    return html_page("comparison.html", f"{' and '.join(names)}: maladist", content, viewer=False)


# -- what can be compared --------------------------------------------------------------------------------------------


def _check_composition(a: Prediction, b: Prediction) -> None:
    (of_a, _), (of_b, _) = (p.atoms.symbols.formula.reduce() for p in (a, b))
    if of_a.count() != of_b.count():
        came = f"{b.atoms.symbols.formula:hill} beside {a.atoms.symbols.formula:hill}"
        raise InputError("other", came, "a result of the same elements in the same shares", "Write a report of each.")


def _temperatures(a: Prediction, b: Prediction) -> tuple[float, float]:
    """The first temperature that both have; of a run at one each, these."""
    if common := [t for t in a.temperatures if t in b.temperatures]:
        return common[0], common[0]
    if "temperature" in a.dataset.dims or "temperature" in b.dataset.dims:
        came = " beside ".join(", ".join(f"{t:g}" for t in p.temperatures) + " K" for p in (a, b))
        raise InputError("temperature", came, "one that both results have", "Or results of one temperature each.")
    return a.temperatures[0], b.temperatures[0]


def _incomparable(a: Prediction, b: Prediction) -> Iterator[str]:
    """Why energies must not be subtracted: what moves their zero by electronvolts."""
    of_a, of_b = told(a), told(b)
    if of_a.get("xc") and of_b.get("xc") and of_a["xc"] != of_b["xc"]:
        yield f"the functionals are {of_a['xc']} and {of_b['xc']}"
    cut = [str(of.get("assume_isolated", "none")) for of in (of_a, of_b)]
    if cut[0] != cut[1]:
        yield f"the Coulomb interaction is cut off otherwise (assume_isolated {cut[0]} and {cut[1]})"
    others = of_b.get("pseudopotentials", {})
    for symbol, file in of_a.get("pseudopotentials", {}).items():
        hashes = [one.get("sha256") for one in (file, others.get(symbol, {}))]
        if all(hashes) and hashes[0] != hashes[1]:
            yield f"the pseudopotentials of {symbol} are not the same"
    if "n_electrons" in of_a and "n_electrons" in of_b:
        x, y = (of["n_electrons"] / p.dataset.sizes["atom"] for of, p in ((of_a, a), (of_b, b)))
        if abs(x - y) > 1e-6:
            yield f"there are {x:g} and {y:g} electrons an atom"


def _notes(a: Prediction, b: Prediction, at: tuple[float, float], why_not: list[str]) -> Iterator[str]:
    """What the reader must know before the numbers."""
    if why_not:
        yield f"Energies are not subtracted, since they have other zeros: {'; '.join(why_not)}."
    if at[0] != at[1]:
        yield f"The electrons of A are at {at[0]:.5g} K, those of B at {at[1]:.5g} K."
    if max(len(p.temperatures) for p in (a, b)) > 1:
        yield f"Of several temperatures this page shows {at[0]:.5g} K."
    for name, p in (("A", a), ("B", b)):
        yield from (f"{name}: {note}" for note in told(p).get("notes", []))


# -- what differs ----------------------------------------------------------------------------------------------------


def _scalar(p: Prediction, name: str) -> float:
    """A scalar at the one temperature; NaN where the store does not tell it."""
    return (values(p, name) or [np.nan])[0]


def _row(label: str, a: float, b: float, digits: int) -> Row:
    return Row(label, [number(x, None, digits) for x in (a, b, b - a)])


def _cells(a: Prediction, b: Prediction, incomparable: bool) -> Iterator[Row]:
    """The two cells, and their Fermi levels."""
    n_a, n_b = (p.dataset.sizes["atom"] for p in (a, b))
    yield _row("atoms", n_a, n_b, 0)
    yield _row("volume, Å³/atom", a.atoms.get_volume() / n_a, b.atoms.get_volume() / n_b, 4)
    yield _row("temperature of the electrons, K", a.temperatures[0], b.temperatures[0], 1)
    if all({"x", "y", "z"} <= set(p.dataset.sizes) for p in (a, b)):
        yield Row("grid points", ["×".join(map(str, p.grid.shape)) for p in (a, b)] + [""])
    levels = _row("μ, Fermi level, eV", _scalar(a, "fermi_energy_eV"), _scalar(b, "fermi_energy_eV"), 4)
    yield replace(levels, cells=[*levels.cells[:2], ""]) if incomparable else levels


def _same_atoms(a: Prediction, b: Prediction) -> bool:
    """Whether atom i of one is atom i of the other."""
    return np.array_equal(a.atoms.numbers, b.atoms.numbers)


def _moves(a: Prediction, b: Prediction) -> list[Row]:
    """How far the atoms of B are from those of A; nothing where the cells or the atoms' order differ."""
    if not _same_atoms(a, b) or not np.allclose(a.atoms.cell.array, b.atoms.cell.array, atol=1e-6):
        return []
    lengths = find_mic(b.atoms.positions - a.atoms.positions, a.atoms.cell)[1]
    return [
        Row("largest displacement of an atom, Å", ["", "", f"{lengths.max():.4f}"]),
        Row("root mean square displacement, Å", ["", "", f"{np.sqrt(np.mean(lengths**2)):.4f}"]),
    ]


@dataclass(frozen=True)
class EnergiesShown:
    """Every term of both, of the cell and an atom, with B − A where it means something."""

    columns: list[str]
    rows: list[Row]
    unknown: bool


def _energies(a: Prediction, b: Prediction, incomparable: bool) -> EnergiesShown:
    n_a, n_b = (p.dataset.sizes["atom"] for p in (a, b))
    of_cell, of_atom = n_a == n_b and not incomparable, not incomparable
    columns = ["A, eV", "B, eV", *(["B − A, eV"] if of_cell else []), "A, eV/atom", "B, eV/atom"]
    columns += ["B − A, meV/atom"] if of_atom else []
    rows = []
    for term in (*TERMS, TOTAL):
        x, y = _scalar(a, term.name), _scalar(b, term.name)
        if term.name not in a.dataset and term.name not in b.dataset:
            continue
        cells = [number(v, None, 4) for v in (x, y, *([y - x] if of_cell else []))]
        cells += [number(v, None, 6) for v in (x / n_a, y / n_b)]
        cells += [number(1e3 * (y / n_b - x / n_a), None, 3)] if of_atom else []
        rows.append(Row(term_label(term), cells, total=term is TOTAL))
    return EnergiesShown(columns, rows, any(UNKNOWN in row.cells for row in rows))


@dataclass(frozen=True)
class DensityShown:
    """n_B − n_A in planes and its integrals (electrons); or why there is none."""

    pictures: list[Picture]
    integral: str
    moved: str
    why_not: str


def _density(a: Prediction, b: Prediction, temperature: float) -> DensityShown:
    if "density" not in a.dataset or "density" not in b.dataset:
        return DensityShown([], "", "", "Not both stores hold a density.")
    if not same_grid(a.grid, b.grid):
        shapes = " and ".join("×".join(map(str, p.grid.shape)) for p in (a, b))
        why = f"The grids, of {shapes} points, are not the same points of the same cell: no density is subtracted."
        return DensityShown([], "", "", why)
    with TemporaryDirectory(prefix="maladist-") as folder:
        found = difference(b, a, temperature=temperature, store=Path(folder) / "difference.zarr")
        integral, moved = (number(found.attrs[name], None, 4) for name in ("integral", "moved_electrons"))
        return DensityShown(draw_difference(found), integral, moved, "")


def _forces(a: Prediction, b: Prediction) -> list[Row]:
    """How large the forces are, and their difference; nothing where not both have them on the same atoms."""
    if a.forces is None or b.forces is None or not _same_atoms(a, b):
        return []
    each = (a.forces, b.forces, b.forces - a.forces)
    return [
        Row("root mean square of a component, eV/Å", [f"{np.sqrt(np.mean(f**2)):.4f}" for f in each]),
        Row("largest on an atom, eV/Å", [f"{np.linalg.norm(f, axis=1).max():.4f}" for f in each]),
    ]


def _facts(a: Prediction, b: Prediction, density: DensityShown, incomparable: bool) -> Iterator[tuple[str, str]]:
    """What is told first, in large letters: a value, and what it is."""
    per_atom = [_scalar(p, TOTAL.name) / p.dataset.sizes["atom"] for p in (a, b)]
    if np.isfinite(per_atom).all() and not incomparable:
        yield f"{number(1e3 * (per_atom[1] - per_atom[0]), None, 3)} meV/atom", "free energy A, B − A"
    level = _scalar(b, "fermi_energy_eV") - _scalar(a, "fermi_energy_eV")
    if np.isfinite(level) and not incomparable:
        yield f"{number(level, None, 4)} eV", "Fermi level μ, B − A"
    if density.pictures:
        yield f"{density.moved} electrons", "moved, ½ ∫ |Δn|"


def _provenance(a: Prediction, b: Prediction) -> list[tuple[str, str, str]]:
    """Who made the two of what, a line each: what it is, of A, of B."""
    of_a, of_b = ({what: value for what, value in provenance(told(p)) if value} for p in (a, b))
    names = [what for what in dict.fromkeys((*of_a, *of_b)) if what != "this report by"]
    return [(what, of_a.get(what, UNKNOWN), of_b.get(what, UNKNOWN)) for what in names]
