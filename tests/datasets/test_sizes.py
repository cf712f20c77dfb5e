"""Cells of two sizes with another D(ε) are told of: no network of local descriptors can learn both."""

from __future__ import annotations

import numpy as np

from maladist.datasets.sizes import note_of_sizes

ENERGIES = np.linspace(-5, 5, 101)


def _dos(n_atoms: int, *levels: float) -> tuple[int, np.ndarray]:
    """D(ε) of levels 0.3 eV wide that share the states of so many atoms."""
    peaks = np.exp(-((ENERGIES[:, None] - levels) ** 2) / (2 * 0.3**2))
    return n_atoms, n_atoms * peaks.mean(axis=1)


def test_too_few_levels_of_one_size_are_told_of() -> None:
    many = _dos(8, *np.linspace(-3, 3, 21))
    said = note_of_sizes([_dos(2, -2.0, 2.0), many, _dos(2, -1.9, 2.1), many])
    assert "cells of 2 and of 8 atoms" in said
    assert "k-points" in said


def test_the_same_bands_more_or_less_finely_sampled_are_not() -> None:
    fine, coarse = np.linspace(-3, 3, 21), np.linspace(-2.9, 2.9, 14)
    assert note_of_sizes([_dos(8, *fine), _dos(2, *coarse)]) == ""


def test_one_size_and_no_cells_have_nothing_to_disagree_with() -> None:
    assert note_of_sizes([]) == ""
    nothing = (8, np.zeros(len(ENERGIES)))
    assert note_of_sizes([nothing]) == note_of_sizes([_dos(2, -2.0), nothing]) == ""
    assert note_of_sizes([_dos(2, -2.0), _dos(2, 2.0)]) == ""
