"""Many cells through one cluster: each gets what it would get alone, bad ones are named, finished ones are kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from distributed import Client

import maladist
from maladist import LDOSModel, Prediction
from maladist.cluster import cluster
from maladist.errors import BlockError, InputError, StoreError
from maladist.io import stores
from maladist.io.model_file import load_model, save_model
from maladist.physics.energies import TERMS
from maladist.prediction import many
from maladist.prediction.many import Frame
from maladist.testing import Listener, assert_identical, be_atoms, tiny_model, with_accident

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")

CUT = {"chunks": (7, 7, 10), "backend": "torch"}


@pytest.fixture(scope="module")
def workers() -> Iterator[Client]:
    """Two processes that know of accidents."""
    with cluster({"kind": "local", "preload": "maladist.testing"}, workers=2) as client:
        yield client


def frames(n: int) -> list[Any]:
    """A short walk."""
    every = [be_atoms() for _ in range(n)]
    for i, atoms in enumerate(every):
        atoms.positions[0, 2] += 0.02 * i
    return every


@pytest.mark.slow
def test_many_frames_give_what_each_gives_and_share_the_queue(workers: Client, tmp_path: Path) -> None:
    model = with_accident(tiny_model(), seconds=0.1)
    paths = [tmp_path / f"{i}.zarr" for i in range(4)]
    heard = Listener()
    found = maladist.predict_many(frames(4), model, paths, client=workers, at_once=3, observer=heard, **CUT)
    assert sorted(frame.number for frame in heard.tasks) == [0, 1, 2, 3] and heard.stages == [("frames", 4, 0)]
    for atoms, prediction in zip(frames(4), found, strict=True):
        assert_identical(prediction, maladist.predict(atoms, tiny_model(), client=workers, **CUT))
    runs = [xr.open_zarr(str(p.store), group="run", consolidated=False) for p in found]
    spans = [(float(run["start"].min()), float(run["stop"].max())) for run in runs]
    assert spans[1][0] < spans[0][1] + 0.5, "the workers waited between the first frame and the second"


def test_resuming_many_frames_takes_what_is_there(workers: Client, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.zarr" for i in range(3)]
    maladist.predict_many(frames(2), tiny_model(), paths[:2], client=workers, **CUT)
    before = (paths[0] / "zarr.json").stat().st_mtime_ns
    found = maladist.predict_many(frames(3), tiny_model(), paths, client=workers, resume=True, **CUT)
    assert len(found) == 3 and (paths[0] / "zarr.json").stat().st_mtime_ns == before
    with pytest.raises(StoreError, match="another atoms"):
        maladist.predict_many(frames(3)[::-1], tiny_model(), paths, client=workers, resume=True, **CUT)


def test_a_bad_frame_is_named_before_anything_is_computed(workers: Client, tmp_path: Path) -> None:
    bad = frames(3)
    bad[2].positions[0, 0] = np.nan
    paths = [tmp_path / f"{i}.zarr" for i in range(3)]
    with pytest.raises(InputError) as caught:
        maladist.predict_many(bad, tiny_model(), paths, client=workers, **CUT)
    assert caught.value.__notes__ == ["frame 2 of 3"]
    assert not any(p.exists() for p in paths)


def test_a_frame_that_fails_is_named_and_the_others_are_kept(workers: Client, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.zarr" for i in range(3)]
    once = tmp_path / "happened"
    model = with_accident(tiny_model(), at=(0.0, 0.0, 0.0), once=str(once))
    with pytest.raises(BlockError) as caught:
        maladist.predict_many(frames(3), model, paths, client=workers, at_once=1, **CUT)
    assert "frame 0" in caught.value.__notes__[0]
    found = maladist.predict_many(frames(3), model, paths, client=workers, resume=True, **CUT)
    assert all(stores.is_complete(p) for p in paths)
    assert_identical(found[0], maladist.predict(frames(1)[0], tiny_model(), client=workers, **CUT))


# -- in this process --------------------------------------------------------------------------------------------------


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Runs that were begun, by store and priority, in place of those that a cluster computes."""
    begun: list[tuple[str, int]] = []

    def execute(_: Any, target: Any, *rest: Any, priority: int, **__: Any) -> None:
        begun.append((target.path.name, priority))
        time.sleep(0.1)
        if target.path.name.startswith("bad"):
            raise BlockError("block 3", "it failed", "a block that ends")

    class Seen:
        def __init__(self, path: Path) -> None:
            self.path, self.dataset = path, xr.Dataset()

    monkeypatch.setattr(many, "execute", execute)
    monkeypatch.setattr(many, "client_or_local", lambda _: nullcontext(_Nobody()))
    monkeypatch.setattr(many.Prediction, "open", staticmethod(Seen))
    return begun


class _Nobody:
    """A client that nothing is asked of."""

    def nthreads(self) -> dict[str, int]:
        return {}


def test_earlier_frames_go_first_and_results_are_in_their_order(
    executed: list[tuple[str, int]], tmp_path: Path
) -> None:
    paths = [tmp_path / f"{i}.zarr" for i in range(4)]
    found: list[Any] = maladist.predict_many(frames(4), tiny_model(), paths, at_once=2, **CUT)
    assert sorted(executed) == [(f"{i}.zarr", -i) for i in range(4)]
    assert [one.path for one in found] == paths


def test_after_a_frame_that_fails_no_other_is_begun(executed: list[tuple[str, int]], tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("0.zarr", "bad1.zarr", *(f"{i}.zarr" for i in range(2, 9)))]
    with pytest.raises(BlockError) as caught:
        maladist.predict_many(frames(9), tiny_model(), paths, at_once=1, **CUT)
    assert caught.value.__notes__[-1].startswith("frame 1;")
    # The thread may take another before it is told; without that it would take all.
    assert [name for name, _ in executed][:2] == ["0.zarr", "bad1.zarr"] and len(executed) < 9


def test_a_model_file_and_its_pseudopotentials_are_read_once(
    executed: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del executed
    save_model(tiny_model(), tmp_path / "m.maladist")
    read: list[str] = []

    def counted(path: Any, **options: Any) -> LDOSModel:
        read.append(str(path))
        return load_model(path, **options)

    monkeypatch.setattr("maladist.prediction.setup.load_model", counted)
    paths = [tmp_path / f"{i}.zarr" for i in range(3)]
    maladist.predict_many(frames(3), tmp_path / "m.maladist", paths, **CUT)
    assert read == [str(tmp_path / "m.maladist")]


@pytest.mark.parametrize(
    ("stores_of", "at_once", "words"),
    [
        (["a", "a", "c"], 4, "stores_of: 2 stores for 3 frames"),
        (["a", "x/../a", "c"], 4, "stores_of: 2 stores for 3 frames"),
        (["a", "b"], 4, "stores_of: 2 stores for 3 frames"),
        (["a", "b", "c"], 0, "at_once: 0; wanted at least one frame"),
    ],
)
def test_frames_without_a_store_of_their_own_are_refused(
    stores_of: list[str], at_once: int, words: str, executed: list[tuple[str, int]], tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in stores_of]
    with pytest.raises(InputError, match=words):
        maladist.predict_many(frames(3), tiny_model(), paths, at_once=at_once, **CUT)
    assert not executed


def test_a_store_that_is_there_is_refused_before_any_frame_is_begun(
    executed: list[tuple[str, int]], tmp_path: Path
) -> None:
    stores.create(tmp_path / "2.zarr", {}, {}).release()
    paths = [tmp_path / f"{i}.zarr" for i in range(3)]
    with pytest.raises(StoreError, match=r"2\.zarr exists"):
        maladist.predict_many(frames(3), tiny_model(), paths, **CUT)
    assert not executed


def test_a_line_of_a_frame_has_its_energy_at_each_temperature_where_it_is_known() -> None:
    variables = {
        "temperature": [300.0, 600.0],
        "fermi_energy_eV": ("temperature", [1.0, 2.0]),
        **{term.name: ("temperature", [0.0, 0.0]) for term in TERMS},
        "band_energy_eV": ("temperature", [-4.0, np.nan]),
        "number": ("atom", [4, 4]),
    }
    told = Frame(2, 5, Prediction(xr.Dataset(variables), Path("a.zarr"))).line(bar=False)
    assert told.splitlines() == [
        "frame 2 of 5, 300 K: μ = 1.0000 eV, A = -2.000000 eV/atom",
        "frame 2 of 5, 600 K: μ = 2.0000 eV",
    ]
