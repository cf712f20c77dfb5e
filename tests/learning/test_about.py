"""What a model says of itself: everything a user must know to trust it, and what it does not know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maladist.elements import Element
from maladist.errors import ModelError
from maladist.io.yaml import parse_yaml
from maladist.learning.about import card_of, model_rows
from maladist.testing import tiny_model


def test_what_a_model_knows_is_told_with_units() -> None:
    model = replace(tiny_model(), provenance={"source": "a test"}, energy_zero={"Be": 58.0})
    rows = dict(model_rows(model, model.content_hash))
    assert rows["temperature"] == "2000 K" and rows["functional"] == "pbe"
    assert rows["grid spacing"] == "0.1900 0.1900 0.1900 Å" and rows["density cutoff"] == "400.0 eV"
    assert rows["elements"] == "Be (2 electrons, Be.made-up)"
    assert rows["zero of energy"] == "of a cell: the sum of its atoms' Be 58 eV Å³, over its volume"
    assert "above the zero of energy" in rows["energies"] and rows["source"] == "a test"


def test_what_it_does_not_know_is_said_and_no_row_is_missing() -> None:
    bare = replace(
        tiny_model(), temperature=None, spacing=None, density_cutoff=None, xc=None, elements={"Be": Element("Be")}
    )
    rows = dict(model_rows(bare, bare.content_hash))
    for name in ("temperature", "functional", "density cutoff", "grid spacing", "training"):
        assert rows[name] == "not told"
    assert rows["elements"] == "Be (valence unknown, pseudopotential unknown)"
    assert set(rows) == set(dict(model_rows(tiny_model(), "")))


ERRORS = {"cells": 4, "total_free_energy_meV_per_atom": (2.41, 6.3), "density_relative": [0.0055, 0.01]}


def test_a_card_tells_errors_by_size_data_and_how_it_was_trained() -> None:
    provenance = {
        "held_out": {"data": ["be.zarr/test-*"], "errors": {"16 atoms": ERRORS, "8 atoms": ERRORS}},
        "trained on": {"a": "1", "b": "2"},
        "validated on": ["c"],
        "config": {"epochs": 60, "network": {"hidden": [200]}},
        "errors": {"validation_loss": 0.0350699},
    }
    model = replace(tiny_model(), provenance=provenance)
    card = card_of(model, "be.maladist", "0123")
    assert card.startswith("# be.maladist\n") and "`be.zarr/test-*`" in card
    assert "| 8 atoms | 4 | 2.4 (6.3) | – | 0.55% (1.00%) | – |\n| 16 atoms |" in card  # by number, not by letter
    assert "2 snapshots, a to b; validated on c" in card and "0.03507" in card
    assert parse_yaml(card.split("```yaml\n")[1].split("```")[0]) == provenance["config"]


def test_errors_on_held_out_cells_are_no_part_of_what_the_model_is() -> None:
    model = tiny_model()
    told = replace(model, provenance={**model.provenance, "held_out": {"errors": {"8 atoms": ERRORS}}})
    assert told.content_hash == model.content_hash and told.to_bytes() != model.to_bytes()
    assert replace(model, provenance={"source": "another"}).content_hash != model.content_hash


@pytest.mark.parametrize("held_out", [3, {"errors": 3}, {"errors": {"eight": ERRORS}}, {"errors": {"8 atoms": {}}}])
def test_a_card_that_cannot_be_read_is_refused_in_a_line(held_out: object) -> None:
    model = replace(tiny_model(), provenance={"held_out": held_out})
    with pytest.raises(ModelError, match=r"^card: errors that cannot be read .*evaluate --card"):
        card_of(model, "be.maladist", "")


def test_a_provenance_of_any_other_shape_makes_a_card_all_the_same() -> None:
    odd = {"errors": 3, "config": ["a"], "trained on": 7, "validated on": "b", "held_out": {"data": 1, "errors": {}}}
    card = card_of(replace(tiny_model(), provenance=odd), "be.maladist", "")
    assert "How it was trained" not in card and "## Data" not in card
