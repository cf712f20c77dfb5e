"""The model is its parts put together, keeps its bits when saved, and refuses parts that do not fit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from maladist.elements import Element
from maladist.errors import ModelError
from maladist.learning.model import LDOSModel
from tests.learning.common import made, points, with_channel


def test_moving_makes_a_copy(device: str) -> None:
    model = made()
    moved = model.to(device, torch.float64)
    assert (moved.dtype, moved.device.type) == (torch.float64, device)
    assert model.dtype == torch.float32
    torch.testing.assert_close(moved.ldos(points(30)).cpu(), model.ldos(points(30)).double(), rtol=0, atol=1e-5)


def test_bytes_and_back_is_the_same_model_bit_for_bit() -> None:
    model = made()
    again = LDOSModel.from_bytes(model.to_bytes())
    assert torch.equal(again.ldos(points(500)), model.ldos(points(500)))
    assert again.to_bytes() == model.to_bytes()
    for name in ("descriptor", "energy_grid", "xc", "temperature", "spacing", "density_cutoff", "restrict"):
        assert getattr(again, name) == getattr(model, name)
    assert again.provenance == {"source": "test", "errors": [0.1, 0.2], "3": None}
    be, h = again.elements["Be"], again.elements["H"]
    assert (be.symbol, be.valence, be.pseudopotential, be.sha256) == ("Be", 2.0, "Be.upf", "ab" * 32)
    for name in ("core_radii", "core_rab", "core_density", "local_radii", "local_rab", "local_potential"):
        np.testing.assert_array_equal(getattr(be, name), getattr(model.elements["Be"], name))
        assert getattr(h, name) is None
    assert h.valence is None and not h.has_pseudopotential


def test_content_hash_is_of_the_content_only() -> None:
    model = made()
    assert {made().content_hash for _ in range(10)} == {model.content_hash}
    assert LDOSModel.from_bytes(model.to_bytes()).content_hash == model.content_hash
    assert model.to(dtype=torch.float64).to(dtype=torch.float32).content_hash == model.content_hash
    assert made(temperature=1001.0).content_hash != model.content_hash
    with torch.no_grad():
        model.network.linear[0].bias[0] += 1e-3
    assert model.content_hash != made().content_hash


@pytest.mark.parametrize("value", [object(), math.nan, {1, 2}])
def test_a_provenance_that_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ModelError, match="JSON"):
        made(provenance={"x": value}).to_bytes()


def test_pseudopotentials_replace_what_is_known_if_the_valence_agrees() -> None:
    given = {
        "H": Element("H", 1.0, "H.upf"),
        "Be": Element("Be", 2.0, "other.upf"),
        "Fe": Element("Fe", 16.0, "Fe.upf"),
    }
    model = made().with_pseudopotentials(given)
    assert {s: e.pseudopotential for s, e in model.elements.items()} == {"Be": "other.upf", "H": "H.upf"}
    assert made().with_pseudopotentials({"H": given["H"]}).elements["Be"].pseudopotential == "Be.upf"
    with pytest.raises(ModelError, match="4 valence electrons for Be"):
        made().with_pseudopotentials({"Be": replace(given["Be"], valence=4.0)})


def test_the_functional_is_taken_from_pseudopotentials_that_agree_where_it_is_unknown() -> None:
    given = {"H": Element("H", 1.0, "H.upf", xc="pz"), "Be": Element("Be", 2.0, "Be.upf", xc="pz")}
    assert made(xc=None).with_pseudopotentials(given).xc == "pz"
    assert made().with_pseudopotentials(given).xc == "pbe"
    assert made(xc=None).with_pseudopotentials(given | {"H": Element("H", 1.0, "H.upf", xc="pbe")}).xc is None
    assert LDOSModel.from_bytes(made(elements=given).to_bytes()).elements["H"].xc == "pz"


def test_a_model_that_names_no_elements_takes_those_given() -> None:
    assert set(made(elements={}).with_pseudopotentials({"H": Element("H", 1.0, "H.upf")}).elements) == {"H"}


def test_a_model_says_what_it_is_in_one_line() -> None:
    assert str(made()) == "LDOS model of Be H: bispectrum, network 5-16-16-4, -5 to -4.7 eV, trained at 1000 K"


def test_placed_model_has_the_energies_of_the_cell_and_survives_saving(tmp_path):
    model = replace(made(), energy_zero={"Be": 70.0, "H": 8.0})
    again = LDOSModel.from_bytes(model.to_bytes())
    assert again.energy_zero == {"Be": 70.0, "H": 8.0}
    assert again.content_hash == model.content_hash != made().content_hash
    placed = again.placed(["Be", "Be"], 16.0)
    assert placed.energy_grid.origin == pytest.approx(model.energy_grid.origin + 8.75, abs=1e-12)
    assert placed.placed(["Be"], 8.0) is placed  # once is enough


def test_a_density_channel_survives_saving_and_moving() -> None:
    model, x = with_channel(), points(20)
    again = LDOSModel.from_bytes(model.to_bytes())
    assert again.content_hash == model.content_hash
    for one, other in zip(model.fields(x), again.to(dtype=torch.float32).fields(x), strict=True):
        assert one is not None and other is not None and torch.equal(one, other)
