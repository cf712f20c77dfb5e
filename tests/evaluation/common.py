"""Made-up errors, and snapshots whose DFT is a model's own prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maladist import Prediction
from maladist.evaluation.statistics import Evaluated
from maladist.io import datasets, stores

GRID = (10, 9, 14)


def evaluated(name: str, n: int, error: float, volume: float = 8.0, ewald: float = -40.0, **rest: object) -> Evaluated:
    """Made up: A and E_b are linear in volume and Ewald, the model's A is off by so many meV/atom."""
    energy = 1.0 + 0.3 * volume + 0.2 * ewald
    dft = {"total_free_energy": energy, "band_energy": -energy}
    ours = {k: v + error / 1e3 for k, v in dft.items()}
    figures = (0.1, 0.2, 0.01, 0.02, 0.001, 0.01, 1.0, 0.01, 0.0, 1.0)
    return Evaluated(name, name, n, volume, ewald, *figures, ours, dft, **rest)  # type: ignore[arg-type]


def as_snapshot(prediction: Prediction, shift: float = 0.0, without: str = "") -> Path:
    """The prediction with a reference: its own energies, moved by so many eV."""
    values = {n: (v + shift if n.endswith("_eV") else v) for n, v in prediction._scalars().items() if v is not None}
    values.pop(without, None)
    reference = stores.create(prediction.store / datasets.REFERENCE, {}, {})
    stores.write_values(reference, {n: ((), np.float64(v), "eV") for n, v in values.items()})
    stores.finish(reference)
    return prediction.store
