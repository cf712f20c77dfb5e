"""The potential of the double counting for the loss: the constants that make its first order right, and its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from maladist.datasets.snapshots import Snapshot, find_snapshots
from maladist.errors import InputError
from maladist.io import stores
from maladist.io.qe.upf import read_pseudopotentials
from maladist.physics.fermi import fermi_weights
from maladist.training.potential import density_by_fermi_level, potentials, write_potential


@pytest.fixture(scope="module")
def snapshot(small_data_set: Path, own_data: Path) -> Snapshot:
    (found,) = find_snapshots([str(small_data_set / "snapshots/train-0")], "data")
    elements = read_pseudopotentials(own_data / "pseudopotentials")
    return replace(found, system=replace(found.system, elements=elements))


def test_the_slope_of_the_density_integrates_to_that_of_the_number_of_electrons(snapshot: Snapshot) -> None:
    felt = snapshot.sensitivity(correction=False)
    assert felt is not None
    slope = density_by_fermi_level(snapshot, felt, False)
    assert slope.shape == snapshot.system.grid.shape
    step, number = 1e-3, []
    for s in (step, -step):
        weights = fermi_weights(snapshot.energies, felt.fermi_energy + s, felt.temperature, correction=False)
        number.append(float(weights.number @ torch.as_tensor(snapshot.dos)))
    by_dos = (number[0] - number[1]) / (2 * step)
    assert by_dos > 0
    # Float32 LDOS against the float64 D(ε) that was made of it.
    assert float(slope.sum()) * snapshot.system.grid.voxel_volume == pytest.approx(by_dos, rel=1e-5)


@pytest.mark.parametrize("channel", [True, False])
def test_what_the_number_of_electrons_fixes_has_no_part_in_the_potential(
    snapshot: Snapshot, channel: bool, tmp_path: Path
) -> None:
    """u is given up to a constant: no first-order effect of scaling the density, or of moving μ."""
    felt = snapshot.sensitivity(correction=False)
    assert felt is not None
    write_potential(snapshot, str(tmp_path / "u.npy"), felt, False, channel)
    u = np.load(tmp_path / "u.npy").astype(float)
    density = stores.open_array(snapshot.path, "density", "r")[...]
    weight = density if channel else density_by_fermi_level(snapshot, felt, False).numpy()
    assert abs((u * weight).sum()) < 1e-5 * (np.abs(u) * weight).sum()  # u is kept in float32
    assert u.std() > 0.1  # eV


def test_in_a_gap_only_the_scale_of_the_density_is_fixed(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """∂n/∂μ is noise of both signs there, and a mean with it anything."""
    felt = snapshot.sensitivity(correction=False)
    assert felt is not None
    noise = 1e-12 * torch.randn(snapshot.system.grid.shape, dtype=torch.float64)
    monkeypatch.setattr("maladist.training.potential.density_by_fermi_level", lambda *_: noise)
    write_potential(snapshot, str(tmp_path / "gap.npy"), felt, False, False)
    write_potential(snapshot, str(tmp_path / "channel.npy"), felt, False, True)
    np.testing.assert_array_equal(np.load(tmp_path / "gap.npy"), np.load(tmp_path / "channel.npy"))


def test_a_snapshot_that_lacks_what_u_needs_is_named(snapshot: Snapshot, tmp_path: Path) -> None:
    bare = replace(snapshot, has_density=False)
    with pytest.raises(InputError, match=r"loss\.mean_total: train-0 without a density, pseudopotentials"):
        potentials([bare], {}, tmp_path, None, correction=False, channel=True)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_other_pseudopotentials_and_another_correction_have_files_of_their_own(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maladist.parallel.waves.in_order", lambda *_, **__: [])
    elements, bare = snapshot.system.elements, replace(snapshot, system=replace(snapshot.system, elements={}))
    others = {s: replace(e, sha256="0" * 64) for s, e in elements.items()}

    def file(**how: object) -> str:
        options = {"elements": elements, "correction": False, "channel": True, **how}
        (one,) = potentials([bare], folder=tmp_path, client=None, **options)  # type: ignore[arg-type]
        return one.potential

    assert len({file(), file(elements=others), file(correction=True), file(channel=False)}) == 4
    assert file() == file()
