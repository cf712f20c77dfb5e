"""Pictures of how a run went: which worker had which block when, and where the time went."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from maladist.arrays import Indices

_STAGES = ("descriptors", "network", "reductions", "io", "density", "energies")


def lanes(start: npt.ArrayLike, stop: npt.ArrayLike) -> Indices:
    """A lane for each task of a worker, the lowest that is free: as many lanes as ran at one time."""
    begins, ends = np.asarray(start, dtype=float), np.asarray(stop, dtype=float)
    out, until = np.zeros(len(begins), dtype=np.int64), list[float]()
    for i in np.argsort(begins, kind="stable"):
        # The lowest free one, so that a worker of four threads has four lanes and no more.
        lane = next((k for k, busy in enumerate(until) if busy <= begins[i]), len(until))
        until[lane : lane + 1] = [float(ends[i])]
        out[i] = lane
    return out


def timeline_axes(ax: Axes, run: xr.Dataset) -> None:
    """Draw the blocks of a run: a row for each worker (or thread of one), time along x, seconds as colour."""
    worker, start, stop = (np.asarray(run[n].values) for n in ("worker", "start", "stop"))
    zero, seconds = float(start.min()), stop - start
    bars, ticks, row = [], [], 0
    colour: list[float] = []
    for w in np.unique(worker):
        mine = np.flatnonzero(worker == w)
        lane = lanes(start[mine], stop[mine])
        for i, k in zip(mine, lane, strict=True):
            a, b, y = start[i] - zero, stop[i] - zero, row + float(k)
            bars.append([(a, y - 0.42), (b, y - 0.42), (b, y + 0.42), (a, y + 0.42)])
            colour.append(float(seconds[i]))
        ticks.append((row + lane.max() / 2, int(w)))
        row += int(lane.max()) + 1
    # Thousands of bars are a pixel wide: edges would be all that is seen, and vectors megabytes.
    edge = "white" if len(bars) <= 2000 else "none"
    drawn = PolyCollection(bars, array=np.array(colour), cmap="cividis", edgecolor=edge, lw=0.6)
    drawn.set_rasterized(len(bars) > 2000)
    ax.add_collection(drawn)
    # Labels that still can be read, however many workers there are.
    every = max(1, len(ticks) // 24)
    ax.set_yticks([y for y, _ in ticks[::every]], [str(w) for _, w in ticks[::every]])
    ax.set(xlabel="seconds since the first block began", ylabel="worker")
    ax.set(xlim=(0, float(stop.max()) - zero), ylim=(row - 0.5, -0.5))
    ax.figure.colorbar(drawn, ax=ax, label="seconds of a block", pad=0.02)


def stages_axes(ax: Axes, seconds: Mapping[str, float]) -> None:
    """Draw the worker seconds of each stage."""
    names = [n for n in (*_STAGES, *seconds) if n in seconds and n != "wall"]
    names = list(dict.fromkeys(names))
    values = [seconds[n] for n in names]
    bars = ax.barh(names, values, color="#4a7ba6", edgecolor="#08306b", height=0.62)
    ax.bar_label(bars, [f" {v:.2f} s" for v in values])
    ax.invert_yaxis()
    ax.set_xlim(0, max(values, default=1.0) * 1.18)
    ax.set_xlabel("worker seconds")
    ax.spines[["top", "right"]].set_visible(False)
