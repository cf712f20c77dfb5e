"""Input of a prediction: completed from the model, refused before anything runs, and what a resumed run must share."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import xarray as xr
from ase import Atoms

from maladist import LDOSModel, Prediction, load_model
from maladist.errors import GridError, InputError, ModelError, PhysicsError
from maladist.grid import Grid
from maladist.io.shipped import shipped_models
from maladist.physics.reciprocal import largest_cutoff
from maladist.physics.system import SHORT
from maladist.prediction.setup import announce, choose_grid, grid_of, known_elements, later_notes, setup
from maladist.testing import Listener, be_atoms, be_element, tiny_model, with_density_channel

GRID = (10, 12, 14)
HELD_OUT = shipped_models()["be-1000K"].folder / "held-out.extxyz"


def test_without_pseudopotentials_forces_are_refused_before_anything_runs(model: LDOSModel) -> None:
    unknown = replace(model, elements={}, electrons_per_atom=2.0)
    with pytest.raises(PhysicsError, match="no pseudopotentials"):
        setup(be_atoms(), unknown, grid=GRID, forces=True)


def test_no_temperature_at_all_is_refused(model: LDOSModel) -> None:
    with pytest.raises(InputError, match="at least one temperature"):
        setup(be_atoms(), model, grid=GRID, temperature=[])


def test_a_grid_too_coarse_for_the_density_cutoff_is_said(model: LDOSModel) -> None:
    (note,) = (n for n in setup(be_atoms(), model, density_cutoff=4000.0).system.notes if "sphere" in n)
    assert "not the density cutoff" in note


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "fortran"}, r"backend: 'fortran'; wanted one of auto, cpu, "),
        ({"keep": "density"}, "keep: 'density'; wanted one of ldos, descriptors, force_terms"),
        ({"keep": ("ldos", "force_terms")}, "keep: force_terms without forces or stress"),
        ({"precision": "float16"}, "precision"),
        ({"broadening_correction": "maybe"}, "broadening_correction: 'maybe'; wanted auto, on or off"),
    ],
)
def test_a_choice_that_is_none_is_refused_with_those_that_are(options: Any, words: str, model: LDOSModel) -> None:
    with pytest.raises(InputError, match=words):
        setup(be_atoms(), model, grid=GRID, **options)


def test_what_is_not_given_is_the_models(model: LDOSModel) -> None:
    ready = setup(be_atoms(), model)
    system = ready.system
    assert (system.xc, system.density_cutoff, system.temperatures) == ("pbe", 400.0, (2000.0,))
    assert system.n_electrons == 4.0 and system.reference_temperature == 2000.0
    assert max(system.grid.spacing) <= 0.19 + 1e-9
    given = setup(be_atoms(), model, grid=GRID, density_cutoff=120.0, temperature=[300.0, 900.0])
    assert (given.system.grid.shape, given.system.density_cutoff) == (GRID, 120.0)
    assert given.system.temperatures == (300.0, 900.0)
    with pytest.raises(InputError, match="temperature: none, and the model names none"):
        setup(be_atoms(), replace(model, temperature=None), grid=GRID)


def test_atoms_outside_of_the_cell_are_brought_into_it(model: LDOSModel) -> None:
    atoms = be_atoms()
    there = setup(atoms, model, grid=GRID).system.positions @ np.linalg.inv(atoms.cell.array)
    assert (there >= 0).all() and (there < 1).all()
    np.testing.assert_allclose(there, atoms.get_scaled_positions(wrap=True), atol=1e-12)


def test_elements_are_those_of_the_descriptors_weights_else_those_that_the_model_names(model: LDOSModel) -> None:
    assert known_elements(model) == {"Be"} and known_elements(replace(model, elements={})) is None
    weighted = replace(model, elements={}, descriptor=replace(model.descriptor, weights={"Be": 1.0, "Al": 2.0}))
    assert known_elements(weighted) == {"Be", "Al"}


def test_a_grid_is_of_the_cell_or_refused(model: LDOSModel) -> None:
    atoms = be_atoms()
    mine = Grid(atoms.cell.array.tolist(), (4, 5, 6))
    assert grid_of(atoms, mine) is mine and grid_of(atoms, (4, 5, 6)) == mine
    with pytest.raises(GridError, match="a Grid of another cell"):
        grid_of(atoms, Grid((2 * atoms.cell.array).tolist(), (4, 5, 6)))
    for wrong in ((4, 5), (4, 0, 6)):
        with pytest.raises(GridError):
            grid_of(atoms, wrong)
    with pytest.raises(ModelError, match=r"does not tell the spacing.*--grid"):
        choose_grid(atoms, replace(model, spacing=None), None)


def moved(atoms: Atoms, by: float) -> Atoms:
    atoms.positions[0, 0] += by
    return atoms


def test_a_run_is_known_by_what_decides_on_its_numbers_and_by_nothing_else(model: LDOSModel) -> None:
    def print_of(atoms: Atoms | None = None, its: LDOSModel = model, **options: Any) -> dict[str, object]:
        return setup(atoms or be_atoms(), its, **{"grid": GRID, **options}).fingerprint()

    first = print_of()
    assert first == print_of() == print_of(chunks=(4, 4, 4)) == print_of(device="cpu") == print_of(forces=True)
    # No field of the blocks: a stopped run may go on with or without them.
    assert print_of(keep="force_terms", stress=True) == first
    others = [
        print_of(moved(be_atoms(), 1e-12)),
        print_of(its=tiny_model(seed=1)),
        print_of(grid=(10, 12, 16)),
        print_of(temperature=2001.0),
        print_of(density_cutoff=399.0),
        print_of(broadening_correction="off"),
        print_of(precision="float64"),
        print_of(backend="torch"),
        print_of(keep="ldos"),
    ]
    assert all(sum(first[k] != other[k] for k in first) >= 1 for other in others)


def test_other_atoms_are_not_told_of_as_another_model(model: LDOSModel) -> None:
    given = replace(model, energy_zero={"Be": 12.5})
    other = be_atoms() * (2, 1, 1)
    first, second = (setup(a, given, grid=GRID).fingerprint() for a in (be_atoms(), other))
    assert first["atoms"] != second["atoms"] and first["model"] == second["model"]


def test_a_zero_of_energy_moves_the_models_energies_and_not_its_hash(model: LDOSModel) -> None:
    c = 12.5
    given = replace(model, energy_zero={"Be": c})
    ready = setup(be_atoms(), given, grid=GRID)
    assert ready.zero == pytest.approx(2 * c / be_atoms().get_volume())
    assert ready.model.energy_grid.origin == pytest.approx(model.energy_grid.origin + ready.zero)
    assert ready.model_hash == given.content_hash and ready.given is given
    assert setup(be_atoms(), model, grid=GRID).zero == 0


def test_projections_are_needed_where_the_density_channel_alone_does_not_do(model: LDOSModel) -> None:
    with_channel = with_density_channel(model)
    assert not setup(be_atoms(), with_channel, grid=GRID).needs_modes
    assert setup(be_atoms(), with_channel, grid=GRID, temperature=[2000.0, 300.0]).needs_modes
    assert setup(be_atoms(), with_channel, grid=GRID, temperature=300.0).needs_modes
    assert setup(be_atoms(), model, grid=GRID).needs_modes


def test_pseudopotentials_complete_what_the_model_does_not_tell(model: LDOSModel) -> None:
    bare = replace(model, elements={"Be": replace(be_element(), pseudopotential="", core_density=None)})
    given = setup(be_atoms(), bare, grid=GRID, pseudopotentials={"Be": be_element()})
    assert given.given.elements["Be"].core_density is not None and given.system.has_core
    assert given.model_hash == given.given.content_hash  # what is kept is what was used


def test_notes_are_warned_of_in_a_library_call_and_told_to_an_observer() -> None:
    heard = Listener()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        announce(["one", "two"], heard)
    assert heard.notes == ["one", "two"]
    with pytest.warns(UserWarning, match="one"):
        announce(["one"], None)


def test_of_a_results_notes_only_those_that_were_not_told_before_are_news(model: LDOSModel) -> None:
    ready = setup(be_atoms(), model, grid=GRID)
    ready = replace(ready, system=replace(ready.system, notes=("told",)))
    result = Prediction(xr.Dataset(attrs={"notes": ["told", "new"]}), Path("a.zarr"))
    assert later_notes(result, ready) == ["new"]


@pytest.mark.parametrize("repeat", [(2, 2, 1), (3, 3, 2), (4, 4, 2)])
def test_the_default_grid_of_a_strained_cell_holds_the_density_cutoff(repeat: tuple[int, int, int]) -> None:
    """Cells that the spacing alone leaves short by a point or two, which was named at a new user's first prediction."""
    known, atoms = load_model("be-1000K"), ase.io.read(HELD_OUT).repeat(repeat)
    assert known.spacing is not None and known.density_cutoff is not None
    spaced, grid = Grid.from_spacing(atoms.cell.array, known.spacing), choose_grid(atoms, known, None)
    assert SHORT * largest_cutoff(spaced) < known.density_cutoff <= SHORT * largest_cutoff(grid)
    assert grid.n_points < 1.05 * spaced.n_points
    # Of a training on a much coarser grid than its cutoff the spacing is kept, and a note tells of the cutoff.
    assert choose_grid(atoms, replace(known, density_cutoff=2 * known.density_cutoff), None) == spaced
