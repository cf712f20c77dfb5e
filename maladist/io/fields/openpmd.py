"""Fields in openPMD files with the HDF5 backend, as MALA writes them: one mesh, one component a feature.

MALA's files (attribute ``is_mala_data``) hold its own units, 1/(eV Å³) and 1/Å³; other programs' are turned from SI by
``unitSI``. Read with h5py: the layout is the standard's (github.com/openPMD/openPMD-standard), the ADIOS2 backend (.bp)
is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Final

import h5py
import numpy as np

from maladist.arrays import AnyArray
from maladist.errors import DataFileError
from maladist.io.fields import raw
from maladist.io.foreign import refusing
from maladist.io.paths import plain_file

# What one unit of ours is in SI: 1/(eV Å³) in 1/(J m³), 1/Å³ in 1/m³.
_SI: Final = {"ldos": 1 / (1.602176634e-19 * 1e-30), "density": 1e30, "descriptors": 1.0}
_MALA_SI: Final = {**_SI, "descriptors": 1e30}
"""What MALA writes, and demands: it takes descriptors, which have no unit, for ones of 1/Å³."""
_MESHES: Final = {"ldos": "LDOS", "density": "Density", "descriptors": "Bispectrum"}
_DIMENSIONS: Final = {  # powers of length, mass, time, ...
    "ldos": np.array([-5.0, -1, 2, 0, 0, 0, 0]),
    "density": np.array([-3.0, 0, 0, 0, 0, 0, 0]),
    "descriptors": np.array([-3.0, 0, 0, 0, 0, 0, 0]),
}
_OVERHEAD: Final = 2**14  # of what HDF5 writes beside the numbers, for a component and for the file: above it, bytes


@contextmanager
def _opened(path: Path) -> Iterator[h5py.Group]:
    """The one mesh of a file; whatever h5py says of a damaged one, or of other types than expected, is one line."""
    plain_file(path, "an openPMD file", str(path))
    with refusing(path, "a complete openPMD file with HDF5 backend"), h5py.File(path, "r") as file:
        iterations = file.get("data")
        if "openPMD" not in file.attrs or not iterations:
            raise DataFileError(str(path), "no openPMD iteration", "an openPMD file with HDF5 backend")
        # Which of several snapshots is meant, nobody has said.
        if len(iterations) != 1:
            raise DataFileError(str(path), f"{len(iterations)} iterations", "one: the field of one snapshot")
        meshes = next(iter(iterations.values())).get("meshes", {})
        if len(meshes) != 1:
            raise DataFileError(str(path), f"meshes {list(meshes)[:5]}", "one mesh")
        yield next(iter(meshes.values()))


def _components(mesh: h5py.Group) -> list[str]:
    return sorted((name for name in mesh if name.isdigit()), key=int)


def field_shape(path: Path) -> tuple[int, int, int, int]:
    """Shape (x, y, z, features) of the file's mesh.

    Raises
    ------
    DataFileError
        A file that is not openPMD in HDF5, is damaged, holds more than one field, or whose components are not
        numbered from 0 without a gap, of one shape and of real numbers.
    """
    with _opened(path) as mesh:
        names = _components(mesh)
        if not names or [int(n) for n in names] != list(range(len(names))):
            raise DataFileError(str(path), f"components {names[:3]}...", "components '0', '1', ... without a gap")
        kinds = {mesh[n].dtype.kind for n in names}
        shapes = {mesh[n].shape for n in names}
        labels = [w.decode() if isinstance(w, bytes) else str(w) for w in mesh.attrs.get("axisLabels", "xyz")]
    if kinds != {"f"}:
        raise DataFileError(str(path), f"components of kinds {kinds}", "real numbers")
    # Other programs write z first: the field would be transposed without a word.
    if labels != ["x", "y", "z"]:
        raise DataFileError(str(path), f"axes in the order {labels}", "x, y, z")
    if len(shapes) != 1 or len(shape := shapes.pop()) != 3:
        raise DataFileError(str(path), "components of different or other shapes", "one grid (x, y, z) for all")
    return (*shape, len(names))


def read_region(path: Path, region: tuple[slice, slice, slice], kind: str) -> AnyArray:
    """All features of a region, (x, y, z, features), in internal units.

    Raises
    ------
    DataFileError
        A damaged file, or units that cannot be.
    """
    with _opened(path) as mesh:
        # MALA's own numbers are in its units whatever unitSI says, which it also writes for descriptors.
        ours = int(mesh.file.attrs.get("is_mala_data", 0)) == 1
        parts = []
        for name in _components(mesh):
            factor = 1.0 if ours else float(mesh[name].attrs.get("unitSI", 1.0)) / _SI[kind]
            if not 0 < factor < np.inf:
                raise DataFileError(str(path), f"unitSI {factor * _SI[kind]} of component {name}", "a positive number")
            parts.append(mesh[name][region] * (1.0 if factor == 1.0 else factor))
    return np.stack(parts, axis=-1)


def create(path: Path, shape: tuple[int, int, int, int], kind: str, dtype: str) -> tuple[int, ...]:
    """Make a file as MALA does, to be filled through `maladist.io.fields.raw`; its room on the disk is taken.

    Parameters
    ----------
    shape
        (x, y, z, features).
    kind
        'ldos', 'density' or 'descriptors': decides the mesh's name and unitSI.

    Returns
    -------
    tuple of int
        Offset of each component's first number in the file, bytes.

    Raises
    ------
    OSError
        There is no room on the disk.
    """
    # The library ends the process where it finds no room: see that there is some before it writes its few kilobytes.
    raw.allocate(path, prod(shape) * np.dtype(dtype).itemsize + _OVERHEAD * (1 + shape[3]))
    with h5py.File(path, "w") as file:
        _write_attributes(file)
        iteration = file.create_group("data/0")
        iteration.attrs.update({"time": 0.0, "dt": 1.0, "timeUnitSI": 1.0})
        mesh = iteration.create_group(f"meshes/{_MESHES[kind]}")
        mesh.attrs["geometry"], mesh.attrs["dataOrder"] = np.bytes_("other"), np.bytes_("C")
        mesh.attrs["axisLabels"] = np.array([b"x", b"y", b"z"])
        mesh.attrs["gridSpacing"], mesh.attrs["gridGlobalOffset"] = np.ones(3), np.zeros(3)
        mesh.attrs.update({"gridUnitSI": 1e-10, "timeOffset": np.float32(0), "unitDimension": _DIMENSIONS[kind]})
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # a place in the file, nothing written there
        early.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        components = [mesh.create_dataset(str(i), shape=shape[:3], dtype=dtype, dcpl=early) for i in range(shape[3])]
        for component in components:
            component.attrs.update({"unitSI": _MALA_SI[kind], "position": np.zeros(3)})
        # Contiguous datasets lie at a known place, where workers write without the HDF5 library,
        # which allows one writer only.
        offsets = tuple(int(component.id.get_offset()) for component in components)
    raw.allocate(path, path.stat().st_size)
    return offsets


def _write_attributes(file: h5py.File) -> None:
    text = {"openPMD": "1.1.0", "basePath": "/data/%T/", "meshesPath": "meshes/", "iterationFormat": "/data/%T/"}
    for key, value in {**text, "iterationEncoding": "groupBased"}.items():
        file.attrs[key] = np.bytes_(value)
    file.attrs["openPMDextension"] = np.uint32(0)
    file.attrs["is_mala_data"] = np.int64(1)


def write_field(path: Path, values: AnyArray, kind: str) -> None:
    """Write a whole field, (x, y, z, features), in the units that MALA has; for small fields."""
    x, y, z, n = values.shape
    offsets = create(path, (x, y, z, n), kind, str(values.dtype))
    raw.write_region(path, offsets, values.shape, (slice(0, x), slice(0, y), slice(0, z)), values)
