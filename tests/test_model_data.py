"""What makes the data of the shipped models: `notebooks/model_data.py` and the configurations of aluminium."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

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


@pytest.mark.parametrize(("phase", "kelvin"), [("solid", 900), ("liquid", 950)])
def test_a_liquid_is_one_and_a_solid_is_not(phase: str, kelvin: int) -> None:
    """Atoms of the crystal stay near their sites, those of the liquid have left them."""
    sites = aluminium.CELLS[32]
    atoms = aluminium.Drawing(sites, phase, kelvin, 1.0, (0, 0)).atoms()
    moved = atoms.get_scaled_positions() - sites.get_scaled_positions()
    moved = (moved - np.round(moved)) @ sites.cell.array
    far = np.sqrt(((moved - moved.mean(axis=0)) ** 2).sum(axis=1).mean())  # of neighbours, 2.9 Å apart
    assert far < 0.7 if phase == "solid" else far > 1.2


def test_more_configurations_leave_the_first_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    few = aluminium.drawings()
    more = {
        part: {f: {n: 2 * c for n, c in sizes.items()} for f, sizes in phases.items()}
        for part, phases in aluminium.COUNTS.items()
    }
    monkeypatch.setattr(aluminium, "COUNTS", more)
    many = aluminium.drawings()
    assert all((many[n].density, many[n].kelvin, many[n].seed) == (d.density, d.kelvin, d.seed) for n, d in few.items())
    shares = [d.density for n, d in few.items() if n.startswith("train-08-solid")]
    assert max(np.diff(sorted(shares))) < 3 * (max(shares) - min(shares)) / len(shares)


def test_names_are_fair_shares() -> None:
    """The first eighth of the list has every kind that there are eight of."""
    names = list(aluminium.drawings())
    first = {name.rsplit("-", 2)[0] for name in names[: len(names) // 8]}
    assert {"train-08-solid", "train-16-solid", "train-16-liquid", "train-32-liquid"} <= first
    assert len(names) == sum(sum(sizes.values()) for phases in aluminium.COUNTS.values() for sizes in phases.values())
