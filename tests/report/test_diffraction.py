"""The picture of a powder pattern."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from maladist.report.diffraction import pattern_axes, write_plot


def test_the_strongest_line_has_a_hundred_and_strong_ones_their_indices(tmp_path: Path) -> None:
    lines = {"two_theta": [30.0, 40.0, 60.0], "intensity": [100.0, 1.0, 50.0], "multiplicity": [6, 2, 12]}
    variables = {name: ("line", np.array(values)) for name, values in lines.items()}
    found = xr.Dataset(variables, attrs={"wavelength_A": 1.54})
    found["line_miller"] = (("line", "index"), np.array([[1, 0, 0], [0, 0, 2], [1, 0, -1]]))
    ax = Figure().subplots()
    pattern_axes(ax, found)
    x, y = ax.lines[0].get_data()
    assert np.max(y) == 100.0 and abs(float(x[int(np.argmax(y))]) - 30.0) < 0.02
    assert [text.get_text() for text in ax.texts] == ["100", "10$\\bar{1}$"]
    assert write_plot(found, tmp_path / "x.png").stat().st_size > 1000
