"""What a calculator has when a step begins comes back with the frame: the next bits are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase.io import read

import maladist
from maladist import MDSettings
from maladist.dynamics.folder import TRAJECTORY
from maladist.testing import Listener, be_atoms, tiny_model
from tests.dynamics.test_md import GRID, assert_same_run

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 2])
def test_a_models_run_in_parts_is_the_run_in_one_to_the_bit(every: int, tmp_path: Path) -> None:
    """In this process; the window of the Fermi level is kept once and named by the frames after."""
    for name, lengths in (("whole", [6]), ("parts", [2, 4, 6])):
        for steps in lengths:
            settings = MDSettings(steps=steps, timestep=0.2, ion_temperature=1000, every=every)
            maladist.md(be_atoms(), tiny_model(), tmp_path / name, settings, observer=Listener(), grid=GRID)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    frames = read(tmp_path / "whole" / TRAJECTORY, ":")
    assert [i for i, frame in enumerate(frames) if "window" in frame.info] == [0]
    assert {frame.info["window_frame"] for frame in frames} == {0}
