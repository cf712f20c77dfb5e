"""What parts of space have of a field: to each part a weight at each point, which add up to one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from maladist.arrays import AnyArray, Array, Indices


class Partition(NamedTuple):
    """Weights of the points of a block in the parts of space that reach into it.

    Attributes
    ----------
    labels
        Names of the parts, (n_parts,) int64, ascending.
    weights
        (n_parts, n_points) float64, sparse; each column sums up to one.
    """

    labels: Indices
    weights: csr_matrix

    @classmethod
    def of(cls, labels: Indices, points: Indices, weights: Array, n_points: int) -> Partition:
        """From triples of label, point and weight, all (n,); those of the same label and point are added."""
        names, rows = np.unique(labels, return_inverse=True)
        return cls(names, csr_matrix((weights, (rows, points)), (len(names), n_points)))

    def at(self, points: Indices) -> Partition:
        """The weights of some of the points, by their place."""
        return Partition(self.labels, self.weights[:, points])

    def sums(self, field: AnyArray) -> Array:
        """Σ_r w(r)·field(r) of each part: (n_points, n) to (n_parts, n) float64."""
        # Some points at a time: an LDOS comes in float32, and is added in float64.
        thick = max(1, 2**21 // field.shape[1])
        total = np.zeros((len(self.labels), field.shape[1]))
        by_point = self.weights.T.tocsr()
        for a in range(0, len(field), thick):
            total += by_point[a : a + thick].T @ field[a : a + thick].astype(np.float64)
        return total
