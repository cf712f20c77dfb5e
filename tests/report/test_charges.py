"""The picture of charges: every atom is in it, and what is no atom's beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from maladist.report import charges as module
from tests.report.conftest import Watch


@pytest.mark.parametrize("with_dos", [False, True])
def test_atoms_are_drawn_by_element_and_maxima_behind_them(with_dos: bool, tmp_path: Path, drawn_by: Watch) -> None:
    variables = {
        "number": ("atom", np.array([4, 13, 4])),
        "electrons": ("atom", [1.5, 3.0, 2.0]),
        "maximum_electrons": ("maximum", [0.5]),
    }
    if with_dos:
        variables["atom_dos"] = (("atom", "energy"), np.array([[0, 1], [3, 3], [0, 2]]))
    found = xr.Dataset(variables, {"energy": [0.0, 1.0]}, {"method": "bader"})
    drawn = drawn_by(module)
    assert module.write_plot(found, tmp_path / "c.png").stat().st_size > 1000
    electrons, *dos = drawn[0].axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in electrons.lines}
    assert lines == {"Be": [[0, 1.5], [2, 2.0]], "Al": [[1, 3.0]], "no atom's": [[3, 0.5]]}
    assert len(dos) == with_dos
    if with_dos:
        assert [line.get_ydata().tolist() for line in dos[0].lines] == [[0.0, 1.5], [3.0, 3.0]]
