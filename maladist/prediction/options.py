"""The keywords that the public verbs share, typed once: what is computed, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from maladist.choices import CorrectionMode, DoubleCountingChoice, Functional, Precision
from maladist.elements import Element
from maladist.errors import GridError
from maladist.grid import Grid
from maladist.numerics import Numerics
from maladist.physics.surface import Side

Chunks = str | Sequence[int]
"""Points of a block along the lattice vectors; 'auto' fits them to the workers."""


class NumericsOptions(TypedDict, total=False):
    """Fields of `maladist.numerics.Numerics` as keywords; what is left out is as there."""

    backend: str
    device: str
    precision: Precision


class CellOptions(NumericsOptions, total=False):
    """Keywords of `predict` (which describes them) that say at what and how D(ε) and n(r) of a cell are computed."""

    temperature: float | Sequence[float] | None
    grid: Grid | Sequence[int] | None
    pseudopotentials: str | Path | Mapping[str, Element] | None
    density_cutoff: float | None
    broadening_correction: CorrectionMode
    chunks: Chunks
    strict: bool


class Options(CellOptions, total=False):
    """Keywords of `predict` that its relatives take too; each may be left out."""

    keep: Sequence[str]
    forces: bool
    stress: bool


class ObserveOptions(TypedDict, total=False):
    """Keywords of `observe` (which describes them); what is left out, the data tell."""

    temperature: float | Sequence[float] | None
    pseudopotentials: str | Path | Mapping[str, Element] | None
    xc: Functional | None
    density_cutoff: float | None
    broadening_correction: CorrectionMode
    double_counting: DoubleCountingChoice


class ImageOptions(TypedDict, total=False):
    """Keywords of `stm` (which describes them) beside the bias and where it is computed."""

    height: float | None
    current: float | None
    axis: int | str
    side: Side
    mu: float | None


class SourceOptions(CellOptions, ObserveOptions, total=False):
    """Keywords of what takes atoms with a model, or an LDOS, or a result of either; see `source.result_of`."""


def check_names(given: Iterable[str], known: frozenset[str] = Options.__optional_keys__) -> None:
    """Refuse keywords that are none, which ``**options`` would let pass.

    Raises
    ------
    TypeError
        A keyword is none of these, as Python's own error of an unexpected argument.
    """
    if unknown := sorted(set(given) - known):
        raise TypeError(
            f"unexpected keyword argument {', '.join(map(repr, unknown))}; there are {', '.join(sorted(known))}"
        )


def numerics_of(options: Options) -> Numerics:
    """How descriptors and network are to be computed."""
    return Numerics(
        options.get("backend", Numerics.backend),
        options.get("device", Numerics.device),
        options.get("precision", Numerics.precision),
    )


def check_chunks(chunks: Chunks) -> None:
    """Refuse what is neither 'auto' nor three numbers of points."""
    if chunks == "auto" or (not isinstance(chunks, str) and len(chunks) == 3 and min(chunks) >= 1):
        return
    came = repr(chunks) if isinstance(chunks, str) else f"{tuple(chunks)}"
    raise GridError("chunks", came, "'auto' or three numbers of points")
