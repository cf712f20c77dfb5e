"""What the notebooks share: beryllium, the model that they ask, the DFT that they hold it against, and their size.

MALADIST_NOTEBOOK_SIZE=small makes every notebook a matter of seconds; the tests run them so.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import xarray as xr
from ase import Atoms
from ase.build import bulk
from demo_model import CASE, read_ldos, train_demo_model
from matplotlib.axes import Axes

import maladist
from maladist import schema
from maladist.errors import ModelError
from maladist.io.qe.upf import read_pseudopotentials
from maladist.report.figures import draw_plane, plane_across, plane_through
from maladist.units import RYDBERG

SMALL = os.environ.get("MALADIST_NOTEBOOK_SIZE") == "small"
DATA = Path(__file__).parent.parent / "tests" / "data"
DFT = DATA / "qe" / CASE


def model() -> maladist.LDOSModel:
    """The model of Be at 1000 K that comes with maladist; where there is none, that of `fitted`."""
    try:
        return maladist.load_model("be-1000K")
    except ModelError:
        return fitted()


def fitted() -> maladist.LDOSModel:
    """A small network trained here in seconds on the one DFT snapshot of `snapshot`; it knows nothing else."""
    return train_demo_model(DATA, epochs=30 if SMALL else 120)


def crystal(*repeat: int) -> Atoms:
    """Perfect hcp beryllium, the 2-atom cell repeated along a, b and c."""
    return bulk("Be", "hcp", a=2.2866, c=3.5833) * repeat


def snapshot() -> Atoms:
    """Two Be atoms a little off their sites, of which the repository carries the whole DFT."""
    return ase.io.read(DFT / "atoms.extxyz")


def reference() -> dict[str, Any]:
    """What Quantum ESPRESSO says of `snapshot`: Fermi level, every term of the energy (eV), its density (1/Å³)."""
    found = json.loads((DFT / "reference.json").read_text())
    printed = found["qe_printed_eV"]
    return {
        "fermi_energy_eV": found["fermi_energy_eV"],
        "band_energy_eV": found["band_energy_eV"],
        "entropy_contribution_eV": found["entropy_contribution_eV"],
        "hartree_eV": printed["hartree"],
        "xc_eV": printed["xc"],
        "ewald_eV": printed["ewald"],
        "total_free_energy_eV": printed["total"],
        "density": np.load(DFT / "density.npy"),
    }


def dft_ldos() -> xr.DataArray:
    """The LDOS of `snapshot` from its wavefunctions, labelled as `maladist.observe` wants it."""
    found, atoms = json.loads((DFT / "reference.json").read_text()), snapshot()
    ldos, info = read_ldos(DFT / "ldos.npz"), found["ldos"]
    energies = maladist.EnergyGrid(
        info["energy_origin_eV"], info["energy_spacing_eV"], info["levels"], "gaussian", info["broadening_delta_eV"]
    )
    grid = maladist.Grid(atoms.cell.array.tolist(), ldos.shape[:3])
    attributes = {
        **schema.grid_attributes(grid),
        **schema.energy_attributes(energies),
        "temperature_K": found["temperature_K"],
        "density_cutoff_eV": found["ecutrho_Ry"] * RYDBERG,
        "xc": "pbe",
    }
    dims = ("x", "y", "z", "energy")
    return xr.DataArray(ldos, dims=dims, coords={"energy": energies.values}, name="ldos", attrs=attributes)


def pseudopotentials() -> dict[str, maladist.Element]:
    """Of the DFT: valence and core charge of Be."""
    return read_pseudopotentials(DATA / "pseudopotentials")


def show_plane(
    ax: Axes,
    field: xr.DataArray,
    atoms: Atoms,
    axis: int,
    height: float | None = None,
    *,
    name: str = "$n(r)$",
    units: str = "1/Å$^3$",
    signed: bool = False,
) -> None:
    """Draw a field in a lattice plane, by itself one through an atom; a signed one from blue over white to red."""
    grid = maladist.Grid(atoms.cell.array.tolist(), field.shape)
    plane = plane_across(field, grid, axis, plane_through(grid, atoms.positions, axis) if height is None else height)
    largest = float(abs(plane.values).max())
    mesh = draw_plane(ax, plane, atoms, (-largest, largest) if signed else None, name)
    mesh.set_cmap("RdBu_r" if signed else "viridis")
    ax.figure.colorbar(mesh, ax=ax, label=units, shrink=0.85)
