"""The printed output of pw.x: the last finished calculation, however many there are, and its structure."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from maladist.errors import DataFileError, DFTError, PhysicsError
from maladist.io.calculations import read_dft_run
from maladist.io.qe.output import is_qe_output, read_qe_output, read_runs
from maladist.io.qe.xml import read_qe_xml
from tests.io.conftest import FileOf


@pytest.mark.parametrize("name", ["plain", "gamma", "vc-relax", "d2", "d3", "xdm", "pz"])
def test_it_says_what_the_xml_says(name: str, qe_file: FileOf) -> None:
    out, xml = read_qe_output(qe_file(name, "out")), read_qe_xml(qe_file(name, "xml"))
    assert (out.shape, out.n_electrons, out.xc) == (xml.shape, xml.n_electrons, xml.xc)
    assert out.density_cutoff == pytest.approx(xml.density_cutoff)
    assert out.pseudopotentials == xml.pseudopotentials
    # Cells are printed with six decimals of alat, later ones with nine of an Å; positions with seven of alat.
    np.testing.assert_allclose(out.atoms.cell.array, xml.atoms.cell.array, atol=5e-6)
    np.testing.assert_allclose(out.atoms.positions, xml.atoms.positions, atol=5e-6)
    np.testing.assert_allclose(out.weights, xml.weights, atol=1e-6)
    np.testing.assert_allclose(out.eigenvalues, xml.eigenvalues, atol=6e-5)
    assert {"total_free_energy_eV", "fermi_energy_eV", "band_energy_eV", "n_electrons"} <= set(out.terms)
    for term, value in out.terms.items():
        assert value == pytest.approx(xml.terms[term], abs=2e-4), term
    for ours, theirs in ((out.forces, xml.forces), (out.stress, xml.stress)):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            np.testing.assert_allclose(ours, theirs, atol=1e-6)  # eight decimals of Ry/bohr


def test_forces_are_whole_or_refused(qe_file: FileOf) -> None:
    text = qe_file("vc-relax", "out").read_text()
    at = text.rindex("Forces acting")
    cut = text[:at] + text[at:].replace("atom    2 type  1   force", "atom    2 typ", 1)
    path = qe_file("vc-relax", "out", to="cut.out")
    path.write_text(cut)
    with pytest.raises(DataFileError, match="forces of 1 atoms where there are 2"):
        read_qe_output(path)


def test_a_run_that_did_not_converge_is_told_as_such(qe_file: FileOf) -> None:
    with pytest.raises(DFTError, match=r"not-converged\.out: the self-consistency did not converge"):
        read_dft_run(qe_file("not-converged", "out")).check_converged()


def test_an_accuracy_above_the_threshold_is_not_converged_whatever_it_is_called(qe_file: FileOf) -> None:
    """With scf_must_converge = .false. pw.x 6.7 prints "convergence has been achieved in 2 iterations"."""
    path = qe_file("plain", "out")
    text = path.read_text()
    threshold = re.findall(r"convergence threshold =.*", text)[-1]
    path.write_text(text.replace(threshold, "convergence threshold =      1.0E-16"))
    assert not read_qe_output(path).converged
    path.write_text(re.sub(r"estimated scf accuracy .*", "", path.read_text()))  # a file that does not tell
    assert read_qe_output(path).converged


def test_a_relaxation_that_converged_after_one_step_that_did_not_is_converged(qe_file: FileOf) -> None:
    path = qe_file("vc-relax", "out")
    done = "convergence has been achieved"
    path.write_text(path.read_text().replace(done, "convergence NOT achieved", 1))
    assert read_qe_output(path).converged


@pytest.mark.parametrize("kind", ["xml", "out"])
@pytest.mark.parametrize("name", ["relax", "md"])
def test_a_structure_that_was_moved_after_its_density_is_refused(name: str, kind: str, qe_file: FileOf) -> None:
    """pp.x writes the next structure into the headers of the last LDOS, and the XML holds it too."""
    with pytest.raises(DFTError, match=r"atoms moved by up to 0\.0\d+ Å after the last self-consistency"):
        read_dft_run(qe_file(name, kind))


def test_a_relaxation_that_came_to_its_end_is_read(qe_file: FileOf) -> None:
    path = qe_file("relax", "out")
    text = path.read_text()
    path.write_text(text[: text.index("The maximum number of steps")] + "JOB DONE.\n")
    run = read_qe_output(path)
    np.testing.assert_allclose(run.atoms.positions[0], [0.0176288193, 0.0211508816, -0.0021222446], atol=1e-9)
    assert run.terms["total_free_energy_eV"] == pytest.approx(-5.01985017 * 13.605693122994)


def test_messages_of_a_queue_come_first(qe_file: FileOf) -> None:
    path = qe_file("plain", "out")
    wanted = read_qe_output(path)
    path.write_text("slurm: job 17\nLoading modules: total energy = 3 Ry\n" * 200 + path.read_text())
    assert is_qe_output(path)
    found = read_dft_run(path)
    assert found.terms == wanted.terms and found.shape == wanted.shape


def test_of_several_runs_the_last_is_read(qe_file: FileOf) -> None:
    first, second = qe_file("pz", "out"), qe_file("plain", "out")
    both = first.with_name("both.out")
    both.write_text(first.read_text() + second.read_text())
    run = read_qe_output(both)
    assert run.xc == "pbe" and "holds 2 runs: the last was read" in run.notes[0]
    assert [r.xc for r in read_runs(both)] == ["pbe", "pz"]


def test_an_output_that_breaks_off(qe_file: FileOf) -> None:
    path = qe_file("vc-relax", "out")
    text = path.read_text()
    path.write_text(text[: text.rindex("!    total energy") - 2000])
    run = read_qe_output(path)
    assert any("breaks off: its last finished step was read" in note for note in run.notes)
    path.write_text(text[: text.index("End of self-consistent")])
    with pytest.raises(DataFileError, match=r"vc-relax\.out: no total energy: it breaks off before"):
        read_qe_output(path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("name", ["plain", "vc-relax", "nscf"])
def test_wherever_it_is_cut_there_is_one_line_or_a_whole_step(name: str, share: float, qe_file: FileOf) -> None:
    path = qe_file(name, "out")
    text = path.read_text()
    path.write_text(text[: int(share * len(text))] + "\n")
    if not is_qe_output(path):
        return
    try:
        run = read_qe_output(path)
    except (DataFileError, DFTError) as error:  # the latter where it is cut after a move
        assert "\n" not in str(error)
    else:
        assert any("breaks off" in note for note in run.notes)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("celldm(1)=", "celldm(9)=", "no cell or no atoms"),
        ("width (Ry)=  0.0126", "width (Ry)=  *****", r"\*\*"),
        ("hartree contribution      =       0", "hartree contribution      =     ***", "no total energy|."),
        ("bands (ev):\n\n", "bands (ev):\n\n ******** ", "."),
    ],
)
def test_what_cannot_be_understood_is_one_line(old: str, new: str, words: str, qe_file: FileOf) -> None:
    path = qe_file("plain", "out", (old, new))
    try:
        run = read_qe_output(path)
    except DataFileError as error:
        assert "\n" not in str(error)
    else:  # a term that overflowed its column is not there, rather than wrong
        assert "hartree_eV" not in run.terms or run.eigenvalues.size == 0


def test_a_term_that_nobody_knows_is_refused(qe_file: FileOf) -> None:
    line = "     ewald contribution        ="
    path = qe_file("plain", "out", (line, f"     telepathy contribution    =      -1.00000000 Ry\n{line}"))
    with pytest.raises(PhysicsError, match=r"a term of the total energy .*telepathy contribution, -13\.61 eV"):
        read_qe_output(path)


def test_bands_that_are_not_printed_are_named(qe_file: FileOf) -> None:
    run = read_qe_output(qe_file("bands-not-printed", "out"))
    assert run.eigenvalues.size == 0 and "band_energy_eV" not in run.terms
    assert run.terms["total_free_energy_eV"] < 0
    assert any("verbosity = 'high'" in note for note in run.notes)


def test_the_ultrasoft_reference_output(shared_data: Path) -> None:
    run = read_qe_output(shared_data / "be2/Be_snapshot0.out")
    assert run.ultrasoft is True and run.shape == (18, 18, 27) and run.temperature == 300.0
    assert run.terms["total_free_energy_eV"] == pytest.approx(-73.03705522269406, abs=1e-5)
    assert run.terms["band_energy_eV"] == pytest.approx(12.0766, abs=1e-3)


def test_a_term_that_cannot_be_read_is_told(qe_file: FileOf) -> None:
    run = read_qe_output(qe_file("plain", "out", ("xc contribution           =", "xc contribution           = ****")))
    assert "xc_eV" not in run.terms
    assert any("xc contribution" in note for note in run.notes)


@pytest.mark.parametrize("lost", [False, True])
def test_forces_are_kept_where_a_term_cannot_be_read(lost: bool, qe_file: FileOf) -> None:
    """They are dropped where dispersion was taken out of the energy, and for nothing else that is said of the terms."""
    path = qe_file("vc-relax", "out")
    label = "xc contribution           ="
    text = path.read_text()
    assert label in text
    path.write_text(text.replace(label, f"{label} ****") if lost else text)
    run = read_qe_output(path)
    assert ("xc_eV" in run.terms) != lost
    assert run.forces is not None and run.stress is not None
