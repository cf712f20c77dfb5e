"""The command line: what it prints, its exit status, what it leaves behind."""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import ase.io
import numpy as np
import psutil
import pytest
from ase import Atoms

import maladist
from maladist.cli.app import main
from maladist.testing import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, own_data: Path) -> Path:
    """A folder with atoms and a model, as a user has them."""
    folder = tmp_path_factory.mktemp("cli")
    atoms = Atoms("Be2", scaled_positions=[[0.33, 0.7, 0.24], [0.66, 0.31, 0.77]], cell=[2.3, 2.2, 3.6], pbc=True)
    moved = atoms.copy()
    moved.positions[0, 0] += 0.1
    ase.io.write(folder / "be.extxyz", [moved, atoms])
    maladist.save_model(tiny_model(), folder / "model.maladist")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_predict_writes_the_store_the_table_and_every_key_of_the_json(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, report = folder / "out.zarr", folder / "out.json"
    arguments = (
        "predict", folder / "be.extxyz", "--model", folder / "model.maladist", "--output", store, "--json", report,
        "--workers", 1, "--temperature", 1500, "--grid", 12, 12, 18,
    )  # fmt: skip
    status, out, err = run(capsys, *arguments)
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

    status, _, err = run(capsys, *arguments)
    assert status == 2 and "exists" in err and "--overwrite" in err
    status, out, _ = run(capsys, "info", store)
    assert status == 0 and "total_free_energy_eV" in out


def test_plan_says_what_it_takes_and_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.iterdir())
    status, out, _ = run(capsys, "plan", folder / "be.extxyz@0", "--model", folder / "model.maladist", "--workers", 1)
    assert status == 0 and "blocks" in out and "about" in out
    assert sorted(folder.iterdir()) == before


def test_observe_a_kept_ldos(folder: Path, own_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, seen = folder / "kept.zarr", folder / "seen.json"
    model = ("--model", folder / "model.maladist")
    one_element = folder / "pp"
    one_element.mkdir()
    name = "Be.own-pbe-nc-nlcc.UPF"
    (one_element / "misleading-Al.UPF").write_bytes((own_data / "pseudopotentials" / name).read_bytes())
    made = ("--pseudopotentials", one_element, "--keep", "ldos", "--workers", 1)
    status, _, err = run(capsys, "predict", folder / "be.extxyz", *model, "--output", kept, *made)
    assert status == 0, err
    status, _, _ = run(capsys, "observe", kept, "--pseudopotentials", one_element, "--json", seen, "--workers", 1)
    assert status == 0
    assert json.loads(seen.read_text())["total_free_energy_eV"] == pytest.approx(
        maladist.Prediction.open(kept).energies.total, abs=1e-5
    )
    (one_element / "second.upf").write_bytes((own_data / "pseudopotentials" / name).read_bytes())
    status, _, err = run(capsys, "observe", kept, "--pseudopotentials", one_element, "--workers", 1)
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
    capsys: pytest.CaptureFixture[str],
) -> None:
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
    status, _, err = run(capsys, "predict", atoms, "--model", model, *rest)
    complaint = [line for line in err.splitlines() if line.startswith("maladist: ")]
    assert status == 2 and len(complaint) == 1 and words in complaint[0], err
    assert "Traceback" not in err
    assert not Path("out.zarr").exists() and not Path("executed").exists()


def test_debug_shows_the_traceback(folder: Path) -> None:
    with pytest.raises(maladist.errors.InputError):
        main(["--debug", "info", str(folder / "nowhere")])


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [(signal.SIGINT, 130, "stopped; finished"), (signal.SIGTERM, 143, "stopped by SIGTERM; finished")],
)
def test_ctrl_c_and_a_schedulers_signal_say_what_is_kept_and_nothing_else(
    number: signal.Signals, status: int, words: str, folder: Path
) -> None:
    store = folder / f"stopped-{status}.zarr"
    arguments = ("predict", folder / "be.extxyz", "--model", folder / "model.maladist", "--output", store)
    small = ("--workers", "1", "--grid", "40", "40", "60", "--chunks", "6", "6", "6")
    command = [sys.executable, "-m", "maladist", *map(str, arguments), *small]
    # A shell that starts a command in the background lets it ignore SIGINT; a terminal does not.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while process.poll() is None and not list(store.glob("work/tally/c/*")):
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)  # as a terminal and Slurm do: to the workers too
    _, err = process.communicate(timeout=120)
    assert process.returncode == status and words in err and "--resume continues" in err, err
    assert "Traceback" not in err and "distributed" not in err, err
    assert not psutil.wait_procs(family, timeout=20)[1]
    assert not maladist.io.stores.is_complete(store)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_every_verb_with_its_status(
    number: signal.Signals, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)]
    monkeypatch.setattr("maladist.cli.app.app", lambda *_, **__: os.kill(os.getpid(), number) or time.sleep(5))
    assert main(["check", "x.zarr"]) == status
    assert capsys.readouterr().err.startswith("maladist: stopped")
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)] == before
    assert logging.getLogger("distributed").isEnabledFor(logging.CRITICAL)


def test_importing_maladist_leaves_ctrl_c_alone() -> None:
    code = "import signal; a = signal.getsignal(2); import maladist; assert signal.getsignal(2) is a"
    subprocess.run([sys.executable, "-c", code], check=True)


EARLY = """
import os, signal, sys
class Interrupts:  # a finder that is asked for torch first, as one who presses Ctrl-C while it is imported
    def find_spec(self, name, *_):
        if name == "torch":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
{how}
"""
AS_MODULE = "sys.argv[0] = '-m'; sys.orig_argv = ['python', '-m', 'maladist', 'doctor']; import maladist.__main__"
AS_SCRIPT = "sys.argv = ['/usr/bin/maladist', 'doctor']; from maladist.cli import main; sys.exit(main())"


@pytest.mark.parametrize("how", [AS_MODULE, AS_SCRIPT])
def test_ctrl_c_during_the_imports_is_one_line(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY.format(how=how)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "maladist: stopped\n")


@pytest.mark.parametrize(("option", "value"), [("--json", "."), ("--json", "no/such.json"), ("--output", "no/folder")])
def test_places_that_cannot_be_written_are_refused_first(
    option: str, value: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"--output": folder / "places", option: folder / value}
    named = [str(x) for pair in places.items() for x in pair]
    frames = f"{folder / 'be.extxyz'}@:"
    status, _, err = run(capsys, "predict", frames, "--model", folder / "model.maladist", "--workers", 1, *named)
    assert status == 2 and ("folder" in err or "cannot be written" in err)
    assert not (folder / "places").exists()


def test_doubts_of_a_reader_are_said_as_a_note(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.cif", Atoms("Be2", [[0, 0, 0], [1, 1, 2]], cell=[2.5, 2.5, 3.5], pbc=True))
    text = (tmp_path / "a.cif").read_text()
    (tmp_path / "a.cif").write_text("#\\#CIF_2.0\n" + text)
    status, _, err = run(capsys, "predict", tmp_path / "a.cif", "--model", "nowhere", "--output", tmp_path / "o.zarr")
    assert status == 2
    assert next(line for line in err.splitlines() if line.startswith("note: ")).count("CIF v2.0") == 1
    assert "Warning" not in err
