"""An isosurface that can be turned: a page of its own, which a notebook shows in a frame and a report takes in.

The page brings its own viewer (viewer.js), so that JupyterLab needs no extension and a skewed cell keeps its shape:
k3d 3.2 splits a volume's matrix into turn and scale, and loses the shear.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

import ase
import xarray as xr

from maladist.grid import Grid
from maladist.io.targets import write_whole
from maladist.report.volume import volume_json

POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Scripts and styles are in the file, pictures too: with this a browser refuses to ask for anything else."""


def resource(name: str) -> str:
    """Text of a file that lies beside this one."""
    return files("maladist.report").joinpath(name).read_text(encoding="utf-8")


def html_page(title: str, body: str, script: str = "") -> str:
    """A whole HTML file from its parts, style and policy included."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{resource('report.css')}</style></head>\n<body>\n{body}\n"
        f"<script>\n{script}</script>\n</body></html>\n"
    )


@dataclass(frozen=True)
class Isosurface:
    """Where a periodic field has one value, with the cell and the atoms; shows itself in a notebook.

    Attributes
    ----------
    data
        JSON of the samples, the cell, the atoms and the level.
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
            In the field's units; where it is not given, 15 % of the cell have more. The page has a slider for it.
        """
        return cls(volume_json(field, grid, atoms, level, name, units))

    @property
    def body(self) -> str:
        """The canvas, its controls and the data, for a page with ``viewer.js``."""
        data = self.data.replace("</", "<\\/")
        return f'{resource("surface.html")}<script type="application/json" id="volume">{data}</script>'

    def html(self) -> str:
        """A page of its own."""
        return html_page("isosurface", f'<section class="alone">{self.body}</section>', resource("viewer.js"))

    def save(self, path: str | Path) -> Path:
        """Write the page to a file."""
        return write_whole(path, self.html())

    def _repr_html_(self) -> str:
        frame = 'style="width:100%;height:620px;border:0" title="isosurface"'
        return f'<iframe srcdoc="{escape(self.html())}" {frame}></iframe>'
