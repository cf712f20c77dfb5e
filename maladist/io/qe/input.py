"""Inputs of pw.x and pp.x."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ase
import ase.data

from maladist.energy_grid import EnergyGrid


def _value(value: object) -> str:
    if isinstance(value, bool):
        return ".true." if value else ".false."
    # Fortran reads 1e-10 in single precision, 1d-10 in double.
    return f"'{value}'" if isinstance(value, str) else repr(value).replace("e", "d")


def _namelist(name: str, values: Mapping[str, object]) -> str:
    return f"&{name}\n" + "".join(f"  {k} = {_value(v)}\n" for k, v in values.items()) + "/\n"


def pw_input(
    atoms: ase.Atoms,
    files: Mapping[str, str],
    kpoints: tuple[int, int, int],
    system: Mapping[str, object],
    electrons: Mapping[str, object],
    pseudo_dir: str,
    outdir: str = "./out",
    slopes: bool = True,
) -> str:
    """Input of a self-consistent calculation.

    Parameters
    ----------
    files
        Name of the pseudopotential's file in ``pseudo_dir``, by symbol.
    kpoints
        Monkhorst-Pack mesh, not shifted.
    system, electrons
        Entries of the namelists SYSTEM and ELECTRONS beside what the atoms tell.
    outdir
        Folder for what it leaves, from where it runs.
    slopes
        Whether forces and stress are calculated: a few per cent of the run; what a model's forces are held against.
    """
    species = sorted(set(atoms.get_chemical_symbols()))
    control = {"calculation": "scf", "prefix": "m", "outdir": outdir, "pseudo_dir": pseudo_dir, "verbosity": "high"}
    text = _namelist("CONTROL", {**control, "tprnfor": slopes, "tstress": slopes})
    text += _namelist("SYSTEM", {"ibrav": 0, "nat": len(atoms), "ntyp": len(species), **system})
    text += _namelist("ELECTRONS", electrons)
    masses = {s: ase.data.atomic_masses[ase.data.atomic_numbers[s]] for s in species}
    text += "ATOMIC_SPECIES\n" + "".join(f"{s} {masses[s]:.4f} {files[s]}\n" for s in species)
    text += f"K_POINTS automatic\n{kpoints[0]} {kpoints[1]} {kpoints[2]} 0 0 0\n"
    text += "CELL_PARAMETERS angstrom\n" + "".join("%.12f %.12f %.12f\n" % tuple(v) for v in atoms.cell.array)  # noqa: UP031
    rows = zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)
    return text + "ATOMIC_POSITIONS angstrom\n" + "".join(f"{s} {x:.12f} {y:.12f} {z:.12f}\n" for s, (x, y, z) in rows)


def ldos_input(energies: EnergyGrid) -> str:
    """Input of pp.x for the LDOS on an axis of one part, as cubes ``tmp.pp*ldos.cube``."""
    plot = {
        "prefix": "m",
        "outdir": "./out",
        "plot_num": 3,
        "emin": energies.origin,
        "emax": float(energies.values[-1]) + 1e-6,  # else rounding may cost the last level
        "delta_e": energies.spacing,
        "degauss_ldos": energies.width,
    }
    return _namelist("INPUTPP", plot) + _namelist("PLOT", {"iflag": 3, "output_format": 6, "fileout": "ldos.cube"})


def force_gaussian(xml: Path) -> None:
    """Let pp.x broaden with a Gaussian: it takes the kernel from the smearing that the XML names."""
    import re

    text = xml.read_text()
    xml.write_text(re.sub(r"(<smearing[^>]*>)\s*(fd|fermi-dirac)\s*(</smearing>)", r"\1gaussian\3", text))
