"""`make demo`: a trained network predicts the electronic structure of beryllium on a Dask cluster of this machine.

The cell is 128 atoms: the 2-atom cell that the network was trained on, 4×4×4 times. So what should come out is known:
an atom for an atom, what the 2-atom cell has.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase import Atoms
from rich.console import Console
from rich.table import Table

import maladist
from maladist.io.upf import read_pseudopotentials
from maladist.report.figures import overview
from maladist.terminal import TerminalObserver

CONSOLE = Console()
HERE = Path(__file__).parent
OUTPUT = HERE.parent / "demo-output"
REPEAT = (4, 4, 4)


@dataclass
class Case:
    """A model, a cell of two atoms, and what is known of it (eV for the two atoms)."""

    atoms: Atoms
    model: maladist.LDOSModel
    what: str
    source: str
    known: dict[str, float]


def choose() -> Case:
    """MALA's test network where the reference data lie beside the checkout, else one trained here on own DFT data."""
    data = os.environ.get("MALADIST_TEST_DATA")
    if data and (Path(data) / "be2" / "Be_model.zip").is_file():
        return mala_case(Path(data) / "be2")
    return own_case(HERE.parent / "tests" / "data")


def mala_case(folder: Path) -> Case:
    """MALA's test network for Be and what MALA itself makes of the 2-atom cell."""
    known = json.loads((folder / "reference.json").read_text())["snapshot0"]["predicted_by_Be_model"]
    return Case(
        ase.io.read(folder / "Be_snapshot0.out"),
        maladist.load_model(folder / "Be_model.zip", read_pseudopotentials(folder)),
        "MALA's small test network (Be_model.zip: one snapshot of 2 atoms, 11 energies 2.5 eV apart). It shows that "
        "everything runs and agrees with MALA; its energies are far from DFT.",
        "MALA, 2 atoms",
        {k: known[k] for k in ("fermi_energy_eV", "band_energy_eV", "entropy_contribution_eV")},
    )


def own_case(data: Path) -> Case:
    """A network trained here, in seconds, and the DFT terms of the 2-atom cell that it was trained on."""
    sys.path.insert(0, str(HERE))
    from demo_model import CASE, train_demo_model

    reference = json.loads((data / "qe" / CASE / "reference.json").read_text())
    printed = reference["qe_printed_eV"]
    return Case(
        ase.io.read(data / "qe" / CASE / "atoms.extxyz"),
        train_demo_model(data),
        "a small network trained just now, in seconds, on one DFT snapshot of 2 Be atoms at 1000 K that the repository "
        "carries. It knows this one configuration and no other.",
        "DFT (QE), 2 atoms",
        {
            "fermi_energy_eV": reference["fermi_energy_eV"],
            "band_energy_eV": reference["band_energy_eV"],
            "entropy_contribution_eV": reference["entropy_contribution_eV"],
            "hartree_eV": printed["hartree"],
            "xc_eV": printed["xc"],
            "ewald_eV": printed["ewald"],
            "total_free_energy_eV": printed["total"],
        },
    )


def comparison(result: maladist.Prediction, case: Case) -> Table:
    """Energies an atom beside what is known; the Fermi level as it is."""
    table = Table(title="eV an atom (μ in eV)", title_justify="left")
    for column in ("", f"predicted, {len(result.atoms)} atoms", case.source, "difference, meV"):
        table.add_column(column, justify="left" if not column else "right")
    for name, value in {"fermi_energy_eV": result.fermi_energy, **dict(result.energies)}.items():
        each = 1 if name == "fermi_energy_eV" else len(result.atoms)
        known = case.known.get(name)
        known = None if known is None else known / (1 if name == "fermi_energy_eV" else len(case.atoms))
        here = None if value is None else value / each
        texts = ["–" if x is None else f"{x:.5f}" for x in (here, known)]
        difference = "" if here is None or known is None else f"{1000 * (here - known):+.2f}"
        table.add_row(name.removesuffix("_eV").replace("_", " "), *texts, difference)
    return table


def main() -> None:
    """Run the demo."""
    began = time.perf_counter()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    CONSOLE.rule("maladist: from atoms to electronic structure")
    case = choose()
    atoms = case.atoms * REPEAT
    atoms.calc = None
    ase.io.write(OUTPUT / "be128.extxyz", atoms)
    maladist.save_model(case.model, OUTPUT / "model.maladist")
    say("Atoms ", f"{len(atoms)} of beryllium: the 2-atom cell {'×'.join(map(str, REPEAT))} times (be128.extxyz)")
    say("Model ", case.what)
    with maladist.cluster("local") as client, TerminalObserver(CONSOLE) as observer:
        result = maladist.predict(atoms, case.model, client=client, store=OUTPUT / "be128.zarr", observer=observer)
    for note in result.dataset.attrs["notes"]:
        say("Note  ", note)
    overview(result, OUTPUT / "be128.png")
    (OUTPUT / "be128.json").write_text(result.to_json() + "\n")
    CONSOLE.print()
    CONSOLE.print(comparison(result, case))
    seconds = result.to_dict()["seconds"]
    stages = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items() if name != "wall")
    whole = time.perf_counter() - began
    say("Time  ", f"{seconds['wall']:.1f} s, the demo {whole:.1f} s (worker seconds: {stages})")
    say("Look  ", "demo-output/be128.png: D(ε) and n(r)")
    say("Store ", "demo-output/be128.zarr: density, DOS, energies (xarray.open_zarr, or maladist info)")
    command = "maladist predict demo-output/be128.extxyz --model demo-output/model.maladist --output out.zarr"
    say("Next  ", f"the same by hand: .venv/bin/{command}")


def say(what: str, text: str) -> None:
    """One line of the demo."""
    CONSOLE.print(f"[bold]{what}[/]  {text}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
