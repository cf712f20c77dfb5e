"""A model as metadata and tensors: all of it, and nothing that its parts do not have."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from maladist.learning.model import LDOSModel
from maladist.learning.scaling import Scaler
from maladist.learning.serialisation import metadata_of, parts_of, scalers_of, tensors_of
from maladist.testing import tiny_model


def again(model: LDOSModel) -> LDOSModel:
    metadata = json.loads(json.dumps(metadata_of(model)))
    return LDOSModel(**parts_of(metadata, {n: t.clone() for n, t in tensors_of(model).items()}))


@pytest.mark.parametrize(
    "changed", [{}, {"energy_zero": {"Be": 58.0}}, {"temperature": None, "spacing": None, "xc": None}]
)
def test_a_model_of_its_parts_is_the_model(changed: dict[str, object]) -> None:
    model = replace(tiny_model(), **changed)  # type: ignore[arg-type]
    other = again(model)
    assert other.content_hash == model.content_hash
    assert metadata_of(other) == metadata_of(model)
    x = torch.randn(5, model.descriptor.n_features)
    assert torch.equal(other.ldos(x), model.ldos(x))
    np.testing.assert_array_equal(other.elements["Be"].core_density, model.elements["Be"].core_density)


def test_an_ensemble_and_a_density_channel_come_back() -> None:
    mean = LDOSModel.mean_of([tiny_model(seed=i) for i in range(3)])
    assert len(again(mean).members()) == 3
    one = tiny_model(levels=40)
    channel = Scaler("standard", False, torch.tensor([0.1]).double(), torch.tensor([0.05]).double())
    grid = replace(one.energy_grid, levels=39)
    with_channel = replace(one, energy_grid=grid, density_scaler=channel)
    assert set(scalers_of(with_channel)) == {"input_scaler", "output_scaler", "density_scaler"}
    assert again(with_channel).has_density_channel


def test_what_a_model_does_not_have_is_not_in_its_file() -> None:
    """So that files of models without it keep their bytes when such a part is added to the format."""
    assert not {"energy_zero_eV_A3", "domain", "density_scaler"} & set(metadata_of(tiny_model()))
    assert not any(name.startswith(("domain", "density")) for name in tensors_of(tiny_model()))
