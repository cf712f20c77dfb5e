"""GPAW as a code: what it is told, what is refused, and its A, D(ε) and n(r) against pw.x with the same files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from distributed import Client

import maladist
from maladist.datasets.check import check
from maladist.datasets.dft.code import Calculated, DFTCode
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.gpaw import GPAW
from maladist.datasets.dft.plane_waves import PlaneWaves
from maladist.datasets.dft.scratch import Scratch
from maladist.errors import DependencyError, DFTError, InputError
from maladist.io.datasets import read_reference, snapshot_path

DEBIAN: Final = Path("/usr/share/espresso/pseudo")
"""Of Debian's quantum-espresso-data: norm-conserving, LDA; one file of each version of UPF."""

REAL: Final = pytest.mark.skipif(
    shutil.which("gpaw") is None or shutil.which("pw.x") is None or not DEBIAN.is_dir(), reason="no gpaw or no pw.x"
)


@pytest.fixture
def code(setup: Espresso) -> GPAW:
    return like(setup)


def like(setup: Espresso, **changed: object) -> GPAW:
    """The same settings for GPAW."""
    shared = {k: v for k, v in setup.to_dict().items() if k in PlaneWaves.model_fields}
    return GPAW.of({**shared, **changed, "code": "gpaw"})


def test_it_is_a_code_and_its_grid_is_that_of_pw(code: GPAW, be2: Atoms) -> None:
    one: DFTCode = code  # the type holds it against the protocol
    assert one.program == "gpaw"
    grids = {20: (15, 15, 20), 25: (15, 15, 24), 45: (20, 20, 30), 90: (25, 25, 45)}  # that pw.x chose
    assert {e: code.model_copy(update={"ecutwfc": e}).shape(be2) for e in grids} == grids


def test_what_gpaw_is_told_is_in_its_units(code: GPAW, be2: Atoms) -> None:
    told = json.loads(json.dumps(code.settings(be2, 9)))
    be = told["pseudopotentials"]["Be"]
    assert list(told["pseudopotentials"]) == ["Be"] and told["xc"] == "PBE"  # not that of Al, which lies beside it
    assert (told["mesh"], told["bands"], told["spare"]) == ([2, 2, 1], 9, 3)
    assert told["cutoff"] == pytest.approx(244.9025) and told["width"] == pytest.approx(0.0861733)
    assert be["valence"] == 2.0 and be["strengths"] == [[pytest.approx(0.27427240867841673 / 2)]]  # Hartree
    assert be["radii"][0] == pytest.approx(2.279704913886291e-04)
    assert be["local"][-1] * be["radii"][-1] == pytest.approx(-2.0, rel=1e-6)  # −Z/r
    assert len(be["core"]) == len(be["projectors"][0]) == 1041


def test_atoms_too_near_for_its_nuclei_are_refused(code: GPAW, be2: Atoms) -> None:
    code.check(be2)
    be2.positions[1] = be2.positions[0] + [0.5, 0.5, 0.5]
    with pytest.raises(InputError, match=r"atoms: 0\.87 Å apart; wanted 0\.95 Å or more with GPAW"):
        code.check(be2)


def test_pseudopotentials_that_it_cannot_take_are_refused(setup: Espresso, own_data: Path, tmp_path: Path) -> None:
    text = (own_data / "pseudopotentials" / "Be.own-pbe-nc-nlcc.UPF").read_text()
    path = tmp_path / "Be.UPF"
    path.write_text(text.replace('functional="PBE"', 'functional=""'))
    with pytest.raises(InputError, match="that of Be does not tell its functional"):
        like(setup, pseudopotentials=str(tmp_path))
    path.write_text(text.replace('is_ultrasoft="false"', 'is_ultrasoft="true"'))
    with pytest.raises(InputError, match=r"Be\.UPF: is ultrasoft"):
        like(setup, pseudopotentials=str(tmp_path))


def test_a_missing_gpaw_is_told_by_name(
    code: GPAW, be2: Atoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        Scratch("a", str(tmp_path)) as scratch,
        pytest.raises(DependencyError, match=r"gpaw: not found .*; wanted the programs of the DFT code"),
    ):
        code.calculate(be2, scratch)


def test_a_gpaw_that_fails_says_why(code: GPAW, be2: Atoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "gpaw"
    program.write_text("#!/bin/sh\ncat >/dev/null\necho 'gpaw.KohnShamConvergenceError: Did not converge!'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with (
        Scratch("a", str(tmp_path)) as scratch,
        pytest.raises(DFTError, match=r"gpaw: it stopped with status 1: gpaw\.KohnSham.*: Did not converge!"),
    ):
        code.calculate(be2, scratch)


# -- with GPAW and pw.x ------------------------------------------------------------------------------------------------


def dos(found: Calculated) -> np.ndarray:
    volume = found.run.atoms.get_volume()
    return found.ldos.mean(axis=(0, 1, 2), dtype=np.float64) * volume


def calculated(code: Espresso | GPAW, atoms: Atoms, folder: Path) -> Calculated:
    with Scratch("a", str(folder)) as scratch:
        return code.calculate(atoms, scratch)


@pytest.mark.slow
@pytest.mark.qe
@pytest.mark.gpaw
@REAL
@pytest.mark.parametrize("crystal", ["Be", "SiC"])
def test_gpaw_and_pw_agree(crystal: str, tmp_path: Path, be2: Atoms, setup: Espresso) -> None:
    """Be: PBE, with a core charge, one l; SiC: LDA, two l and a gap. Grids for E_xc differ, GPAW's is twice as fine."""
    atoms, theirs = be2, setup.model_copy(update={"ecutwfc": 25.0, "pulay": False})
    if crystal == "SiC":
        for name in ("Si.pz-vbc.UPF", "C.UPF"):
            shutil.copy(DEBIAN / name, tmp_path)
        atoms = bulk("SiC", "zincblende", a=4.36)
        atoms.positions += np.random.default_rng(3).normal(0, 0.08, (2, 3))
        changed = {"pseudopotentials": str(tmp_path), "temperature": 300.0, "ecutwfc": 20.0}
        changed["energies"] = {"origin": -9.0, "spacing": 0.5, "levels": 48}
        theirs = Espresso.of({**theirs.to_dict(), **changed, "kpoints": (2, 2, 2)})
    pw, ours = (calculated(code, atoms, tmp_path) for code in (theirs, like(theirs)))
    assert pw.run.shape == ours.run.shape and pw.run.eigenvalues.shape == ours.run.eigenvalues.shape
    tolerance = {"Be": 1.2, "SiC": 0.2}[crystal]  # meV an atom; 0.75 and 0.08 measured, at other k-points
    for name in ("total_free_energy_eV", "xc_eV", "band_energy_eV", "entropy_contribution_eV"):
        assert 1e3 * abs(ours.run.terms[name] - pw.run.terms[name]) / 2 < tolerance, name
    assert ours.run.terms["n_electrons"] == pytest.approx(pw.run.n_electrons, abs=1e-8)
    assert np.abs(ours.density - pw.density).sum() < 2e-4 * pw.density.sum()
    assert np.linalg.norm(dos(ours) - dos(pw)) < 2e-3 * np.linalg.norm(dos(pw))
    assert np.linalg.norm(ours.ldos - pw.ldos) < 4e-3 * np.linalg.norm(pw.ldos)
    assert ours.run.forces is not None and pw.run.forces is not None
    np.testing.assert_allclose(ours.run.forces, pw.run.forces, atol=5e-3)  # eV/Å


@pytest.mark.slow
@pytest.mark.gpaw
@REAL
def test_a_data_set_of_gpaw_passes_the_check(tmp_path: Path, be2: Atoms, code: GPAW, client: Client) -> None:
    """The package's own A from n(r) and D(ε) against GPAW's: Ewald's, Hartree's and E_xc, none of which are GPAW's."""
    code = like_auto(code)
    (done,) = maladist.dft([be2], code, tmp_path / "d.zarr", names=["a"], client=client)
    assert done.reason == ""
    reference = read_reference(snapshot_path(tmp_path / "d.zarr", "a"))
    assert reference is not None and reference.attrs["ultrasoft"] is False and "forces" in reference
    (found,) = check(tmp_path / "d.zarr", pseudopotentials=code.pseudopotentials, client=client)
    assert found.failures == ()


def like_auto(code: GPAW) -> GPAW:
    """The same with energies that a calculation proposes."""
    return GPAW.of({**code.to_dict(), "energies": "auto", "broadening": 0.2, "ecutwfc": 30.0})
