"""Self-consistency of pw.x from superposed atoms and from a predicted n(r), at one threshold.

    python tests/benchmarks/start_dft.py be-1000K dft.yaml be.zarr/snapshots/test-08-* be.zarr/snapshots/test-16-*

For each snapshot of a data set a line of each mixing: iterations, and the seconds of CPU that pw.x says it took (the
clock on the wall also counts who else is at work). Then the means by the number of atoms.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

import ase
import numpy as np

import maladist
from maladist import metadata
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.programs import run_program
from maladist.datasets.dft.scratch import Scratch
from maladist.io.opening import open_dataset
from maladist.io.qe.input import pw_input

MIXING: Final = {"pw.x' own": {}, "TF": {"mixing_mode": "TF"}}
"""Settings of the mixing, each from both densities."""


def converge(code: Espresso, atoms: ase.Atoms, mixing: dict[str, str], store: Path | None) -> tuple[int, float]:
    """Iterations of an scf, and its seconds of CPU, from a store's density or from superposed atoms."""
    system, electrons = code.namelists(atoms, code.n_bands(atoms), 1.0)
    electrons |= mixing | ({} if store is None else {"startingpot": "file"})
    files = {symbol: element.pseudopotential for symbol, element in code.elements.items()}
    text = pw_input(atoms, files, code.mesh(atoms), system, electrons, code.pseudopotentials, slopes=False)
    with Scratch("start") as scratch:
        if store is not None:
            maladist.export(store, scratch.folder / "out" / "m.save", to="qe")
        (scratch.folder / "scf.in").write_text(text)
        run_program(scratch, "pw.x", "scf")
        said = (scratch.folder / "scf.out").read_text()
    spent = re.search(r"PWSCF\s+:\s*(?:(\d+)m\s*)?([\d.]+)s CPU", said)
    assert spent is not None
    return said.count("iteration #"), 60 * float(spent[1] or 0) + float(spent[2])


def main(model: str, setup: str, *snapshots: str) -> None:
    """Print the table."""
    code = Espresso.read(Path(setup))
    found: dict[tuple[int, str], list[tuple[int, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, maladist.cluster("local", 1):
        for path in map(Path, snapshots):
            data = open_dataset(path)
            atoms, store = metadata.atoms_of(data), Path(folder) / f"{path.name}.zarr"
            maladist.predict(atoms, model, store=store, grid=metadata.grid_of(data).shape)
            predicted, true = open_dataset(store)["density"].values, data["density"].values
            print(f"{path.name}: density off by {np.abs(predicted - true).mean() / true.mean():.2%}")
            for name, mixing in MIXING.items():
                for start, density in (("atoms", None), ("n(r)", store)):
                    steps, seconds = converge(code, atoms, mixing, density)
                    found[len(atoms), f"{name}, from {start}"].append((steps, seconds))
                    print(f"  {name}, from {start}: {steps} iterations, {seconds:.1f} s", flush=True)
    for (size, what), each in found.items():
        steps, seconds = np.mean(each, axis=0)
        print(f"{size} atoms, {len(each)} cells, {what}: {steps:.1f} iterations, {seconds:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
