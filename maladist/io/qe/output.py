"""The printed output of pw.x, for those who kept nothing else: four digits of the eigenvalues, eight of the terms."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Final

import ase.io
import numpy as np
import torch

from maladist.errors import DataFileError
from maladist.io.qe.run import Array, DFTRun, temperature_of
from maladist.physics.broadening import occupation_sums
from maladist.units import BOLTZMANN, RYDBERG

_FUNCTIONALS: Final = {
    "PBE": "pbe",
    "SLA PW PBX PBC": "pbe",
    "SLA PW": "pw92",
    "SLA PW NOGX NOGC": "pw92",
    "PZ": "pz",
    "LDA": "pz",
    "SLA PZ NOGX NOGC": "pz",
}
_TERMS: Final = {
    "hartree_eV": r"hartree contribution\s*=\s*(\S+) Ry",
    "xc_eV": r"xc contribution\s*=\s*(\S+) Ry",
    "ewald_eV": r"ewald contribution\s*=\s*(\S+) Ry",
    "entropy_contribution_eV": r"smearing contrib. \(-TS\)\s*=\s*(\S+) Ry",
    "total_free_energy_eV": r"!\s+total energy\s*=\s*(\S+) Ry",
}


def is_qe_output(path: Path) -> bool:
    """Whether a file is the output of pw.x."""
    with path.open("rb") as stream:
        return b"Program PWSCF" in stream.read(4096)


def read_qe_output(path: Path) -> DFTRun:
    """Read a calculation from the output of pw.x; the last step where it has several.

    Raises
    ------
    DataFileError
        An output that breaks off before its energies.
    """
    text = path.read_text(errors="replace")
    atoms, eigenvalues, weights = _structure(path)
    terms = {name: float(values[-1]) * RYDBERG for name, p in _TERMS.items() if (values := re.findall(p, text))}
    if "total_free_energy_eV" not in terms and "convergence NOT achieved" not in text:
        raise DataFileError(str(path), "no total energy", "the output of a calculation that ended")
    n_electrons = _real(text, r"number of electrons\s*=\s*(\S+)")
    grid = re.search(r"FFT dimensions:\s*\(\s*(\d+),\s*(\d+),\s*(\d+)\)", text)
    smearing = re.search(r"([\w-]+) smearing, width \(Ry\)=\s*(\S+)", text)
    temperature = None
    if smearing:
        temperature = temperature_of(float(smearing[2]) * RYDBERG, smearing[1])
    level = re.findall(r"the Fermi energy is\s*(\S+) ev", text)
    if level:
        terms["fermi_energy_eV"] = float(level[-1])
    if level and temperature is not None and eigenvalues.size:
        sums = occupation_sums(
            torch.from_numpy(eigenvalues), torch.from_numpy(weights), float(level[-1]), BOLTZMANN * temperature
        )
        terms["n_electrons"], terms["band_energy_eV"], _ = sums
    elif temperature is not None and n_electrons is not None:
        terms["n_electrons"] = n_electrons
    files = re.findall(r"PseudoPot\. #\s*\d+ for\s+(\w+)\s+read from file:\s*(\S+)", text)
    cutoff = _real(text, r"charge density cutoff\s*=\s*(\S+)\s*Ry")
    threshold = _real(text, r"convergence threshold\s*=\s*(\S+)")
    pools = _real(text, r"K-points division:\s*npool\s*=\s*(\d+)")
    kinds = re.findall(r"Pseudo is\s+(.*)", text)
    return DFTRun(
        path=path,
        atoms=atoms,
        shape=(int(grid[1]), int(grid[2]), int(grid[3])) if grid else None,
        temperature=temperature,
        n_electrons=n_electrons,
        xc=_functional(text),
        pseudopotentials={re.split(r"[^A-Za-z]", s)[0]: Path(f).name for s, f in files},
        density_cutoff=None if cutoff is None else cutoff * RYDBERG,
        terms=terms,
        eigenvalues=eigenvalues,
        weights=weights,
        converged="convergence has been achieved" in text and "convergence NOT achieved" not in text,
        threshold=None if threshold is None else threshold / len(atoms),
        ultrasoft=any("Ultrasoft" in k or "Projector" in k for k in kinds) if kinds else None,
        pools=None if pools is None else int(pools),
    )


def _functional(text: str) -> str | None:
    found = re.search(r"Exchange-correlation\s*=\s*([^(\n]+)", text)
    return _FUNCTIONALS.get(" ".join(found[1].upper().replace("+", " ").split()[:4])) if found else None


def _real(text: str, pattern: str) -> float | None:
    found = re.findall(pattern, text)
    return float(found[-1]) if found else None


def _structure(path: Path) -> tuple[ase.Atoms, Array, Array]:
    """Atoms and, where they are printed, the eigenvalues, by ASE's reader."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = ase.io.read(path, format="espresso-out")
    except Exception as error:  # ASE's parser raises whatever Python does on text that breaks off
        raise DataFileError(str(path), f"cannot be read ({error})", "the whole output of pw.x") from error
    points = getattr(atoms.calc, "kpts", None) or []
    same = points and len({len(p.eps_n) for p in points}) == 1
    eigenvalues = np.array([p.eps_n for p in points]) if same else np.empty((0, 0))
    weights = np.array([p.weight for p in points], dtype=float) if same else np.empty(0)
    if len(weights):  # printed with seven digits
        weights *= 2.0 / weights.sum()
    atoms.calc = None
    return atoms, eigenvalues, weights
