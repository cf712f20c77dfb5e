"""What other programs expect of a finished store: fields that know their grid, and all metadata in one place.

`xarray.open_zarr` reads the latter first, and has its variables in their order: that of the data contract.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import zarr

from maladist.io.chunks import WORK
from maladist.io.digests import DIGESTS, arrays_of
from maladist.io.targets import write_whole
from maladist.metadata import field_attributes
from maladist.schema import COORDINATES, LONG_NAMES

_ORDER: Final = [*COORDINATES, *LONG_NAMES]


def name_fields(path: Path, group: zarr.Group) -> None:
    """Give the fields of a group what their accessor needs of its attributes, and the names of their coordinates."""
    # By their files: a run's folder ``work`` without metadata is none of zarr's, which would warn of it.
    names = [p.name for p in arrays_of(path)]
    beside = " ".join(name for name in COORDINATES if name in names and name not in ("x", "y", "z"))
    for name in names:
        array: Any = group[name]
        needed = field_attributes(name, array.metadata.dimension_names or (), group.attrs.asdict())
        if needed:
            # CF's word for coordinates that are no dims.
            array.attrs.update({**needed, "coordinates": beside} if beside and "cell" in needed else needed)


def consolidate(path: Path) -> None:
    """Put the metadata of a store's arrays and groups into its own, as zarr does, in the order of the contract."""
    nodes = dict(_nodes(path))
    in_order = sorted(nodes, key=lambda name: (name.count("/"), _ORDER.index(name) if name in _ORDER else len(_ORDER)))
    together = {"kind": "inline", "must_understand": False, "metadata": {name: nodes[name] for name in in_order}}
    file = path / "zarr.json"
    write_whole(file, json.dumps({**json.loads(file.read_text()), "consolidated_metadata": together}, indent=2))


def _nodes(group: Path, above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Metadata of what is in a group, by name; of an array the folders of its chunks are not looked through."""
    for folder in sorted(group.iterdir()):
        if not (folder / "zarr.json").is_file() or folder.name in (WORK, DIGESTS):
            continue
        facts = json.loads((folder / "zarr.json").read_text())
        yield f"{above}{folder.name}", facts
        if facts["node_type"] == "group":
            yield from _nodes(folder, f"{above}{folder.name}/")
