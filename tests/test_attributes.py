"""The attributes of stores: types and checks are of one contract, and what is not of it is refused."""

from __future__ import annotations

import pytest

from maladist.attributes import ATTRIBUTES, Attributes, check_attributes
from maladist.errors import StoreError

OUTSIDE = {"points": 3, "share": 0.1, "largest_novelty": 1.5, "largest_at_A": [0.0, 1.0, 2.0]}


def test_every_attribute_with_a_type_is_checked() -> None:
    assert set(ATTRIBUTES) | {"schema_version"} == set(Attributes.__annotations__)  # schema.validate has the version's


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_a_value_of_another_type_is_refused_by_name(name: str) -> None:
    with pytest.raises(StoreError, match=f"a.zarr: {name}"):
        check_attributes({name: {"x": object()} if name in ("cell", "source") else 2 + 3j}, "a.zarr")


@pytest.mark.parametrize("change", [{"share": "all"}, {"largest_at_A": [0.0, 1.0]}, {"points": None}])
def test_where_a_cell_is_outside_is_told_whole_or_refused(change: dict[str, object]) -> None:
    check_attributes({"outside": OUTSIDE}, "a.zarr")
    with pytest.raises(StoreError, match="outside"):
        check_attributes({"outside": OUTSIDE | change}, "a.zarr")
    with pytest.raises(StoreError, match="largest_novelty"):
        check_attributes({"outside": {"points": 3}}, "a.zarr")
