"""`dft`, `check`, `align` and `export` on the command line: what is printed, the exit status, where options go."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from maladist.cli.data import _table
from maladist.cluster import Later
from maladist.datasets.align import Aligned
from maladist.datasets.check import Checked, Figures
from maladist.datasets.dft.dft import Outcome
from maladist.datasets.dft.oneshot import OneShot
from maladist.energy_grid import EnergyGrid
from maladist.io.yaml import yaml_text
from maladist.physics.energies import Energies
from tests.cli.conftest import Command, StandIn

ENERGIES = EnergyGrid(-5.0, 0.5, 40, "gaussian", 0.5)


# -- dft --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def setup(own_data: Path, tmp_path: Path) -> Path:
    """A setup for Quantum ESPRESSO."""
    values = {
        "temperature": 1000,
        "pseudopotentials": str(own_data / "pseudopotentials"),
        "ecutwfc": 18,
        "kpoints": [2, 2, 1],
        "energies": {"origin": -6.0, "spacing": 0.5, "levels": 39},
        "broadening": 0.5,
    }
    (tmp_path / "dft.yaml").write_text(yaml_text(values))
    return tmp_path / "dft.yaml"


def test_snapshots_are_called_by_their_numbers_and_one_that_fails_is_named_in_the_end(
    setup: Path, folder: Path, stand_in: StandIn, command: Command
) -> None:
    outcomes = [Outcome("be-0001", "pw.x: it did not converge", 1.0)]  # the other is there already
    calls = stand_in("maladist.datasets.dft.dft.dft", outcomes)
    words = ("--setup", setup, "--output", "d.zarr", "--prefix", "be-", "--scratch", "/scratch", "--workers", 2)
    status, out, err = command("dft", f"{folder / 'be.extxyz'}@:", *words)
    assert out == "d.zarr: 1 of 2 snapshots, 0 of them new\n"
    assert status == 3 and "1 failed (be-0001)" in err and "run it again" in err
    (((frames, code, output), named),) = calls
    assert (len(frames), code.ecutwfc, output) == (2, 18, Path("d.zarr"))
    assert named["names"] == ["be-0000", "be-0001"] and named["client"] == Later("local", 2)
    assert named["scratch"] == Path("/scratch")


@pytest.mark.usefixtures("no_cluster")
def test_a_setup_that_cannot_be_is_refused_before_a_cluster_starts(
    setup: Path, folder: Path, tmp_path: Path, command: Command
) -> None:
    setup.write_text(setup.read_text() + "temprature: 1\n")
    status, _, err = command("dft", folder / "be.extxyz", "--setup", setup, "--output", tmp_path / "d.zarr")
    assert status == 2 and "temprature: is not a key" in err and err.count("\n") == 1


# -- oneshot ----------------------------------------------------------------------------------------------------------


def test_a_step_is_printed_written_and_drawn(setup: Path, tmp_path: Path, stand_in: StandIn, command: Command) -> None:
    dos = np.arange(40.0)
    found = OneShot(Energies(1, 2.0), 0.25, np.zeros((1, 1)), np.array([2.0]), None, None, ENERGIES, dos, dos)
    calls = stand_in("maladist.datasets.dft.oneshot.oneshot", found)
    words = ("--setup", setup, "--json", tmp_path / "s.json", "--plot", tmp_path / "dos.png", "--scratch", "/scratch")
    status, out, _ = command("oneshot", "p.zarr", *words)
    assert status == 0 and out == f"{found}\n"
    assert json.loads((tmp_path / "s.json").read_text())["band_energy_eV"] == 2.0
    assert (tmp_path / "dos.png").exists()
    (((store, code), named),) = calls
    assert (store, code.ecutwfc, named["scratch"]) == (Path("p.zarr"), 18, Path("/scratch"))
    status, _, err = command("oneshot", "p.zarr", "--setup", setup, "--plot", tmp_path)
    assert status == 2 and "is a folder" in err and len(calls) == 1


# -- check ------------------------------------------------------------------------------------------------------------


def checked(*failures: str, **more: object) -> Checked:
    """A snapshot as `check` finds it."""
    figures = Figures(3.99, None, 0.0123, {"band_energy": -1.25, "xc": 0.5}, {"xc": 20.5})
    return Checked("a", 4.0, ENERGIES, {"off": figures}, failures, (), **more)  # type: ignore[arg-type]


def test_a_snapshot_beyond_a_tolerance_ends_with_status_1_after_all_is_told(
    tmp_path: Path, stand_in: StandIn, command: Command
) -> None:
    found = [checked(), checked("band energy: -1.25 meV/atom"), Checked("b", None, None, {}, ("it is cut",), ("a k",))]
    calls = stand_in("maladist.datasets.check.check", found)
    words = ("--tolerance", 0.5, "--density-tolerance", 0.1, "--pseudopotentials", "upf", "--json", tmp_path / "c.json")
    status, out, _ = command("check", "d.zarr", *words)
    assert status == 1
    lines = [line.strip() for line in out.splitlines()]
    assert {"band energy: -1.25 meV/atom", "it is cut", "likely: a k"} <= set(lines)
    assert lines[-1] == "1 of 3 snapshots within the tolerances"
    assert [one["name"] for one in json.loads((tmp_path / "c.json").read_text())] == ["a", "a", "b"]
    (((data,), named),) = calls
    assert (data, named["pseudopotentials"]) == (Path("d.zarr"), Path("upf"))
    assert (named["tolerances"].energy, named["tolerances"].density) == (0.5, 0.1)


def test_good_data_end_with_status_0(stand_in: StandIn, command: Command) -> None:
    stand_in("maladist.datasets.check.check", [checked(remarks=("a remark",))])
    status, out, _ = command("check", "d.zarr")
    assert status == 0 and "a remark" in out and "1 of 1 snapshots within the tolerances" in out


def test_terms_of_the_density_stand_by_the_density_they_are_of() -> None:
    """Where the data hold the DFT's density, the LDOS's own is compared beside it, and never confused with it."""
    table = _table(checked())
    cells = [list(column.cells) for column in table.columns]  # type: ignore[union-attr]
    rows = dict(zip(*cells, strict=True))
    assert rows["xc, meV/atom, n of the DFT"] == "+0.500" and rows["xc, meV/atom, n of the LDOS"] == "+20.500"
    assert rows["band energy, meV/atom"] == "-1.250" and rows["Fermi level, meV"] == "–"
    assert rows["density, mean |Δn|/n"] == "1.2300%"


def test_what_is_not_a_data_set_is_status_2(tmp_path: Path, client: Client, command: Command) -> None:
    assert command("check", tmp_path, "--cluster", client.scheduler.address).status == 2


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize("words", [("check", "d.zarr", "--json"), ("export", "s", "--to", "cube", "--output")])
def test_places_that_cannot_be_written_are_refused_before_a_cluster_starts(
    words: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    (tmp_path / "file").touch()
    status, _, err = command(*words, tmp_path / "file" / "a")
    assert status == 2 and err.count("\n") == 1


# -- align, export ----------------------------------------------------------------------------------------------------


def test_align_says_how_each_snapshot_moved(
    small_data_set: Path, tmp_path: Path, client: Client, command: Command
) -> None:
    names = ("train-0", "train-1")
    data = [small_data_set / "snapshots" / name for name in names]
    words = ("--output", tmp_path / "a.zarr", "--reference", "fermi", "--cluster", client.scheduler.address)
    status, out, _ = command("align", *data, *words)
    assert status == 0 and [line.split(":")[0] for line in out.splitlines()] == list(names) and "fermi at" in out
    assert command("align", *data, *words).status == 2


def test_every_option_of_align_reaches_it_and_a_shift_is_told_with_its_sign(
    stand_in: StandIn, command: Command
) -> None:
    calls = stand_in("maladist.datasets.align.align", [Aligned("a", 1.5, -0.125, (3, 4))])
    words = ("--output", "o.zarr", "--threshold", 0.1, "--interpolate", "--window", -3, 2.5)
    status, out, _ = command("align", "a.zarr", "b.zarr", *words)
    assert status == 0 and out == "a: -1.5000 eV, edge at -0.1250 eV, 3 levels cut below and 4 above\n"
    (((data, output), named),) = calls
    assert (tuple(data), output) == ((Path("a.zarr"), Path("b.zarr")), Path("o.zarr"))
    wanted = {"reference": "edge", "threshold": 0.1, "interpolate": True, "window": (-3.0, 2.5)}
    assert {k: named[k] for k in wanted} == wanted


def test_every_option_of_export_reaches_it(tmp_path: Path, stand_in: StandIn, command: Command) -> None:
    calls = stand_in("maladist.datasets.export.export", [Path("a"), Path("b")])
    status, out, _ = command("export", "s.zarr", "--to", "h5", "--output", tmp_path / "new" / "o", "--overwrite")
    assert status == 0 and out == f"2 files in {tmp_path / 'new' / 'o'}\n"
    (((snapshot, output), named),) = calls
    assert (snapshot, output) == (Path("s.zarr"), tmp_path / "new" / "o")
    assert named["to"] == "h5" and named["overwrite"]
