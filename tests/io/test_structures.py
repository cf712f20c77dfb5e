"""Files of atoms: what is whole is read as it is, what is cut off, half filled or hostile is refused in one line."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from maladist.atoms import check_atoms
from maladist.errors import AccuracyWarning, AtomsError, OutputError
from maladist.io import structures
from maladist.io.structures import names_several, read_atoms, read_crystal, read_frames, write_arrays

HCP = bulk("Be", orthorhombic=True)
CIF = """data_hcp
_cell_length_a 2.26
_cell_length_b 2.26
_cell_length_c 3.57
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_symmetry_space_group_name_H-M '{group}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{rows}
"""
POSCAR = "be\n1.0\n2.26 0 0\n-1.13 1.957 0\n0 0 3.57\n{symbols}2\nDirect\n0.33 0.67 0.25\n0.67 0.33 0.75\n"
PDB = "CRYST1{a:9.3f}{a:9.3f}{a:9.3f}  90.00  90.00  90.00 P 1           1\n{atoms}"
ATOM = "ATOM      1 BE   BE      1    {x:8.3f}   0.200   0.100  {occupancy:4.2f}  0.00          BE\n"


@pytest.fixture
def frames() -> list[Atoms]:
    rng = np.random.default_rng(3)
    return [Atoms(HCP.numbers, HCP.positions + rng.normal(0, 0.05, (4, 3)), cell=HCP.cell, pbc=True) for _ in range(3)]


def lammps(frames: list[Atoms], columns: str = "id type element x y z", last: int | None = None) -> str:
    """A dump as LAMMPS writes it; of the last frame the first ``last`` atoms only."""
    text = ""
    for number, frame in enumerate(frames):
        rows = [
            " ".join({"id": f"{i + 1}", "type": "1", "element": "Be", "mass": "9.012", "x": f"{p[0]:.6f}",
                      "y": f"{p[1]:.6f}", "z": f"{p[2]:.6f}"}[c] for c in columns.split()) + "\n"
            for i, p in enumerate(frame.positions)
        ]  # fmt: skip
        text += f"ITEM: TIMESTEP\n{number}\nITEM: NUMBER OF ATOMS\n{len(frame)}\nITEM: BOX BOUNDS pp pp pp\n"
        text += "".join(f"0.0 {length:.8f}\n" for length in frame.cell.lengths()) + f"ITEM: ATOMS {columns}\n"
        text += "".join(rows[:last] if frame is frames[-1] else rows)
    return text


@pytest.mark.parametrize("name", ["a.xyz", "a.traj", "a.cif", "a.pdb", "a.xsf", "a.json", "a.res", "a.gro", "POSCAR"])
def test_what_ase_writes_comes_back(name: str, frames: list[Atoms], tmp_path: Path) -> None:
    kind = {"a.res": "res", "a.gro": "gromacs"}.get(name)
    ase.io.write(tmp_path / name, frames[0], format=kind)
    found = read_atoms(str(tmp_path / name))
    assert found.symbols.get_chemical_formula() == "Be4"
    # A .gro file has three decimals of a nanometre.
    wanted = frames[0].get_all_distances(mic=True)
    assert np.abs(found.get_all_distances(mic=True) - wanted).max() < (0.02 if name == "a.gro" else 2e-3)


def test_frames_by_their_index(frames: list[Atoms], tmp_path: Path) -> None:
    path = str(tmp_path / "md.traj")
    ase.io.write(path, frames)
    assert np.array_equal(read_atoms(f"{path}@1").positions, frames[1].positions)
    assert np.array_equal(read_atoms(path).positions, frames[-1].positions)
    assert len(read_frames(path)) == 3
    assert len(read_frames(f"{path}@0:3:2")) == 2
    assert names_several(f"{path}@:")
    assert not names_several(f"{path}@1")
    for index, words in (("17", "no frame 17"), ("x", "an index as ASE has it"), ("3:", "at least one")):
        with pytest.raises(AtomsError, match=words):
            read_frames(f"{path}@{index}")
    # Where one frame is wanted, the last of several would be taken without a word.
    with pytest.raises(AtomsError, match=r"the frames '0:3:2' of .*; wanted one frame\. .*@-1 is the last"):
        read_atoms(f"{path}@0:3:2")


def test_folders_and_files_with_an_at_sign(frames: list[Atoms], tmp_path: Path) -> None:
    (tmp_path / "me@work").mkdir()
    path = tmp_path / "me@work" / "md@300K.xyz"
    ase.io.write(tmp_path / "md.xyz", frames, format="extxyz")
    (tmp_path / "md.xyz").rename(path)
    assert np.allclose(read_atoms(str(path)).positions, frames[-1].positions, atol=1e-7)
    assert np.allclose(read_atoms(f"{path}@0").positions, frames[0].positions, atol=1e-7)


def test_a_name_that_begins_like_a_database_is_a_file(
    frames: list[Atoms], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ase.io.write("mysql_relaxed.xyz", frames[0], format="extxyz")
    assert len(read_atoms("mysql_relaxed.xyz")) == 4


def test_a_dump_that_ends_in_its_last_frame(frames: list[Atoms], tmp_path: Path) -> None:
    path = tmp_path / "md.lammpstrj"
    path.write_text(lammps(frames, last=2))
    with pytest.raises(AtomsError, match=r"2 whole lines of atoms in frame 2, which tells 4 atoms.*FILE@-2"):
        read_atoms(str(path))
    with pytest.raises(AtomsError, match="frame 2"):
        read_frames(str(path))
    assert np.allclose(read_atoms(f"{path}@-2").positions, frames[1].positions, atol=1e-6)
    path.write_text(lammps(frames)[:-3])  # 0.892115 has become 0.892
    with pytest.raises(AtomsError, match="3 whole lines"):
        read_atoms(str(path))


def test_a_dump_with_a_line_twice(frames: list[Atoms], tmp_path: Path) -> None:
    lines = lammps(frames[:1]).splitlines(keepends=True)
    (tmp_path / "md.lammpstrj").write_text("".join([*lines[:-2], lines[-3], *lines[-2:]]))
    with pytest.raises(AtomsError, match="5 whole lines"):
        read_atoms(str(tmp_path / "md.lammpstrj"))


def test_elements_of_lammps_files(frames: list[Atoms], tmp_path: Path) -> None:
    dump, data = tmp_path / "be.dump", tmp_path / "be.lammps-data"
    dump.write_text(lammps(frames, "id type x y z"))
    with pytest.raises(AtomsError, match=r"tells types and no element.*dump_modify ID element"):
        read_atoms(str(dump))
    dump.write_text(lammps(frames, "id type mass x y z"))
    assert set(read_atoms(str(dump)).symbols) == {"Be"}
    ase.io.write(data, frames[0], format="lammps-data", masses=True)
    assert set(read_atoms(str(data)).symbols) == {"Be"}
    ase.io.write(data, frames[0], format="lammps-data", masses=False)
    with pytest.raises(AtomsError, match="without a section Masses"):
        read_atoms(str(data))


def test_lengths_in_other_units_of_lammps(frames: list[Atoms], tmp_path: Path) -> None:
    (tmp_path / "be.dump").write_text(lammps(frames[:1]).replace("ITEM: NUMBER", "ITEM: UNITS\nelectron\nITEM: NUMBER"))
    with pytest.raises(AtomsError, match="units 'electron'"):
        read_atoms(str(tmp_path / "be.dump"))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("Be1 Be 0.3333 0.6667 0.25 0.75", "partial occupancy"),
        ("Be1 Be 0.3333 0.6667 0.25 0.7\nCu1 Cu 0.3333 0.6667 0.25 0.3", "partial occupancy"),
        ("Be1 Be 0.3333 0.6667 0.25 1.0\nCu1 Cu 0.3333 0.6667 0.25 1.0", "partial occupancy"),
        ("Be1 Be 0.3333 0.6667 0.25 ?", "partial occupancy"),
        ("Be1 Be ? ? ? 1.0", "cannot be read"),
    ],
)
def test_a_cif_whose_sites_are_not_filled_by_one_atom(rows: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.cif").write_text(CIF.format(group="P 63/m m c", rows=rows))
    with pytest.raises(AtomsError, match=words):
        read_atoms(str(tmp_path / "a.cif"))


def test_two_atoms_of_a_cif_on_one_site_without_occupancies(tmp_path: Path) -> None:
    text = CIF.format(group="P 1", rows="Be1 Be 0.3 0.6 0.25\nCu1 Cu 0.3 0.6 0.25").replace(
        "_atom_site_occupancy\n", ""
    )
    (tmp_path / "a.cif").write_text(text)
    with pytest.raises(AtomsError, match="equivalent"):
        read_atoms(str(tmp_path / "a.cif"))


@pytest.mark.parametrize("occupancy", ["1.0", "1.0000(3)", "1", "."])
def test_a_cif_whose_sites_are_full(occupancy: str, tmp_path: Path) -> None:
    row = f"Be1 Be 0.33333 0.66667 0.25 {occupancy}"
    (tmp_path / "a.cif").write_text(CIF.format(group="P 63/m m c", rows=row))
    assert len(read_atoms(str(tmp_path / "a.cif"))) == 2


def test_doubts_of_ase_are_passed_on(tmp_path: Path) -> None:
    text = CIF.format(group="P 1", rows="Be1 Be 0.3 0.6 0.25 1.0")
    (tmp_path / "a.cif").write_text("#\\#CIF_2.0\n" + text)
    with pytest.warns(AccuracyWarning, match=r"a\.cif: CIF v2\.0"):
        read_atoms(str(tmp_path / "a.cif"))


def test_a_placeholder_is_no_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.pdb"
    path.write_text(PDB.format(a=1.0, atoms=ATOM.format(x=0.3, occupancy=1) + "END\n"))
    with pytest.raises(AtomsError, match="placeholder"):
        check_atoms(read_atoms(str(path)))
    path.write_text(PDB.format(a=3.0, atoms=ATOM.format(x=0.3, occupancy=1) + "END\n"))
    check_atoms(read_atoms(str(path)))


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (ATOM.format(x=0.3, occupancy=0.5) + "END\n", "partial occupancy"),
        (ATOM.format(x=0.3, occupancy=1) + ATOM.format(x=1.3, occupancy=0) + "END\n", "partial occupancy"),
        (ATOM.format(x=0.3, occupancy=1), "without END"),
        (ATOM.format(x=0.3, occupancy=0) + ATOM.format(x=1.3, occupancy=0) + "END\n", ""),
    ],
)
def test_occupancies_and_the_end_of_a_pdb(atoms: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.pdb").write_text(PDB.format(a=3.0, atoms=atoms))
    if not words:
        assert len(read_atoms(str(tmp_path / "a.pdb"))) == 2
        return
    with pytest.raises(AtomsError, match=words):
        read_atoms(str(tmp_path / "a.pdb"))


@pytest.mark.parametrize("kind", ["extxyz", "xsf", "traj", "json", "gromacs", "proteindatabank", "turbomole", "gen"])
def test_a_file_that_is_cut_off_anywhere_is_refused(kind: str, frames: list[Atoms], tmp_path: Path) -> None:
    whole = tmp_path / {"turbomole": "coord", "gromacs": "a.gro", "proteindatabank": "a.pdb"}.get(kind, f"a.{kind}")
    if kind == "extxyz":
        whole = tmp_path / "a.xyz"
    ase.io.write(whole, frames[0], format=kind)
    content = whole.read_bytes()
    read_atoms(str(whole))
    end = content.index(b"END") if kind == "proteindatabank" else len(content.rstrip()) - 1
    for keep in np.linspace(1, end, 25, dtype=int):
        whole.write_bytes(content[:keep])
        with pytest.raises(AtomsError, match=whole.name):
            read_atoms(str(whole))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("POSCAR", POSCAR.format(symbols="")),
        ("cut.xsf", "CRYSTAL\nPRIMVEC\n2.26 0 0\n"),
        ("vasprun.xml", '<?xml version="1.0"?>\n<modeling>\n <calculation>\n'),
        ("empty.cif", ""),
        ("empty.xyz", ""),
        ("a.xyz", "2\n\x00\x01\nBe 0 0 \xff\n"),
        ("a.json", "[1, 2]"),
        ("a.traj", "- of UlmASE-Trajectory"),
        ("a.res", "TITL x\nCELL 1 3 3 3 90 90 90\nLATT 1\nSYMM -x,-y,z\nSFAC Be\nBe 1 0.1 0.1 0.1 1.0\nEND\n"),
        ("a.unheard-of", "1 2 3"),
    ],
)
def test_whatever_a_reader_of_ase_raises_is_one_line_with_the_files_name(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(AtomsError, match=name.replace(".", r"\.")) as caught:
        read_atoms(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_poscar_without_symbols_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "POSCAR").write_text(POSCAR.format(symbols=""))
    with pytest.raises(AtomsError, match="add a line with the elements' symbols"):
        read_atoms(str(tmp_path / "POSCAR"))
    (tmp_path / "POSCAR").write_text(POSCAR.format(symbols="Be\n"))
    assert len(read_atoms(str(tmp_path / "POSCAR"))) == 2


def test_a_file_that_ends_within_a_number(tmp_path: Path) -> None:
    text = '2\nLattice="9 0 0 0 9 0 0 0 9"\nBe 0.000000 0.000000 0.000000\nBe 1.130000 0.652000 2.677000'
    (tmp_path / "a.xyz").write_text(text)
    assert len(read_atoms(str(tmp_path / "a.xyz"))) == 2  # no end of line, but all digits
    (tmp_path / "a.xyz").write_text(text[:-7])
    with pytest.raises(AtomsError, match=r"ends with '2\.?' and no end of line"):
        read_atoms(str(tmp_path / "a.xyz"))


@pytest.mark.parametrize("kind", ["FIFO", "folder", "link that leads nowhere", "device", "nothing", "long"])
def test_what_is_not_a_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    make: dict[str, Callable[[], object]] = {
        "FIFO": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link that leads nowhere": lambda: path.symlink_to(path),
    }
    make.get(kind, lambda: None)()
    name = {"device": "/dev/zero", "long": "x" * 5000}.get(kind, str(path))
    with pytest.raises(AtomsError, match={"nothing": "is not a file", "long": "no file can have"}.get(kind, kind)):
        read_atoms(name)


def test_a_reader_that_does_not_end_is_stopped(
    frames: list[Atoms], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ase.io.write(tmp_path / "a.nwi", frames[0], format="nwchem-in")
    text = (tmp_path / "a.nwi").read_text()
    (tmp_path / "a.nwi").write_text(text[: text.index("basis")].rstrip() + "\n")  # ASE looks for what follows for ever
    monkeypatch.setattr(structures, "_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(AtomsError, match="no end after"):
        read_atoms(str(tmp_path / "a.nwi"))
    assert time.monotonic() - began < 10


def test_reading_in_a_thread_works_without_a_limit(frames: list[Atoms], tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.xyz", frames[0], format="extxyz")
    found: list[Atoms] = []
    thread = threading.Thread(target=lambda: found.append(read_atoms(str(tmp_path / "a.xyz"))))
    thread.start()
    thread.join()
    assert len(found[0]) == 4


def test_crystals_by_their_element(tmp_path: Path) -> None:
    assert len(read_crystal("Be", (2, 1, 1))) == 4
    with pytest.raises(AtomsError, match="three numbers of one or more"):
        read_crystal("Be", (0, 1, 1))
    # ValueError twice, and RuntimeError: no lattice is known, it is known without the sites, or it is not built.
    for element, why in (("Og", "No suitable reference data"), ("B", "atomic basis"), ("Pa", "tetragonal")):
        with pytest.raises(AtomsError, match=f"no usual crystal of {element} .*{why}"):
            read_crystal(element)
    (tmp_path / "a.xyz").write_text("1\n\nBe 0 0 0\n")
    with pytest.raises(AtomsError, match="not periodic"):
        read_crystal(str(tmp_path / "a.xyz"))


def test_arrays_and_info_are_written_with_the_atoms_and_only_into_extxyz(tmp_path: Path) -> None:
    atoms = Atoms("Be2", positions=[[0, 0, 0], [1, 1, 2]], cell=[2, 2, 4], pbc=True)
    atoms.set_array("dos", np.arange(6.0).reshape(2, 3))
    atoms.info["method"] = "bader"
    write_arrays(atoms, tmp_path / "a.extxyz")
    back = read_atoms(str(tmp_path / "a.extxyz"))
    np.testing.assert_array_equal(back.arrays["dos"], atoms.arrays["dos"])
    assert back.info["method"] == "bader"
    for name, why in (("a.extxyz", "exists"), ("a.traj", r"ends in \.extxyz"), ("no/a.extxyz", "not a folder")):
        with pytest.raises(OutputError, match=why):
            write_arrays(atoms, tmp_path / name)
