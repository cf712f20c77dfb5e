"""Where a model has not been trained it says so: before the blocks what is cheap, after them the points."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel
from maladist.errors import DomainError
from maladist.io import stores
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Domain, Outside
from maladist.parallel.workers import Workers
from maladist.prediction.novelty import UNKNOWN
from maladist.prediction.plan import make_plan
from maladist.prediction.setup import setup
from maladist.prediction.tally import Tally, row_length
from maladist.testing import Listener, be_atoms, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction", "ignore:outside of the model's training")
GRID = (12, 12, 14)


@pytest.fixture(scope="module")
def cells() -> CellRange:
    return CellRange.of(setup(be_atoms(), tiny_model()).system)


def trained(cells: CellRange, limit: float) -> LDOSModel:
    """A model that was trained on the tests' crystal; the limit decides how many of its points are outside."""
    model = tiny_model()
    n = model.descriptor.n_features
    return replace(model, domain=Domain(cells, limit, torch.zeros(n, 1), torch.zeros(1), None))


def squeezed(factor: float) -> Atoms:
    atoms = be_atoms()
    atoms.set_cell(atoms.cell * factor, scale_atoms=True)
    return atoms


def test_the_map_is_kept_and_counted_the_same_in_any_blocks(cells: CellRange, client: Client) -> None:
    model = trained(cells, 0.8)
    found = [
        maladist.predict(be_atoms(), model, grid=GRID, client=client, chunks=chunks, precision="float64")
        for chunks in ((50, 50, 50), (5, 4, 7))
    ]
    maps = [one.dataset["novelty"].values for one in found]
    assert maps[0].dtype == np.float32 and maps[0].shape == GRID
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-6)
    outside = [one.to_dict()["outside"] for one in found]
    n = int((maps[0] > 1).sum())
    assert 0 < n < maps[0].size
    for one in outside:
        assert (one["points"], one["share"]) == (n, n / maps[0].size)
        assert one["largest_novelty"] == pytest.approx(float(maps[0].max()), rel=1e-6)
    at = np.array(np.unravel_index(maps[0].argmax(), GRID)) / GRID @ found[0].grid.cell_array
    assert outside[0]["largest_at_A"] == pytest.approx(at.tolist())


def test_a_library_call_warns_and_the_result_keeps_the_line(cells: CellRange, client: Client) -> None:
    with pytest.warns(UserWarning, match=r"outside of the model's training: \d.* of 2,016 points"):
        found = maladist.predict(be_atoms(), trained(cells, 0.1), grid=GRID, client=client)
    assert any(note.startswith("outside") for note in found.to_dict()["notes"])


def test_a_cell_like_the_trainings_gets_no_word_and_strict_lets_it_pass(cells: CellRange, client: Client) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = maladist.predict(be_atoms(), trained(cells, 1e3), grid=GRID, client=client, strict=True)
    assert not [w for w in said if "training" in str(w.message)]
    assert found.to_dict()["outside"]["points"] == 0


def test_strict_leaves_nothing_that_is_taken_for_whole_and_resume_goes_on(
    cells: CellRange, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the sample of points left a doubt, and all of them do not."""
    monkeypatch.setattr("maladist.prediction.run.check_sample", lambda _: None)
    model, store = trained(cells, 0.1), tmp_path / "a.zarr"
    with pytest.raises(DomainError, match=r"outside .* points .*--strict\. \d+ of \d+ blocks are kept") as caught:
        maladist.predict(be_atoms(), model, grid=GRID, client=client, store=store, strict=True)
    assert "\n" not in str(caught.value) and not stores.is_complete(store)
    maladist.predict(be_atoms(), model, grid=GRID, client=client, store=store, resume=True)
    assert stores.is_complete(store)


def test_strict_refuses_before_the_cell_is_paid_for_where_a_sample_leaves_no_doubt(
    cells: CellRange, client: Client, tmp_path: Path
) -> None:
    heard = Listener()
    with pytest.raises(DomainError, match=r"outside .* points .* of a sample.*--strict\. Nothing else was computed"):
        maladist.predict(
            be_atoms(),
            trained(cells, 0.1),
            grid=GRID,
            client=client,
            store=tmp_path / "a.zarr",
            strict=True,
            observer=heard,
        )
    assert not heard.stages and not (tmp_path / "a.zarr").exists()


def test_a_sample_refuses_only_what_all_points_would() -> None:
    assert not Outside(100, 3, 1.1).surely_much  # 3 % of 100 may be 1 % of all
    assert Outside(2000, 200, 1.1).surely_much and Outside(2000, 1, 1e6).surely_much
    assert not Outside().surely_much


@pytest.mark.parametrize(
    ("atoms", "temperature", "said"),
    [
        (squeezed(1.26), 2000.0, "Å³ an atom, trained on"),
        (squeezed(0.8), 2000.0, "Be-Be .* Å apart, in the training"),
        (be_atoms(), 100_000.0, "100000 K, trained at 2000 K"),
    ],
)
def test_what_is_cheap_is_told_before_anything_is_computed(
    cells: CellRange, atoms: Atoms, temperature: float, said: str, tmp_path: Path
) -> None:
    model = trained(cells, 1e3)
    ready = setup(atoms, model, temperature=temperature)
    (line,) = (note for note in ready.system.notes if note.startswith("outside"))
    assert "\n" not in line
    with pytest.raises(DomainError, match=said):
        setup(atoms, model, temperature=temperature, strict=True)


def test_a_lazy_field_and_a_plan_tell_what_they_can(cells: CellRange, client: Client) -> None:
    with pytest.warns(UserWarning, match=r"outside of the model's training: \d+ of 500 points"):
        maladist.ldos(be_atoms(), trained(cells, 0.1))
    with pytest.warns(UserWarning, match="outside of the model's training: .* Å³ an atom"):
        maladist.ldos(squeezed(1.26), trained(cells, 1e3))
    planned = maladist.plan(squeezed(1.26), trained(cells, 1e3), client=client, calibrate=False)
    assert "Å³ an atom" in dict(planned.rows())["note"]


def test_a_model_without_statistics_says_so_and_cannot_be_strict() -> None:
    assert UNKNOWN in setup(be_atoms(), tiny_model()).system.notes
    with pytest.raises(DomainError, match="does not know where it has been trained"):
        setup(be_atoms(), tiny_model(), strict=True)


def test_a_tally_keeps_its_count_through_its_row() -> None:
    tally = Tally(np.arange(3.0), 1.5, 40, np.arange(4.0), Outside(40, 7, 1.25, 10**12))
    assert len(tally.row()) == row_length(3)
    again = Tally.from_row(tally.row())
    assert (again.outside, again.n_points, again.electrons) == (tally.outside, 40, 1.5)
    assert (Tally.zero(3) + again).outside == tally.outside


def test_the_plan_counts_the_maps_bytes(cells: CellRange) -> None:
    workers = Workers(2, 2, None, 1, False)
    plain, knows = (make_plan(setup(be_atoms(), m, grid=GRID), workers) for m in (tiny_model(), trained(cells, 1.0)))
    assert knows.output_bytes - plain.output_bytes == 4 * 12 * 12 * 14
