"""Programs of Quantum ESPRESSO: why one failed is told, and each level of pp.x goes to its own energy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from maladist.datasets.dft.programs import ldos_of_pp, run_program
from maladist.errors import DFTError
from maladist.grid import EnergyGrid, Grid
from maladist.io.fields import cube
from maladist.units import LDOS_QE


class Ended:
    """A scratch folder whose program has left this output and status."""

    def __init__(self, folder: Path, text: str, status: int) -> None:
        self.folder, self.text, self.status = folder, text, status

    def run(self, program: str, stem: str) -> int:
        (self.folder / f"{stem}.out").write_text(self.text)
        return self.status


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("JOB DONE.", 3, "stopped with status 3"),
        ("hello", 0, "stopped with status 0: hello"),
        ("", 0, "it said nothing"),
        ("  %%%%\n Error in routine x\n%%%%\n", 1, "status 1: Error in routine x"),
        ("convergence NOT achieved", 2, "did not converge"),
    ],
)
def test_a_program_that_fails_is_named(text: str, status: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(DFTError, match=words):
        run_program(Ended(tmp_path, text, status), "pw.x", "scf")
    run_program(Ended(tmp_path, "JOB DONE.", 0), "pw.x", "scf")


def test_levels_of_pp_are_ordered_by_their_energies_and_all_are_wanted(tmp_path: Path) -> None:
    """Not by the order of their files' names; and pp.x is told to broaden by a Gaussian."""
    xml = tmp_path / "out" / "m.save" / "data-file-schema.xml"
    xml.parent.mkdir(parents=True)
    xml.write_text('<smearing degauss="0.003">fermi-dirac</smearing>')
    atoms, grid = Atoms("Be", cell=3 * np.eye(3), pbc=True), Grid((3 * np.eye(3)).tolist(), (2, 3, 2))
    for number, energy in ((1, 0.5), (2, -0.5), (3, 0.0)):
        with (tmp_path / f"tmp.pp{number:03d}ldos.cube").open("w") as stream:
            cube.write_header(stream, atoms, grid, cube.level_title(energy, 0.1))
            cube.write_slab(stream, np.full(grid.shape, 1.0 + energy))
    ended, run = Ended(tmp_path, "JOB DONE.", 0), SimpleNamespace(shape=grid.shape)
    found = ldos_of_pp(ended, run, EnergyGrid(-0.5, 0.5, 3))
    np.testing.assert_allclose(found, np.broadcast_to(np.array([0.5, 1.0, 1.5]) * LDOS_QE, (*grid.shape, 3)), rtol=1e-5)
    assert "gaussian" in xml.read_text()
    with pytest.raises(DFTError, match="3 levels"):
        ldos_of_pp(ended, run, EnergyGrid(-0.5, 0.5, 4))
