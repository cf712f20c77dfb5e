"""Levels of an LDOS that come one a file: their order, and whether they are what was told of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from maladist.arrays import Array
from maladist.energy_grid import EnergyGrid
from maladist.errors import DataFileError
from maladist.io.fields.formats import field_format
from maladist.io.fields.header import FieldHeader

_ONE_SPIN: Final = (
    "one file a level, of both spins together",
    "Are they spin up and spin down? Spin-polarised calculations are not supported.",
)


def check_told(headers: list[FieldHeader], energies: EnergyGrid) -> None:
    """Refuse energies that were given and that a file, which tells its own, does not have."""
    for i, (header, wanted) in enumerate(zip(headers, energies.values, strict=True)):
        if header.energy is not None and not abs(header.energy - wanted) <= 1e-3:
            came = f"an energy of {header.energy} eV for level {i}"
            by = "--part" if energies.further else "--energies"
            raise DataFileError(str(header.path), came, f"{wanted:.4f} eV, by {by}")


def in_order(
    headers: list[FieldHeader], *, energies: bool, parts: Sequence[tuple[float, float, int]] = ()
) -> tuple[list[FieldHeader], tuple[str, ...]]:
    """Levels by their energy, or by the numbers in their names where the files do not tell all energies; and notes.

    Parameters
    ----------
    headers
        Headers of the files, in any order.
    energies
        Whether the user has told the energies as one axis.
    parts
        Origin, spacing (eV) and number of levels of each part, if the user has told the energies in parts.

    Raises
    ------
    DataFileError
        Broadenings that differ, levels that lack, two spins, or an order that cannot be told.
    """
    widths = {h.broadening for h in headers if h.broadening is not None}
    if len(widths) > 1:
        raise DataFileError("ldos", f"levels broadened by {sorted(widths)} eV", "one broadening")
    if any(h.energy is None for h in headers):
        return _by_name(headers, told=energies or bool(parts))
    by_energy: dict[float, FieldHeader] = {}
    again: list[FieldHeader] = []
    for header in headers:
        assert header.energy is not None
        # pp.x run in parts writes the level at which two parts meet twice.
        first = by_energy.setdefault(header.energy, header)
        if first is not header and header.path.resolve() != first.path.resolve():
            _check_same(first, header)
            again.append(header)
    if len(again) >= len(by_energy):
        raise DataFileError("ldos", f"each of {len(by_energy)} levels twice", *_ONE_SPIN)
    found = np.array(sorted(by_energy))
    # Of parts that were given each file's energy is held against them.
    if len(found) > 1 and not parts:
        steps = np.diff(found)
        step = float(np.median(steps))
        # A missing file is a gap of two steps; the energies themselves are printed with few digits.
        gaps = np.flatnonzero(np.abs(steps - step) > max(2e-4, 1e-3 * step))
        if len(gaps):
            e = found[gaps[0]]
            came = f"no level between {e:.4f} and {found[gaps[0] + 1]:.4f} eV, where others are {step:.4f} eV apart"
            remedy = "Is a file missing? Or give --part ORIGIN SPACING LEVELS of each part."
            raise DataFileError("ldos", came, "equidistant levels without a gap", remedy)
    twice = len(headers) - len(by_energy)
    notes = (f"{twice} levels came twice (overlapping parts) and were read once",) if twice else ()
    return [by_energy[e] for e in _of_parts(found, parts)], notes


def _of_parts(found: Array, parts: Sequence[tuple[float, float, int]]) -> Array:
    """Energies of files by part: as they ascend, but where parts overlap, in which one file may be a level of both."""
    values = EnergyGrid.of_parts(parts).values if parts else found
    if np.all(np.diff(values) > 0):
        return found
    apart = np.abs(found[:, None] - values)
    if (strange := apart.min(axis=1) > 1e-3).any():
        came = f"a level at {found[strange][0]:.4f} eV, which is in none of the parts"
        raise DataFileError("ldos", came, "levels of the parts", "Give --part ORIGIN SPACING LEVELS of each part.")
    if (missing := apart.min(axis=0) > 1e-3).any():
        lost = values[missing]
        came = f"no file of the level at {lost[0]:.4f} eV, and of {len(lost) - 1} others"
        raise DataFileError("ldos", came, "one of each level of the parts")
    return found[apart.argmin(axis=0)]


def _check_same(one: FieldHeader, other: FieldHeader) -> None:
    """Two files of one energy hold the same numbers where parts overlap, and others where they are two spins."""
    pairs = zip(*(field_format(h.path).read_slabs(h.path, 8) for h in (one, other)), strict=True)
    if not all(np.allclose(u, v, rtol=1e-3, atol=1e-6 * float(np.abs(u).max())) for (_, u), (_, v) in pairs):
        raise DataFileError("ldos", f"{one.path} and {other.path}, two fields of {one.energy} eV", *_ONE_SPIN)


def _by_name(headers: list[FieldHeader], *, told: bool) -> tuple[list[FieldHeader], tuple[str, ...]]:
    """Levels by the one number in which their names differ."""
    silent = [h.path for h in headers if h.energy is None]
    if not told:
        came = f"no energy that can be read in the header of {len(silent)} of {len(headers)} files"
        remedy = "Give --energies ORIGIN SPACING (eV) of the files in the order of their names."
        raise DataFileError(str(silent[0]), came, "the energies of the levels", remedy)
    names = [_natural(h.path.name) for h in headers]
    words = list(zip(*names, strict=True)) if len({len(n) for n in names}) == 1 else []
    differing = [set(map(type, word)) for word in words if len(set(word)) > 1]
    # More than one number differs, or none: which one is the level's cannot be told.
    if len(headers) > 1 and differing != [{int}]:
        came = f"files such as {headers[0].path.name} and {headers[-1].path.name}"
        raise DataFileError("ldos", came, "names that differ in one number only, that of the level")
    ordered = [h for _, h in sorted(zip(names, headers, strict=True), key=lambda pair: pair[0])]
    return ordered, ("levels taken in the order of their names",)


def _natural(name: str) -> list[str | int]:
    return [int(w) if w.isdigit() else w for w in re.split(r"(\d+)", name)]
