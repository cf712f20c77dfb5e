from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.data import atomic_numbers

from maladist.elements import Element
from maladist.errors import PseudopotentialError
from maladist.grid import Grid
from maladist.io.qe.upf import read_pseudopotentials
from maladist.physics.core import core_charge, core_charge_of, form_factor
from maladist.physics.radial import LARGEST_RADIUS
from maladist.physics.reciprocal import ReciprocalSlab, largest_cutoff, to_reciprocal
from maladist.physics.system import System

GRID = Grid([[3.0, 0.2, 0.0], [-1.1, 2.7, 0.3], [0.4, 0.9, 4.1]], (18, 15, 20))
CUTOFF = 0.8 * largest_cutoff(GRID)
POSITIONS = torch.from_numpy(np.random.default_rng(0).uniform(0, 4, (4, 3)))
SYMBOLS = ["Al", "Be", "Al", "Be"]


def cell(elements: dict[str, Element], atoms: Sequence[int] = (0, 1, 2, 3)) -> System:
    """The four atoms, or some of them."""
    numbers = np.array([atomic_numbers[SYMBOLS[i]] for i in atoms], np.int16)
    return System(GRID, POSITIONS[list(atoms)].numpy(), numbers, elements, density_cutoff=CUTOFF)


def gaussian_element(sigma: float = 0.3, charge: float = 2.0, n: int = 1201) -> Element:
    """Core charge with a known transform, on a logarithmic mesh that ends beyond 10 bohr."""
    r = 1e-4 * np.exp(0.01 * np.arange(n))
    density = charge * np.exp(-(r**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2) ** 1.5
    return Element("Be", 2.0, "made up", "", core_radii=r, core_rab=0.01 * r, core_density=density)


@pytest.fixture(scope="module")
def elements(own_data: Path) -> dict[str, Element]:
    return read_pseudopotentials(own_data / "pseudopotentials")


@pytest.mark.parametrize("n", [1201, 1200])
def test_the_form_factor_of_a_gaussian_is_a_gaussian(n: int) -> None:
    g = np.linspace(0, 15, 40)
    found = form_factor(gaussian_element(n=n), g)
    np.testing.assert_allclose(found, 2 * np.exp(-(0.3**2) * g**2 / 2), rtol=0, atol=1e-8)  # Simpson on 1 % steps


def test_the_mesh_beyond_ten_bohr_does_not_count() -> None:
    element = gaussian_element()
    assert element.core_radii is not None
    assert element.core_density is not None
    tail = np.where(element.core_radii > 1.02 * LARGEST_RADIUS, 1e3, element.core_density)
    spoiled = Element("Be", 2.0, "x", "", element.core_radii, element.core_rab, tail)
    assert form_factor(spoiled, [0.0, 3.0]).tolist() == form_factor(element, [0.0, 3.0]).tolist()


def test_coefficients_are_form_factors_times_structure_factors_on_the_sphere(elements: dict[str, Element]) -> None:
    slab = ReciprocalSlab.whole(GRID)
    g = torch.stack([slab.component(axis) for axis in range(3)], dim=-1)
    phase = g @ POSITIONS.T
    waves = torch.complex(torch.cos(phase), -torch.sin(phase))
    wanted = torch.zeros(slab.shape, dtype=torch.complex128)
    for k, symbol in enumerate(SYMBOLS):
        factor = form_factor(elements[symbol], slab.squared().sqrt().numpy().ravel()).reshape(slab.shape)
        wanted += torch.from_numpy(factor) * waves[..., k] / GRID.volume
    wanted = wanted * slab.sphere(CUTOFF)
    found = core_charge_of(cell(elements), slab)
    assert found is not None
    assert float((found - wanted).abs().max() / wanted.abs().max()) < 1e-11


def test_the_core_charge_in_space_is_the_series_of_its_coefficients(elements: dict[str, Element]) -> None:
    n_core = core_charge(cell(elements))
    coefficients = core_charge_of(cell(elements), ReciprocalSlab.whole(GRID))
    assert n_core is not None
    assert coefficients is not None
    torch.testing.assert_close(to_reciprocal(n_core), coefficients, rtol=0, atol=1e-12)
    charge = 2 * sum(float(form_factor(elements[s], [0.0])[0]) for s in ("Al", "Be"))
    assert float(n_core.sum()) * GRID.voxel_volume == pytest.approx(charge, rel=1e-11)


def test_a_slab_is_cut_out_of_the_whole(elements: dict[str, Element]) -> None:
    whole = core_charge_of(cell(elements), ReciprocalSlab.whole(GRID))
    part = core_charge_of(cell(elements), ReciprocalSlab(GRID, (0, 4, 0), (18, 9, 11)))
    assert whole is not None
    assert part is not None
    torch.testing.assert_close(part, whole[:, 4:9], rtol=0, atol=1e-11)


def test_elements_without_nlcc_have_no_core_charge(elements: dict[str, Element]) -> None:
    bare = elements | {"Be": Element("Be", 2.0, "Be.upf")}
    assert core_charge(cell(bare, [1])) is None
    mixed = core_charge(cell(bare))
    only_al = core_charge(cell(elements, [0, 2]))
    assert mixed is not None
    assert only_al is not None
    torch.testing.assert_close(mixed, only_al, rtol=0, atol=1e-12)


@pytest.mark.parametrize("missing", [{}, {"Be": Element("Be", 2.0)}])
def test_an_element_without_a_pseudopotential_is_refused(missing: dict[str, Element]) -> None:
    with pytest.raises(PseudopotentialError, match="none for Be"):
        core_charge(cell(missing, [1]))


def test_moving_an_atom_moves_its_core_charge(elements: dict[str, Element]) -> None:
    """A differentiable function of the positions: needed for forces."""
    field = torch.rand(GRID.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def overlap(positions: torch.Tensor) -> torch.Tensor:
        n_core = core_charge(cell(elements), positions)
        assert n_core is not None
        return (n_core * field).sum()

    r = POSITIONS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(overlap(r), r)
    step = torch.zeros_like(POSITIONS)
    step[2, 1] = 1e-4
    slope = float(overlap(POSITIONS + step) - overlap(POSITIONS - step)) / 2e-4
    assert float(gradient[2, 1]) == pytest.approx(slope, rel=1e-6)


def test_a_cutoff_far_beyond_the_grid_costs_no_more_than_the_grid(
    elements: dict[str, Element], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(element: Element, g: np.ndarray) -> np.ndarray:
        asked.append(len(g))
        return form_factor(element, g)

    monkeypatch.setattr("maladist.physics.core.form_factor", counted)
    far = core_charge(replace(cell(elements), density_cutoff=1e9))
    every = core_charge(replace(cell(elements), density_cutoff=10 * largest_cutoff(GRID)))
    assert far is not None and every is not None and torch.equal(far, every)
    assert max(asked) < 5000
