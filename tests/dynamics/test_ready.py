"""What a run needs of its model is known before anything is computed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ase.build import bulk

import maladist
from maladist.dynamics.ready import UNLEARNT, prepare
from maladist.elements import Element
from maladist.errors import InputError, ModelError
from maladist.testing import be_atoms, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:the grid holds a sphere")


def test_the_grid_is_that_of_the_first_cell() -> None:
    prepared = prepare(be_atoms(), tiny_model(), {"precision": "float64"}, cell_moves=False)
    assert prepared.options == {"precision": "float64", "grid": (14, 14, 20)}
    assert prepared.arguments["grid"] == [14, 14, 20] and prepared.notes == ()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": [1000.0, 2000.0]}, "2 temperatures of the electrons"),
        ({"keep": ("ldos", "force_terms")}, "keep: ldos, force_terms"),
    ],
)
def test_one_temperature_of_the_electrons_and_nothing_kept(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        prepare(be_atoms(), tiny_model(), options, cell_moves=False)  # type: ignore[arg-type]


def test_a_model_without_forces_is_refused() -> None:
    bare = replace(tiny_model(), elements={"Be": Element("Be", 2.0)})
    with pytest.raises(InputError, match="forces"):
        prepare(be_atoms(), bare, {}, cell_moves=False)


def test_a_cell_that_follows_the_stress_is_warned_of_by_the_models_card() -> None:
    assert prepare(be_atoms(), tiny_model(), {}, cell_moves=True).notes == (UNLEARNT,)
    be = bulk("Be", "hcp", a=2.2866, c=3.5833) * (2, 2, 1)
    notes = prepare(be, maladist.load_model("be-1000K"), {}, cell_moves=True).notes
    assert notes[0] == UNLEARNT and "do not use it" in notes[1]


def test_a_file_that_is_no_model_is_named() -> None:
    with pytest.raises((ModelError, InputError), match="model"):
        prepare(be_atoms(), "no-such-model", {}, cell_moves=False)
