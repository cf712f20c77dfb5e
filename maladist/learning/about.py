"""What a model says of itself to people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from maladist.errors import ModelError
from maladist.learning.ensemble import EnsembleNetwork
from maladist.learning.network import FeedForward
from maladist.learning.parts import ModelParts

HELD_OUT: Final = "held_out"
"""Key of the provenance under which `maladist evaluate --card` writes errors; it is no part of the content hash."""

COLUMNS: Final = {
    "A, meV/atom": ("total_free_energy_meV_per_atom", "{:.1f}"),
    "E_b, meV/atom": ("band_energy_meV_per_atom", "{:.1f}"),
    "density, mean abs. Δn / mean n": ("density_relative", "{:.2%}"),
    "forces, RMSE / RMS": ("forces_relative", "{:.1%}"),
}
"""Errors of a card's table, mean absolute ones: their names and how they are written."""


def model_rows(model: ModelParts, content_hash: str) -> list[tuple[str, str]]:
    """Rows of (what, how much) about a model."""
    grid, zeros = model.energy_grid, ", ".join(f"{s} {c:g} eV Å³" for s, c in model.energy_zero.items())
    elements = [
        f"{e.symbol} ({'valence unknown' if e.valence is None else f'{e.valence:g} electrons'}, "
        f"{e.pseudopotential or 'pseudopotential unknown'})"
        for e in model.elements.values()
    ]
    rows = [
        ("kind", "model"),
        ("elements", ", ".join(elements) or "not told"),
        ("descriptors", ", ".join(f"{k} {v}" for k, v in model.descriptor.to_dict().items())),
        ("network", layers_of(model.network)),
        (
            "energies",
            f"{' and '.join(f'{n} levels from {at:g} eV by {step:g} eV' for at, step, n in grid.windows)}"
            f"{' above the zero of energy' if zeros else ''}, broadening {grid.kernel} {grid.width:g} eV"
            if model.has_ldos
            else "none: the density alone",
        ),
        ("density channel", "yes" if model.has_density_channel else "no"),
        # Why the levels of a result are others than the model's.
        ("zero of energy", f"of a cell: the sum of its atoms' {zeros}, over its volume" if zeros else "the data's"),
        ("temperature", "not told" if model.temperature is None else f"{model.temperature:g} K"),
        ("assume_isolated", model.assume_isolated or "none, of crystals"),
        ("functional", model.xc or "not told"),
        ("density cutoff", "not told" if model.density_cutoff is None else f"{model.density_cutoff:.1f} eV"),
        ("grid spacing", "not told" if model.spacing is None else " ".join(f"{h:.4f}" for h in model.spacing) + " Å"),
        ("training", "not told" if model.domain is None else str(model.domain.cells)),
        ("uncertainty", "not calibrated" if model.uncertainty is None else str(model.uncertainty)),
        ("content hash", content_hash),
    ]
    # What is long is the card's.
    return rows + [(str(k), str(v)) for k, v in model.provenance.items() if not isinstance(v, Mapping | list | tuple)]


def layers_of(network: FeedForward | EnsembleNetwork) -> str:
    """Widths of a network's layers; of an ensemble with how many there are, and what stands for them."""
    layers = "-".join(map(str, network.layer_sizes))
    if isinstance(network, FeedForward):
        return layers
    members = f"{len(network.networks)} × {'-'.join(map(str, network.networks[0].layer_sizes))}"
    return members if network.student is None else f"{layers} for {members}"


def held_out_rows(model: ModelParts) -> list[list[str]]:
    """Rows of the table of errors on held-out cells: cells, how many, and mean (largest) errors; empty without any.

    Raises
    ------
    ModelError
        What the file holds there is no such table: a provenance may be anything that JSON can hold.
    """
    try:
        by_size = model.provenance.get(HELD_OUT, {}).get("errors", {})
        groups = [(int(g.split()[0]), g, by_size[g]) for g in by_size]
        return [
            [group, str(int(of["cells"])), *(_error(of.get(key), form) for key, form in COLUMNS.values())]
            for _, group, of in sorted(groups, key=lambda g: g[:2])
        ]
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelError(
            "card", f"errors that cannot be read ({error!r:.120})", "what evaluate --card writes"
        ) from None


def _error(mean_and_largest: Any, form: str) -> str:
    if mean_and_largest is None:
        return "–"
    mean, largest = mean_and_largest
    return f"{form.format(mean)} ({form.format(largest)})"


def card_of(model: ModelParts, name: str, content_hash: str) -> str:
    """The card that a model carries, Markdown: what it is for, its errors, how it was trained."""
    parts = [f"# {name}", _table(["", ""], [list(row) for row in model_rows(model, content_hash)[1:]])]
    if held_out := held_out_rows(model):
        data = ", ".join(f"`{d}`" for d in _names(model.provenance[HELD_OUT].get("data")))
        parts.append(f"## Errors on held-out cells\n\n{data}: mean absolute (largest) errors against DFT.")
        parts.append(_table(["cells", "number", *COLUMNS], held_out))
    else:
        parts.append(
            "## Errors on held-out cells\n\nNone are told: `maladist evaluate MODEL DATA --card` writes them here."
        )
    # A provenance may be anything that JSON can hold: what has another shape is left out.
    errors, config = (_mapping(model.provenance.get(key)) for key in ("errors", "config"))
    if errors:
        rows = [[str(k), f"{v:.4g}" if isinstance(v, float) else str(v)] for k, v in errors.items()]
        parts.append("## Errors on the validation cells at the end of the training\n\n" + _table(["", ""], rows))
    trained_on, validated_on = (_names(model.provenance.get(f"{what} on")) for what in ("trained", "validated"))
    if trained_on:
        validated = ", ".join(validated_on) or "none"
        names = f"{len(trained_on)} snapshots, {trained_on[0]} to {trained_on[-1]}"
        parts.append(f"## Data\n\nTrained on {names}; validated on {validated}.")
    if config:
        parts.append(f"## How it was trained\n\n`maladist train` with\n\n```yaml\n{_yaml(config)}\n```")
    return "\n\n".join(parts) + "\n"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, Mapping | list | tuple) else []


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _yaml(config: Mapping[str, Any]) -> str:
    """A configuration as YAML of one line a key: JSON, which YAML contains, behind each."""
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in config.items())
