"""A calculation by GPAW with norm-conserving pseudopotentials, under the Python that GPAW belongs to.

A script of its own (numpy, scipy and GPAW only): that Python is another one than the worker's. ``gpaw python`` runs it
with the settings as JSON on its standard input, and it leaves result.json, density.npy and states{k}.npy in its folder.
Inside, all is in atomic units (Hartree, bohr).

GPAW's own reader of UPF files leaves out core charges and interpolates linearly. Here a file's functions become a
pseudopotential of GPAW so: the nucleus is a narrow Gaussian charge, and v_loc(r) less its potential is short-ranged,

    v̄(r) = v_loc(r) + Z erf(r/(√2 a))/r.

Only exchange and correlation may see a core charge: its Coulomb energy is undone by its negative, put with the nucleus.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import erf

WIDTH: Final = 0.25
"""a, bohr: two nuclei 0.95 Å apart interact as points do to 10 µeV."""

STEP: Final = 0.01
"""Spacing of the equidistant radii, bohr."""

END: Final = 10.0
"""Where files end, bohr, as for Quantum ESPRESSO: their tails, not quite −Z/r, are worth 0.6 meV an atom of Be."""

_BEGIN: Final = 1e-3  # bohr; what files tell of smaller radii has lost its digits when it is divided by them
_Y00: Final = 1 / np.sqrt(4 * np.pi)


def nucleus(r: Any, charge: float) -> Any:
    """Density of a nucleus as GPAW has it, a Gaussian, 1/bohr³."""
    return charge * np.exp(-0.5 * (r / WIDTH) ** 2) / (np.sqrt(2 * np.pi) * WIDTH) ** 3


def self_energy(charge: float) -> float:
    """Energy of that density in its own potential, Z²/(2√π a), Hartree."""
    return float(charge**2 / (2 * np.sqrt(np.pi) * WIDTH))


def energy_zero(charges: Any, volume: float) -> float:
    """By how much point charges put levels above Gaussians', whose potentials' means both are zero, Hartree.

    (1/Ω) Σ Z ∫ (1/r − erf(r/(√2 a))/r) d³r = 2π a² Σ Z / Ω; so Quantum ESPRESSO has its zero.
    """
    return float(2 * np.pi * WIDTH**2 * np.sum(charges) / volume)


def short_ranged(r: Any, v_local: Any, charge: float) -> Any:
    """v̄(r): v_loc(r) less the potential of the Gaussian, Hartree."""
    return v_local + charge * erf(r / (np.sqrt(2) * WIDTH)) / r


def equidistant(r: Any, values: Any, least: float) -> Any:
    """A function of the file's radii on equidistant ones, up to where it stays below ``least``."""
    kept = (r > _BEGIN) & (r <= END)
    r, values = r[kept], values[kept]
    (above,) = np.nonzero(np.abs(values) > least)
    last = min(above[-1] + 2, len(r) - 1) if above.size else np.searchsorted(r, 1.0)
    radii = np.arange(int(r[last] / STEP) + 1) * STEP
    # All of these functions, less their r^l, are even in r: no slope at zero.
    spline = CubicSpline(np.append(0.0, r), np.append(values[0], values), bc_type=((1, 0.0), "not-a-knot"))
    return spline(radii)


def coupling(momenta: Any, strengths: Any) -> Any:
    """D between the functions β_i Y_lm of an atom, (n, n): that between β_i and β_j where l and m are equal."""
    rows = [(i, (angular, m)) for i, angular in enumerate(momenta) for m in range(2 * angular + 1)]
    return np.array([[strengths[i][j] if one == other else 0.0 for j, other in rows] for i, one in rows])


def by_turns(momenta: Any) -> Any:
    """Order of projectors that GPAW wants: the first of each l, the second of each, ..."""
    turn = [list(momenta[:i]).count(angular) for i, angular in enumerate(momenta)]
    return sorted(range(len(momenta)), key=lambda i: (turn[i], momenta[i]))


class NormConserving:
    """A pseudopotential as GPAW asks for it: the members are those of its `UPFSetupData`, by GPAW's names.

    Parameters
    ----------
    symbol
        Chemical symbol.
    told
        ``valence``; ``radii``, bohr; ``local``, Hartree; ``core``, 1/bohr³, or None; ``projectors``, each r β(r), with
        ``momenta``; ``strengths``, D_ij, Hartree.
    """

    def __init__(self, symbol: str, told: dict[str, Any]) -> None:
        from ase.data import atomic_numbers
        from gpaw.atom.radialgd import EquidistantRadialGridDescriptor
        from gpaw.pseudopotential import figure_out_valence_states

        self.name, self.symbol, self.Z, self.Nv = "upf", symbol, atomic_numbers[symbol], told["valence"]
        self.Nc, self.rcgauss, self.filename, self.fingerprint = self.Z - self.Nv, 0.0, "", None
        self.rgd = EquidistantRadialGridDescriptor(STEP)
        r = np.array(told["radii"])
        order = by_turns(told["momenta"])
        self.l_j = [told["momenta"][i] for i in order]
        self.betas = [np.array(told["projectors"][i]) / r ** (1 + told["momenta"][i]) for i in order]
        self.betas = [equidistant(r, beta, 1e-7) for beta in self.betas]
        self.strengths = np.array(told["strengths"]).reshape(len(order), len(order))[np.ix_(order, order)]
        if not order:  # GPAW wants one
            self.l_j, self.betas, self.strengths = [0], [np.zeros(100)], np.zeros((1, 1))
        self.rcut_j = [STEP * (len(beta) - 1) for beta in self.betas]
        self.vbar_g = equidistant(r, short_ranged(r, np.array(told["local"]), self.Nv), 0.0)
        self.core = None if told["core"] is None else equidistant(r, np.array(told["core"]), 1e-9)
        radii = STEP * np.arange(len(self.core) if self.core is not None else 0)
        self.Nct = 0.0 if self.core is None else float(4 * np.pi * STEP * (radii**2 * self.core).sum())
        self.Delta0 = -(self.Nv + self.Nct) * _Y00
        self.Eh_compcharge = self_energy(self.Nv)
        self.n_j, self.l_orb_j, self.f_j, self.f_ln = figure_out_valence_states(self)

    def build(self, *_: Any) -> Any:
        """The pseudopotential, with its core charge, which GPAW's own class lacks."""
        from gpaw.pseudopotential import PseudoPotential

        made = PseudoPotential(self, self.create_basis_functions())
        if self.core is not None:
            made.Nct, made.nct = self.Nct, self._spline(0, self.core / _Y00)
        return made

    def get_projectors(self) -> Any:
        """β_i(r)/r^l, of one length."""
        longest = max(map(len, self.betas))
        return [
            self._spline(angular, np.pad(beta, (0, longest - len(beta))))
            for angular, beta in zip(self.l_j, self.betas, strict=True)
        ]

    def get_local_potential(self) -> Any:
        """v̄(r)."""
        return self._spline(0, self.vbar_g / _Y00)

    def get_compensation_charge_functions(self) -> Any:
        """Radii, momenta, and the density that `Delta0` multiplies: nucleus and core."""
        r = STEP * np.arange(max(int(7 * WIDTH / STEP), 0 if self.core is None else len(self.core)))
        total = nucleus(r, self.Nv)
        if self.core is not None:
            total[: len(self.core)] += self.core
        return r, [0], [4 * np.pi * total / (self.Nv + self.Nct)]

    def expand_hamiltonian_matrix(self) -> Any:
        """D_ij, packed."""
        from gpaw.utilities import pack2

        return pack2(coupling(self.l_j, self.strengths))

    def create_basis_functions(self) -> Any:
        """Gaussian orbitals of the valence, which the first density is made of."""
        from gpaw.atom.radialgd import EquidistantRadialGridDescriptor
        from gpaw.basis_data import Basis, BasisFunction

        rgd = EquidistantRadialGridDescriptor(0.02, 250)
        basis = Basis(self.symbol, "gaussian", readxml=False, rgd=rgd)
        basis.generatordata = "gaussian"
        for angular in self.l_orb_j:
            orbital = rgd.r_g**angular * np.exp(-(rgd.r_g**2) / 2.0)
            orbital /= (rgd.integrate(orbital**2) / (4 * np.pi)) ** 0.5
            basis.bf_j.append(BasisFunction(None, angular, rgd.r_g[-1], orbital, "gaussian"))
        return basis

    def print_info(self, text: Any, setup: Any) -> None:
        """What GPAW's log says of it."""
        del setup
        text(f"Norm-conserving pseudopotential of {self.symbol}, valence {self.Nv:g}")

    @staticmethod
    def _spline(angular: int, values: Any) -> Any:
        from gpaw.spline import Spline

        return Spline(angular, STEP * (len(values) - 1), values)


def calculator(told: dict[str, Any]) -> Any:
    """GPAW with the settings."""
    from gpaw import PW
    from gpaw.calculator import GPAW
    from gpaw.pw import lfc

    # Radial functions into reciprocal space: every 0.006 bohr, for 0.05, which is worth 0.8 meV an atom of Al.
    lfc.ft = partial(lfc.ft, N=2**13)

    class WholeDensity(GPAW):
        """All plane waves of n(r) that the grid holds, where GPAW keeps those of half the energy."""

        def create_density(self, realspace: Any, mode: Any, background: Any, h: Any) -> None:
            del h
            super().create_density(realspace, mode, background, h=1e-3)

    return WholeDensity(
        mode=PW(told["cutoff"], force_complex_dtype=True),
        xc=told["xc"],
        kpts={"size": told["mesh"], "gamma": True},
        gpts=told["shape"],
        setups={symbol: NormConserving(symbol, one) for symbol, one in told["pseudopotentials"].items()},
        occupations={"name": "fermi-dirac", "width": told["width"]},
        # k and −k have the same |ψ|²; other symmetries would leave states out of the sum.
        symmetry={"point_group": False},
        nbands=told["bands"] + told["spare"],
        convergence={**told["convergence"], "bands": told["bands"]},
        maxiter=200,
        txt="-",
    )


def of_core_in_local(calc: Any, n_atoms: int) -> tuple[float, Any]:
    """Energy ∫ v̄ n_core, which GPAW counts and no electron has, Hartree, and its forces, Hartree/bohr."""
    dens, ham = calc.density, calc.hamiltonian
    energy = ham.pd2.integrate(ham.vbar_Q, dens.nct_q)
    of_core, of_local = dens.nct.dict(derivative=True), ham.vbar.dict(derivative=True)
    dens.nct.derivative(ham.vbar_Q, of_core)
    ham.vbar.derivative(dens.nct_q, of_local)
    return float(energy), np.array([of_core[a][0] + of_local[a][0] for a in range(n_atoms)])


def main() -> None:
    """Calculate, and write what came out."""
    from ase import Atoms
    from ase.units import Bohr, Hartree

    told = json.load(sys.stdin)
    atoms = Atoms(told["symbols"], told["positions"], cell=told["cell"], pbc=True)
    atoms.calc = calc = calculator(told)
    total, forces = atoms.get_potential_energy(force_consistent=True), atoms.get_forces()
    excess, slopes = of_core_in_local(calc, len(atoms))
    wfs, bands, volume = calc.wfs, told["bands"], atoms.get_volume() / Bohr**3
    zero = energy_zero([setup.Nv for setup in wfs.setups], volume)
    for kpt in wfs.kpt_u:
        # Periodic parts, whose squares are |ψ|²; their mean is made one.
        states = np.stack([np.abs(wfs.pd.ifft(kpt.psit_nG[n], kpt.q)) ** 2 for n in range(bands)])
        np.save(f"states{kpt.k}.npy", (states * volume).astype(np.float32))
    np.save("density.npy", (calc.density.nt_sG[0] - calc.density.nct_G) / Bohr**3)
    result = {
        "eigenvalues": [((kpt.eps_n[:bands] + zero) * Hartree).tolist() for kpt in wfs.kpt_u],
        "weights": [2 * float(wfs.kd.weight_k[kpt.k]) for kpt in wfs.kpt_u],
        "fermi": float(calc.get_fermi_level()) + zero * Hartree,
        "total": float(total) - excess * Hartree,
        "xc": float(calc.hamiltonian.e_xc) * Hartree,
        "forces": (forces - slopes * Hartree / Bohr).tolist(),
    }
    Path("result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
