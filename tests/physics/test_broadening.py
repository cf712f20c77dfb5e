"""Aliasing of samples that are too far apart: what Poisson's formula says, and what the sums then do."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from maladist import EnergyGrid
from maladist.errors import GridError
from maladist.physics.broadening import COARSE, aliasing, broadened_dos, check_spacing, coarsest_spacing, wide_note


@pytest.mark.parametrize("kernel", ["gaussian", "fermi-derivative"])
@pytest.mark.parametrize("ratio", [1.5, 2.0, 3.0])
def test_a_level_s_weight_changes_by_twice_the_aliasing(kernel: str, ratio: float) -> None:
    """Σ_i h K((ε_i − ε)/δ)/δ as the level ε moves between two samples."""
    grid = EnergyGrid(-30.0, 0.2 * ratio, math.ceil(60 / (0.2 * ratio)), kernel, 0.2)
    levels = torch.linspace(0.0, grid.spacing, 33, dtype=torch.float64)
    weights = [float(broadened_dos(e[None, None], torch.ones(1), grid).sum()) * grid.spacing for e in levels]
    # The first term of the series; the next is smaller by a factor of its own size at least.
    assert np.ptp(weights) / 4 == pytest.approx(aliasing(grid), rel=0.02, abs=1e-9)


@pytest.mark.parametrize("kernel", ["gaussian", "fermi-derivative"])
def test_the_coarsest_spacing_is_where_the_limit_is(kernel: str) -> None:
    grid = EnergyGrid(0.0, 1.0, 10, kernel, 0.3)
    at = replace(grid, spacing=coarsest_spacing(grid))
    assert aliasing(at) == pytest.approx(COARSE, rel=0.05)
    check_spacing(replace(at, spacing=0.98 * at.spacing), "spacing")
    with pytest.raises(GridError, match=r"energies\.spacing: .* eV with a broadening of 0\.3 eV"):
        check_spacing(replace(at, spacing=1.05 * at.spacing), "energies.spacing")


def test_an_unknown_kernel_tells_nothing() -> None:
    for kernel, width in (("unknown", 0.1), ("none", 0.0)):
        grid = EnergyGrid(0.0, 1.0, 10, kernel, width)
        assert aliasing(grid) is None
        check_spacing(grid, "spacing")


def test_a_broadening_much_wider_than_the_thermal_energy_is_told() -> None:
    grid = EnergyGrid(0.0, 0.1, 10, "gaussian", 0.4)
    assert (
        wide_note(grid, 1000.0)
        == wide_note(grid, None)
        == wide_note(replace(grid, kernel="none", width=0.0), 9.0)
        == ""
    )
    assert wide_note(grid, 300.0).startswith("δ of 0.4 eV is 15 k_BT at 300 K") and "0.13 eV" in wide_note(grid, 300.0)
