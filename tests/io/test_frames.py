"""Formats held to what they tell of their own length, of their elements and of how full their sites are."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from maladist.errors import AtomsError
from maladist.io.frames import check_frame, check_source

CELL = "2.26 0 0\n-1.13 1.957 0\n0 0 3.57\n"
ROWS = "0.33 0.67 0.25\n0.67 0.33 0.75\n"
POSCAR = f"be\n1.0\n{CELL}Be\n2\nDirect\n{ROWS}"
SELECTIVE = POSCAR.replace("Direct", "Selective dynamics\nDirect").replace("5\n", "5 T T F\n")
HEAD, FIRST, SECOND = f"be\n1.0\n{CELL}Be\n2\n", "Direct configuration=     1\n", "Direct configuration=     2\n"
XDATCAR = HEAD + FIRST + ROWS + SECOND + ROWS
DUMP = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\nx\nITEM: ATOMS id element x y z\n"
XSF = f"CRYSTAL\nPRIMVEC\n{CELL}PRIMCOORD\n2 1\n4 0 1.3 0.9\n4 1.1 0.6 2.7\n"
PDB = "ATOM      1 BE   BE      1       0.300   0.200   0.100  1.00  0.00          BE\n"
GRO = "be\n    1\n    1BE     BE    1   0.000   0.130   0.090\n   0.30000   0.30000   0.30000\n"
RES = "TITL be\nCELL 1 3 3 3 90 90 90\nLATT -1\nSFAC Be\nBe 1 0.1 0.1 0.1 1.0\nEND\n"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("vasp", POSCAR),
        ("vasp", SELECTIVE),
        ("vasp", POSCAR.replace("Be\n2\n", "2\n")),
        ("vasp", POSCAR.replace("\n2\n", "\n 2 ! of them\n")),
        ("vasp", POSCAR + "\n0.0 0.0 0.0\n0.0 0.0 0.0\n"),  # velocities, behind an empty line
        ("vasp", POSCAR + "Lattice velocities and vectors\n1\n"),
        ("vasp-xdatcar", XDATCAR),
        ("vasp-xdatcar", HEAD + FIRST + ROWS + HEAD + SECOND + ROWS),  # of a cell that varies
        ("xsf", XSF),
        ("xsf", XSF + "BEGIN_BLOCK_DATAGRID_3D\n"),
        ("proteindatabank", PDB + "END\n"),
        ("proteindatabank", PDB + "ENDMDL\n"),
        ("proteindatabank", PDB + "CONECT    1\n"),
        ("gromacs", GRO),
        ("res", RES),
        ("turbomole", "$coord\n0 0 0 be\n$end\n"),
        ("a format without checks", "anything"),
    ],
)  # fmt: skip
def test_whole_files_pass(kind: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(text)
    check_source(tmp_path / "a", kind, -1, "a")


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("vasp", POSCAR + "0.5 0.5 0.5\n", "more lines of atoms than the 2"),
        ("vasp", SELECTIVE + "0.5 0.5 0.5 T T T\n", "more lines of atoms than the 2"),
        ("vasp-xdatcar", XDATCAR + "0.5 0.5 0.5\n", "behind its last whole frame"),
        ("vasp-xdatcar", XDATCAR.replace("configuration=     2", "?"), "behind its last whole frame"),
        ("xsf", XSF + "4 0.5 0.5 0.5\n", "more lines of atoms than the 2"),
        ("xsf", XSF + "Be 0.5 0.5 0.5\n", "more lines of atoms than the 2"),
        ("proteindatabank", PDB, "without END"),
        ("proteindatabank", PDB + "END\n" + PDB, "without END"),
        ("gromacs", GRO.replace("    1\n", "    2\n", 1), "where it tells 2 atoms"),
        ("gromacs", GRO[:-3], "ends within a line"),
        ("res", RES.replace("END\n", ""), "has no END"),
        ("res", RES.replace("LATT -1", "LATT 1"), "P1 only"),
        ("res", RES.replace("LATT -1", "LATT -1\nSYMM -x,-y,-z"), "P1 only"),
        ("turbomole", "$coord\n0 0 0 be\n", r"has no \$end"),
        ("lammps-data", "# units = lj\n\n1 atoms\n\nMasses\n\n1 9.01\n", "units 'lj'"),
        ("lammps-dump-text", DUMP, "tells x atoms"),
    ],
)  # fmt: skip
def test_what_is_cut_off_or_damaged_is_told(kind: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(AtomsError, match=words):
        check_source(tmp_path / "a", kind, -1, "a")


def test_only_the_wanted_frames_are_held_to_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(PDB + "END\n" + PDB)
    check_source(tmp_path / "a", "proteindatabank", 0, "a")
    check_source(tmp_path / "a", "proteindatabank", slice(0, 1), "a")
    for index in (-1, 1, slice(None)):
        with pytest.raises(AtomsError, match=r"without END.*FILE@-2"):
            check_source(tmp_path / "a", "proteindatabank", index, "a")
    check_source(tmp_path / "a", "proteindatabank", 7, "a")  # ASE says that there is none


def test_compressed_files_are_looked_into(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "a.pdb.gz").write_bytes(gzip.compress(PDB.encode()))
    with pytest.raises(AtomsError, match="without END"):
        check_source(tmp_path / "a.pdb.gz", "proteindatabank", -1, "a")


@pytest.mark.parametrize(
    ("info", "good"),
    [
        ({}, True),
        ({"0": {"Be": 1.0}}, True),
        ({"0": {"Be": 0.9999}}, True),
        ({"0": {"Be": "."}}, True),
        ({"0": {"Be": 0.99}}, False),
        ({"0": {"Be": 0.5, "Cu": 0.5}}, False),
        ({"0": {"Be": "?"}}, False),
        ({"0": {}}, False),
    ],
)
def test_occupancies_of_sites(info: dict[str, object], good: bool) -> None:
    atoms = Atoms("Be", info={"occupancy": info} if info else {})
    if good:
        check_frame(atoms, "a.cif")
        return
    with pytest.raises(AtomsError, match="partial occupancy"):
        check_frame(atoms, "a.cif")


def test_a_table_without_an_end_of_line_is_whole_where_its_digits_are(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    rows = [f"Be {x:.6f} {x:.6f} {x:.6f}" for x in np.linspace(0, 2, 3)]
    for text, good in (("\n".join(rows), True), ("\n".join(rows)[:-3], False), ("\n".join(rows)[:-3] + "\n", True)):
        path.write_text(text)
        if good:
            check_source(path, "extxyz", -1, "a.xyz")
        else:
            with pytest.raises(AtomsError, match="no end of line"):
                check_source(path, "extxyz", -1, "a.xyz")


def test_binary_formats_are_not_read_as_text(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.traj", Atoms("Be", cell=[3, 3, 3], pbc=True))
    check_source(tmp_path / "a.traj", "traj", -1, "a.traj")
