"""`make demo`: the model of beryllium that comes with maladist, on a Dask cluster of this machine.

The cell is 256 atoms: one of 8 atoms at 1000 K that was held out of the model's training, repeated, so that the DFT of
the 8 atoms says what should come out of it, an atom for an atom.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import ase.io
from ase import Atoms
from rich.console import Console
from rich.table import Table
from rich.text import Text

import maladist
from maladist.cli.console import TerminalObserver
from maladist.io.shipped import shipped_models
from maladist.report.figures import overview
from maladist.report.html import report

CONSOLE = Console()
OUTPUT = Path(__file__).parent.parent / "demo-output"
MODEL = "be-1000K-2"
HELD_OUT = shipped_models()[MODEL].folder / "held-out.extxyz"
REPEAT = (4, 4, 2)
CALLED = {
    "fermi_energy_eV": "Fermi level μ, eV",
    "band_energy_eV": "band energy E_b",
    "entropy_contribution_eV": "−TS of the electrons",
    "hartree_eV": "Hartree energy E_H",
    "xc_eV": "E_XC",
    "xc_potential_eV": "∫ v_XC n",
    "ewald_eV": "ions, E_ii (Ewald)",
    "total_free_energy_eV": "total free energy A",
}
# The figures of the model's card, maladist/data/be_1000K_2/README.md.
MEANING = (
    "The DFT is Quantum ESPRESSO's of the 8 atoms. Over 16 such held-out cells the model's A is off by 1.4 meV/atom",
    "in the mean and by 3.8 at most, E_b by 1.8 and 6.9; the DFT's own k-points leave about 2. Agreement to 0.1",
    "meV/atom is luck here, and 10 would be a fault.",
)


def comparison(result: maladist.Prediction, held_out: Atoms) -> Table:
    """Energies an atom beside the DFT's; the Fermi level as it is."""
    title = "A = E_b − TS − E_H + E_XC − ∫ v_XC n + E_ii, eV/atom"
    table = Table(title=title, title_justify="left")
    for column in ("", f"model, {len(result.atoms)} atoms", f"DFT, {len(held_out)} atoms", "model − DFT, meV"):
        table.add_column(column, justify="left" if not column else "right")
    for name, value in {"fermi_energy_eV": result.fermi_energy, **dict(result.energies)}.items():
        intensive = name == "fermi_energy_eV"
        known = held_out.info[f"dft_{name}"] / (1 if intensive else len(held_out))
        here = None if value is None else value / (1 if intensive else len(result.atoms))
        difference = "–" if here is None else f"{1000 * (here - known):+.2f}"
        text = "–" if here is None else f"{here:.5f}"
        table.add_row(CALLED[name], text, f"{known:.5f}", difference)
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
    say("Atoms", f"{len(atoms)} of beryllium (be256.extxyz), electrons at 1000 K: a cell of {len(held_out)} atoms,")
    say("", f"each some 0.1 Å off its site, {' × '.join(map(str, REPEAT))} times; its DFT was held out of the training")
    say("Model", f"{MODEL}: {maladist.load_model(MODEL)}")
    with maladist.cluster("local") as client, TerminalObserver(CONSOLE) as observer:
        result = maladist.predict(atoms, MODEL, client=client, store=OUTPUT / "be256.zarr", observer=observer)
    overview(result, OUTPUT / "be256.png")
    report(result, OUTPUT / "be256.html")
    (OUTPUT / "be256.json").write_text(result.to_json() + "\n")
    CONSOLE.print()
    CONSOLE.print(comparison(result, held_out))
    for line in MEANING:
        say("", line)
    seconds = result.to_dict()["seconds"]
    stages = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items() if name != "wall")
    whole = time.perf_counter() - began
    say("Time", f"{seconds['wall']:.1f} s, the demo {whole:.1f} s (worker seconds: {stages})")
    say("Look", "demo-output/be256.html: the report; be256.png: the density of states D(ε) and the density n(r)")
    say("Store", "demo-output/be256.zarr: density, DOS, energies (xarray.open_zarr, or maladist info)")
    command = f"maladist predict demo-output/be256.extxyz --model {MODEL} --output out.zarr"
    say("Next", f"the same by hand: .venv/bin/{command}")


def say(what: str, text: str) -> None:
    """One line of the demo."""
    CONSOLE.print(Text.assemble((f"{what:<8}", "bold"), text), soft_wrap=True)


if __name__ == "__main__":
    main()
