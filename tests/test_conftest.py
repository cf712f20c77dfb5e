"""The hook that turns a skip into a failure where what is missing was promised."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.slurm
@pytest.mark.skipif(True, reason="no slurmctld")
def test_marked(): ...

@pytest.mark.slurm
def test_skips_itself(): pytest.skip("no munge")

@pytest.mark.slurm
@pytest.mark.xfail(reason="known")
def test_known(): assert False

@pytest.mark.lammps
def test_other(): pytest.skip("no lammps")

def test_plain(): pytest.skip("no shared data")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("promised", "failed", "skipped"), [("", 0, 4), ("slurm qe", 2, 2)])
def test_a_promised_test_may_not_skip(tmp_path: Path, promised: str, failed: int, skipped: int) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  slurm: x\n  lammps: x\n")
    # Where CI is set, pytest repeats the whole reason in its summary.
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=Path(__file__).parent.parent,
        env={**environment, "MALADIST_NO_SKIP": promised, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert f"{skipped} skipped" in ran.stdout.splitlines()[-1], ran.stdout
    assert ran.stdout.count("MALADIST_NO_SKIP promises slurm, yet: Skipped: no ") == failed, ran.stdout
    assert ran.returncode == (1 if failed else 0)
    assert "no shared data" in ran.stdout  # reasons are listed
