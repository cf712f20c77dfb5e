"""A slab with the Coulomb interaction cut off along c, through pw.x, a data set and `check`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist.arrays import Array
from maladist.datasets.dft.dft import dft
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.oneshot import oneshot
from maladist.datasets.dft.programs import run_program
from maladist.datasets.dft.scratch import Scratch
from maladist.errors import InputError, PhysicsError
from maladist.io.datasets import read_reference, reference_terms, snapshot_path
from maladist.io.fields import cube
from maladist.io.opening import open_dataset
from maladist.units import RYDBERG

CELL = [[2.26, 0.0, 0.0], [-1.13, 1.957, 0.0], [0.0, 0.0, 20.0]]


@pytest.fixture
def slab() -> Atoms:
    """Two layers of Be, not alike, about the edge of the cell."""
    return Atoms("Be2", [[0.02, 0.03, -0.1], [0.01, 1.3, 1.75]], cell=CELL, pbc=True)


@pytest.fixture
def code(own_data: Path) -> Espresso:
    """Coarse in all but what is compared."""
    return Espresso(
        temperature=2000,
        pseudopotentials=str(own_data / "pseudopotentials"),
        ecutwfc=18,
        kpoints=(4, 4, 1),
        energies={"origin": -17.0, "spacing": 0.1, "levels": 165},
        broadening=0.15,
        convergence=1e-12,
        system={"assume_isolated": "2D"},
    )


def fermi_level(group: Path) -> float:
    """μ of the DFT of a snapshot."""
    return reference_terms(read_reference(group))["fermi_energy_eV"]


def test_a_cell_that_the_cut_off_does_not_fit_is_refused_before_pw_starts(slab: Atoms, code: Espresso) -> None:
    code.check(slab)
    slab.cell[2, 2] = 10.0
    with pytest.raises(PhysicsError, match=r"c of 11\.70 Å at least"):
        code.check(slab)
    code.model_copy(update={"system": {}}).check(slab)


def test_one_step_of_another_boundary_than_the_density_s_is_refused(small_data_set: Path, setup: Espresso) -> None:
    other = setup.model_copy(update={"system": {"assume_isolated": "2D"}})
    with pytest.raises(InputError, match=r"system\.assume_isolated: 2D in the settings; wanted none"):
        oneshot(small_data_set / "snapshots" / "train-0", other)


@pytest.mark.slow
@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="no pw.x on this machine")
def test_energies_and_potential_are_those_of_pw_x(
    slab: Atoms, code: Espresso, tmp_path: Path, own_data: Path, client: Client
) -> None:
    """E_H and E_ii to 0.001 meV/atom, A to 1; V_H + V_loc to what a cube file tells, with the vacuum's two levels."""
    (done,) = dft([slab], code, tmp_path / "d.zarr", names=["a"], client=client)
    assert done.reason == ""
    group = snapshot_path(tmp_path / "d.zarr", "a")
    assert open_dataset(group).attrs["assume_isolated"] == "2D"
    (checked,) = maladist.check(group, pseudopotentials=own_data / "pseudopotentials", client=client)
    assert checked.good, checked.failures
    terms = checked.figures["on"].terms
    assert abs(terms["hartree"]) < 1e-3 and abs(terms["ewald"]) < 1e-3 and abs(terms["total_free_energy"]) < 1
    step = oneshot(group, code)
    assert step.stored is not None
    assert step.energies.total == pytest.approx(step.stored.total, abs=4e-4)

    def of_pp(scratch: Scratch) -> Array:
        text = "&INPUTPP prefix = 'm', outdir = './out', plot_num = 11 /\n"
        text += "&PLOT iflag = 3, output_format = 6, fileout = 'v.cube' /\n"
        (scratch.folder / "pp.in").write_text(text)
        run_program(scratch, "pp.x", "pp")
        return np.concatenate([part for _, part in cube.read_slabs(scratch.folder / "v.cube", 3)]) * RYDBERG

    with Scratch("slab", None, 1) as scratch:
        code.calculate(slab, scratch)
        exact = of_pp(scratch)
    found = maladist.potential(group, pseudopotentials=own_data / "pseudopotentials")
    np.testing.assert_allclose(found["potential"], exact, rtol=0, atol=1e-3)
    # Of each side its own, where the slab is seen whole: 4 Å from the atoms, not in the vacuum's middle.
    planar, z = exact.mean((0, 1)), np.arange(exact.shape[2]) * 20.0 / exact.shape[2]
    mu = fermi_level(group)
    sides = {"top": 1.75 + 4.1, "bottom": 20.0 - 0.1 - 4.1}
    for side, at in sides.items():
        level = planar[np.abs(z - at) < 0.4].mean()
        assert found.maladist.work_function("c", side, mu=mu) == pytest.approx(level - mu, abs=0.005)
        assert 4.0 < level - mu < 6.0 and abs(level) < 0.5
