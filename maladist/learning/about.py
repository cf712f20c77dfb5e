"""What a model says of itself to people."""

from __future__ import annotations

from maladist.learning.parts import ModelParts


def model_rows(model: ModelParts, content_hash: str) -> list[tuple[str, str]]:
    """Rows of (what, how much) about a model."""
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
            f" broadening {grid.kernel} {grid.width:g} eV"
            if model.has_ldos
            else "none: the density alone",
        ),
        ("density channel", "yes" if model.has_density_channel else "no"),
        ("zero of energy", ", ".join(f"{s} {c:g} eV Å³" for s, c in model.energy_zero.items()) or "the data's"),
        ("temperature", "not told" if model.temperature is None else f"{model.temperature:g} K"),
        ("functional", model.xc or "not told"),
        ("density cutoff", "not told" if model.density_cutoff is None else f"{model.density_cutoff:.1f} eV"),
        ("grid spacing", "not told" if model.spacing is None else " ".join(f"{h:.4f}" for h in model.spacing) + " Å"),
        ("training", "not told" if model.domain is None else str(model.domain.cells)),
        ("content hash", content_hash),
    ]
    return rows + [(str(k), str(v)) for k, v in model.provenance.items()]
