"""What ASE's readers let pass: frames that end before their atoms, atoms without elements, sites filled in part.

A format that tells how many atoms a frame has, or how it ends, is held to that. CIF, FHI-aims, V_Sim and a few more
tell neither: one of these that was cut off at the end of a line is a whole file of fewer atoms, which nobody can tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final

import ase
import numpy as np
from ase.io.formats import ioformats, open_with_compression

from maladist.errors import AtomsError

_TAIL: Final = 4096
"""Bytes at the end of a file that are looked at."""

_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?")

_MANY: Final = 20
"""Lines of a LAMMPS data file's head in which its units may stand."""


def check_source(path: Path, kind: str, index: int | slice, shown: str) -> None:
    """Hold a file, before ASE reads it, to what it tells of its own length and of its elements.

    Parameters
    ----------
    path
        File of atoms.
    kind
        Name of its format in ASE.
    index
        Frames that are wanted of it.
    shown
        Name of the file in error messages.

    Raises
    ------
    AtomsError
        A frame is cut off or holds more than it tells, or is of a variant of the format that ASE reads as another.
    """
    if kind in _COMPLAINTS:
        with _open(path) as stream:
            lines = (line.decode("utf-8", errors="replace") for line in stream)
            complaints = _COMPLAINTS[kind](lines)
        # Only frames that are asked for: the last frame of a run that still writes may well be cut off.
        wanted = complaints[index] if isinstance(index, slice) else complaints[index : index + 1 or None]
        for complaint in wanted:
            if complaint:
                remedy = "Copy it again, or take another frame (FILE@-2)." if len(complaints) > 1 else ""
                raise AtomsError("atoms", f"{shown} {complaint}", "a whole file that tells elements and Å", remedy)
    if kind in ioformats and (not ioformats[kind].isbinary or kind == "cif"):
        with _open(path) as stream:
            _check_last_number(_tail(stream), shown)


def check_frame(atoms: ase.Atoms, shown: str) -> None:
    """Refuse a frame whose sites are not each filled by one atom.

    Raises
    ------
    AtomsError
        Sites are occupied in part or by several elements: an alloy, or vacancies, on the average.
    """
    remedy = "Make a supercell in which every site is full or empty."
    wanted = "sites that are each filled by one atom"
    sites = atoms.info.get("occupancy")
    for name, species in sites.items() if isinstance(sites, dict) else ():  # CIF: by number of the site in the file
        values = list(species.values()) if isinstance(species, dict) else [species]
        if len(values) != 1 or not _is_full(values[0]):
            raise AtomsError("atoms", f"{shown} with site {name} of partial occupancy {species}", wanted, remedy)
    for name in ("occupancy", "occupancies"):  # PDB and muSTEM: by atom; all zero is a column that nobody filled
        column = list(atoms.arrays.get(name, ()))
        if any(v != 0 for v in column) and not all(_is_full(v) or v > 1 for v in column):
            raise AtomsError("atoms", f"{shown} with sites of partial occupancy ({min(column)})", wanted, remedy)


def _is_full(value: object) -> bool:
    return value == "." or (isinstance(value, int | float | np.number) and abs(float(value) - 1) < 1e-3)


def _lammps_dump(lines: Iterator[str]) -> list[str]:
    """What is wrong with each frame; nothing where the text is empty."""
    complaints: list[str] = []
    told, rows, item, line = "", 0, "", ""

    def close() -> None:
        # The first complaint of a frame stands: a wrong unit says more than a count that follows from it.
        if complaints and not complaints[-1] and told != str(rows):
            complaints[-1] = (
                f"has {rows} whole lines of atoms in frame {len(complaints) - 1}, which tells {told or '?'} atoms"
            )

    for line in lines:
        if not line.startswith("ITEM:"):
            if item.startswith("ATOMS"):
                rows += 1
            elif item == "NUMBER OF ATOMS":
                told = line.strip()
            elif item == "UNITS" and complaints:
                complaints[-1] = _units(line.strip())
            continue
        item = line[5:].strip()
        if item == "TIMESTEP":
            close()
            complaints.append("")
            told, rows = "", 0
        elif item.startswith("ATOMS") and complaints and not {"element", "mass"} & set(item.split()):
            complaints[-1] = (
                f"is a LAMMPS dump of {item[:80]}, which tells types and no element. "
                "Dump id type element x y z, with dump_modify ID element Be"
            )
    if not line.endswith("\n"):  # LAMMPS ends every line: this one is cut, and with it perhaps a number
        rows -= 1
    close()
    return complaints


def _lammps_data(lines: Iterator[str]) -> list[str]:
    head = list(islice(lines, _MANY))
    # In the first line, where `write_data` of LAMMPS tells them; files of other programs do not.
    if units := re.search(r"\bunits\s*=\s*(\w+)", "".join(head[:1])):
        return [_units(units[1])]
    masses = any(re.match(r"\s*Masses\b", line) for part in (head, lines) for line in part)
    return ["" if masses else "is a LAMMPS data file without a section Masses: its types tell no element"]


def _units(name: str) -> str:
    return "" if name in ("metal", "real") else f"is in LAMMPS' units {name[:40]!r}, not metal or real (Å)"


def _pdb(lines: Iterator[str]) -> list[str]:
    complaints: list[str] = []
    atoms = cut = 0
    for line in lines:
        if line.startswith(("ATOM", "HETATM")):
            atoms, cut = atoms + 1, 1
        # A PDB that ends here lost nothing but its END.
        elif line.startswith(("CONECT", "MASTER")):  # both come after the atoms
            cut = 0
        elif line.startswith("END"):
            complaints.append("")
            atoms = cut = 0
    if atoms:
        complaints.append("ends after an atom without END or ENDMDL; add a line END if it is whole" if cut else "")
    return complaints


def _res(lines: Iterator[str]) -> list[str]:
    mark = "has no END"
    for line in lines:
        words = line.upper().split()
        # ASE would read the asymmetric unit as the whole cell: atoms would be missing without a word.
        if words[:1] == ["SYMM"] or (words[:1] == ["LATT"] and words[1:2] != ["-1"]):
            return [f"is a SHELX file with {' '.join(words)[:60]}, of which ASE reads space group P1 only; give a CIF"]
        mark = "" if words[:1] == ["END"] else mark
    return [mark]


def _gromacs(lines: Iterator[str]) -> list[str]:
    """A title, the number of atoms, a line for each, and three or nine numbers of the box."""
    every = list(lines)
    told = "".join(every[1:2]).strip()
    if told.isdigit() and len(every) == int(told) + 3 and len(every[-1].split()) in (3, 9):
        return ["" if every[-1].endswith("\n") else "ends within a line"]
    return [f"has {len(every)} lines where it tells {told[:20] or '?'} atoms"]


def _is_row(line: str) -> bool:
    """Whether a line may be an atom's: three numbers, or a name and three numbers."""
    words = line.split()
    return len(words) >= 3 and all(map(_NUMBER.fullmatch, words[-3:] if len(words) == 4 else words[:3]))


def _poscar(lines: Iterator[str]) -> list[str]:
    """A comment, the scale, three vectors, symbols (not in VASP 4), numbers, perhaps 'Selective', the mode, atoms."""
    every = list(lines)
    at = next((i for i in (5, 6) if i < len(every) and re.fullmatch(r"[\d\s]+(!.*)?", every[i])), None)
    if at is None:
        return [""]  # which ASE refuses
    told = sum(int(n) for n in every[at].partition("!")[0].split())
    first = at + 2 + every[at + 1 : at + 2][0][:1].lower().startswith("s") if at + 1 < len(every) else at + 2
    more = every[first + told : first + told + 1]
    return [f"has more lines of atoms than the {told} that it tells" if more and _is_row(more[0]) else ""]


def _xdatcar(lines: Iterator[str]) -> list[str]:
    """Frames of a line 'Direct configuration=' and the atoms' lines, the first of them, or each, after a header."""
    every, complaints, at, told = list(lines), [], 0, 0
    while at < len(every) and every[at].strip():
        if "Direct configuration=" not in every[at]:
            scale, numbers = (line.split() for line in ("".join(every[at + i : at + i + 1]) for i in (1, 6)))
            if not numbers or not all(n.isdigit() for n in numbers) or not all(map(_NUMBER.fullmatch, scale)):
                break
            told, at = sum(map(int, numbers)), at + 7
        at += 1 + told
        complaints.append("")
    if any(line.strip() for line in every[at:]):
        complaints.append("goes on behind its last whole frame")
    return complaints


def _xsf(lines: Iterator[str]) -> list[str]:
    every = list(lines)
    complaints = []
    for at, line in enumerate(every):
        if line.strip().upper().startswith("PRIMCOORD"):
            told = "".join(every[at + 1 : at + 2]).split()[:1]
            after = every[at + 2 + int(told[0]) :][:1] if told and told[0].isdigit() else []
            wrong = bool(after) and _is_row(after[0])
            complaints.append(f"has more lines of atoms than the {told[0]} that it tells" if wrong else "")
    return complaints


def _ending(mark: str) -> Callable[[Iterator[str]], list[str]]:
    """Check of a format of one frame whose last record is always there."""
    return lambda lines: ["" if any(line.strip().lower() == mark for line in lines) else f"has no {mark}"]


_COMPLAINTS: Final[dict[str, Callable[[Iterator[str]], list[str]]]] = {
    "vasp": _poscar,
    "vasp-xdatcar": _xdatcar,
    "xsf": _xsf,
    "lammps-dump-text": _lammps_dump,
    "lammps-data": _lammps_data,
    "proteindatabank": _pdb,
    "res": _res,
    "gromacs": _gromacs,
    "turbomole": _ending("$end"),
    "dmol-car": _ending("end"),
}
"""By ASE's name of the format: what is wrong with each of a file's frames, empty where nothing is."""


def _open(path: Path) -> IO[bytes]:
    return open_with_compression(str(path), "rb")


def _tail(stream: IO[bytes]) -> str:
    size = stream.seek(0, 2)
    stream.seek(max(0, size - _TAIL))
    return stream.read().decode("utf-8", errors="replace")


def _check_last_number(text: str, shown: str) -> None:
    """Refuse a file that ends within a number: no end of line, and fewer decimals than the line above has."""
    lines = text.splitlines()
    if text.endswith(("\n", "\r")) or len(lines) < 2:
        return
    # The line above is the measure: writers give each number of a column the same number of decimals.
    above, last = lines[-2].split(), lines[-1].split()
    if not last or len(above) != len(last):
        return
    want, have = (len(words[-1].partition(".")[2]) for words in (above, last))
    if want >= 4 and have < want and re.fullmatch(r"[+-]?\d*\.?\d*", last[-1]):
        came = f"{shown}, which ends with {last[-1]!r} and no end of line, where the line above has {above[-1]!r}"
        raise AtomsError("atoms", came, "a file that is not cut off", "If it is whole, end its last line.")
