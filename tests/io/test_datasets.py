"""Data sets of snapshots: names, what counts as finished, and what all of a data set's calculations share."""

from __future__ import annotations

from pathlib import Path

import pytest

from maladist.errors import StoreError
from maladist.io import datasets, stores
from maladist.io.opening import open_dataset


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "", "a b", "ä/.."])
def test_a_name_that_would_leave_its_place_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="letters, digits"):
        datasets.snapshot_path(tmp_path, name)


def test_a_data_set_is_made_once_and_what_is_there_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "d.zarr"
    datasets.open_data_set(path)
    made = (path / "zarr.json").stat().st_mtime_ns
    datasets.open_data_set(path)
    assert (path / "zarr.json").stat().st_mtime_ns == made
    (tmp_path / "mine").mkdir()
    with pytest.raises(StoreError, match="exists and is not a data set"):
        datasets.open_data_set(tmp_path / "mine")
    assert not list((tmp_path / "mine").iterdir())


def test_only_finished_snapshots_count(tmp_path: Path) -> None:
    path = tmp_path / "d.zarr"
    datasets.open_data_set(path)
    with pytest.raises(StoreError, match="no finished snapshot"):
        datasets.snapshot_groups(path)
    groups = [datasets.snapshot_path(path, name) for name in ("b", "a", "unfinished")]
    for group in groups:
        store = stores.create(group, {}, {})
        if group.name != "unfinished":
            stores.finish(store)
    assert [g.name for g in datasets.snapshot_groups(path)] == ["a", "b"]
    assert datasets.snapshot_groups(groups[0]) == [groups[0]]
    with pytest.raises(StoreError, match="is not a zarr store"):
        datasets.snapshot_groups(tmp_path)


def test_a_snapshot_without_a_reference_tells_no_terms(tmp_path: Path) -> None:
    assert datasets.read_reference(tmp_path) is None
    assert datasets.reference_terms(None) == {}


def test_a_snapshot_tells_the_fermi_level_of_its_dft_and_data_their_own(small_data_set: Path) -> None:
    """Asked for the work function of a snapshot's potential, it was said that the data hold none."""
    (group, *_) = datasets.snapshot_groups(small_data_set)
    snapshot = open_dataset(group)
    known = datasets.reference_terms(datasets.read_reference(group))["fermi_energy_eV"]
    assert datasets.told_fermi_energy(snapshot) == known
    assert datasets.told_fermi_energy(snapshot.assign(fermi_energy_eV=1.5)) == 1.5
    snapshot.encoding.pop("source")
    assert datasets.told_fermi_energy(snapshot) is None
    with pytest.raises(StoreError, match=r"2 temperatures.*sel\(temperature"):
        datasets.told_fermi_energy(snapshot.assign(fermi_energy_eV=("temperature", [1.0, 2.0])))


def test_what_was_proposed_is_kept_and_added_to(tmp_path: Path) -> None:
    path = tmp_path / "d.zarr"
    assert datasets.proposed(path) == {}
    datasets.open_data_set(path)
    datasets.keep_proposed(path, {})
    datasets.keep_proposed(path, {"kpoints": {"8": [4, 4, 6]}})
    datasets.keep_proposed(path, {"energies": {"origin": -4.0}})
    assert datasets.proposed(path) == {"kpoints": {"8": [4, 4, 6]}, "energies": {"origin": -4.0}}
