"""Aligned snapshots share one axis, and what the DFT said of them moves along, so that `check` still holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from distributed import Client

from maladist.datasets.align import align, lower_edge
from maladist.datasets.check import Tolerances, check
from maladist.energy_grid import EnergyGrid
from maladist.errors import EnergyWindowError, InputError, StoreError
from maladist.io.datasets import read_reference, reference_terms, snapshot_path
from maladist.io.opening import open_dataset
from maladist.testing import Listener
from tests.conftest import changeable

NAMES = ("train-0", "train-1")
OFFSET = 2.37  # eV, no multiple of the spacing of 0.3 eV


@pytest.fixture(scope="module")
def apart(small_data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two snapshots, the second with another zero of its energies and without its three lowest levels."""
    path = tmp_path_factory.mktemp("apart") / "d.zarr"
    changeable(small_data_set, path)
    for group in (path / "snapshots").iterdir():
        if group.is_dir() and group.name not in NAMES:
            shutil.rmtree(group)
    group = zarr.open_group(str(snapshot_path(path, "train-1")))
    n = 4.0
    for name in ("energy", "ldos", "dos"):
        old = group[name]
        values = np.asarray(old[...])[..., 3:] + (OFFSET if name == "energy" else 0)
        dims, facts = old.metadata.dimension_names, dict(old.attrs)
        chunks = (*old.chunks[:-1], values.shape[-1])
        group.create_array(name, data=values, chunks=chunks, dimension_names=dims, attributes=facts, overwrite=True)
    group.attrs["energy_levels"] = group["energy"].shape[0]
    for name, moved in {"eigenvalue": OFFSET, "fermi_energy_eV": OFFSET}.items():
        group[f"reference/{name}"][...] = np.asarray(group[f"reference/{name}"][...]) + moved
    for name in ("band_energy_eV", "total_free_energy_eV"):
        group[f"reference/{name}"][...] = np.asarray(group[f"reference/{name}"][...]) + n * OFFSET
    return path


@pytest.mark.parametrize("reference", ["edge", "fermi"])
def test_whole_levels_leave_the_ldos_and_its_energies_as_they_were(
    apart: Path, tmp_path: Path, own_data: Path, client: Client, reference: str
) -> None:
    output = tmp_path / "a.zarr"
    aligned = align([apart], output, reference=reference, client=client)
    axes = [open_dataset(snapshot_path(output, n)).energy.values for n in NAMES]
    np.testing.assert_array_equal(*axes)
    for one in aligned:
        old, new = (open_dataset(snapshot_path(p, one.name)) for p in (apart, output))
        below, above = one.dropped
        kept = slice(below, old.sizes["energy"] - above)
        np.testing.assert_array_equal(new.ldos.values, old.ldos.values[..., kept])
        np.testing.assert_array_equal(new.dos.values, old.dos.values[kept])
        np.testing.assert_array_equal(new.density.values, old.density.values)
        np.testing.assert_allclose(new.energy.values, old.energy.values[kept] - one.shift, atol=1e-10)
        assert new.attrs["energy_shift_eV"] == one.shift and abs(one.remainder) <= 0.15 + 1e-9
        was, now = (reference_terms(read_reference(snapshot_path(p, one.name))) for p in (apart, output))
        assert now["band_energy_eV"] - was["band_energy_eV"] == pytest.approx(-4 * one.shift, abs=1e-10)
        assert now["fermi_energy_eV"] - was["fermi_energy_eV"] == pytest.approx(-one.shift, abs=1e-12)
        assert now["hartree_eV"] == was["hartree_eV"]
        if reference == "fermi":
            assert now["fermi_energy_eV"] == pytest.approx(one.remainder, abs=1e-9)
    limits = Tolerances(energy=1.0, density=1e-3)
    found = check(output, pseudopotentials=own_data / "pseudopotentials", tolerances=limits, client=client)
    assert all(one.good for one in found)


def test_interpolation_puts_the_reference_at_zero_and_keeps_the_energies(
    apart: Path, tmp_path: Path, own_data: Path, client: Client
) -> None:
    output = tmp_path / "a.zarr"
    aligned = align([apart], output, reference="fermi", interpolate=True, client=client)
    assert [one.remainder for one in aligned] == [0, 0]
    for name in NAMES:
        terms = reference_terms(read_reference(snapshot_path(output, name)))
        assert terms["fermi_energy_eV"] == pytest.approx(0, abs=1e-12)
    # Splines over samples of 0.3 eV with δ = 0.4 eV are good to a few meV/atom, not better.
    limits = Tolerances(energy=5.0, density=3e-3)
    found = check(output, pseudopotentials=own_data / "pseudopotentials", tolerances=limits, client=client)
    assert all(one.good for one in found)


def test_a_window_is_cut_and_one_that_is_short_is_told_of(apart: Path, tmp_path: Path, client: Client) -> None:
    heard = Listener()
    align([apart], tmp_path / "a.zarr", reference="fermi", window=(-12.0, 2.0), client=client, observer=heard)
    energies = open_dataset(snapshot_path(tmp_path / "a.zarr", "train-1")).energy.values
    assert (energies[0], energies[-1]) == (pytest.approx(-12.0), pytest.approx(1.8))
    assert len(heard.notes) == 2 and "the common window ends at 1.80 eV" in heard.notes[0]
    assert heard.stages == [("snapshots", len(heard.tasks), 0)] and heard.tasks[0].name == "train-0"
    with pytest.raises(EnergyWindowError, match="window"):
        align([apart], tmp_path / "b.zarr", window=(-30.0, 2.0), client=client)
    assert not (tmp_path / "b.zarr").exists()


def test_the_lower_edge_is_where_the_dos_exceeds_the_threshold() -> None:
    grid = EnergyGrid(-2.0, 0.5, 9)
    dos = np.array([0, 0, 0, 0.5, 1.0, 2, 4, 5, 10.0])
    assert lower_edge(dos, grid, 0.02) == pytest.approx(-0.8)  # 0.2 lies two fifths of the way from -1.0 to -0.5
    with pytest.raises(EnergyWindowError, match="already"):
        lower_edge(dos[4:], grid, 0.02)


def test_what_cannot_share_an_axis_is_refused(apart: Path, tmp_path: Path, client: Client) -> None:
    with pytest.raises(InputError, match="train-0 comes twice"):
        align([apart, apart], tmp_path / "a.zarr", client=client)
    other = tmp_path / "other.zarr"
    shutil.copytree(apart, other)
    (other / "snapshots/train-0").rename(other / "snapshots/wide")
    shutil.rmtree(other / "snapshots/train-1")
    zarr.open_group(str(other / "snapshots/wide")).attrs["broadening_width_eV"] = 0.5
    with pytest.raises(InputError, match=r"wide is broadened by gaussian 0\.5 eV"):
        align([apart, other], tmp_path / "a.zarr", client=client)
    with pytest.raises(StoreError, match="exists"):
        align([apart], other, client=client)
