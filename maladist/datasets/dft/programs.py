"""Programs of Quantum ESPRESSO, run in a scratch folder, and what pp.x writes of an LDOS."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from maladist.datasets.dft.scratch import Scratch, ending
from maladist.energy_grid import EnergyGrid
from maladist.errors import DFTError
from maladist.io.fields import cube
from maladist.io.qe.input import force_gaussian, ldos_input
from maladist.io.qe.run import DFTRun
from maladist.units import LDOS_QE


def run_program(scratch: Scratch, program: str, stem: str, *, converges: bool = True) -> None:
    """Run a program of Quantum ESPRESSO in a scratch folder, from STEM.in to STEM.out.

    Parameters
    ----------
    converges
        Whether its self-consistency must converge.

    Raises
    ------
    DependencyError
        There is no such program.
    DFTError
        The program failed, did not converge, or nobody waits for the task any more.
    """
    status = scratch.run(program, stem)
    text = (scratch.folder / f"{stem}.out").read_text(errors="replace")
    if converges and "convergence NOT achieved" in text:
        remedy = "Try a smaller mixing_beta."
        raise DFTError(program, "the self-consistency did not converge", "convergence", remedy)
    if status != 0 or "JOB DONE" not in text:
        raise DFTError(program, f"it {ending(status)}: {_reason(text)}", "a calculation that ends")


def _reason(text: str) -> str:
    """What a program of Quantum ESPRESSO says between its lines of percent signs, or its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marks = [i for i, line in enumerate(lines) if line.startswith("%%%")]
    said = lines[marks[0] + 1 : marks[1]] if len(marks) > 1 else lines[-1:]
    return " ".join(said) or "it said nothing"


def ldos_of_pp(scratch: Scratch, run: DFTRun, energies: EnergyGrid) -> npt.NDArray[np.float32]:
    """LDOS of ultrasoft pseudopotentials, whose augmentation only pp.x knows, (Nx, Ny, Nz, levels), 1/(eV Å³).

    Raises
    ------
    DFTError
        pp.x failed, or wrote other levels.
    """
    folder = scratch.folder
    force_gaussian(folder / "out" / "m.save" / "data-file-schema.xml")
    assert run.shape is not None
    ldos, first = np.empty((*run.shape, energies.levels), np.float32), 0
    for part in energies.parts:
        for path in folder.glob("tmp.pp*ldos.cube") if first else ():  # of the part before, under the same names
            path.unlink()
        (folder / "pp.in").write_text(ldos_input(part))
        run_program(scratch, "pp.x", "pp")
        paths = sorted(folder.glob("tmp.pp*ldos.cube"))
        # By the energy that each file tells, not by the order of their names.
        headers = {cube.read_header(p).energy: p for p in paths}
        if len(headers) != part.levels:
            raise DFTError("pp.x", f"{len(headers)} levels", f"{part.levels}")
        for i, energy in enumerate(sorted(e for e in headers if e is not None)):
            for region, values in cube.read_slabs(headers[energy], run.shape[0]):
                ldos[(*region, first + i)] = values * LDOS_QE
        first += part.levels
    return ldos
