"""A folder of MALA's data: which files belong together, and what is missing, by name."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from maladist.errors import DataFileError
from maladist.io.mala.folder import find_parameters, find_snapshots


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_files_of_a_snapshot_are_found_by_its_name(tmp_path: Path) -> None:
    names = ["s0.out.npy", "s0.in.npy", "s0.dens.npy", "s0.dos.npy", "s0.info.json", "s1.out.h5", "s1.out"]
    found = find_snapshots(touched(tmp_path, *names, "readme.txt", "m.params.json", "m.info.json"))
    assert list(found) == ["s0", "s1"]
    assert (found["s0"].run.name, found["s0"].ldos.name) == ("s0.info.json", "s0.out.npy")
    others = [p and p.name for p in (found["s0"].density, found["s0"].dos, found["s0"].descriptors)]
    assert others == ["s0.dens.npy", "s0.dos.npy", "s0.in.npy"]
    assert (found["s1"].run.name, found["s1"].density) == ("s1.out", None)  # printed by pw.x


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "no NAME.out.npy"),
        (("s.in.npy", "s.info.json"), "no NAME.out.npy"),
        (("s.out.npy",), "no s.info.json beside it"),
        (("s.out.npy", "s.out.h5", "s.info.json"), "s.out.h5 and s.out.npy; wanted one ldos of s"),
        (("s.out.npy", "s.info.json", "t.dens.npy", "t.info.json"), "t.dens.npy without t.out.npy"),
        (("s.out.npy", "s.info.json", "t.info.json"), "t.info.json: no LDOS beside it"),
    ],
)
def test_files_without_their_partners_are_named(names: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=said):
        find_snapshots(touched(tmp_path, *names))


def test_parameters_lie_in_a_file_or_in_the_zip_of_a_model(tmp_path: Path, shared_data: Path) -> None:
    with zipfile.ZipFile(tmp_path / "unrelated.zip", "w") as archive:
        archive.writestr("a.txt", "b")
    assert find_parameters(touched(tmp_path, "damaged.zip")) == {}
    (tmp_path / "m.zip").write_bytes((shared_data / "be2" / "Be_model.zip").read_bytes())
    ((path, found),) = find_parameters(tmp_path).items()
    assert (path.name, found["targets"]["ldos_gridsize"]) == ("m.zip", 11)
    (tmp_path / "m.params.json").write_text(json.dumps({"targets": {}}))
    assert [p.name for p in find_parameters(tmp_path)] == ["m.params.json"]


def test_parameters_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.json"
    path.write_text("[1]")
    with pytest.raises(DataFileError, match=r"params\.json: a JSON list"):
        find_parameters(tmp_path)
