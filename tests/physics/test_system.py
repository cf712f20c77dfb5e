"""The noun of the energies: what it derives, what it refuses, and what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from maladist.elements import Element
from maladist.errors import InputError
from maladist.grid import Grid
from maladist.physics.reciprocal import largest_cutoff
from maladist.physics.system import System, common_functional, complete, wrapped
from maladist.testing import be_atoms, be_element

GRID = Grid(be_atoms().cell.array.tolist(), (12, 12, 18))
SYSTEM = System(
    GRID, wrapped(be_atoms(), GRID), np.array([4, 4], np.int16), {"Be": be_element()}, "pbe", 150.0, None, (300.0,)
)


def test_electrons_are_counted_from_the_valences_or_from_what_the_model_says() -> None:
    assert complete(SYSTEM).n_electrons == 4.0
    bare = replace(SYSTEM, elements={"Be": Element("Be")})
    assert complete(bare, electrons_per_atom=1.5).n_electrons == 3.0
    with pytest.raises(InputError, match="no valence for Be"):
        complete(bare)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperatures": ()}, "empty"),
        ({"temperatures": (0.0,)}, "positive temperature"),
        ({"temperatures": (1e-300,)}, "positive temperature"),
        ({"temperatures": (1e300,)}, "positive temperature"),
        ({"temperatures": (float("nan"),)}, "positive temperature"),
        ({"temperatures": (300.0, 300.0)}, "each temperature once"),
        ({"xc": "b3lyp"}, "pbe, pw92, pz"),
        ({"density_cutoff": -1.0}, "positive cutoff"),
        ({"n_electrons": 3.6}, r"3\.6 electrons where the valences add up to 4.*tot_charge"),
    ],
)
def test_what_no_energy_can_be_made_of_is_refused(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        complete(replace(SYSTEM, **change))


def test_what_lowers_the_accuracy_is_said_once_each() -> None:
    assert complete(SYSTEM).notes == ()
    notes = complete(replace(SYSTEM, density_cutoff=None, elements={}, n_electrons=4.0), "switched off").notes
    assert [n.split(":")[0] for n in notes] == [
        "broadening correction off",
        "no pseudopotential for Be",
        "no density cutoff is known",
    ]
    assert complete(replace(SYSTEM, density_cutoff=None)).density_cutoff == largest_cutoff(GRID)


def test_a_grid_too_coarse_for_the_cutoff_says_by_how_much_and_is_refused_where_it_is_absurd() -> None:
    held = largest_cutoff(GRID)
    (note,) = complete(replace(SYSTEM, density_cutoff=2 * held)).notes
    assert "A is off by about 6 meV/atom" in note  # 5.3 was measured at a share of 0.51
    assert "about 63 meV" in complete(replace(SYSTEM, density_cutoff=7.6 * held)).notes[0]
    with pytest.raises(InputError, match=r"grid: the grid holds a sphere of .*Take a finer --grid"):
        complete(replace(SYSTEM, density_cutoff=11 * held))


def test_xc_is_computable_only_where_functional_and_core_are_known() -> None:
    assert SYSTEM.functional == "pbe" and SYSTEM.has_core
    assert replace(SYSTEM, elements={"Be": Element("Be", 2.0)}).functional is None
    assert replace(SYSTEM, xc=None).functional is None
    assert common_functional(SYSTEM) == "pbe"
    assert common_functional(replace(SYSTEM, elements={})) is None


def test_atoms_come_into_the_cell_where_they_are_in_fractions() -> None:
    inside = SYSTEM.atoms.get_scaled_positions(wrap=False)
    assert (inside >= 0).all() and (inside < 1).all()
    np.testing.assert_allclose(inside, be_atoms().get_scaled_positions(wrap=True), atol=1e-12)


def test_elements_come_in_the_order_of_their_first_atom_and_their_atoms_are_found() -> None:
    numbers = np.array([13, 4, 13, 4, 33], np.int16)
    grid = Grid(be_atoms().cell.array.tolist(), (4, 4, 6))
    system = System(grid, np.zeros((5, 3)), numbers, {})
    assert system.kinds == list(dict.fromkeys(system.symbols)) == ["Al", "Be", "As"]
    assert [system.indices(symbol).tolist() for symbol in system.kinds] == [[0, 2], [1, 3], [4]]
