"""An isosurface that can be turned: a page of its own, which a notebook shows in a frame and a report takes in.

The page brings its own viewer (viewer.js), so that JupyterLab needs no extension and a skewed cell keeps its shape:
k3d 3.2 splits a volume's matrix into turn and scale, and loses the shear.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import ase
import xarray as xr

from maladist.grid import Grid
from maladist.io.targets import write_whole
from maladist.report.pages import html_page, json_for_script
from maladist.report.volume import volume_json


@dataclass(frozen=True)
class Isosurface:
    """Where a periodic field has one value, with the cell and the atoms; shows itself in a notebook.

    Attributes
    ----------
    data
        Text of JSON with the samples, the cell, the atoms and the level.
    """

    data: str

    @classmethod
    def of(
        cls,
        field: xr.DataArray,
        grid: Grid,
        atoms: ase.Atoms | None = None,
        level: float | None = None,
        *,
        name: str = "n",
        units: str = "1/Å³",
    ) -> Isosurface:
        """Isosurface of a field (x, y, z) of any size: it is averaged to some ten thousand samples while it is read.

        Parameters
        ----------
        level
            Value of the surface in the field's units; where it is not given, 15 % of the cell have more. The page has a
            slider for it.
        """
        return cls(volume_json(field, grid, atoms, level, name, units))

    def html(self) -> str:
        """A page of its own."""
        content = {"volume": json_for_script(self.data)}
        return html_page("isosurface.html", "isosurface", content, viewer=True)

    def save(self, path: str | Path) -> Path:
        """Write the page to a file."""
        return write_whole(path, self.html())

    def _repr_html_(self) -> str:
        frame = 'style="width:100%;height:620px;border:0" title="isosurface"'
        return f'<iframe srcdoc="{escape(self.html())}" {frame}></iframe>'
