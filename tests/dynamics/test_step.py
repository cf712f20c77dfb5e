"""A step's row, its line, and what is warned of while steps are computed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from maladist.dynamics.step import COLUMNS, Step, told_once
from maladist.testing import Listener


def test_a_step_comes_back_from_its_row() -> None:
    step = Step(step=3, time_fs=1.5, total_free_energy_eV=-1.25, largest_force_eV_per_A=0.5, fermi_energy_eV=7.0)
    assert Step.of_row(step.row()) == step and tuple(step.row()) == COLUMNS


def test_only_steps_that_have_a_frame_say_so() -> None:
    step = Step(step=3, total_free_energy_eV=-1.25, largest_force_eV_per_A=0.5, volume_A3=10, pressure_GPa=1, kept=True)
    assert step.line(bar=False) == "step 3  A -1.25000 eV  force 0.5000 eV/Å  10.00 Å³, 1.00 GPa"
    assert Step(**{**step.row(), "kept": False}).line(bar=False) == ""  # type: ignore[arg-type]


def test_what_every_step_warns_of_is_told_once_and_other_warnings_pass() -> None:
    def steps() -> Iterator[int]:
        for number in range(3):
            warnings.warn(f"density holds {15.9 + number} electrons, not 16: scaled", UserWarning, stacklevel=1)
            if number == 2:
                warnings.warn("another thing", UserWarning, stacklevel=1)
            yield number

    observer = Listener()
    assert list(told_once(steps(), observer)) == [0, 1, 2]
    assert observer.notes == ["density holds 15.9 electrons, not 16: scaled", "another thing"]
    with pytest.warns(UserWarning, match="thing|scaled") as warned:
        assert list(told_once(steps(), None)) == [0, 1, 2]
    assert [str(w.message) for w in warned] == observer.notes
