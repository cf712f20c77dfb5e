"""`make model-data`: the DFT data behind a shipped model, with Quantum ESPRESSO, in about an hour.

Beryllium: random displacements of 0.1 Å and strains of 2 % around hcp. Aluminium: see `aluminium`. What is done already
is kept: run it again to go on.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import aluminium
from ase import Atoms
from ase.build import bulk
from ase.io import read, write

import maladist
from maladist.cli.console import TerminalObserver
from maladist.datasets.dft.espresso import Espresso, Mesh
from maladist.sampling.crystal import displaced

DATA: Final = Path(maladist.__file__).parent / "data"
CRYSTAL = bulk("Be", "hcp", a=2.2866, c=3.5833)
REPEAT = {8: (2, 2, 1), 15: (2, 2, 2), 16: (2, 2, 2), 32: (4, 2, 2)}
COUNTS = {
    "train": {8: 128, 15: 17, 16: 21, 32: 12},
    "valid": {8: 8, 16: 2},
    "test": {8: 16, 15: 4, 16: 6, 32: 6},
}

THERMAL = {8: 3, 15: 2, 16: 7, 31: 1, 32: 6}


def snapshots() -> dict[str, Atoms]:
    """Every configuration of beryllium by name, the kinds mixed so that any beginning of the list is a fair share."""
    found: list[tuple[float, str, Atoms]] = []
    for number, (part, counts) in enumerate(COUNTS.items()):
        for n, count in counts.items():
            cell = CRYSTAL * REPEAT[n]
            drawn = displaced(
                cell, count, displacement=0.1, strain=0.02, vacancies=len(cell) - n, seed=1000 * number + n
            )
            found += [((i + 0.5) / count, f"{part}-{n:02d}-{i:03d}", a) for i, a in enumerate(drawn)]
    return {name: atoms for _, name, atoms in sorted(found, key=lambda f: f[:2])}


def with_thermal() -> dict[str, Atoms]:
    """The same, and 19 cells of the first edition's own MD at 300 to 1500 K, some without an atom."""
    names = [f"train-thermal-{n:02d}-{i:03d}" for n, count in THERMAL.items() for i in range(count)]
    return snapshots() | dict(zip(names, read(DATA / "be_1000K_2" / "thermal.extxyz", ":"), strict=True))


def to_distil(every: dict[str, Atoms]) -> list[Atoms]:
    """Cells without DFT for `maladist distil`: those of the training, each with four more near it."""
    trained = [atoms for name, atoms in every.items() if name.startswith("train")]
    near = [displaced(atoms, 4, displacement=0.05, strain=0.005, seed=i) for i, atoms in enumerate(trained)]
    return [one for atoms, others in zip(trained, near, strict=True) for one in (atoms, *others)]


RECIPES: Final = {"be-1000K": snapshots, "be-1000K-2": with_thermal, "al-933K": aluminium.snapshots}
DENSE: Final[dict[str, dict[int, Mesh]]] = {
    "be-1000K": {8: (6, 6, 8)},
    "be-1000K-2": {8: (6, 6, 8)},
    "al-933K": {8: (6, 6, 6)},
}
"""Meshes of the held-out cells of 8 atoms that tell the noise of the k-sampling."""


def main() -> None:
    """Run what is missing, or write the cells of a distillation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", choices=RECIPES, default="be-1000K")
    parser.add_argument("--output", type=Path, default=Path("model-data"))
    parser.add_argument("--distil", type=Path, help="only write the cells of maladist distil to this file")
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    if options.distil is not None:
        write(options.distil, to_distil(RECIPES[options.model]()))
        return
    options.output.mkdir(exist_ok=True)
    setup = Espresso.read(DATA / options.model.replace("-", "_") / "dft.yaml")
    everything, store = RECIPES[options.model](), options.model.split("-")[0]
    dense = {name: a for name, a in everything.items() if name.startswith("test-08")}

    with maladist.cluster("local", options.workers) as client, TerminalObserver() as observer:
        for data_set, chosen, how in (
            (store, everything, setup),
            (f"{store}-dense", dense, setup.model_copy(update={"kpoints": DENSE[options.model]})),
        ):
            maladist.dft(
                list(chosen.values()),
                how,
                options.output / f"{data_set}.zarr",
                names=list(chosen),
                client=client,
                observer=observer,
            )


if __name__ == "__main__":
    main()
