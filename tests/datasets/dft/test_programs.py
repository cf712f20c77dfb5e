"""Programs of Quantum ESPRESSO: why one failed is told, and each level of pp.x goes to its own energy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from maladist.datasets.dft.programs import ldos_of_pp, run_program
from maladist.energy_grid import EnergyGrid
from maladist.errors import DFTError
from maladist.grid import Grid
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


class Writing(Ended):
    """A scratch folder whose pp.x writes the levels of its input, under the names that it always takes."""

    def run(self, program: str, stem: str) -> int:
        words = (self.folder / f"{stem}.in").read_text().replace("=", " ").split()
        low, high, by = (float(words[words.index(key) + 1].replace("d", "e")) for key in ("emin", "emax", "delta_e"))
        atoms, grid = Atoms("Be", cell=3 * np.eye(3), pbc=True), Grid((3 * np.eye(3)).tolist(), (2, 3, 2))
        for i in range(int((high - low) / by + 1e-3) + 1):
            with (self.folder / f"tmp.pp{i:03d}ldos.cube").open("w") as stream:
                cube.write_header(stream, atoms, grid, cube.level_title(low + i * by, 0.1))
                cube.write_slab(stream, np.full(grid.shape, low + i * by + 20))
        return super().run(program, stem)


def test_pp_runs_once_for_each_part_of_the_energies(tmp_path: Path) -> None:
    xml = tmp_path / "out" / "m.save" / "data-file-schema.xml"
    xml.parent.mkdir(parents=True)
    xml.write_text("")
    energies, run = EnergyGrid.of_parts([(-9.0, 0.5, 4), (0.0, 0.25, 3)]), SimpleNamespace(shape=(2, 3, 2))
    found = ldos_of_pp(Writing(tmp_path, "JOB DONE.", 0), run, energies)
    np.testing.assert_allclose(found, np.broadcast_to((energies.values + 20) * LDOS_QE, found.shape), rtol=1e-5)
