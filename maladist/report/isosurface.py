"""An isosurface that can be turned: a page of its own, which a notebook shows in a frame and a report takes in.

The page brings its own viewer (viewer.js), so that JupyterLab needs no extension and a skewed cell keeps its shape:
k3d 3.2 splits a volume's matrix into turn and scale, and loses the shear.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

import ase
import xarray as xr

from maladist.grid import Grid
from maladist.io.targets import write_whole
from maladist.report.pages import html_page, json_for_script
from maladist.report.still import still
from maladist.report.volume import volume_json


@dataclass(frozen=True)
class Isosurface:
    """Where a periodic field has one value, with the cell and the atoms; shows itself in a notebook.

    Where a notebook is not trusted, or on paper, nothing may run: a picture, which cannot be turned, stands there.

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
        # The frame lies on the picture. What must not run is cut out of a notebook that is not trusted, the frame's
        # content above all; then the picture is what remains.
        picture = f"data:image/png;base64,{base64.b64encode(self._repr_png_()).decode()}"
        over = "position:absolute;inset:0;width:100%;height:100%;border:0"
        return (
            f'<div style="position:relative;min-height:620px"><img src="{picture}" alt="{escape(repr(self))}">'
            f'<iframe srcdoc="{escape(self.html())}" style="{over}" title="isosurface"></iframe></div>'
        )

    def _repr_png_(self) -> bytes:
        return self._picture

    @cached_property
    def _picture(self) -> bytes:
        return still(self.data)

    def __repr__(self) -> str:
        said = json.loads(self.data)
        samples = "×".join(map(str, said["shape"]))
        return (
            f"Isosurface({said['name']} = {said['level']:.4g} {said['units']}, {samples} samples, "
            f"{len(said['atoms'])} atoms; save(path) writes a page)"
        )
