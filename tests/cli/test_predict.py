"""`predict`, `plan` and `observe` on the command line: what they print, their exit status, what they leave behind."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel
from maladist.cluster import Later
from maladist.io import stores
from maladist.testing import tiny_model
from tests.cli.conftest import Command, StandIn

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = ("--grid", 8, 9, 12)


def test_predict_writes_the_store_the_table_and_every_key_of_the_json(folder: Path, command: Command) -> None:
    store, report = folder / "out.zarr", folder / "out.json"
    arguments = (
        "predict", folder / "be.extxyz", "--model", folder / "model.maladist", "--output", store, "--json", report,
        "--workers", 1, "--temperature", 1500, "--grid", 12, 12, 18, "--performance-report", folder / "run.html",
    )  # fmt: skip
    status, out, err = command(*arguments)
    assert "compute-block" in (folder / "run.html").read_text() and f"report: {folder}" in out
    assert status == 0 and "total free energy" in out and "dashboard http://127.0.0.1" in err
    found = json.loads(report.read_text())
    wanted = (
        "fermi_energy_eV n_electrons band_energy_eV entropy_contribution_eV hartree_eV xc_eV xc_potential_eV ewald_eV "
        "total_free_energy_eV n_atoms grid temperature_K blocks workers broadening_correction peak_memory_bytes seconds"
    )
    assert set(wanted.split()) <= set(found)
    assert {"descriptors", "network", "reductions", "energies", "io", "wall"} <= set(found["seconds"])
    assert found["grid"] == [12, 12, 18] and found["temperature_K"] == 1500 and found["workers"] == 1
    assert maladist.Prediction.open(store).energies.total == pytest.approx(found["total_free_energy_eV"])
    # The last frame is taken where none is named.
    assert maladist.Prediction.open(store).atoms.positions[0, 0] == pytest.approx(0.33 * 2.3)

    status, _, err = command(*arguments)
    assert status == 2 and "exists" in err and "--overwrite" in err
    status, out, _ = command("info", store)
    assert status == 0 and "total_free_energy_eV" in out


@pytest.mark.slow
def test_plan_says_what_it_takes_and_leaves_nothing(folder: Path, command: Command) -> None:
    before = sorted(folder.iterdir())
    status, out, _ = command("plan", folder / "be.extxyz@0", "--model", folder / "model.maladist", "--workers", 1)
    assert status == 0 and "blocks" in out and "about" in out
    assert sorted(folder.iterdir()) == before


def test_observe_a_kept_ldos(folder: Path, own_data: Path, command: Command) -> None:
    kept, seen = folder / "kept.zarr", folder / "seen.json"
    model = ("--model", folder / "model.maladist")
    one_element = folder / "pp"
    one_element.mkdir()
    name = "Be.own-pbe-nc-nlcc.UPF"
    (one_element / "misleading-Al.UPF").write_bytes((own_data / "pseudopotentials" / name).read_bytes())
    made = ("--pseudopotentials", one_element, "--keep", "ldos", "--workers", 1)
    status, _, err = command("predict", folder / "be.extxyz", *model, "--output", kept, *made)
    assert status == 0, err
    status, _, _ = command("observe", kept, "--pseudopotentials", one_element, "--json", seen, "--workers", 1)
    assert status == 0
    assert json.loads(seen.read_text())["total_free_energy_eV"] == pytest.approx(
        maladist.Prediction.open(kept).energies.total, abs=1e-5
    )
    (one_element / "second.upf").write_bytes((own_data / "pseudopotentials" / name).read_bytes())
    status, _, err = command("observe", kept, "--pseudopotentials", one_element, "--workers", 1)
    assert status == 2 and "two files for Be" in err


class _Attack:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("import pathlib; pathlib.Path('executed').touch()",)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no cell", "three lattice vectors"),
        ("unknown element", "element Al"),
        ("nan", "not finite"),
        ("coincident", "apart"),
        ("no file", "is not a file"),
        ("no such frame", "no frame 7"),
        ("truncated model", "model"),
        ("not a model", "another kind"),
        ("malicious model", "model"),
        ("unknown cluster", "cluster"),
        ("bad option", "Unknown option"),
        ("no output", "--output"),
    ],
)
def test_bad_input_gives_one_clear_line_status_2_and_no_store(
    what: str,
    words: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    command: Command,
) -> None:
    if what != "unknown cluster":
        request.getfixturevalue("no_cluster")
    monkeypatch.chdir(tmp_path)
    good = ase.io.read(folder / "be.extxyz")
    atoms, model, rest = "atoms.extxyz", folder / "model.maladist", ["--output", "out.zarr"]
    if what == "no cell":
        good = Atoms(good.symbols, positions=good.positions)
    elif what == "unknown element":
        good.symbols[0] = "Al"
    elif what == "nan":
        good.positions[1, 1] = np.nan
    elif what == "coincident":
        good.positions[1] = good.positions[0]
    elif what == "no file":
        atoms = "nowhere.xyz"
    elif what == "no such frame":
        atoms += "@7"
    elif what == "truncated model":
        model = tmp_path / "cut.maladist"
        model.write_bytes((folder / "model.maladist").read_bytes()[:5000])
    elif what == "not a model":
        model = tmp_path / "letter.txt"
        model.write_text("Dear Sir or Madam")
    elif what == "malicious model":
        model = tmp_path / "evil.zip"
        with zipfile.ZipFile(model, "w") as z:
            for part in ("network.pth", "iscaler.pkl", "oscaler.pkl"):
                z.writestr(f"evil.{part}", pickle.dumps(_Attack()))
            z.writestr("evil.params.json", "{}")
            z.writestr("evil.info.json", "{}")
    elif what == "unknown cluster":
        rest += ["--cluster", "nowhere.yaml"]
    elif what == "bad option":
        rest += ["--twojmax", "4"]
    elif what == "no output":
        rest = []
    ase.io.write("atoms.extxyz", good)
    status, _, err = command("predict", atoms, "--model", model, *rest)
    complaint = [line for line in err.splitlines() if line.startswith("maladist: ")]
    assert status == 2 and len(complaint) == 1 and words in complaint[0], err
    assert "Traceback" not in err
    assert not Path("out.zarr").exists() and not Path("executed").exists()


@pytest.mark.parametrize(("option", "value"), [("--json", "."), ("--json", "no/such.json"), ("--output", "no/folder")])
def test_places_that_cannot_be_written_are_refused_first(
    option: str, value: str, folder: Path, command: Command
) -> None:
    places = {"--output": folder / "places", option: folder / value}
    named = [str(x) for pair in places.items() for x in pair]
    frames = f"{folder / 'be.extxyz'}@:"
    status, _, err = command("predict", frames, "--model", folder / "model.maladist", "--workers", 1, *named)
    assert status == 2 and ("folder" in err or "cannot be written" in err)
    assert not (folder / "places").exists()


def test_doubts_of_a_reader_are_said_as_a_note(command: Command, tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.cif", Atoms("Be2", [[0, 0, 0], [1, 1, 2]], cell=[2.5, 2.5, 3.5], pbc=True))
    text = (tmp_path / "a.cif").read_text()
    (tmp_path / "a.cif").write_text("#\\#CIF_2.0\n" + text)
    status, _, err = command("predict", tmp_path / "a.cif", "--model", "nowhere", "--output", tmp_path / "o.zarr")
    assert status == 2
    assert next(line for line in err.splitlines() if line.startswith("note: ")).count("CIF v2.0") == 1
    assert "Warning" not in err


def test_predict_writes_a_report_too(folder: Path, tmp_path: Path, client: Client, command: Command) -> None:
    model = ("--model", folder / "model.maladist")
    out = ("--output", tmp_path / "o.zarr", "--report", tmp_path / "r.html")
    there = ("--cluster", client.scheduler.address)
    assert command("predict", folder / "be.extxyz", *model, *SMALL, *out, *there).status == 0
    assert "total free energy" in (tmp_path / "r.html").read_text()
    assert stores.is_complete(tmp_path / "o.zarr")


def test_predict_writes_the_spread_of_an_ensemble_and_refuses_that_of_a_single_network(
    folder: Path, tmp_path: Path, client: Client, command: Command
) -> None:
    maladist.save_model(LDOSModel.mean_of([tiny_model(seed) for seed in (0, 1, 2)]), tmp_path / "three.maladist")
    common = ("--output", tmp_path / "a.zarr", "--json", tmp_path / "a.json", "--spread", *SMALL)
    common = (*common, "--cluster", client.scheduler.address)
    assert command("predict", folder / "be.extxyz", "--model", tmp_path / "three.maladist", *common).status == 0
    assert json.loads((tmp_path / "a.json").read_text())["total_free_energy_eV_std"] > 0
    one = ("--model", folder / "model.maladist", "--overwrite")
    status, _, err = command("predict", folder / "be.extxyz", *one, *common)
    assert status == 2 and "one network" in err


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize("option", [("--report", "r.html"), ("--spread",)])
def test_what_is_of_one_frame_is_refused_of_many(
    option: tuple[str, ...], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    model = ("--model", folder / "model.maladist")
    status, _, err = command("predict", f"{folder / 'be.extxyz'}@:", *model, "--output", "o", *option)
    assert status == 2 and f"{option[0][2:]}: many frames; wanted one frame" in err
    assert not list(tmp_path.iterdir())


class _Result:
    """What a result tells."""

    def __init__(self, energy: float) -> None:
        self.energy = energy

    def to_dict(self) -> dict[str, float]:
        return {"total_free_energy_eV": self.energy}


def test_many_frames_get_a_store_each_in_their_order_and_one_json(
    folder: Path, tmp_path: Path, stand_in: StandIn, command: Command
) -> None:
    (calls, output) = stand_in("maladist.predict_many", [_Result(1.0), _Result(float("nan"))]), tmp_path / "o"
    words = ("--model", folder / "model.maladist", "--output", output, "--resume", "--keep", "ldos", "--workers", 3)
    assert command("predict", f"{folder / 'be.extxyz'}@:", *words, "--json", tmp_path / "a.json").status == 0
    (((frames, _, paths), named),) = calls
    assert [len(one) for one in frames] == [2, 2] and frames[0].positions[0, 0] > frames[1].positions[0, 0]
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == ["o/000000.zarr", "o/000001.zarr"]
    assert named["client"] == Later("local", 3) and named["keep"] == ("ldos",)
    assert named["resume"] and not named["overwrite"]
    energies = [one["total_free_energy_eV"] for one in json.loads((tmp_path / "a.json").read_text())["frames"]]
    assert energies == [1.0, None]


def test_every_option_of_observe_reaches_it_under_its_own_name(
    tmp_path: Path, folder: Path, stand_in: StandIn, command: Command
) -> None:
    class Seen(_Result):
        dataset = type("Dataset", (), {"attrs": {"notes": ["its window is short"]}})

    calls = stand_in("maladist.observe", Seen(1.0))
    physics = {"xc": "pz", "density_cutoff": 300.0, "broadening_correction": "off", "double_counting": "ldos"}
    words = [w for name, value in physics.items() for w in (f"--{name.replace('_', '-')}", value)]
    words += ["--temperature", "300", "--temperature", "600", "--pseudopotentials", "upf", "--output", "o.zarr"]
    status, out, err = command("observe", "a.zarr", "--atoms", folder / "be.extxyz@0", "--overwrite", *words)
    assert status == 0 and "store: o.zarr" in out and "note: its window is short" in err
    (((ldos, atoms), named),) = calls
    assert ldos == Path("a.zarr") and len(atoms) == 2
    wanted = {"temperature": [300.0, 600.0], "pseudopotentials": Path("upf"), "store": Path("o.zarr")}
    assert {k: named[k] for k in {**physics, **wanted}} == {**physics, **wanted} and named["overwrite"]
