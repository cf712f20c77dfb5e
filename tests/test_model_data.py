"""What makes the data of the shipped models: `notebooks/model_data.py` and the configurations of aluminium."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

import maladist
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.kpoints import nested
from maladist.training.config import TrainConfig

DATA = Path(maladist.__file__).parent / "data"
RECIPES = sorted(path.parent for path in DATA.glob("*/dft.yaml"))

sys.path.insert(0, str(Path(__file__).parent.parent / "notebooks"))

import aluminium  # noqa: E402
import model_data  # noqa: E402


def test_every_recipe_has_its_configurations() -> None:
    assert [folder.name.replace("_", "-") for folder in RECIPES] == sorted(model_data.RECIPES)
    assert sorted(model_data.DENSE) == sorted(model_data.RECIPES)


@pytest.mark.parametrize("folder", RECIPES, ids=lambda folder: folder.name)
def test_a_recipe_is_one_that_dft_and_train_take(folder: Path) -> None:
    assert Espresso.read(folder / "dft.yaml").energy_grid.levels > 2
    assert TrainConfig.read(folder / "train.yaml").data.validation


def test_the_meshes_of_aluminium_are_the_same_points_in_all_sizes() -> None:
    code = Espresso.read(DATA / "al_933K" / "dft.yaml")
    cells = aluminium.CELLS
    for small, large in pairwise(sorted(cells)):
        mesh, same = nested(code.mesh(cells[small]), cells[small].cell.array, cells[large].cell.array)
        assert same and mesh == code.mesh(cells[large])


def test_a_liquid_is_one_and_a_solid_is_not() -> None:
    """Of the perfect crystal each atom has 12 neighbours at 2.92 Å; what is left of that tells the two apart."""
    spread = {}
    for phase, kelvin in (("solid", 600), ("liquid", 1200)):
        atoms = aluminium.Drawing(aluminium.CELLS[8], phase, kelvin, 1.0, (0, 0)).atoms()
        assert atoms.get_volume() == pytest.approx(aluminium.CELLS[8].get_volume())
        near = np.sort(neighbor_list("d", atoms, 6.0))[: 8 * 18]  # 12 neighbours at 2.92 Å and 6 at 4.13 Å
        spread[phase] = near[8 * 12 :].min() - near[: 8 * 12].max()
    assert spread["solid"] > spread["liquid"]


def test_names_are_fair_shares() -> None:
    """The first eighth of the list has every kind that there are eight of."""
    names = list(aluminium.drawings())
    first = {name.rsplit("-", 2)[0] for name in names[: len(names) // 8]}
    assert {"train-08-solid", "train-08-liquid", "train-16-liquid", "train-32-liquid"} <= first
    assert len(names) == sum(sum(sizes.values()) for phases in aluminium.COUNTS.values() for sizes in phases.values())
