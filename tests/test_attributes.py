"""Attributes of a store: each held to its type, all of them known to the contract's own table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maladist.attributes import ATTRIBUTES, Attributes, check_attributes
from maladist.errors import StoreError

GOOD: dict[str, Any] = {
    "cell": list(range(9)),
    "grid": [4, 5, 6],
    "temperature_K": [300.0, 1000.0],
    "broadening_kernel": "gaussian",
    "complete": np.True_,
    "pseudopotentials": {"Be": {"file": "Be.upf"}},
    "outside": {"points": 1, "share": 0.1, "largest_novelty": 2.0, "largest_at_A": [0, 1, 2]},
}


def test_good_attributes_pass_and_null_and_strangers_too() -> None:
    check_attributes(GOOD, "a")
    check_attributes(dict.fromkeys(ATTRIBUTES), "a")
    check_attributes({"somebody_elses": object()}, "a")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell", list(range(8))),
        ("cell", [[1, 2, 3], [4, 5]]),
        ("cell", "123456789"),
        ("grid", [4, 5, 0]),
        ("grid", [4, 5, float("nan")]),
        ("n_electrons", True),
        ("n_electrons", [4.0]),
        ("temperature_K", -1.0),
        ("temperature_K", []),
        ("broadening_kernel", "lorentzian"),
        ("complete", 1),
        ("pseudopotentials", {"Be": "Be.upf"}),
        ("notes", "one text"),
        ("outside", {"points": 1}),
        ("outside", {**GOOD["outside"], "largest_at_A": [0, 1]}),
    ],
)
def test_a_value_of_another_type_is_named(name: str, value: Any) -> None:
    with pytest.raises(StoreError, match=f"s: {name}: .*; wanted "):
        check_attributes({**GOOD, name: value}, "s")


def test_every_attribute_of_the_contract_is_held_to_its_type() -> None:
    assert set(Attributes.__annotations__) - set(ATTRIBUTES) <= {"schema_version"}  # which schema.validate looks at
