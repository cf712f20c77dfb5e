"""Atoms from anything that ASE reads."""

from __future__ import annotations

import re
from pathlib import Path

import ase
import ase.io
from ase.io.formats import UnknownFileTypeError

from maladist.errors import AtomsError


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
