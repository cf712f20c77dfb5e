"""A step's row and its line."""

from __future__ import annotations

from maladist.dynamics.step import COLUMNS, Step


def test_a_step_comes_back_from_its_row() -> None:
    step = Step(step=3, time_fs=1.5, total_free_energy_eV=-1.25, largest_force_eV_per_A=0.5, fermi_energy_eV=7.0)
    assert Step.of_row(step.row()) == step and tuple(step.row()) == COLUMNS


def test_only_steps_that_have_a_frame_say_so() -> None:
    step = Step(step=3, total_free_energy_eV=-1.25, largest_force_eV_per_A=0.5, volume_A3=10, pressure_GPa=1, kept=True)
    assert step.line(bar=False) == "step 3  A -1.25000 eV  force 0.5000 eV/Å  10.00 Å³, 1.00 GPa"
    assert Step(**{**step.row(), "kept": False}).line(bar=False) == ""  # type: ignore[arg-type]
