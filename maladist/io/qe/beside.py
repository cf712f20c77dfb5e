"""The self-consistent calculation that a non-self-consistent one took its potential from.

The usual way to an LDOS is an scf, an nscf with a denser mesh and more bands, then pp.x. The nscf knows its eigenvalues
and their Fermi level, the scf the other terms. With the potential of the one and the eigenvalues of the other, E_b − TS
of the scf is replaced by that of the nscf in the total: Harris' functional, whose error is of second order in the
change of the density that the denser mesh would have brought.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from maladist.errors import DFTError, InputError
from maladist.io.qe.output import is_qe_output, read_runs
from maladist.io.qe.run import NOT_SELF_CONSISTENT, DFTRun
from maladist.io.qe.xml import read_qe_xml

_OF_DENSITY: Final = ("hartree_eV", "xc_eV", "xc_potential_eV", "ewald_eV", "dispersion_eV")
_LARGEST: Final = 2**28
"""Bytes of a file beside that is looked into at most."""


def with_scf(run: DFTRun) -> DFTRun:
    """Complete a non-self-consistent run from the scf in its file or beside it, or say that there is none.

    Raises
    ------
    DFTError
        The run is of bands along a path, whose k-points are no mesh to integrate over.
    """
    if run.calculation not in NOT_SELF_CONSISTENT:
        return run
    if run.calculation == "bands":
        remedy = "Run calculation = 'nscf' with a mesh of k-points."
        raise DFTError(str(run.path), "bands along a path (calculation = 'bands')", "an scf or nscf run", remedy)
    same = [scf for scf in _beside(run) if _fits(scf, run)]
    fitting = [scf for scf in same if scf.converged]
    # The LDOS is as good without: only what the scf alone can tell is left out, and said to be.
    if not fitting:
        note = (
            f"{run.path.name} is of a non-self-consistent run (nscf): the terms of the total energy are not in it;"
            " put the scf's pw.out or XML beside it to have them compared"
        )
        if same:
            note = f"{run.path.name} is of an nscf, and the scf beside it, {same[0].path.name}, did not converge"
        return replace(run, notes=(*run.notes, note))
    # All digits before four of them, and the latest of several that would do.
    scf = max(fitting, key=lambda s: (s.full_precision, s.path.stat().st_mtime))
    # Of the scf only what depends on the density: levels and occupations are the nscf's own.
    terms = dict(run.terms) | {k: v for k, v in scf.terms.items() if k in _OF_DENSITY}
    # Harris' functional, see above: the nscf's E_b − TS in place of the scf's.
    if (change := _bands_and_entropy(run)) is not None and (of_scf := _bands_and_entropy(scf)) is not None:
        terms["total_free_energy_eV"] = scf.terms["total_free_energy_eV"] + change - of_scf
    note = (
        f"{run.path.name} is of a non-self-consistent run (nscf): the density's energies are those of {scf.path.name}"
    )
    return replace(run, terms=terms, threshold=scf.threshold, notes=(*run.notes, note))


def _beside(run: DFTRun) -> Iterator[DFTRun]:
    """Readable runs in the same file, in its folder, and around a folder PREFIX.save."""
    folders = [run.path.resolve().parent]
    # pw.x writes its XML into the .save folder and again beside it; outputs lie where the user ran it.
    if folders[0].suffix == ".save":
        folders += folders[0].parents[:2]
    paths = [p for folder in folders for p in sorted(folder.iterdir()) if p.is_file() and p.stat().st_size < _LARGEST]
    for path in paths:
        try:
            if path.suffix == ".xml" and path != run.path.resolve():
                yield read_qe_xml(path)
            elif path.suffix != ".xml" and is_qe_output(path):
                yield from read_runs(path)
        except (InputError, OSError):  # whatever else lies there is not what is looked for
            continue


def _fits(scf: DFTRun, run: DFTRun) -> bool:
    """Whether a run is an scf of the same atoms, density and temperature."""
    same_atoms = (
        len(scf.atoms) == len(run.atoms)
        and bool((scf.atoms.numbers == run.atoms.numbers).all())
        and np.allclose(scf.atoms.cell.array, run.atoms.cell.array, atol=1e-4)
        and np.allclose(_residual(scf, run), 0.0, atol=1e-4)
    )
    return (
        same_atoms
        and scf.calculation not in NOT_SELF_CONSISTENT
        and (not scf.converged or "total_free_energy_eV" in scf.terms)
        and scf.assume_isolated == run.assume_isolated
        and (scf.xc, scf.shape, dict(scf.pseudopotentials)) == (run.xc, run.shape, dict(run.pseudopotentials))
        and scf.temperature is not None
        and run.temperature is not None
        and abs(scf.temperature - run.temperature) < 20.0  # K: printed outputs tell it to ±8
    )


def _residual(scf: DFTRun, run: DFTRun) -> np.ndarray:
    """Differences of the positions but for lattice vectors, Å."""
    scaled = scf.atoms.get_scaled_positions(wrap=False) - run.atoms.get_scaled_positions(wrap=False)
    return (scaled - scaled.round()) @ run.atoms.cell.array


def _bands_and_entropy(run: DFTRun) -> float | None:
    terms = [run.terms.get(name) for name in ("band_energy_eV", "entropy_contribution_eV")]
    return None if None in terms else sum(t for t in terms if t is not None)
