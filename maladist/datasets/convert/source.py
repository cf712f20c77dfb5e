"""The files of a snapshot, their headers read and held against one another before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isclose
from pathlib import Path
from typing import Final

import numpy as np

from maladist import metadata
from maladist.arrays import AnyArray
from maladist.atoms import check_atoms
from maladist.datasets.convert.levels import check_told, in_order
from maladist.datasets.convert.tasks import TEXT, Level
from maladist.datasets.traps import states_in_gaps
from maladist.descriptors.spec import Spec
from maladist.energy_grid import EnergyGrid, Kernel
from maladist.errors import DataFileError, GridError, InputError
from maladist.grid import Grid
from maladist.io.calculations import read_dft_run
from maladist.io.fields import openpmd
from maladist.io.fields.formats import check_belongs, field_format
from maladist.io.fields.header import FieldHeader
from maladist.io.fields.npy import map_array
from maladist.io.foreign import refusing
from maladist.io.mala import data as mala_data
from maladist.io.paths import plain_file
from maladist.io.qe.run import DFTRun
from maladist.io.qe.upf import read_pseudopotentials
from maladist.physics.isolated import Isolated, check_isolated
from maladist.physics.system import check_neutral, check_temperature, valences_of
from maladist.units import BOHR, LDOS_QE

LDOS_UNITS: Final = {"1/(eV A3)": 1.0, "1/(Ry bohr3)": LDOS_QE, "1/(eV bohr3)": 1 / BOHR**3}
DENSITY_UNITS: Final = {"1/A3": 1.0, "1/bohr3": 1 / BOHR**3}


@dataclass(frozen=True)
class Source:
    """The files of one snapshot.

    Attributes
    ----------
    run
        Calculation: data-file-schema.xml, pw.x's output, MALA's .info.json, atoms that ASE reads, or a DFTRun.
    ldos
        Files of the LDOS: cube or xsf (one a level, in any order, from any number of pp.x runs), or one .npy or .h5
        file.
    density, dos, descriptors
        Files of the same formats (DOS: two columns of text, or .npy on the LDOS' energies); may be None.
    energies
        Origin and spacing in eV, where the LDOS' files do not tell them.
    parts
        In place of ``energies``, origin and spacing in eV and number of levels of each part of the energies, the lowest
        first, with gaps between them.
    kernel, width
        Broadening of the LDOS; where they are None, the width comes from the cubes and the kernel from comparing with
        the eigenvalues, if there are any.
    ldos_units, density_units
        Keys of LDOS_UNITS and DENSITY_UNITS; None for what the format usually has.
    temperature
        Temperature of the electrons, K, where the calculation does not tell it.
    pseudopotentials
        Folder of UPF files: their hashes go into the data set.
    assume_isolated
        '2D' for a slab whose Coulomb interaction was cut off along c, where the calculation does not tell it.
    """

    run: str | Path | DFTRun
    ldos: Sequence[str | Path]
    density: str | Path | None = None
    dos: str | Path | None = None
    descriptors: str | Path | None = None
    energies: tuple[float, float] | None = None
    parts: Sequence[tuple[float, float, int]] = ()
    kernel: Kernel | None = None
    width: float | None = None
    ldos_units: str | None = None
    density_units: str | None = None
    temperature: float | None = None
    pseudopotentials: str | Path | None = None
    assume_isolated: Isolated | None = None


@dataclass(frozen=True)
class CheckedSource:
    """A source whose headers were read and held against one another."""

    source: Source
    run: DFTRun
    grid: Grid
    energies: EnergyGrid
    levels: tuple[Level, ...]  # empty for .npy and .h5
    factor: float
    notes: tuple[str, ...]


def prepare(source: Source) -> CheckedSource:
    """Read the headers of all files and hold them against one another; nothing is written.

    Raises
    ------
    InputError
        For the reasons of `convert`.
    """
    run = _checked_run(source)
    if not source.ldos:
        raise DataFileError("ldos", "no file", "cube or xsf files, one .npy or one .h5 file")
    paths = [Path(p) for p in source.ldos]
    if source.energies is not None and source.parts:
        raise InputError("energies", "given beside parts", "one of the two")
    missing = [p for p in paths if not p.is_file() and not p.suffix.startswith(".bp")]  # which may be a folder
    if missing:
        raise DataFileError("ldos", f"{missing[0]} is not a file", "files that exist")
    ready = (_prepare_text if paths[0].suffix in TEXT else _prepare_array)(source, run, paths)
    _check_beside(ready)
    return ready


def _checked_run(source: Source) -> DFTRun:
    """The calculation, with what the user has told of it."""
    run = source.run if isinstance(source.run, DFTRun) else read_dft_run(source.run)
    check_atoms(run.atoms)
    if source.assume_isolated is not None:
        run = replace(run, assume_isolated=source.assume_isolated)
    check_isolated(run.assume_isolated, run.atoms.cell.array, run.atoms.positions)
    run.check_converged()
    _check_pseudopotentials(source, run)
    if source.temperature is not None:
        check_temperature(source.temperature)
        # What a run prints is rounded, by up to a percent; the exact figure may be given.
        if run.temperature is not None and not isclose(source.temperature, run.temperature, rel_tol=0.02):
            came = f"{source.temperature:g} K for a calculation at {run.temperature:g} K"
            raise InputError("temperature", came, "none, or that of the calculation")
        run = replace(run, temperature=source.temperature)
    elif run.temperature is not None:
        check_temperature(run.temperature)
    return run


def _check_beside(ready: CheckedSource) -> None:
    """Refuse a density, descriptors or a DOS of something else than the LDOS."""
    source, grid = ready.source, ready.grid
    arrays = [Path(given) for given in (source.density, source.descriptors) if given is not None]
    if source.density is not None and arrays[0].suffix in TEXT:
        density = arrays.pop(0)
        check_belongs(field_format(density).read_header(density), ready.run.atoms, grid)
    for path in arrays:
        if (shape := array_shape(path)[:3]) != grid.shape:
            raise DataFileError(str(path), f"a grid of {shape}", f"{grid.shape}")
    read_dos(ready)


def _prepare_array(source: Source, run: DFTRun, paths: list[Path]) -> CheckedSource:
    if len(paths) > 1:
        raise DataFileError("ldos", f"{len(paths)} files, the first {paths[0].name}", "one .npy or .h5 file")
    shape = array_shape(paths[0])
    if len(shape) != 4:
        raise DataFileError(str(paths[0]), f"an array of shape {shape}", "an LDOS (x, y, z, energy)")
    if source.energies is None and not source.parts:
        remedy = "Give --energies ORIGIN SPACING (eV)."
        raise DataFileError(str(paths[0]), "energies that the file does not tell", "the energy grid", remedy)
    grid = _grid(run, (shape[0], shape[1], shape[2]), paths[0])
    windows = source.parts or [(*source.energies, shape[3])]  # type: ignore[misc]
    energies, notes = _energy_grid(source, run, windows, shape[3], source.width)
    return CheckedSource(
        source, run, grid, energies, (), unit_factor(source.ldos_units, LDOS_UNITS, "1/(eV A3)"), (*run.notes, *notes)
    )


def _check_pseudopotentials(source: Source, run: DFTRun) -> None:
    """Refuse pseudopotentials that are not here, or whose valences are not the calculation's electrons."""
    if source.pseudopotentials is None:
        return
    valences = valences_of(run.atoms.get_chemical_symbols(), read_pseudopotentials(source.pseudopotentials))
    if valences is not None and run.n_electrons is not None:
        check_neutral(run.n_electrons, valences, str(run.path), 0.01)  # some sources print two decimals


def _prepare_text(source: Source, run: DFTRun, paths: list[Path]) -> CheckedSource:
    headers = [field_format(p).read_header(p) for p in paths]
    grid = _grid(run, headers[0].shape, paths[0])
    for header in headers:
        check_belongs(header, run.atoms, grid)
    headers, notes = in_order(headers, energies=source.energies is not None, parts=source.parts or ())
    width = source.width or headers[0].broadening
    energies, more = _energy_grid(source, run, _windows(headers, source), len(headers), width)
    if source.energies is not None or source.parts:
        check_told(headers, energies)
    levels = tuple(Level(str(h.path), i) for i, h in enumerate(headers))
    factor = unit_factor(source.ldos_units, LDOS_UNITS, "1/(Ry bohr3)")
    return CheckedSource(source, run, grid, energies, levels, factor, (*run.notes, *notes, *more))


def _windows(headers: list[FieldHeader], source: Source) -> Sequence[tuple[float, float, int]]:
    """Origin, spacing and levels of each part of the energies, as they were given, or as the files tell them."""
    if source.parts:
        return source.parts
    if source.energies is not None:
        return [(*source.energies, len(headers))]
    first, last = headers[0].energy, headers[-1].energy
    assert first is not None and last is not None, "files without energies are not taken without --energies"
    return [(first, (last - first) / max(1, len(headers) - 1), len(headers))]


def array_shape(path: Path) -> tuple[int, ...]:
    """Shape of a .npy or openPMD file."""
    if path.suffix == ".npy":
        return tuple(mala_data.open_field(path).shape)
    if path.suffix in (".h5", ".hdf5"):
        return openpmd.field_shape(path)
    if path.suffix.startswith(".bp"):
        remedy = "Turn it into .h5 with openpmd-pipe --infile IN.bp --outfile OUT.h5, of openpmd-api."
        raise DataFileError(str(path), "openPMD with ADIOS2", "openPMD with HDF5 (.h5)", remedy)
    raise DataFileError(str(path), f"the ending {path.suffix!r}", ".cube, .xsf (also .gz), .npy or .h5")


def _grid(run: DFTRun, shape: tuple[int, int, int], path: Path) -> Grid:
    if run.shape is not None and run.shape != shape:
        raise DataFileError(str(path), f"a grid of {shape}", f"{run.shape}, the FFT grid of {run.path.name}")
    return Grid(run.atoms.cell.array.tolist(), shape)


def _energy_grid(
    source: Source, run: DFTRun, windows: Sequence[tuple[float, float, int]], levels: int, width: float | None
) -> tuple[EnergyGrid, tuple[str, ...]]:
    kernel: Kernel = source.kernel or "unknown"
    if kernel in ("gaussian", "fermi-derivative") and not width:
        raise GridError("width", "none", f"the width of the {kernel} kernel, eV", "Give --width EV.")
    notes: tuple[str, ...] = ()
    if kernel == "unknown" and not (width and run.eigenvalues.size):
        notes = ("the broadening of the LDOS is not known: give --kernel and --width for accurate energies",)
    # Rounded: energies that were printed in decimals are to be these decimals again.
    rounded = [(round(origin, 10), round(spacing, 10), n) for origin, spacing, n in windows]
    energies = EnergyGrid.of_parts(rounded, kernel, width or 0.0)
    if energies.levels != levels:
        told = " + ".join(str(n) for *_, n in rounded)
        raise DataFileError("ldos", f"{levels} levels", f"{told} levels, by --part")
    return energies, (*notes, *states_in_gaps(energies, run.eigenvalues))


def unit_factor(units: str | None, known: dict[str, float], usual: str) -> float:
    """Factor that brings a field into internal units."""
    if units is not None and units not in known:
        raise InputError("units", repr(units), f"one of {', '.join(known)}")
    return known[units or usual]


def snapshot_attributes(ready: CheckedSource, spec: Spec | None) -> dict[str, object]:
    """Attributes of a snapshot by the names of the data contract."""
    run = ready.run
    files = {s: {"file": f} for s, f in run.pseudopotentials.items()}
    xc = run.xc
    if ready.source.pseudopotentials is not None:
        elements = read_pseudopotentials(ready.source.pseudopotentials)
        here = {s: elements[s] for s in set(run.atoms.get_chemical_symbols()) if s in elements}
        files |= {s: {"file": e.pseudopotential, "sha256": e.sha256} for s, e in here.items()}
        kinds = {e.xc for e in here.values()}
        xc = xc or (kinds.pop() if len(kinds) == 1 else None)
    values = {
        "temperature_K": run.temperature,
        "n_electrons": run.n_electrons,
        "xc": xc,
        "pseudopotentials": files,
        "density_cutoff_eV": run.density_cutoff,
        "assume_isolated": run.assume_isolated,
        "source": f"{run.path.name}, {len(ready.levels) or 1} LDOS files",
        "descriptor_spec": spec.to_dict() if spec else None,
    }
    return {
        **metadata.grid_attributes(ready.grid),
        **metadata.energy_attributes(ready.energies),
        **{k: v for k, v in values.items() if v is not None},
    }


def read_dos(ready: CheckedSource) -> tuple[AnyArray, AnyArray] | None:
    """Energies (eV) and D (1/eV) of the DOS beside the LDOS; None where there is none."""
    if ready.source.dos is None:
        return None
    path = plain_file(ready.source.dos, "the DOS", "dos")
    with refusing(path, "two columns of text, or a .npy file"):
        if path.suffix == ".npy":
            dos = map_array(path).ravel().astype(np.float64, casting="same_kind")
            energies = ready.energies.values
        else:  # dos.x: E, D, integral
            energies, dos = np.loadtxt(path, usecols=(0, 1), unpack=True)
    if not (np.isfinite(dos).all() and np.isfinite(energies).all()):
        raise DataFileError(str(path), "numbers that are not finite", "a DOS")
    if dos.shape != energies.shape:
        raise DataFileError(str(path), f"{dos.size} values", f"{energies.size}, one for each energy of the LDOS")
    return energies, dos
