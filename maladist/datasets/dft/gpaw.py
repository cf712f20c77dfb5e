"""GPAW as the code of a data set, with its settings from a YAML file that says ``code: gpaw``.

Plane waves and the norm-conserving pseudopotentials that Quantum ESPRESSO takes, from the same files; every key is in
the classes `DFTSetup`, `PlaneWaves` and `GPAW`. It has no stress: models that learn one want Quantum ESPRESSO's data.
"""

from __future__ import annotations

import json
import math
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import ase
import numpy as np
import torch
from pydantic import model_validator
from scipy.fft import next_fast_len

from maladist.choices import Functional
from maladist.datasets.dft import gpaw_program
from maladist.datasets.dft.code import Calculated
from maladist.datasets.dft.plane_waves import PlaneWaves
from maladist.datasets.dft.scratch import Scratch, ending
from maladist.errors import DFTError, InputError
from maladist.io.qe.projectors import read_projectors
from maladist.io.qe.run import DFTRun
from maladist.io.qe.wavefunctions import sum_of_states
from maladist.physics.broadening import occupation_sums
from maladist.units import BOHR, BOLTZMANN, HARTREE, RYDBERG, RYDBERG_BOHR2

_XC: Final[dict[Functional, str]] = {"pbe": "PBE", "pw92": "LDA", "pz": "LDA_X+LDA_C_PZ"}
"""GPAW's names of our functionals."""

_NEAREST: Final = 0.95  # Å; nearer nuclei would feel that theirs are Gaussians


class GPAW(PlaneWaves):
    """GPAW, as the program gpaw.

    Attributes
    ----------
    code
        Name of the code in the YAML file.
    """

    code: Literal["gpaw"]

    @model_validator(mode="after")
    def _is_physics_that_is_here(self) -> GPAW:
        """Refuse pseudopotentials that GPAW cannot take, before anything runs."""
        self._check_one_functional()
        if silent := sorted(symbol for symbol, e in self.elements.items() if e.xc is None):
            came = f"that of {silent[0]} does not tell its functional"
            raise InputError("pseudopotentials", came, f"files for one of {', '.join(_XC)}")
        _ = self.pseudopotentials_of_gpaw
        return self

    @property
    def program(self) -> str:
        """Program that must be on every worker."""
        return "gpaw"

    @property
    def xc(self) -> Functional:
        """Functional of the pseudopotentials."""
        return next(e.xc for e in self.elements.values() if e.xc is not None)

    def check(self, atoms: ase.Atoms) -> None:
        """Refuse atoms that there is no mesh of k-points for, or that are too near each other; see `DFTCode`."""
        self.mesh(atoms)
        apart = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
        if apart.size and apart.min() < _NEAREST:
            raise InputError("atoms", f"{apart.min():.2f} Å apart", f"{_NEAREST} Å or more with GPAW")

    def calculate(self, atoms: ase.Atoms, scratch: Scratch) -> Calculated:
        """Calculate a snapshot; see `DFTCode`."""
        torch.set_num_threads(max(1, self.threads))
        run, _ = self._covering(atoms, scratch)
        assert run.shape is not None
        every = (
            np.load(scratch.folder / f"states{k}.npy").reshape(-1, math.prod(run.shape))
            for k in range(len(run.weights))
        )
        return Calculated(run, np.load(scratch.folder / "density.npy"), sum_of_states(every, run, self.energy_grid))

    def shape(self, atoms: ase.Atoms) -> tuple[int, int, int]:
        """Grid that holds all plane waves of the density, with sizes that transform fast: that of pw.x."""
        longest = math.sqrt(self._ecutrho * RYDBERG / RYDBERG_BOHR2)  # 1/Å
        sizes = (2 * int(longest * a / (2 * math.pi)) + 1 for a in atoms.cell.lengths())
        a, b, c = (next_fast_len(n, real=True) for n in sizes)
        return a, b, c

    @cached_property
    def pseudopotentials_of_gpaw(self) -> dict[str, dict[str, Any]]:
        """Pseudopotentials by symbol as `gpaw_program` takes them, in Hartree and bohr."""
        told: dict[str, dict[str, Any]] = {}
        for symbol, e in self.elements.items():
            path = Path(self.pseudopotentials) / e.pseudopotential
            if e.local_radii is None or e.local_potential is None:
                raise InputError(str(path), "has no local potential", "a norm-conserving pseudopotential")
            projectors = read_projectors(path, len(e.local_radii))
            told[symbol] = {
                "valence": e.valence,
                "radii": (e.local_radii / BOHR).tolist(),
                "local": (e.local_potential / HARTREE).tolist(),
                "core": None if e.core_density is None else (e.core_density * BOHR**3).tolist(),
                "momenta": projectors.momenta,
                "projectors": (projectors.functions * math.sqrt(BOHR)).tolist(),
                "strengths": (projectors.strengths / HARTREE).tolist(),
            }
        return told

    def settings(self, atoms: ase.Atoms, bands: int) -> dict[str, object]:
        """What `gpaw_program` reads: energies in eV and lengths in Å, but for the pseudopotentials."""
        return {
            "symbols": atoms.get_chemical_symbols(),
            "positions": atoms.positions.tolist(),
            "cell": atoms.cell.array.tolist(),
            "cutoff": self.ecutwfc * RYDBERG,
            "xc": _XC[self.xc],
            "mesh": self.mesh(atoms),
            "shape": self.shape(atoms),
            "width": BOLTZMANN * self.temperature,
            "bands": bands,
            # Not to converge, nor kept: those below converge faster for them.
            "spare": max(3, bands // 8),
            # eV an electron, electrons an electron, eV²; of the last two A feels the square, E_b does not.
            "convergence": {
                "energy": 10 * self.convergence * RYDBERG,
                "density": math.sqrt(self.convergence) / 10,
                "eigenstates": self.convergence,
            },
            "pseudopotentials": {s: self.pseudopotentials_of_gpaw[s] for s in set(atoms.get_chemical_symbols())},
        }

    def _scf(self, atoms: ase.Atoms, scratch: Scratch, bands: int) -> tuple[DFTRun, float]:
        """A converged calculation with so many bands, and its Fermi level, eV."""
        (scratch.folder / "scf.in").write_text(json.dumps(self.settings(atoms, bands)))
        status = scratch.run("gpaw", "scf", "python", gpaw_program.__file__)
        if status != 0:
            said = [s for s in (scratch.folder / "scf.out").read_text(errors="replace").splitlines() if s.strip()]
            raise DFTError(
                "gpaw",
                f"it {ending(status)}: {said[-1].strip() if said else 'it said nothing'}",
                "a calculation that ends",
            )
        path = scratch.folder / "result.json"
        result = json.loads(path.read_text())
        eigenvalues, weights = np.array(result["eigenvalues"]), np.array(result["weights"])
        mu = result["fermi"]
        names = ("n_electrons", "band_energy_eV", "entropy_contribution_eV")
        sums = occupation_sums(
            torch.from_numpy(eigenvalues), torch.from_numpy(weights), mu, BOLTZMANN * self.temperature
        )
        run = DFTRun(
            path,
            ase.Atoms(atoms.get_chemical_symbols(), atoms.positions, cell=atoms.cell, pbc=True),
            self.shape(atoms),
            self.temperature,
            self._electrons(atoms),
            self.xc,
            {s: self.elements[s].pseudopotential for s in set(atoms.get_chemical_symbols())},
            self._ecutrho * RYDBERG,
            {
                "fermi_energy_eV": mu,
                **dict(zip(names, sums, strict=True)),
                "xc_eV": result["xc"],
                "total_free_energy_eV": result["total"],
            },
            eigenvalues,
            weights,
            np.array(result["forces"]),
            threshold=self.convergence,
            ultrasoft=False,
            full_precision=True,
        )
        return run, mu
