"""Atoms from anything that ASE reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import ase
import ase.data
import ase.io
from ase.build import bulk
from ase.io.formats import UnknownFileTypeError, filetype, ioformats

from maladist.errors import AtomsError, OutputError
from maladist.io.targets import check_file, whole


def read_atoms(name: str) -> ase.Atoms:
    """Read one frame of ``FILE`` or ``FILE@index`` (ASE's indices); the last where no index is given.

    Raises
    ------
    AtomsError
        No such file, a format that ASE does not know, an index that is out of range.
    """
    return _read(name, None)[-1]


def read_frames(name: str) -> list[ase.Atoms]:
    """Read the frames of ``FILE@index`` (for example ``md.traj@0:100:10``); all where no index is given."""
    return _read(name, ":")


def names_several(name: str) -> bool:
    """Whether a name is of the form ``FILE@a:b:c``, which may be any number of frames."""
    return not Path(name).exists() and ":" in name.partition("@")[2]


def _read(name: str, default: str | None) -> list[ase.Atoms]:
    path, _, index = name.partition("@") if not Path(name).exists() else (name, "", "")
    if not Path(path).is_file():
        raise AtomsError("atoms", f"{path} is not a file", "a file of atoms that ASE can read")
    if index and not re.fullmatch(r"-?\d*(:-?\d*){0,2}", index):
        raise AtomsError("atoms", f"index {index!r}", "an index as ASE has it: FILE@3, FILE@-1, FILE@0:100:10")
    try:
        found = ase.io.read(path, index=index or default or "-1")
    except (IndexError, StopIteration) as error:
        raise AtomsError("atoms", f"{path} has no frame {index or default or -1}", "a frame that is there") from error
    except (UnknownFileTypeError, ValueError, KeyError, AssertionError, OSError) as error:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise AtomsError(
            "atoms", f"ASE cannot read {name} ({why})", "a file of atoms in a format that ASE knows"
        ) from error
    frames = found if isinstance(found, list) else [found]
    if not frames:
        raise AtomsError("atoms", f"no frame in {name}", "at least one")
    return frames


def read_crystal(name: str, repeat: tuple[int, int, int] = (1, 1, 1)) -> ase.Atoms:
    """Read a file of atoms, or make an element's usual crystal (ASE's `bulk`), and repeat it.

    Raises
    ------
    AtomsError
        As `read_atoms`; an element without a usual crystal; not periodic; fewer than one cell.
    """
    if min(repeat) < 1:
        raise AtomsError("repeat", str(repeat), "three numbers of one or more")
    if name in ase.data.chemical_symbols[1:] and not Path(name).exists():
        try:
            found = bulk(name)
        except (ValueError, RuntimeError, NotImplementedError) as error:
            raise AtomsError("atoms", f"no usual crystal of {name} ({error})", "a file of atoms") from error
    else:
        found = read_atoms(name)
    if found.cell.rank < 3 or not all(found.pbc):
        raise AtomsError("atoms", f"{name} is not periodic", "a crystal: a cell that is periodic in three directions")
    return found * repeat


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
        As `check_writable`.
    """
    check_writable(path)
    bare = [ase.Atoms(f.numbers, f.positions, cell=f.cell, pbc=f.pbc) for f in frames]
    with whole([path]) as (beside,):
        ase.io.write(str(beside), bare)
