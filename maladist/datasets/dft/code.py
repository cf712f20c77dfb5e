"""What a DFT code must give to make a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, Self

import ase
import numpy as np
import numpy.typing as npt

from maladist.arrays import Array
from maladist.datasets.dft.scratch import Scratch
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
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
    density: Array
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
    def temperature(self) -> float:
        """Temperature of the electrons, K."""

    @property
    def pseudopotentials(self) -> str:
        """Folder of UPF files."""

    @property
    def elements(self) -> Mapping[str, Element]:
        """Elements that it can calculate, by symbol."""

    @property
    def needs_survey(self) -> bool:
        """Whether something is left open that only a calculation can propose."""

    def propose(
        self, snapshots: Sequence[ase.Atoms], others: Iterable[ase.Atoms]
    ) -> tuple[dict[str, object], list[str]]:
        """Settings that were left open and need no calculation, such as k-points for other sizes of a crystal.

        Parameters
        ----------
        snapshots
            Snapshots to calculate.
        others
            Those that the data set has; read one by one, so that it is as well not to ask for them.

        Returns
        -------
        values
            Plain values by setting, which the data set keeps; empty where nothing was left open.
        told
            Lines to say of them.
        """

    def survey(self, atoms: ase.Atoms, scratch: Scratch) -> dict[str, object]:
        """Values of settings that need a calculation, of the first snapshot.

        Raises
        ------
        DFTError
            The code failed.
        """

    def settled(self, proposed: Mapping[str, object]) -> Self:
        """The code with what it left open as it was proposed, now or by an earlier run into the same data set.

        Raises
        ------
        InputError
            A proposed value does not fit the other settings.
        """

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
