"""Inputs of pw.x and pp.x: what another reader makes of them, and numbers as Fortran wants them."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from maladist import EnergyGrid
from maladist.io.qe.input import force_gaussian, ldos_input, pw_input
from tests.io.conftest import FileOf


def test_another_reader_finds_the_atoms_and_the_settings(tmp_path: Path) -> None:
    atoms = Atoms("OBe", [[0.1234567890123, -1, 2], [1 / 3, 0, 0]], cell=[[2, 0.1, 0], [0, 3, 0], [0, 0, 4]], pbc=True)
    system = {"ecutwfc": 18.0, "nosym": True, "smearing": "fermi-dirac", "degauss": 1e-05}
    text = pw_input(atoms, {"O": "O.UPF", "Be": "Be.UPF"}, (2, 3, 4), system, {"conv_thr": 2e-9}, "/pp")
    (tmp_path / "scf.in").write_text(text)
    found = ase.io.read(tmp_path / "scf.in", format="espresso-in")
    assert found.get_chemical_symbols() == ["O", "Be"]
    np.testing.assert_allclose(found.positions, atoms.positions, atol=1e-12)
    np.testing.assert_allclose(found.cell.array, atoms.cell.array, atol=1e-12)
    for line in ("nosym = .true.", "degauss = 1d-05", "conv_thr = 2d-09", "smearing = 'fermi-dirac'", "ntyp = 2"):
        assert f"  {line}\n" in text
    assert "Be 9.0122 Be.UPF\nO 15.9990 O.UPF\nK_POINTS automatic\n2 3 4 0 0 0\n" in text


def test_every_energy_of_the_window_is_asked_for() -> None:
    text = ldos_input(EnergyGrid(-4.0, 0.1, 131, "gaussian", 0.2))
    values = dict(line.strip().split(" = ") for line in text.splitlines() if " = " in line)
    emin, emax, step = (float(values[k].replace("d", "e")) for k in ("emin", "emax", "delta_e"))
    assert int((emax - emin) / step) + 1 == 131 and values["degauss_ldos"] == "0.2"


@pytest.mark.parametrize("word", ["fd", "fermi-dirac"])
def test_pp_is_made_to_take_a_gaussian(word: str, qe_file: FileOf) -> None:
    path = qe_file("plain", "xml", (">fd</smearing>", f"> {word} </smearing>"))
    force_gaussian(path)
    text = path.read_text()
    assert text.count(">gaussian</smearing>") == 2 and word not in text.split("<basis_set>")[1]
