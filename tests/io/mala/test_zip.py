"""The members of MALA's zip: found by their roles, and none that lies about its name or size is read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import pytest

from maladist.errors import ModelError
from maladist.io.mala.zip import read_members

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
        with pytest.raises(ModelError, match="truncated or damaged"):
            read_members(content[:keep], "Be.zip")


def test_a_flipped_bit_in_a_member_is_seen() -> None:
    content = bytearray(packed(WHOLE, zipfile.ZIP_STORED))
    content[content.index(b"params.json", content.index(b"Be.params.json") + 14)] ^= 1
    with pytest.raises(ModelError, match="truncated or damaged"):
        read_members(bytes(content), "Be.zip")
