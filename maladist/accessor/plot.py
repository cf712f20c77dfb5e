"""`.maladist.plot`: pictures of a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ase
import numpy as np
import xarray as xr

from maladist.errors import StoreError
from maladist.physics.surface import axis_index
from maladist.schema import SPACE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from maladist.accessor.array import FieldAccessor
    from maladist.report.isosurface import Isosurface


class FieldPlot:
    """Pictures of a field in its true geometry."""

    def __init__(self, field: FieldAccessor) -> None:
        self._of = field

    def slice(
        self,
        axis: int | str = "c",
        height: float | None = None,
        *,
        atoms: ase.Atoms | None = None,
        ax: Axes | None = None,
        signed: bool = False,
    ) -> Axes:
        """Draw a lattice plane with matplotlib; of a lazy field only the blocks that it touches are computed.

        Parameters
        ----------
        axis
            Lattice vector that the plane does not hold: 'a', 'b', 'c' or 0, 1, 2. An array over two of x, y, z is
            drawn as it is.
        height
            Fractional height along ``axis``. Default: through the atom nearest to the middle, or the middle.
        atoms
            Atoms, drawn where they lie within 0.4 Å; a Dataset's own are.
        ax
            Axes to draw on; new ones where they are not given.
        signed
            Whether the colours go from blue over white, at zero, to red, as for a difference.
        """
        # matplotlib only where something is drawn.
        from maladist.report.figures import Plane, draw_plane, plane_across, plane_through

        atoms = self._of._atoms if atoms is None else atoms
        array, grid = self._of._array, self._of.grid
        if set(array.dims) < set(SPACE) and array.ndim == 2:
            gone = next(i for i, d in enumerate(SPACE) if d not in array.dims)
            # A plane that has been chosen already: which height it has is not known any more, nor which atoms lie near.
            flat = array.transpose(*(d for d in SPACE if d in array.dims))
            if flat.shape != tuple(n for i, n in enumerate(grid.shape) if i != gone):
                raise StoreError("array", f"{flat.shape} points, a part of a plane", "a whole plane of the grid")
            plane, atoms = Plane(np.asarray(flat.values, dtype=np.float64), grid, gone, None), None
        else:
            k = axis_index(axis)
            middle = 0.5 if atoms is None else plane_through(grid, atoms.positions, k)
            plane = plane_across(self._of._field(), grid, k, middle if height is None else height)
        if ax is None:
            from matplotlib import pyplot

            ax = pyplot.subplots(layout="constrained")[1]
        mesh = draw_plane(ax, plane, atoms, name=_symbol(array))
        if signed:
            largest = float(np.abs(plane.values).max())
            mesh.set(cmap="RdBu_r", clim=(-largest, largest))
        ax.figure.colorbar(mesh, ax=ax, label=_units(array), shrink=0.85)
        return ax

    def isosurface(self, level: float | None = None, *, atoms: ase.Atoms | None = None) -> Isosurface:
        """The surface where the field has the value ``level``: a notebook shows it, ``save(path)`` writes a page."""
        from maladist.report.isosurface import Isosurface

        array = self._of._field()
        name = {"density": "n", "ldos": "d"}.get(str(array.name), str(array.name or "field"))
        atoms = self._of._atoms if atoms is None else atoms
        return Isosurface.of(array, self._of.grid, atoms, level, name=name, units=_units(array))


def _units(array: xr.DataArray) -> str:
    return str(array.attrs.get("units", "")).replace("^3", "³")


def _symbol(array: xr.DataArray) -> str:
    if array.name == "density":
        return "$n(r)$"
    if array.name == "ldos" and "energy" in array.coords:
        return f"$d(\\varepsilon, r)$, $\\varepsilon$ = {float(array['energy']):.3f} eV,"
    return str(array.name or "field")
