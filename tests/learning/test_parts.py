"""Parts of a model are held against one another before anything is computed: what does not fit is named."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from maladist.descriptors import BispectrumSpec
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.errors import ModelError
from maladist.learning.network import FeedForward
from maladist.learning.parts import ModelParts
from maladist.learning.scaling import Scaler
from maladist.testing import be_element

SPEC = BispectrumSpec(twojmax=2, cutoff=3.0)
LEVELS = 4


def made(**changes: Any) -> ModelParts:
    """Parts that fit, but for the changes."""
    parts: dict[str, Any] = {
        "network": FeedForward((SPEC.n_features, LEVELS)),
        "input_scaler": Scaler(),
        "output_scaler": Scaler(),
        "descriptor": SPEC,
        "energy_grid": EnergyGrid(-5.0, 0.1, LEVELS, "gaussian", 0.2),
        "elements": {"Be": be_element()},
    }
    return ModelParts(**(parts | changes))


def channel(outputs: int, **changes: Any) -> ModelParts:
    """Parts with a density channel, and a network of so many outputs."""
    return made(network=FeedForward((SPEC.n_features, outputs)), density_scaler=Scaler(), **changes)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"network": FeedForward((3, LEVELS))}, "network for 3"),
        ({"network": FeedForward((SPEC.n_features, 7))}, "network for 7"),
        ({"descriptor": BispectrumSpec(twojmax=4, cutoff=3.0)}, "features of the descriptor"),
        ({"energy_grid": EnergyGrid(0.0, 0.1, 9)}, "levels of the energy grid"),
        ({"input_scaler": Scaler("minmax", True, torch.zeros(2), torch.ones(2))}, "input scaler for 2"),
        ({"output_scaler": Scaler("minmax", True, torch.zeros(2), torch.ones(2))}, "output scaler for 2"),
        ({"elements": {"Be": Element("B")}}, "own symbol"),
        ({"restrict": "clip"}, "restrict"),
        ({"xc": "b3lyp"}, "xc"),
        ({"spacing": (0.1, 0.1)}, "spacing"),
        ({"spacing": (0.1, 0.1, 0.0)}, "spacing"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelError, match=match):
        made(**change)


@pytest.mark.parametrize("zero", [{"Al": 70.0}, {"Be": math.nan}, {"Be": 70.0, "Al": math.inf}])
def test_energy_zero_must_be_a_number_and_know_every_element(zero: dict[str, float]) -> None:
    with pytest.raises(ModelError, match="energy_zero"):
        made(energy_zero=zero)


def test_a_channel_without_its_output_is_refused() -> None:
    with pytest.raises(ModelError, match="levels of the energy grid and a density"):
        channel(LEVELS)
    with pytest.raises(ModelError, match="levels of the energy grid"):
        replace(channel(LEVELS + 1), density_scaler=None)


def test_what_is_unknown_is_none_and_needs_no_value() -> None:
    bare = made(elements={})
    assert bare.xc is bare.temperature is bare.spacing is bare.density_cutoff is bare.electrons_per_atom is None


@pytest.mark.parametrize("name", ["temperature", "density_cutoff", "electrons_per_atom"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_what_must_be_positive_is_refused_by_its_name_where_it_is_not(name: str, value: float) -> None:
    with pytest.raises(ModelError, match=name):
        made(**{name: value})


def test_a_model_of_the_density_alone_has_no_ldos_and_says_so_of_what_needs_one() -> None:
    both, alone = channel(LEVELS + 1), channel(1, energy_grid=EnergyGrid(-5.0, 0.1, 0))
    assert both.has_ldos and both.has_density_channel and not made().has_density_channel
    assert not alone.has_ldos and alone.has_density_channel
    both.need_ldos("forces")
    with pytest.raises(ModelError, match="the density alone, which has no forces"):
        alone.need_ldos("forces")
    with pytest.raises(ModelError, match="neither energies of an LDOS nor a density channel"):
        replace(alone, density_scaler=None)
