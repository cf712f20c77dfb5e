"""The picture of a planar average."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from maladist.report.potential import planar_axes, write_plot


def test_planar_and_macroscopic_average_the_level_and_the_atoms_are_drawn(tmp_path: Path) -> None:
    z = np.arange(24) / 24 * 12.0
    values = np.broadcast_to(np.cos(2 * np.pi * z / 2), (3, 4, 24))
    attrs = {"cell": np.diag([3.0, 4.0, 12.0]).ravel(), "grid": [3, 4, 24]}
    found = xr.Dataset({"potential": (("x", "y", "z"), values), "fermi_energy_eV": -0.25}, attrs=attrs)
    found["position"] = ("atom", "xyz"), np.array([[0.0, 0.0, 3.0], [0.0, 0.0, 5.0]])
    found["number"] = "atom", np.array([4, 4], np.int16)
    axes = Figure().subplots()
    planar_axes(axes, found, "c", 2.0)
    planar, macroscopic, level, atoms = (line.get_ydata() for line in axes.lines)
    np.testing.assert_allclose(planar, np.cos(2 * np.pi * z / 2))
    np.testing.assert_allclose(macroscopic, 0, atol=1e-12)
    assert level[0] == -0.25 and len(atoms) == 2
    np.testing.assert_allclose(axes.lines[3].get_xdata(), [3, 5])
    assert write_plot(found, tmp_path / "v.png", "c", 2.0).stat().st_size > 5000
