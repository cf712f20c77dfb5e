"""Stores by URL: read as on a disk, whole or refused in one line; never written, and never taken for a folder."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
import xarray as xr
from distributed import Client

import maladist
from maladist.cli.app import main
from maladist.datasets.integrity import verify
from maladist.errors import DependencyError, InputError, StoreError
from maladist.io import stores
from maladist.io.datasets import snapshot_groups
from maladist.io.opening import open_dataset
from maladist.io.urls import URL, place
from maladist.report.html import report
from maladist.testing import be_atoms, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")

MEMORY = "memory://bucket/be.zarr"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result in eight blocks."""
    path = tmp_path_factory.mktemp("urls") / "be.zarr"
    maladist.predict(be_atoms(), tiny_model(), store=path, chunks=(7, 7, 10))
    return path


@pytest.fixture
def memory(result: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """The same behind MEMORY."""
    system = fsspec.filesystem("memory")
    system.put(str(result), "/bucket/be.zarr", recursive=True)
    yield system
    system.rm("/bucket", recursive=True)


def test_a_result_by_url_is_that_on_the_disk(result: Path, memory: fsspec.AbstractFileSystem) -> None:
    del memory
    xr.testing.assert_identical(open_dataset(MEMORY).load(), open_dataset(result).load())
    region = (slice(3, 9), 5)
    np.testing.assert_array_equal(
        stores.read_region(MEMORY, "density", region), stores.read_region(result, "density", region)
    )
    assert maladist.Prediction.open(MEMORY).to_dict() == maladist.Prediction.open(result).to_dict()


def test_a_file_url_is_a_path(result: Path) -> None:
    xr.testing.assert_identical(open_dataset(result.as_uri()).load(), open_dataset(result).load())


def test_verbs_take_a_url(result: Path, memory: fsspec.AbstractFileSystem) -> None:
    del memory
    lazy = open_dataset(MEMORY, chunks={})["density"]
    assert lazy.data.npartitions == 8 and lazy.data.name == open_dataset(MEMORY, chunks={})["density"].data.name
    assert maladist.difference(MEMORY, result).attrs["moved_electrons"] == 0.0  # blocks' own reads, and Dask's
    xr.testing.assert_identical(maladist.diffraction(MEMORY), maladist.diffraction(result))


def test_commands_take_a_url(
    memory: fsspec.AbstractFileSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del memory
    monkeypatch.chdir(tmp_path)
    assert main(["info", MEMORY]) == 0 and "fermi_energy_eV" in capsys.readouterr().out
    assert main(["report", MEMORY]) == 0 and (tmp_path / "be.html").is_file()  # here, not there


@pytest.mark.parametrize("chunk", ["density/c/1/0/0", "dos/c/0"])
@pytest.mark.parametrize("how", ["lost", "garbled"])
def test_what_is_lost_or_garbled_there_is_told(chunk: str, how: str, memory: fsspec.AbstractFileSystem) -> None:
    file = f"/bucket/be.zarr/{chunk}"
    content = memory.cat_file(file)
    memory.rm(file)
    if how == "garbled":
        memory.pipe_file(file, bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(StoreError, match=r"memory://bucket/be\.zarr.*(lost|garbled|cannot be read)"):
        open_dataset(MEMORY)["density"].load()


@pytest.mark.parametrize("name", [MEMORY, Path(MEMORY), "s3://bucket/be.zarr"])
def test_no_result_is_written_by_url(name: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for resume in (False, True):
        with pytest.raises(InputError, match=r"the URL (memory|s3)://bucket/be\.zarr.*copy the finished store there"):
            maladist.predict(be_atoms(), tiny_model(), store=name, resume=resume)
    with pytest.raises(StoreError, match="to be written"):
        stores.write_region(URL(MEMORY), "density", (), np.zeros(1))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_named() -> None:
    with pytest.raises(StoreError, match=r"memory://bucket/none\.zarr does not exist"):
        open_dataset("memory://bucket/none.zarr")
    with pytest.raises(InputError, match=r"foo://there.*Protocol not known"):
        open_dataset("foo://there")
    with pytest.raises(InputError, match=r"the URL memory://bucket.*Copy it here"):
        verify(Path(MEMORY))
    with pytest.raises(InputError, match=r"the URL memory://bucket.*Copy it here"):
        snapshot_groups(Path(MEMORY))


def test_a_scheme_whose_package_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    with pytest.raises(DependencyError, match=r"s3://bucket/be\.zarr.*Install s3fs.*gcsfs"):
        open_dataset("s3://bucket/be.zarr")


def test_a_folder_that_is_called_as_a_scheme_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    assert place("s3:/be.zarr") == Path("s3:/be.zarr")
    assert place("s3://b/be.zarr/") == URL("s3://b/be.zarr") == place(Path("elsewhere/s3:/b/be.zarr"))
    assert place("plain/be.zarr") == Path("plain/be.zarr") and place("C:/be.zarr") == Path("C:/be.zarr")
    for name in ("file:///there/be.zarr", Path("file:///there/be.zarr"), "file:/there/be.zarr/"):
        assert place(name) == Path("/there/be.zarr")
    assert pickle.loads(pickle.dumps(URL(MEMORY))) == URL(MEMORY)


@pytest.mark.slow
def test_a_result_in_s3_is_that_on_the_disk(result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against moto's server."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        options = {"endpoint_url": endpoint, "key": "any", "secret": "any"}
        monkeypatch.setitem(fsspec.config.conf, "s3", options)
        system = fsspec.filesystem("s3")
        system.mkdir("bucket")
        system.put(str(result), "bucket/be.zarr", recursive=True)
        url = "s3://bucket/be.zarr"
        xr.testing.assert_identical(open_dataset(url).load(), open_dataset(result).load())
        assert "Blocks by worker" in report(url, tmp_path / "be.html").read_text()
        with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
            assert maladist.difference(url, result, client=client).attrs["moved_electrons"] == 0.0
        system.rm("bucket/be.zarr/density/c/1/0/0")
        with pytest.raises(StoreError, match=r"s3://bucket/be\.zarr.*lost"):
            stores.read_region(url, "density")
    finally:
        server.stop()
