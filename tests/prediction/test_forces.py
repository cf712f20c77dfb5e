"""Forces and stress from the engine: those of one process, however the cell is cut, resumed, in files, and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel
from maladist.errors import AccuracyWarning, PhysicsError
from maladist.grid import Grid
from maladist.io import stores
from maladist.learning.model import LDOSModel as Model
from maladist.physics.ewald import ewald_derivatives
from maladist.physics.forces import FORCE_TERMS
from maladist.prediction import forces as stages
from maladist.prediction.fields import Slabs
from maladist.prediction.plan import Plan
from maladist.prediction.record import DERIVATIVES
from maladist.testing import Listener, be_element, with_density_channel
from tests.prediction.free_energy import derivatives

GRID = (10, 12, 14)


def predict(atoms: Atoms, model: LDOSModel, client: Client, **options: object) -> maladist.Prediction:
    given = {"grid": GRID, "client": client, "precision": "float64", "forces": True, "stress": True, **options}
    return maladist.predict(atoms, model, **given)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:the density channel holds")
@pytest.mark.parametrize("channel", [False, True])
def test_they_are_those_of_one_process_at_every_temperature_and_in_many_blocks(
    atoms: Atoms, model: LDOSModel, client: Client, channel: bool
) -> None:
    model = replace(with_density_channel(model) if channel else model, energy_zero={"Be": 30.0})
    temperatures = [1500.0, 6000.0]
    found = predict(atoms, model, client, temperature=temperatures, chunks=(4, 12, 5))
    expected = derivatives(atoms, model, grid=GRID, temperature=temperatures)
    # Sums in another order, and projections of the density that are right to 1e-10.
    for t, wanted in zip(temperatures, expected, strict=True):
        at = found.at(t)
        np.testing.assert_allclose(at.forces, wanted.forces, atol=1e-8 * np.abs(wanted.forces).max())
        stress = wanted.stress(atoms.get_volume())
        np.testing.assert_allclose(at.stress, stress, atol=1e-8 * np.abs(stress).max())
    written = json.loads(found.to_json())["results"][1]
    np.testing.assert_allclose(written["forces_eV_per_A"], expected[1].forces, atol=1e-7)  # as above, of some eV/Å
    assert len(written["stress_eV_per_A3"]) == 6


def test_what_is_not_asked_for_is_not_there(atoms: Atoms, model: LDOSModel, client: Client) -> None:
    only = predict(atoms, model, client, stress=False)
    assert only.forces is not None and only.stress is None
    assert "stress" not in only.dataset and "stress_eV_per_A3" not in only.to_dict()
    neither = predict(atoms, model, client, forces=False, stress=False)
    assert neither.forces is None and "forces" not in neither.dataset.attrs["seconds"]
    assert only.energies == neither.energies


@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.filterwarnings("ignore:the density channel holds")
def test_terms_that_are_asked_for_add_up_to_the_whole(
    atoms: Atoms, model: LDOSModel, client: Client, channel: bool
) -> None:
    model = replace(with_density_channel(model) if channel else model, energy_zero={"Be": 30.0})
    asked = {"temperature": [1500.0, 6000.0], "keep": ["force_terms"]}
    found = predict(atoms, model, client, **asked)
    for t, written in zip(found.temperatures, json.loads(found.to_json())["results"], strict=True):
        at = found.at(t)
        for name, whole, terms in (
            ("forces_by_term_eV_per_A", at.forces, at.forces_by_term),
            ("stress_by_term_eV_per_A3", at.stress, at.stress_by_term),
        ):
            assert set(terms) == set(FORCE_TERMS)
            # The same numbers added in another order.
            np.testing.assert_allclose(sum(terms.values()), whole, atol=1e-13 * np.abs(list(terms.values())).max())
            assert {term: len(values) for term, values in written[name].items()} == {t: len(whole) for t in terms}
        ions = ewald_derivatives(torch.tensor(atoms.positions), torch.full((2,), 2.0).double(), atoms.cell.array)
        np.testing.assert_allclose(at.forces_by_term["ewald"], -ions.by_position, atol=1e-10)
    assert not {n for n in predict(atoms, model, client).dataset if "_ewald" in str(n) and "eV" not in str(n)}


def test_a_run_that_stopped_in_the_second_pass_goes_on_to_the_same_bits(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predict(atoms, model, client, chunks=(4, 12, 5))
    path = tmp_path / "stopped.zarr"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(stages, "add_row", stop)
        predict(atoms, model, client, chunks=(4, 12, 5), store=path)
    rows = stores.open_array(path, DERIVATIVES)
    assert np.isfinite(rows[...]).all()
    rows[2:5] = np.nan  # as if these had not been computed
    listener = Listener()
    again = predict(atoms, model, client, chunks=(4, 12, 5), store=path, resume=True, observer=listener)
    assert ("forces", rows.shape[0], rows.shape[0] - 3) in listener.stages
    np.testing.assert_array_equal(again.forces, whole.forces)
    np.testing.assert_array_equal(again.stress, whole.stress)


def test_a_run_without_forces_that_was_stopped_can_go_on_with_them(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stopped.zarr"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("maladist.prediction.run.find_energies", stop)
        predict(atoms, model, client, store=path, forces=False, stress=False)
    again = predict(atoms, model, client, store=path, resume=True)
    np.testing.assert_array_equal(again.forces, predict(atoms, model, client).forces)


@pytest.fixture
def far_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of the first pass that μ lies outside of, so that the blocks are computed for the solved μ."""
    monkeypatch.setattr("maladist.prediction.pilot.window", lambda *_: (-4.0, -3.9))


def _assert_close(found: maladist.Prediction, expected: maladist.Prediction) -> None:
    # The basis of the solved μ holds d_F exactly, that of a window to 5e-10 at its ends.
    for name in ("forces", "stress"):
        one, other = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(one, other, atol=1e-8 * np.abs(other).max())


def test_a_fermi_level_outside_of_the_window_leaves_them_right(
    atoms: Atoms, model: LDOSModel, client: Client, request: pytest.FixtureRequest
) -> None:
    """The basis for the solved μ alone must hold d_F, the slope of the weights, and not the weights only."""
    whole = predict(atoms, model, client)
    request.getfixturevalue("far_window")
    listener = Listener()
    far = predict(atoms, model, client, observer=listener)
    assert any("outside the window" in note for note in listener.notes)
    _assert_close(far, whole)


def test_a_stopped_run_without_forces_outside_of_the_window_goes_on_with_them(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its projections hold the density and not d_F: the blocks are computed once more, and the user is told why."""
    whole = predict(atoms, model, client)
    request.getfixturevalue("far_window")
    path = tmp_path / "stopped.zarr"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("maladist.prediction.run.find_energies", stop)
        predict(atoms, model, client, store=path, forces=False, stress=False)
    listener = Listener()
    again = predict(atoms, model, client, store=path, resume=True, observer=listener)
    assert any("forces need more" in note for note in listener.notes)
    _assert_close(again, whole)


@pytest.mark.parametrize(
    ("xc", "core", "channel"),
    [
        ("pbe", True, False),
        pytest.param("pw92", True, False, marks=pytest.mark.slow),
        pytest.param("pbe", False, True, marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore:the density channel holds")
def test_by_slabs_where_no_worker_can_hold_the_fields(
    xc: str, core: bool, channel: bool, atoms: Atoms, model: LDOSModel, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slabs of a plane or two, with blocks that are thicker: chunks of u are the slabs'."""
    element = be_element()
    if not core:
        element = replace(element, core_radii=None, core_rab=None, core_density=None)
    model = replace(with_density_channel(model) if channel else model, xc=xc, elements={"Be": element})
    whole = predict(atoms, model, client, chunks=(4, 12, 5))
    monkeypatch.setattr(Plan, "distributed_potential", True)

    ranges = Slabs.ranges

    def thin(slabs: Slabs, axis: int, grid: Grid, reals: int = 24) -> list[tuple[int, int]]:
        return ranges(replace(slabs, room=2 * 8 * reals * grid.n_points // grid.shape[axis]), axis, grid, reals)

    monkeypatch.setattr(Slabs, "ranges", thin)
    slabs = predict(atoms, model, client, chunks=(4, 12, 5))
    # The same transforms in other pieces: roundings of fields, 1e-15 of some eV.
    np.testing.assert_allclose(slabs.forces, whole.forces, atol=1e-11)
    np.testing.assert_allclose(slabs.stress, whole.stress, atol=1e-12)


def test_of_an_ensemble_with_its_spread(atoms: Atoms, model: LDOSModel, client: Client) -> None:
    two = Model.mean_of([model, replace(model, network=maladist.testing.tiny_model(7).network)])
    found = predict(atoms, two, client, spread=True)
    members = [predict(atoms, m, client).forces for m in two.members()]
    # The same numbers: once in the prediction, once here.
    np.testing.assert_allclose(found.dataset["forces_std"], np.std(members, axis=0, ddof=1), atol=1e-12)


def test_where_the_corrected_fermi_level_fell_back_they_are_refused_and_the_blocks_serve_without(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the uncorrected μ the corrected weights do not hold N electrons: A is not stationary there."""
    monkeypatch.setattr("maladist.physics.fermi._nearest_root", lambda *_: None)
    path, options = tmp_path / "run.zarr", {"broadening_correction": "on"}
    told = r"electrons at the Fermi level of 2000 K, where no root holds all; .*--broadening-correction off"
    with (
        pytest.warns(AccuracyWarning, match="the uncorrected Fermi level is used"),
        pytest.raises(PhysicsError, match=told),
    ):
        predict(atoms, model, client, store=path, **options)
    listener = Listener()
    with pytest.warns(AccuracyWarning, match="the uncorrected Fermi level is used"):
        energies = predict(
            atoms, model, client, store=path, resume=True, forces=False, stress=False, observer=listener, **options
        )
    assert energies.forces is None
    ((total, done),) = ((total, done) for name, total, done in listener.stages if name == "blocks")
    assert total == done, "the blocks serve as they are"
    without = predict(atoms, model, client, broadening_correction="off", observer=listener)
    assert without.forces is not None
