"""Data sets from a DFT code: what fails is named, what is done is kept, and any code will do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from distributed import Client, LocalCluster

from maladist.datasets.dft.dft import dft, run_snapshot
from maladist.datasets.dft.espresso import Espresso
from maladist.errors import AtomsError, DependencyError, InputError
from maladist.io.datasets import open_data_set, read_reference, snapshot_path
from maladist.io.opening import open_dataset
from maladist.io.stores import create, is_complete
from maladist.io.yaml import yaml_text

qe = [
    pytest.mark.qe,
    pytest.mark.skipif(shutil.which("pw.x") is None, reason="no pw.x on this machine"),
]


def needs_qe(test):
    for mark in qe:
        test = mark(test)
    return test


@needs_qe
def test_a_data_set_whose_failures_are_named_and_whose_second_call_does_the_rest(
    tmp_path: Path, be2: Atoms, setup: Espresso, client: Client
) -> None:
    large = be2.copy()
    large.set_cell(be2.cell * 1.02, scale_atoms=True)
    output = tmp_path / "d.zarr"
    # Three bands do not reach the window's top.
    few = setup.model_copy(update={"bands": 1.5})
    (failed,) = dft([be2], few, output, names=["a"], client=client)
    assert failed.reason.startswith("bands: bands up to") and "\n" not in failed.reason
    never = setup.model_copy(update={"electrons": {"electron_maxstep": 2}})
    (failed,) = dft([be2], never, output, names=["a"], client=client)
    assert "did not converge" in failed.reason
    assert not snapshot_path(output, "a").exists()
    done = dft([be2, large], setup, output, names=["a", "b"], client=client)
    assert [o.reason for o in done] == ["", ""]
    assert dft([be2, large], setup, output, names=["a", "b"], client=client) == []
    group = snapshot_path(output, "a")
    data, reference = open_dataset(group), read_reference(group)
    assert reference is not None
    voxel = abs(np.linalg.det(be2.cell.array)) / data.density.size
    assert float(data.density.sum()) * voxel == pytest.approx(4.0, abs=1e-6)
    assert reference["forces"].shape == (2, 3) and reference["stress"].shape == (6,)
    assert float((reference["stress"] - reference["stress_fixed_cutoff"])[:3].min()) > 0
    assert float(np.abs(reference["forces"]).max()) > 0.01
    # QE's own sum: E_b − TS − E_H + E_xc − ∫v_xc n + E_ii, with its eigenvalues not quite those of its last density.
    r = {k: float(v) for k, v in reference.data_vars.items() if v.ndim == 0}
    total = r["band_energy_eV"] + r["entropy_contribution_eV"] - r["hartree_eV"] + r["xc_eV"] - r["xc_potential_eV"]
    assert total + r["ewald_eV"] == pytest.approx(r["total_free_energy_eV"], abs=2e-4)


@needs_qe
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_killed_or_stopped_is_resumed(
    how: signal.Signals, tmp_path: Path, be2: Atoms, setup: Espresso, client: Client
) -> None:
    frames = []
    for i in range(6):
        frame = be2.copy()
        frame.rattle(0.03, seed=i)
        frames.append(frame)
    ase.io.write(tmp_path / "frames.extxyz", frames)
    (tmp_path / "setup.yaml").write_text(yaml_text({**setup.to_dict(), "kpoints": [4, 4, 3]}))
    output = tmp_path / "d.zarr"
    command = [sys.executable, "-m", "maladist", "dft", str(tmp_path / "frames.extxyz"), "--prefix", "s"]
    command += [
        "--workers",
        "1",
        "--setup",
        str(tmp_path / "setup.yaml"),
        "--output",
        str(output),
        "--scratch",
        str(tmp_path),
    ]
    process = subprocess.Popen(
        command,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # as a terminal has it
    )
    names = [f"s{i:04d}" for i in range(6)]
    try:
        while not is_complete(snapshot_path(output, names[1])):
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        if how is signal.SIGINT:
            process.send_signal(how)
            assert process.wait(60) == 130
        else:
            os.killpg(process.pid, how)
            process.wait()
    first = [n for n in names if is_complete(snapshot_path(output, n))]
    assert 2 <= len(first) < 6
    rest = dft(frames, setup.model_copy(update={"kpoints": (4, 4, 3)}), output, client=client)
    assert sorted(first + [o.name for o in rest]) == names and not any(o.reason for o in rest)


@needs_qe
def test_files_that_cannot_grow_are_a_reason_and_leave_nothing(
    tmp_path: Path, be2: Atoms, setup: Espresso, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    for name, value in {"OMPI_MCA_btl": "self", "PMIX_MCA_gds": "hash"}.items():
        monkeypatch.setenv(name, value)  # MPI's own shared files would not fit either

    output = tmp_path / "d.zarr"
    open_data_set(output)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
    try:
        outcome = run_snapshot("a", be2, setup, create(snapshot_path(output, "a"), {}, {}), str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "SIGXFSZ, a limit on file sizes" in outcome.reason and "\n" not in outcome.reason
    assert not snapshot_path(output, "a").exists() and [p.name for p in tmp_path.iterdir()] == ["d.zarr"]


@needs_qe
def test_a_scratch_without_room_is_a_reason(tmp_path: Path, be2: Atoms, setup: Espresso) -> None:
    outcome = run_snapshot("a", be2, setup, create(tmp_path / "a", {}, {}), str(tmp_path / "nowhere"))
    assert "nowhere" in outcome.reason and not (tmp_path / "a").exists()


def test_without_pw_there_is_one_clear_line(
    tmp_path: Path, be2: Atoms, setup: Espresso, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as there,
        Client(there) as without,
        pytest.raises(DependencyError, match=r"pw\.x: not found on a worker; wanted the DFT code"),
    ):
        dft([be2], setup, tmp_path / "d.zarr", client=without)


def test_a_cell_without_its_mesh_or_pseudopotential_is_refused_before_anything_runs(
    tmp_path: Path, be2: Atoms, setup: Espresso
) -> None:
    with pytest.raises(InputError, match="kpoints: none for 2 atoms"):
        dft([be2], setup.model_copy(update={"kpoints": {8: (4, 4, 6)}}), tmp_path / "d.zarr")
    with pytest.raises(AtomsError, match="Cu"):
        dft([bulk("Cu")], setup, tmp_path / "d.zarr")
    assert not (tmp_path / "d.zarr").exists()
