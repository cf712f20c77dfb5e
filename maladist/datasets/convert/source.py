"""The files of a snapshot, their headers read and held against one another before anything is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maladist import schema
from maladist.datasets.convert.tasks import TEXT, Level
from maladist.descriptors.spec import Spec
from maladist.errors import DataFileError, GridError, InputError
from maladist.grid import EnergyGrid, Grid, Kernel
from maladist.io.fields import openpmd
from maladist.io.fields.formats import FieldHeader, check_belongs, field_format
from maladist.io.mala import data as mala_data
from maladist.io.qe.run import DFTRun, read_dft_run
from maladist.io.qe.upf import read_pseudopotentials
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
        data-file-schema.xml, pw.x's output, MALA's .info.json, atoms that ASE reads, or a DFTRun.
    ldos
        Cube or xsf files (one a level, in any order, from any number of pp.x runs), or one .npy or .h5 file.
    density, dos, descriptors
        Files of the same formats (DOS: two columns of text, or .npy on the LDOS' energies); may be None.
    energies
        Origin and spacing in eV, where the LDOS' files do not tell them.
    kernel, width
        Broadening of the LDOS; where they are None, the width comes from the cubes and the kernel from comparing with
        the eigenvalues, if there are any.
    ldos_units, density_units
        Keys of LDOS_UNITS and DENSITY_UNITS; None for what the format usually has.
    temperature
        K, where the calculation does not tell it.
    pseudopotentials
        Folder of UPF files: their hashes go into the data set.
    """

    run: str | Path | DFTRun
    ldos: Sequence[str | Path]
    density: str | Path | None = None
    dos: str | Path | None = None
    descriptors: str | Path | None = None
    energies: tuple[float, float] | None = None
    kernel: Kernel | None = None
    width: float | None = None
    ldos_units: str | None = None
    density_units: str | None = None
    temperature: float | None = None
    pseudopotentials: str | Path | None = None


@dataclass(frozen=True)
class Ready:
    """A source whose headers were read and held against one another."""

    source: Source
    run: DFTRun
    grid: Grid
    energies: EnergyGrid
    levels: tuple[Level, ...]  # empty for .npy and .h5
    factor: float
    notes: tuple[str, ...]


def prepare(source: Source) -> Ready:
    """Read the headers of all files and hold them against one another; nothing is written.

    Raises
    ------
    InputError
        As `convert`.
    """
    run = source.run if isinstance(source.run, DFTRun) else read_dft_run(source.run)
    schema.check_atoms(run.atoms)
    run.check_converged()
    _check_pseudopotentials(source, run)
    if source.temperature is not None:
        run = replace(run, temperature=source.temperature)
    if run.temperature is not None:
        check_temperature(run.temperature)
    if not source.ldos:
        raise DataFileError("ldos", "no file", "cube or xsf files, one .npy or one .h5 file")
    paths = [Path(p) for p in source.ldos]
    missing = [p for p in paths if not p.is_file() and not p.suffix.startswith(".bp")]  # which may be a folder
    if missing:
        raise DataFileError("ldos", f"{missing[0]} is not a file", "files that exist")
    if paths[0].suffix in TEXT:
        return _prepare_text(source, run, paths)
    if len(paths) > 1:
        raise DataFileError("ldos", f"{len(paths)} files, the first {paths[0].name}", "one .npy or .h5 file")
    shape = array_shape(paths[0])
    if len(shape) != 4:
        raise DataFileError(str(paths[0]), f"an array of shape {shape}", "an LDOS (x, y, z, energy)")
    if source.energies is None:
        remedy = "Give --energies ORIGIN SPACING (eV)."
        raise DataFileError(str(paths[0]), "energies that the file does not tell", "the energy grid", remedy)
    grid = _grid(run, (shape[0], shape[1], shape[2]), paths[0])
    energies, notes = _energy_grid(source, run, source.energies[0], source.energies[1], shape[3], source.width)
    return Ready(
        source, run, grid, energies, (), unit_factor(source.ldos_units, LDOS_UNITS, "1/(eV A3)"), (*run.notes, *notes)
    )


def _check_pseudopotentials(source: Source, run: DFTRun) -> None:
    """Refuse pseudopotentials that are not here, or whose valences are not the calculation's electrons."""
    if source.pseudopotentials is None:
        return
    valences = valences_of(run.atoms.get_chemical_symbols(), read_pseudopotentials(source.pseudopotentials))
    if valences is not None and run.n_electrons is not None:
        check_neutral(run.n_electrons, valences, str(run.path), 0.01)  # some sources print two decimals


def _prepare_text(source: Source, run: DFTRun, paths: list[Path]) -> Ready:
    headers = [field_format(p).read_header(p) for p in paths]
    grid = _grid(run, headers[0].shape, paths[0])
    for header in headers:
        check_belongs(header, run.atoms, grid)
    headers, notes = _in_order(headers, source)
    if headers[0].energy is not None and headers[-1].energy is not None:
        origin = headers[0].energy
        spacing = (headers[-1].energy - origin) / max(1, len(headers) - 1)
    else:
        assert source.energies is not None
        origin, spacing = source.energies
    energies, more = _energy_grid(source, run, origin, spacing, len(headers), source.width or headers[0].broadening)
    levels = tuple(Level(str(h.path), i) for i, h in enumerate(headers))
    factor = unit_factor(source.ldos_units, LDOS_UNITS, "1/(Ry bohr3)")
    return Ready(source, run, grid, energies, levels, factor, (*run.notes, *notes, *more))


def _in_order(headers: list[FieldHeader], source: Source) -> tuple[list[FieldHeader], tuple[str, ...]]:
    """Levels by their energy, or by the numbers in their names where the files do not tell it."""
    told = [h for h in headers if h.energy is not None]
    if not told:
        if source.energies is None:
            remedy = "Give --energies ORIGIN SPACING (eV)."
            raise DataFileError(str(headers[0].path), "no energy in its header", "the energies of the levels", remedy)
        return sorted(headers, key=lambda h: _natural(h.path.name)), ("levels taken in the order of their names",)
    if len(told) != len(headers):
        odd = next(h for h in headers if h.energy is None)
        raise DataFileError(str(odd.path), "no energy in its header, where others have one", "files of one kind")
    widths = {h.broadening for h in told}
    if len(widths) > 1:
        raise DataFileError("ldos", f"levels broadened by {sorted(map(float, widths))} eV", "one broadening")  # type: ignore[arg-type]
    by_energy: dict[float, FieldHeader] = {}
    for header in headers:
        assert header.energy is not None
        by_energy.setdefault(header.energy, header)
    twice = len(headers) - len(by_energy)
    energies = np.array(sorted(by_energy))
    if len(energies) > 1:
        steps = np.diff(energies)
        step = float(np.median(steps))
        gaps = np.flatnonzero(np.abs(steps - step) > max(2e-4, 1e-3 * step))
        if len(gaps):
            e = energies[gaps[0]]
            came = f"no level between {e:.4f} and {energies[gaps[0] + 1]:.4f} eV, where others are {step:.4f} eV apart"
            raise DataFileError("ldos", came, "equidistant levels without a gap", "Is a file missing?")
    notes = (f"{twice} levels came twice (overlapping parts) and were read once",) if twice else ()
    return [by_energy[e] for e in energies], notes


def _natural(name: str) -> list[Any]:
    return [int(w) if w.isdigit() else w for w in re.split(r"(\d+)", name)]


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
    source: Source, run: DFTRun, origin: float, spacing: float, levels: int, width: float | None
) -> tuple[EnergyGrid, tuple[str, ...]]:
    kernel: Kernel = source.kernel or "unknown"
    if kernel in ("gaussian", "fermi-derivative") and not width:
        raise GridError("width", "none", f"the width of the {kernel} kernel, eV", "Give --width EV.")
    notes: tuple[str, ...] = ()
    if kernel == "unknown" and not (width and run.eigenvalues.size):
        notes = ("the broadening of the LDOS is not known: give --kernel and --width for accurate energies",)
    return EnergyGrid(round(origin, 10), round(spacing, 10), levels, kernel, width or 0.0), notes


def unit_factor(units: str | None, known: dict[str, float], usual: str) -> float:
    """Factor that brings a field into internal units."""
    if units is not None and units not in known:
        raise InputError("units", repr(units), f"one of {', '.join(known)}")
    return known[units or usual]


def snapshot_attributes(ready: Ready, spec: Spec | None) -> dict[str, Any]:
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
        "source": f"{run.path.name}, {len(ready.levels) or 1} LDOS files",
        "descriptor_spec": spec.to_dict() if spec else None,
    }
    return {
        **schema.grid_attributes(ready.grid),
        **schema.energy_attributes(ready.energies),
        **{k: v for k, v in values.items() if v is not None},
    }


def read_dos(ready: Ready) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
    """Energies (eV) and D (1/eV) of the DOS beside the LDOS; None where there is none."""
    if ready.source.dos is None:
        return None
    path = Path(ready.source.dos)
    try:
        if path.suffix == ".npy":
            dos = np.load(path, allow_pickle=False).ravel().astype(np.float64)
            energies = ready.energies.values
        else:  # dos.x: E, D, integral
            energies, dos = np.loadtxt(path, usecols=(0, 1), unpack=True)
    except (ValueError, OSError) as error:
        raise DataFileError(str(path), f"cannot be read ({error})", "two columns of text, or a .npy file") from error
    if dos.shape != energies.shape:
        raise DataFileError(str(path), f"{dos.size} values", f"{energies.size}, one for each energy of the LDOS")
    return energies, dos
