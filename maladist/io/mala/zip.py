"""The members of MALA's zip, read in memory: nothing is unpacked to disk, and nothing may grow beyond a limit."""

from __future__ import annotations

import io
import zipfile
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Final

from maladist.errors import ModelError
from maladist.io.foreign import refusing

_ENDINGS: Final = {
    "network": (".network.pth",),
    "iscaler": (".iscaler.json", ".iscaler.pkl"),  # MALA 1.4 adds the one to a zip that has the other
    "oscaler": (".oscaler.json", ".oscaler.pkl"),
    "params": (".params.json",),
    "info": (".info.json",),
}
_OPTIONAL: Final = {"info"}

_LARGEST: Final = {"network": 2**30}
_LARGEST_OTHER: Final = 2**25
_RATIO: Final = 100  # no member of a model shrinks further, a bomb does


def read_members(content: bytes, name: str) -> dict[str, bytes]:
    """Content of the members by their role: network, iscaler, oscaler, params and, where there is one, info.

    Raises
    ------
    ModelError
        Bytes that are not a zip, truncated, incomplete, or have members of unsafe names or sizes.
    """
    with _refusing(name):
        archive = zipfile.ZipFile(io.BytesIO(content))
    with archive:
        return {role: _read(archive, member, role, name) for role, member in _find(archive, name).items()}


def _refusing(name: str) -> AbstractContextManager[None]:
    # Around zipfile's own calls only: a damaged zip raises eight kinds of error, which the tests list.
    return refusing(name, "MALA's zip, undamaged", ModelError, "Copy it again.", argument="model")


def has_parameters(path: Path) -> bool:
    """Whether a file is a zip with MALA's parameters in it, among others that lie in a folder."""
    # No zip, a damaged one, one of a later version, a folder, a file that may not be read: not for us to tell apart.
    try:
        with _refusing(path.name), zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except ModelError:
        return False
    return any(name.endswith(_ENDINGS["params"]) for name in names)


def _find(archive: zipfile.ZipFile, name: str) -> dict[str, zipfile.ZipInfo]:
    # By their endings: MALA puts the run's own name in front.
    members: dict[str, zipfile.ZipInfo] = {}  # by ending
    for member in archive.infolist():
        # Nothing is unpacked, so no name can do harm here; but a zip with such names was not written by MALA.
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if ".." in parts or member.filename[:1] in "/\\" or ":" in member.filename:
            raise ModelError("model", f"{name} with a member {member.filename!r:.80}", "members named within the zip")
        for ending in (e for endings in _ENDINGS.values() for e in endings):
            if member.filename.endswith(ending):
                if ending in members:
                    raise ModelError("model", f"{name} with two members *{ending}", "one model a zip")
                members[ending] = member
    by_role = {
        role: next(members[e] for e in endings if e in members)
        for role, endings in _ENDINGS.items()
        if any(e in members for e in endings)
    }
    missing = [endings[-1] for role, endings in _ENDINGS.items() if role not in by_role and role not in _OPTIONAL]
    if missing:
        raise ModelError("model", f"{name} without *{', *'.join(missing)}", "the zip of a model that MALA saved")
    return by_role


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, role: str, name: str) -> bytes:
    largest = _LARGEST.get(role, _LARGEST_OTHER)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelError("model", f"{member.filename:.80} in a rare compression", "stored or deflated members")
    # Declared before it is read: a bomb is refused without being inflated.
    if member.file_size > min(largest, _RATIO * member.compress_size + 2**20):
        came = f"{member.filename:.80} of {member.file_size} bytes from {member.compress_size}"
        raise ModelError("model", came, f"at most {largest} bytes, and not {_RATIO} times what is stored")
    # The size is given again, for a member that declares less than it holds is otherwise inflated whole, then cut.
    with _refusing(name), archive.open(member) as file:
        return file.read(member.file_size)
