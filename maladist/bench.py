"""How fast descriptors and network are on this machine: what `maladist bench` measures and prints.

All of a row is measured in one go, one thread each, best of some repetitions, neighbours included; ratios survive a
busy machine better than rates do.
"""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table

from maladist.descriptors import BispectrumSpec, evaluate
from maladist.descriptors.su2 import components, quadrature
from maladist.errors import DependencyError
from maladist.grid import Grid
from maladist.learning.network import FeedForward
from maladist.neighbors import CellList, LocalAtoms

CUTOFF: Final = 4.67637
_EDGE: Final = {"cpu": 24, "torch": 12, "lammps": 9}  # points along an edge of the block: about a second each
_LAYERS: Final = (91, 200, 200, 158)


def beryllium(n: int) -> Atoms:
    """n×n×n cells of hcp beryllium, displaced at random by 0.05 Å."""
    cell = [[2.286, 0, 0], [-1.143, 1.97973, 0], [0, 0, 3.584]]
    atoms = Atoms("Be2", scaled_positions=[[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], cell=cell, pbc=True) * (n, n, n)
    atoms.positions += np.random.default_rng(0).normal(0, 0.05, atoms.positions.shape)
    return atoms


def block(n: int, edge: int) -> tuple[np.ndarray[Any, np.dtype[np.float64]], LocalAtoms]:
    """Points of a brick of a grid with a spacing of 0.13 Å, and the atoms that it can see."""
    atoms = beryllium(n)
    grid = Grid.from_spacing(atoms.cell.array, (0.13, 0.13, 0.13))
    brick = grid.blocks((edge, edge, edge))[0]
    seen = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), CUTOFF).near_block(grid, brick)
    return grid.points(brick), seen


def best(function: Callable[[], Any], repetitions: int) -> float:
    """Seconds of the fastest of some calls after one that warms up."""
    function()
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def rate(backend: str, twojmax: int, dtype: torch.dtype, n: int = 3) -> float | None:
    """Points a second on one core; None where the backend is not installed."""
    points, seen = block(n, _EDGE[backend])
    spec = BispectrumSpec(twojmax=twojmax, cutoff=CUTOFF)
    try:
        repetitions = 1 if backend == "lammps" else 3
        seconds = best(lambda: evaluate(points, seen, spec, backend=backend, dtype=dtype, threads=1), repetitions)
    except DependencyError:
        return None
    return len(points) / seconds


def flops(twojmax: int) -> float:
    """Operations for a point of the plain form: one matrix product onto the nodes and the triple products over them."""
    nodes = len(quadrature(twojmax).weights)
    return 2.0 * nodes * sum((n + 1) ** 2 for n in range(twojmax + 1)) + 2.0 * nodes * len(components(twojmax))


def gemm_rate(dtype: torch.dtype) -> float:
    """Operations a second of a matrix product on one core."""
    a = torch.randn(1024, 1024, dtype=dtype)
    return 2 * 1024**3 / best(lambda: a @ a, 5)


def network_rates() -> tuple[float, float]:
    """Points a second of a FeedForward, and of the same layers written in plain torch."""
    ours = FeedForward(_LAYERS, ["SiLU", "SiLU"]).eval()
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(_LAYERS):
        layers += [torch.nn.Linear(a, b), torch.nn.SiLU()]
    plain = torch.nn.Sequential(*layers[:-1]).eval()
    x = torch.randn(4096, _LAYERS[0])
    with torch.inference_mode():
        return 4096 / best(lambda: ours(x), 20), 4096 / best(lambda: plain(x), 20)


def measure(twojmax: Sequence[int]) -> dict[str, Any]:
    """All figures as JSON can hold them; rates in points a second on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = []
        for t in twojmax:
            reference = rate("lammps", t, torch.float64)
            for precision in ("float32", "float64"):
                dtype = getattr(torch, precision)
                peak = gemm_rate(dtype)
                for backend in ("cpu", "torch"):
                    r = rate(backend, t, dtype)
                    assert r is not None
                    rows.append(
                        {
                            "twojmax": t,
                            "precision": precision,
                            "backend": backend,
                            "points_per_second": r,
                            "times_lammps": None if reference is None else r / reference,
                            "share_of_matrix_product_rate": r * flops(t) / peak,
                        }
                    )
            rows.append({"twojmax": t, "precision": "float64", "backend": "lammps", "points_per_second": reference})
        flat = {2 * n**3: rate("cpu", max(twojmax), torch.float32, n) for n in (2, 4, 8)}
        ours, plain = network_rates()
        network = {"layers": list(_LAYERS), "points_per_second": ours, "plain_torch_points_per_second": plain}
        return {"descriptors": rows, "points_per_second_by_atoms": flat, "network": network}
    finally:
        torch.set_num_threads(threads)


def bench(*, twojmax: Sequence[int] = (6, 8, 10, 12), json: Path | None = None) -> dict[str, Any]:
    """Measure, print a table, write JSON where asked to.

    Parameters
    ----------
    twojmax
        Sizes of the bispectrum.
    json
        File for the figures.

    Returns
    -------
    dict
        What `measure` gives.
    """
    found, console = measure(twojmax), Console()
    table = Table(title=f"bispectrum, cutoff {CUTOFF} Å, one thread")
    for column in ("twojmax", "precision", "backend", "points/s", "× LAMMPS", "of gemm rate"):
        table.add_column(column, justify="right")
    for row in found["descriptors"]:
        speed = row["points_per_second"]
        times, share = row.get("times_lammps"), row.get("share_of_matrix_product_rate")
        table.add_row(
            str(row["twojmax"]),
            row["precision"],
            row["backend"],
            "not installed" if speed is None else f"{speed:,.0f}",
            "" if times is None else f"{times:.1f}",
            "" if share is None else f"{share:.0%}",
        )
    console.print(table)
    explanation = "operations of the plain form a second over those of a matrix product here; symmetry saves some"
    console.print(f"'of gemm rate': {explanation}", soft_wrap=True)
    atoms = ", ".join(f"{n} atoms {speed:,.0f}" for n, speed in found["points_per_second_by_atoms"].items())
    console.print(f"points/s of a fixed block (cpu, float32, twojmax {max(twojmax)}): {atoms}", highlight=False)
    ours, plain = found["network"]["points_per_second"], found["network"]["plain_torch_points_per_second"]
    layers = "-".join(map(str, _LAYERS))
    console.print(f"network {layers}: {ours:,.0f} points/s, plain torch {plain:,.0f}", highlight=False)
    if json is not None:
        json.write_text(json_module.dumps(found, indent=1) + "\n")
    return found
