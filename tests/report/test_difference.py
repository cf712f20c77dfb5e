"""The picture of a density difference: one scale, symmetric about zero."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from maladist.report import difference as module
from maladist.testing import be_atoms
from tests.report.conftest import Watch


def test_planes_share_a_scale_that_is_symmetric_about_zero(tmp_path: Path, drawn_by: Watch) -> None:
    atoms, values = be_atoms(), np.zeros((6, 7, 8))
    values[...] = np.cos(2 * np.pi * np.arange(6) / 6)[:, None, None] - 0.5
    variables = {"position": (("atom", "xyz"), atoms.positions), "number": (("atom",), atoms.numbers)}
    variables["density_difference"] = (("x", "y", "z"), values)
    drawn = drawn_by(module)
    found = xr.Dataset(variables, attrs={"cell": atoms.cell.array.ravel().tolist()})
    assert module.write_plot(found, tmp_path / "d.png").stat().st_size > 1000
    limits = {ax.collections[0].get_clim() for ax in drawn[0].axes[:3]}
    assert len(limits) == 1 and (low := limits.pop())[0] == -low[1] and 1.2 < low[1] <= 1.5
