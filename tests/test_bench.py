"""What `maladist bench` measures: every row is there and makes sense; speed itself is judged in tests/benchmarks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from rich.console import Console

from maladist import bench
from maladist.descriptors.bispectrum.cpu import operations
from maladist.descriptors.bispectrum.cpu_adjoint import adjoint_operations
from maladist.descriptors.bispectrum.su2_moments import NEIGHBOURS, moment_places, moments
from maladist.descriptors.compiled.vector_code import count_operations
from maladist.errors import DependencyError


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_EDGE", {"cpu": 3, "torch": 3, "lammps": 2})
    monkeypatch.setattr(bench, "_CELLS", (1, 2))


def test_the_table_shows_all_that_json_can_hold(
    small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also without LAMMPS."""

    def evaluate(*arguments: object, backend: str, **options: object) -> torch.Tensor:
        if backend == "lammps":
            raise DependencyError("backend 'lammps'", "it cannot be loaded", "LAMMPS")
        return whole(*arguments, backend=backend, **options)  # type: ignore[arg-type]

    def lammps_adjoint(*_: object) -> None:
        raise DependencyError("backend 'lammps'", "it cannot be loaded", "LAMMPS")

    whole = bench.evaluate
    monkeypatch.setattr(bench, "evaluate", evaluate)
    monkeypatch.setattr(bench, "lammps_adjoint", lammps_adjoint)
    threads = torch.get_num_threads()
    found = bench.measure((2,))
    bench.show(found, Console())
    assert torch.get_num_threads() == threads
    json.dumps(found, allow_nan=False)  # refuses what JSON cannot hold
    rows = {(row["backend"], row["precision"]): row for row in found["descriptors"]}
    absent = rows.pop(("lammps", "float64"))
    assert absent["points_per_second"] is None and absent["adjoint_points_per_second"] is None
    assert set(rows) == {(b, p) for b in ("cpu", "torch") for p in ("float32", "float64")}
    assert all(row["points_per_second"] > 0 and row["times_lammps"] is None for row in rows.values())
    assert all(("adjoint_flops_per_second" in row) == (backend == "cpu") for (backend, _), row in rows.items())
    spectra = {(row["backend"], row["precision"]): row for row in found["power_spectrum"]}
    assert set(spectra) == set(rows)
    assert all(r["points_per_second"] > 0 and r["adjoint_points_per_second"] > 0 for r in spectra.values())
    assert list(found["points_per_second_by_atoms"]) == [2, 16]
    printed = capsys.readouterr().out
    assert (
        "absent" in printed
        and "points/s of a block" in printed
        and "its adjoint" in printed
        and "power spectrum" in printed
    )


@pytest.mark.lammps
def test_the_ratio_is_to_lammps_of_the_same_run(small: None) -> None:
    rows = bench.descriptor_rates(2)
    assert rows[0]["backend"] == "lammps"
    for row in rows[1:]:
        assert row["times_lammps"] == row["points_per_second"] / rows[0]["points_per_second"]
    for row in rows:
        assert row["adjoint_over_descriptors"] == row["points_per_second"] / row["adjoint_points_per_second"]


def test_operations_are_counted() -> None:
    """Of the moments at least a fused multiply-add for each, for each neighbour; of `flops`, in proportion to them."""
    counted = count_operations(6, np.dtype("float32"), moments)
    assert counted > NEIGHBOURS * 2 * len(moment_places(6)) * 0.8  # the first of each (p, q) is an addition only
    assert counted < NEIGHBOURS * 6 * len(moment_places(6))
    assert bench.flops("cpu", 6, "float32") < bench.flops("torch", 6, "float32")


@pytest.mark.parametrize("twojmax", [6, 10])
def test_the_adjoint_takes_about_twice_the_operations(twojmax: int) -> None:
    """The limit of its speed: the descriptors' stages but the products again, these twice over, the others back."""
    kind = np.dtype("float32")
    assert 1.8 < adjoint_operations(twojmax, 53.0, kind) / operations(twojmax, 53.0, kind) < 2.4
