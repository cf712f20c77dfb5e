"""`.maladist` on xarray's DataArray and Dataset: what an LDOS or a density is good for, lazily.

field = maladist.ldos(atoms, model)                     # nothing is computed
field.isel(z=0).maladist.density(mu, 1000.0)            # n(r) in a plane, from the blocks that it touches
result.dataset.maladist.plot.slice("c")                 # with the atoms that lie near it
"""

from maladist.accessor.array import FieldAccessor
from maladist.accessor.dataset import DatasetAccessor
from maladist.accessor.plot import FieldPlot

__all__ = ["DatasetAccessor", "FieldAccessor", "FieldPlot"]
