"""All of a store held against its digests: each kind of damage by name, stores without digests as far as can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

from maladist.datasets.integrity import verify, verify_chunks
from maladist.errors import StoreError
from maladist.io import datasets, stores
from maladist.io.stores import field_template
from tests.conftest import changeable


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of one snapshot with a field of 200 chunks and a reference."""
    datasets.open_data_set(tmp_path / "d.zarr")
    group = datasets.snapshot_path(tmp_path / "d.zarr", "a")
    store = stores.create(group, {"density": field_template("density", (200, 2, 2), (1, 2, 2))}, {})
    stores.write_region(store, "density", (), np.random.default_rng(0).random((200, 2, 2)))
    datasets.copy_reference(store, {"converged": True}, {"ewald_eV": ((), np.array(0.0), "eV")})
    stores.finish(store)
    return tmp_path / "d.zarr"


def test_a_whole_data_set_is_as_it_was_written(data: Path, client: Client) -> None:
    found = {one.name: one for one in verify(data, client)}
    assert set(found) == {"snapshots/a/density", "snapshots/a/reference/ewald_eV"}
    density = found["snapshots/a/density"]
    on_disk = sum(p.stat().st_size for p in (data / "snapshots/a/density/c").rglob("*") if p.is_file())
    assert (density.chunks, density.size, density.sealed, density.damage) == (200, on_disk, True, ())


@pytest.mark.parametrize("how", ["lost", "garbled", "changed"])
def test_damage_is_told_by_array_and_chunk(data: Path, how: str, client: Client) -> None:
    files = [data / "snapshots/a/density/c" / str(i) / "0/0" for i in (3, 150)]
    content = [f.read_bytes() for f in files]
    if how == "lost":
        files[1].unlink()
    elif how == "garbled":
        files[1].write_bytes(content[1][:-9] + b"x" + content[1][-8:])
    else:  # whole chunks at each other's place
        files[0].write_bytes(content[1]), files[1].write_bytes(content[0])
    found = {one.name: one.damage for one in verify(data, client)}
    wanted = "chunks are not those that were written" if how == "changed" else f"chunk 150, 0, 0 is {how}"
    assert found == {"snapshots/a/density": (wanted,), "snapshots/a/reference/ewald_eV": ()}


def test_a_task_reads_its_own_chunks_once_and_no_others(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    read = Path.open

    def noted(path: Path, *how: Any, **more: Any) -> Any:
        opened.append(str(path))
        return read(path, *how, **more)

    monkeypatch.setattr(Path, "open", noted)
    array = data / "snapshots/a/density"
    assert not verify_chunks(str(array), 100, 103, sealed=True).damage
    assert [f for f in opened if "/c/" in f] == [str(array / "c" / str(i) / "0/0") for i in (100, 101, 102)]


def test_changed_metadata_and_attributes_are_told(data: Path, client: Client) -> None:
    group = data / "snapshots/a"
    stores.set_attributes(group, {"temperature_K": 1.0})
    with pytest.raises(StoreError, match="attributes"):
        verify(data, client)
    with pytest.raises(StoreError, match="not a zarr store"):
        verify(data / "snapshots/a/density", client)


def test_what_has_no_digest_is_decoded(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    group = changeable(small_data_set / "snapshots/train-0", tmp_path / "a.zarr")
    found = {one.name: one for one in verify(group, client)}
    assert not found["ldos"].sealed and not any(one.damage for one in found.values())
    chunk = next(p for p in (group / "ldos/c").rglob("*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:100])
    (damage,) = verify_chunks(str(group / "ldos"), 0, 10**6, sealed=False).damage
    assert "cannot be read" in damage and "\n" not in damage
