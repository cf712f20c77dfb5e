"""Configurations of al-933K: solid and liquid aluminium, by Langevin dynamics with effective-medium forces.

The forces are those of ASE's EMT (Jacobsen, Stoltze, Nørskov, Surf. Sci. 366, 394 (1996)): cheap, and good enough to
place atoms; every energy that the model learns is the DFT's. Each configuration is the end of a run of its own, so
that no two are correlated, and held-out cells have no relatives in the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.langevin import Langevin

from maladist.sampling.dynamics import thermal_momenta

LATTICE: Final = 4.13
"""Lattice constant of the solid at the melting point, Å: its density is the middle of the range."""

DENSITY: Final = 0.05
"""Half width of the range of densities, as a share."""

PRIMITIVE: Final = bulk("Al", "fcc", a=LATTICE)
CELLS: Final = {n: PRIMITIVE * repeat for n, repeat in {8: (2, 2, 2), 16: (2, 2, 4), 32: (4, 4, 2)}.items()}
"""Supercells of the primitive cell alone: the k-meshes of all sizes are then the same points, which those of the cube
of 32 atoms cannot be. An atom and its nearest image are 5.8 Å apart."""

TEMPERATURES: Final = {"solid": (300, 600, 900), "liquid": (950, 1200, 1500)}
"""Temperatures of the ions, K."""

MELTING: Final = 3000  # K: nothing is left of the crystal after half a picosecond
TIMESTEP: Final = 5.0  # fs
STEPS: Final = 100
"""Steps at the melting temperature, and again at that of the configuration."""

COUNTS: Final = {
    "train": {"solid": {8: 32, 16: 8, 32: 4}, "liquid": {16: 28, 32: 14}},
    "valid": {"solid": {8: 6, 16: 4, 32: 3}, "liquid": {16: 7, 32: 5}},
    "test": {"solid": {8: 6, 16: 3, 32: 3}, "liquid": {16: 6, 32: 4}},
}
"""No liquid of 8 atoms: it hardly melts. At 950 K its A is 0.01 eV/atom above that of the crystal at 900 K,
where that of 32 atoms is 0.18 above."""

GOLDEN: Final = (5**0.5 - 1) / 2
"""Multiples of it, less their whole part, fill 0 to 1 evenly, however many there are: more cells leave the first as
they are."""


@dataclass(frozen=True)
class Drawing:
    """A configuration to be drawn: its cell, the ions' temperature (K), density relative to its, seed."""

    crystal: Atoms
    phase: str
    kelvin: int
    density: float
    seed: tuple[int, ...]

    def atoms(self) -> Atoms:
        """The end of a run of dynamics, melted before or not."""
        random = np.random.default_rng(self.seed)
        moving = self.crystal.copy()
        moving.set_cell(moving.cell * self.density ** (-1 / 3), scale_atoms=True)
        moving.calc = EMT()
        stages = (MELTING, self.kelvin) if self.phase == "liquid" else (self.kelvin,)
        moving.set_momenta(thermal_momenta(moving, 2 * stages[0], random))  # half of it goes into the crystal's springs
        for kelvin in stages:
            Langevin(
                moving, TIMESTEP * units.fs, temperature_K=kelvin, friction=0.01 / units.fs, rng=random, fixcm=False
            ).run(STEPS)
        moving.wrap()
        return Atoms(moving.numbers, moving.positions, cell=moving.cell, pbc=True)


def drawings() -> dict[str, Drawing]:
    """Every configuration by name, the kinds mixed so that any beginning of the list is a fair share.

    A name tells part, atoms, phase, temperature of the ions and number: train-32-liquid-1200K-004.
    """
    found: list[tuple[float, str, Drawing]] = []
    for p, (part, phases) in enumerate(COUNTS.items()):
        for f, (phase, sizes) in enumerate(phases.items()):
            for n, count in sizes.items():
                begin = np.random.default_rng((p, f, n)).random()
                for i in range(count):
                    share = (begin + i * GOLDEN) % 1
                    kelvin, density = TEMPERATURES[phase][i % 3], 1 + DENSITY * (2 * share - 1)
                    drawing = Drawing(CELLS[n], phase, kelvin, density, (p, f, n, i))
                    found.append(((i + 0.5) / count, f"{part}-{n:02d}-{phase}-{kelvin}K-{i:03d}", drawing))
    return {name: drawing for _, name, drawing in sorted(found, key=lambda f: f[:2])}


def snapshots() -> dict[str, Atoms]:
    """Atoms of every configuration by name: some minutes of EMT."""
    return {name: drawing.atoms() for name, drawing in drawings().items()}
