"""Atoms from anything that ASE reads."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import ase
import ase.data
import ase.io
from ase.build import bulk
from ase.io import ParseError
from ase.io.formats import UnknownFileTypeError, filetype, ioformats, string2index

from maladist.errors import AccuracyWarning, AtomsError, OutputError
from maladist.io.foreign import deadline, reason, refusing
from maladist.io.frames import check_frame, check_source
from maladist.io.paths import plain_file
from maladist.io.targets import check_file, whole

_SECONDS: Final = 60.0
_BYTES_PER_SECOND: Final = 50e3
"""How long a reader of ASE may take: a minute, and for large files a tenth of the slowest reader's pace."""

_NO_SYMBOLS: Final = "VASP 4 writes none: add a line with the elements' symbols above the numbers of atoms."


def read_atoms(name: str) -> ase.Atoms:
    """Read one frame of ``FILE`` or ``FILE@index`` (ASE's indices); the last where no index is given.

    Raises
    ------
    AtomsError
        There is no such file, ASE does not know its format, it is cut off or damaged, the index is out of range or one
        of several frames, or sites are occupied in part.
    """
    if names_several(name):
        path, index = _split(name)
        raise AtomsError("atoms", f"the frames '{index}' of {path}", "one frame", f"{path}@-1 is the last.")
    return _read(name, None)[-1]


def read_frames(name: str) -> list[ase.Atoms]:
    """Read the frames of ``FILE@index`` (for example ``md.traj@0:100:10``); all where no index is given.

    Raises
    ------
    AtomsError
        As `read_atoms`.
    """
    return _read(name, ":")


def names_several(name: str) -> bool:
    """Whether a name is of the form ``FILE@a:b:c``, which may be any number of frames."""
    return ":" in _split(name)[1]


def _split(name: str) -> tuple[str, str]:
    """Path and index of FILE@index; a file of that very name is meant itself."""
    try:
        whole = Path(name).exists()
    except (OSError, ValueError):  # a name that no file can have, which is told when it is opened
        whole = True
    # A file may have an @ in its name: only where there is no such file is it a separator.
    path, _, index = (name, "", "") if whole or "@" not in name else name.rpartition("@")
    return path, index


def _read(name: str, default: str | None) -> list[ase.Atoms]:
    path, index = _split(name)
    plain_file(path, "a file of atoms that ASE can read", "atoms", AtomsError)
    if index and not re.fullmatch(r"-?\d*(:-?\d*){0,2}", index):
        raise AtomsError("atoms", f"index {index!r}", "an index as ASE has it: FILE@3, FILE@-1, FILE@0:100:10")
    # Made absolute: ASE takes a name that begins with 'postgres' or 'mysql' for the address of a database.
    frames = _foreign(Path(path).absolute(), path, index, default or "-1")
    if not frames or not all(len(frame) for frame in frames):
        raise AtomsError("atoms", f"{name} without {'atoms' if frames else 'a frame'}", "at least one")
    for frame in frames:
        check_frame(frame, path)
    return frames


def _foreign(path: Path, shown: str, given: str, default: str) -> list[ase.Atoms]:
    """Frames by ASE's readers; whatever they raise, doubt or take too long for, as an AtomsError or AccuracyWarning."""
    index = string2index(given or default)
    limit = _SECONDS + path.stat().st_size / _BYTES_PER_SECOND
    wanted = "a file of atoms in a format that ASE knows, undamaged"
    if path.suffix == ".traj":  # ASE goes to a frame without reading the others
        wanted += f" (of one that was cut, {shown}@:N takes the first N frames)"
    # ASE warns where it guesses: such doubts are passed on with the file's name, or refused.
    caught = warnings.catch_warnings(record=True)
    with refusing(shown, wanted, AtomsError, argument="atoms"), deadline(limit), caught as doubts:
        warnings.simplefilter("always")
        kind = filetype(str(path))
        check_source(path, kind, index, shown)
        try:
            read = ase.io.read(str(path), index=index, format=kind, do_not_split_by_at_sign=True)
        except ParseError as error:
            remedy = _NO_SYMBOLS if "chemical symbols" in str(error) else ""
            raise AtomsError("atoms", f"{shown} cannot be read ({reason(error)})", wanted, remedy) from error
        except (IndexError, StopIteration) as error:
            # An index that the user gave may be out of range; the last frame of a file is there unless it is damaged.
            if given:
                raise AtomsError("atoms", f"{shown} has no frame {given}, or is damaged", "a whole one") from error
            raise
    for doubt in dict.fromkeys(str(d.message) for d in doubts if issubclass(d.category, UserWarning)):
        if doubt.startswith("scaled_positions"):  # two atoms of a CIF on one site, of which ASE takes the first
            raise AtomsError("atoms", f"{shown}: {doubt}", "sites that are each filled by one atom")
        warnings.warn(f"{shown}: {doubt}", AccuracyWarning, stacklevel=4)
    return read if isinstance(read, list) else [read]


def read_crystal(name: str, repeat: tuple[int, int, int] = (1, 1, 1)) -> ase.Atoms:
    """Read a file of atoms, or make an element's usual crystal (ASE's `bulk`), and repeat it.

    Raises
    ------
    AtomsError
        For the reasons of `read_atoms`; or the element has no usual crystal, it is not periodic, or less than a cell.
    """
    if min(repeat) < 1:
        raise AtomsError("repeat", str(repeat), "three numbers of one or more")
    # A file that is called Be goes before the element.
    if name in ase.data.chemical_symbols[1:] and not Path(name).exists():
        try:
            crystal = bulk(name)
        # What ASE says of an element whose lattice it does not know (Og), does not build (Pa), or cannot fill (B).
        except (ValueError, RuntimeError) as error:
            raise AtomsError("atoms", f"no usual crystal of {name} ({error})", "a file of atoms") from error
    else:
        crystal = read_atoms(name)
    if crystal.cell.rank < 3 or not all(crystal.pbc):
        raise AtomsError("atoms", f"{name} is not periodic", "a crystal: a cell that is periodic in three directions")
    return crystal * repeat


def check_writable(path: str | Path) -> None:
    """Refuse a file of atoms that exists, whose folder does not, or whose ending ASE does not know.

    Raises
    ------
    OutputError
        Naming it.
    """
    path = Path(path)
    if path.exists():
        raise OutputError("output", f"{path} exists", "a new file", "It is left as it is.")
    check_file(path)
    try:
        known = ioformats[filetype(str(path), read=False)]
    except (UnknownFileTypeError, KeyError):
        known = None
    if known is None or not known.can_write or known.single:
        raise OutputError("output", path.name, "an ending of a format for many frames, such as .extxyz or .traj")


def write_frames(frames: Sequence[ase.Atoms], path: str | Path) -> None:
    """Write atoms and cells, nothing else of the frames, to a new file in the format of its ending.

    Raises
    ------
    OutputError
        For the reasons of `check_writable`.
    """
    check_writable(path)
    # Results and constraints of the source would be taken for those of the atoms in the file.
    bare = [ase.Atoms(f.numbers, f.positions, cell=f.cell, pbc=f.pbc) for f in frames]
    with whole([path]) as (beside,):
        ase.io.write(str(beside), bare)


def check_extxyz(path: str | Path) -> None:
    """Refuse a file for atoms with arrays, as `write_arrays` makes it.

    Raises
    ------
    OutputError
        It exists, has another ending than .extxyz, or cannot be written.
    """
    check_writable(path)
    if Path(path).suffix != ".extxyz":
        raise OutputError("output", Path(path).name, "a name that ends in .extxyz, which holds arrays of atoms")


def write_arrays(atoms: ase.Atoms, path: str | Path) -> None:
    """Write atoms with all their arrays and info to a new extxyz file.

    Raises
    ------
    OutputError
        For the reasons of `check_extxyz`.
    """
    check_extxyz(path)
    with whole([path]) as (beside,):
        ase.io.write(str(beside), atoms)
