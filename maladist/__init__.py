"""Electronic structure of large cells at finite temperature from machine-learned local densities of states, on Dask.

The public names are those of `__init__.pyi`; each is imported when it is first asked for, so that `import maladist` has
not to wait for torch, Dask and xarray.
"""

from maladist import interrupt as interrupt  # before what takes seconds

# isort: split
from importlib import import_module
from importlib.metadata import version
from types import ModuleType

import lazy_loader
import wrapt

from maladist import errors as errors  # for `except maladist.errors.InputError`; it imports nothing

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = version("maladist")


@wrapt.when_imported("xarray")
def _register_accessors(xarray: ModuleType) -> None:
    """Register `.maladist` on xarray's objects; its classes are imported when one is asked for."""
    for register, name in (
        (xarray.register_dataarray_accessor, "FieldAccessor"),
        (xarray.register_dataset_accessor, "DatasetAccessor"),
    ):
        register("maladist")(lambda found, name=name: getattr(import_module("maladist.accessor"), name)(found))
