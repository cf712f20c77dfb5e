"""The doctor tells ok from absent from broken, by trying and not by looking at a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from maladist import doctor
from maladist.doctor import Finding, diagnose


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    """Of this machine."""
    return {f.name: f for f in diagnose()}


def program(folder: Path, name: str, text: str) -> None:
    """Put a program on PATH."""
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_what_every_command_needs_is_here(findings: dict[str, Finding]) -> None:
    for name in ("maladist", "packages", "processor", "memory", "kernel"):
        assert findings[name].status == "ok", findings[name]
    assert "torch" in findings["packages"].found and "zarr" in findings["packages"].found
    assert float(findings["kernel"].found.split()[4]) < doctor._AGREE
    assert all(f.purpose for f in findings.values())


def test_a_kernel_that_computes_something_else_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.evaluate
    monkeypatch.setattr(
        doctor, "evaluate", lambda *a, backend, **k: real(*a, backend=backend, **k) * (1 + (backend == "cpu"))
    )
    (kernel,) = [f for f in diagnose() if f.name == "kernel"]
    assert kernel.status == "broken" and "differs from torch by 1.0e+00" in kernel.found


def test_programs_that_are_absent_broken_and_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, "pp.x", "echo 'error while loading libfftw3.so.3' >&2; exit 127")
    program(tmp_path, "sbatch", "echo slurm 23.11.4")
    found = {f.name: f for f in diagnose()}
    assert found["pw.x"].status == "absent"
    assert found["pp.x"].status == "broken" and "libfftw3" in found["pp.x"].found
    assert found["sbatch"].status == "ok" and "slurm 23.11.4" in found["sbatch"].found
    program(tmp_path, "pw.x", "echo '     Program PWSCF v.7.2 starts on today'; exit 1")
    (espresso,) = [f for f in diagnose() if f.name == "pw.x"]
    assert espresso.status == "ok" and espresso.found.startswith("7.2 at")
    program(tmp_path, "pw.x", 'echo "     Program PWSCF v.$OMPI_MCA_btl starts"')
    (espresso,) = [f for f in diagnose() if f.name == "pw.x"]
    program(tmp_path, "gpaw", "echo gpaw-22.8.0")
    (gpaw,) = [f for f in diagnose() if f.name == "gpaw"]
    assert gpaw.status == "ok" and gpaw.found.startswith("22.8.0 at")
    program(tmp_path, "gpaw", "echo 'No module named ase' >&2; exit 1")
    (gpaw,) = [f for f in diagnose() if f.name == "gpaw"]
    assert gpaw.status == "broken" and "No module named ase" in gpaw.found
    assert espresso.found.startswith("^tcp")  # as `dft` starts it: listening to nobody


def test_a_requirement_that_is_not_met_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "0.1" if name == "zarr" else real(name))
    (packages,) = [f for f in diagnose() if f.name == "packages"]
    assert packages.status == "broken" and "zarr is 0.1, wanted >=3.1" in packages.found
