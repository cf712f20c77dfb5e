"""Snapshots of melts and temperature series on one energy axis: shifted to a common reference, cut to a common window.

The zero of a DFT calculation's energies is arbitrary and moves with the cell. Here each snapshot's reference, the lower
edge of its D(ε) or its Fermi level, becomes the zero. Whole levels are moved, so that the LDOS stays what it was and
the reference is at zero to half a level; or the LDOS is interpolated between its levels, and the reference is at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from distributed import Client
from scipy.interpolate import CubicSpline

from maladist import metadata, schema
from maladist.arrays import AnyArray, Array
from maladist.cluster import client_or_local
from maladist.energy_grid import EnergyGrid
from maladist.errors import EnergyWindowError, InputError, StoreError
from maladist.grid import Block
from maladist.io import datasets, stores
from maladist.io.appearing import appearing
from maladist.io.opening import open_dataset
from maladist.io.stores import OnDisk
from maladist.io.targets import check_place
from maladist.parallel import waves
from maladist.parallel.progress import Finished, Observer, Silent
from maladist.units import BOLTZMANN

Reference = Literal["edge", "fermi"]


@dataclass(frozen=True)
class Aligned(Finished):
    """How one snapshot was aligned.

    Attributes
    ----------
    name
        Name of the snapshot.
    shift
        Energy that was taken from its energies, eV.
    remainder
        Energy at which its reference is now, eV: at most half a level from zero.
    dropped
        Numbers of levels that were cut off below and above.
    """

    name: str
    shift: float
    remainder: float
    dropped: tuple[int, int]


@dataclass(frozen=True)
class _Snapshot:
    group: Path
    dataset: xr.Dataset
    energies: EnergyGrid
    reference: float

    def shift(self, whole: bool) -> float:
        """What to take from the energies for the reference at zero and levels at multiples of the spacing."""
        if not whole:
            return self.reference
        origin, spacing = self.energies.origin, self.energies.spacing
        # The origin then is a whole multiple of the spacing: the levels of all snapshots fall on one another.
        return origin - spacing * round((origin - self.reference) / spacing)


def align(
    data: Sequence[str | Path],
    output: str | Path,
    *,
    reference: Reference = "edge",
    threshold: float = 0.01,
    interpolate: bool = False,
    window: tuple[float, float] | None = None,
    client: Client | None = None,
    observer: Observer | None = None,
) -> list[Aligned]:
    """Write aligned copies of snapshots into a new data set.

    Eigenvalues, the Fermi level, the band energy and A of the group ``reference`` move along (E_b and A by −N times the
    shift), so that they remain what the LDOS gives; attribute ``energy_shift_eV`` turns them back.

    Parameters
    ----------
    data
        Data sets, or snapshots, of one spacing and broadening; names must differ.
    output
        New data set.
    reference
        'edge': where D(ε) first exceeds ``threshold``; 'fermi': the DFT's Fermi level.
    threshold
        Share of the largest D(ε) at which the band begins.
    interpolate
        Whether to move by parts of a level: cubic splines along the energy, for samples whose δ is two levels or so.
    window
        Energies to keep, eV from the reference; all that every snapshot has where None.
    client
        Client whose workers copy; a local cluster where None. A task holds one chunk of the LDOS.
    observer
        Observer that is told of the snapshots, and what the user should know; nobody where None.

    Raises
    ------
    InputError
        The data cannot share an axis, the reference is not known or out of the window, or the output exists.

    Examples
    --------
    >>> with maladist.cluster("local", workers=1) as client:
    ...     aligned = maladist.align(["be.zarr"], "aligned.zarr", client=client)
    >>> len(aligned)
    5
    """
    found = [_open(g, reference, threshold) for path in data for g in datasets.snapshot_groups(Path(path))]
    _check_alike(found)
    output = Path(output).resolve()
    if output.exists():
        raise StoreError("output", f"{output} exists", "a new data set", "It is left as it is.")
    spacing = found[0].energies.spacing
    first, last = _window(found, not interpolate, window)
    energies = spacing * np.arange(first, last + 1, dtype=np.float64)
    check_place(output)
    observer, results = observer or Silent(), list[Aligned]()
    # The data set appears when all of its snapshots are in it: one with some of them would pass for the whole.
    with client_or_local(client) as connected, appearing(output) as making:
        datasets.make_data_set(making)
        observer.begin(connected, f"{len(found)} snapshots")
        observer.stage("snapshots", len(found))
        for snapshot in found:
            results.append(_align(snapshot, Path(making), energies, reference, not interpolate, connected))
            observer.advance(results[-1])
    for text in _notes(found, results, energies):
        observer.note(text)
    return results


def _open(group: Path, reference: Reference, threshold: float) -> _Snapshot:
    dataset = open_dataset(group)
    schema.validate(dataset, ("ldos", "dos", "energy"), str(group))
    energies = metadata.energy_grid_of(dataset)
    if energies.further:
        came = f"{group.name} with energies in {len(energies.parts)} parts"
        raise InputError("data", came, "one equidistant axis", "Energies in parts cannot be aligned.")
    if reference == "fermi":
        level = datasets.reference_terms(datasets.read_reference(group)).get("fermi_energy_eV")
        if level is None:
            raise InputError("reference", f"{group.name} has no Fermi level", "'edge', or data with a reference")
    elif reference == "edge":
        level = lower_edge(dataset["dos"].values, energies, threshold)
    else:
        raise InputError("reference", repr(reference), "'edge' or 'fermi'")
    return _Snapshot(group, dataset, energies, level)


def lower_edge(dos: Array, energies: EnergyGrid, threshold: float = 0.01) -> float:
    """Energy at which D(ε) first exceeds a part of its largest value, linear between samples, eV.

    Raises
    ------
    EnergyWindowError
        D(ε) is above it at the first sample: the window begins above the edge.
    """
    if not 0 < threshold < 1:
        raise InputError("threshold", str(threshold), "a number between 0 and 1")
    limit = threshold * float(dos.max())
    # The first crossing, not the largest slope: a melt's edge is smeared, and its tail is the same for all snapshots.
    i = int(np.argmax(dos > limit))
    if i == 0:
        came = f"D(ε) above {threshold:g} of its largest at {energies.origin:.2f} eV already"
        raise EnergyWindowError("energies", came, "a window that begins below the lower edge", "Use reference 'fermi'.")
    return float(energies.values[i] - energies.spacing * (dos[i] - limit) / (dos[i] - dos[i - 1]))


def _check_alike(found: Sequence[_Snapshot]) -> None:
    if not found:
        raise InputError("data", "no snapshot", "one data set or more")
    names = [s.group.name for s in found]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError("data", f"{twice[0]} comes twice", "snapshots of different names")
    one = found[0].energies
    for s in found[1:]:
        e = s.energies
        if abs(e.spacing - one.spacing) > 1e-6 * one.spacing:
            raise InputError("data", f"{s.group.name} has levels by {e.spacing:g} eV", f"{one.spacing:g} eV, as others")
        if (e.kernel, e.width) != (one.kernel, one.width):
            came = f"{s.group.name} is broadened by {e.kernel} {e.width:g} eV"
            raise InputError("data", came, f"{one.kernel} {one.width:g} eV, as the others are")


def _window(found: Sequence[_Snapshot], whole: bool, wanted: tuple[float, float] | None) -> tuple[int, int]:
    """First and last level of the common axis, whose energies are whole multiples of the spacing."""
    spacing = found[0].energies.spacing
    # In units of the spacing, where rounding is 1e-6 of a level whatever the window.
    low = max((s.energies.origin - s.shift(whole)) / spacing for s in found)
    high = min((float(s.energies.values[-1]) - s.shift(whole)) / spacing for s in found)
    first, last = int(np.ceil(low - 1e-6)), int(np.floor(high + 1e-6))
    # A level more at either end is rounding of the user's numbers, and no mistake.
    if wanted is not None:
        if wanted[0] < (first - 1) * spacing or wanted[1] > (last + 1) * spacing:
            came, there = f"{wanted[0]:g} to {wanted[1]:g} eV", f"within {first * spacing:g} to {last * spacing:g} eV"
            raise EnergyWindowError("window", came, there, "Energies count from the reference.")
        first = max(first, int(np.ceil(wanted[0] / spacing - 1e-6)))
        last = min(last, int(np.floor(wanted[1] / spacing + 1e-6)))
    if last - first < 1:
        raise EnergyWindowError("data", "snapshots without energies in common", "windows that overlap once aligned")
    return first, last


def _align(s: _Snapshot, output: Path, energies: Array, reference: str, whole: bool, client: Client) -> Aligned:
    shift, spacing = s.shift(whole), s.energies.spacing
    begin = (energies[0] + shift - s.energies.origin) / spacing
    # Made once: the spline of every point's LDOS is a product with this matrix.
    matrix = None if whole else _spline(s.energies, energies + shift)
    group, first = datasets.snapshot_path(output, s.group.name), round(begin)
    levels = slice(first, first + len(energies))
    result = Aligned(
        s.group.name, shift, s.reference - shift, (max(0, int(begin + 1e-6)), max(0, s.energies.levels - levels.stop))
    )
    attributes = dict(s.dataset.attrs) | {
        "energy_levels": len(energies),
        "energy_shift_eV": float(s.dataset.attrs.get("energy_shift_eV", 0.0)) + shift,
        "energy_reference": reference,
        "energy_reference_remainder_eV": result.remainder,
    }
    grid = metadata.grid_of(s.dataset)
    fields = [n for n in ("ldos", "density", "descriptors") if n in s.dataset]
    chunks = s.dataset["ldos"].encoding["chunks"][:3]
    # Chunks stay those of the source, so that a block of one is a block of the other.
    templates = {}
    for name in fields:
        wide = {"ldos": (len(energies),), "density": ()}.get(name, s.dataset[name].shape[3:])
        templates[name] = stores.field_template(name, (*grid.shape, *wide), (*chunks, *wide))
    target = stores.create(group, templates, attributes)
    jobs = [
        waves.NamedJob(f"{f}{b.index}", str(s.group), target, f, b, levels, matrix if f == "ldos" else None)
        for f in fields
        for b in grid.blocks(chunks)
    ]
    waves.in_order(client, align_block, jobs, run_key="align")
    _write_rest(s, target, energies, shift, _moved(s.dataset["dos"].values, levels, matrix))
    stores.finish(target)
    return result


def _write_rest(s: _Snapshot, group: OnDisk, energies: Array, shift: float, dos: Array) -> None:
    """The small variables and the reference, last: what is complete has them."""
    small = {n: (v.dims, v.values, v.attrs["units"]) for n in ("position", "number") if (v := s.dataset[n]) is not None}
    stores.write_values(group, {"energy": (("energy",), energies, "eV"), "dos": (("energy",), dos, "1/eV"), **small})
    # Data without a reference stay so: an LDOS alone can be aligned by its edge.
    old = datasets.read_reference(s.group)
    if old is None:
        return
    n = float(s.dataset.attrs.get("n_electrons", old.get("n_electrons", np.nan)))
    # What counts electrons moves with their number: E_b and A by N times what a level moves by.
    moves = {
        **dict.fromkeys(("eigenvalue", "dos_energy", "fermi_energy_eV"), shift),
        **dict.fromkeys(("band_energy_eV", "total_free_energy_eV"), n * shift),
    }
    values = {str(k): (v.dims, v.values - moves.get(str(k), 0.0), v.attrs["units"]) for k, v in old.variables.items()}
    datasets.copy_reference(group, dict(old.attrs), values)


def _spline(grid: EnergyGrid, at: Array) -> Array:
    """Matrix (levels out, levels in) of the natural interpolation along the energy."""
    return np.asarray(CubicSpline(grid.values, np.eye(grid.levels))(at))


def _notes(found: Sequence[_Snapshot], results: Sequence[Aligned], energies: Array) -> list[str]:
    notes, width = [], found[0].energies.width
    for s, result in zip(found, results, strict=True):
        mu = datasets.reference_terms(datasets.read_reference(s.group)).get("fermi_energy_eV")
        # Where f and its broadening have fallen to 1e-5: what is cut off beyond costs no electron that counts.
        reach = 12 * BOLTZMANN * float(s.dataset.attrs.get("temperature_K", 0.0)) + 5 * width
        if mu is not None and mu - result.shift + reach > energies[-1]:
            notes.append(
                f"{result.name}: the common window ends at {energies[-1]:.2f} eV, where the Fermi level and its tail"
                f" need {mu - result.shift + reach:.2f} eV"
            )
    return notes


# -- on a worker -----------------------------------------------------------------------------------------------------


def align_block(source: str, target: OnDisk, field: str, block: Block, levels: slice, matrix: Array | None) -> None:
    """Copy a block of a field; of the LDOS the levels, or what the matrix makes of them."""
    values: AnyArray = stores.read_region(source, field, block.slices)
    if field == "ldos":
        values = _moved(values, levels, matrix).astype(np.float32, copy=False)
    stores.write_region(target, field, block.slices, values)


def _moved(values: AnyArray, levels: slice, matrix: Array | None) -> AnyArray:
    return values[..., levels] if matrix is None else values @ matrix.T.astype(values.dtype)
