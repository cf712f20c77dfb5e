"""MD: its ensembles, from where it goes on, and when it stops."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.constraints import FixAtoms
from ase.io import read
from distributed import Client

import maladist
from maladist import MDSettings
from maladist.dynamics.folder import TABLE, TRAJECTORY, read_table
from maladist.dynamics.md import propagate
from maladist.dynamics.step import Step
from maladist.errors import AtomsError, DomainError, InputError, PhysicsError, StoreError
from maladist.io.trajectory import whole_frames
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Domain
from maladist.prediction.setup import setup
from maladist.testing import Listener, be_atoms, tiny_model
from tests.dynamics.wells import Wells, crystal

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")
GRID = (10, 10, 14)  # finer than it need be for speed: on a coarser one A has a kink where a point meets an atom

KILLED = """
import sys, time
from maladist import MDSettings
from maladist.dynamics.md import propagate
from tests.dynamics.wells import Wells, crystal

class Slow(Wells):
    def calculate(self, *arguments):
        time.sleep(0.01)
        super().calculate(*arguments)

propagate(crystal(), Slow(), sys.argv[1], MDSettings(steps=100_000))
"""


def assert_same_run(a: Path, b: Path) -> None:
    """Demand that every number of two runs has the same bits."""
    for x, y in zip(read(a / TRAJECTORY, ":"), read(b / TRAJECTORY, ":"), strict=True):
        np.testing.assert_array_equal(x.positions, y.positions)
        np.testing.assert_array_equal(x.get_momenta(), y.get_momenta())
        np.testing.assert_array_equal(x.cell.array, y.cell.array)
        assert x.info == y.info and x.get_potential_energy() == y.get_potential_energy()
    assert (a / TABLE).read_text() == (b / TABLE).read_text()


@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_a_run_in_parts_is_the_run_in_one_to_the_bit(ensemble: str, tmp_path: Path) -> None:
    settings = MDSettings(steps=24, ensemble=ensemble, every=4, pressure=0.1 if ensemble == "npt" else 0.0)  # type: ignore[arg-type]
    whole = propagate(crystal(), Wells(), tmp_path / "whole", settings)
    for steps in (8, 8, 12, 24):
        parts = propagate(crystal(), Wells(), tmp_path / "parts", replace(settings, steps=steps))
    assert parts == whole and whole.n_frames == 7 and whole.steps == 24
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(killed)])
    try:
        began = time.monotonic()
        while whole_frames(killed / TRAJECTORY) < 5:
            assert process.poll() is None and time.monotonic() - began < 120
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    before = whole_frames(killed / TRAJECTORY)
    settings = MDSettings(steps=before + 10)
    propagate(crystal(), Wells(), killed, settings)
    propagate(crystal(), Wells(), tmp_path / "whole", settings)
    assert_same_run(killed, tmp_path / "whole")


def test_the_energy_is_conserved_and_fluctuates_with_the_square_of_the_step(tmp_path: Path) -> None:
    coarse = propagate(crystal(), Wells(), tmp_path / "2", MDSettings(steps=400, timestep=2.0, every=400))
    fine = propagate(crystal(), Wells(), tmp_path / "1", MDSettings(steps=800, timestep=1.0, every=800))
    assert coarse.conserved_std_meV_per_atom is not None and fine.conserved_std_meV_per_atom is not None
    # Higher orders of the step are a few per cent here.
    assert coarse.conserved_std_meV_per_atom / fine.conserved_std_meV_per_atom == pytest.approx(4, rel=0.05)
    assert fine.conserved_drift_meV_per_atom_per_ps == pytest.approx(0, abs=fine.conserved_std_meV_per_atom)


def test_a_model_conserves_its_energy_and_its_run_goes_on(client: Client, tmp_path: Path) -> None:
    """A itself, of a network of random weights, whose forces are a few eV/Å."""
    observer = Listener()

    def run(name: str, steps: int, timestep: float) -> None:
        settings = MDSettings(steps=steps, timestep=timestep, ion_temperature=1000)
        maladist.md(
            be_atoms(),
            tiny_model(),
            tmp_path / name,
            settings,
            client=client,
            observer=observer,
            grid=GRID,
            precision="float64",
        )

    run("1", 2, 0.2)
    run("1", 6, 0.2)
    run("2", 3, 0.4)
    new = ("step 0", 1, 0)  # the atoms as they came are none of the steps
    assert observer.stages == [new, ("MD steps", 2, 0), ("MD steps", 6, 2), new, ("MD steps", 3, 0)]
    assert [task.step for task in observer.tasks] == [*range(7), *range(4)]
    assert len(observer.notes) == 3 * len(set(observer.notes))  # each run says once what its steps all say
    fine, coarse = read_table(tmp_path / "1"), read_table(tmp_path / "2")
    # At the same time; higher orders of the step are a few per cent here.
    assert departure(coarse) / departure(fine) == pytest.approx(4, rel=0.1)
    exchanged = abs(fine[-1].total_free_energy_eV - fine[0].total_free_energy_eV)
    assert departure(fine) < 1e-3 * exchanged
    assert fine[-1].fermi_energy_eV is not None and fine[0].fermi_energy_eV != fine[-1].fermi_energy_eV
    last = read(tmp_path / "1" / TRAJECTORY)
    assert last.get_potential_energy() == fine[-1].total_free_energy_eV and np.abs(last.get_forces()).max() > 0.1


def departure(steps: list[Step]) -> float:
    """How far the conserved energy has come from where it was, eV."""
    first, last = steps[0].conserved_energy_eV, steps[-1].conserved_energy_eV
    assert first is not None and last is not None
    return abs(last - first)


def test_velocities_are_drawn_without_total_momentum_or_taken_from_the_atoms(tmp_path: Path) -> None:
    first = propagate(crystal(), Wells(), tmp_path / "a", MDSettings(steps=1, seed=3))
    start = read(tmp_path / "a" / TRAJECTORY, 0)
    assert np.abs(start.get_momenta().sum(axis=0)).max() < 1e-12
    again = MDSettings(steps=1, seed=4, velocities="given")
    assert propagate(start, Wells(), tmp_path / "b", again) == first
    with pytest.raises(AtomsError, match="velocities"):
        propagate(crystal(), Wells(), tmp_path / "c", again)


def test_langevin_holds_its_temperature(tmp_path: Path) -> None:
    thermal = MDSettings(steps=2000, timestep=2, ensemble="nvt", ion_temperature=600, friction=0.05, every=2000)
    summary = propagate(crystal(), Wells(), tmp_path / "a", thermal)
    # 24 degrees of freedom, some 100 independent samples of 29 % each, and the first of them on the way.
    assert summary.ion_temperature_K == pytest.approx(600, rel=0.12)
    assert summary.conserved_std_meV_per_atom is None


@pytest.mark.slow
def test_a_constant_pressure_finds_its_volume(tmp_path: Path) -> None:
    """The wells' cell has 8 GPa (1 − V/64 Å³): 2 GPa are in balance at 48 Å³."""
    cold = MDSettings(
        steps=2000, timestep=2, ensemble="npt", ion_temperature=10, pressure=2, barostat_time=100, every=2000
    )
    propagate(crystal(), Wells(), tmp_path / "a", cold)
    steps = read_table(tmp_path / "a")[1000:]
    assert np.mean([s.volume_A3 for s in steps]) == pytest.approx(48, rel=0.03)
    assert np.mean([s.pressure_GPa for s in steps]) == pytest.approx(2, abs=0.2)


# -- refusals and stops ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"timestep": 2.0}, r"timestep \(1.0, not 2.0\)"),
        ({"seed": 1}, "atoms, seed"),  # other velocities are another beginning
        ({"ensemble": "nvt"}, r"ensemble \(nve, not nvt\)"),
    ],
)
def test_other_arguments_are_refused_by_their_names(change: dict[str, object], words: str, tmp_path: Path) -> None:
    settings = MDSettings(steps=4)
    propagate(crystal(), Wells(), tmp_path / "a", settings)
    before = (tmp_path / "a" / TABLE).read_text()
    with pytest.raises(StoreError, match=f"other {words}"):
        propagate(crystal(), Wells(), tmp_path / "a", replace(settings, **change))  # type: ignore[arg-type]
    assert (tmp_path / "a" / TABLE).read_text() == before


def test_a_run_stops_where_the_model_leaves_its_training_and_stays_stopped(client: Client, tmp_path: Path) -> None:
    bare, cells = tiny_model(), CellRange.of(setup(be_atoms(), tiny_model()).system)
    around_zero = Domain(cells, 1.0, torch.zeros(bare.descriptor.n_features, 1), torch.zeros(1), None)

    def run(start: Atoms, name: str, steps: int, **change: object) -> None:
        settings = MDSettings(steps=steps, ion_temperature=3000, **change)  # type: ignore[arg-type]
        model = replace(bare, domain=around_zero)
        maladist.md(start, model, tmp_path / name, settings, client=client, observer=Listener(), grid=GRID)

    run(be_atoms(), "a", 1)
    first, last = (step.largest_novelty or 0 for step in read_table(tmp_path / "a"))
    # Backwards in time where the novelty falls: it rises.
    start = read(tmp_path / "a" / TRAJECTORY, 0)
    start.set_momenta(start.get_momenta() * np.sign(last - first))
    for _ in range(2):
        with pytest.raises(DomainError, match="at step 1; wanted at most") as error:
            run(start, "b", 3, velocities="given", stop_novelty=first)
        assert error.value.__notes__ == [f"frames kept: 2, in {tmp_path / 'b' / TRAJECTORY}"]
    with pytest.raises(DomainError, match="does not know where it has been trained"):
        propagate(crystal(), Wells(), tmp_path / "c", MDSettings(steps=2, stop_novelty=2.0))


def test_atoms_that_fly_apart_end_the_run_and_leave_its_frames(tmp_path: Path) -> None:
    class Broken(Wells):
        def calculate(self, *arguments: object) -> None:
            super().calculate(*arguments)  # type: ignore[arg-type]
            if self.atoms.positions[0, 0] != 0:
                self.results["energy"] = np.nan

    with pytest.raises(InputError, match="not finite"):
        propagate(crystal(), Broken(), tmp_path / "a", MDSettings(steps=4))
    assert whole_frames(tmp_path / "a" / TRAJECTORY) == 1


def test_what_md_cannot_do_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    fixed = crystal()
    fixed.set_constraint(FixAtoms([0]))
    with pytest.raises(AtomsError, match="FixAtoms"):
        propagate(fixed, Wells(), tmp_path / "a", MDSettings(steps=1))
    with pytest.raises(AtomsError, match="two or more"):
        propagate(crystal()[:1], Wells(), tmp_path / "a", MDSettings(steps=1))
    with pytest.raises(InputError, match="one: A at one temperature"):
        maladist.md(be_atoms(), tiny_model(), tmp_path / "a", MDSettings(steps=1), temperature=[1000, 2000], grid=GRID)
    bare = replace(tiny_model(), elements={"Be": maladist.Element("Be", 2.0)})
    with pytest.raises((PhysicsError, InputError), match="forces"):
        maladist.md(be_atoms(), bare, tmp_path / "a", MDSettings(steps=1), grid=GRID)
    assert not (tmp_path / "a").exists()
