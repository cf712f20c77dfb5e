"""Sections of a training's configuration: what torch would take silently or refuse late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from maladist.errors import InputError
from maladist.training.sections import (
    _OPTIMISERS,
    _SCHEDULES,
    DataConfig,
    NetworkConfig,
    OptimiserConfig,
    ScheduleConfig,
)

STEPS = 20


def schedule_of(config: ScheduleConfig, lr: float = 1e-3) -> tuple[torch.optim.Optimizer, Any]:
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    return optimiser, config.make(optimiser, lr, STEPS)


@pytest.mark.parametrize(("name", "end"), [("OneCycleLR", 1e-3 / 25 / 1e4), ("CosineAnnealingLR", 0.0)])
def test_a_schedule_of_steps_ends_with_the_training(name: str, end: float) -> None:
    """One step too many would raise (OneCycleLR) or let the rate rise again (CosineAnnealingLR)."""
    optimiser, schedule = schedule_of(ScheduleConfig.of({"name": name}))
    rates = []
    for _ in range(STEPS - (name == "OneCycleLR")):  # that one takes its first value when it is made
        optimiser.step()
        schedule.step()
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates[-1] == pytest.approx(end, abs=1e-12)
    assert rates[-1] == min(rates)


def test_options_of_the_user_go_before_what_is_filled_in() -> None:
    optimiser, _ = schedule_of(ScheduleConfig.of({"options": {"max_lr": 0.5, "div_factor": 10}}))
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.05)


@pytest.mark.parametrize("name", ["LBFGS", "SparseAdam", "Optimizer", "lr_scheduler", "__name__"])
def test_what_is_no_optimiser_of_this_loop_is_refused(name: str) -> None:
    assert name not in _OPTIMISERS
    with pytest.raises(InputError, match=r"wanted one of .*AdamW"):
        OptimiserConfig.of({"name": name})


def test_schedules_that_are_made_of_functions_are_refused() -> None:
    assert {"LambdaLR", "SequentialLR"}.isdisjoint(_SCHEDULES)
    with pytest.raises(InputError, match=r"wanted one of .*OneCycleLR"):
        ScheduleConfig.of({"name": "LambdaLR"})


@pytest.mark.parametrize(
    ("section", "values"),
    [(OptimiserConfig, {"options": {"momentum": 0.9}}), (ScheduleConfig, {"name": "StepLR"})],
)
def test_options_that_torch_does_not_take_are_told_before_anything_is_read(
    section: Any, values: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="options that torch"):
        section.of(values)


def test_a_single_path_is_a_list_and_a_relative_one_is_from_the_files_folder(tmp_path: Path) -> None:
    config = DataConfig.of({"train": "a.zarr"}, "c.yaml", tmp_path)
    assert config.train == [str(tmp_path / "a.zarr")]
    assert DataConfig.of({"train": Path("/b.zarr")}).train == ["/b.zarr"]


@pytest.mark.parametrize(("points", "good"), [(1.0, True), (0.25, True), (1000.0, True), (2.5, False), (True, False)])
def test_points_are_a_fraction_or_a_whole_number(points: float, good: bool) -> None:
    values = {"train": "a.zarr", "points": points}
    if good:
        assert DataConfig.of(values).points == points
    else:
        with pytest.raises(InputError, match="points"):
            DataConfig.of(values)


def test_an_output_may_have_an_activation_of_its_own() -> None:
    layers = ["GELU", "SiLU", "Softplus"]
    assert NetworkConfig.of({"hidden": [4, 4], "activation": layers}).activation == layers
    with pytest.raises(InputError, match="at most 3 activations for 2 hidden layers"):
        NetworkConfig.of({"hidden": [4, 4], "activation": [*layers, "ReLU"]})
