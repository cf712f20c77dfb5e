"""Pictures of forces: arrows on the atoms of a cell, seen along a lattice vector, and how large they are."""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.quiver import Quiver
from matplotlib.ticker import MaxNLocator

from maladist.arrays import Array
from maladist.errors import InputError
from maladist.prediction.result import Prediction
from maladist.report.figures import axis_names, frame

_VECTORS: Final = 2000  # arrows up to which they are drawn as lines; more would be a page of megabytes
_BINS: Final = 30


def arrow_axes(ax: Axes, prediction: Prediction, axis: int) -> Quiver:
    """Draw the forces as arrows on the atoms, coloured by |F|, seen along the normal of two lattice vectors.

    The largest is as long as atoms are apart on the average. The two vectors are those beside that of ``axis``.

    Raises
    ------
    InputError
        There are several temperatures, or no forces.
    """
    forces = forces_of(prediction)
    atoms, vectors = prediction.atoms, prediction.atoms.cell.array
    flat = np.stack(frame(*np.delete(vectors, axis, axis=0)))
    corners = np.array(list(product((0, 1), repeat=3))) @ vectors
    for corner, vector in product(corners, vectors):
        # An edge leads from one corner to another: from those alone that do not have the vector in them yet.
        if any(np.allclose(corner + vector, other) for other in corners):
            ax.plot(*(np.stack([corner, corner + vector]) @ flat.T).T, color="0.7", lw=0.9, zorder=1)
    inside = atoms.get_scaled_positions(wrap=True) @ vectors @ flat.T
    ax.scatter(inside[:, 0], inside[:, 1], s=16, color="0.35", lw=0, zorder=2)
    sizes = np.linalg.norm(forces, axis=1)
    apart = (atoms.get_volume() / len(atoms)) ** (1 / 3)
    # In a crystal at rest there is nothing to scale by, and no arrow to be seen.
    scale = (float(sizes.max()) or 1.0) / apart
    drawn = ax.quiver(
        *inside.T, *(forces @ flat.T).T, sizes, angles="xy", scale_units="xy", scale=scale, width=0.008, zorder=3
    )
    drawn.set_rasterized(len(atoms) > _VECTORS)
    # Arrows do not count for the limits that matplotlib chooses.
    ends = np.concatenate([corners @ flat.T, inside, inside + forces @ flat.T / scale])
    (left, low), (right, high), margin = ends.min(0), ends.max(0), 0.04 * np.ptp(ends)
    ax.set(xlim=(left - margin, right + margin), ylim=(low - margin, high + margin))
    x_name, y_name = axis_names(vectors, axis)
    ax.set(aspect="equal", xlabel=x_name, ylabel=y_name, title=f"forces across {'abc'[axis]}")
    return drawn


def size_axes(ax: Axes, prediction: Prediction) -> None:
    """Draw a histogram of |F| over the atoms; raises as `arrow_axes`."""
    sizes = np.linalg.norm(forces_of(prediction), axis=1)
    ax.hist(sizes, bins=min(_BINS, max(5, len(sizes) // 3)), range=(0, float(sizes.max()) or 1.0), color="#4a7ba6")
    ax.axvline(np.sqrt(np.mean(sizes**2)), color="#d94801", ls="--", lw=1.2, label="root mean square")
    ax.set(xlabel="$|F|$ (eV/Å)", ylabel="atoms", title="size of the forces", xlim=(0, None))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=True, facecolor="white", edgecolor="none", framealpha=0.85)


def forces_of(prediction: Prediction) -> Array:
    """Forces of a prediction at one temperature, (n_atoms, 3) eV/Å.

    Raises
    ------
    InputError
        There are several temperatures, or no forces.
    """
    if (forces := prediction.forces) is None:
        raise InputError("prediction", "no forces", "one that was made with forces", "Give forces=True (--forces).")
    return forces
