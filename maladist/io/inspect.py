"""What a file or a store holds, for people."""

from __future__ import annotations

from pathlib import Path

from maladist.errors import InputError
from maladist.io.model_file import load_model
from maladist.io.stores import open_dataset
from maladist.learning.model import LDOSModel


def describe(path: str | Path) -> list[tuple[str, str]]:
    """Rows of (what, how much) about a model file, a MALA zip or a store.

    Raises
    ------
    InputError
        A path that does not exist or holds neither.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("file", f"{path} does not exist", "a model file or a store")
    return _model_rows(load_model(path)) if path.is_file() else _store_rows(path)


def _model_rows(model: LDOSModel) -> list[tuple[str, str]]:
    grid = model.energy_grid
    elements = [
        f"{e.symbol} ({'valence unknown' if e.valence is None else f'{e.valence:g} electrons'}, "
        f"{e.pseudopotential or 'pseudopotential unknown'})"
        for e in model.elements.values()
    ]
    rows = [
        ("kind", "model"),
        ("elements", ", ".join(elements) or "not told"),
        ("descriptors", ", ".join(f"{k} {v}" for k, v in model.descriptor.to_dict().items())),
        ("network", " – ".join(map(str, model.network.layer_sizes))),
        (
            "energies",
            f"{grid.levels} levels from {grid.origin:g} eV by {grid.spacing:g} eV,"
            f" broadening {grid.kernel} {grid.width:g} eV",
        ),
        ("temperature", "not told" if model.temperature is None else f"{model.temperature:g} K"),
        ("functional", model.xc or "not told"),
        ("density cutoff", "not told" if model.density_cutoff is None else f"{model.density_cutoff:.1f} eV"),
        ("grid spacing", "not told" if model.spacing is None else " ".join(f"{h:.4f}" for h in model.spacing) + " Å"),
        ("content hash", model.content_hash),
    ]
    return rows + [(str(k), str(v)) for k, v in model.provenance.items()]


def _store_rows(path: Path) -> list[tuple[str, str]]:
    dataset = open_dataset(path, unfinished=True)
    rows = [("kind", "store" if dataset.attrs.get("complete", True) else "store that a run left unfinished (--resume)")]
    for name, variable in dataset.data_vars.items():
        where = " ".join(f"{d} {n}" for d, n in variable.sizes.items())
        value = f"{float(variable):.8g}" if variable.ndim == 0 else where
        rows.append((str(name), f"{value} {variable.attrs.get('units', '')}"))
    return rows + [(str(k), str(v)) for k, v in dataset.attrs.items() if k not in ("complete", "work")]
