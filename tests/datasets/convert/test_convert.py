"""Conversion: what goes in comes out, what does not belong is refused in one line, memory stays bounded."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from distributed import Client, LocalCluster

from maladist import BispectrumSpec, Grid
from maladist.datasets.convert.convert import convert
from maladist.datasets.convert.source import Source
from maladist.errors import DataFileError, OutputError, StoreError
from maladist.io.fields import openpmd
from maladist.io.opening import open_dataset
from maladist.io.qe.run import DFTRun
from maladist.parallel.workers import peak_memory
from maladist.testing import Listener
from tests.conftest import Disk
from tests.datasets.convert.conftest import GRID, own_source, run_of, write_text


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", ["cube", "xsf"])
def test_text_levels_give_the_ldos_back(
    kind: str, zipped: bool, tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client
) -> None:
    paths = write_text(tmp_path, crystal, ldos, kind, zipped)
    group = convert(
        Source(run_of(crystal), paths[::-1], energies=(-1.0, 0.5)), tmp_path / "d.zarr", name="s", client=client
    )
    data = open_dataset(group)
    assert np.abs(data.ldos.values / ldos - 1).max() < 2e-7  # float32, nine digits
    assert data.energy.values.tolist() == [-1.0, -0.5, 0.0, 0.5]
    assert "work" not in data


def test_npy_with_positions_and_openpmd(tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client) -> None:
    spec = BispectrumSpec(twojmax=2, cutoff=3.0)
    features = np.random.default_rng(2).random((*GRID.shape, spec.n_features)).astype(np.float32)
    places = GRID.points().reshape(*GRID.shape, 3).astype(np.float32)
    np.save(tmp_path / "s.in.npy", np.concatenate([places, features], axis=-1))
    np.save(tmp_path / "s.out.npy", ldos)
    openpmd.write_field(tmp_path / "s.out.h5", ldos, "ldos")
    for file in ("s.out.npy", "s.out.h5"):
        source = Source(
            run_of(crystal), [tmp_path / file], energies=(-1.0, 0.5), descriptors=tmp_path / "s.in.npy", dos=None
        )
        data = open_dataset(convert(source, tmp_path / "d.zarr", name=file, spec=spec, client=client))
        assert np.array_equal(data.ldos.values, ldos)
        assert np.array_equal(data.descriptors.values, features)


def test_positions_of_another_cell_are_refused(
    tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client
) -> None:
    spec = BispectrumSpec(twojmax=2, cutoff=3.0)
    places = 1.1 * GRID.points().reshape(*GRID.shape, 3)
    np.save(tmp_path / "in.npy", np.concatenate([places, np.zeros((*GRID.shape, spec.n_features))], axis=-1))
    np.save(tmp_path / "out.npy", ldos)
    source = Source(run_of(crystal), [tmp_path / "out.npy"], energies=(-1, 0.5), descriptors=tmp_path / "in.npy")
    with pytest.raises(DataFileError, match="another snapshot"):
        convert(source, tmp_path / "d.zarr", name="s", spec=spec, client=client)
    assert not (tmp_path / "d.zarr/snapshots/s").exists()


def test_descriptors_on_the_way(tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client) -> None:
    from maladist.descriptors import evaluate
    from maladist.neighbors import CellList

    np.save(tmp_path / "out.npy", ldos)
    spec = BispectrumSpec(twojmax=4, cutoff=3.0)
    group = convert(
        Source(run_of(crystal), [tmp_path / "out.npy"], energies=(-1, 0.5)),
        tmp_path / "d.zarr",
        name="s",
        spec=spec,
        client=client,
    )
    cells = CellList(GRID.cell_array, crystal.positions, crystal.numbers.astype(np.int16), spec.cutoff)
    wanted = evaluate(GRID.points(), cells.near_block(GRID, GRID.whole), spec).numpy()
    found = open_dataset(group).descriptors.values.reshape(wanted.shape)
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_a_truncated_cube_is_refused(tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    text = paths[2].read_text()
    paths[2].write_text(text[: len(text) * 2 // 3])
    with pytest.raises(Exception, match=r"tmp.pp003.cube: is truncated") as caught:
        convert(Source(run_of(crystal), paths), tmp_path / "d.zarr", name="s", client=client)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "d.zarr/snapshots/s").exists()


def test_a_truncated_gzip_is_refused(tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube", zipped=True)
    paths[1].write_bytes(paths[1].read_bytes()[:-200])
    with pytest.raises(Exception, match=r"tmp.pp002.cube.gz: is truncated"):
        convert(Source(run_of(crystal), paths), tmp_path / "d.zarr", name="s", client=client)


def test_an_existing_snapshot_is_kept(tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client) -> None:
    np.save(tmp_path / "out.npy", ldos)
    source = Source(run_of(crystal), [tmp_path / "out.npy"], energies=(-1, 0.5))
    convert(source, tmp_path / "d.zarr", name="s", client=client)
    with pytest.raises(StoreError, match="--overwrite"):
        convert(source, tmp_path / "d.zarr", name="s", client=client)
    convert(source, tmp_path / "d.zarr", name="s", client=client, overwrite=True)


def test_own_dft_data_pass_and_wrong_units_do_not(tmp_path: Path, own_data: Path, client: Client) -> None:
    data = open_dataset(convert(own_source(own_data, tmp_path), tmp_path / "d.zarr", name="s", client=client))
    assert data.attrs["broadening_kernel"] == "gaussian"
    assert not [note for note in data.attrs["notes"] if "loosely" in note]
    loose = own_source(own_data, tmp_path)
    assert isinstance(loose.run, DFTRun)
    loose = replace(loose, run=replace(loose.run, threshold=1e-3))
    data = open_dataset(convert(loose, tmp_path / "d.zarr", name="loose", client=client))
    assert "loosely converged (0.001 Ry/atom)" in data.attrs["notes"][-1]
    bad = own_source(own_data, tmp_path, ldos_units="1/(Ry bohr3)")
    with pytest.raises(DataFileError, match=r"0.49.* times .*\n?.*--ldos-units"):
        convert(bad, tmp_path / "d.zarr", name="t", client=client)
    bad = own_source(own_data, tmp_path, density_units="1/bohr3")
    with pytest.raises(DataFileError, match=r"a density of 26.* --density-units"):
        convert(bad, tmp_path / "d.zarr", name="t", client=client)
    told, bad = Listener(), replace(bad, density=tmp_path / "absent.cube")
    with pytest.raises(DataFileError, match="absent"):  # before the LDOS is read
        convert(bad, tmp_path / "d.zarr", name="t", client=client, observer=told)
    assert not told.tasks


def test_the_cubes_of_the_reference_data(tmp_path: Path, shared_data: Path, client: Client) -> None:
    folder = shared_data / "be2"
    source = Source(
        folder / "Be_snapshot0.out",
        sorted((folder / "cubes").iterdir()),
        density=folder / "Be_snapshot0.dens.npy",
        descriptors=folder / "Be_snapshot0.in.npy",
    )
    data = open_dataset(convert(source, tmp_path / "d.zarr", name="s", spec=BispectrumSpec(), client=client))
    wanted = np.load(folder / "Be_snapshot0.out.npy")
    assert np.abs(data.ldos.values / wanted - 1).max() < 1e-6
    # pp.x was not asked for a Gaussian: the eigenvalues betray what it took.
    assert data.attrs["broadening_kernel"] == "fermi-derivative"
    assert data.attrs["broadening_width_eV"] == 5.0


@pytest.mark.slow
def test_an_ldos_of_four_times_the_memory_of_a_worker(tmp_path: Path, crystal: Atoms) -> None:
    """The LDOS is made up by repetition: 4 GiB through a worker with a limit of 1 GiB."""
    limit, shape, levels = 2**30, (128, 128, 128), 512
    grid = Grid(GRID.cell, shape)
    path = tmp_path / "big.npy"
    plane = np.random.default_rng(0).random((*shape[1:], levels), dtype=np.float32)
    header = {"descr": "<f4", "fortran_order": False, "shape": (*shape, levels)}
    with path.open("wb") as stream:  # not mapped: a worker's ru_maxrss begins with that of its parent
        np.lib.format.write_array_header_1_0(stream, header)
        for _ in range(shape[0]):
            stream.write(plane.tobytes())
    assert path.stat().st_size > 4 * limit
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=limit, dashboard_address="127.0.0.1:0") as c,
        Client(c) as small,
    ):
        run = DFTRun(Path("made-up"), crystal, grid.shape)
        group = convert(Source(run, [path], energies=(-1, 0.1)), tmp_path / "d.zarr", name="s", client=small)
        peak = max(small.run(peak_memory).values())
    assert peak < limit
    data = open_dataset(group)
    assert np.array_equal(data.ldos[37].values, plane)


@pytest.mark.disks
@pytest.mark.parametrize("room", [0, 4096, 60_000, 200_000])
def test_a_conversion_that_found_no_room_can_be_made_again_with_the_same_command(
    own_data: Path, tmp_path: Path, disk: Disk, client: Client, room: int
) -> None:
    """Whether there was none for the data set, for its snapshot, or for some of the blocks."""
    source, output = own_source(own_data, tmp_path), disk.path / "d.zarr"
    disk.leave(room)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        convert(source, output, name="a", client=client)
    assert "\n" not in str(caught.value)
    assert not (output / "snapshots" / "a").exists() and not [p for p in disk.path.rglob(".*") if p.is_dir()]
    disk.free()
    assert open_dataset(convert(source, output, name="a", client=client)).sizes["energy"] > 1


@pytest.mark.slow
def test_what_a_task_refuses_is_one_line_and_no_workers_traceback(
    tmp_path: Path, crystal: Atoms, ldos: np.ndarray
) -> None:
    """On worker processes, whose own loggers write to the same terminal."""
    ldos[3, 2, 1, 0] = np.nan
    np.save(tmp_path / "out.npy", ldos)
    crystal.write(tmp_path / "be.extxyz")
    files = [str(tmp_path / "be.extxyz"), "--ldos", str(tmp_path / "out.npy"), "--output", str(tmp_path / "d.zarr")]
    command = [sys.executable, "-m", "maladist", "convert", *files, "--name", "s", "--energies", "-1", "0.5"]
    done = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if "not finite" in line] == [
        line for line in done.stderr.splitlines() if line.startswith("maladist: ")
    ]
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "d.zarr" / "snapshots" / "s").exists()
