"""The domain: what is like the training is inside, what is not is outside, and a model keeps it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.geometry import get_distances
from hypothesis import given
from hypothesis import strategies as st

import maladist
from maladist import LDOSModel
from maladist.descriptors import evaluate
from maladist.errors import ModelError
from maladist.grid import Grid
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import FAR, SHARE, Domain, Outside, fit_domain
from maladist.learning.scaling import Moments, Scaler
from maladist.neighbors import CellList, nearest_distances
from maladist.sampling.crystal import displaced
from maladist.testing import tiny_model

CELLS = CellRange((7.7, 9.0), {"Be-Be": 1.67}, (1000.0, 1000.0))
FEATURES = 6


def correlated(n: int, seed: int = 0) -> torch.Tensor:
    """Points of a normal distribution with correlations and very different scales."""
    mixing = np.random.default_rng(7).normal(size=(FEATURES, FEATURES)) * 10.0 ** np.arange(-3, FEATURES - 3)
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, FEATURES)) @ mixing + 5.0)


def scaler(rows: torch.Tensor, kind: str = "whiten") -> Scaler:
    return Scaler.fit(Moments.of(rows, cross=True), kind, feature_wise=True)  # type: ignore[arg-type]


def novelty(domain: Domain, inputs: Scaler, rows: torch.Tensor) -> torch.Tensor:
    return domain.novelty((domain.whitening or inputs).transform(rows))


# -- points ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["whiten", "standard", "minmax", "none"])
def test_whatever_the_scaler_like_points_are_inside_and_shifted_ones_are_not(kind: str) -> None:
    train, inputs = correlated(20_000), scaler(correlated(20_000), kind)
    domain = fit_domain(CELLS, train, correlated(20_000, 1), inputs)
    assert (domain.whitening is None) == (kind == "whiten")  # a network that sees whitened input pays for it once
    like, other = novelty(domain, inputs, correlated(20_000, 2)), correlated(20_000, 3)
    assert float((like > 1).double().mean()) < 1e-3
    axis = torch.linalg.eigh(torch.cov(train.T))[1][:, 0]  # along which the training hardly varies
    moved = other + 12 * float((train @ axis).std()) * axis
    assert float((novelty(domain, inputs, moved) > 1).double().mean()) > 0.99


def test_few_odd_points_in_a_training_do_not_make_their_like_familiar() -> None:
    odd = correlated(300, 4)
    odd[:, 0] += 40 * odd[:, 0].std()
    train, held = torch.cat([correlated(20_000), odd]), correlated(20_000, 1)
    inputs = scaler(train)
    domain = fit_domain(CELLS, train, held, inputs)
    plain = replace(domain, directions=torch.zeros(FEATURES, 1).double(), offsets=torch.zeros(1).double())
    here, without = (float(novelty(d, inputs, odd).median() / novelty(d, inputs, held).max()) for d in (domain, plain))
    assert here > 3 * without


def test_a_direction_that_the_training_never_took_is_not_a_blind_one() -> None:
    flat = correlated(5000)
    flat[:, 1] = 2 * flat[:, 0] - flat[:, 3]
    inputs = scaler(flat)
    assert float(inputs.scale.min()) == 0  # the network does not see it
    domain = fit_domain(CELLS, flat[:4000], flat[4000:], inputs)
    off = flat[:100].clone()
    off[:, 1] += 0.1 * off[:, 1].std()
    assert float(novelty(domain, inputs, off).min()) > FAR > float(novelty(domain, inputs, flat).max())


def test_a_training_of_a_few_points_has_a_finite_domain() -> None:
    rows = correlated(4)
    domain = fit_domain(CELLS, rows, rows, scaler(rows, "standard"))
    assert bool(torch.isfinite(novelty(domain, Scaler(), rows)).all())
    for train, held in ((rows[:1], rows), (rows, rows[:0])):
        with pytest.raises(ModelError, match="points of the training"):
            fit_domain(CELLS, train, held, Scaler())


def test_parts_that_do_not_fit_are_refused() -> None:
    ones = torch.ones(FEATURES, 2).double()
    for limit, directions, offsets in (
        (0.0, ones, ones[0]),
        (math.nan, ones, ones[0]),
        (1.0, ones, ones[:, 0]),
        (1.0, ones * math.inf, ones[0]),
    ):
        with pytest.raises(ModelError, match="domain"):
            Domain(CELLS, limit, directions, offsets)
    with pytest.raises(ModelError, match="a domain for 6 where there are"):
        replace(tiny_model(), domain=Domain(CELLS, 1.0, ones, ones[0]))


# -- counts and cells are monoids --------------------------------------------------------------------------------------


@given(st.permutations(range(7)), st.integers(1, 6))
def test_counts_of_parts_add_up_to_the_count_of_the_whole(order: list[int], cut: int) -> None:
    values = torch.tensor([0.5, 3.0, 1.0, 1.1, 0.2, 2.9, 0.0])[order]
    whole, first, second = (Outside.of(part) for part in (values, values[:cut], values[cut:]))
    second = replace(second, at=second.at + cut)
    squares = values.double() ** 2
    growth = float((squares**2 / (1 + squares)).sum())
    assert whole == whole + Outside()
    for other in (first + second, second + first, Outside(7, 3, 3.0, order.index(1), growth)):
        assert other.growth == pytest.approx(whole.growth, rel=1e-12)  # rounding of a sum in another order
        assert replace(other, growth=whole.growth) == whole


def test_it_is_said_when_many_points_are_outside_or_one_is_far_outside() -> None:
    assert not Outside(1000, 10, 1.9).much and not Outside().much
    assert Outside(1000, 11, 1.2).much and Outside(10**9, 1, 2.1).much
    assert str(Outside(1000, 71, 3.21)) == "71 of 1,000 points (7.1 %), the farthest at 3.21 times its limit"
    assert SHARE == 0.01


@pytest.mark.parametrize("cell", [np.eye(3) * 1.2, [[3.0, 0, 0], [2.9, 1.5, 0], [0.3, 2.0, 4.0]]])
def test_nearest_distances_are_those_of_every_pair_and_image(cell: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    atoms = Atoms("Be3AlBeAl", positions=rng.uniform(-3, 5, (6, 3)), cell=cell, pbc=True)
    found = nearest_distances(atoms.cell.array, atoms.positions, atoms.numbers.astype(np.int16), 3.0)
    atoms.wrap()  # here only, so that seven cells hold all near images
    images = atoms.repeat((7, 7, 7)).positions - 3 * np.sum(atoms.cell.array, axis=0)
    symbols = np.array(atoms.get_chemical_symbols())
    distances = get_distances(atoms.positions, images)[1].reshape(6, -1, 6)
    expected = {}
    for a, b in (("Al", "Al"), ("Al", "Be"), ("Be", "Be")):
        some = distances[symbols == a][:, :, symbols == b]
        expected[f"{a}-{b}"] = float(some[some > 1e-9].min())
    assert found == pytest.approx({pair: d for pair, d in expected.items() if d < 3.0}, rel=1e-12)
    assert nearest_distances(np.eye(3) * 5.0, np.zeros((1, 3)), np.array([4], np.int16), 4.0) == {}


# -- the model ---------------------------------------------------------------------------------------------------------


def test_a_model_keeps_its_domain_and_one_without_keeps_its_hash() -> None:
    bare = tiny_model()
    rows = torch.rand(500, bare.descriptor.n_features).double()
    model = replace(bare, domain=fit_domain(CELLS, rows, rows, bare.input_scaler))
    again = LDOSModel.from_bytes(model.to_bytes())
    assert again.domain is not None and again.domain.cells == CELLS
    assert torch.equal(again.novelty(rows), model.novelty(rows))
    assert again.content_hash == model.content_hash != bare.content_hash == replace(model, domain=None).content_hash
    assert b"domain" not in bare.to_bytes()
    assert "7.7 to 9 Å³ an atom, Be-Be 1.67 Å apart or more, 1000 K" in model._repr_html_()
    with pytest.raises(ModelError, match="does not know where it has been trained"):
        bare.novelty(rows)


def test_the_novelty_on_the_way_is_that_of_its_own_in_any_batches() -> None:
    bare = tiny_model()
    rows = torch.rand(300, bare.descriptor.n_features).double()
    for model in (
        replace(bare, domain=fit_domain(CELLS, rows, rows, bare.input_scaler)),
        replace(bare, input_scaler=(s := scaler(rows)), domain=fit_domain(CELLS, rows, rows, s)),
    ):
        out = torch.full((300,), torch.nan)
        for part, here in zip(rows.split(70), out.split(70), strict=True):
            assert torch.equal(model.hidden(part, here), model.hidden(part))
        torch.testing.assert_close(out, model.novelty(rows), rtol=1e-5, atol=1e-5)


# -- the shipped model -------------------------------------------------------------------------------------------------

CRYSTAL = bulk("Be", "hcp", a=2.2866, c=3.5833)  # the card's
VOLUME = CRYSTAL.get_volume() / 2


@pytest.fixture(scope="module")
def shipped() -> LDOSModel:
    return maladist.load_model("be-1000K")


def outside(atoms: Atoms, model: LDOSModel, points: int = 6000) -> Outside:
    grid = Grid.from_spacing(atoms.cell.array, model.spacing)
    chosen = np.random.default_rng(0).choice(grid.n_points, min(points, grid.n_points), replace=False)
    at = np.stack(np.unravel_index(chosen, grid.shape), axis=-1) / np.array(grid.shape) @ grid.cell_array
    cells = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), model.descriptor.cutoff)
    features = evaluate(at, cells.around([0, 0, 0], [1, 1, 1]), model.descriptor, threads=1)
    return Outside.of(model.novelty(features))


def drawn(repeat: tuple[int, int, int], displacement: float = 0.1, **options: int) -> Atoms:
    (atoms,) = displaced(CRYSTAL * repeat, 1, displacement=displacement, strain=0.02, **options)
    return atoms


@pytest.mark.parametrize("repeat", [(2, 2, 1), (2, 2, 2), (4, 2, 2), (4, 4, 4)])
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_new_cells_like_the_trainings_are_inside(shipped: LDOSModel, repeat: tuple[int, int, int], seed: int) -> None:
    found = outside(drawn(repeat, seed=seed), shipped)
    assert found.share <= SHARE and not found.much


def slab() -> Atoms:
    atoms = CRYSTAL * (2, 2, 3)
    atoms.center(vacuum=5.0, axis=2)
    return atoms


def scaled(factor: float) -> Atoms:
    atoms = CRYSTAL * (2, 2, 1)
    atoms.set_cell(atoms.cell * factor ** (1 / 3), scale_atoms=True)
    return atoms


@pytest.mark.parametrize(
    ("what", "atoms", "least"),
    [
        ("slab", slab(), 0.5),
        ("twice the volume", scaled(2.0), 0.99),
        ("0.6 Å", drawn((2, 2, 2), 0.6, seed=1), 0.9),
        ("0.2 Å", drawn((2, 2, 2), 0.2, seed=1), 0.03),
        ("a cell of 1 Å", Atoms("Be2", [[0, 0, 0], [0.5, 0.5, 0.5]], cell=[1, 1, 1], pbc=True), 0.99),
        ("bcc", bulk("Be", "bcc", a=(2 * VOLUME) ** (1 / 3), cubic=True) * (2, 2, 2), 0.015),
        ("wide fcc", bulk("Be", "fcc", a=(4 * 1.3 * VOLUME) ** (1 / 3), cubic=True) * (2, 2, 2), 0.3),
        ("a vacancy in 16", drawn((2, 2, 2), vacancies=1, seed=2), 0.03),
        ("a vacancy in 54", drawn((3, 3, 3), vacancies=1, seed=2), 0.0101),
    ],
)
def test_what_is_not_like_the_training_is_outside(shipped: LDOSModel, what: str, atoms: Atoms, least: float) -> None:
    found = outside(atoms, shipped)
    assert found.share >= least and found.much, what
