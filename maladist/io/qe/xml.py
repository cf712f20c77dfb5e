"""Quantum ESPRESSO's data-file-schema.xml: every number at full precision (Hartree atomic units)."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import ase
import numpy as np
import torch

from maladist.errors import DataFileError
from maladist.io.qe.run import Array, DFTRun, temperature_of
from maladist.physics.broadening import occupation_sums
from maladist.units import BOHR, BOLTZMANN, HARTREE

FUNCTIONALS = {
    "pbe": "pbe",
    "sla+pw+pbx+pbc": "pbe",
    "sla+pw": "pw92",
    "sla+pw+nogx+nogc": "pw92",
    "pz": "pz",
    "lda": "pz",
    "sla+pz": "pz",
    "sla+pz+nogx+nogc": "pz",
}


def read_qe_xml(path: Path) -> DFTRun:
    """Read a calculation from data-file-schema.xml.

    Raises
    ------
    DataFileError
        A file that is truncated, is another XML, or lacks what a finished calculation has.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314  (expat since 2.4 refuses entity bombs)
    except (ET.ParseError, OSError) as error:
        raise DataFileError(str(path), f"cannot be read ({error})", "a complete data-file-schema.xml") from error
    out = root.find("output")
    if out is None:
        raise DataFileError(str(path), "no output section", "the XML of a calculation that ended")
    try:
        return _run(path, root, out)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataFileError(str(path), f"cannot be understood ({error})", "Quantum ESPRESSO's own XML") from error


def _text(parent: ET.Element, where: str) -> str:
    found = parent.find(where)
    if found is None or found.text is None:
        raise KeyError(f"no {where}")
    return found.text.strip()


def _numbers(text: str) -> Array:
    return np.array(text.split(), dtype=np.float64)


def _flag(parent: ET.Element, where: str) -> bool:
    found = parent.find(where)
    return found is not None and (found.text or "").strip() == "true"


def _run(path: Path, root: ET.Element, out: ET.Element) -> DFTRun:
    atoms = _atoms(out)
    bands = out.find("band_structure")
    grid = out.find("basis_set/fft_grid")
    if bands is None or grid is None:
        raise KeyError("no band structure")
    eigenvalues, weights = _bands(bands)
    smearing, temperature = bands.find("smearing"), None
    if smearing is not None:
        temperature = temperature_of(float(smearing.attrib["degauss"]) * HARTREE, (smearing.text or "").strip())
    threshold = root.find("input/electron_control/conv_thr")
    pools = root.find("parallel_info/npool")
    ultrasoft = _flag(out, "algorithmic_info/uspp") or _flag(out, "algorithmic_info/paw")
    species = out.findall("atomic_species/species")
    return DFTRun(
        path=path,
        atoms=atoms,
        shape=(int(grid.attrib["nr1"]), int(grid.attrib["nr2"]), int(grid.attrib["nr3"])),
        temperature=temperature,
        n_electrons=float(_text(bands, "nelec")),
        xc=FUNCTIONALS.get(_text(out, "dft/functional").lower().replace(" ", "+").replace("-", "+")),
        pseudopotentials={_symbol(s.attrib["name"]): _text(s, "pseudo_file") for s in species},
        density_cutoff=float(_text(out, "basis_set/ecutrho")) * HARTREE,
        terms=_terms(out, bands, eigenvalues, weights, temperature),
        eigenvalues=eigenvalues,
        weights=weights,
        converged=_flag(out, "convergence_info/scf_conv/convergence_achieved"),
        threshold=None if threshold is None or not threshold.text else 2 * float(threshold.text) / len(atoms),
        ultrasoft=ultrasoft,
        pools=None if pools is None or not pools.text else int(pools.text),
        full_precision=True,
    )


def _symbol(name: str) -> str:
    """Chemical symbol of a species: Quantum ESPRESSO allows Be1, Be_a and the like."""
    return re.split(r"[^A-Za-z]", name)[0].capitalize()


def _atoms(out: ET.Element) -> ase.Atoms:
    structure = out.find("atomic_structure")
    if structure is None:
        raise KeyError("no atomic structure")
    cell = np.array([_numbers(_text(structure, f"cell/a{i}")) for i in (1, 2, 3)]) * BOHR
    every = structure.findall("atomic_positions/atom")
    positions = np.array([_numbers(a.text or "") for a in every]) * BOHR
    return ase.Atoms([_symbol(a.attrib["name"]) for a in every], positions, cell=cell, pbc=True)


def _bands(bands: ET.Element) -> tuple[Array, Array]:
    rows = bands.findall("ks_energies")
    eigenvalues = np.array([_numbers(_text(r, "eigenvalues")) for r in rows]) * HARTREE
    weights = np.array([float(r.find("k_point").attrib["weight"]) for r in rows])  # type: ignore[union-attr]
    # Weights sum to 2 without spin; with spin each k has both spins' bands, with spinors one, and they sum to 1.
    polarised = _flag(bands, "lsda") or _flag(bands, "noncolin")
    return eigenvalues, weights / weights.sum() * (1.0 if polarised else 2.0)


def _terms(
    out: ET.Element, bands: ET.Element, eigenvalues: Array, weights: Array, temperature: float | None
) -> dict[str, float]:
    """Energies by the contract's names; the band energy and −TS from eigenvalues at full precision."""
    terms: dict[str, float] = {}
    names = {"hartree_eV": "ehart", "xc_eV": "etxc", "xc_potential_eV": "vtxc", "ewald_eV": "ewald"}
    total = out.find("total_energy")
    if total is not None and float(_text(total, "etot")) != 0.0:
        terms = {ours: float(_text(total, theirs)) * HARTREE for ours, theirs in names.items()}
        terms["total_free_energy_eV"] = float(_text(total, "etot")) * HARTREE
    level = bands.find("fermi_energy")
    if level is not None and level.text:
        mu = float(level.text) * HARTREE
        terms["fermi_energy_eV"] = mu
        if temperature is not None:
            sums = occupation_sums(
                torch.from_numpy(eigenvalues), torch.from_numpy(weights), mu, BOLTZMANN * temperature
            )
            terms["n_electrons"], terms["band_energy_eV"], terms["entropy_contribution_eV"] = sums
    return terms
