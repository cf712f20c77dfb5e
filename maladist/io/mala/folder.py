"""A folder of MALA's data: which files belong to which snapshot, and where its parameters are.

MALA names the files of a snapshot NAME.out.npy (the LDOS), NAME.in.npy (descriptors) and NAME.info.json, or .h5 in
place of .npy; density and DOS beside them are NAME.dens.npy and NAME.dos.npy. Its parameters, which tell the energies
of all of them, are a params.json or are in the zip of a model. Subfolders are not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maladist.errors import DataFileError
from maladist.io.mala.parameters import read_parameters
from maladist.io.mala.zip import has_parameters

_FIELD: Final = re.compile(r"(?P<name>.+)\.(?P<role>out|ldos|in|dens|density|dos)\.(npy|h5|hdf5|bp)")
_ROLES: Final = {"out": "ldos", "in": "descriptors", "dens": "density"}  # others are called what they are
_INFO: Final = ".info.json"


@dataclass(frozen=True)
class SnapshotFiles:
    """The files of one snapshot.

    Attributes
    ----------
    run
        File of the DFT calculation: MALA's .info.json, or pw.x's output NAME.out.
    ldos, density, dos, descriptors
        The fields; all but the LDOS may be None.
    """

    run: Path
    ldos: Path
    density: Path | None = None
    dos: Path | None = None
    descriptors: Path | None = None


def find_snapshots(folder: Path) -> dict[str, SnapshotFiles]:
    """Files of the snapshots in a folder, by the snapshots' names.

    Parameters
    ----------
    folder
        The folder.

    Raises
    ------
    DataFileError
        No snapshot; one without its .info.json or with two files of one field; an .info.json, a density or other field
        whose LDOS is not there.
    """
    fields: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if found := _FIELD.fullmatch(path.name):
            role = _ROLES.get(found["role"], found["role"])
            mine = fields.setdefault(found["name"], {})
            if role in mine:
                raise DataFileError(str(folder), f"{mine[role].name} and {path.name}", f"one {role} of {found['name']}")
            mine[role] = path
    if not any("ldos" in mine for mine in fields.values()):
        raise DataFileError(
            str(folder),
            "no NAME.out.npy and no NAME.out.h5 in it",
            "MALA's snapshots, or Quantum ESPRESSO's data-file-schema.xml",
        )
    found_files = {}
    for name, mine in fields.items():
        if "ldos" not in mine:
            came = f"{', '.join(p.name for p in mine.values())} without {name}.out.npy or {name}.out.h5"
            raise DataFileError(str(folder), came, "the LDOS of each snapshot")
        found_files[name] = SnapshotFiles(_run_of(folder, name, mine["ldos"]), **mine)
    _check_infos(folder, set(found_files))
    return found_files


def _run_of(folder: Path, name: str, ldos: Path) -> Path:
    """What the calculation told: its .info.json, or else what pw.x printed."""
    for path in (folder / f"{name}{_INFO}", folder / f"{name}.out"):
        if path.is_file():
            return path
    raise DataFileError(str(ldos), f"no {name}{_INFO} beside it", f"{name}{_INFO}, with the snapshot's atoms")


def _check_infos(folder: Path, names: set[str]) -> None:
    """Refuse an .info.json of a snapshot whose LDOS is not there; a model's lies beside its own params.json."""
    for info in sorted(folder.glob(f"*{_INFO}")):
        name = info.name.removesuffix(_INFO)
        if name not in names and not (folder / f"{name}.params.json").is_file():
            raise DataFileError(str(info), "no LDOS beside it", f"{name}.out.npy or {name}.out.h5")


def find_parameters(folder: Path) -> dict[Path, Mapping[str, object]]:
    """MALA's parameters in a folder by their files: every params.json, or where there is none those in models' zips.

    Raises
    ------
    DataFileError
        One that cannot be read.
    """
    paths = sorted(folder.glob("*params.json")) or [p for p in sorted(folder.glob("*.zip")) if has_parameters(p)]
    return {path: read_parameters(path) for path in paths}
