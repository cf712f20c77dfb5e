"""What a model says of itself: everything a user must know to trust it, and what it does not know."""

from __future__ import annotations

from dataclasses import replace

from maladist.elements import Element
from maladist.learning.about import model_rows
from maladist.testing import tiny_model


def test_what_a_model_knows_is_told_with_units() -> None:
    model = replace(tiny_model(), provenance={"source": "a test"}, energy_zero={"Be": 58.0})
    rows = dict(model_rows(model, model.content_hash))
    assert rows["temperature"] == "2000 K" and rows["functional"] == "pbe"
    assert rows["grid spacing"] == "0.1900 0.1900 0.1900 Å" and rows["density cutoff"] == "400.0 eV"
    assert rows["elements"] == "Be (2 electrons, Be.made-up)"
    assert rows["zero of energy"] == "Be 58 eV Å³" and rows["source"] == "a test"


def test_what_it_does_not_know_is_said_and_no_row_is_missing() -> None:
    bare = replace(
        tiny_model(), temperature=None, spacing=None, density_cutoff=None, xc=None, elements={"Be": Element("Be")}
    )
    rows = dict(model_rows(bare, bare.content_hash))
    for name in ("temperature", "functional", "density cutoff", "grid spacing", "training"):
        assert rows[name] == "not told"
    assert rows["elements"] == "Be (valence unknown, pseudopotential unknown)"
    assert set(rows) == set(dict(model_rows(tiny_model(), "")))
