"""Elements: what is known only with a pseudopotential."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from maladist.elements import Element
from maladist.testing import be_element, sic_elements


def test_the_absence_of_a_core_charge_is_known_only_with_a_pseudopotential() -> None:
    assert not Element("Be", 4.0).has_pseudopotential  # whether it has a core charge, nobody knows
    for element in sic_elements().values():
        assert element.has_pseudopotential and element.core_density is None


def test_elements_cannot_be_changed_under_a_model_and_differ_by_identity() -> None:
    """Arrays have no truth value: elements are compared by their hashes and never by fields."""
    be = be_element()
    with pytest.raises(FrozenInstanceError):
        be.valence = 4.0  # type: ignore[misc]
    assert be == be and be != replace(be)
    assert len({be, replace(be)}) == 2
