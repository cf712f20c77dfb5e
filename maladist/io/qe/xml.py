"""Quantum ESPRESSO's data-file-schema.xml: every number at full precision (Hartree atomic units)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

import ase
import numpy as np
import torch
from ase.stress import full_3x3_to_voigt_6_stress

from maladist.arrays import Array
from maladist.errors import DataFileError, InputError
from maladist.io.qe.functionals import functional_of
from maladist.io.qe.run import (
    NOT_SELF_CONSISTENT,
    DFTRun,
    check_at_rest,
    symbol_of,
    temperature_of,
    within_threshold,
    without_dispersion,
)
from maladist.io.refused import refuse
from maladist.physics.broadening import occupation_sums
from maladist.units import BOHR, BOLTZMANN, HARTREE

_OTHER_TERMS: Final = 0.01
"""Largest difference, eV an atom, of a total energy from the sum of the terms that this program knows."""


class _NoDoctype(ET.TreeBuilder):
    """A tree without document types: those can define entities that grow without end, and no DFT code writes one."""

    def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
        raise ET.ParseError(f"a document type ({name:.20}), which Quantum ESPRESSO never writes")


def read_qe_xml(path: Path) -> DFTRun:
    """Read a calculation from data-file-schema.xml.

    Raises
    ------
    DataFileError
        A file that is truncated, is another XML, or lacks what a finished calculation has.
    PhysicsError
        Physics that this program does not have.
    """
    try:
        root = ET.parse(path, ET.XMLParser(target=_NoDoctype())).getroot()  # noqa: S314
    except (ET.ParseError, OSError, LookupError, ValueError) as error:  # the last two: an encoding that none knows
        raise DataFileError(str(path), f"cannot be read ({error})", "a complete data-file-schema.xml") from error
    out = root.find("output")
    if out is None:
        raise DataFileError(str(path), "no output section", "the XML of a calculation that ended")
    refuse("xml", root.findtext, path)
    try:
        return _run(path, root, out)
    except (LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        came = f"cannot be understood ({str(error) or type(error).__name__:.200})"
        raise DataFileError(str(path), came, "Quantum ESPRESSO's own XML") from error


def _text(parent: ET.Element, where: str) -> str:
    element = parent.find(where)
    if element is None or element.text is None:
        raise KeyError(f"no {where}")
    return element.text.strip()


def _real(text: str) -> float:
    return float(_reals(text).item())


def _reals(text: str) -> Array:
    values = np.array(text.split(), dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("numbers that are not finite")
    return values


def _flag(parent: ET.Element, where: str) -> bool:
    return (parent.findtext(where) or "").strip() == "true"


def _run(path: Path, root: ET.Element, out: ET.Element) -> DFTRun:
    atoms, last, bands, grid = (
        _atoms(out),
        root.find("step[last()]"),
        out.find("band_structure"),
        out.find("basis_set/fft_grid"),
    )
    if bands is None or grid is None:
        raise KeyError("no band structure")
    # Of dynamics pw.x writes the next structure as the output's: the density is of the last step's.
    if last is not None and last.findtext("total_energy/etot") == out.findtext("total_energy/etot"):
        check_at_rest(atoms, _atoms(last), path)  # else the last calculation is not a step's, but one at its end
    eigenvalues, weights = _bands(bands)
    smearing, temperature = bands.find("smearing"), None
    if smearing is not None:
        temperature = temperature_of(_real(smearing.attrib["degauss"]) * HARTREE, (smearing.text or "").strip())
    threshold, pools = root.findtext("input/electron_control/conv_thr"), root.findtext("parallel_info/npool")
    calculation = (root.findtext("input/control_variables/calculation") or "scf").strip()
    xc = functional_of(_text(out, "dft/functional"), path)
    terms, notes = _terms(path, out, len(atoms))
    told = [root.findtext(f"{part}/boundary_conditions/assume_isolated", "") for part in ("input", "output")]
    return DFTRun(
        path=path,
        atoms=atoms,
        shape=(int(grid.attrib["nr1"]), int(grid.attrib["nr2"]), int(grid.attrib["nr3"])),
        temperature=temperature,
        n_electrons=_real(_text(bands, "nelec")),
        xc=xc,
        pseudopotentials={
            symbol_of(s.attrib["name"]): _text(s, "pseudo_file") for s in out.findall("atomic_species/species")
        },
        density_cutoff=_real(_text(out, "basis_set/ecutrho")) * HARTREE,
        terms=terms | _sums(bands, eigenvalues, weights, temperature),
        eigenvalues=eigenvalues,
        weights=weights,
        # Forces and stress of a dispersion correction are not told apart from the rest; its
        # energy is, and is taken out.
        forces=_forces(out, len(atoms)) if "dispersion_eV" not in terms else None,
        stress=_stress(out) if "dispersion_eV" not in terms else None,
        calculation=calculation,
        converged=calculation in NOT_SELF_CONSISTENT or _converged(root, out),
        # pw.x writes it in Hartree, and per cell.
        threshold=None if not threshold else 2 * _real(threshold) / len(atoms),
        ultrasoft=_flag(out, "algorithmic_info/uspp"),
        pools=None if not pools else int(pools),
        full_precision=True,
        notes=notes,
        assume_isolated="2D" if "2d" in (text.strip().lower() for text in told) else None,
    )


def _converged(root: ET.Element, out: ET.Element) -> bool:
    reached = out.find("convergence_info/scf_conv/convergence_achieved")
    if reached is not None and (reached.text or "").strip() != "true":
        return False
    # Versions before 6.5 say only how far they came; with scf_must_converge = .false. later ones say "achieved" anyway.
    left, threshold = (
        out.findtext("convergence_info/scf_conv/scf_error"),
        root.findtext("input/electron_control/conv_thr"),
    )
    return left is None or threshold is None or within_threshold(_real(left), _real(threshold))


def _atoms(out: ET.Element) -> ase.Atoms:
    structure = out.find("atomic_structure")
    if structure is None:
        raise KeyError("no atomic structure")
    cell = np.array([_reals(_text(structure, f"cell/a{i}")) for i in (1, 2, 3)]) * BOHR
    every = structure.findall("atomic_positions/atom")
    if len(every) != int(structure.attrib.get("nat", len(every))):
        raise ValueError(f"{len(every)} atoms where nat is {structure.attrib['nat']}")
    positions = np.array([_reals(a.text or "") for a in every]) * BOHR
    return ase.Atoms([symbol_of(a.attrib["name"]) for a in every], positions, cell=cell, pbc=True)


def _bands(bands: ET.Element) -> tuple[Array, Array]:
    rows = bands.findall("ks_energies")
    eigenvalues = np.array([_reals(_text(r, "eigenvalues")) for r in rows]) * HARTREE
    weights = np.array([_real(r.find("k_point").attrib["weight"]) for r in rows])  # type: ignore[union-attr]
    if eigenvalues.ndim != 2 or not weights.sum() > 0:
        raise ValueError(f"{len(rows)} k-points whose bands or weights do not fit")
    # Versions differ in whether the weights add up to 1 or 2.
    return eigenvalues, weights / weights.sum() * 2.0  # both spins


def _sums(bands: ET.Element, eigenvalues: Array, weights: Array, temperature: float | None) -> dict[str, float]:
    """Fermi level and, from the eigenvalues at full precision, what is summed over the bands."""
    level = bands.findtext("fermi_energy")
    if not level:
        return {}
    mu = _real(level) * HARTREE
    if temperature is None:
        return {"fermi_energy_eV": mu}
    names = ("n_electrons", "band_energy_eV", "entropy_contribution_eV")
    sums = occupation_sums(torch.from_numpy(eigenvalues), torch.from_numpy(weights), mu, BOLTZMANN * temperature)
    return {"fermi_energy_eV": mu, **dict(zip(names, sums, strict=True))}


def _forces(out: ET.Element, n_atoms: int) -> Array | None:
    text = out.findtext("forces")
    return None if not text else _reals(text).reshape(n_atoms, 3) * (HARTREE / BOHR)


def _stress(out: ET.Element) -> Array | None:
    """Stress in ASE's sign: that of Quantum ESPRESSO is positive where the cell wants to grow."""
    text = out.findtext("stress")
    return None if not text else -full_3x3_to_voigt_6_stress(_reals(text).reshape(3, 3)) * (HARTREE / BOHR**3)


def _terms(path: Path, out: ET.Element, n_atoms: int) -> tuple[dict[str, float], tuple[str, ...]]:
    """Terms of the total energy, and notes; none of a calculation that did not compute it.

    A total that is not the sum of the terms that are known here holds one that is not: its name is not told, so that is
    noted and not refused; `maladist check` then says what it looks like.
    """
    energies = out.find("total_energy")
    if energies is None or _real(_text(energies, "etot")) == 0.0:
        return {}, ()
    told = {e.tag: _real(e.text) * HARTREE for e in energies if e.text}
    names = {
        "hartree_eV": "ehart",
        "xc_eV": "etxc",
        "xc_potential_eV": "vtxc",
        "ewald_eV": "ewald",
        "total_free_energy_eV": "etot",
    }
    terms = {ours: told[theirs] for ours, theirs in names.items()}
    dispersion = told.get("vdW_term", 0.0)
    known = told["eband"] + told.get("demet", 0.0) - told["ehart"] + told["etxc"] - told["vtxc"] + told["ewald"]
    other = told["etot"] - known - dispersion
    # Terms of a density that is not yet self-consistent differ by the first order of what the total does by the second.
    error = abs(_real(out.findtext("convergence_info/scf_conv/scf_error") or "0"))
    notes: tuple[str, ...] = ()
    if abs(other) > _OTHER_TERMS * n_atoms + HARTREE * error**0.5:
        notes = (
            f"the DFT's total energy differs by {other:.4g} eV from the sum of the terms that are known here: something"
            " of the calculation is not in this program",
        )
    kind = (out.findtext("dft/vdW/vdw_corr") or "none").strip()
    if kind.lower() != "none" or dispersion:
        terms, said = without_dispersion(terms, dispersion, kind, path)
        return terms, (*said, *notes)
    return terms, notes
