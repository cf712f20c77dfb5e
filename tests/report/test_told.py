"""What a store tells: numbers as they are printed, and what it has as null as what it does not tell."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import xarray as xr

from maladist.attributes import Attributes
from maladist.physics.energies import TERMS
from maladist.prediction.result import Prediction
from maladist.report.told import UNKNOWN, number, provenance, term_label, told, values


def test_a_number_has_a_true_minus_its_spread_and_a_dash_where_it_is_not_known() -> None:
    assert number(-1.25, None, 1) == "−1.2" and number(1.25, 0.5, 2) == "1.25 ± 0.50"
    assert number(-1e-9, None, 2) == "0.00"
    assert number(np.nan, 0.1, 2) == UNKNOWN and number(1.0, np.nan, 0) == "1"


def test_a_term_that_is_taken_off_says_so() -> None:
    assert [t.name for t in TERMS if "enters with −" in term_label(t)] == ["hartree_eV", "xc_potential_eV"]


def test_what_a_store_has_not_or_as_null_is_not_told() -> None:
    dataset = xr.Dataset({"ewald_eV": ("temperature", [1.0, 2.0])}, attrs={"xc": "pbe", "model": None})
    found = Prediction(dataset, Path("none"))
    assert values(found, "ewald_eV") == [1.0, 2.0] and values(found, "xc_eV") == []
    assert told(found) == {"xc": "pbe"}
    rows = dict(provenance(cast(Attributes, {"xc": "pbe", "double_counting": "dft", "reference_temperature_K": 1e3})))
    assert rows["functional"] == "pbe" and rows["model"] is rows["command"] is None
    assert rows["double counting at"] == "the density of the DFT at 1000 K"
