"""Forces and strain derivatives against finite differences of A, with the sphere of plane waves frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms

from maladist.descriptors import BispectrumSpec, GaussianSpec, PowerSpectrumSpec, Spec
from maladist.elements import Element
from maladist.learning.model import LDOSModel
from maladist.learning.scaling import Scaler
from maladist.testing import be_atoms, be_element, tiny_model, with_density_channel
from tests.physics.differences import difference, freeze_sphere
from tests.prediction.free_energy import Array, derivatives, free_energies, moved, solve, strained

GRID = (12, 12, 16)
STEP = 2e-5
"""Å; a fourth of it of a strain. Kinks add an error in proportion to it: atoms pass the cutoff, an LDOS passes zero."""

EXACT = 3e-7
"""Of the largest component; rounding of A over the step is below 1e-8 of it."""


def sensitive(seed: int = 0, spec: Spec | None = None, scale: float = 6.0) -> LDOSModel:
    """The tiny model, of descriptors so narrowly scaled that the LDOS follows the atoms."""
    spec = spec or BispectrumSpec(twojmax=3, cutoff=3.5)
    model = tiny_model(seed, spec=spec)
    narrow = torch.full((spec.n_features,), scale, dtype=torch.float64)
    features = torch.full((spec.n_features,), 30.0 if isinstance(spec, BispectrumSpec) else 0.1, dtype=torch.float64)
    return replace(model, input_scaler=Scaler("standard", True, shift=features, scale=narrow))


def without_core(model: LDOSModel) -> LDOSModel:
    """The model with an element that has no core charge."""
    element = replace(be_element(), core_radii=None, core_rab=None, core_density=None)
    return replace(model, elements={"Be": element})


def beal() -> tuple[Atoms, LDOSModel]:
    """Two elements of different weights, valences and core charges."""
    atoms = be_atoms()
    atoms.symbols[1] = "Al"
    be = be_element()
    assert be.core_density is not None
    al = Element(
        "Al", 3.0, "Al.made-up", core_radii=be.core_radii, core_rab=be.core_rab, core_density=0.6 * be.core_density
    )
    spec = BispectrumSpec(twojmax=3, cutoff=3.5, weights={"Be": 0.8, "Al": 1.3})
    return atoms, replace(sensitive(spec=spec), elements={"Be": be, "Al": al}, energy_zero={"Be": 30.0, "Al": 50.0})


@dataclass
class Case:
    """A model, atoms and the options of `predict`."""

    model: Callable[[], LDOSModel]
    options: Mapping[str, Any] = field(default_factory=dict)
    atoms: Callable[[], Atoms] = be_atoms


CASES = {
    "PBE": Case(sensitive),
    "PW92": Case(lambda: replace(sensitive(), xc="pw92")),
    "no core charge": Case(lambda: without_core(sensitive())),
    "LDA, no core charge": Case(lambda: replace(without_core(sensitive()), xc="pw92")),
    "no correction": Case(sensitive, {"broadening_correction": "off"}),
    "300 K": Case(lambda: replace(sensitive(), temperature=300.0)),
    "30000 K": Case(lambda: replace(sensitive(), temperature=30000.0)),
    "other temperatures": Case(sensitive, {"temperature": [1000.0, 8000.0]}),
    "density channel": Case(lambda: with_density_channel(sensitive()), {"temperature": [2000.0, 8000.0]}),
    "two elements, zero of energy": Case(lambda: beal()[1], atoms=lambda: beal()[0]),
    "ensemble, whitened": Case(lambda: whitened(LDOSModel.mean_of([sensitive(1), sensitive(2)]))),
    "no negative LDOS": Case(lambda: replace(sensitive(3), restrict="zero_out_negative")),
    "Gaussian": Case(lambda: sensitive(spec=GaussianSpec(cutoff=3.5, sigma=0.5), scale=0.05)),
    "power spectrum": Case(lambda: sensitive(spec=PowerSpectrumSpec(3.5, (4, 2, 2)), scale=0.3)),
    "quadratic": Case(lambda: sensitive(spec=BispectrumSpec(twojmax=2, cutoff=3.5, quadratic=True), scale=60.0)),
}


def whitened(model: LDOSModel) -> LDOSModel:
    """The model with descriptors turned into random directions first."""
    n = model.descriptor.n_features
    rotation = torch.linalg.qr(torch.randn(n, n, generator=torch.Generator().manual_seed(0)).double())[0]
    old = model.input_scaler
    return replace(model, input_scaler=Scaler("whiten", True, old.shift, old.scale, rotation))


@pytest.mark.parametrize("name", CASES)
def test_they_are_finite_differences_of_the_free_energy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Along a direction of all atoms together, and along a strain."""
    case = CASES[name]
    model, atoms, options = case.model(), case.atoms(), {"grid": GRID, **case.options}
    system = solve(atoms, model, **options).ready.system
    freeze_sphere(monkeypatch, system.grid, system.sphere)
    found = derivatives(atoms, model, **options)
    rng = np.random.default_rng(0)

    def hold(value: Callable[[float], Array], exact: list[float], largest: list[float], h: float) -> None:
        for i, wanted in enumerate(exact):
            by_difference = difference(lambda s, i=i: float(value(s)[i]), h)
            assert abs(by_difference - wanted) <= EXACT * largest[i], (i, by_difference, wanted)

    v, e = rng.normal(size=(len(atoms), 3)), rng.normal(size=(3, 3))
    e = (e + e.T) / 2
    hold(
        lambda h: free_energies(moved(atoms, atoms.positions + h * v), model, **options),
        [float((d.by_position * v).sum()) for d in found],
        [float(np.abs(d.by_position).max()) for d in found],
        STEP,
    )
    hold(
        lambda h: free_energies(strained(atoms, np.eye(3) + h * e), model, **options),
        [float((d.by_strain * e).sum()) for d in found],
        [float(np.abs(d.by_strain).max()) for d in found],
        STEP / 4,
    )


def test_forces_of_a_supercell_are_the_cells_and_its_stress_too() -> None:
    model = sensitive()
    (one,) = derivatives(be_atoms(), model, grid=GRID)
    (two,) = derivatives(be_atoms((1, 2, 1)), model, grid=(12, 24, 16))
    # The same sums over twice the points: rounding of terms of some 10 eV/Å.
    np.testing.assert_allclose(two.forces, np.tile(one.forces, (2, 1)), atol=1e-10)
    np.testing.assert_allclose(two.stress(2 * 17.0), one.stress(17.0), atol=1e-11)


def test_a_shift_of_all_atoms_by_a_grid_point_changes_nothing_and_their_sum_is_the_grids() -> None:
    """Forces of a grid add up to the slope of its egg-box, not to zero: smaller on a finer grid."""
    model, atoms = sensitive(), be_atoms()
    (here,) = derivatives(atoms, model, grid=GRID)
    shift = atoms.cell.array[0] / GRID[0] - atoms.cell.array[2] / GRID[2]
    (there,) = derivatives(moved(atoms, atoms.positions + shift), model, grid=GRID)
    # The same points seen from another origin: positions of some Å are rounded to 1e-15 Å.
    np.testing.assert_allclose(there.forces, here.forces, atol=1e-10)
    (fine,) = derivatives(atoms, model, grid=(24, 24, 36))
    assert np.abs(fine.forces.sum(0)).max() < 0.5 * np.abs(here.forces.sum(0)).max()
