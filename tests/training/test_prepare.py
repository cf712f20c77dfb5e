"""What is ready before the first step: where a network begins, and what a model is told of its data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maladist import TrainConfig
from maladist.errors import InputError
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import fit_domain
from maladist.learning.outputs import Outputs
from maladist.learning.scaling import Moments, Scaler
from maladist.training.data import find_data
from maladist.training.prepare import Prepared


def prepared_of(store: Path, density: bool = False, **more: Any) -> tuple[TrainConfig, Prepared]:
    """A training whose data are ready, with made-up descriptors: no worker has computed anything."""
    where = {"train": str(store / "snapshots/train-*"), "points": 100}
    descriptor = {"family": "bispectrum", "twojmax": 2, "cutoff": 3.0}
    values = {"data": where, "descriptor": descriptor, "device": "cpu", "batch": {"points": 10}}
    config = TrainConfig.of({**values, **more})
    data = find_data(config)
    levels = data.train[0].energies.levels
    mean = torch.linspace(0.01, 0.2, levels + density, dtype=torch.float64)
    rows = torch.randn(200, data.spec.n_features, generator=torch.Generator().manual_seed(0))
    inputs = Scaler.fit(Moments.of(rows), "standard", feature_wise=True)
    outputs = Outputs(
        Scaler("minmax", False, torch.zeros(1).double(), torch.full((1,), 0.3).double()),
        Scaler("standard", False, torch.full((1,), 0.1).double(), torch.full((1,), 0.05).double()) if density else None,
    )
    domain = fit_domain(CellRange.of_all([s.system for s in data.train]), rows, rows, inputs)
    return config, Prepared(data, (), (), ("",) * len(data.train), inputs, outputs, domain, mean)


@pytest.mark.parametrize("density", [False, True])
def test_a_new_network_begins_near_the_mean_of_the_data(small_data_set: Path, density: bool) -> None:
    config, prepared = prepared_of(small_data_set, density)
    torch.manual_seed(0)
    network = prepared.network(config)
    y = network(torch.randn(50, prepared.data.spec.n_features)).detach()
    levels = prepared.data.train[0].energies.levels
    assert y.shape[1] == levels + density
    wanted = prepared.outputs.transform(prepared.mean[None], levels).float()
    assert float((y - wanted).abs().max()) < 0.2  # weights of a tenth: torch's own would be off by one and more
    assert float((y - y.mean(0)).abs().max()) > 1e-4  # and yet no constant, whose gradients would all be alike


def test_an_output_with_an_activation_keeps_torchs_own_weights(small_data_set: Path) -> None:
    """Its bias is not the mean of what comes out."""
    network = {"hidden": [8], "activation": ["SiLU", "Softplus"]}
    config, prepared = prepared_of(small_data_set, network=network)
    torch.manual_seed(0)
    last = prepared.network(config).linear[-1]
    assert isinstance(last, torch.nn.Linear)
    assert float(last.weight.detach().abs().max()) > 0.5 / np.sqrt(8)


def test_a_model_gets_the_coarsest_grid_and_a_temperature_only_where_there_is_one(small_data_set: Path) -> None:
    config, prepared = prepared_of(small_data_set)
    train = prepared.data.train
    spacings = np.array([s.system.grid.spacing for s in train])
    model = prepared.model(config, prepared.network(config), {"a": 1})
    np.testing.assert_allclose(model.spacing, spacings.max(0))
    assert model.temperature == pytest.approx(train[0].temperature) and dict(model.provenance) == {"a": 1}
    other = replace(train[0], system=replace(train[0].system, temperatures=(5000.0,)))
    mixed = replace(prepared, data=replace(prepared.data, train=[other, *train[1:]]))
    assert mixed.model(config, prepared.network(config), {}).temperature is None
    moved = replace(train[0], system=replace(train[0].system, temperatures=(train[0].temperature + 1e-8,)))  # type: ignore[operator]
    same = replace(prepared, data=replace(prepared.data, train=[moved, *train[1:]]))
    assert same.model(config, prepared.network(config), {}).temperature is not None  # other units, the same temperature


def test_a_loss_of_integrals_needs_a_fermi_level_and_names_who_has_none(small_data_set: Path) -> None:
    config, prepared = prepared_of(small_data_set, loss={"mean_band": 1.0})
    blind = [replace(s, terms={}, dos=None) for s in prepared.data.train]
    with pytest.raises(InputError, match=r"data\.train: train-0, which tells neither a Fermi level"):
        prepared.loss(config, blind, "data.train")
    plain, _ = prepared_of(small_data_set)
    prepared.loss(plain, blind, "data.train")  # the LDOS alone needs none
    assert prepared.checked_on(config) is None
