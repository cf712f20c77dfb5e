"""What a DFT code must give to make a data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import ase
import numpy as np
import numpy.typing as npt

from maladist.datasets.dft.scratch import Scratch
from maladist.elements import Element
from maladist.grid import EnergyGrid
from maladist.io.qe.run import DFTRun


class Calculated(NamedTuple):
    """A snapshot as a DFT code has calculated it.

    Attributes
    ----------
    run
        Atoms, grid, electrons, temperature, functional, terms of the energy and eigenvalues.
    density
        Electron density on the grid, (Nx, Ny, Nz), 1/Å³.
    ldos
        Local density of states of both spins, (Nx, Ny, Nz, levels) float32, 1/(eV Å³).
    """

    run: DFTRun
    density: npt.NDArray[np.float64]
    ldos: npt.NDArray[np.float32]


class DFTCode(Protocol):
    """A DFT code, with the settings that all calculations of a data set have in common.

    It travels to the workers by pickle. Whatever a code needs beyond what is here (cutoffs of plane waves, k-points,
    thresholds, its input files) stays behind it.
    """

    @property
    def program(self) -> str:
        """Program that must be on every worker."""

    @property
    def threads(self) -> int:
        """Threads of one calculation."""

    @property
    def energy_grid(self) -> EnergyGrid:
        """Energies of the LDOS, with its broadening."""

    @property
    def pseudopotentials(self) -> str:
        """Folder of UPF files."""

    @property
    def elements(self) -> Mapping[str, Element]:
        """Elements that it can calculate, by symbol."""

    def check(self, atoms: ase.Atoms) -> None:
        """Refuse atoms that these settings cannot calculate, before anything runs.

        Raises
        ------
        InputError
            Naming the setting.
        """

    def calculate(self, atoms: ase.Atoms, scratch: Scratch) -> Calculated:
        """Calculate a snapshot self-consistently in a scratch folder.

        Raises
        ------
        DFTError
            The code failed, did not converge, or its bands or window do not cover what is needed.
        """
