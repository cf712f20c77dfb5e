"""The printed output of pw.x, for those who kept nothing else: four digits of the eigenvalues, eight of the terms.

A file may hold several runs, each many steps of a relaxation or of dynamics; the last one that was computed is read,
with the structure that it was computed for: what stands before its energies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import ase
import numpy as np
import torch

from maladist.arrays import Array
from maladist.errors import DataFileError, InputError, PhysicsError
from maladist.io.qe.functionals import functional_of
from maladist.io.qe.printed import (
    REAL,
    last_real,
    last_structure,
    printed_forces,
    printed_stress,
    reals,
    temperature_printed,
)
from maladist.io.qe.run import DFTRun, check_at_rest, symbol_of, within_threshold, without_dispersion
from maladist.io.refused import refuse_output
from maladist.physics.broadening import occupation_sums
from maladist.physics.system import check_neutral
from maladist.units import BOLTZMANN, RYDBERG

_START: Final = "Program PWSCF"
_TERMS: Final = {
    "hartree contribution": "hartree_eV",
    "xc contribution": "xc_eV",
    "ewald contribution": "ewald_eV",
    "smearing contrib. (-TS)": "entropy_contribution_eV",
    "total energy": "total_free_energy_eV",
}
_PERHAPS: Final = ("smearing contrib. (-TS)",)  # printed where it is not zero
_KNOWN: Final = {*_TERMS, "one-electron contribution", "internal energy E=F+TS", "total energy (F=E-TS)"}
_NOT_TERMS: Final = ("Harris", "estimated scf accuracy", "total all-electron energy", "->")


def is_qe_output(path: Path) -> bool:
    """Whether a file is the output of pw.x, perhaps after the messages of a queue."""
    with path.open("rb") as stream:
        return _START.encode() in stream.read(2**16)


def read_qe_output(path: Path) -> DFTRun:
    """Read a calculation from the output of pw.x; the last step of the last run where it has several.

    Raises
    ------
    DataFileError
        The output breaks off before its energies.
    PhysicsError
        Physics that this program does not have.
    """
    return next(read_runs(path))


def read_runs(path: Path) -> Iterator[DFTRun]:
    """Read every run of an output, the last first; errors are those of :func:`read_qe_output`."""
    try:
        # Queues and shells print their own words around pw.x', in any encoding.
        text = path.read_text(errors="replace")
    except OSError as error:
        raise DataFileError(str(path), f"cannot be read ({error.strerror})", "the output of pw.x") from error
    # Restarts append to one file: each begins with pw.x' own name.
    runs = [_START + run for run in text.split(_START)[1:]]
    for run in reversed(runs):
        refuse_output(run, path)
        try:
            yield _run(run, path, len(runs))
        except (LookupError, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            came = f"cannot be understood ({str(error) or type(error).__name__:.200})"
            raise DataFileError(str(path), came, "the whole output of pw.x") from error


class _Step(NamedTuple):
    """The last calculation of a run: what was printed before its end, after it up to the verdict, and then."""

    before: str
    after: str
    slopes: str
    self_consistent: bool
    converged: bool


def _last_step(text: str, path: Path) -> _Step:
    ends = [*re.finditer(r"End of (self-consistent|band structure) calculation", text)]
    # From the end: the last calculation may have been cut off, and then the one before it counts.
    for i in range(len(ends) - 1, -1, -1):
        after = text[ends[i].end() : ends[i + 1].start() if i + 1 < len(ends) else len(text)]
        if ends[i][1] == "band structure":
            return _Step(text[: ends[i].start()], after, "", self_consistent=False, converged=True)
        if verdict := re.search(r"convergence (has been achieved|NOT achieved)", after):
            before, terms, slopes = text[: ends[i].start()], after[: verdict.start()], after[verdict.end() :]
            error, threshold = last_real(terms, r"estimated scf accuracy\s*<\s*" + REAL), _threshold(before)
            # With scf_must_converge = .false. pw.x prints "achieved" after its last step, however far it came.
            within = error is None or threshold is None or within_threshold(error, threshold)
            converged = within and verdict[1] != "NOT achieved"
            return _Step(before, terms, slopes, self_consistent=True, converged=converged)
    raise DataFileError(str(path), "no total energy: it breaks off before", "the output of a calculation that ended")


def _run(text: str, path: Path, n_runs: int) -> DFTRun:
    step = _last_step(text, path)
    notes = [f"{path.name} holds {n_runs} runs: the last was read"] if n_runs > 1 else []
    if "JOB DONE" not in text:
        notes.append(f"{path.name} breaks off: its last finished step was read")
    # The structure that stands before the energies is the one that they are of.
    atoms = last_structure(step.before)
    # Of dynamics pw.x prints the next structure after the energies: a density of this one would
    # have the headers of that.
    if step.self_consistent:
        check_at_rest(last_structure(text), atoms, path)
    temperature, said = temperature_printed(step.before)
    eigenvalues, weights, omitted = _bands(step)
    terms, about_terms = _terms(step, path)
    terms |= _sums(step.after, eigenvalues, weights, temperature)
    grid = re.findall(r"Dense +grid:.*FFT dimensions:\s*\(\s*(\d+),\s*(\d+),\s*(\d+)\)", step.before)
    n_electrons = last_real(step.before, r"number of electrons\s*=\s*" + REAL)
    _check_charge(step.before, atoms, n_electrons, path)
    files = re.findall(r"PseudoPot\. #\s*\d+ for\s+(\w+)\s+read from file:\s*(\S+)", step.before)
    kinds = re.findall(r"Pseudo is\s+(.*)", step.before)
    functional = re.findall(r"Exchange-correlation\s*=\s*([^(\n]+)", step.before)
    cutoff = last_real(step.before, r"charge density cutoff\s*=\s*" + REAL)
    threshold = _threshold(step.before)
    pools = last_real(step.before, r"K-points division:\s*npool\s*=\s*(\d+)")
    return DFTRun(
        path=path,
        atoms=atoms,
        shape=(int(grid[-1][0]), int(grid[-1][1]), int(grid[-1][2])) if grid else None,
        temperature=temperature,
        n_electrons=n_electrons,
        xc=functional_of(functional[-1], path) if functional else None,
        pseudopotentials={symbol_of(s): Path(f).name for s, f in files},
        density_cutoff=None if cutoff is None else cutoff * RYDBERG,
        terms=terms,
        eigenvalues=eigenvalues,
        weights=weights,
        # As in the XML: those of a dispersion correction are not told apart from the rest.
        forces=None if "dispersion_eV" in terms else printed_forces(step.slopes, len(atoms)),
        stress=None if "dispersion_eV" in terms else printed_stress(step.slopes),
        calculation="scf" if step.self_consistent else "nscf" if "fermi_energy_eV" in terms else "bands",
        converged=step.converged,
        threshold=None if threshold is None else threshold / len(atoms),
        ultrasoft=any("Ultrasoft" in k for k in kinds) if kinds else None,
        pools=None if pools is None else int(pools),
        notes=(*notes, *said, *omitted, *about_terms),
        assume_isolated="2D" if "code is running with the 2D cutoff" in text else None,
    )


def _threshold(text: str) -> float | None:
    """Threshold of the self-consistency, Ry of the cell."""
    return last_real(text, r"convergence threshold\s*=\s*" + REAL)


def _check_charge(text: str, atoms: ase.Atoms, n_electrons: float | None, path: Path) -> None:
    # The valences are in a table of their own; with them an output is held to be of a neutral cell.
    table = re.findall(r"atomic species\s+valence\s+mass.*\n((?:\s*\w+\s+[\d.]+\s+[\d.]+\s+.*\n)+)", text)
    if not table or n_electrons is None:
        return
    valence = {symbol_of(row.split()[0]): float(row.split()[1]) for row in table[-1].splitlines() if row.strip()}
    if set(valence) >= set(atoms.get_chemical_symbols()):
        each = [valence[s] for s in atoms.get_chemical_symbols()]
        # Half of the last printed digit, of the sum and, where valences are no whole numbers, of each of them.
        printed = 0.006 if all(v.is_integer() for v in each) else 0.006 * (1 + len(each))  # two decimals
        check_neutral(n_electrons, each, str(path), printed)


def _bands(step: _Step) -> tuple[Array, Array, tuple[str, ...]]:
    """Eigenvalues (k, bands) and weights of both spins, or why there are none."""
    nothing = np.empty((0, 0)), np.empty(0)
    blocks = re.findall(r"k =.*bands \(ev\):\s*\n\n((?:[-+.\d \t]+\n)+)", step.after)
    count = last_real(step.before, r"number of k points\s*=\s*(\d+)")
    weights = re.findall(r"k\(\s*\d+\) = \(.*\), wk\s*=\s*([\d.]+)", step.before)[: len(blocks)]
    if not blocks or len(weights) < len(blocks):
        why = "eigenvalues and k-points are not printed: nothing holds the LDOS against them"
        return *nothing, (f"{why} (run pw.x with verbosity = 'high', or give data-file-schema.xml)",)
    # Above some 100 k-points pw.x prints none unless it is told to: better no bands than half of them.
    if count is not None and len(blocks) != count:
        raise ValueError(f"eigenvalues of {len(blocks)} k-points where there are {count:g}")
    eigenvalues = np.array([reals(b) for b in blocks])
    w = np.array(weights, dtype=float)
    return eigenvalues, w * (2.0 / w.sum()), ()  # printed with seven digits


def _terms(step: _Step, path: Path) -> tuple[dict[str, float], tuple[str, ...]]:
    """Terms of the total energy, and what is to be said of them.

    Raises
    ------
    PhysicsError
        A term that this program does not have.
    """
    terms: dict[str, float] = {}
    dispersion, kind = 0.0, ""
    for name, value in re.findall(r"^!*[ \t]*([^=\n]+?)\s*=\s*" + REAL + r" Ry[ \t]*$", step.after, re.MULTILINE):
        energy = float(reals(value)[0]) * RYDBERG
        # A term that we do not have is refused by its name; one that is not printed is found by `maladist check`.
        if "Dispersion" in name:
            dispersion, kind = energy, name
        elif name in _TERMS:
            terms[_TERMS[name]] = energy
        elif name not in _KNOWN and not name.startswith(_NOT_TERMS):
            came = f"a term of the total energy that this program does not have ({name}, {energy:.4g} eV)"
            raise PhysicsError(str(path), came, "a calculation without it")
    if step.self_consistent and step.converged and "total_free_energy_eV" not in terms:
        raise ValueError("no total energy")
    lost = [n for n, ours in _TERMS.items() if n not in _PERHAPS and ours not in terms] if step.self_consistent else []
    notes = (f"{', '.join(lost)}: no number that can be read, so nothing is held against it",) if lost else ()
    if not dispersion:
        return terms, notes
    terms, said = without_dispersion(terms, dispersion, kind, path)
    return terms, (*said, *notes)


def _sums(text: str, eigenvalues: Array, weights: Array, temperature: float | None) -> dict[str, float]:
    """Fermi level, and what is summed over the bands where they are printed."""
    level = last_real(text, r"the Fermi energy is\s*" + REAL + " ev")
    if level is None:
        return {}
    terms = {"fermi_energy_eV": level}
    if temperature is not None and eigenvalues.size:
        tau = BOLTZMANN * temperature
        sums = occupation_sums(torch.from_numpy(eigenvalues), torch.from_numpy(weights), level, tau)
        terms |= {"n_electrons": sums[0], "band_energy_eV": sums[1]}
    return terms
