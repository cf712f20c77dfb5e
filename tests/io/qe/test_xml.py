"""Quantum ESPRESSO's XML: numbers as they are, and every damage one line."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.errors import DataFileError, DFTError, PhysicsError
from maladist.io.qe.xml import read_qe_xml
from tests.io.conftest import FileOf


def test_a_calculation_as_it_is(qe_file: FileOf) -> None:
    run = read_qe_xml(qe_file("plain", "xml"))
    assert run.temperature == pytest.approx(0.0126 * 13.605693122994 / 8.617333262e-5, rel=1e-8)
    assert (run.n_electrons, run.shape, run.xc, run.calculation) == (4.0, (9, 9, 15), "pbe", "scf")
    assert (run.converged, run.ultrasoft, run.pools, run.full_precision) == (True, False, 1, True)
    assert run.pseudopotentials == {"Be": "Be.own-pbe-nc-nlcc.UPF"}
    assert run.density_cutoff == pytest.approx(40 * 13.605693122994)
    np.testing.assert_allclose(run.atoms.positions, [[0.02, 0.03, -0.01], [0.01, 1.3, 1.8]], atol=1e-9)
    assert run.weights.sum() == pytest.approx(2.0) and run.eigenvalues.shape == (4, 6)
    t = run.terms
    total = t["band_energy_eV"] + t["entropy_contribution_eV"] - t["hartree_eV"] + t["xc_eV"] - t["xc_potential_eV"]
    # The self-consistency ended with an error of 1e-9 Ry; a part of its terms is of first order in that of the density.
    assert total + t["ewald_eV"] == pytest.approx(t["total_free_energy_eV"], abs=1e-3)
    assert run.notes == ()


def test_forces_and_stress_are_those_of_its_printed_output_in_ases_units(qe_file: FileOf) -> None:
    """Numbers of a run of pw.x 6.7 on a Be dimer's cell: XML in Hartree and bohr, printed in Ry/bohr and kbar."""
    forces = "0.004166565883044 0.005174059160508 -0.008252999400636 " * 2
    stress = (
        "-6.841e-06 2.687370e-05 -1.550832e-05 2.687370e-05 -1.174399e-04 -1.987454e-05 -1.550832e-05 -1.987454e-05"
    )
    told = f"<forces>{forces}</forces><stress>{stress} -3.706945e-04</stress></output>"
    run = read_qe_xml(qe_file("plain", "xml", ("</output>", told)))
    assert run.forces is not None and run.stress is not None
    ry_bohr, kbar = 13.605693122994 / 0.529177210903, 1e-3 / 1.602176634
    np.testing.assert_allclose(run.forces[0], np.array([0.00833313, 0.01034812, -0.01650600]) * ry_bohr, rtol=1e-6)
    # Printed -2.01 to -109.06 kbar, pressures; a stress in ASE's sign is positive where the cell would shrink.
    np.testing.assert_allclose(run.stress, np.array([2.01, 34.55, 109.06, 5.85, 4.56, -7.91]) * kbar, atol=0.006 * kbar)
    plain = read_qe_xml(qe_file("plain", "xml"))
    assert plain.forces is None and plain.stress is None


@pytest.mark.parametrize(("name", "energy"), [("d2", -0.2599), ("d3", -0.3931), ("xdm", -0.4573)])
def test_dispersion_is_taken_out_of_the_total_and_kept(name: str, energy: float, qe_file: FileOf) -> None:
    plain, run = read_qe_xml(qe_file("plain", "xml")), read_qe_xml(qe_file(name, "xml"))
    assert run.terms["dispersion_eV"] == pytest.approx(energy, abs=1e-3)
    assert run.terms["total_free_energy_eV"] == pytest.approx(plain.terms["total_free_energy_eV"], abs=1e-4)
    assert "without its dispersion correction" in run.notes[0]


def test_dispersion_without_its_energy_is_refused(qe_file: FileOf) -> None:
    path = qe_file("plain", "xml", ("</dft>", "<vdW><vdw_corr>grimme-d3</vdw_corr></vdW></dft>"))
    with pytest.raises(PhysicsError, match=r"a dispersion correction \(grimme-d3\) without its energy"):
        read_qe_xml(path)


def test_a_total_that_is_not_the_sum_of_its_terms_is_told(qe_file: FileOf) -> None:
    """Whatever the physics, also such as no version had when this was written."""
    run = read_qe_xml(qe_file("plain", "xml", ("<etot>-2.5", "<etot>-2.6")))
    assert "differs by -2.7" in run.notes[0] and "sum of the terms" in run.notes[0]


def test_convergence(qe_file: FileOf) -> None:
    assert not read_qe_xml(qe_file("not-converged", "xml")).converged
    achieved = "<convergence_achieved>true</convergence_achieved>"
    old = qe_file("plain", "xml", (achieved, ""), to="old.xml")  # before 6.5
    assert read_qe_xml(old).converged
    loose = qe_file("not-converged", "xml", (achieved.replace("true", "false"), ""), to="old-loose.xml")
    assert not read_qe_xml(loose).converged


def test_an_error_above_the_threshold_is_not_converged_whatever_it_is_called(qe_file: FileOf) -> None:
    """With scf_must_converge = .false. pw.x 6.7 writes convergence_achieved = true after two steps."""
    no, yes = (f"<convergence_achieved>{told}</convergence_achieved>" for told in ("false", "true"))
    run = read_qe_xml(qe_file("not-converged", "xml", (no, yes)))
    assert not run.converged
    with pytest.raises(DFTError, match="did not converge"):
        run.check_converged()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_one_line(share: float, qe_file: FileOf) -> None:
    path = qe_file("plain", "xml")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(DataFileError, match=r"plain\.xml: ") as caught:
        read_qe_xml(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<ecutrho>", "<ecut>", "mismatched tag|no ecutrho"),
        ('nr1="9"', 'nr1="nine"', "nine"),
        ("<nelec>4.", "<nelec>NaN ", "not finite|convert"),
        ("<etot>-2.", "<etot>*****", r"\*\*"),
        ('degauss="', 'width="', "degauss"),
        ("<nelec>", "<n>", "."),
        ('weight="', 'w="', "weight"),
        ("<ewald>", "<ewald><!-- -->", "."),
    ],
)
def test_what_cannot_be_understood_is_one_line(old: str, new: str, words: str, qe_file: FileOf) -> None:
    path = qe_file("plain", "xml", (old, new))
    if new.startswith("<ewald>"):
        assert read_qe_xml(path).converged  # a comment is no fault
        return
    with pytest.raises(DataFileError, match=words) as caught:
        read_qe_xml(path)
    assert "\n" not in str(caught.value)


def test_another_xml_and_none_at_all_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("xml")
    (folder / "a.xml").write_text("<html/>")
    with pytest.raises(DataFileError, match="no output section"):
        read_qe_xml(folder / "a.xml")
    with pytest.raises(DataFileError, match="cannot be read"):
        read_qe_xml(folder / "none.xml")
    (folder / "coded.xml").write_bytes(b'<?xml version="1.0" encoding="nonsense"?><a/>')
    with pytest.raises(DataFileError, match="cannot be read"):
        read_qe_xml(folder / "coded.xml")


def test_entities_are_not_expanded(qe_file: FileOf) -> None:
    bomb = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(9))
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    path = qe_file("plain", "xml", (head, f'{head}<!DOCTYPE a [<!ENTITY e0 "0123456789">{bomb}]>'), ("PBE", "&e9;"))
    with pytest.raises(DataFileError, match="a document type"):
        read_qe_xml(path)


def test_an_atom_that_is_missing_is_told_by_nat(qe_file: FileOf) -> None:
    path = qe_file("plain", "xml")
    lines = path.read_text().splitlines(keepends=True)
    atoms = [i for i, line in enumerate(lines) if "<atom " in line]
    path.write_text("".join(line for i, line in enumerate(lines) if i != atoms[-1]))
    with pytest.raises(DataFileError, match=r"atoms where nat is \d"):
        read_qe_xml(path)
