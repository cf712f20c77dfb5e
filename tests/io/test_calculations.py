"""Which reader a path gets."""

from __future__ import annotations

from pathlib import Path

import ase.io
import pytest
from ase.build import bulk

from maladist.errors import DataFileError
from maladist.io.calculations import read_dft_run
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


def test_an_input_of_pw_x_is_no_calculation(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.in", bulk("Be"), format="espresso-in", pseudopotentials={"Be": "Be.UPF"})
    with pytest.raises(DataFileError, match=r"an input of pw\.x; wanted data-file-schema\.xml or the output"):
        read_dft_run(tmp_path / "a.in")
