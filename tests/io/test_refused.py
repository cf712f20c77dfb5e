"""Physics that is not here, as Quantum ESPRESSO's own files tell it: refused by name, whatever the source."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from maladist.errors import PhysicsError
from maladist.io.calculations import read_dft_run
from maladist.io.model_file import load_model, save_model
from maladist.io.qe.upf import read_upf
from maladist.io.refused import REFUSED, refuse, refuse_file_names, refuse_output
from maladist.testing import be_element, tiny_model
from tests.io.conftest import FileOf

FERMI = "occupations other than Fermi-Dirac's"
BOTH = {
    "lsda": "spin polarisation",
    "fixed-moment": "spin polarisation",
    "noncollinear": "non-collinear magnetism",
    "spin-orbit": "spin-orbit coupling",
    "hubbard": "a Hubbard correction",
    "gaussian": FERMI,
    "methfessel-paxton": FERMI,
    "marzari-vanderbilt": FERMI,
    "fixed": FERMI,
    "tetrahedra": FERMI,
    "tetrahedra-opt": FERMI,
    "charged": "tot_charge",
    "ts": "Tkatchenko-Scheffler",
    "vdw-df": "van der Waals functional",
    "rvv10": "van der Waals functional",
    "pbesol": "the functional PBESOL",
    "blyp": "the functional BLYP",
    "pbe0": "a hybrid functional",
    "tpss": "the meta-GGA TPSS",
    "martyna-tuckerman": "isolated otherwise than by '2D'",
    "esm": "isolated otherwise than by '2D'",
    "field": "an external field",
    "gate": "a charged",
    "berry": "an external field",
    "paw": "PAW",
}


@pytest.mark.parametrize("kind", ["xml", "out"])
@pytest.mark.parametrize(("name", "words"), BOTH.items())
def test_what_pw_writes_is_refused_by_name(name: str, words: str, kind: str, qe_file: FileOf) -> None:
    with pytest.raises(PhysicsError, match=words) as caught:
        read_dft_run(qe_file(name, kind))
    assert f"{name}.{kind}" in str(caught.value) and "\n" not in str(caught.value)


def test_a_bare_coulomb_potential_is_told_by_the_output_only(qe_file: FileOf) -> None:
    with pytest.raises(PhysicsError, match="bare Coulomb potential"):
        read_dft_run(qe_file("coulomb", "out"))


@pytest.mark.parametrize("kind", ["xml", "out"])
@pytest.mark.parametrize("name", ["plain", "pz", "pw92", "gamma", "vc-relax"])
def test_what_is_here_is_read(name: str, kind: str, qe_file: FileOf) -> None:
    run = read_dft_run(qe_file(name, kind))
    assert run.converged and run.temperature == pytest.approx(1989.4, abs=0.1)
    assert run.xc == {"pz": "pz", "pw92": "pw92"}.get(name, "pbe")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('is_paw="false"', 'is_paw="true"', r"PAW \(is_paw = true\)"),
        ('pseudo_type="NC"', 'pseudo_type="PAW"', "PAW"),
        ('is_coulomb="false"', 'is_coulomb="T"', "bare Coulomb"),
        ('pseudo_type="NC"', 'pseudo_type="1/r"', "bare Coulomb"),
        ('has_so="false"', 'has_so=".true."', "spin-orbit"),
        ('relativistic="scalar"', 'relativistic="full"', "spin-orbit"),
        ('functional="PBE"', 'functional=" SLA  PW   PSX  PSC"', "the functional SLA PW PSX PSC"),
    ],
)
def test_pseudopotentials_of_it_are_refused(old: str, new: str, words: str, own_data: Path, tmp_path: Path) -> None:
    text = (own_data / "pseudopotentials" / "Be.own-pbe-nc-nlcc.UPF").read_text()
    assert old in text
    (tmp_path / "Be.UPF").write_text(text.replace(old, new))
    with pytest.raises(PhysicsError, match=rf"Be\.UPF: has .*{words}"):
        read_upf(tmp_path / "Be.UPF")


@pytest.mark.parametrize(
    "line",
    [
        "DFT+U calculation, simplified version (l_max = 2)",  # of 7.x
        "Internal variables: lda_plus_u = T, lda_plus_u_kind = 0",
        "=================== HUBBARD OCCUPATIONS ===================",
    ],
)
def test_hubbard_in_the_words_of_later_versions(line: str) -> None:
    with pytest.raises(PhysicsError, match="Hubbard"):
        refuse_output(f"Program PWSCF v.7.2\n     {line}\n", "pw.out")
    refuse_output("Program PWSCF v.7.2\n     Internal variables: lda_plus_u = F\n", "pw.out")


def test_a_name_counts_only_where_the_file_is_not_there(own_data: Path, tmp_path: Path) -> None:
    """Debian's B.pbe-n-kjpaw_psl.0.1.UPF is ultrasoft, for one; models and MALA's zips keep no more than names."""
    paw = "Be.pbe-n-kjpaw_psl.1.0.0.UPF"
    shutil.copy(own_data / "pseudopotentials/Be.own-pbe-nc-nlcc.UPF", tmp_path / paw)
    assert read_upf(tmp_path / paw).pseudopotential == paw
    with pytest.raises(PhysicsError, match="PAW"):
        refuse_file_names(["Al.UPF", paw], "m.maladist")
    with pytest.raises(PhysicsError, match="spin-orbit"):
        refuse_file_names(["Be.rel-pbe-n-rrkjus_psl.1.0.0.UPF"], "m.maladist")
    refuse_file_names(["Be.pbe-n-rrkjus_psl.1.0.0.UPF", "C.pbe-mt_gipaw.UPF", ""], "m.maladist")


def test_a_model_file_made_with_paw_wants_its_pseudopotential_again(own_data: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    element = replace(be_element(), pseudopotential="Be.pbe-n-kjpaw_psl.1.0.0.UPF")
    path = save_model(replace(tiny_model(), elements={"Be": element}), tmp_path / "m.maladist")
    with pytest.raises(PhysicsError, match=r"m\.maladist: has PAW"):
        load_model(path)
    assert load_model(path, pseudopotentials=own_data / "pseudopotentials").elements["Be"].valence == 2.0


@pytest.mark.parametrize("value", ["none", "NONE", "false", ".false.", "", "F"])
def test_what_says_no_is_no(value: str) -> None:
    refuse("namelist", {"vdw_corr": value, "assume_isolated": value}.get, "x")


@pytest.mark.parametrize("value", [0, 0.0, "0.000000000000000e0", "-0.0", "0.0d0"])
def test_zero_is_no_charge(value: object) -> None:
    refuse("xml", {"input/bands/tot_charge": value}.get, "x")


def test_every_row_has_a_name_a_reason_and_a_source() -> None:
    for row in REFUSED:
        assert row.name and row.why.endswith(".")
        assert row.upf or row.xml or row.namelist or row.output
