"""Whether D(ε) of cells of different sizes is that of one material; where it is not, k-points are too few."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from maladist.arrays import Array

APART: Final = 0.4
"""Share by which D(ε) an atom of two sizes may differ, on average over the cells of each. SiC of 2 and of 8 atoms, δ
0.3 eV: 0.20 with 8×8×8 and 4×4×4 k-points, 0.68 with 3×3×3 and 2×2×2; Be of 8 to 32 atoms 0.05, with vacancies 0.20."""


def note_of_sizes(cells: Iterable[tuple[int, Array]]) -> str:
    """What to say where cells of two sizes have another D(ε); empty where they agree, or there is one size only.

    A network of local descriptors sees no k-points: of the same surroundings it can learn one LDOS only.

    Parameters
    ----------
    cells
        Number of atoms and D(ε), (levels,), of each snapshot, all on the same energies.
    """
    by_size: dict[int, list[Array]] = {}
    for n_atoms, dos in cells:
        if dos.any():  # one without states has other faults, and no share of nothing can be told
            by_size.setdefault(n_atoms, []).append(dos / n_atoms)
    means = {n: np.mean(of_size, axis=0) for n, of_size in sorted(by_size.items())}
    # The largest cells have the densest levels.
    largest = max(means, default=0)
    apart = {n: float(np.abs(mean - means[largest]).sum() / np.abs(means[largest]).sum()) for n, mean in means.items()}
    n = max(apart, key=lambda size: apart[size], default=0)
    if not n or apart[n] <= APART:
        return ""
    return (
        f"D(ε) of cells of {n} and of {largest} atoms differs by {apart[n]:.0%}: unless they are other matter, k-points"
        " are too few for this broadening, and no model can learn both"
    )
