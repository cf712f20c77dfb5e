"""Arrays of Dask, written into stores."""

from __future__ import annotations

from collections.abc import Mapping

import dask.array as da
from distributed import Client

from maladist.io import stores


def write_lazy(path: stores.OnDisk, values: Mapping[str, da.Array], scheduler: Client | str) -> None:
    """Compute lazy arrays into arrays of a store that are there already, chunk by chunk of theirs."""
    targets = {name: stores.open_array(path, name) for name in values}
    # No lock, for a chunk is then one task's: of two tasks that write a part each, one part is lost, and read as NaN.
    sources = [values[name].rechunk(target.chunks) for name, target in targets.items()]
    da.store(sources, list(targets.values()), lock=False, scheduler=scheduler)
