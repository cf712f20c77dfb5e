"""The members of MALA's zip: found by their roles, and none that lies about its name or size is read."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from maladist.errors import ModelError
from maladist.io.mala import zip as module
from maladist.io.mala.zip import has_parameters, read_members

WHOLE = {
    f"Be.{name}": name.encode() for name in ("network.pth", "iscaler.pkl", "oscaler.pkl", "params.json", "info.json")
}


def packed(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_by_their_role(method: int) -> None:
    found = read_members(packed(WHOLE, method), "Be.zip")
    assert found == {
        "network": b"network.pth", "iscaler": b"iscaler.pkl", "oscaler": b"oscaler.pkl", "params": b"params.json",
        "info": b"info.json",
    }  # fmt: skip
    del found["info"]
    assert read_members(packed({k: v for k, v in WHOLE.items() if "info" not in k}, method), "Be.zip") == found


@pytest.mark.parametrize("missing", [name for name in WHOLE if "info" not in name])
def test_a_member_that_is_missing_is_named(missing: str) -> None:
    with pytest.raises(ModelError, match=missing.removeprefix("Be.").replace(".", r"\.")):
        read_members(packed({k: v for k, v in WHOLE.items() if k != missing}), "Be.zip")


@pytest.mark.parametrize(
    "name", ["../Be.params.json", "/etc/Be.params.json", "C:/Be.params.json", "a\\..\\Be.params.json"]
)
def test_names_that_lead_out_of_the_zip(name: str) -> None:
    with pytest.raises(ModelError, match="within the zip"):
        read_members(packed({**WHOLE, name: b"{}"}), "Be.zip")


def test_two_models_in_one_zip() -> None:
    with pytest.raises(ModelError, match="one model a zip"):
        read_members(packed({**WHOLE, "Al.params.json": b"{}"}), "Be.zip")


def test_a_bomb_and_rare_compressions() -> None:
    with pytest.raises(ModelError, match="not 100 times"):
        read_members(packed({**WHOLE, "Be.params.json": bytes(2**25)}), "Be.zip")
    with pytest.raises(ModelError, match="rare compression"):
        read_members(packed(WHOLE, zipfile.ZIP_BZIP2), "Be.zip")


def test_a_zip_that_is_cut_off_or_none() -> None:
    content = packed(WHOLE)
    for keep in (0, 4, len(content) // 2, len(content) - 1):
        with pytest.raises(ModelError, match="cannot be read"):
            read_members(content[:keep], "Be.zip")


def test_a_flipped_bit_in_a_member_is_seen() -> None:
    content = bytearray(packed(WHOLE, zipfile.ZIP_STORED))
    content[content.index(b"params.json", content.index(b"Be.params.json") + 14)] ^= 1
    with pytest.raises(ModelError, match="cannot be read"):
        read_members(bytes(content), "Be.zip")


ENTRY = {"version": 6, "flags": 8, "sizes": 20, "offset": 42, "name": 46}
"""Bytes from the beginning of a member's entry in the zip's directory to what it tells of it."""


def changed(content: bytes, **values: bytes) -> bytes:
    """A zip whose directory tells other things of the parameters."""
    new = bytearray(content)
    entry = new.index(b"Be.params.json", new.index(b"PK\1\2")) - ENTRY["name"]
    for what, value in values.items():
        at = entry + ENTRY[what]
        new[at : at + len(value)] = value
    return bytes(new)


def garbled() -> bytes:
    """A zip whose parameters begin with a kind of block that deflate does not have."""
    content = bytearray(packed(WHOLE))
    content[content.index(b"Be.params.json") + len("Be.params.json")] = 7
    return bytes(content)


def far_away() -> bytes:
    """A zip whose parameters begin farther away than any file is long."""
    entry = zipfile.ZipInfo("Be.params.json")
    entry.extra = struct.pack("<HHQ", 1, 8, 2**64 - 1)  # where an offset stands that needs eight bytes
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in WHOLE.items():
            archive.writestr(entry if name == entry.filename else name, content)
    return changed(buffer.getvalue(), offset=b"\xff" * 4)


DAMAGED = {
    "BadZipFile": b"no zip",
    "error: Error -3 while decompressing": garbled(),
    # Debian's 3.11.2 looks for overlaps, as later Pythons do; 3.11.7 does not.
    "(EOFError|BadZipFile: Overlapped entries)": changed(
        packed(WHOLE, zipfile.ZIP_STORED), sizes=struct.pack("<II", 1000, 1000)
    ),
    "RuntimeError: .* is encrypted": changed(packed(WHOLE), flags=b"\1"),
    "NotImplementedError: zip file version": changed(packed(WHOLE), version=b"\xff"),
    "UnicodeDecodeError": changed(packed(WHOLE), flags=b"\0\x08", name=b"\xff"),
    "ValueError: negative seek": packed(WHOLE)[5:],
    "OverflowError": far_away(),
}


@pytest.mark.parametrize("says", DAMAGED)
def test_whatever_zipfile_raises_of_a_damaged_zip_is_one_line_of_ours(says: str) -> None:
    with pytest.raises(ModelError, match=rf"Be\.zip cannot be read \({says}") as caught:
        read_members(DAMAGED[says], "Be.zip")
    assert "\n" not in str(caught.value)


def test_a_mistake_of_our_own_is_no_damaged_zip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OPTIONAL", None)
    with pytest.raises(TypeError):
        read_members(packed({k: v for k, v in WHOLE.items() if "info" not in k}), "Be.zip")


def test_what_cannot_be_read_has_no_parameters(tmp_path: Path) -> None:
    path = tmp_path / "Be.zip"
    path.mkdir()
    assert not has_parameters(path)
    path.rmdir()
    for says in ("BadZipFile", "UnicodeDecodeError", "NotImplementedError: zip file version"):
        path.write_bytes(DAMAGED[says])
        assert not has_parameters(path)
    path.write_bytes(packed({"Be.network.pth": b""}))
    assert not has_parameters(path)
    path.write_bytes(packed(WHOLE))
    assert has_parameters(path)
