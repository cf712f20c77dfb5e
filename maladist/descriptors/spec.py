"""What a family of descriptors is, and how families are found.

A family is a frozen dataclass derived from `Spec`, in a module or a package of this folder. Nothing lists the families:
a name that is not known yet makes `find_family` import what the folder holds, and deriving from `Spec` registers.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import ClassVar, Final, NamedTuple, Self

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols

from maladist.arrays import Array, Indices, Numbers
from maladist.errors import AtomsError, InputError

COINCIDENT = 1e-8
"""Å; an atom within 1e-10 Å of a point is seen this far above it, along +z: the limit r → 0."""


@dataclass(frozen=True, eq=False)
class Request:
    """What a kernel is asked for, already validated.

    Attributes
    ----------
    points
        Positions of the points, (n_points, 3) float64, Å; one at least.
    positions
        Atoms with their images written out, (n_atoms, 3) float64, Å.
    numbers
        Atomic numbers, (n_atoms,).
    variables
        Points and positions as float64 tensors; what requires a gradient is to be differentiated by.
    device, dtype
        Device and type of the result, and of the work where the kernel has the choice.
    threads
        Number of threads that the kernel may use.
    """

    points: Array
    positions: Array
    numbers: Numbers
    variables: tuple[torch.Tensor, torch.Tensor]
    device: torch.device
    dtype: torch.dtype
    threads: int

    @property
    def wants_gradient(self) -> bool:
        """Whether the result is to be differentiated."""
        return torch.is_grad_enabled() and any(v.requires_grad for v in self.variables)

    @property
    def numpy_dtype(self) -> np.dtype[np.floating]:
        """The type of the result as numpy's."""
        return np.dtype(str(self.dtype).removeprefix("torch."))

    def of_atoms(self, rows: Indices) -> Request:
        """The same with these atoms only."""
        points, positions = self.variables
        chosen = positions.index_select(0, torch.from_numpy(rows).to(positions.device))
        return replace(self, positions=self.positions[rows], numbers=self.numbers[rows], variables=(points, chosen))


Kernel = Callable[[Request], torch.Tensor]
"""Takes a request to the descriptors, (n_points, n_features), of the request's device and dtype."""


class Adjoint(NamedTuple):
    """Derivative of Σ_r c(r)·B(r) for a cotangent c of the descriptors B of points r.

    Attributes
    ----------
    gradient
        Σ_r g_k(r) for each atom, images apart, with g_k(r) = c(r)·∂B(r)/∂R_k: (n_atoms, 3) float64, 1/Å.
    virial
        Σ_r Σ_k g_k(r) ⊗ (R_k − r), the derivative by a strain of all points and atoms together, (3, 3) float64.
    """

    gradient: Array
    virial: Array

    @classmethod
    def of_parts(cls, n_atoms: int, parts: Iterable[tuple[Indices, Adjoint]]) -> Adjoint:
        """Join the adjoints of some of the atoms each, which come with the rows of these atoms; 0 for all others."""
        gradient, virial = np.zeros((n_atoms, 3)), np.zeros((3, 3))
        for rows, part in parts:
            gradient[rows] = part.gradient
            virial += part.virial
        return cls(gradient, virial)


AdjointKernel = Callable[[Request, torch.Tensor], Adjoint]
"""Takes a request and a cotangent, (n_points, n_features) of the request's device and dtype, to the derivatives."""


LONGEST: Final = 100.0
"""Longest length of a descriptor, Å: a sphere of it holds half a million atoms of a dense solid."""


class Spec(ABC):
    """Specification of a descriptor; derive as a frozen dataclass with JSON-able fields.

    Attributes
    ----------
    family
        Unique name in files.
    cutoff
        Distance from which on an atom is not seen, Å.
    """

    family: ClassVar[str]
    cutoff: float

    _families: ClassVar[dict[str, type[Spec]]] = {}

    def __init_subclass__(cls) -> None:
        if "family" not in cls.__dict__:
            return  # a shared base, not a family
        known = Spec._families.get(cls.family)
        # A module that is imported again, as by a notebook, registers the same class once more: no conflict.
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"family {cls.family!r} is {known.__module__}.{known.__qualname__} already")
        Spec._families[cls.family] = cls

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Number of descriptors of a point."""

    @abstractmethod
    def kernels(self) -> Mapping[str, Kernel]:
        """Kernels by the name of their backend; every family has 'torch', on any device and differentiable."""

    def adjoints(self) -> Mapping[str, AdjointKernel]:
        """Adjoint kernels by the name of their backend; none for 'torch', whose kernel autograd differentiates."""
        return {}

    def for_elements(self, symbols: Collection[str]) -> Spec:
        """The same for cells of these elements, told apart by the family's default where it does not say how.

        Raises
        ------
        InputError
            It leaves out an element, where it names others.
        """
        del symbols
        return self

    def indistinct(self, symbols: Collection[str]) -> tuple[str, ...]:
        """Those of these elements that it cannot tell from another of them."""
        del symbols
        return ()

    def to_dict(self) -> dict[str, object]:
        """The family's name and all fields, as JSON holds them."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"family": self.family} | {k: dict(v) if isinstance(v, Mapping) else v for k, v in values.items()}


class PerElementSpec(Spec):
    """Base of the families whose ``elements`` have features of their own, in that order; if empty, all atoms share.

    A dataclass that derives from it has the field, and calls `_check_elements` after its creation.
    """

    elements: tuple[str, ...]

    def _check_elements(self) -> None:
        """Refuse elements that do not exist or come twice, and keep them as a tuple, which a list of a file is not."""
        elements = tuple(self.elements)
        if len(set(elements)) < len(elements) or any(atomic_numbers.get(s, 0) == 0 for s in elements):
            raise InputError("elements", ", ".join(map(str, elements)), "different chemical symbols")
        object.__setattr__(self, "elements", elements)

    def for_elements(self, symbols: Collection[str]) -> Self:
        """The same with features for each of these elements, of several, where it names none.

        Raises
        ------
        InputError
            There are features for some of the elements only.
        """
        if self.elements:
            check_named("elements", self.elements, symbols)
        if self.elements or len(set(symbols)) < 2:
            return self
        return replace(self, elements=tuple(sorted(set(symbols))))  # type: ignore[type-var]

    def indistinct(self, symbols: Collection[str]) -> tuple[str, ...]:
        """All of several elements that share the features."""
        return () if self.elements or len(set(symbols)) < 2 else tuple(sorted(set(symbols)))


def find_family(name: str) -> type[Spec]:
    """Return the class of a family; imports the modules of this package if the name is not known yet."""
    if name not in Spec._families:
        package = importlib.import_module("maladist.descriptors")
        # Only where a name is not known: importing all families costs the compiler of one of them.
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    if name not in Spec._families:
        raise InputError("descriptor family", repr(name), f"one of {', '.join(sorted(Spec._families))}")
    return Spec._families[name]


def spec_from_dict(values: Mapping[str, object]) -> Spec:
    """Inverse of `Spec.to_dict`.

    Raises
    ------
    InputError
        There is no such family, or it does not have these fields.
    """
    family = find_family(str(values.get("family", "")))
    given = {name: value for name, value in values.items() if name != "family"}
    known = [f.name for f in fields(family)]  # type: ignore[arg-type]
    if wrong := set(given) - set(known):
        raise InputError("descriptor", f"{', '.join(sorted(wrong))} for {family.family}", ", ".join(known))
    try:
        return family(**given)
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError) as error:  # a text or nothing where a number belongs
        raise InputError("descriptor", f"{given!r:.120}", f"the fields of {family.family} ({error})") from error


def check_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """Return element weights as floats, in alphabetical order; refuses unknown symbols and non-finite weights."""
    wrong = [s for s, w in weights.items() if atomic_numbers.get(s, 0) == 0 or not np.isfinite(w)]
    if wrong:
        came = ", ".join(f"{s}: {weights[s]}" for s in wrong)
        raise InputError("weights", came, "finite numbers by chemical symbol")
    return {symbol: float(weights[symbol]) for symbol in sorted(weights)}


def told_apart(spec: Spec, symbols: Collection[str]) -> str:
    """What to say where a descriptor does not tell elements apart; empty where it does."""
    alike = spec.indistinct(symbols)
    return f"the descriptor does not tell {', '.join(alike)} apart: they count alike in it" if alike else ""


def check_named(argument: str, named: Collection[str], symbols: Collection[str]) -> None:
    """Refuse, by name, elements of which there is nothing where there is something of others."""
    if missing := sorted(set(symbols) - set(named)):
        came = f"none for {', '.join(missing)}"
        raise InputError(argument, came, "one for every element", "Or leave them out: elements then get defaults.")


def weights_by_atom(numbers: Numbers, weights: Mapping[str, float]) -> Array:
    """Weight of each atom, (n,) float64; all 1 where no weights are given.

    Raises
    ------
    AtomsError
        An element has no weight where others have one.
    """
    if not weights:
        return np.ones(len(numbers))
    symbols = {int(z): chemical_symbols[z] for z in np.unique(numbers)}
    if unknown := [s for s in symbols.values() if s not in weights]:
        came = f"element {', '.join(unknown)}, for which the descriptor has no weight"
        raise AtomsError("atoms", came, f"only {', '.join(weights)}", "Take a model that was trained for it.")
    by_number = np.zeros(max(symbols, default=0) + 1)
    for z, symbol in symbols.items():
        by_number[z] = weights[symbol]
    return by_number[numbers]


def rows_by_element(numbers: Numbers, elements: Collection[str]) -> list[Indices]:
    """Rows of the atoms of each of these elements.

    Raises
    ------
    AtomsError
        There are atoms of another element.
    """
    weights_by_atom(numbers, dict.fromkeys(elements, 1.0))
    return [np.flatnonzero(numbers == atomic_numbers[symbol]) for symbol in elements]


def positive(argument: str, value: object) -> float:
    """Return a length of the descriptors as a float: positive, and not so long that a sphere of it has no end."""
    length = float(value) if isinstance(value, Real) else math.nan
    if not 0 < length <= LONGEST:
        raise InputError(argument, f"{value!r:.40}", f"a positive length in Å, of at most {LONGEST:g}")
    return length
