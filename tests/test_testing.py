"""The public helpers for tests: they fail where something differs, and accidents happen where they are told to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maladist.descriptors import BispectrumSpec, evaluate
from maladist.grid import Grid
from maladist.neighbors import CellList
from maladist.testing import FaultySpec, be_atoms, be_element, sic_elements, tiny_model, with_accident

ATOMS = be_atoms()
GRID = Grid(ATOMS.cell.array.tolist(), (3, 3, 4))
SEEN = CellList(GRID.cell_array, ATOMS.positions, ATOMS.numbers.astype(np.int16), 3.5).near_block(GRID, GRID.whole)


def described(spec: BispectrumSpec | FaultySpec) -> torch.Tensor:
    return evaluate(GRID.points(), SEEN, spec, backend="torch", dtype=torch.float64)


def test_a_spec_with_accidents_computes_the_same_bits_until_one_happens(tmp_path: Path) -> None:
    plain = described(BispectrumSpec(twojmax=2, cutoff=3.5))
    assert torch.equal(described(FaultySpec(twojmax=2)), plain)
    faulty = FaultySpec(twojmax=2, at=(0.0, 0.0, 0.0), once=str(tmp_path / "happened"))
    with pytest.raises(ArithmeticError, match="made to fail here"):
        described(faulty)
    assert torch.equal(described(faulty), plain)  # once


def test_an_accident_is_part_of_the_model_but_not_of_its_numbers() -> None:
    model = tiny_model(twojmax=2)
    other = with_accident(model, seconds=0.001)
    assert other.descriptor.n_features == model.descriptor.n_features
    x = torch.randn(4, model.descriptor.n_features)
    assert torch.equal(other.ldos(x), model.ldos(x))


def test_the_core_charge_of_the_made_up_beryllium_holds_two_electrons() -> None:
    be = be_element()
    assert be.core_radii is not None and be.core_density is not None
    charge = np.trapezoid(4 * np.pi * be.core_radii**2 * be.core_density, be.core_radii)
    assert charge == pytest.approx(2.0, abs=1e-6)
    assert {e.xc for e in sic_elements().values()} == {"pz"}


def test_the_small_model_is_positive_and_the_same_for_the_same_seed() -> None:
    x = torch.randn(200, tiny_model().descriptor.n_features) * 30
    assert float(tiny_model().ldos(x).min()) >= 0.0
    assert tiny_model().content_hash == tiny_model().content_hash != tiny_model(seed=1).content_hash
