"""Which reader a path gets, and what runs have in common."""

from __future__ import annotations

from pathlib import Path

import ase.io
import pytest
from ase.build import bulk

from maladist.errors import DataFileError, DFTError, PhysicsError
from maladist.io.qe.run import DFTRun, read_dft_run, symbol_of, temperature_of, without_dispersion
from tests.io.conftest import FileOf


def test_every_kind_of_file(qe_file: FileOf, shared_data: Path, tmp_path: Path) -> None:
    assert read_dft_run(qe_file("plain", "xml")).full_precision
    assert not read_dft_run(qe_file("plain", "out")).full_precision
    info = read_dft_run(shared_data / "be2/Be_snapshot0.info.json")
    assert info.temperature == pytest.approx(299.986, abs=1e-3) and info.shape == (18, 18, 27)
    ase.io.write(tmp_path / "a.extxyz", bulk("Be"))
    atoms = read_dft_run(tmp_path / "a.extxyz")
    assert len(atoms.atoms) == 2 and atoms.shape is None and atoms.terms == {}


def test_a_folder_stands_for_its_xml(qe_file: FileOf) -> None:
    path = qe_file("plain", "xml", to="data-file-schema.xml")
    assert read_dft_run(path.parent).path == path


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DataFileError, match="is not a file"):
            read_dft_run(path)


@pytest.mark.parametrize(("species", "symbol"), [("Be", "Be"), ("Be1", "Be"), ("BE_a", "Be"), ("o-2", "O"), ("H", "H")])
def test_symbols_of_species(species: str, symbol: str) -> None:
    assert symbol_of(species) == symbol


def test_only_fermi_dirac_has_a_temperature() -> None:
    assert temperature_of(0.08617333262, "Fermi-Dirac") == pytest.approx(1000.0)
    assert temperature_of(0.08617333262, "fd") == pytest.approx(1000.0)
    assert temperature_of(0.1, "gaussian") is None


def test_an_unconverged_run_says_what_to_do() -> None:
    with pytest.raises(DFTError, match=r"pw\.out: the self-consistency did not converge.*mixing_beta"):
        DFTRun(Path("pw.out"), bulk("Be"), converged=False).check_converged()


def test_dispersion() -> None:
    terms, (note,) = without_dispersion({"total_free_energy_eV": -10.0, "xc_eV": -1.0}, -0.5, "grimme-d3", Path("x"))
    assert terms == {"total_free_energy_eV": -9.5, "xc_eV": -1.0, "dispersion_eV": -0.5}
    assert "grimme-d3, -0.500000 eV" in note
    with pytest.raises(PhysicsError, match="without its energy"):
        without_dispersion({"total_free_energy_eV": -10.0}, 0.0, "d3", Path("x"))
