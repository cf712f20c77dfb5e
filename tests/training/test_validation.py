"""Validation: what a network that gives exactly the data is told, and what the data do not tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from maladist.datasets.snapshots import Snapshot, find_snapshots
from maladist.io import stores
from maladist.io.samples import write_rows
from maladist.learning.loss import LDOSLoss, LossConfig
from maladist.learning.outputs import Outputs
from maladist.learning.scaling import Scaler
from maladist.physics.fermi import fermi_states
from maladist.training.samples import Chunk
from maladist.training.validation import SnapshotErrors, Validated, Validation, told


@pytest.fixture(scope="module")
def snapshot(small_data_set: Path) -> Snapshot:
    (found,) = find_snapshots([str(small_data_set / "snapshots/valid-0")], "data")
    return found


Make = Callable[..., tuple[Any, Validation]]


@pytest.fixture
def made(snapshot: Snapshot, tmp_path: Path) -> Make:
    """A network whose descriptors are the LDOS itself: it gives ``spoil`` of it; and a validation on some points."""

    def make(every: int = 1, spoil: Callable[[torch.Tensor], torch.Tensor] = lambda d: d, **more: Any) -> Any:
        one = replace(snapshot, **more)
        grid, (block,) = one.system.grid, one.system.grid.blocks(one.system.grid.shape)
        ldos = stores.read_region(one.path, "ldos", block.slices).reshape(grid.n_points, -1)[::every]
        for name in "ft":
            write_rows(tmp_path / f"{name}.npy", ldos)
        chunk = Chunk(0, len(ldos), one.path, block, ("ldos",), str(tmp_path / "f.npy"), str(tmp_path / "t.npy"))
        sensitivity = one.sensitivity(correction=False)
        loss = LDOSLoss(
            LossConfig(ldos=1.0, mean_band=1.0),
            [] if sensitivity is None else [sensitivity],
            one.energies,
            Outputs(Scaler("none", False), None),
            correction=False,
        )
        model = SimpleNamespace(
            energy_grid=one.energies,
            device=torch.device("cpu"),
            has_density_channel=False,
            fields=lambda x: (spoil(x), None),
        )
        return model, Validation([one], [chunk], loss, False, {})

    return make


def own_error(snapshot: Snapshot) -> float:
    """E_b of the data's own D(ε) less the DFT's, meV/atom."""
    system = replace(snapshot.system, correction=False)
    dos = torch.as_tensor(snapshot.dos)
    (state,) = fermi_states(dos, snapshot.energies, system)
    assert system.n_electrons is not None
    band = state.band_energy(dos, system.n_electrons)
    return 1e3 * (band - snapshot.terms["band_energy_eV"]) / system.n_atoms


@pytest.mark.parametrize("every", [1, 7])
def test_a_network_that_gives_the_data_has_their_own_error_of_the_band_energy(
    made: Make, snapshot: Snapshot, every: int
) -> None:
    """Whether it is asked at all points or at some: what the sampling misses is the same in both and drops out."""
    model, validation = made(every)
    validated = validation(model)
    assert validated.loss == 0.0
    # The LDOS on disk is float32, its D(ε) float64: 1e-7 of a band energy of some 10 eV/atom.
    assert validated.snapshots[0].band_energy == pytest.approx(own_error(snapshot), abs=0.01)
    assert validated.snapshots[0].band_energy_from_data == pytest.approx(0.0, abs=0.01)


def test_of_some_points_neither_the_density_nor_the_total_energy_is_told(made: Make) -> None:
    model, validation = made(7)
    (errors,) = validation(model).snapshots
    assert errors.band_energy is not None and errors.density is None and errors.total_energy is None


def test_a_network_that_is_off_by_a_share_has_that_share_of_the_density_wrong(made: Make) -> None:
    """μ moves to keep N, so of one per cent less LDOS everywhere hardly anything is left of the density's error."""
    exact, _ = made(1)
    less, validation = made(1, lambda d: 0.99 * d)
    one, other = (validation(m).snapshots[0].density for m in (exact, less))
    assert one is not None and other is not None
    assert abs(other - one) < 0.01


def test_a_network_without_a_fermi_level_is_infinitely_wrong(made: Make) -> None:
    model, validation = made(1, torch.zeros_like)
    validated = validation(model)
    assert validated.snapshots[0].band_energy == math.inf
    assert validated.metric("band_energy") == math.inf


def test_a_snapshot_without_a_number_of_electrons_has_a_loss_and_no_energies(made: Make, snapshot: Snapshot) -> None:
    system = replace(snapshot.system, n_electrons=None)
    _, validation = made(1)
    bare = replace(validation, snapshots=[replace(snapshot, system=system)])
    model, _ = made(1)
    assert bare(model).snapshots == (SnapshotErrors(snapshot.name),)


def test_a_mean_is_known_only_where_every_snapshot_has_a_value() -> None:
    both = Validated(1.0, (SnapshotErrors("a", 3.0), SnapshotErrors("b", -5.0)))
    assert both.mean("band_energy") == 4.0 and both.mean("density") is None
    assert both.metric("density") == math.inf
    assert Validated(math.nan, ()).metric("loss") == math.inf  # never better than what came before
    assert "density" not in str(both) and "|ΔE_b| 4.0 meV/atom" in str(both)
    some = Validated(1.0, (*both.snapshots, SnapshotErrors("c")))
    assert some.mean("band_energy") is None
    assert np.isfinite(list(some.to_dict().values())).all()


BOTH = SnapshotErrors("a", 10.0, -20.0, 0.01, 8.0, -23.0, 2.0, 3.0)


def test_both_comparisons_and_the_datas_own_error_are_in_line_and_table() -> None:
    found = Validated(0.5, (BOTH, SnapshotErrors("b", -10.0, 20.0, 0.01, -12.0, 17.0, 2.0, 3.0)))
    assert str(found) == (
        "validation loss 0.5, |ΔE_b| 10.0 meV/atom (from the data's LDOS 10.0, which is off by 2.0),"
        " |ΔA| 20.0 meV/atom (from the data's LDOS 20.0, which is off by 3.0), |Δn|/n 1.00%"
    )
    assert found.to_dict()["total_energy_from_data_meV_per_atom"] == 20.0
    assert found.to_dict()["band_energy_of_data_meV_per_atom"] == 2.0
    assert found.metric("band_energy_from_data") == 10.0
    assert told(found.to_dict()) == str(found)


def test_without_energies_of_the_dft_the_datas_ldos_is_still_compared_with() -> None:
    found = Validated(0.5, (SnapshotErrors("a", band_energy_from_data=8.0),))
    assert str(found) == "validation loss 0.5, |ΔE_b| from the data's LDOS 8.0 meV/atom"
    assert found.metric("band_energy") == math.inf


@pytest.mark.parametrize("other", [SnapshotErrors("b"), SnapshotErrors("b", *5 * [math.inf])])
def test_what_one_snapshot_lacks_is_no_number_of_all(other: SnapshotErrors) -> None:
    found = Validated(0.5, (BOTH, other))
    assert found.to_dict() == {"validation_loss": 0.5}
    assert str(found).startswith("validation loss 0.5")
