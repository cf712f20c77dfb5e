"""Small data that come with the package, for notebooks and first tries: beryllium, with Quantum ESPRESSO behind it.

Nothing is fetched from a network; what is packed is unpacked into a folder of yours.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import ase.io
from ase import Atoms
from ase.build import bulk

from maladist.errors import InputError, ModelError
from maladist.io.shipped import DATA, shipped_models
from maladist.io.targets import check_folder, explained

_HERE: Final = DATA / "examples"


def beryllium(*repeat: int) -> Atoms:
    """Perfect hcp beryllium, with the lattice constants of the shipped models' data (2.2866 and 3.5833 Å).

    Parameters
    ----------
    repeat
        How often the cell of two atoms is repeated along a, b and c; by default once.

    Raises
    ------
    InputError
        Other than three positive numbers, or none.

    Examples
    --------
    >>> len(beryllium(4, 4, 4))
    128
    """
    if repeat and (len(repeat) != 3 or min(repeat) < 1):
        raise InputError("repeat", f"{repeat}", "three positive numbers, of cells along a, b and c, or none")
    crystal = bulk("Be", "hcp", a=2.2866, c=3.5833)
    return crystal * repeat if repeat else crystal


def held_out(model: str = "be-1000K-2") -> Atoms:
    """Eight atoms that a shipped model has not seen, some 0.1 Å off their sites, with what DFT says of them.

    Parameters
    ----------
    model
        Name of a shipped model, as `maladist models` lists them.

    Returns
    -------
    Atoms
        With ``info["dft_total_free_energy_eV"]`` and other terms of the cell (eV), and the array ``dft_forces`` (eV/Å).

    Raises
    ------
    ModelError
        No such model, or one without such a cell.

    Examples
    --------
    >>> cell = held_out()
    >>> print(f"{cell.info['dft_total_free_energy_eV'] / len(cell):.3f} eV/atom")
    -34.444 eV/atom
    """
    there = {name: m.folder / "held-out.extxyz" for name, m in shipped_models().items()}
    known = [name for name, path in there.items() if path.is_file()]
    if model not in known:
        raise ModelError("model", f"{model!r}", f"one of {', '.join(known)}")
    return ase.io.read(there[model])


def pseudopotentials() -> Path:
    """Folder of the pseudopotentials of Be and Al that all data here and the shipped models were made with."""
    return DATA / "pseudopotentials"


def small_data_set(folder: str | Path) -> Path:
    """Unpack a data set of DFT to try training with: five snapshots of Be at 1000 K, coarse on purpose (15 Ry).

    Snapshots train-0, train-1, train-2 and valid-0 have two atoms, test-4-atoms four, displaced by 0.1 Å and strained
    by 2 %: the LDOS on 12×12×18 points (24×12×18) and 66 levels, density, DOS, and DFT's energies and forces.

    Parameters
    ----------
    folder
        Where to unpack it; made where it is not there.

    Returns
    -------
    Path
        ``folder / "be_small.zarr"``; one that is there already is taken as it is.

    Raises
    ------
    OutputError
        A folder that cannot be written.
    """
    return _unpacked("be_small.zarr", folder)


def slab(folder: str | Path) -> Path:
    """Unpack the DFT of a surface: four layers of Be(0001) at 1000 K, coarse (20 Ry), with 10 Å of vacuum along c.

    A store with the density, and the LDOS on 15×15×90 points and 15 levels, within 1.5 eV of the Fermi level, which is
    its attribute ``fermi_energy_eV``: enough for images of the tunnelling microscope, and for no energies.

    Parameters
    ----------
    folder
        Where to unpack it; made where it is not there.

    Returns
    -------
    Path
        ``folder / "be_slab.zarr"``; one that is there already is taken as it is.

    Raises
    ------
    OutputError
        A folder that cannot be written.
    """
    return _unpacked("be_slab.zarr", folder)


def dft_cells() -> dict[str, Atoms]:
    """Cells of Be with DFT's free energy at 1000 K, forces and stress, for force constants, stiffness and a vacancy.

    Returns
    -------
    dict of str to Atoms
        ``crystal`` has 16 atoms; ``displaced`` is the same with one atom 0.05 Å off its site, ``vacancy`` without one,
        unrelaxed; ``along c -2%`` … ``along c +2%`` and ``in the plane -2%`` … ``in the plane +2%`` are eight atoms
        under strains. Their calculators give A as ``get_potential_energy(force_consistent=True)`` (eV), forces (eV/Å)
        and stress (eV/Å³, ASE's sign and order).

    Examples
    --------
    >>> cells = dft_cells()
    >>> full, empty = (cells[n].get_potential_energy(force_consistent=True) for n in ("crystal", "vacancy"))
    >>> print(f"a vacancy, unrelaxed: {empty - 15 / 16 * full:.2f} eV")
    a vacancy, unrelaxed: 1.31 eV
    """
    return {cell.info["name"]: cell for cell in ase.io.read(_HERE / "be_cells.extxyz", ":")}


def _unpacked(name: str, folder: str | Path) -> Path:
    folder = check_folder(folder, "folder", parents=True)
    store = folder / name
    if not store.exists():
        with explained(folder, "folder"):
            folder.mkdir(parents=True, exist_ok=True)
            # Unpacked beside its place, so that whoever interrupts this leaves no part of it there.
            with zipfile.ZipFile(_HERE / f"{name}.zip") as packed, TemporaryDirectory(dir=folder) as beside:
                packed.extractall(beside)
                (Path(beside) / name).rename(store)
    return store
