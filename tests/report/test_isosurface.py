"""An isosurface is a page of its own, whole wherever it is shown, and begins at the level that was asked for."""

from __future__ import annotations

import base64
import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from maladist.errors import OutputError
from maladist.prediction.setup import grid_of
from maladist.report import isosurface
from maladist.report.isosurface import Isosurface
from maladist.testing import be_atoms

GRID = grid_of(be_atoms(), (6, 7, 9))
FIELD = xr.DataArray(np.random.default_rng(0).random(GRID.shape), dims=("x", "y", "z"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """tests/report/test_still.py looks at pictures; these want to know where they go."""
    monkeypatch.setattr(isosurface, "still", lambda data: f"picture of {data[:9]}".encode())


def told(page: str) -> dict[str, object]:
    """What the page tells its viewer."""
    (text,) = re.findall(r"<script[^>]*application/json[^>]*>(.*?)</script>", page, re.DOTALL)
    return dict(json.loads(text))


def test_the_page_has_its_viewer_and_asks_for_nothing_else() -> None:
    page = Isosurface.of(FIELD, GRID, be_atoms()).html()
    assert "webgl" in page.lower() and not re.search(r"(src|href)\s*=\s*[\"']?http", page)
    assert len(told(page)["atoms"]) == 2  # type: ignore[arg-type]


def test_it_begins_at_the_level_that_is_given_else_where_15_percent_have_more() -> None:
    assert told(Isosurface.of(FIELD, GRID, level=0.25).html())["level"] == 0.25
    level = told(Isosurface.of(FIELD, GRID, name="novelty", units="1").html())["level"]
    assert float((level < FIELD).mean()) == pytest.approx(0.15, abs=0.01)  # type: ignore[operator]


def test_names_are_told_and_cannot_end_the_script() -> None:
    page = Isosurface.of(FIELD, GRID, name="</script><b>", units="1/Å³").html()
    assert told(page)["name"] == "</script><b>" and told(page)["units"] == "1/Å³"


def test_a_notebook_gets_the_whole_page_in_a_frame() -> None:
    surface = Isosurface.of(FIELD, GRID)
    (frame,) = re.findall(r'<iframe srcdoc="([^"]*)"', surface._repr_html_())
    assert unescape(frame) == surface.html()


def test_a_picture_is_left_where_a_notebook_is_not_trusted() -> None:
    """JupyterLab cuts frames and scripts out of it, and leaves pictures whose bytes are there."""
    surface = Isosurface.of(FIELD, GRID, be_atoms())
    left = re.sub(r"<iframe.*?</iframe>", "", surface._repr_html_(), flags=re.DOTALL)
    (source,) = re.findall(r'<img src="data:image/png;base64,([^"]*)"', left)
    assert base64.b64decode(source) == surface._repr_png_() and "<script" not in left


def test_its_text_is_a_line() -> None:
    line = repr(Isosurface.of(FIELD, GRID, be_atoms(), level=0.25))
    assert line == "Isosurface(n = 0.25 1/Å³, 6×7×9 samples, 2 atoms; save(path) writes a page)"


def test_it_is_saved_whole_or_refused_in_a_line(tmp_path: Path) -> None:
    surface = Isosurface.of(FIELD, GRID)
    assert surface.save(tmp_path / "n.html").read_text() == surface.html()
    with pytest.raises(OutputError, match="nowhere"):
        surface.save(tmp_path / "nowhere" / "n.html")
    assert [p.name for p in tmp_path.iterdir()] == ["n.html"]
