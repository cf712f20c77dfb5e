"""`make model-data`: the DFT data behind the shipped model of beryllium, with Quantum ESPRESSO, in under an hour.

Random displacements of 0.1 Å and strains of 2 % around hcp Be. What is done already is kept: run it again to go on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ase import Atoms
from ase.build import bulk

import maladist
from maladist.cli.console import TerminalObserver
from maladist.datasets.dft.espresso import Espresso
from maladist.io.shipped import shipped_models
from maladist.sampling.crystal import displaced

SETUP = shipped_models()["be-1000K"].folder / "dft.yaml"
CRYSTAL = bulk("Be", "hcp", a=2.2866, c=3.5833)
REPEAT = {8: (2, 2, 1), 15: (2, 2, 2), 16: (2, 2, 2), 32: (4, 2, 2)}
COUNTS = {
    "train": {8: 128, 15: 17, 16: 21, 32: 12},
    "valid": {8: 8, 16: 2},
    "test": {8: 16, 15: 4, 16: 6, 32: 6},
}
DENSE = {8: (6, 6, 8)}


def snapshots() -> dict[str, Atoms]:
    """Every configuration by name, the kinds mixed so that any beginning of the list is a fair share."""
    found: list[tuple[float, str, Atoms]] = []
    for number, (part, counts) in enumerate(COUNTS.items()):
        for n, count in counts.items():
            cell = CRYSTAL * REPEAT[n]
            drawn = displaced(
                cell, count, displacement=0.1, strain=0.02, vacancies=len(cell) - n, seed=1000 * number + n
            )
            found += [((i + 0.5) / count, f"{part}-{n:02d}-{i:03d}", a) for i, a in enumerate(drawn)]
    return {name: atoms for _, name, atoms in sorted(found, key=lambda f: f[:2])}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("model-data"))
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True)
    setup, everything = Espresso.read(SETUP), snapshots()
    dense = {name: a for name, a in everything.items() if name.startswith("test-08")}

    with maladist.cluster("local", options.workers) as client, TerminalObserver() as observer:
        for store, chosen, how in (
            ("be.zarr", everything, setup),
            ("be-dense.zarr", dense, setup.model_copy(update={"kpoints": DENSE})),  # the noise of the k-sampling
        ):
            maladist.dft(
                list(chosen.values()), how, options.output / store, names=list(chosen), client=client, observer=observer
            )


if __name__ == "__main__":
    main()
