"""Runs without a cluster, and made-up densities in stores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import hcp0001

from maladist.datasets.dft.espresso import Espresso
from maladist.descriptors import evaluate
from maladist.grid import Grid
from maladist.io import stores
from maladist.io.ownership import Claim
from maladist.io.stores import field_template
from maladist.parallel.progress import Silent
from maladist.parallel.workers import Workers
from maladist.physics.system import System, wrapped
from maladist.prediction.passes import Run
from maladist.prediction.plan import make_plan
from maladist.prediction.setup import Setup
from maladist.testing import be_element

GRID = (15, 14, 18)


def make_store(path: Path, system: System, seed: int = 0) -> Claim:
    """A store with a made-up density of two temperatures."""
    rng = np.random.default_rng(seed)
    shape = system.grid.shape
    x, y, z = np.meshgrid(*(2 * np.pi * np.arange(n) / n for n in shape), indexing="ij")
    n = 0.25 + 0.1 * np.cos(x + 0.3) * np.cos(y) + 0.05 * np.sin(2 * z - x) + 0.002 * rng.standard_normal(shape)
    density = np.stack([n, 1.1 * n])
    store = stores.create(path, {"density": field_template("density", shape, (4, 14, 18), 2)}, {})
    stores.open_array(store, "density")[...] = density
    return store


def written(path: Path, density: np.ndarray, atoms: Atoms, **more: object) -> Path:
    """A store with a density of one temperature, whose cutoff is 100 Ry."""
    template = stores.field_template("density", density.shape, (min(8, len(density)), *density.shape[1:]))
    about = {"cell": atoms.cell.array.ravel().tolist(), "grid": list(density.shape), "density_cutoff_eV": 1360.0}
    store = stores.create(path, {"density": template}, {**about, "schema_version": 1, **more})
    stores.open_array(store, "density")[...] = density
    atoms_of = {"position": (("atom", "xyz"), atoms.positions, "Å"), "number": (("atom",), atoms.numbers, "1")}
    stores.write_values(store, atoms_of)
    stores.finish(store)
    return path


def two_temperatures(path: Path, atoms: Atoms) -> Path:
    """A finished store at 300 and 1000 K; the density at the second is 1.1 times that at the first."""
    system = make_system(atoms, None, core=False)
    made = make_store(path, system)
    values = {
        "position": (("atom", "xyz"), system.positions, "Å"),
        "number": (("atom",), system.numbers, "1"),
        "temperature": (("temperature",), np.array([300.0, 1000.0]), "K"),
    }
    stores.write_values(made, values)
    stores.set_attributes(made, {"cell": system.grid.cell_array.ravel().tolist()})
    stores.finish(made)
    return path


def make_system(atoms: Atoms, xc: str | None, core: bool) -> System:
    element = be_element()
    if not core:
        element = replace(element, core_radii=None, core_rab=None, core_density=None)
    grid = Grid(atoms.cell.array.tolist(), GRID)
    numbers, temperatures = atoms.numbers.astype(np.int16), (300.0, 1000.0)
    return System(grid, wrapped(atoms, grid), numbers, {"Be": element}, xc, 250.0, 4.0, temperatures)  # type: ignore[arg-type]


def run_of(ready: Setup, path: Path, chunks: tuple[int, int, int] = (5, 4, 7)) -> Run:
    """A run for stages that ask no worker."""
    plan = make_plan(ready, Workers(count=2, threads=2, memory=None, most_threads=1, gpu=False), chunks=chunks)
    nobody: Any = None
    return Run(ready, plan, path, nobody, "test", 0, Silent(), nobody)


def fields_of(ready: Setup) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """LDOS, density channel and descriptors of every point of the grid, in float64, at once."""
    grid, wide = ready.system.grid, ready.model.to("cpu", torch.float64)
    seen = ready.cell_list.near_block(grid, grid.whole)
    features = evaluate(grid.points(), seen, wide.descriptor, dtype=torch.float64, threads=1)
    return (*wide.fields(features), features)


def be_slab(own_data: Path) -> tuple[Atoms, Espresso]:
    """Four layers of Be(0001) and the coarse calculation that both sides of a comparison with pp.x take."""
    atoms = hcp0001("Be", (1, 1, 4), a=2.2866, c=3.5833, vacuum=5.0, periodic=True)
    code = Espresso(
        temperature=1000,
        pseudopotentials=str(own_data / "pseudopotentials"),
        ecutwfc=18,
        kpoints=(3, 3, 1),
        energies={"origin": -12.0, "spacing": 0.5, "levels": 36},
        broadening=0.5,
        pulay=False,
    )
    return atoms, code
