"""What pw.x prints, piece by piece: numbers, the structure, the temperature."""

from __future__ import annotations

import re
from typing import Final

import ase
import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress

from maladist.arrays import Array
from maladist.io.fields.numbers import fortran_numbers
from maladist.io.qe.run import symbol_of, temperature_of
from maladist.units import BOHR, BOLTZMANN, RYDBERG

REAL: Final = r"([-+.\dEeDd]+)"
"""Pattern of a number."""


def last_real(text: str, pattern: str) -> float | None:
    """The number of a pattern where it matches last; None where it does not."""
    matches = re.findall(pattern, text)
    return float(reals(matches[-1])[0]) if matches else None


def reals(text: str) -> Array:
    """All numbers of a text.

    Raises
    ------
    ValueError
        Something else than finite numbers.
    """
    # Columns that are full have no space between a number and the next one's sign.
    values = fortran_numbers(re.sub(r"(?<=[\d.])-(?!\d{3}(?:\s|$))", " -", text).encode())
    if not np.isfinite(values).all():
        raise ValueError("numbers that are not finite")
    return values


_CELL: Final = re.compile(r"CELL_PARAMETERS\s*\(?\s*(\w+)(?:\s*=\s*([\d.]+))?\s*\)?\n((?:.*\n){3})")
_AXES: Final = re.compile(r"crystal axes:.*\n((?:\s*a\(\d\) = .*\n){3})")
_SITES: Final = re.compile(r"positions \(alat units\)\n((?:\s*\d+\s+\S+\s+tau\(.*\n)+)")
_MOVED: Final = re.compile(
    r"ATOMIC_POSITIONS\s*\(?\s*(\w+)\s*\)?\n((?:[ \t]*[A-Z]\w*(?:[ \t]+[-+.\dEe]+){3,6}[ \t]*\n)+)"
)


def last_structure(text: str) -> ase.Atoms:
    """The structure that was printed last: at the start of a run, or by a step of a relaxation or of dynamics.

    Raises
    ------
    ValueError, LookupError
        There is none in the text.
    """
    alat = last_real(text, r"celldm\(1\)\s*=\s*" + REAL)
    axes, cells = [*_AXES.finditer(text)], [*_CELL.finditer(text)]
    sites, moved = [*_SITES.finditer(text)], [*_MOVED.finditer(text)]
    if alat is None or not axes or not sites:
        raise ValueError("no cell or no atoms")
    # Whichever was printed last holds: the header's cell, or one of a later step.
    if cells and cells[-1].start() > axes[-1].start():
        unit, length, rows = cells[-1].groups()
        scale = {"angstrom": 1.0, "bohr": BOHR, "alat": float(length or alat) * BOHR}[unit.lower()]
        cell = reals(rows).reshape(3, 3) * scale
    else:
        cell = np.array([reals(r) for r in re.findall(r"= \((.*)\)", axes[-1][1])]) * alat * BOHR
    if moved and moved[-1].start() > sites[-1].start():
        unit, rows = moved[-1].groups()
        words = [row.split() for row in rows.splitlines()]
        species, places = [w[0] for w in words], np.array([reals(" ".join(w[1:4])) for w in words])
    else:
        unit, rows = "alat", re.findall(r"\d+\s+(\S+)\s+tau\(\s*\d+\) = \((.*)\)", sites[-1][1])
        species, places = [s for s, _ in rows], np.array([reals(p) for _, p in rows])
    # What the printed coordinates are multiples of.
    frame = {"angstrom": np.eye(3), "bohr": BOHR * np.eye(3), "alat": alat * BOHR * np.eye(3), "crystal": cell}
    return ase.Atoms([symbol_of(s) for s in species], places @ frame[unit.lower()], cell=cell, pbc=True)


def printed_forces(text: str, n_atoms: int) -> Array | None:
    """Forces on the atoms, (n_atoms, 3), eV/Å; None where the text has none.

    Raises
    ------
    ValueError
        Fewer than there are atoms, or what is no number: they are whole or not there.
    """
    table = re.search(r"Forces acting on atoms.*\n\s*\n((?:\s*atom\s+\d+ type.*\n)+)", text)
    if table is None:
        return None
    rows = [reals(row) for row in re.findall(r"force =(.*)", table[1])]
    if [len(row) for row in rows] != [3] * n_atoms:
        raise ValueError(f"forces of {len(rows)} atoms where there are {n_atoms}")
    return np.array(rows) * (RYDBERG / BOHR)


def printed_stress(text: str) -> Array | None:
    """Stress in ASE's sign and order, (6,), eV/Å³; None where the text has none."""
    table = re.search(r"total\s+stress\s+\(Ry/bohr\*\*3\).*\n((?:.*\n){3})", text)
    if table is None:
        return None
    # Three columns of the stress, three of the same in kbar, with two digits.
    matrix = reals(table[1]).reshape(3, 6)[:, :3]
    return -full_3x3_to_voigt_6_stress(matrix) * (RYDBERG / BOHR**3)


def temperature_printed(text: str) -> tuple[float | None, tuple[str, ...]]:
    """Temperature of the smearing, and the line that says how well four decimals of Ry tell it (±8 K)."""
    widths = re.findall(r"([\w-]+) smearing, width \(Ry\)=\s*(\S+)", text)
    if not widths:
        return None, ()
    kind, printed = widths[-1]
    exact = temperature_of(float(printed) * RYDBERG, kind)
    if exact is None or not exact > 0:
        return None, ()
    half = 0.5 * 10.0 ** -len(printed.partition(".")[2]) * RYDBERG / BOLTZMANN
    # A temperature that somebody wrote is a round number within what the printed digits allow.
    rounded = _roundest(exact - half, exact + half)
    # Whichever its author is likelier to have written: a width, or a temperature.
    written = len(printed.replace(".", "").strip("0"))
    taken = rounded if len(f"{rounded:g}".replace(".", "").strip("0")) < written else exact
    note = (
        f"temperature {taken:.6g} K, from a width of {printed} Ry, which is {exact:.2f} ± {half:.1f} K:"
        " data-file-schema.xml has all digits (--temperature K)"
    )
    return taken, (note,)


def _roundest(low: float, high: float) -> float:
    """The number with the fewest digits between two."""
    digits = 1
    while not low <= (value := float(f"{(low + high) / 2:.{digits - 1}e}")) <= high:
        digits += 1
    return value
