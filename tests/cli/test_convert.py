"""`convert` on the command line: one snapshot by its name or a whole folder, patterns filled in, options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maladist import BispectrumSpec
from maladist.cli.convert import SourceFlags
from maladist.datasets.convert.source import Source
from maladist.io.opening import open_dataset
from tests.cli.conftest import Command, StandIn

ONE, FOLDER = "maladist.datasets.convert.convert.convert", "maladist.datasets.convert.folder.convert_folder"


def test_a_folder_is_converted_whole(tmp_path: Path, shared_data: Path, command: Command) -> None:
    small = ("--cluster", tmp_path / "threads.yaml", "--workers", 1)
    (tmp_path / "threads.yaml").write_text("kind: local\nprocesses: false\n")
    output = tmp_path / "be.zarr"
    assert command("convert", shared_data / "be2", "--output", output, *small).status == 0
    for name in ("Be_snapshot0", "Be_snapshot1"):
        data = open_dataset(output / "snapshots" / name)
        assert data.energy.values[[0, -1]].tolist() == [-5.0, 20.0]
        assert np.array_equal(data.ldos.values, np.load(shared_data / "be2" / f"{name}.out.npy"))
    status, _, err = command("convert", shared_data / "be2", "--output", output, "--ldos", "a.npy", *small)
    assert status == 2 and "ldos" in err


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with the files of two snapshots, and with those of one run of pw.x."""
    for name in ("pw.xml", "b10.cube", "b9.cube", "a.cube", "run/data-file-schema.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pw.xml",), "name: None; wanted one for the snapshot"),
        (("run",), "name: None; wanted one for the snapshot"),  # pw.x's folder is one calculation
        ((".", "--name", "s"), "name: 's'; wanted none: snapshots of a folder have the names of their files"),
        (("nowhere", "--name", "s"), "nowhere, no such file or folder"),
    ],
)
def test_a_file_needs_a_name_and_a_folder_has_its_own(
    words: tuple[str, ...], said: str, run: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(run)
    status, _, err = command("convert", *words, "--output", "d.zarr")
    assert status == 2 and said in err and not Path("d.zarr").exists()


def test_quoted_patterns_are_filled_in_by_name_and_what_matches_nothing_stays_to_be_named(run: Path) -> None:
    source = SourceFlags(ldos=[f"{run}/b*.cube", f"{run}/none*"]).source(run / "pw.xml")
    assert source.ldos == [f"{run}/b10.cube", f"{run}/b9.cube", f"{run}/none*"]


def test_every_option_reaches_its_place(run: Path, stand_in: StandIn, command: Command) -> None:
    calls = stand_in(ONE, run / "d.zarr" / "snapshots" / "a")
    given = {"density": "n.cube", "dos": "d.dat", "descriptors": "b.npy", "pseudopotentials": "upf"}
    facts = {"kernel": "gaussian", "ldos_units": "1/(eV A3)", "density_units": "1/A3", "width": 0.2, "temperature": 300}
    words = [w for k, v in {**given, **facts}.items() for w in (f"--{k.replace('_', '-')}", v)]
    words += ["--ldos", run / "a.cube", "--energies", -5, 0.1, "--twojmax", 4, "--cutoff", 3, "--overwrite"]
    status, out, err = command("convert", run / "pw.xml", "--output", run / "d.zarr", "--name", "a", *words)
    assert status == 0 and out.startswith("snapshot: ")
    assert f"belong together: maladist check {run / 'd.zarr'} --pseudopotentials upf" in err
    (((source, output), named),) = calls
    paths = {k: v if k == "descriptors" else Path(v) for k, v in given.items()}
    wanted = Source(run / "pw.xml", [str(run / "a.cube")], energies=(-5.0, 0.1), **paths, **facts)  # type: ignore[arg-type]
    assert source == wanted
    assert (output, named["name"], named["overwrite"]) == (run / "d.zarr", "a", True)
    assert named["spec"] == BispectrumSpec(twojmax=4, cutoff=3.0)


@pytest.mark.parametrize(("descriptors", "computed"), [((), False), (("--descriptors", "compute"), True)])
def test_descriptors_are_computed_where_that_is_asked_for(
    descriptors: tuple[str, ...], computed: bool, run: Path, stand_in: StandIn, command: Command
) -> None:
    calls = stand_in(FOLDER, [Path("a"), Path("b")])
    status, out, _ = command("convert", run, "--output", run / "d.zarr", *descriptors)
    assert status == 0 and out == "snapshots: a, b\n"
    (((source, _), named),) = calls
    assert source.descriptors is None and (named["spec"] is not None) == computed
