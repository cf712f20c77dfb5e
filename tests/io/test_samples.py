"""Files of a training: whole or not there, read back to the bit, refused in one line where they are damaged."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from maladist.errors import DataFileError
from maladist.io.samples import read_checkpoint, read_rows, write_checkpoint, write_rows, write_table


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch evil",)


def test_rows_come_back_all_or_some(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((20, 3)).astype(np.float32)
    write_rows(tmp_path / "a.npy", rows)
    assert np.array_equal(read_rows(tmp_path / "a.npy"), rows)
    assert np.array_equal(read_rows(tmp_path / "a.npy", 5, 9), rows[5:9])
    read_rows(tmp_path / "a.npy")[0, 0] = 1  # a copy: the file stays
    assert np.array_equal(read_rows(tmp_path / "a.npy"), rows)


@pytest.mark.parametrize("array", [np.zeros(3, np.float32), np.zeros((3, 2)), np.zeros((3, 2), int), np.array(["a"])])
def test_rows_of_another_kind(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataFileError, match="rows of samples"):
        read_rows(tmp_path / "a.npy")


def test_rows_that_are_cut_off(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.npy", np.ones((20, 3), np.float32))
    content = (tmp_path / "a.npy").read_bytes()
    for keep in (0, 50, len(content) - 1):
        (tmp_path / "a.npy").write_bytes(content[:keep])
        with pytest.raises(DataFileError, match=r"a\.npy"):
            read_rows(tmp_path / "a.npy", 0, 2)


WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3)}
STATE = {"epoch": 3, "best": 0.25, "weights": WEIGHTS, "history": [{"loss": 1.0}], "n": None}


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", STATE)
    found = read_checkpoint(tmp_path / "c.pt")
    assert torch.equal(found.pop("weights")["a"], WEIGHTS["a"])
    assert found == {k: v for k, v in STATE.items() if k != "weights"}


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "pickle", "torch", "list"])
def test_what_is_no_checkpoint_is_refused_and_nothing_is_run(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.pt"
    write_checkpoint(path, STATE)
    if kind in ("torch", "list"):
        torch.save({"torch": Evil(), "list": [1, 2]}[kind], path)
    else:
        whole = path.read_bytes()
        path.write_bytes({"cut": whole[:-40], "empty": b"", "text": b"x" * 99, "pickle": pickle.dumps(Evil())}[kind])
    with pytest.raises(DataFileError, match="a checkpoint"):
        read_checkpoint(path)
    assert not (tmp_path / "evil").exists()


def test_tables_have_the_columns_of_all_rows(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "valid": 0.1}])
    assert (tmp_path / "t.csv").read_text() == "epoch,loss,valid\n1,0.5,\n2,0.25,0.1\n"
