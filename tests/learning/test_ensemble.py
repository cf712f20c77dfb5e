"""The mean of several networks as one network and one model file."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maladist import EnergyGrid, LDOSModel
from maladist.errors import ModelError
from maladist.learning.ensemble import EnsembleNetwork, network_from_config
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Scaler
from maladist.testing import tiny_model


@pytest.fixture
def models() -> list[LDOSModel]:
    """Three models that differ by the seed; the LDOS is not restricted."""
    return [replace(tiny_model(seed), restrict="none") for seed in range(3)]


def features(n: int = 50) -> torch.Tensor:
    return 60 * torch.rand(n, 14, generator=torch.Generator().manual_seed(0))


def test_the_ldos_of_the_mean_is_the_mean_of_the_ldos(models: list[LDOSModel]) -> None:
    x = features()
    mean = torch.stack([m.to(dtype=torch.float64).ldos(x.double()) for m in models]).mean(0)
    found = LDOSModel.mean_of(models).to(dtype=torch.float64).ldos(x.double())
    assert torch.allclose(found, mean, rtol=1e-12, atol=1e-14)  # sums of three in float64


def test_the_members_are_the_models_that_it_was_made_of(models: list[LDOSModel]) -> None:
    x, members = features(), LDOSModel.mean_of(models).members()
    assert len(members) == 3
    for one, member in zip(models, members, strict=True):
        assert torch.equal(one.ldos(x), member.ldos(x))
        assert one.content_hash == member.content_hash
    assert models[0].members() == [models[0]]


def test_one_file_holds_all_members_and_gives_the_same_bits(models: list[LDOSModel]) -> None:
    mean, x = LDOSModel.mean_of(models), features()
    again = LDOSModel.from_bytes(mean.to_bytes())
    assert torch.equal(again.ldos(x), mean.ldos(x))
    assert again.content_hash == mean.content_hash
    assert len(again.members()) == 3
    assert "3 × 14-16-41" in str(again)


def test_members_may_be_as_wide_as_they_like_within() -> None:
    networks = [FeedForward([4, 8, 3]), FeedForward([4, 5, 5, 3], residual=True)]
    ensemble = EnsembleNetwork(networks).eval()
    again = network_from_config(ensemble.config(), ensemble.state_dict())
    x = torch.rand(7, 4)
    assert torch.equal(ensemble(x), again(x))
    assert torch.allclose(ensemble(x), (networks[0](x) + networks[1](x)) / 2)


def test_models_that_were_not_trained_alike_are_refused(models: list[LDOSModel]) -> None:
    one, two = models[:2]
    with pytest.raises(ModelError, match="two or more"):
        LDOSModel.mean_of([one])
    with pytest.raises(ModelError, match="energy_grid"):
        LDOSModel.mean_of([one, replace(two, energy_grid=EnergyGrid(-4.0, 0.4, 41, "gaussian", 0.2))])
    other = Scaler("minmax", False, torch.zeros(1).double(), torch.ones(1).double())
    with pytest.raises(ModelError, match="scalers"):
        LDOSModel.mean_of([one, replace(two, output_scaler=other)])
    with pytest.raises(ModelError, match="n_inputs"):
        EnsembleNetwork([FeedForward([4, 3]), FeedForward([5, 3])])
    with pytest.raises(ModelError, match="weights"):
        ensemble = EnsembleNetwork([FeedForward([4, 3]), FeedForward([4, 3])])
        network_from_config(ensemble.config(), {**ensemble.state_dict(), "members.2.linear.0.bias": torch.ones(3)})
