"""Commands that predict and observe: parse, call the function of the same name, print."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter
from rich.table import Table

import maladist
from maladist.choices import CorrectionMode, DoubleCountingChoice, Functional
from maladist.cli import report as cli_report
from maladist.cli.console import TerminalObserver
from maladist.cli.options import LOCAL, ClusterFlags, RunOptions, Temperature
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import err, out, say
from maladist.errors import InputError
from maladist.io.targets import check_folder

if TYPE_CHECKING:
    import ase

    from maladist.cluster import Later
    from maladist.parallel.progress import Observer
    from maladist.prediction.options import ObserveOptions
    from maladist.prediction.result import Prediction


def predict(
    atoms: str,
    /,
    *,
    output: Path,
    options: RunOptions,
    resume: bool = False,
    overwrite: bool = False,
    json: Json = None,
    report: Path | None = None,
    performance_report: Path | None = None,
    spread: bool = False,
) -> None:
    """Predict density, density of states and total free energy of a cell into a zarr store.

    A small cell is computed in this process where none of --cluster, --workers and --performance-report asks for a
    cluster.

    Parameters
    ----------
    atoms
        File that ASE reads, FILE@index for one frame of several (the last without an index); FILE@: or FILE@0:100:10
        for many, their blocks in one queue.
    output
        Zarr store to make; of many frames the folder for their stores.
    resume
        Continue a run that left the output unfinished.
    overwrite
        Replace the output if it exists.
    report
        Write an HTML report to this file as well; of one frame only.
    performance_report
        Write Dask's performance report of the run to this HTML file.
    spread
        Of an ensemble: standard deviations over its members too; of one frame only.
    """
    # ASE's readers take a second to import: only commands that read atoms pay for them.
    from maladist.io.structures import names_several, read_atoms, read_frames

    check_files(json=json, report=report, performance_report=performance_report)
    client = options.client if performance_report is None else options.reporting(performance_report)
    if names_several(atoms):
        if report is not None:
            raise InputError("report", "many frames", "one frame", "Use maladist report on a frame's store.")
        if spread:
            raise InputError("spread", "many frames", "one frame", "Predict them one by one, as FILE@0, FILE@1, ...")
        frames = read_frames(atoms)
        with TerminalObserver(lines=out) as observer:
            _predict_frames(frames, output, options, client, observer, json, resume=resume, overwrite=overwrite)
        return
    cell = read_atoms(atoms)
    with TerminalObserver() as observer:
        prediction = maladist.predict(
            cell,
            options.model,
            client=client,
            store=output,
            observer=observer,
            resume=resume,
            overwrite=overwrite,
            spread=spread,
            **options.run(),
        )
    _show(prediction, output)
    write_json(json, prediction.to_dict())
    if performance_report is not None:
        say(f"performance report: {performance_report}")
    if report is not None:
        cli_report.report(output, output=report)


def plan(
    atoms: str,
    /,
    *,
    options: RunOptions,
    output: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    json: Json = None,
) -> None:
    """Say what `predict` with the same arguments will do and need; compute one block to tell how long.

    Parameters
    ----------
    output
        Is checked as `predict` checks it; nothing is written.
    """
    from maladist.io.structures import read_atoms

    check_files(json=json)
    cell = read_atoms(atoms)
    if output is not None:
        from maladist.io.appearing import check_target

        check_target(output, overwrite or resume)
    planned = maladist.plan(cell, options.model, client=options.client, **options.run())
    table = Table(show_header=False, box=None)
    for what, much in planned.rows():
        table.add_row(what, much)
    out.print(table)
    write_json(json, {**asdict(planned), "blocks": len(planned.blocks), "tasks": planned.n_tasks})


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ObserveFlags:
    """What the data do not tell, or is to be other than they say.

    Parameters
    ----------
    pseudopotentials
        Folder of UPF files: valence and core charge.
    xc
        Functional. Default: the data's own.
    density_cutoff
        Sphere of the core charge, of the gradient and of XC, eV (ecutrho). Default: the data's own.
    broadening_correction
        Correct the energies for the broadening of the LDOS.
    double_counting
        Density in -E_H + E_xc - ∫ v_xc n, at the temperature of the data: dft, that which the store holds; ldos, that
        of the LDOS. Default: the former where it is there.
    """

    temperature: Temperature = None
    pseudopotentials: Path | None = None
    xc: Functional | None = None
    density_cutoff: float | None = None
    broadening_correction: CorrectionMode = "auto"
    double_counting: DoubleCountingChoice = "auto"

    def keywords(self) -> ObserveOptions:
        """Keywords of `observe`."""
        return {
            "temperature": self.temperature or None,
            "pseudopotentials": self.pseudopotentials,
            "xc": self.xc,
            "density_cutoff": self.density_cutoff,
            "broadening_correction": self.broadening_correction,
            "double_counting": self.double_counting,
        }


def observe(
    ldos: Path,
    /,
    *,
    atoms: str | None = None,
    physics: ObserveFlags = ObserveFlags(),
    where: ClusterFlags = LOCAL,
    output: Path | None = None,
    overwrite: bool = False,
    json: Json = None,
) -> None:
    """Density, DOS and energies of any LDOS that follows the data contract, from DFT too.

    Parameters
    ----------
    ldos
        Zarr store, or a group in one, with an LDOS.
    atoms
        File that ASE reads, where the store has no atoms.
    """
    from maladist.io.structures import read_atoms

    check_files(json=json)
    cell = None if atoms is None else read_atoms(atoms)
    prediction = maladist.observe(
        ldos,
        cell,
        client=where.client,
        store=output,
        overwrite=overwrite,
        **physics.keywords(),
    )
    for note in prediction.dataset.attrs.get("notes", []):
        say(f"note: {note}", err)
    _show(prediction, output)
    write_json(json, prediction.to_dict())


def _predict_frames(
    frames: list[ase.Atoms],
    output: Path,
    options: RunOptions,
    client: Later | None,
    observer: Observer,
    json: Path | None,
    *,
    resume: bool,
    overwrite: bool,
) -> None:
    """One store a frame in a folder, a line for each as it is finished."""
    folder = check_folder(output)
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i:06d}.zarr" for i in range(len(frames))]

    predictions = maladist.predict_many(
        frames,
        options.model,
        paths,
        client=client,
        resume=resume,
        overwrite=overwrite,
        observer=observer,
        **options.run(),
    )
    say(f"stores: {folder}")
    if client is not None and client.report is not None:
        say(f"performance report: {client.report}")
    write_json(json, {"frames": [p.to_dict() for p in predictions]})


def _show(prediction: Prediction, store: Path | None) -> None:
    say(str(prediction))
    if store is not None:
        say(f"store: {store}")
