"""A step's row, its line, and how steps are counted."""

from __future__ import annotations

import pytest

from maladist.dynamics.step import COLUMNS, Progress, Step
from maladist.testing import Listener


def test_a_step_comes_back_from_its_row() -> None:
    step = Step(step=3, time_fs=1.5, total_free_energy_eV=-1.25, largest_force_eV_per_A=0.5, fermi_energy_eV=7.0)
    assert Step.of_row(step.row()) == step and tuple(step.row()) == COLUMNS


def test_only_steps_that_have_a_frame_say_so() -> None:
    step = Step(step=3, total_free_energy_eV=-1.25, largest_force_eV_per_A=0.5, volume_A3=10, pressure_GPa=1, kept=True)
    assert step.line(bar=False) == "step 3  A -1.25000 eV  force 0.5000 eV/Å  10.00 Å³, 1.00 GPa"
    assert Step(**{**step.row(), "kept": False}).line(bar=False) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("last", [None, 3])
def test_as_many_steps_are_counted_as_were_asked_for(last: int | None) -> None:
    def at(number: int) -> Step:
        return Step(step=number, total_free_energy_eV=-1.25, largest_force_eV_per_A=0.5)

    class Count(Listener):
        def stage(self, name: str, total: int, done: int = 0) -> None:
            super().stage(name, total, done)
            counted.append(done)

        def advance(self, task: object) -> None:
            counted[-1] += 1

    counted: list[int] = []
    observer = Count()
    progress = Progress(observer, "steps", 5, None if last is None else at(last))
    for number in range(0 if last is None else last + 1, 6):
        progress.advance(at(number))
    assert counted == [total for _, total, _ in observer.stages]
    assert observer.stages == ([("step 0", 1, 0), ("steps", 5, 0)] if last is None else [("steps", 5, 3)])
