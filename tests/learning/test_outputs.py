"""Outputs of a network: levels and density, each by its own scaler, and nothing else."""

from __future__ import annotations

import torch

from maladist.learning.outputs import Outputs
from maladist.learning.scaling import Scaler


def standard(shift: float, scale: float) -> Scaler:
    return Scaler("standard", False, torch.tensor([shift]).double(), torch.tensor([scale]).double())


def test_each_part_has_its_own_scaler_and_columns_behind_are_left_out() -> None:
    outputs = Outputs(standard(1.0, 2.0), standard(10.0, 5.0))
    values = torch.tensor([[3.0, 5.0, 20.0, 999.0]])  # two levels, a density, and a potential that is no output
    assert outputs.extra == 1
    assert torch.equal(outputs.transform(values, 2), torch.tensor([[1.0, 2.0, 2.0]]))


def test_without_a_channel_only_levels_are_scaled() -> None:
    outputs = Outputs(standard(1.0, 2.0))
    assert outputs.extra == 0
    assert outputs.transform(torch.ones(4, 3), 2).shape == (4, 2)


def test_batches_of_portions_are_scaled_as_rows_are() -> None:
    outputs, values = Outputs(standard(1.0, 2.0), standard(10.0, 5.0)), torch.randn(2, 3, 5)
    rows = outputs.transform(values.reshape(6, 5), 4).reshape(2, 3, 5)
    assert torch.equal(outputs.transform(values, 4), rows)
