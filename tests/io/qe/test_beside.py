"""An nscf run takes the energies of its scf, where that is in its file or beside it, and says so."""

from __future__ import annotations

import shutil

import pytest

from maladist.errors import DFTError
from maladist.io.calculations import read_dft_run
from tests.io.conftest import FileOf

OF_DENSITY = ("hartree_eV", "xc_eV", "ewald_eV")


@pytest.mark.parametrize("kind", ["xml", "out"])
def test_alone_it_has_its_bands_only_and_says_what_is_missing(kind: str, qe_file: FileOf) -> None:
    run = read_dft_run(qe_file("nscf", kind))
    run.check_converged()
    assert run.calculation == "nscf" and run.eigenvalues.shape == (5, 12)
    assert {"fermi_energy_eV", "band_energy_eV", "n_electrons"} <= set(run.terms)
    assert not {*OF_DENSITY, "total_free_energy_eV"} & set(run.terms)
    assert "the terms of the total energy are not in it" in run.notes[-1]


@pytest.mark.parametrize("scf", ["xml", "out"])
def test_the_scf_beside_it_gives_the_energies_of_the_density(scf: str, qe_file: FileOf) -> None:
    beside = read_dft_run(qe_file("plain", scf))
    run = read_dft_run(qe_file("nscf", "xml"))
    assert {k: run.terms[k] for k in OF_DENSITY} == {k: beside.terms[k] for k in OF_DENSITY}
    # Harris: the bands and the entropy are the nscf's own.
    change = sum(run.terms[k] - beside.terms[k] for k in ("band_energy_eV", "entropy_contribution_eV"))
    total = beside.terms["total_free_energy_eV"] + change
    assert run.terms["total_free_energy_eV"] == pytest.approx(total, abs=1e-9)
    assert f"the density's energies are those of plain.{scf}" in run.notes[-1]


def test_both_in_one_file(qe_file: FileOf) -> None:
    scf, nscf = qe_file("plain", "out"), qe_file("nscf", "out")
    scf.write_text(scf.read_text() + nscf.read_text())
    nscf.unlink()
    run = read_dft_run(scf)
    assert run.calculation == "nscf" and set(OF_DENSITY) <= set(run.terms)


def test_an_outdir_is_looked_at_from_its_folder_prefix_save(qe_file: FileOf) -> None:
    scf, nscf = qe_file("plain", "out"), qe_file("nscf", "xml")
    save = scf.parent / "out/m.save"
    save.mkdir(parents=True)
    shutil.move(nscf, save / "data-file-schema.xml")
    assert set(OF_DENSITY) <= set(read_dft_run(save).terms)


@pytest.mark.parametrize(("name", "kind"), [("pz", "out"), ("md", "xml"), ("not-converged", "out"), ("paw", "xml")])
def test_what_is_not_its_scf_is_not_taken(name: str, kind: str, qe_file: FileOf) -> None:
    """Another functional, other positions, not converged, other physics."""
    qe_file(name, kind)
    qe_file("plain", "out", ("Program PWSCF", "Some program"), to="notes.txt")
    run = read_dft_run(qe_file("nscf", "xml"))
    assert not set(OF_DENSITY) & set(run.terms)
    assert ("did not converge" in run.notes[-1]) == (name == "not-converged")


@pytest.mark.parametrize("kind", ["xml", "out"])
def test_bands_along_a_path_are_refused(kind: str, qe_file: FileOf) -> None:
    with pytest.raises(DFTError, match="bands along a path"):
        read_dft_run(qe_file("bands", kind))
