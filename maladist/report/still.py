"""An isosurface as a picture, for where nothing may run: what the viewer (viewer.js) shows before it is turned.

Parallel rays go through the cell; each ends where the field, linear between its samples, first crosses the level. Blue
is a side of less, amber one of more, seen where the cell cuts it, lit as the viewer lights them.
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import map_coordinates

from maladist.arrays import Array

_ABOUT_Z: Final = np.array([[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0], [0, 0, 1]])
_ABOUT_X: Final = np.array([[1, 0, 0], [0, np.cos(1.18), np.sin(1.18)], [0, -np.sin(1.18), np.cos(1.18)]])
TURN: Final = _ABOUT_X @ _ABOUT_Z
"""From the cell to the picture: x to the right, y up, z to the reader."""
_LIGHT: Final = np.array([0.35, 0.55, 0.75]) / np.linalg.norm([0.35, 0.55, 0.75])
_OUTSIDE, _INSIDE = (0.36, 0.60, 0.80), (0.93, 0.72, 0.38)
_CORNERS: Final = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)


def still(data: str, pixels: int = 400, steps: int = 160) -> bytes:
    """The picture of what `volume_json` tells, a PNG.

    Parameters
    ----------
    data
        Text of JSON with the samples, the cell, the atoms and the level.
    pixels
        Rays along the longer side.
    steps
        Points of a ray between which a crossing is looked for.
    """
    said = json.loads(data)
    cell = np.array(said["cell"])
    corners = (_CORNERS - 0.5) @ cell @ TURN.T
    low, high = corners.min(0) - 0.2, corners.max(0) + 0.2
    step = (high - low)[:2].max() / pixels
    xx, yy = np.meshgrid(*(np.arange(low[i], high[i], step) for i in (0, 1)))
    depth, picture = surface(_samples(said), said["level"], cell, xx, yy, np.linspace(high[2], low[2], steps))
    for fraction, tint, radius in said["atoms"]:
        paint_ball(depth, picture, xx, yy, (np.array(fraction) - 0.5) @ cell @ TURN.T, np.array(tint), radius)
    across, up = (high - low)[:2]
    figure = Figure(figsize=(5.2, 5.2 * up / across + 0.4), layout="constrained")
    ax = figure.subplots()
    ax.imshow(picture, origin="lower", extent=(low[0], high[0], low[1], high[1]), interpolation="bilinear")
    for a, one in enumerate(_CORNERS):
        for b, other in enumerate(_CORNERS):
            if a < b and np.abs(one - other).sum() == 1:
                ax.plot(*corners[[a, b], :2].T, color="0.5", lw=0.8)
    ax.set_axis_off()
    ax.set_title(f"{said['name']} = {said['level']:.4g} {said['units']}", fontsize=9)
    target = io.BytesIO()
    figure.savefig(target, dpi=90)
    return target.getvalue()


def surface(samples: Array, level: float, cell: Array, xx: Array, yy: Array, depths: Array) -> tuple[Array, Array]:
    """Where rays at x and y first meet the surface within the cell: z, −∞ where they do not, and the colour there.

    ``xx``, ``yy`` (rows, columns) and ``depths``, z from near to far, are in Å, in the picture's axes about the cell's
    middle; the colours are (rows, columns, 3).
    """
    inverse = TURN @ np.linalg.inv(cell)  # from the picture to fractions
    found, amber = np.full(xx.shape, -np.inf), np.zeros(xx.shape, dtype=bool)
    before, was_within, last = np.zeros(xx.shape), np.zeros(xx.shape, dtype=bool), depths[0]
    for z in depths:
        fraction = np.stack([xx, yy, np.full_like(xx, z)], axis=-1) @ inverse + 0.5
        within = ((fraction >= 0) & (fraction <= 1)).all(-1)
        asked = within & np.isinf(found)
        value = np.zeros(xx.shape)
        value[asked] = _sampled(samples, fraction[asked]) - level
        crossed = asked & was_within & (value * before < 0)
        found[crossed] = (last + (z - last) * before / np.where(crossed, before - value, 1.0))[crossed]
        amber |= crossed & (before > 0)
        before, was_within, last = value, within, z
    met = np.isfinite(found)
    at = np.stack([xx, yy, np.where(met, found, 0.0)], axis=-1) @ inverse + 0.5
    normal = _gradient(samples, at) @ inverse.T * np.where(amber, 1, -1)[..., None]
    colours = _lit(np.where(amber[..., None], _INSIDE, _OUTSIDE), normal)
    return found, np.where(met[..., None], colours, 1.0)


def paint_ball(depth: Array, picture: Array, xx: Array, yy: Array, middle: Array, tint: Array, radius: float) -> None:
    """Paint a ball over a picture where it is nearer than what is there."""
    height = radius**2 - (xx - middle[0]) ** 2 - (yy - middle[1]) ** 2
    z = middle[2] + np.sqrt(np.maximum(height, 0))
    seen = (height > 0) & (z > depth)
    normal = np.stack([xx - middle[0], yy - middle[1], z - middle[2]], axis=-1)
    picture[seen] = _lit(tint, normal)[seen]
    depth[seen] = z[seen]


def _lit(base: Array, normal: Array) -> Array:
    length = np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-300)
    return np.asarray(np.clip(base * (0.42 + 0.62 * np.maximum(0, (normal / length) @ _LIGHT))[..., None], 0, 1))


def _samples(said: dict[str, Any]) -> Array:
    """The samples that the viewer gets, in the field's units."""
    whole = np.frombuffer(base64.b64decode(said["samples"]), dtype="<u2").reshape(said["shape"])
    return said["low"] + (said["high"] - said["low"]) * whole / 65535.0


def _sampled(samples: Array, fraction: Array) -> Array:
    """The periodic field at fractions (..., 3), linear between its samples."""
    index = np.moveaxis(fraction * samples.shape, -1, 0)
    return np.asarray(map_coordinates(samples, index, order=1, mode="grid-wrap"))


def _gradient(samples: Array, fraction: Array) -> Array:
    """Derivatives by the fractions, (..., 3), over two samples."""
    ways = np.eye(3) / samples.shape
    return np.stack(
        [(_sampled(samples, fraction + w) - _sampled(samples, fraction - w)) / (2 * w.max()) for w in ways], -1
    )
