"""Snapshots whose DFT is a model's own prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maladist import Prediction
from maladist.io import datasets, stores


def as_snapshot(prediction: Prediction, shift: float = 0.0, without: str = "") -> Path:
    """The prediction with a reference: its own energies, moved by so many eV."""
    values = {n: (v + shift if n.endswith("_eV") else v) for n, v in prediction._scalars().items() if v is not None}
    values.pop(without, None)
    reference = stores.create(prediction.store / datasets.REFERENCE, {}, {})
    stores.write_values(reference, {n: ((), np.float64(v), "eV") for n, v in values.items()})
    stores.finish(reference)
    return prediction.store
