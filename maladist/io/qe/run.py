"""What a DFT calculation tells of itself, whatever file it was read from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import ase
import numpy as np
import numpy.typing as npt

from maladist.errors import DataFileError, DFTError
from maladist.units import BOLTZMANN

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DFTRun:
    """A DFT calculation of one snapshot.

    Attributes
    ----------
    path
        File that it was read from.
    atoms
        Atoms and cell, Å.
    shape
        FFT grid of the density; None where not told.
    temperature
        K, of Fermi-Dirac occupations; None where occupations are others.
    n_electrons
        In the cell.
    xc
        'pbe', 'pw92' or 'pz'; None for another functional.
    pseudopotentials
        File name by symbol.
    density_cutoff
        eV.
    terms
        Energies by the names of the data contract, eV, with ``fermi_energy_eV``.
    eigenvalues, weights
        (k, bands) eV and (k,) with both spins in them; empty where not told.
    converged
        Whether the self-consistency reached its threshold.
    threshold
        Of the self-consistency, Ry per atom; None where not told.
    ultrasoft
        Whether any pseudopotential is ultrasoft or PAW; None where not told.
    pools
        Pools of k-points that pw.x ran with; None where not told.
    full_precision
        Whether eigenvalues have all digits (XML) or four (printed output).
    """

    path: Path
    atoms: ase.Atoms
    shape: tuple[int, int, int] | None = None
    temperature: float | None = None
    n_electrons: float | None = None
    xc: str | None = None
    pseudopotentials: Mapping[str, str] = field(default_factory=dict)
    density_cutoff: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)
    eigenvalues: Array = field(default_factory=lambda: np.empty((0, 0)))
    weights: Array = field(default_factory=lambda: np.empty(0))
    converged: bool = True
    threshold: float | None = None
    ultrasoft: bool | None = None
    pools: int | None = None
    full_precision: bool = False

    @property
    def fermi_energy(self) -> float | None:
        """Fermi level, eV; None where not told."""
        return self.terms.get("fermi_energy_eV")

    def check_converged(self) -> None:
        """Refuse a run whose self-consistency stopped before its threshold.

        Raises
        ------
        DFTError
            It did.
        """
        if not self.converged:
            remedy = "Run it again with more steps (electron_maxstep) or a smaller mixing_beta."
            raise DFTError(str(self.path), "the self-consistency did not converge", "a converged calculation", remedy)


def read_dft_run(path: str | Path) -> DFTRun:
    """Read a calculation: data-file-schema.xml, the output of pw.x, MALA's .info.json, or atoms that ASE reads.

    Raises
    ------
    DataFileError
        A file that cannot be understood.
    """
    from maladist.io.mala.data import read_info
    from maladist.io.qe.output import is_qe_output, read_qe_output
    from maladist.io.qe.xml import read_qe_xml
    from maladist.io.structures import read_atoms

    path = Path(path)
    if path.is_dir() and (path / "data-file-schema.xml").is_file():
        path = path / "data-file-schema.xml"
    if not path.is_file():
        raise DataFileError(
            "source", f"{path} is not a file", "data-file-schema.xml, pw.x's output, MALA's .info.json or atoms"
        )
    if path.suffix == ".xml":
        return read_qe_xml(path)
    if path.suffix == ".json":
        try:
            return read_info(path)
        except json.JSONDecodeError as error:
            raise DataFileError(str(path), f"is not JSON ({error})", "MALA's .info.json") from error
    if is_qe_output(path):
        return read_qe_output(path)
    return DFTRun(path, read_atoms(str(path)))


def temperature_of(degauss_eV: float, smearing: str) -> float | None:
    """Temperature of a smearing, K: k_BT = degauss for Fermi-Dirac; None for every other kind, which has none."""
    known = ("fermi-dirac", "fermi_dirac", "f-d", "fd")
    return degauss_eV / BOLTZMANN if smearing.lower() in known else None
