"""How well the shipped model's distance, and others, tell cells like its training's from others; no DFT is needed.

The cells of `model_data.py` are drawn again, from their seeds, and described at as many random points as the training
took of each. It prints the table of `maladist.learning.domain`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from model_data import CRYSTAL, snapshots

import maladist
from maladist import LDOSModel
from maladist.descriptors import evaluate
from maladist.grid import Grid
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import MARGIN, TAIL, fit_domain
from maladist.neighbors import CellList
from maladist.physics.system import System, wrapped
from maladist.sampling.crystal import displaced

NAME = "be-1000K"
POINTS, HELD = 1500, 5000  # of each cell of training and validation


def system_of(atoms: Atoms, model: LDOSModel) -> System:
    """A cell on the model's grid, at the model's temperature."""
    grid = Grid.from_spacing(atoms.cell.array, model.spacing)
    numbers = atoms.numbers.astype(np.int16)
    return System(grid, wrapped(atoms, grid), numbers, model.elements, model.xc, temperatures=(model.temperature,))


def described(cells: Iterable[Atoms], model: LDOSModel, points: int, seed: int) -> list[torch.Tensor]:
    """Descriptors of random points of each cell."""
    random, found = np.random.default_rng(seed), []
    for atoms in cells:
        system = system_of(atoms, model)
        grid = system.grid
        chosen = random.choice(grid.n_points, min(points, grid.n_points), replace=False)
        at = np.stack(np.unravel_index(chosen, grid.shape), axis=-1) / np.array(grid.shape) @ grid.cell_array
        seen = CellList(grid.cell_array, system.positions, system.numbers, model.descriptor.cutoff)
        found.append(evaluate(at, seen.around([0, 0, 0], [1, 1, 1]), model.descriptor))
    return found


def main() -> None:
    """Print the table."""
    model = maladist.load_model(NAME)
    cells, trained_on = snapshots(), model.provenance["trained on"]
    train = [atoms for name, atoms in cells.items() if name in trained_on]
    assert len(train) == len(trained_on), "the model was trained on other cells"
    held = [atoms for name, atoms in cells.items() if name.startswith("valid")]
    rows, held_rows = (torch.cat(described(c, model, n, 0)) for c, n in ((train, POINTS), (held, HELD)))
    off = model.input_scaler.transform(rows.double()).mean(0).abs().max()
    print(f"mean of the whitened descriptors: {off:.3f} of their spread at most, where the training's is 0")
    assert off < 0.02, "these are not the cells that the model was trained on"
    table(model, rows, held_rows)


def table(model: LDOSModel, rows: torch.Tensor, held: torch.Tensor) -> None:
    """Percent of the points that each of several distances puts outside, all with thresholds made alike."""
    whiten = model.input_scaler.transform
    z = whiten(rows.double())
    domain = fit_domain(CellRange((1.0, 1.0)), rows, held, model.input_scaler)
    low, high = (torch.from_numpy(np.quantile(z.numpy(), q, axis=0)) for q in (0.0005, 0.9995))
    distances = {
        "the one here": domain.novelty,
        "|z|²": lambda z: z.norm(dim=1),
        "of the first 20 z": lambda z: z[:, :20].norm(dim=1),
        "max |z|": lambda z: z.abs().amax(1),
        "max of z beyond its range": lambda z: (
            1 + torch.maximum((z - high) / (high - low), (low - z) / (high - low)).amax(1)
        ),
    }
    limits = {name: MARGIN * np.quantile(f(whiten(held.double())), 1 - TAIL) for name, f in distances.items()}
    groups = cases()
    found = {group: [whiten(d.double()) for d in described(c, model, 20000, 1)] for group, c in groups.items()}
    print(f"{'':28}" + "".join(f"{group:>14}" for group in groups))
    for name, f in distances.items():
        shares = {g: [100 * float((f(z) > limits[name]).double().mean()) for z in zs] for g, zs in found.items()}
        worst = [max(s) if g.startswith("new") else min(s) for g, s in shares.items()]
        print(f"{name:28}" + "".join(f"{w:14.2f}" for w in worst))


def cases() -> dict[str, list[Atoms]]:
    """Cells like those of the training, and others."""

    def drawn(repeat: tuple[int, int, int], count: int, displacement: float, vacancies: int = 0) -> list[Atoms]:
        return displaced(
            CRYSTAL * repeat, count, displacement=displacement, strain=0.02, vacancies=vacancies, seed=10**6
        )

    volume = CRYSTAL.get_volume() / 2
    bcc, fcc = (
        bulk("Be", kind, a=(n * volume) ** (1 / 3), cubic=True) * (2, 2, 2) for kind, n in (("bcc", 2), ("fcc", 4))
    )
    slab = CRYSTAL * (2, 2, 3)
    slab.center(vacuum=5.0, axis=2)
    far = CRYSTAL * (2, 2, 1)
    far.set_cell(far.cell * 2 ** (1 / 3), scale_atoms=True)
    return {
        "new, 8": drawn((2, 2, 1), 100, 0.1),
        "new, 16": drawn((2, 2, 2), 100, 0.1),
        "new, 54": drawn((3, 3, 3), 50, 0.1),
        "new, 128": drawn((4, 4, 4), 20, 0.1),
        "vacancy, 15": drawn((2, 2, 2), 20, 0.1, vacancies=1),
        "vacancy, 53": drawn((3, 3, 3), 10, 0.1, vacancies=1),
        "0.2 Å": drawn((2, 2, 2), 10, 0.2),
        "0.6 Å": drawn((2, 2, 2), 10, 0.6),
        "bcc": [bcc],
        "fcc": [fcc],
        "twice as wide": [far],
        "slab": [slab],
    }


if __name__ == "__main__":
    main()
