"""Data sets of snapshots: one zarr store, a group ``snapshots/NAME`` for each that follows the data contract.

A group ``reference`` beside a snapshot's variables holds what the DFT said: energies by term, the eigenvalues with the
weights of their k-points, forces and stress where it told them, and how it was converged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ase
import numpy as np
import xarray as xr
import zarr

from maladist import metadata, schema
from maladist.arrays import AnyArray, Array
from maladist.energy_grid import EnergyGrid
from maladist.errors import StoreError
from maladist.io import stores
from maladist.io.appearing import appearing
from maladist.io.chunks import ChunkStore, refuse_format_2
from maladist.io.opening import open_dataset
from maladist.io.qe.run import DFTRun
from maladist.io.stores import OnDisk
from maladist.io.targets import check_place
from maladist.io.urls import refuse_url

SNAPSHOTS = "snapshots"
REFERENCE = "reference"


def open_data_set(path: Path) -> None:
    """Make a data set without snapshots, unless it is there.

    Raises
    ------
    StoreError
        The path is something else.
    """
    if not path.exists():
        check_place(path)
        with appearing(path) as making:
            make_data_set(making)
    elif not (path / SNAPSHOTS / "zarr.json").is_file():
        raise StoreError("output", f"{path} exists and is not a data set", "a data set or a new path")


def make_data_set(path: OnDisk) -> None:
    """Make an empty folder a data set without snapshots."""
    facts = {"schema_version": schema.SCHEMA_VERSION, "kind": "data set"}
    zarr.create_group(ChunkStore(path), attributes=facts).create_group(SNAPSHOTS)


def proposed(path: Path) -> dict[str, Any]:
    """What `keep_proposed` has kept, or the energies of the snapshots that are there; empty where nothing is."""
    if not (path / SNAPSHOTS).is_dir():
        return {}
    kept = dict(stores.attributes(path).get("proposed", {}))
    if "energies" not in kept and (groups := finished(path)):
        dataset = open_dataset(groups[0], need=("energy", "temperature_K"))
        grid = metadata.energy_grid_of(dataset)
        kept["energies"] = as_proposed(grid, grid.width, float(dataset.attrs["temperature_K"]))
    return kept


def as_proposed(grid: EnergyGrid, broadening: float, temperature: float) -> dict[str, Any]:
    """Energies as a calculation proposes them for others, of the same broadening (eV) and at most that temperature."""
    parts = [dict(zip(("origin", "spacing", "levels"), window, strict=True)) for window in grid.windows]
    energies = {"parts": parts} if grid.further else parts[0]
    return {**energies, "broadening": broadening, "temperature": temperature}


def keep_proposed(path: Path, values: Mapping[str, Any]) -> None:
    """Keep, in a data set, settings of its calculations that were proposed and that all its snapshots share."""
    if values:
        stores.set_attributes(path, {"proposed": {**proposed(path), **values}})


def cells(path: Path) -> Iterator[ase.Atoms]:
    """Atoms of the finished snapshots of a data set, one by one; none where there is no data set."""
    for group in finished(path) if (path / SNAPSHOTS).is_dir() else ():
        yield metadata.atoms_of(open_dataset(group, need=("position", "number", "cell")))


def snapshot_path(path: Path, name: str) -> Path:
    """Group of a snapshot.

    Raises
    ------
    StoreError
        The name cannot be that of a group.
    """
    # A name with a slash would be a group in a group, one with a leading dot one that is being made.
    if not re.fullmatch(r"[\w.+-]+", name) or name.startswith("."):
        raise StoreError("name", repr(name), "letters, digits, and any of _ - + .")
    return path / SNAPSHOTS / name


def snapshot_groups(path: Path) -> list[Path]:
    """Finished snapshots of a data set by name, or the path itself where it is a snapshot.

    Raises
    ------
    StoreError
        There is no store, no finished snapshot, or a store that cannot be read.
    """
    refuse_url(path, "data", "a data set on a file system", "Copy it here first.")
    refuse_format_2(path)
    path = path.resolve()  # workers have other working directories
    if not (path / "zarr.json").is_file():
        raise StoreError("data", f"{path} is not a zarr store", "a data set or one of its snapshots")
    if not (path / SNAPSHOTS).is_dir():
        return [path]
    groups = finished(path)
    if not groups:
        raise StoreError("data", f"{path} has no finished snapshot", "a data set with snapshots")
    return groups


def finished(path: Path) -> list[Path]:
    """Finished snapshots of a data set by name; none where there are none."""
    # Hidden ones are snapshots on their way in or out.
    groups = (g for g in (path / SNAPSHOTS).iterdir() if not g.name.startswith("."))
    return sorted(g for g in groups if stores.is_complete(g))


def write_reference(group: OnDisk, run: DFTRun, dos: tuple[AnyArray, AnyArray] | None = None) -> None:
    """Write the group ``reference`` of a snapshot.

    Parameters
    ----------
    dos
        Energies (eV) and values D (1/eV) of a DOS that came beside the LDOS.
    """
    facts: dict[str, Any] = {
        "source": run.path.name,
        "converged": run.converged,
        "threshold_Ry_per_atom": run.threshold,
        "ultrasoft": run.ultrasoft,
        "pools": run.pools,
        "full_precision": run.full_precision,
    }
    values: dict[str, tuple[tuple[str, ...], AnyArray, str]] = {
        name: ((), np.asarray(value, dtype=np.float64), "1" if name == "n_electrons" else "eV")
        for name, value in run.terms.items()
    }
    # Only what the source tells is written: an empty array would look like a calculation without bands.
    if run.eigenvalues.size:
        values["eigenvalue"] = (("k", "band"), run.eigenvalues, "eV")
        values["k_weight"] = (("k",), run.weights, "1")
    if run.forces is not None:
        values["forces"] = (("atom", "xyz"), run.forces, "eV/Å")
    for name, stress in (("stress", run.stress), ("stress_fixed_cutoff", run.stress_fixed_cutoff)):
        if stress is not None:
            values[name] = (("voigt",), stress, "eV/Å^3")
    if dos is not None:
        values["dos_energy"] = (("dos_energy",), dos[0], "eV")
        values["dos"] = (("dos_energy",), dos[1], "1/eV")
    copy_reference(group, {k: v for k, v in facts.items() if v is not None}, values)


def copy_reference(
    group: OnDisk, facts: dict[str, Any], values: dict[str, tuple[tuple[str, ...], AnyArray, str]]
) -> None:
    """Write a group ``reference`` from another's attributes and variables: name -> (dims, values, units)."""
    stores.add_group(group, REFERENCE, facts)
    stores.write_values(group, {f"{REFERENCE}/{name}": one for name, one in values.items()})


def read_reference(group: Path) -> xr.Dataset | None:
    """The group ``reference`` of a snapshot; None where there is none."""
    refuse_format_2(group / REFERENCE)
    if not (group / REFERENCE / "zarr.json").is_file():
        return None
    return open_dataset(group / REFERENCE, need=None).load()


def told_fermi_energy(dataset: xr.Dataset) -> float | None:
    """Fermi level that a data set tells, eV, or the DFT's of a snapshot that was opened from its store; else None.

    Raises
    ------
    StoreError
        It has one for each of several temperatures.
    """
    if "fermi_energy_eV" in dataset:
        own = dataset["fermi_energy_eV"]
        if own.ndim:
            remedy = "Choose with .sel(temperature=...), or give mu."
            raise StoreError("mu", f"{own.size} temperatures", "one", remedy)
        return float(own)
    source = dataset.encoding.get("source")
    if source is None or not Path(source).is_dir():
        return None
    return reference_terms(read_reference(Path(source))).get("fermi_energy_eV")


def read_forces(group: Path) -> Array | None:
    """Forces of a snapshot's DFT, (n_atoms, 3), eV/Å; None where there are none."""
    reference = read_reference(group)
    return None if reference is None or "forces" not in reference else np.asarray(reference["forces"].values)


def reference_terms(reference: xr.Dataset | None) -> dict[str, float]:
    """Scalars of a reference by name."""
    if reference is None:
        return {}
    return {str(n): float(v) for n, v in reference.data_vars.items() if v.ndim == 0}
