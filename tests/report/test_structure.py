"""The picture of g(r) and S(q)."""

from __future__ import annotations

from pathlib import Path

from ase.build import bulk
from matplotlib.figure import Figure

from maladist.report.structure import factor_axes, radial_axes, write_plot
from maladist.sampling.structure import structure


def test_a_line_for_each_pair_and_the_shells_that_have_waves(tmp_path: Path) -> None:
    found = structure(bulk("NaCl", "rocksalt", 5.64), width=0.2, largest_q=4.0)
    left, right = Figure().subplots(1, 2)
    radial_axes(left, found)
    assert [line.get_label() for line in left.lines[:3]] == ["Na-Na", "Na-Cl", "Cl-Cl"]
    factor_axes(right, found)
    assert len(right.lines[0].get_xdata()) == int((found["waves"] > 0).sum())
    assert write_plot(found, tmp_path / "s.png").stat().st_size > 1000
