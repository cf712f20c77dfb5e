"""What `rank` chooses of a pool: what the model knows least, and not the same thing twice."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.io import read
from distributed import Client

import maladist
from maladist import LDOSModel
from maladist.descriptors import evaluate
from maladist.errors import AtomsError, InputError
from maladist.io.shipped import shipped_models
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Outside, fit_domain
from maladist.neighbors import CellList
from maladist.prediction.rank import Look, choose, farthest_points
from maladist.testing import be_atoms, tiny_model


def moved(amount: float, seed: int = 0) -> Atoms:
    """Be atoms off their sites."""
    atoms = be_atoms()
    atoms.positions += amount * np.random.default_rng(seed).standard_normal((2, 3))
    return atoms


@pytest.fixture(scope="module")
def trained() -> LDOSModel:
    """A mean of two networks that knows cells whose atoms are off their sites by 0.05 Å."""
    model, points = tiny_model(), np.random.default_rng(1).random((100, 3))

    def features(seed: int) -> torch.Tensor:
        atoms = moved(0.05, seed)
        cells = CellList(atoms.cell.array, atoms.positions, atoms.numbers.astype(np.int16), model.descriptor.cutoff)
        return evaluate(points @ atoms.cell.array, cells.around([0, 0, 0], [1, 1, 1]), model.descriptor)

    rows, held = torch.cat([features(s) for s in range(20)]), torch.cat([features(s) for s in range(20, 25)])
    domain = fit_domain(CellRange((8.0, 9.0)), rows, held, model.input_scaler)
    both = LDOSModel.mean_of([replace(tiny_model(seed), domain=domain) for seed in (0, 1)])
    assert both.domain is not None
    return both


def test_cells_far_from_the_training_come_first_and_equal_ones_once(trained: LDOSModel, client: Client) -> None:
    one, strange = trained.members()[0], moved(0.6, 8)
    pool = [moved(0.05, 31), strange, strange.copy(), moved(0.05, 32), moved(0.6, 9), moved(0.05, 33)]
    chosen = [r.frame for r in maladist.rank(one, pool, 2, points=300, client=client)]
    assert set(chosen) in ({1, 4}, {2, 4})
    every = {r.frame: r for r in maladist.rank(one, pool, 6, points=300, client=client)}
    assert sorted(every) == list(range(6))
    assert every[1].growth == pytest.approx(every[2].growth, rel=1e-12)
    # 0.6 Å is far outside of a training of 0.05 Å: fourth powers of the novelty tell them apart by far.
    assert min(every[i].growth for i in (1, 4)) > 2 * max(every[i].growth for i in (0, 3, 5))
    assert every[1].largest_novelty > 1 and every[1].spread is None


def test_a_supercell_looks_like_its_cell(trained: LDOSModel, client: Client) -> None:
    one, eight = (
        maladist.rank(trained, [be_atoms(repeat)], 1, points=4000, client=client)[0]
        for repeat in ((1, 1, 1), (2, 2, 2))
    )
    # Means over other random points of the same field: 4000 of them leave a few percent.
    assert eight.growth == pytest.approx(one.growth, rel=0.1)
    assert eight.spread == pytest.approx(one.spread, rel=0.1)


def look(novelty: float, variance: float, at: float) -> Look:
    """What is seen of a cell of one novelty."""
    return Look(Outside.of(torch.full((3,), novelty)), variance, np.array([at, 0.0]))


def test_novelty_and_spread_count_alike_and_the_spread_of_one_network_not() -> None:
    looks = [look(0.5, 4.0, 0.0), look(0.6, 1.0, 1.0), look(0.4, 2.0, 2.0)]
    both, alone = choose(looks, 3, committee=True), choose(looks, 3, committee=False)
    # Ranks by novelty 2, 3, 1 and by spread 3, 1, 2.
    assert {one.frame: one.score for one in both} == pytest.approx({0: 5 / 6, 1: 4 / 6, 2: 3 / 6})
    assert both[0].frame == 0 and both[0].spread == pytest.approx(2.0)
    assert {one.frame: one.score for one in alone} == pytest.approx({0: 2 / 3, 1: 1.0, 2: 1 / 3})
    assert alone[0].frame == 1 and alone[0].spread is None


def test_what_is_far_apart_is_taken_and_never_one_twice() -> None:
    rows = np.array([[0.0], [0.1], [1.0], [0.6], [0.0]])
    assert farthest_points(rows, 3) == [0, 2, 3]
    assert sorted(farthest_points(rows, 5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("count", "points", "why"), [(3, 100, "count"), (0, 100, "count"), (1, 0, "points")])
def test_numbers_that_cannot_be_are_refused(
    count: int, points: int, why: str, trained: LDOSModel, client: Client
) -> None:
    with pytest.raises(InputError, match=why):
        maladist.rank(trained, [be_atoms()] * 2, count, points=points, client=client)


def test_models_and_cells_that_say_nothing_are_refused(trained: LDOSModel, client: Client) -> None:
    with pytest.raises(InputError, match="does not know where it has been trained"):
        maladist.rank(tiny_model(), [be_atoms()], 1, client=client)
    aluminium = be_atoms()
    aluminium.numbers[:] = 13
    with pytest.raises(AtomsError, match="Al") as refused:
        maladist.rank(trained, [be_atoms(), aluminium], 1, client=client)
    assert refused.value.__notes__ == ["frame 1 of 2"]


def test_the_shipped_model_ranks_the_cells_that_its_own_md_spoilt_before_all_others(client: Client) -> None:
    """A of five of the first 15 cells beside its card is off by 9 to 435 meV/atom, of the other ten by 8 at most."""
    cells = read(shipped_models()["be-1000K"].folder / "thermal.extxyz", ":15")
    model = maladist.load_model("be-1000K").members()[0]
    chosen = maladist.rank(model, cells, 15, points=400, client=client)
    # In the order of the file: 15 atoms, 16 at 1500 K, 31 atoms, 32 at 1000 and at 1500 K.
    worst = sorted(one.frame for one in sorted(chosen, key=lambda one: -one.score)[:5])
    assert worst == [3, 8, 9, 13, 14]


def test_a_small_pool_needs_no_cluster_and_gets_the_same_choice(
    trained: LDOSModel, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = [moved(s, 0) for s in (0.05, 0.3, 0.1, 0.2)]
    wanted = maladist.rank(trained, pool, 2, points=300, client=client)
    monkeypatch.setattr(import_module("maladist.cluster.start"), "cluster", None)  # a call of it would fail
    assert maladist.rank(trained, pool, 2, points=300) == wanted
