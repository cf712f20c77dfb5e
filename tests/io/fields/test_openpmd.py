"""openPMD files: MALA's and others' units; another layout, other types, damage are refused in one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from maladist.errors import DataFileError
from maladist.io.fields import openpmd

SHAPE = (3, 4, 5, 2)
WHOLE = (slice(0, 3), slice(0, 4), slice(0, 5))


@pytest.fixture
def ldos() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path, ldos: np.ndarray) -> Path:
    openpmd.write_field(tmp_path / "a.h5", ldos, "ldos")
    return tmp_path / "a.h5"


def test_a_field_and_its_regions_come_back(path: Path, ldos: np.ndarray) -> None:
    assert openpmd.field_shape(path) == SHAPE
    assert np.array_equal(openpmd.read_region(path, WHOLE, "ldos"), ldos)
    part = (slice(1, 3), slice(0, 2), slice(4, 5))
    assert np.array_equal(openpmd.read_region(path, part, "ldos"), ldos[part])


@pytest.mark.parametrize(
    ("kind", "si"), [("ldos", 1 / (1.602176634e-19 * 1e-30)), ("density", 1e30), ("descriptors", 1)]
)
def test_fields_of_others_are_turned_from_si(kind: str, si: float, tmp_path: Path, ldos: np.ndarray) -> None:
    openpmd.write_field(tmp_path / "a.h5", ldos, kind)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["is_mala_data"] = 0
        for component in next(iter(file["data/0/meshes"].values())).values():
            component.attrs["unitSI"] = 3.0 * si
    assert np.allclose(openpmd.read_region(tmp_path / "a.h5", WHOLE, kind), 3 * ldos, rtol=1e-6)


@pytest.mark.parametrize(("kind", "si"), [("ldos", 6.241509e48), ("density", 1e30), ("descriptors", 1e30)])
def test_units_are_those_that_mala_demands(kind: str, si: float, tmp_path: Path, ldos: np.ndarray) -> None:
    """MALA 1.4 refuses a file whose unitSI is not its own; for descriptors that is 1e30."""
    openpmd.write_field(tmp_path / "a.h5", ldos, kind)
    with h5py.File(tmp_path / "a.h5") as file:
        (mesh,) = file["data/0/meshes"].values()
        assert [c.attrs["unitSI"] for c in mesh.values()] == pytest.approx([si] * SHAPE[3], rel=1e-6)
    assert np.array_equal(openpmd.read_region(tmp_path / "a.h5", WHOLE, kind), ldos)


def _replace(file: h5py.File, name: str, value: object) -> None:
    del file[name]
    file[name] = value


CHANGES: list[tuple[Callable[[h5py.File], object], str]] = [
    (lambda f: f.attrs.__delitem__("openPMD"), "no openPMD iteration"),
    (lambda f: _replace(f, "data", 3.0), "cannot be read"),
    (lambda f: _replace(f, "data", "text"), "cannot be read"),
    (lambda f: f.copy("data/0", "data/1"), "2 iterations"),
    (lambda f: _replace(f, "data/0", [1, 2]), "cannot be read"),
    (lambda f: _replace(f, "data/0/meshes", 1), "cannot be read"),
    (lambda f: f.copy("data/0/meshes/LDOS", "data/0/meshes/Other"), "meshes"),
    (lambda f: f.__delitem__("data/0/meshes/LDOS/0"), "without a gap"),
    (lambda f: _replace(f, "data/0/meshes/LDOS/1", np.zeros((3, 4, 6), "f4")), "different or other shapes"),
    (lambda f: _replace(f, "data/0/meshes/LDOS/1", np.zeros((3, 4, 5), "i4")), "real numbers"),
    (lambda f: _replace(f, "data/0/meshes/LDOS/1", ["a", "b"]), "real numbers"),
    (lambda f: _replace(f, "data/0/meshes/LDOS/1", h5py.SoftLink("/data/0/meshes/LDOS/1")), "cannot be read"),
    (lambda f: f["data/0/meshes/LDOS"].attrs.__setitem__("axisLabels", np.array([b"z", b"y", b"x"])), "in the order"),
    (lambda f: f["data/0/meshes/LDOS"].attrs.__setitem__("axisLabels", 3), "cannot be read"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_another_layout_or_other_types(change: Callable[[h5py.File], object], words: str, path: Path) -> None:
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(DataFileError, match=words) as caught:
        openpmd.field_shape(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("unit", [0.0, -1.0, np.nan, np.inf, "bohr"])
def test_units_that_cannot_be(unit: object, path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["is_mala_data"] = 0
        file["data/0/meshes/LDOS/1"].attrs["unitSI"] = unit
    with pytest.raises(DataFileError, match=r"unitSI|cannot be read"):
        openpmd.read_region(path, WHOLE, "ldos")


def test_a_file_that_is_cut_off_or_none(path: Path) -> None:
    content = path.read_bytes()
    for keep in (0, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:keep])
        with pytest.raises(DataFileError, match="complete openPMD"):
            openpmd.field_shape(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataFileError, match="FIFO"):
        openpmd.field_shape(path)
