"""`make demo`: a trained network predicts the electronic structure of beryllium on a Dask cluster of this machine."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from rich.console import Console

import maladist
from maladist.report.figures import overview
from maladist.terminal import TerminalObserver

CONSOLE = Console()
HERE = Path(__file__).parent
OUTPUT = HERE.parent / "demo-output"


def crystal() -> Atoms:
    """128 atoms of hcp beryllium, shaken as by heat, one of them moved far: something to see in n(r)."""
    a, c = 2.286, 3.584
    cell = [[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]]
    atoms = Atoms("Be2", scaled_positions=[[1 / 3, 2 / 3, 1 / 4], [2 / 3, 1 / 3, 3 / 4]], cell=cell, pbc=True) * (4, 4, 4)
    atoms.positions += np.random.default_rng(0).normal(0.0, 0.08, atoms.positions.shape)
    return atoms


def choose_model() -> tuple[maladist.LDOSModel, str]:
    """MALA's test network where the reference data lie beside the checkout, else one trained here on own DFT data."""
    data = Path(os.environ.get("MALADIST_TEST_DATA", ""))
    zipped = data / "be2" / "Be_model.zip"
    if os.environ.get("MALADIST_TEST_DATA") and zipped.is_file():
        from maladist.io.upf import read_pseudopotentials

        model = maladist.load_model(zipped, read_pseudopotentials(zipped.parent))
        return model, (
            "MALA's small test network for Be (Be_model.zip, trained by MALA on one snapshot of 2 atoms, 11 energies of "
            "2.5 eV): good for showing that everything runs, not for its energies."
        )
    sys.path.insert(0, str(HERE))
    from demo_model import train_demo_model

    model = train_demo_model(HERE.parent / "tests" / "data")
    return model, (
        "a small network that was trained just now, in seconds, on one DFT snapshot of 2 Be atoms at 1000 K that the "
        "repository carries: good for showing that everything runs, not for its energies."
    )


def main() -> None:
    """Run the demo."""
    began = time.perf_counter()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    atoms = crystal()
    ase.io.write(OUTPUT / "be128.extxyz", atoms)
    model, what = choose_model()
    maladist.save_model(model, OUTPUT / "model.maladist")
    CONSOLE.rule("maladist: from atoms to electronic structure")
    CONSOLE.print(f"[bold]Atoms[/]   {len(atoms)} of hcp beryllium, displaced at random by 0.08 Å (be128.extxyz)", highlight=False)
    CONSOLE.print(f"[bold]Model[/]   {what}", highlight=False)
    with maladist.cluster("local") as client, TerminalObserver(CONSOLE) as observer:
        result = maladist.predict(atoms, model, client=client, store=OUTPUT / "be128.zarr", observer=observer)
    picture = overview(result, OUTPUT / "be128.png")
    (OUTPUT / "be128.json").write_text(result.to_json() + "\n")
    CONSOLE.print()
    CONSOLE.print(str(result), highlight=False)
    CONSOLE.print()
    seconds = json.loads(result.to_json())["seconds"]
    stages = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items() if name != "wall")
    CONSOLE.print(f"Worker seconds: {stages}; the prediction took {seconds['wall']:.1f} s, the demo {time.perf_counter() - began:.1f} s.", highlight=False)
    CONSOLE.print(f"Picture of D(ε) and n(r): {os.path.relpath(picture)}", highlight=False)
    CONSOLE.print(f"Everything, as a zarr store: {os.path.relpath(OUTPUT / 'be128.zarr')}   (xarray.open_zarr, or maladist info)", highlight=False)
    CONSOLE.print(
        "The same by hand:  maladist predict demo-output/be128.extxyz --model demo-output/model.maladist "
        "--output out.zarr",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
