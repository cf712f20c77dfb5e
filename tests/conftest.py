"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from distributed import Client

from maladist import LDOSModel, cluster, examples
from maladist.io.digests import DIGESTS
from maladist.testing import be_atoms, tiny_model

# Triton decides when it is imported who runs its kernels: its interpreter, where there is no GPU.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip counts as a failure where the environment says that what the test needs is installed.

    MALADIST_NO_SKIP names markers: ``lammps slurm qe gpaw chromium disks``.
    """
    report = yield
    promised = set(os.environ.get("MALADIST_NO_SKIP", "").split()) & {mark.name for mark in item.iter_markers()}
    if report.skipped and promised and not hasattr(report, "wasxfail"):
        why: Any = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"MALADIST_NO_SKIP promises {', '.join(sorted(promised))}, yet: {why}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Torch's own threads would fight with those of the Dask workers that tests start."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of DFT reference data named by MALADIST_TEST_DATA; skips where it is absent."""
    folder = os.environ.get("MALADIST_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MALADIST_TEST_DATA names no folder: reference data absent")
    return Path(folder)


@pytest.fixture(scope="session")
def own_data() -> Path:
    """Small data that the repository carries."""
    return Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def small_data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of five small snapshots of Be (train-0, -1, -2, valid-0, test-4-atoms), for reading only."""
    return examples.small_data_set(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def temperatures(own_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of sic-300K, sic-5000K (the same atoms) and be8-1000K, for reading only."""
    return unpacked(own_data / "temperatures.zarr.zip", tmp_path_factory.mktemp("temperatures"))


def changeable(data: Path, store: Path) -> Path:
    """A copy of a data set that a test may change: without the digests that tell of it."""
    return shutil.copytree(data, store, ignore=shutil.ignore_patterns(DIGESTS))


def unpacked(archive: Path, folder: Path) -> Path:
    """A packed store, unpacked into a folder."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder / archive.stem


class Disk:
    """A file system of its own, small and in memory, that can be filled and made read-only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, room: int) -> Path:
        """Fill it, up to so many bytes."""
        with (self.path / "fill").open("ab") as file:
            free = os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize
            os.posix_fallocate(file.fileno(), file.tell(), max(1, free - room))
        return self.path

    def free(self) -> None:
        """Take away what `leave` put there."""
        (self.path / "fill").unlink()

    def read_only(self) -> Path:
        """Make it read-only, for root too."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True)
        return self.path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 24 MiB; its tests are marked ``disks``."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Every device that this machine has."""
    return str(request.param)


@pytest.fixture(scope="session")
def model() -> LDOSModel:
    """The small model."""
    return tiny_model()


@pytest.fixture(scope="session")
def atoms() -> Atoms:
    """Two Be atoms in a strained triclinic cell, one of them outside of it."""
    return be_atoms()


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """A real local cluster: two processes."""
    with cluster("local", workers=2) as client:
        yield client


def same(a: np.ndarray, b: np.ndarray, relative: float) -> bool:
    """Whether two arrays agree to a share of the largest value."""
    return bool(np.abs(np.asarray(a) - np.asarray(b)).max() <= relative * np.abs(np.asarray(b)).max())
