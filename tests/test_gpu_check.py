"""`make gpu-check` works where there is no GPU to try it on: it passes on a CPU, and a wrong number fails it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import gpu_check

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = ["--device", "cpu", "--points", "1000", "--atoms", "8"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_part_passes_on_a_cpu_and_is_written_down(tmp_path: Path) -> None:
    assert gpu_check.main([*SMALL, "--json", str(tmp_path / "check.json")]) == 0
    written = json.loads((tmp_path / "check.json").read_text())
    parts = {row["part"] for row in written["rows"]}
    assert len(parts) == 10 and all(row["passed"] and row["rate"] > 0 for row in written["rows"])


@pytest.mark.parametrize("wrong", [1.0, float("nan")])
def test_a_part_that_is_off_fails_the_check(wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    row = gpu_check.Row("forces", "float32", 1.0, "atoms/s", gpu_check.off(np.array([wrong]), np.array([2.0])), 1e-3, 0)
    monkeypatch.setattr(gpu_check, "rows", lambda *_: iter([row]))
    assert gpu_check.main(SMALL) == 1


def test_a_machine_without_a_gpu_is_told_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu_check.main([]) == 2
    assert "sees no GPU; --device cpu" in capsys.readouterr().err
