"""Quantum ESPRESSO as a code: settings refused by their key, the LDOS of pp.x."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from distributed import Client

from maladist.datasets.check import check
from maladist.datasets.dft import setup as module
from maladist.datasets.dft.dft import dft
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.programs import ldos_of_pp
from maladist.datasets.dft.scratch import Scratch
from maladist.errors import InputError
from maladist.io.datasets import read_reference, snapshot_path
from maladist.io.opening import open_dataset
from maladist.io.qe.upf import read_pseudopotentials
from maladist.io.qe.xml import read_qe_xml
from maladist.io.yaml import yaml_text

ALAS: Final = Path("/usr/share/espresso/pseudo/As.pz-bhs.UPF")
"""Of Debian's quantum-espresso-data: norm-conserving, as that of Al beside it."""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temprature": 1}, "temprature: is not a key"),
        ({"temperature": -1}, "temperature: -1"),
        ({"temperature": "warm"}, "temperature: 'warm'"),
        ({"temperature": float("inf")}, "temperature: inf"),
        ({"energies": {"origin": 1}}, r"energies\.spacing: is missing"),
        ({"energies": [1, 2, 3]}, r"energies: \[1, 2, 3\]; wanted auto, or a mapping"),
        ({"energies": "automatic"}, "energies: 'automatic'; wanted auto, or a mapping"),
        ({"energies": {"origin": 1, "spacing": 0.1, "levels": 1}}, r"energies\.levels: 1"),
        ({"kpoints": [2, 2]}, r"kpoints: \[2, 2\]; wanted three numbers"),
        ({"kpoints": "automatic"}, "kpoints: 'automatic'; wanted three numbers, .* or auto"),
        ({"kpoints": 0}, "kpoints: 0"),
        ({"kpoints": True}, "kpoints: True; wanted three numbers"),
        ({"kpoints": [2, 2, 0]}, r"kpoints\.2: 0"),
        ({"kpoints": {2: [2, 2, "many"]}}, r"kpoints\.2\.2: 'many'"),
        ({"bands": "all"}, "bands: 'all'; wanted 'auto' or a valid number"),
        ({"bands": 0}, "bands: 0"),
        ({"threads": True}, "threads: True; wanted a number"),
        ({"system": {"noinv": "yes"}}, "system: .*true or false"),
        ({"system": {"noinv": ".true."}}, r"system\.noinv: '\.true\.'"),
        ({"electrons": {"mixing_beta": "3d-1"}}, r"electrons\.mixing_beta: '3d-1'"),
        ({"pseudopotentials": "nowhere"}, "nowhere"),
        (
            {"energies": {"origin": -6.0, "spacing": 0.5, "levels": 39}, "broadening": 0.1},
            r"spacing: 0\.5 eV .* 0\.126",
        ),
        ({"system": {"ecutwfc": 30}}, r"system\.ecutwfc: is given; wanted nothing"),
        ({"system": {"Degauss": 0.01}}, r"system\.degauss: is given"),
        ({"electrons": {"scf_must_converge": False}}, r"electrons\.scf_must_converge: is false; .* converge"),
        ({"convergence": 0.5}, r"convergence: 0\.5"),
    ],
)
def test_a_bad_setup_names_its_key(
    change: dict[str, Any], message: str, tmp_path: Path, values: dict[str, Any]
) -> None:
    path = tmp_path / "setup.yaml"
    path.write_text(yaml_text(values | change))
    with pytest.raises(InputError, match=message) as caught:
        Espresso.read(path)
    assert "\n" not in str(caught.value)


def test_the_pseudopotentials_are_read_once(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """They were read once an atom: half a second for 128 atoms."""
    reads: list[str] = []
    monkeypatch.setattr(module, "read_pseudopotentials", lambda p: reads.append(p) or read_pseudopotentials(p))
    setup = Espresso.of(values)
    assert setup.n_bands(bulk("Be", "hcp", a=2.29, c=3.58).repeat(4)) > 128
    assert len(reads) == 1


def test_a_folder_of_pseudopotentials_is_taken_from_the_files_folder(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "pp").symlink_to(values["pseudopotentials"])
    (tmp_path / "setup.yaml").write_text(yaml_text({**values, "pseudopotentials": "pp"}))
    setup = Espresso.read(tmp_path / "setup.yaml")
    assert setup.pseudopotentials == str(tmp_path / "pp")
    assert setup.mesh(Atoms("Be4")) == (1, 2, 1) and setup.bands == "auto" and "Be" in setup.elements


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"nspin": 2}, r"spin polarisation \(nspin = 2\)"),
        ({"noncolin": True}, r"non-collinear magnetism \(noncolin = True\)"),
        ({"lspinorb": True, "noncolin": True}, "spin-orbit coupling"),
        ({"starting_magnetization(1)": 0.3}, "spin polarisation"),
        ({"lda_plus_u": True, "Hubbard_U(1)": 3.0}, "Hubbard correction"),
        ({"Hubbard_U(1)": 3.0}, "Hubbard correction"),
        ({"vdw_corr": "grimme-d3"}, "dispersion correction .*positions alone"),
        ({"london": True}, "dispersion correction"),
        ({"assume_isolated": "esm"}, r"isolated otherwise than by '2D' \(assume_isolated\)"),
        ({"tot_charge": 0.4}, "charged cell"),
        ({"smearing": "gaussian"}, "occupations other than Fermi-Dirac's"),
        ({"occupations": "tetrahedra"}, "occupations other than Fermi-Dirac's"),
        ({"input_dft": "pbesol"}, "the functional pbesol"),
        ({"input_dft": "pbe0"}, "the hybrid functional pbe0"),
        ({"input_dft": "vdw-df"}, "the van der Waals functional vdw-df"),
        ({"exx_fraction": 0.25}, "hybrid functional"),
    ],
)
def test_physics_that_is_not_here_is_refused_before_pw_starts(
    entries: dict[str, Any], words: str, tmp_path: Path, values: dict[str, Any]
) -> None:
    path = tmp_path / "setup.yaml"
    path.write_text(yaml_text({**values, "system": entries}))
    with pytest.raises(InputError, match=words):
        Espresso.read(path)


def test_what_is_said_of_none_of_it_passes(values: dict[str, Any]) -> None:
    entries = {"nspin": 1, "vdw_corr": "none", "tot_charge": 0, "assume_isolated": "none", "lspinorb": False}
    Espresso.of({**values, "system": {**entries, "input_dft": "sla+pw+pbx+pbc", "noinv": True}})


def test_pseudopotentials_for_different_functionals_are_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    for file in Path(values["pseudopotentials"]).iterdir():
        changed = file.read_text()
        if file.name.startswith("Al"):
            changed = changed.replace('functional="PBE"', 'functional="PZ"')
        (tmp_path / file.name).write_text(changed)
    with pytest.raises(InputError, match=r"different functionals \(Al pz, Be pbe\)"):
        Espresso.of({**values, "pseudopotentials": str(tmp_path)})


def test_meshes_of_other_sizes_are_proposed_and_told(values: dict[str, Any]) -> None:
    be2 = bulk("Be", "hcp", a=2.29, c=3.58)
    be8, be16, taken = be2.repeat((2, 2, 1)), be2.repeat((2, 2, 2)), list[int]()

    def others() -> Iterator[Atoms]:
        for atoms in (be16, be2):
            taken.append(len(atoms))
            yield atoms

    def settled(kpoints: Any, *snapshots: Atoms) -> tuple[Espresso, list[str]]:
        code = Espresso.of({**values, "kpoints": kpoints})
        proposed, told = code.propose(snapshots, others())
        return Espresso.of({**values, "kpoints": kpoints}).settled(proposed), told

    code, told = settled({2: [8, 8, 6]}, be8, be2, be16, be8)
    assert [code.mesh(a) for a in (be2, be8, be16)] == [(8, 8, 6), (4, 4, 6), (4, 4, 3)]
    assert "k-points of 8 atoms: 4×4×6, the same points as 4×4×3 of 16 atoms" in told and len(told) == 2
    assert not taken
    # The data set has a cell of the size whose mesh is given.
    code, told = settled({2: [8, 8, 6]}, be8)
    assert code.mesh(be8) == (4, 4, 6) and taken == [16, 2]
    code, told = settled("auto", be2, be8)
    assert (code.mesh(be8), code.mesh(be2)) == ((6, 6, 6), (12, 12, 6)) and "0.3 1/Å" in told[0]
    assert settled([2, 2, 2], be2, be8)[1] == settled({2: [8, 8, 6]}, be2)[1] == []
    # Nothing to nest with: the refusal names a mesh that is as dense.
    alone, _ = settled({4: [6, 6, 6]}, be8)
    with pytest.raises(InputError, match=r"kpoints: none for 8 atoms.* that of 4 atoms is 8: \[5, 5, 6\]"):
        alone.check(be8)


def test_a_mesh_that_was_proposed_stays_and_one_that_is_given_wins(values: dict[str, Any]) -> None:
    kept = {"kpoints": {"2": [8, 8, 6], "8": [4, 4, 6]}}
    be8 = bulk("Be", "hcp", a=2.29, c=3.58).repeat((2, 2, 1))
    for kpoints, mesh in (("auto", (4, 4, 6)), ({2: [8, 8, 6]}, (4, 4, 6)), ({8: [3, 3, 3]}, (3, 3, 3))):
        code = Espresso.of({**values, "kpoints": kpoints}).settled(kept)
        assert code.mesh(be8) == mesh and code.propose([be8], iter(())) == ({}, [])


def test_bands_are_those_that_a_proposal_has_told(values: dict[str, Any]) -> None:
    kept = {"origin": -6.0, "spacing": 0.4, "levels": 50, "broadening": 0.5, "temperature": 1000.0, "states": 5.0}
    settled = Espresso.of({**values, "energies": "auto"}).settled({"energies": kept})
    assert settled.n_bands(bulk("Be", "hcp", a=2.29, c=3.58)) == 13  # ten and a tenth more, and two


# -- with pw.x ---------------------------------------------------------------------------------------------------------


@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="no pw.x on this machine")
def test_ldos_from_wavefunctions_is_that_of_pp(tmp_path: Path, be2: Atoms, values: dict[str, Any]) -> None:
    code = Espresso.of(values)
    with Scratch("a", str(tmp_path)) as scratch:
        run, _, ours = code.calculate(be2, scratch)
        same = read_qe_xml(scratch.folder / "out/m.save/data-file-schema.xml")
        theirs = ldos_of_pp(scratch, run, code.energy_grid)
    # pp.x prints five digits.
    assert np.abs(ours - theirs).max() < 2e-5 * theirs.max()
    assert run.temperature == pytest.approx(1000.0, rel=1e-9)
    assert np.abs(run.atoms.positions - be2.positions).max() < 1e-8
    assert run.terms["n_electrons"] == pytest.approx(4.0, abs=1e-8)
    assert (run.xc, run.ultrasoft, run.converged, run.terms) == ("pbe", False, True, same.terms)
    assert run.forces is not None and run.stress is not None
    assert np.abs(run.forces.sum(axis=0)).max() < 1e-4 < np.abs(run.forces).max()  # eV/Å; pw.x removes the net force
    # A gains with more plane waves.
    assert run.stress_fixed_cutoff is not None
    assert np.ptp((run.stress - run.stress_fixed_cutoff)[:3]) < 1e-12 < (run.stress - run.stress_fixed_cutoff)[0]
    assert run.stress_fixed_cutoff[3:].tolist() == run.stress[3:].tolist()


@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="no pw.x on this machine")
def test_ultrasoft_pseudopotentials_go_through_pp(
    tmp_path: Path, shared_data: Path, be2: Atoms, values: dict[str, Any], client: Client
) -> None:
    """What the wavefunctions alone would give lacks the augmentation: tenths of an electron."""
    files = tmp_path / "pp"
    files.mkdir()
    shutil.copy(shared_data / "be2" / "Be.pbe-n-rrkjus_psl.1.0.0.UPF", files)
    energies = {"origin": -8.0, "spacing": 1.0, "levels": 23}
    changed = {"pseudopotentials": str(files), "energies": energies, "broadening": 1.0, "ecutrho": 90}
    setup = Espresso.of({**values, **changed})
    (done,) = dft([be2], setup, tmp_path / "d.zarr", names=["us"], client=client)
    assert done.reason == ""
    data, reference = (f(snapshot_path(tmp_path / "d.zarr", "us")) for f in (open_dataset, read_reference))
    assert reference.attrs["ultrasoft"] is True
    voxel = abs(np.linalg.det(be2.cell.array)) / data.density.size
    np.testing.assert_allclose(data.ldos.sum(("x", "y", "z")) * voxel, data.dos, rtol=1e-5)
    # D(ε) of the eigenvalues, broadened alike; pp.x prints five digits
    x = (data.energy.values[:, None, None] - reference.eigenvalue.values) / 1.0
    dos = (np.exp(-(x**2)) / np.sqrt(np.pi) * reference.k_weight.values[:, None]).sum(axis=(1, 2))
    assert np.abs(data.dos.values - dos).max() < 2e-3 * dos.max()


@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="no pw.x on this machine")
def test_a_survey_proposes_energies_that_its_own_snapshot_and_a_strained_one_are_covered_by(
    tmp_path: Path, be2: Atoms, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = Espresso.of({**values, "energies": "auto"})
    with Scratch("a", str(tmp_path)) as scratch:
        code = code.settled(code.survey(be2, scratch))
        be2.set_cell(be2.cell * 1.03, scale_atoms=True)
        monkeypatch.setattr(Espresso, "n_bands", lambda *_: 4)  # too few: it goes on with more
        run, _, ldos = code.calculate(be2, scratch)
    assert run.eigenvalues.max(axis=1).min() >= code.energy_grid.values[-1]
    assert ldos.shape[3] == code.energy_grid.levels


@pytest.mark.slow
@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None or not ALAS.is_file(), reason="no pw.x, or no pseudopotential of As")
def test_states_far_below_in_a_part_of_their_own_give_the_energies_of_one_window(
    tmp_path: Path, values: dict[str, Any], client: Client
) -> None:
    """AlAs: the band of As 4s, 4.8 eV without a state, and all others; and parts that overlap among the valence's."""
    files = tmp_path / "pp"
    files.mkdir()
    for name in ("Al.pz-vbc.UPF", ALAS.name):
        shutil.copy(ALAS.with_name(name), files)
    atoms = bulk("AlAs", "zincblende", a=5.64)
    atoms.positions[1] += [0.05, -0.03, 0.04]
    rest = {"pseudopotentials": str(files), "ecutwfc": 16, "kpoints": [3, 3, 3], "bands": 7}
    rest |= {"broadening": 0.2, "pulay": False}
    below, above = ({"origin": at, "spacing": by, "levels": n} for at, by, n in [(-8.0, 0.12, 33), (-1.3, 0.15, 70)])
    overlapping = [{"origin": -8.0, "spacing": 0.15, "levels": 69}, {"origin": 1.2, "spacing": 0.1, "levels": 80}]
    found = []
    for energies in ({"origin": -8.0, "spacing": 0.15, "levels": 115}, [below, above], overlapping):
        setup, store = Espresso.of({**values, **rest, "energies": energies}), tmp_path / f"{len(found)}.zarr"
        (done,) = dft([atoms], setup, store, names=["a"], client=client)
        assert done.reason == ""
        (checked,) = check(store, pseudopotentials=files, client=client)
        assert checked.good
        found.append(checked.figures["on"])
    one, two, three = found
    # meV/atom: what the broadening does is in all, and the parts cost nothing.
    for name in ("band_energy", "entropy_contribution", "total_free_energy"):
        assert two.terms[name] == pytest.approx(one.terms[name], abs=0.01), name
        assert three.terms[name] == pytest.approx(one.terms[name], abs=0.2), name
    assert two.electrons == pytest.approx(8.0, abs=1e-3) and three.electrons == pytest.approx(8.0, abs=1e-3)
    # A part that ends within 4 δ of its states loses some of them: refused before it is written.
    setup = Espresso.of({**values, **rest, "energies": [{**below, "levels": 27}, above]})
    (lost,) = dft([atoms], setup, tmp_path / "lost.zarr", names=["a"], client=client)
    assert "states in the gap from -4.88 to -1.30 eV" in lost.reason
