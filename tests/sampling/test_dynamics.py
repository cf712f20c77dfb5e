"""MD through ASE: seeded, at its temperature, the command too."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.io import read
from ase.io.trajectory import TrajectoryWriter

from maladist.errors import AtomsError, InputError, OutputError
from maladist.io.structures import read_frames
from maladist.sampling.calculators import calculator_of
from maladist.sampling.dynamics import molecular_dynamics, thermal_momenta
from maladist.sampling.settings import Dynamics

ALUMINIUM = bulk("Al", cubic=True) * (2, 2, 2)


@pytest.mark.slow
def test_aluminium_holds_its_temperature(tmp_path: Path) -> None:
    with calculator_of("emt", ALUMINIUM) as emt:
        thermal = Dynamics(temperature=600, steps=800, timestep=3, friction=0.03)
        frames = molecular_dynamics(ALUMINIUM, emt, thermal, tmp_path / "al.traj")
    assert len(frames) == 80
    # Kinetic energy of 96 degrees of freedom: 14 % a sample, one every 10 frames or so of the last 1.8 ps.
    assert np.mean([f.get_temperature() for f in frames[20:]]) == pytest.approx(600, rel=0.12)
    assert frames[0].get_potential_energy() < frames[-1].get_potential_energy()


def test_a_seed_gives_the_same_trajectory_and_a_file_is_never_replaced(tmp_path: Path) -> None:
    def run(seed: int, name: str) -> np.ndarray:
        with calculator_of("emt", ALUMINIUM) as emt:
            thermal = Dynamics(temperature=300, steps=20, seed=seed, every=5)
            frames = molecular_dynamics(ALUMINIUM, emt, thermal, tmp_path / name)
        return frames[-1].positions

    first = run(1, "a.traj")
    np.testing.assert_array_equal(first, run(1, "b.traj"))
    assert np.abs(first - run(2, "c.traj")).max() > 1e-3
    with pytest.raises(InputError, match="exists"):
        run(1, "a.traj")


@pytest.mark.parametrize("room", [0, 4])
def test_a_disk_that_fills_leaves_the_frames_that_were_written(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "al.traj", TrajectoryWriter.write

    def full(writer: TrajectoryWriter, frame: Atoms) -> None:
        if path.stat().st_size > size:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(writer, frame)

    monkeypatch.setattr(TrajectoryWriter, "write", full)
    thermal = Dynamics(temperature=300, steps=20, every=2)
    size = np.inf
    with calculator_of("emt", ALUMINIUM) as emt:
        frames = molecular_dynamics(ALUMINIUM, emt, thermal, path)
    size = path.stat().st_size * (room - 0.5) / len(frames)
    path.unlink()
    with calculator_of("emt", ALUMINIUM) as emt, pytest.raises(OutputError, match="No space left") as error:
        molecular_dynamics(ALUMINIUM, emt, thermal, path)
    if room == 0:
        assert not path.exists() and "kept" not in str(error.value)
        return
    kept = read(path, ":")
    assert len(kept) == room and f"Its {room} whole frames are kept" in str(error.value)
    for a, b in zip(kept, frames, strict=False):
        np.testing.assert_array_equal(a.positions, b.positions)


def test_a_trajectory_whose_end_was_lost_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "al.traj"
    with calculator_of("emt", ALUMINIUM) as emt:
        molecular_dynamics(ALUMINIUM, emt, Dynamics(temperature=300, steps=20, every=2), path)
    os.truncate(path, path.stat().st_size - 100)
    with pytest.raises(AtomsError, match=r"al\.traj@:N takes the first N frames"):
        read_frames(str(path))
    assert len(read_frames(f"{path}@:9")) == 9


def test_thermal_momenta_have_the_variance_of_their_temperature() -> None:
    many = bulk("Al", cubic=True) * (12, 12, 12)
    momenta = thermal_momenta(many, 500.0, np.random.default_rng(1))
    # 20,736 numbers: their variance is within 1 % by one standard deviation.
    assert np.var(momenta) == pytest.approx(units.kB * 500 * many.get_masses()[0], rel=0.04)
