"""How fast descriptors and network are on this machine: what `maladist bench` measures and prints.

All is measured in one run, on one thread, in seconds of processor time, the best of some repetitions, neighbours
included: ratios survive a busy machine better than rates do. The share of the matrix-product rate ("of gemm") counts
the operations that a backend does: what the stages of 'cpu' emit, the plain products of 'torch'. LAMMPS computes in
float64 whatever is asked of it. The adjoint (gradients by the atoms for a cotangent of the descriptors) is autograd's
for 'torch'; LAMMPS has no other than the derivative of each component, `compute snad/atom`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from maladist.arrays import Array
from maladist.descriptors import BispectrumSpec, PowerSpectrumSpec, Spec, adjoint, evaluate
from maladist.descriptors.bispectrum.cpu import operations
from maladist.descriptors.bispectrum.cpu_adjoint import adjoint_operations
from maladist.descriptors.bispectrum.lammps import lammps_adjoint
from maladist.descriptors.bispectrum.su2 import quadrature
from maladist.descriptors.power_spectrum.cpu import operations as power_spectrum_operations
from maladist.energy_grid import EnergyGrid
from maladist.errors import DependencyError
from maladist.grid import Grid
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Moments, Scaler
from maladist.neighbors import CellList, LocalAtoms

CUTOFF: Final = 4.67637
LAYERS: Final = (91, 200, 200, 158)
PRECISIONS: Final = ("float32", "float64")

_SPACING = 0.13  # Å, about that of a density grid of beryllium
_EDGE = {"cpu": 24, "torch": 12, "lammps": 9}  # points along an edge of the block: a second or less each
_REPETITIONS = {"cpu": 7, "torch": 3, "lammps": 2}
_CELLS = (2, 4, 8)  # unit cells along each direction, for the cost against the number of atoms


def beryllium(n: int) -> Atoms:
    """n×n×n cells of hcp beryllium, displaced at random by 0.05 Å: 53 atoms in the cutoff."""
    cell = [[2.286, 0, 0], [-1.143, 1.97973, 0], [0, 0, 3.584]]
    atoms = Atoms("Be2", scaled_positions=[[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], cell=cell, pbc=True) * (n, n, n)
    atoms.positions += np.random.default_rng(0).normal(0, 0.05, atoms.positions.shape)
    return atoms


def block(n: int, edge: int) -> tuple[Array, LocalAtoms]:
    """Points of a brick of a grid in `beryllium(n)`, edge×edge×edge, and the atoms that it can see."""
    atoms = beryllium(n)
    grid = Grid.from_spacing(atoms.cell.array, (_SPACING, _SPACING, _SPACING))
    brick = grid.blocks((edge, edge, edge))[0]
    seen = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), CUTOFF).near_block(grid, brick)
    return grid.points(brick), seen


def best(function: Callable[[], object], repetitions: int) -> float:
    """Seconds of processor time of the fastest of some calls, after one that warms up."""
    function()
    times = []
    for _ in range(repetitions):
        # Of this process: what other programs do to the clock on the wall does not count.
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return min(times)


def rate(backend: str, twojmax: int, precision: str, n: int = 3) -> float | None:
    """Points a second on one thread; None where the backend is not installed."""
    return _descriptor_rate(BispectrumSpec(twojmax=twojmax, cutoff=CUTOFF), backend, precision, n)


def _descriptor_rate(spec: Spec, backend: str, precision: str, n: int = 3) -> float | None:
    points, seen = block(n, _EDGE[backend])
    dtype = getattr(torch, precision)
    return _rate(backend, len(points), lambda: evaluate(points, seen, spec, backend=backend, dtype=dtype, threads=1))


def adjoint_rate(backend: str, twojmax: int, precision: str, n: int = 3) -> float | None:
    """The same for the adjoint, with a cotangent that is the same for all points: LAMMPS has no other."""
    spec = BispectrumSpec(twojmax=twojmax, cutoff=CUTOFF)
    if backend == "lammps":
        points, seen = block(n, _EDGE[backend])
        where = (points, seen.positions, seen.numbers, spec)
        return _rate(backend, len(points), lambda: lammps_adjoint(*where, np.cos(np.arange(spec.n_features))))
    return _adjoint_rate(spec, backend, precision, n)


def _adjoint_rate(spec: Spec, backend: str, precision: str, n: int = 3) -> float | None:
    points, seen = block(n, _EDGE[backend])
    of_point, dtype = np.cos(np.arange(spec.n_features)), getattr(torch, precision)
    c = torch.from_numpy(np.tile(of_point, (len(points), 1))).to(dtype)
    return _rate(backend, len(points), lambda: adjoint(points, seen, spec, c, backend=backend, dtype=dtype, threads=1))


def _rate(backend: str, n_points: int, function: Callable[[], Any]) -> float | None:
    try:
        return n_points / best(function, _REPETITIONS[backend])
    except DependencyError:
        return None


def flops(backend: str, twojmax: int, precision: str) -> float:
    """Operations for a point of 'cpu' or 'torch'; of torch the products with constant matrices and over the nodes."""
    neighbours = _neighbours(backend)
    if backend == "cpu":
        return operations(twojmax, neighbours, np.dtype(precision))
    n_moments = sum((j + 1) ** 2 for j in range(twojmax + 1))
    n_products = sum((j1 + 1) * (twojmax + 1 - j1) for j1 in range(twojmax + 1))
    return float(2 * neighbours * n_moments + 2 * len(quadrature(twojmax).weights) * (n_moments + n_products))


def _neighbours(backend: str) -> float:
    """Mean number of atoms in the cutoff of a point."""
    points, seen = block(3, _EDGE[backend])
    return float(np.mean(cKDTree(seen.positions).query_ball_point(points, CUTOFF, return_length=True)))


def gemm_rate(precision: str) -> float:
    """Operations a second of a matrix product on one thread, the faster of numpy's BLAS and torch's."""
    size = 1024
    a = np.random.default_rng(0).random((size, size)).astype(precision)
    t = torch.from_numpy(a)
    with threadpool_limits(1):
        return 2 * size**3 / min(best(lambda: a @ a, 7), best(lambda: t @ t, 7))


def network_rates() -> tuple[float, float]:
    """Points a second of a model, from descriptors to LDOS, and of the same layers alone in plain torch."""
    x = torch.randn(4 * 4096, LAYERS[0])
    network = FeedForward(LAYERS, ["SiLU", "SiLU"]).eval()
    inputs, outputs = (
        Scaler.fit(Moments.of(torch.randn(1000, width)), "standard", feature_wise=True)
        for width in (LAYERS[0], LAYERS[-1])
    )
    model = LDOSModel(network, inputs, outputs, BispectrumSpec(), EnergyGrid(-5.0, 0.1, LAYERS[-1]), {})
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(LAYERS):
        layers += [torch.nn.Linear(a, b), torch.nn.SiLU()]
    plain = torch.nn.Sequential(*layers[:-1]).eval()
    with torch.inference_mode():
        return len(x) / best(lambda: model.ldos(x), 10), len(x) / best(lambda: [plain(p) for p in x.split(4096)], 10)


def descriptor_rates(twojmax: int) -> list[dict[str, object]]:
    """Rates, ratios and shares of all backends for one twojmax."""
    reference = rate("lammps", twojmax, "float64")
    row = {"twojmax": twojmax, "precision": "float64", "backend": "lammps", "points_per_second": reference}
    rows: list[dict[str, object]] = [row | _adjoint_figures("lammps", twojmax, "float64", reference)]
    for precision in PRECISIONS:
        peak = gemm_rate(precision)
        for backend in ("cpu", "torch"):
            speed = rate(backend, twojmax, precision)
            assert speed is not None
            done = speed * flops(backend, twojmax, precision)
            rows.append(
                {
                    "twojmax": twojmax,
                    "precision": precision,
                    "backend": backend,
                    "points_per_second": speed,
                    "times_lammps": None if reference is None else speed / reference,
                    "flops_per_second": done,
                    "share_of_matrix_product_rate": done / peak,
                }
                | _adjoint_figures(backend, twojmax, precision, speed)
            )
    return rows


def power_spectrum_rates() -> list[dict[str, object]]:
    """Rates of the power spectrum of its default size, and of its adjoint."""
    spec = PowerSpectrumSpec(cutoff=CUTOFF)
    rows: list[dict[str, object]] = []
    for precision in PRECISIONS:
        for backend in ("cpu", "torch"):
            row: dict[str, object] = {"radial": list(spec.radial), "precision": precision, "backend": backend}
            speed, back = (f(spec, backend, precision) for f in (_descriptor_rate, _adjoint_rate))
            row |= {"points_per_second": speed, "adjoint_points_per_second": back}
            if backend == "cpu" and speed is not None:
                counted = power_spectrum_operations(spec, _neighbours(backend), np.dtype(precision))
                row["flops_per_second"] = speed * counted
            rows.append(row)
    return rows


def _adjoint_figures(backend: str, twojmax: int, precision: str, speed: float | None) -> dict[str, Any]:
    """Rate of the adjoint, its time over that of the descriptors, and of 'cpu' the rate of its operations."""
    back = adjoint_rate(backend, twojmax, precision)
    ratio = None if speed is None or back is None else speed / back
    figures = {"adjoint_points_per_second": back, "adjoint_over_descriptors": ratio}
    if backend != "cpu" or back is None:
        return figures
    counted = adjoint_operations(twojmax, _neighbours(backend), np.dtype(precision))
    return figures | {"adjoint_flops_per_second": back * counted}


def measure(twojmax: Sequence[int]) -> dict[str, Any]:
    """All figures as JSON can hold them; rates in points a second on one thread.

    Parameters
    ----------
    twojmax
        Band limits of the bispectrum, up to `maladist.descriptors.bispectrum.spec.CPU_TWOJMAX`.
    """
    threads = torch.get_num_threads()
    # One thread: rates on several cores depend on what else the machine does.
    torch.set_num_threads(1)
    try:
        model, plain = network_rates()
        return {
            "descriptors": [row for t in twojmax for row in descriptor_rates(t)],
            "power_spectrum": power_spectrum_rates(),
            "points_per_second_by_atoms": {2 * n**3: rate("cpu", max(twojmax), "float32", n) for n in _CELLS},
            "network": {"layers": list(LAYERS), "points_per_second": model, "plain_torch_points_per_second": plain},
        }
    finally:
        torch.set_num_threads(threads)


def show(found: dict[str, Any], console: Console) -> None:
    """Print what `measure` found."""
    table = Table(title=f"bispectrum, cutoff {CUTOFF} Å, one thread")
    for column in ("twojmax", "precision", "backend", "points/s", "× LAMMPS", "Gflop/s", "of gemm"):
        table.add_column(column, justify="right")
    for row in found["descriptors"]:
        speed, times = row["points_per_second"], row.get("times_lammps")
        counted = "flops_per_second" in row
        table.add_row(
            str(row["twojmax"]),
            row["precision"],
            row["backend"],
            "absent" if speed is None else f"{speed:,.0f}",
            f"{times:.1f}" if times is not None else "",
            f"{row['flops_per_second'] / 1e9:.0f}" if counted else "",
            f"{row['share_of_matrix_product_rate']:.0%}" if counted else "",
        )
    console.print(table, _adjoint_table(found["descriptors"]), _power_spectrum_table(found["power_spectrum"]))
    largest = max(row["twojmax"] for row in found["descriptors"])
    atoms = ", ".join(f"{speed:,.0f} with {n} atoms" for n, speed in found["points_per_second_by_atoms"].items())
    console.print(f"points/s of a block (cpu, float32, twojmax {largest}): {atoms}", highlight=False, soft_wrap=True)
    network = found["network"]
    model, plain = network["points_per_second"], network["plain_torch_points_per_second"]
    layers = "-".join(map(str, network["layers"]))
    line = f"network {layers} with scalers: {model:,.0f} points/s; its layers in plain torch: {plain:,.0f}"
    console.print(line, highlight=False, soft_wrap=True)


def _adjoint_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="its adjoint: gradients by the atoms")
    for column in ("twojmax", "precision", "backend", "points/s", "time / descriptors'", "Gflop/s"):
        table.add_column(column, justify="right")
    for row in rows:
        speed, ratio = row["adjoint_points_per_second"], row["adjoint_over_descriptors"]
        done = row.get("adjoint_flops_per_second")
        figures = (
            "absent" if speed is None else f"{speed:,.0f}",
            "" if ratio is None else f"{ratio:.1f}",
            "" if done is None else f"{done / 1e9:.0f}",
        )
        table.add_row(str(row["twojmax"]), row["precision"], row["backend"], *figures)
    return table


def _power_spectrum_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=f"power spectrum, radial {rows[0]['radial']}, cutoff {CUTOFF} Å, one thread")
    for column in ("precision", "backend", "points/s", "Gflop/s", "adjoint, points/s"):
        table.add_column(column, justify="right")
    for row in rows:
        done = row.get("flops_per_second")
        table.add_row(
            row["precision"],
            row["backend"],
            f"{row['points_per_second']:,.0f}",
            "" if done is None else f"{done / 1e9:.0f}",
            f"{row['adjoint_points_per_second']:,.0f}",
        )
    return table
