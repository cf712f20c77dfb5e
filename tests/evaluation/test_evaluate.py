"""A model held against data whose errors are known: its own predictions, whole or spoilt by a known bit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from maladist import LDOSModel, evaluate, predict
from maladist.arrays import Array
from maladist.errors import InputError, PhysicsError
from maladist.io import stores
from maladist.io.opening import open_dataset
from maladist.prediction.passes import Run
from maladist.prediction.pilot import first_window
from maladist.testing import Listener, be_atoms
from tests.evaluation.common import GRID, as_snapshot

SINGLE = 1e-7  # the LDOS is kept in float32


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_the_model_itself_predicts_has_no_errors(
    made: Callable[..., Path], model: LDOSModel, client: Client
) -> None:
    (one,) = evaluate(model, made(), client=client)
    assert one.n_atoms == 2
    assert one.ldos_rmse < SINGLE
    assert one.dos_relative < SINGLE
    assert max(map(abs, one.data_error.values())) < 1e-9  # the model's own LDOS gives the model's energies
    assert one.from_data == pytest.approx({name: one.terms[name] for name in one.data_error}, abs=1e-6)
    assert one.density_relative is not None and one.density_relative < 1e-12
    assert one.electrons is not None and abs(one.electrons) < 1e-9
    assert set(one.terms) >= {"band_energy", "entropy_contribution", "hartree", "xc", "ewald", "total_free_energy"}
    assert max(map(abs, one.terms.values())) < 1e-6


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_forces_and_stress_are_compared_where_the_data_hold_them(
    model: LDOSModel, client: Client, tmp_path: Path
) -> None:
    found = predict(
        be_atoms(), model, grid=GRID, store=tmp_path / "a.zarr", keep=("ldos",), client=client, forces=True, stress=True
    )
    assert found.forces is not None and found.stress is not None
    group = as_snapshot(found)
    off = np.array([[0.1, 0.0, 0.0], [0.0, 0.0, 0.0]])
    stores.write_values(
        group,
        {
            "reference/forces": (("atom", "xyz"), found.forces - off, "eV/Å"),
            "reference/stress": (("voigt",), found.stress - 0.02, "eV/Å^3"),
        },
    )
    stores.seal(group, "reference")
    heard = Listener()
    (one,) = evaluate(model, group, client=client, observer=heard)
    (told,) = heard.notes
    assert "at a fixed number of plane waves" in told and one.stress_against == "stress"
    errors = one.force_errors
    assert errors["forces_rmse_eV_per_A"] == pytest.approx(0.1 / 6**0.5, rel=1e-6)
    assert errors["forces_worst_eV_per_A"] == pytest.approx(0.1, rel=1e-6)
    assert errors["forces_relative"] == pytest.approx(
        errors["forces_rmse_eV_per_A"] / np.sqrt(np.mean((found.forces - off) ** 2)), rel=1e-6
    )
    assert one.stress_error == pytest.approx(0.02, rel=1e-6)
    assert json.loads(json.dumps(one.to_dict()))["errors"]["stress_rmse_eV_per_A3"] == pytest.approx(0.02)
    (without,) = evaluate(model, group, client=client, forces=False)
    assert without.forces is None and without.force_errors == {} and without.terms == pytest.approx(one.terms)


def test_the_stress_at_a_fixed_cutoff_is_compared_where_the_data_hold_it(
    made: Callable[..., Path], model: LDOSModel, client: Client
) -> None:
    """A data set that was begun before there was such a stress has both kinds."""
    labels = {"stress": np.full(6, 9.0), "stress_fixed_cutoff": np.full(6, 0.5)}
    group, older = made("a"), made("b")
    for where, held in ((group, labels), (older, {"stress": labels["stress"]})):
        stores.write_values(where, {f"reference/{n}": (("voigt",), v, "eV/Å^3") for n, v in held.items()})
        stores.seal(where, "reference")
    heard = Listener()
    (one,) = evaluate(model, group, client=client, observer=heard)
    assert one.reference_stress == [0.5] * 6 and one.stress_against == "stress_fixed_cutoff"
    assert not heard.notes
    both = evaluate(model, [group, older], client=client, observer=heard)
    assert [found.stress_against for found in both] == ["stress_fixed_cutoff", "stress"]
    (told,) = heard.notes
    assert "the stress of 1 of 2 snapshots is that at a fixed number" in told


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("where", ["run.check_stationary", "forces.check_slope"])
def test_a_model_whose_forces_are_refused_is_compared_without_and_says_so(
    where: str, made: Callable[..., Path], model: LDOSModel, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks are computed once, nothing stays on the disk, and the reason is told."""
    group = made()
    stores.write_values(group, {"reference/forces": (("atom", "xyz"), np.zeros((2, 3)), "eV/Å")})
    stores.seal(group, "reference")
    begun: list[Path] = []

    def refuse(*_: object) -> None:
        raise PhysicsError("forces", "a gap", "no gap")

    def counted(run: Run) -> Array:
        begun.append(Path(run.path))
        return first_window(run)

    monkeypatch.setattr(f"maladist.prediction.{where}", refuse)
    monkeypatch.setattr("maladist.prediction.run.first_window", counted)
    heard = Listener()
    (one,) = evaluate(model, group, client=client, observer=heard)
    assert one.forces is None and one.forces_refused == "forces: a gap; wanted no gap."
    assert heard.notes == ["a.zarr: no forces and stress are compared: forces: a gap; wanted no gap."]
    (store,) = begun
    assert not store.exists()
    (without,) = evaluate(model, group, client=client, forces=False)
    assert not without.forces_refused and without.figures() == one.figures()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_known_perturbation_gives_the_known_errors(
    made: Callable[..., Path], model: LDOSModel, client: Client
) -> None:
    """All energies 0.01 eV too high in the DFT, its LDOS scaled by 1.1 and its density by 1.02."""
    path = made(shift=0.01)
    stored = open_dataset(path)
    ldos, density = stored["ldos"].values, stored["density"].values
    stores.write_region(path, "ldos", (), 1.1 * ldos)
    stores.write_region(path, "density", (), 1.02 * density)
    stores.seal(path)
    (one,) = evaluate(model, path, client=client)
    assert one.terms == pytest.approx(dict.fromkeys(one.terms, -5.0), abs=1e-6)  # of two atoms
    assert one.fermi_level == pytest.approx(-10.0, abs=1e-6)
    assert one.ldos_mae == pytest.approx(0.1 * np.abs(ldos).mean(), rel=1e-5)
    assert one.ldos_rmse == pytest.approx(0.1 * math.sqrt((ldos.astype(float) ** 2).mean()), rel=1e-5)
    assert one.dos_relative == pytest.approx(0.1 / 1.1, rel=1e-5)
    assert one.density_relative == pytest.approx(0.02 / 1.02, rel=1e-9)
    assert one.density_percentage == pytest.approx(100 * 0.02 / 1.02, rel=1e-9)
    assert one.density_mae == pytest.approx(0.02 * density.mean(), rel=1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_datas_own_error_stands_beside_the_models(
    made: Callable[..., Path], model: LDOSModel, client: Client
) -> None:
    """A DFT with energies 0.01 eV above those of its LDOS, which is the model's: there is only the data's error."""
    (one,) = evaluate(model, made(shift=0.01), client=client)
    assert one.data_error["band_energy"] == pytest.approx(-0.005, abs=1e-9)  # of two atoms
    assert one.data_error["total_free_energy"] == pytest.approx(-0.01, abs=1e-9)  # E_b and −TS, both moved
    assert one.from_data["band_energy"] == pytest.approx(0.0, abs=1e-5)
    assert one.figures()["band_energy_of_data_meV_per_atom"] == pytest.approx(-5.0, abs=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_model_with_a_zero_of_energy_is_compared_in_the_energies_of_the_data(
    made: Callable[..., Path], model: LDOSModel, client: Client
) -> None:
    """c/Ω of whole levels: the model's energies are the data's in this cell, and nothing else changes."""
    path, levels = made(), 3
    grid, atoms = model.energy_grid, be_atoms()
    c = levels * grid.spacing * atoms.get_volume() / 2
    moved = replace(model, energy_grid=replace(grid, origin=grid.origin - levels * grid.spacing), energy_zero={"Be": c})
    (one,) = evaluate(moved, path, client=client)
    assert one.ldos_rmse < 1e-5  # the cubature of the spline, of an LDOS of order 1
    assert abs(one.terms["band_energy"]) < 1e-3


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_data_that_the_model_cannot_be_held_against_are_refused_in_a_line(
    made: Callable[..., Path], model: LDOSModel, client: Client, tmp_path: Path
) -> None:
    path = made("x", without="band_energy_eV")
    with pytest.raises(InputError, match="without reference energies"):
        evaluate(model, path, client=client)
    other = made("y")
    grid = model.energy_grid
    with pytest.raises(InputError, match="with the energies"):
        evaluate(replace(model, energy_grid=replace(grid, origin=grid.origin + 0.1)), other, client=client)
    with pytest.raises(InputError, match="assume_isolated = none; wanted 2D, as the model's training had"):
        evaluate(replace(model, assume_isolated="2D"), other, client=client)
    known = replace(model.elements["Be"], symbol="Al")
    with pytest.raises(InputError, match="with Be"):
        evaluate(replace(model, elements={"Al": known}, descriptor=model.descriptor), other, client=client)
    with pytest.raises(InputError, match="matches nothing"):
        evaluate(model, tmp_path / "absent-*", client=client)
