"""What a store tells, as words and numbers of a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from maladist.attributes import Attributes
from maladist.physics.energies import Term
from maladist.prediction.provenance import versions
from maladist.prediction.result import Prediction

UNKNOWN: Final = "–"
"""What stands for a number that is not known."""


def number(value: float, spread: float | None, digits: int) -> str:
    """A number with so many digits behind the point, ± its spread where there is one."""
    if not np.isfinite(value):
        return UNKNOWN
    text = f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no minus before a zero
    return text if spread is None or not np.isfinite(spread) else f"{text} ± {spread:.{digits}f}"


@dataclass(frozen=True)
class Row:
    """A line of a table: a term of A, or another quantity, and its values."""

    label: str
    cells: list[str]
    total: bool = False


def term_label(term: Term) -> str:
    """A term's label, which tells where its sign in A is minus."""
    return f"{term.label} (enters with −)" if term.sign < 0 else term.label


def values(prediction: Prediction, name: str) -> list[float]:
    """Values of a scalar at each temperature; none where the store does not hold it."""
    return [float(x) for x in np.atleast_1d(prediction.dataset[name])] if name in prediction.dataset else []


def told(prediction: Prediction) -> Attributes:
    """What the store tells; what it has as null, it does not tell."""
    return cast(Attributes, {k: v for k, v in prediction.dataset.attrs.items() if v is not None})


def provenance(attrs: Attributes) -> Iterator[tuple[str, str | None]]:
    """Who made the store of what; a value is None where the store does not tell."""
    yield "command", attrs.get("command")
    yield "model", attrs.get("model")
    yield "model's SHA-256", attrs.get("model_hash")
    yield "made by", attrs.get("source")
    yield "on", attrs.get("host")
    yield "finished", attrs.get("finished")
    yield "versions", ", ".join(f"{k} {v}" for k, v in attrs.get("versions", {}).items())
    yield "functional", attrs.get("xc")
    yield "electrons", f"{attrs['n_electrons']:g}" if "n_electrons" in attrs else None
    yield "density cutoff", f"{attrs['density_cutoff_eV']:.6g} eV" if attrs.get("density_cutoff_eV") else None
    yield "assume_isolated", attrs.get("assume_isolated")
    yield "broadening", f"{attrs.get('broadening_kernel', 'unknown')}, {attrs.get('broadening_width_eV', 0):g} eV"
    if "energy_zero_eV" in attrs:
        yield "zero of energy", f"{attrs['energy_zero_eV']:.4f} eV of this cell, added to the model's levels"
    if "broadening_correction" in attrs:
        yield "broadening corrected", "yes" if attrs["broadening_correction"] else "no"
    yield "double counting at", _double_counting(attrs)
    for symbol, of in attrs.get("pseudopotentials", {}).items():
        yield f"pseudopotential {symbol}", of.get("file")
    yield "this report by", f"maladist {versions(('maladist',)).get('maladist', '')}"


def _double_counting(attrs: Attributes) -> str | None:
    """Density at which −E_H + E_xc − ∫ v_xc n was taken; None where the store does not tell."""
    origin = {
        "dft": "the density of the DFT",
        "channel": "the density channel of the model",
        "ldos": "the density from the LDOS",
    }.get(attrs.get("double_counting", ""))
    t0 = attrs.get("reference_temperature_K")
    return origin if origin is None or t0 is None else f"{origin} at {t0:.6g} K"
