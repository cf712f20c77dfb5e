"""Arrays in .npy files: mapped as they are; objects, damage and what is no such file are refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from maladist.errors import DataFileError
from maladist.io.fields.npy import map_array


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f4", "<f8", "i2"])
def test_arrays_come_back(dtype: str, order: str, tmp_path: Path) -> None:
    wanted = np.arange(24).reshape(2, 3, 4).astype(dtype, order=order)
    np.save(tmp_path / "a.npy", wanted)
    found = map_array(tmp_path / "a.npy")
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable
    assert np.array_equal(found, wanted)


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4), }".ljust(117) + "\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        header(GOOD) + bytes(95),
        header(GOOD) + bytes(97),
        header(GOOD.replace("<f4", "|O ")) + bytes(96),
        header(GOOD.replace("(2, 3, 4)", "(-2, 3, 4)")) + bytes(96),
        header(GOOD.replace("(2, 3, 4)", "(2, 3, 10**9)")) + bytes(96),
        header(GOOD.replace("(2, 3, 4)", "(2, 3, 999999999999999999999)")) + bytes(96),
        header(GOOD.replace("(2, 3, 4)", "__import__('os').system('touch evil')")) + bytes(96),
        header(GOOD.replace("}", "")) + bytes(96),
        header("[" * 60000) + bytes(96),
        b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + GOOD.encode(),
        b"\x93NUMPY\x09\x00" + header(GOOD)[8:] + bytes(96),
        pickle.dumps(Evil()),
    ],
)
def test_other_content_is_refused_and_nothing_is_run(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataFileError, match=r"a\.npy"):
        map_array(tmp_path / "a.npy")
    assert not (tmp_path / "evil").exists()


def test_arrays_of_objects_and_archives_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    np.savez("b.npz", x=np.zeros(3))
    for name in ("a.npy", "b.npz"):
        with pytest.raises(DataFileError, match="cannot be read"):
            map_array(name)
    assert not Path("evil").exists()
    os.mkfifo("fifo.npy")
    with pytest.raises(DataFileError, match="FIFO"):
        map_array("fifo.npy")
