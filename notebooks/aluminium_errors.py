"""Errors of a model of aluminium by size, phase and temperature of the ions, and A of solid and liquid over the volume.

maladist evaluate al.maladist 'model-data/al.zarr/snapshots/test-*' --json al-933K.json
python notebooks/aluminium_errors.py al-933K.json --picture aluminium.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np

NEAR: Final = 0.01
"""Largest difference of two volumes that are called equal, as a share."""


@dataclass(frozen=True)
class Cell:
    """A held-out cell: what its name tells, its volume (Å³/atom), A of model and DFT (eV/atom) and other errors."""

    atoms: int
    phase: str
    kelvin: str
    volume: float
    model: float
    dft: float
    errors: dict[str, float]

    @classmethod
    def of(cls, found: dict[str, Any]) -> Cell:
        """The cell of a snapshot in the JSON of `maladist evaluate`."""
        _, atoms, phase, kelvin, _ = found["name"].split("-")
        a, b = (found[which]["total_free_energy"] for which in ("predicted", "reference"))
        return cls(int(atoms), phase, kelvin, found["volume"], a, b, found["errors"])


def table(cells: list[Cell]) -> str:
    """Mean absolute (and largest) errors of A and E_b in meV/atom, density and forces, as Markdown."""
    kinds: list[Callable[[Cell], str]] = [
        lambda c: f"{c.phase}, {c.atoms} atoms",
        lambda c: f"{c.phase}, {c.kelvin.replace('K', ' K')}",
        lambda c: f"{c.phase}, all",
        lambda _: "all",
    ]
    lines = ["| cells | number | A | E_b | density | forces |", "|---|---|---|---|---|---|"]
    for kind in kinds:
        for name in sorted({kind(c) for c in cells}):
            lines.append(row(name, [c.errors for c in cells if kind(c) == name]))
    return "\n".join(lines)


def row(name: str, errors: list[dict[str, float]]) -> str:
    """A line of the table."""
    a, band, density, forces = (
        np.abs([e[key] for e in errors])
        for key in ("total_free_energy_meV_per_atom", "band_energy_meV_per_atom", "density_relative", "forces_relative")
    )
    energies = " | ".join(f"{e.mean():.1f} ({e.max():.1f})" for e in (a, band))
    return f"| {name} | {len(errors)} | {energies} | {density.mean():.2%} | {np.sqrt((forces**2).mean()):.1%} |"


def order(cells: list[Cell]) -> str:
    """How often the model has the same of a solid and a liquid cell below the other in A, at equal volume."""
    by_phase = {phase: [c for c in cells if c.phase == phase] for phase in ("solid", "liquid")}
    pairs = [(s, f) for s, f in product(by_phase["solid"], by_phase["liquid"]) if abs(s.volume / f.volume - 1) < NEAR]
    right = sum((s.model < f.model) == (s.dft < f.dft) for s, f in pairs)
    of_difference = np.array([(f.model - s.model) - (f.dft - s.dft) for s, f in pairs])
    return (
        f"{len(pairs)} pairs of a solid and a liquid cell within {NEAR:.0%} of volume: order right in {right}, "
        f"error of the difference {1e3 * np.abs(of_difference).mean():.1f} meV/atom"
    )


def draw(cells: Iterable[Cell], path: Path) -> None:
    """A over the volume: the DFT's as rings, the model's as dots."""
    figure, axes = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
    for phase, colour in (("solid", "#1f5a94"), ("liquid", "#c0392b")):
        chosen = [c for c in cells if c.phase == phase]
        volumes = [c.volume for c in chosen]
        axes.plot(volumes, [c.dft for c in chosen], "o", mfc="none", ms=8, color=colour, label=f"{phase}, DFT")
        axes.plot(volumes, [c.model for c in chosen], ".", ms=6, color=colour, label=f"{phase}, model")
    axes.set(xlabel="volume, Å³/atom", ylabel="A, eV/atom")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print the table and the order, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    cells = [Cell.of(found) for found in json.loads(options.evaluation.read_text())["snapshots"]]
    print(table(cells))
    print(order(cells))
    if options.picture:
        draw(cells, options.picture)


if __name__ == "__main__":
    main()
