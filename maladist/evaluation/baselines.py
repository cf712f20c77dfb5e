"""What needs no network, beside a model: the mean of the training, and least squares in volume and Ewald energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from maladist.arrays import Array
from maladist.datasets.snapshots import Snapshot
from maladist.elements import Element
from maladist.errors import InputError
from maladist.evaluation.statistics import BAND, TOTAL, Evaluated, Statistics, by_size
from maladist.physics.energies import ion_energy

_KIND: Final = {BAND: "E_b", TOTAL: "A"}


@dataclass(frozen=True)
class Baselines:
    """What needs no network: errors on the same snapshots, meV/atom.

    Attributes
    ----------
    errors
        Errors by name ('A: mean of training', 'A: linear', 'E_b: linear', ...), one for each snapshot.
    summary
        Statistics of the errors, by group as in `summary`.
    training
        Number of training snapshots.
    """

    errors: Mapping[str, tuple[float, ...]]
    summary: Mapping[str, Mapping[str, Statistics]]
    training: int


def check_training(training: Sequence[Snapshot], names: Sequence[str] = (BAND,)) -> None:
    """Refuse training snapshots that no baseline can be learnt from.

    Parameters
    ----------
    training
        Snapshots to learn the baselines from.
    names
        Names of the energies that baselines are wanted of.

    Raises
    ------
    InputError
        Fewer than three snapshots, or some whose energies are not known.
    """
    if len(training) < 3:
        raise InputError("train", f"{len(training)} snapshots", "three or more to fit (1, volume, Ewald) to")
    for name in names:
        if missing := [s.name for s in training if f"{name}_eV" not in s.terms]:
            raise InputError("train", f"{missing[0]} without {name}_eV in its reference", "snapshots with energies")


def baselines(
    evaluated: Sequence[Evaluated], training: Sequence[Snapshot], elements: Mapping[str, Element]
) -> Baselines:
    """Errors of 'always the mean of the training snapshots', and of least squares in (1, volume/atom, Ewald/atom).

    Parameters
    ----------
    evaluated
        Errors of the model, on the snapshots that the baselines are to predict.
    training
        Snapshots to learn from.
    elements
        Valences by symbol, for the Ewald energy where the reference has none.

    Raises
    ------
    InputError
        Fewer than three training snapshots, or some whose energies are not known.
    """
    check_training(training, [name for name in _KIND if all(name in one.reference for one in evaluated)])
    x = np.array([_coordinates(s, elements) for s in training])
    # NaN where an Ewald energy is not known: the linear baseline is then left out, the mean stays.
    at = np.array([(1.0, one.volume, np.nan if one.ewald is None else one.ewald) for one in evaluated])
    rows: dict[str, list[tuple[int, float]]] = {}
    for name, kind in _KIND.items():
        if not all(name in one.reference for one in evaluated):
            continue
        # Per atom: cells of all sizes are fitted together.
        y = np.array([s.terms[f"{name}_eV"] / s.system.n_atoms for s in training])
        dft = np.array([one.reference[name] for one in evaluated])
        guesses = {"mean of training": np.full(len(dft), y.mean()), "linear": _linear(x, y, at)}
        for label, guess in guesses.items():
            if np.isfinite(guess).all():
                errors = 1e3 * (guess - dft)
                rows[f"{kind}: {label}"] = [(o.n_atoms, float(e)) for o, e in zip(evaluated, errors, strict=True)]
    return Baselines({k: tuple(e for _, e in v) for k, v in rows.items()}, by_size(rows), len(training))


def _coordinates(snapshot: Snapshot, elements: Mapping[str, Element]) -> tuple[float, float, float]:
    n, ewald = snapshot.system.n_atoms, snapshot.terms.get("ewald_eV")
    if ewald is None:
        ewald = ion_energy(replace(snapshot.system, elements=elements))
    return 1.0, snapshot.system.grid.volume / n, np.nan if ewald is None else ewald / n


def _linear(x: Array, y: Array, at: Array) -> Array:
    """Least squares y ≈ x c, at other x; about the mean, where equal volumes leave a coefficient zero."""
    if not (np.isfinite(x).all() and np.isfinite(at).all()):
        return np.full(len(at), np.nan)
    # About the mean, so that rcond cuts off what does not vary among the snapshots and not what is merely small.
    mean = x[:, 1:].mean(0)
    c = np.linalg.lstsq(x[:, 1:] - mean, y - y.mean(), rcond=1e-9)[0]
    return np.asarray(y.mean() + (at[:, 1:] - mean) @ c)
