"""The attributes of a store, the other half of the data contract: what their values must be, in code and in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypedDict, get_args

import numpy as np

from maladist.energy_grid import Kernel
from maladist.errors import StoreError
from maladist.physics.isolated import Isolated


class _OutsideAttributes(TypedDict):
    points: int
    share: float
    largest_novelty: float
    largest_at_A: Sequence[float]


class OutsideAttributes(_OutsideAttributes, total=False):
    """Where a cell lies outside of the model's training: points, their share, the largest novelty and its place, Å.

    ``growth`` is the mean of ν⁴/(1 + ν²) over the points, ν the novelty; stores of older versions do not have it.
    """

    growth: float


class Attributes(TypedDict, total=False):
    """The attributes of a store of the data contract, in the types that `check_attributes` holds them to."""

    schema_version: int
    cell: Sequence[float]
    grid: Sequence[int]
    temperature_K: float | Sequence[float]
    n_electrons: float | None
    xc: str | None
    density_cutoff_eV: float | None
    assume_isolated: Isolated
    broadening_kernel: Kernel
    broadening_width_eV: float
    energy_levels: int
    energy_parts: Sequence[int]
    energy_zero_eV: float
    energy_shift_eV: float
    pseudopotentials: Mapping[str, Mapping[str, str | None]]
    descriptors: Mapping[str, object]
    descriptor_spec: Mapping[str, object]
    double_counting: str
    reference_temperature_K: float | None
    broadening_correction: bool | None
    complete: bool
    work: Mapping[str, object]
    notes: Sequence[str]
    seconds: Mapping[str, float]
    versions: Mapping[str, str]
    blocks: int
    block_shape: Sequence[int]
    workers: int
    members: int
    peak_memory_bytes: int
    outside: OutsideAttributes
    source: str
    of: str
    model: str
    model_hash: str
    command: str
    host: str
    finished: str


def _numbers(count: int | None = None, least: float = -math.inf) -> Callable[[object], bool]:
    """Whether a value is finite numbers, so many, none below ``least``; a list or an array where they are several."""

    def good(value: object) -> bool:
        # numpy would take true for 1 and a text of digits for a number.
        if isinstance(value, bool | str | Mapping):
            return False
        try:
            array = np.asarray(value)
        except ValueError:  # lists of different lengths
            return False
        finite = (
            array.dtype.kind in "iuf" and array.size > 0 and bool(np.isfinite(array).all() and array.min() >= least)
        )
        return finite and (count is None or array.size == count) and (count == 1) <= (array.ndim == 0)

    return good


def _text(value: object) -> bool:
    return isinstance(value, str)


def _mapping(value: object, of: Callable[[object], bool] = lambda _: True) -> bool:
    return isinstance(value, Mapping) and all(map(of, value.values()))


def _outside(value: object) -> bool:
    if not isinstance(value, Mapping) or set(OutsideAttributes.__required_keys__) - set(value):
        return False
    return all(
        _numbers(3 if name == "largest_at_A" else 1)(value[name])
        for name in OutsideAttributes.__annotations__
        if name in value
    )


ATTRIBUTES: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "cell": (_numbers(9), "nine numbers, rows of lattice vectors in Å"),
    "grid": (_numbers(3, 1), "three numbers of points"),
    "temperature_K": (_numbers(None, 0), "a temperature in K, or several"),
    "n_electrons": (_numbers(1, 0), "a number of electrons"),
    "xc": (_text, "the name of a functional"),
    "density_cutoff_eV": (_numbers(1, 0), "a number, eV"),
    "assume_isolated": (lambda v: v in get_args(Isolated), ", ".join(get_args(Isolated))),
    "broadening_kernel": (lambda v: v in get_args(Kernel), ", ".join(get_args(Kernel))),
    "broadening_width_eV": (_numbers(1, 0), "a number, eV"),
    "energy_levels": (_numbers(1, 1), "a number of levels"),
    "energy_parts": (_numbers(None, 2), "numbers of levels, of each part of the energies"),
    "energy_shift_eV": (_numbers(1), "a number, eV"),
    "energy_zero_eV": (_numbers(1), "a number, eV"),
    "pseudopotentials": (lambda v: _mapping(v, _mapping), "what is known of each, by element"),
    "descriptors": (_mapping, "a descriptor's family and fields"),
    "descriptor_spec": (_mapping, "a descriptor's family and fields"),
    "double_counting": (_text, "the density of the double counting"),
    "reference_temperature_K": (_numbers(1, 0), "a temperature in K"),
    "broadening_correction": (lambda v: isinstance(v, bool | np.bool_), "true or false"),
    "complete": (lambda v: isinstance(v, bool | np.bool_), "true or false"),
    "work": (_mapping, "what a run computes with, by name"),
    "notes": (lambda v: isinstance(v, list | tuple) and all(map(_text, v)), "a list of texts"),
    "seconds": (lambda v: _mapping(v, _numbers(1)), "seconds by stage"),
    "versions": (lambda v: _mapping(v, _text), "versions by package"),
    "blocks": (_numbers(1, 0), "a number"),
    "block_shape": (_numbers(3, 1), "three numbers of points"),
    "workers": (_numbers(1, 0), "a number"),
    "outside": (_outside, f"a mapping with {', '.join(OutsideAttributes.__annotations__)}"),
    "members": (_numbers(1, 0), "a number"),
    "peak_memory_bytes": (_numbers(1, 0), "a number, bytes"),
    **dict.fromkeys(("source", "of", "model", "model_hash", "command", "host", "finished"), (_text, "text")),
}
"""What each attribute must be, by name, in code and in words. All may be absent, and null."""


def check_attributes(attributes: Mapping[str, object], source: str) -> None:
    """Refuse attributes of another type, and numbers that cannot be.

    Parameters
    ----------
    attributes
        Attributes by name; names that the contract does not have are left alone.
    source
        Name of their source, for errors.

    Raises
    ------
    StoreError
        Naming the attribute, what it is and what the contract wants.
    """
    for name, (good, wanted) in ATTRIBUTES.items():
        value = attributes.get(name)
        if value is not None and not good(value):
            raise StoreError(f"{source}: {name}", f"{value!r:.80}", wanted)
