"""Cells without DFT as an ensemble labels them: descriptors and slopes at points, μ, and what lies outside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maladist import LDOSModel, predict
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import fit_domain
from maladist.parallel.here import InProcess
from maladist.parallel.progress import Silent
from maladist.prediction.setup import setup
from maladist.testing import Listener, be_atoms, tiny_model
from maladist.training.ensemble_labels import describe_cell, label


@pytest.fixture(scope="module")
def ensemble() -> LDOSModel:
    return LDOSModel.mean_of([replace(tiny_model(seed, twojmax=2), restrict="none") for seed in (0, 1)])


def test_slopes_are_differences_of_the_descriptors_of_moved_atoms(ensemble: LDOSModel) -> None:
    random = np.random.default_rng(0)
    displacement, h = random.normal(size=(1, 2, 3)), 1e-3

    def at(step: float) -> tuple[np.ndarray, np.ndarray]:
        atoms = be_atoms()
        atoms.positions += step * displacement[0]
        return describe_cell(setup(atoms, ensemble), 200, displacement)

    (after, _), (before, _), (_, slopes) = at(h), at(-h), at(0.0)
    # Descriptors of float32, differences of them over 2 mÅ: three digits.
    assert np.allclose((after - before) / (2 * h), slopes, atol=5e-3 * np.abs(slopes).max())


def test_mu_of_a_few_points_is_that_of_a_prediction(ensemble: LDOSModel) -> None:
    with InProcess() as here:
        labelled = label(ensemble, [be_atoms()] * 3, 600, 0, here, Silent())
    mu = float(predict(be_atoms(), ensemble, grid=(12, 12, 18), observer=Silent()).dataset["fermi_energy_eV"])
    # Of grids with other origins, whose sums over 600 points differ by less than a percent.
    for felt in labelled.felt:
        assert felt is not None and felt.fermi_energy == pytest.approx(mu, abs=0.05)
        assert felt.volume_per_atom == pytest.approx(be_atoms().get_volume() / 2)
    assert labelled.x.shape == labelled.slopes.shape
    assert len(labelled.x) == 3 and 600 <= labelled.x.shape[1] <= 900


def test_it_is_said_how_many_points_lie_outside_of_the_ensembles_training(ensemble: LDOSModel) -> None:
    wide = be_atoms()
    wide.set_cell(wide.cell.array * 1.3, scale_atoms=True)
    rows, _ = (torch.from_numpy(r) for r in describe_cell(setup(be_atoms(), ensemble), 600, np.ones((1, 2, 3))))
    domain = fit_domain(CellRange((6.0, 30.0)), rows, rows, ensemble.input_scaler)
    knows = replace(ensemble, domain=domain)
    for atoms, said in ((be_atoms(), 0), (wide, 1)):
        listener = Listener()
        with InProcess() as here:
            label(knows, [atoms], 600, 0, here, listener)
        assert len(listener.notes) == said
        assert not said or "outside of the ensemble's training" in listener.notes[0]
