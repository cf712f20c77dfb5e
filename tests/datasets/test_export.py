"""A snapshot written out and converted again is what it was."""

from __future__ import annotations

import re
import shutil
from importlib import import_module
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.calculators.vasp import VaspChargeDensity
from distributed import Client

import maladist
from maladist import BispectrumSpec
from maladist.datasets import export as module
from maladist.datasets.convert.convert import convert
from maladist.datasets.convert.source import Source, array_shape
from maladist.datasets.dft.programs import run_program
from maladist.datasets.dft.scratch import Scratch
from maladist.datasets.export import export
from maladist.errors import InputError, OutputError
from maladist.io.opening import open_dataset
from maladist.io.qe.input import pw_input
from maladist.io.qe.wavefunctions import read_density
from maladist.testing import Listener
from tests.conftest import Disk
from tests.datasets.convert.conftest import own_source


@pytest.fixture(scope="module")
def snapshot(own_data: Path, tmp_path_factory: pytest.TempPathFactory, client: Client) -> Path:
    folder = tmp_path_factory.mktemp("export")
    values = own_source(own_data, folder)
    cut = np.load(folder / "ldos.npy")[..., ::10]  # 13 levels are as good as 130
    np.save(folder / "ldos.npy", cut)
    source = Source(values.run, values.ldos, density=values.density, energies=(-3.9, 1.0), kernel="gaussian", width=0.1)
    spec = BispectrumSpec(twojmax=2, cutoff=3.0)
    return convert(source, folder / "d.zarr", name="be2", spec=spec, client=client)


@pytest.mark.parametrize("to", ["cube", "xsf"])
def test_round_trip_through_text(to: str, snapshot: Path, tmp_path: Path, client: Client) -> None:
    data = open_dataset(snapshot)
    paths = export(snapshot, tmp_path / "out", to=to, client=client)
    levels = [p for p in paths if "ldos" in p.name]
    assert len(levels) == data.sizes["energy"]
    source = Source(levels[0], levels, density=paths[-1], energies=(-3.9, 1.0))
    back = open_dataset(convert(source, tmp_path / "d.zarr", name="s", client=client))
    assert np.abs(back.ldos.values - data.ldos.values).max() <= 2e-7 * data.ldos.values.max()
    assert np.abs(back.density.values - data.density.values).max() < 1e-8
    assert np.allclose(back.energy, data.energy, atol=1e-9)


@pytest.mark.parametrize("to", ["npy", "h5"])
def test_round_trip_through_malas_formats(to: str, snapshot: Path, tmp_path: Path, client: Client) -> None:
    data = open_dataset(snapshot)
    export(snapshot, tmp_path, to=to, client=client)
    assert array_shape(tmp_path / f"be2.in.{to}")[-1] == data.sizes["feature"] + 3
    source = Source(
        tmp_path / "be2.info.json",
        [tmp_path / f"be2.out.{to}"],
        density=tmp_path / f"be2.dens.{to}",
        descriptors=tmp_path / f"be2.in.{to}",
        energies=(-3.9, 1.0),
    )
    spec = BispectrumSpec(twojmax=2, cutoff=3.0)
    back = open_dataset(convert(source, tmp_path / "d.zarr", name="s", spec=spec, client=client))
    for name in ("ldos", "density", "descriptors"):
        assert np.array_equal(back[name].values, data[name].values)
    assert back.attrs["temperature_K"] == data.attrs["temperature_K"]


def test_the_density_that_pw_begins_with_is_that_of_the_snapshot(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    snapshot, save = small_data_set / "snapshots" / "train-0", tmp_path / "out" / "m.save"
    assert export(snapshot, save, to="qe", client=client) == [save / "charge-density.dat"]
    # pw.x made this density: it has no plane wave beyond the sphere that is written.
    density = open_dataset(snapshot).density.values
    np.testing.assert_allclose(read_density(save, density.shape), density, rtol=0, atol=1e-11)
    with pytest.raises(InputError, match="exists; wanted a folder without"):
        export(snapshot, save, to="qe", client=client)
    other = tmp_path / "hdf5"
    assert export(snapshot, other, to="qe-hdf5", client=client) == [other / "charge-density.hdf5"]
    np.testing.assert_array_equal(read_density(other, density.shape), read_density(save, density.shape))


@pytest.mark.slow
@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="no pw.x on this machine")
def test_pw_begins_with_a_prediction_and_has_less_to_do(own_data: Path, tmp_path: Path) -> None:
    """The grid of the prediction is not that of pw.x, and the folder has no other file."""
    be = ase.io.read(Path(maladist.__file__).parent / "data" / "be_1000K" / "held-out.extxyz")
    predicted = maladist.predict(be, "be-1000K", store=tmp_path / "be.zarr", grid=(28, 28, 26)).store
    assert isinstance(predicted, Path)
    system = {"ecutwfc": 18, "ecutrho": 72, "occupations": "smearing", "smearing": "fermi-dirac", "degauss": 0.00633}
    steps, errors = {}, {}
    for start in ("atomic", "file"):
        with Scratch("start", str(tmp_path)) as scratch:
            if start == "file":
                export(predicted, scratch.folder / "out" / "m.save", to="qe")
            electrons = {"startingpot": start, "conv_thr": 8e-9, "mixing_mode": "TF"}
            files, folder = {"Be": "Be.own-pbe-nc-nlcc.UPF"}, str(own_data / "pseudopotentials")
            text = pw_input(be, files, (2, 2, 3), {**system, "nosym": True}, electrons, folder, slopes=False)
            (scratch.folder / "scf.in").write_text(text)
            run_program(scratch, "pw.x", "scf")
            said = (scratch.folder / "scf.out").read_text()
        steps[start] = said.count("iteration #")
        errors[start] = float(re.findall(r"estimated scf accuracy\s+<\s+(\S+)", said)[0])  # of the density it has
    assert "renormalised" not in said
    assert errors["file"] < 0.1 * errors["atomic"], errors
    assert steps["file"] < steps["atomic"], steps


def test_a_chgcar_is_read_back(small_data_set: Path, tmp_path: Path) -> None:
    snapshot = small_data_set / "snapshots" / "train-0"
    data = open_dataset(snapshot)
    assert export(snapshot, tmp_path, to="chgcar") == [tmp_path / "train-0.CHGCAR"]
    read = VaspChargeDensity(str(tmp_path / "train-0.CHGCAR"))
    np.testing.assert_allclose(read.chg[0], data.density.values, atol=1e-9)
    np.testing.assert_allclose(read.atoms[0].positions, data.position.values, atol=1e-8)
    np.testing.assert_allclose(read.atoms[0].cell.array.ravel(), data.attrs["cell"], atol=1e-8)


def test_a_density_that_lacks_electrons_is_scaled_and_that_is_said(
    snapshot: Path, tmp_path: Path, client: Client
) -> None:
    lacking = open_dataset(snapshot)[["density", "position", "number"]].load().assign_attrs(n_electrons=4.1)
    lacking.drop_encoding().to_zarr(tmp_path / "d.zarr", consolidated=False)
    listener = Listener()
    export(tmp_path / "d.zarr", tmp_path, to="qe", client=client, observer=listener)
    assert listener.notes == ["the density integrates to 4 electrons: it was scaled to 4.1"]


def test_ase_reads_our_cubes_and_xsf(snapshot: Path, tmp_path: Path, client: Client) -> None:
    density = open_dataset(snapshot).density.values
    for to in ("cube", "xsf"):
        path = export(snapshot, tmp_path, to=to, client=client)[-1]
        if to == "cube":
            with path.open() as stream:
                values = ase.io.cube.read_cube(stream)["data"]
        else:
            with path.open() as stream:
                values, *_ = ase.io.xsf.read_xsf(stream, read_data=True)
            values = np.asarray(values)[tuple(slice(0, n) for n in density.shape)]
        assert np.abs(values / values.mean() - density / density.mean()).max() < 1e-6


def test_small_fields_start_no_cluster_and_give_the_same_files(
    snapshot: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("maladist.cluster.start"), "cluster", None)
    for to in ("cube", "h5"):
        here = export(snapshot, tmp_path / "here", to=to)
        there = export(snapshot, tmp_path / "there", to=to, client=client)
        assert here and [p.read_bytes() for p in here] == [p.read_bytes() for p in there]
    monkeypatch.setattr(module, "SMALL_VALUES", 7)
    with pytest.raises(TypeError):  # large ones take the cluster that is not there
        export(snapshot, tmp_path / "large", to="cube")


def test_files_that_are_there_are_kept(snapshot: Path, tmp_path: Path, client: Client) -> None:
    export(snapshot, tmp_path, to="npy", client=client)
    with pytest.raises(InputError, match="--overwrite"):
        export(snapshot, tmp_path, to="npy", client=client)


def test_bp_is_refused_with_the_way_around(snapshot: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="openpmd-pipe"):
        export(snapshot, tmp_path, to="bp")  # type: ignore[arg-type]


@pytest.mark.disks
@pytest.mark.parametrize("to", ["npy", "h5", "cube", "xsf"])
@pytest.mark.parametrize("room", [4096, 300_000])
def test_on_a_full_disk_there_is_one_line_no_file_and_the_workers_live(
    small_data_set: Path, disk: Disk, client: Client, to: str, room: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """A memory map would end the workers with SIGBUS, the HDF5 library with SIGSEGV."""
    group, before = small_data_set / "snapshots" / "train-0", set(client.scheduler_info(n_workers=-1)["workers"])
    disk.leave(room)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        export(group, disk.path / "out", to=to, client=client)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and not list((disk.path / "out").iterdir())
    assert set(client.scheduler_info(n_workers=-1)["workers"]) == before and "Traceback" not in capfd.readouterr().err
    disk.free()
    assert all(p.exists() for p in export(group, disk.path / "out", to=to, client=client))  # type: ignore[arg-type]


def test_an_export_that_fails_leaves_the_files_that_were_there(
    small_data_set: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = small_data_set / "snapshots" / "train-0"
    paths = export(group, tmp_path, to="npy", client=client)
    before = {p: p.read_bytes() for p in paths}

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maladist.datasets.export.waves.in_order", stopped)
    with pytest.raises(KeyboardInterrupt):
        export(group, tmp_path, to="npy", client=client, overwrite=True)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before
