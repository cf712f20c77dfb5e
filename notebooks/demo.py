"""`make demo`: the model of beryllium that comes with maladist, on a Dask cluster of this machine.

The cell is 256 atoms: one of 8 atoms at 1000 K that the model has never seen, repeated, so that DFT says what should
come out of it, an atom for an atom.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import ase.io
from ase import Atoms
from rich.console import Console
from rich.table import Table

import maladist
from maladist.cli.console import TerminalObserver
from maladist.io.shipped import shipped_models
from maladist.report.figures import overview
from maladist.report.html import report

CONSOLE = Console()
OUTPUT = Path(__file__).parent.parent / "demo-output"
MODEL = "be-1000K"
HELD_OUT = shipped_models()[MODEL].folder / "held-out.extxyz"
REPEAT = (4, 4, 2)


def comparison(result: maladist.Prediction, held_out: Atoms) -> Table:
    """Energies an atom beside the DFT's; the Fermi level as it is."""
    table = Table(title="eV an atom (μ in eV)", title_justify="left")
    for column in ("", f"predicted, {len(result.atoms)} atoms", "DFT (QE), 8 atoms", "difference, meV"):
        table.add_column(column, justify="left" if not column else "right")
    for name, value in {"fermi_energy_eV": result.fermi_energy, **dict(result.energies)}.items():
        intensive = name == "fermi_energy_eV"
        known = held_out.info[f"dft_{name}"] / (1 if intensive else len(held_out))
        here = None if value is None else value / (1 if intensive else len(result.atoms))
        difference = "–" if here is None else f"{1000 * (here - known):+.2f}"
        text = "–" if here is None else f"{here:.5f}"
        table.add_row(name.removesuffix("_eV").replace("_", " "), text, f"{known:.5f}", difference)
    return table


def main() -> None:
    """Run the demo."""
    began = time.perf_counter()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    CONSOLE.rule("maladist: from atoms to electronic structure")
    held_out = ase.io.read(HELD_OUT)
    atoms = Atoms(held_out.numbers, held_out.positions, cell=held_out.cell, pbc=True) * REPEAT
    ase.io.write(OUTPUT / "be256.extxyz", atoms)
    say("Atoms ", f"{len(atoms)} of beryllium at 1000 K, a cell that the model has never seen (be256.extxyz)")
    say("Model ", f"{MODEL}: {maladist.load_model(MODEL)}")
    with maladist.cluster("local") as client, TerminalObserver(CONSOLE) as observer:
        result = maladist.predict(atoms, MODEL, client=client, store=OUTPUT / "be256.zarr", observer=observer)
    for note in result.dataset.attrs["notes"]:
        say("Note  ", note)
    overview(result, OUTPUT / "be256.png")
    report(result, OUTPUT / "be256.html")
    (OUTPUT / "be256.json").write_text(result.to_json() + "\n")
    CONSOLE.print()
    CONSOLE.print(comparison(result, held_out))
    seconds = result.to_dict()["seconds"]
    stages = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items() if name != "wall")
    whole = time.perf_counter() - began
    say("Time  ", f"{seconds['wall']:.1f} s, the demo {whole:.1f} s (worker seconds: {stages})")
    say("Look  ", "demo-output/be256.html: the report; be256.png: D(ε) and n(r)")
    say("Store ", "demo-output/be256.zarr: density, DOS, energies (xarray.open_zarr, or maladist info)")
    command = f"maladist predict demo-output/be256.extxyz --model {MODEL} --output out.zarr"
    say("Next  ", f"the same by hand: .venv/bin/{command}")


def say(what: str, text: str) -> None:
    """One line of the demo."""
    CONSOLE.print(f"[bold]{what}[/]  {text}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
