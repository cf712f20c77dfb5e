"""A model with a density channel: n₀ is the network's own, scaled to N electrons; other temperatures add to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel
from maladist.parallel.workers import Workers
from maladist.prediction.plan import make_plan
from maladist.prediction.setup import setup
from maladist.testing import with_density_channel

GRID = (10, 12, 14)
T0 = 2000.0


@pytest.fixture(scope="module")
def with_channel(model: LDOSModel) -> LDOSModel:
    """The small model with one output more; its density is near that of two electrons an atom."""
    return with_density_channel(model)


def predict(atoms: Atoms, model: LDOSModel, client: Client, **options: object) -> maladist.Prediction:
    return maladist.predict(atoms, model, grid=GRID, client=client, precision="float64", **options)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:the density channel holds")
def test_the_density_is_the_channels_scaled_to_the_number_of_electrons(
    atoms: Atoms, with_channel: LDOSModel, client: Client
) -> None:
    found = predict(atoms, with_channel, client, keep=("descriptors",), chunks=(4, 12, 5))
    descriptors = torch.from_numpy(found.dataset["descriptors"].values.reshape(-1, with_channel.descriptor.n_features))
    _, own = with_channel.to(dtype=torch.float64).fields(descriptors.double())
    assert own is not None
    own = own.reshape(GRID) * 4.0 / (own.sum() * atoms.get_volume() / np.prod(GRID))
    # The kept descriptors are float32.
    np.testing.assert_allclose(found.density.values, own.numpy(), rtol=1e-5)
    assert float(found.density.sum()) * atoms.get_volume() / np.prod(GRID) == pytest.approx(4.0, rel=1e-12)
    assert found.dataset.attrs["double_counting"] == "channel"


def test_electrons_that_are_not_those_of_the_cell_are_told(
    atoms: Atoms, with_channel: LDOSModel, client: Client
) -> None:
    with pytest.warns(UserWarning, match="the density channel holds .* electrons, not 4: scaled"):
        found = predict(atoms, with_channel, client)
    assert any("density channel" in note for note in found.dataset.attrs["notes"])


@pytest.mark.filterwarnings("ignore:the density channel holds")
def test_another_temperature_adds_the_change_of_the_ldos_density(
    atoms: Atoms, model: LDOSModel, with_channel: LDOSModel, client: Client
) -> None:
    both = predict(atoms, with_channel, client, temperature=[T0, 6000.0])
    plain = predict(atoms, model, client, temperature=[T0, 6000.0])
    change = plain.density.sel(temperature=6000.0) - plain.density.sel(temperature=T0)
    ours = both.density.sel(temperature=6000.0) - both.density.sel(temperature=T0)
    np.testing.assert_allclose(ours.values, change.values, atol=1e-10)
    np.testing.assert_allclose(both.dos.values, plain.dos.values, rtol=1e-12)
    alone = predict(atoms, with_channel, client)
    np.testing.assert_allclose(alone.density.values, both.density.sel(temperature=T0).values, rtol=1e-10)
    # The double counting belongs to one density, whatever the temperature of the electrons.
    hot, cold = both.at(6000.0).energies, both.at(T0).energies
    assert (hot.hartree, hot.xc) == (cold.hartree, cold.xc) == (alone.energies.hartree, alone.energies.xc)
    only = predict(atoms, with_channel, client, temperature=6000.0)
    assert only.energies.hartree == pytest.approx(cold.hartree, rel=1e-12)
    np.testing.assert_allclose(only.density.values, both.density.sel(temperature=6000.0).values, atol=1e-10)


@pytest.mark.filterwarnings("ignore:the density channel holds")
def test_blocks_change_only_rounding(atoms: Atoms, with_channel: LDOSModel, client: Client, tmp_path: Path) -> None:
    whole = predict(atoms, with_channel, client, chunks=GRID)
    parts = predict(atoms, with_channel, client, chunks=(3, 5, 14), store=tmp_path / "parts.zarr")
    assert parts.dataset.attrs["blocks"] > 4
    np.testing.assert_allclose(parts.density.values, whole.density.values, rtol=1e-10)
    assert parts.energies.total == pytest.approx(whole.energies.total, rel=1e-11)


def test_a_point_keeps_one_number_at_the_models_temperature(
    atoms: Atoms, model: LDOSModel, with_channel: LDOSModel
) -> None:
    workers = Workers(count=2, threads=2, memory=None, most_threads=1, gpu=False)

    def kept(which: LDOSModel, temperature: float) -> float:
        ready = setup(atoms, which, grid=GRID, temperature=temperature)
        return make_plan(ready, workers).work_bytes / np.prod(GRID) / 8

    assert kept(with_channel, T0) < 1.5  # the rest is the record of the blocks
    assert kept(with_channel, 6000.0) == pytest.approx(kept(model, 6000.0) + 1, abs=0.1)
