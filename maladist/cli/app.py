"""The command `maladist`: parses, calls the function of the same name, prints."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from distributed import Client
from rich.table import Table

import maladist
from maladist.cli import data as cli_data
from maladist.cli import evaluate as cli_evaluate
from maladist.cli import help as cli_help
from maladist.cli import report as cli_report
from maladist.cli import sample as cli_sample
from maladist.cli import train as cli_train
from maladist.cli import tune as cli_tune
from maladist.cli.console import Notes, TerminalObserver
from maladist.cli.options import RunOptions, Temperature
from maladist.cli.stopping import stopped_by_signals, what_is_kept
from maladist.cli.streams import err, out, say
from maladist.elements import Functional
from maladist.errors import AccuracyWarning, BlockError, InputError, StoreError
from maladist.io.chunks import REMEDY
from maladist.io.stores import check_target
from maladist.io.targets import check_file, check_folder, refusal, write_whole
from maladist.parallel.progress import Observer
from maladist.physics.fermi import CorrectionMode
from maladist.prediction.run import Target
from maladist.prediction.setup import setup
from maladist.prediction.spread import member_setups
from maladist.reprs import size

app = App(
    name="maladist",
    version=lambda: maladist.__version__,
    default_parameter=Parameter(negative=()),
    result_action="return_value",  # the exit status is ours, in main
    suppress_keyboard_interrupt=False,  # and so is what is said after Ctrl-C
    help="Electronic structure of large cells at finite temperature: atoms and a model in; n(r), D(ε) and A[n] out.",
)

ClusterName = Annotated[str, Parameter(help="local, a YAML file, a scheduler's address or its scheduler file.")]


@app.command
def predict(
    atoms: str,
    /,
    *,
    output: Path,
    options: RunOptions,
    resume: bool = False,
    overwrite: bool = False,
    json: Path | None = None,
    report: Path | None = None,
    spread: bool = False,
) -> None:
    """Predict density, density of states and total free energy of a cell into a zarr store.

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
    json
        Write the results as JSON to this file as well.
    report
        Write an HTML report to this file as well; of one frame only.
    spread
        Of an ensemble: standard deviations over its members too; of one frame only.
    """
    # ASE's readers take a second to import: only commands that read atoms pay for them.
    from maladist.io.structures import names_several, read_atoms, read_frames

    _check_files(json=json, report=report)
    if names_several(atoms):
        if report is not None:
            raise InputError("report", "many frames", "one frame", "Use maladist report on a frame's store.")
        if spread:
            raise InputError("spread", "many frames", "one frame", "Predict them one by one, as FILE@0, FILE@1, ...")
        frames = read_frames(atoms)
        with maladist.cluster(options.cluster, options.workers) as client, TerminalObserver(err, out) as observer:
            _predict_frames(frames, options, Target(output, resume, overwrite), client, observer, json)
        return
    structure = read_atoms(atoms)
    # Refuse bad input before a cluster is asked for.
    ready = setup(structure, options.model, **options.run())
    if spread:
        member_setups(ready)
    check_target(output, overwrite or resume)
    with maladist.cluster(options.cluster, options.workers) as client, TerminalObserver(err) as observer:
        prediction = maladist.predict(
            structure,
            ready.given,
            client=client,
            store=output,
            observer=observer,
            resume=resume,
            overwrite=overwrite,
            spread=spread,
            **options.run(),
        )
    _show(prediction, output)
    _write_json(prediction, json)
    if report is not None:
        cli_report.report(output, output=report)


@app.command
def plan(
    atoms: str,
    /,
    *,
    options: RunOptions,
    output: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    json: Path | None = None,
) -> None:
    """Say what `predict` with the same arguments will do and need; compute one block to tell how long.

    Parameters
    ----------
    output
        Is checked as `predict` checks it; nothing is written.
    json
        Write the plan as JSON to this file as well.
    """
    from maladist.io.structures import read_atoms

    _check_files(json=json)
    if output is not None:
        check_target(output, overwrite or resume)
    with maladist.cluster(options.cluster, options.workers) as client:
        planned = maladist.plan(read_atoms(atoms), options.model, client=client, **options.run())
    table = Table(show_header=False, box=None)
    for what, much in planned.rows():
        table.add_row(what, much)
    out.print(table)
    if json is not None:
        values = {**asdict(planned), "blocks": len(planned.blocks), "tasks": planned.n_tasks}
        write_whole(json, _dumps(values), "json")


@app.command
def observe(
    ldos: Path,
    /,
    *,
    atoms: str | None = None,
    temperature: Temperature = None,
    pseudopotentials: Path | None = None,
    xc: Functional | None = None,
    density_cutoff: float | None = None,
    broadening_correction: CorrectionMode = "auto",
    double_counting: Literal["auto", "dft", "channel", "ldos"] = "auto",
    cluster: ClusterName = "local",
    workers: int | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    json: Path | None = None,
) -> None:
    """Density, DOS and energies of any LDOS that follows the data contract, from DFT too.

    Parameters
    ----------
    ldos
        Zarr store, or a group in one, with an LDOS.
    atoms
        File that ASE reads, where the store has no atoms.
    double_counting
        Density in -E_H + E_xc - ∫ v_xc n, at the temperature of the data: dft, that which the store holds; ldos, that
        of the LDOS. Default: the former where it is there.
    """
    from maladist.io.structures import read_atoms

    _check_files(json=json)
    with maladist.cluster(cluster, workers) as client:
        prediction = maladist.observe(
            ldos,
            None if atoms is None else read_atoms(atoms),
            temperature=temperature or None,
            pseudopotentials=pseudopotentials,
            xc=xc,
            density_cutoff=density_cutoff,
            broadening_correction=broadening_correction,
            double_counting=double_counting,
            client=client,
            store=output,
            overwrite=overwrite,
        )
        for note in prediction.dataset.attrs.get("notes", []):
            say(f"note: {note}", err)
        _show(prediction, output)
        _write_json(prediction, json)


@app.command(name="import-mala")
def import_mala(
    zip: Path,
    /,
    *,
    output: Path | None = None,
    pseudopotentials: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Read a model that MALA trained and write it as a maladist model file.

    Parameters
    ----------
    zip
        The zip that MALA's saving of a run wrote.
    output
        Model file to write. Default: the zip's name with .maladist in place of .zip.
    pseudopotentials
        Folder of UPF files; their core charges go into the model.
    """
    from maladist.io.model_file import load_model, save_model

    target = output or zip.with_suffix(".maladist")
    # Before the zip is read, which may take a while.
    check_file(target, overwrite=overwrite)
    model = load_model(zip, pseudopotentials=pseudopotentials)
    save_model(model, target)
    say(f"{target}: {model}")


@app.command
def info(
    file: Path | None = None,
    /,
    *,
    verify: bool = False,
    cluster: ClusterName = "local",
    workers: int | None = None,
) -> None:
    """Say what a model file, a MALA zip or a store holds; without a file, which models come with maladist.

    Parameters
    ----------
    file
        Model file or the name of a model, MALA's zip, or a store.
    verify
        Read all of a store or data set, and hold every chunk against what was written.
    """
    from maladist.io.inspect import describe, describe_shipped

    if verify:
        if file is None:
            raise InputError("verify", "no file", "a store", "Say which.")
        _verify(file, cluster, workers)
        return
    table = Table(show_header=False, box=None)
    for what, much in describe_shipped() if file is None else describe(file):
        table.add_row(what, much)
    out.print(table)


def _verify(path: Path, cluster: str, workers: int | None) -> None:
    from maladist.datasets.integrity import verify

    with maladist.cluster(cluster, workers) as client:
        verified = verify(path, client)
    table = Table(show_header=False, box=None)
    for one in verified:
        state = "; ".join(one.damage) or ("as it was written" if one.sealed else "readable; it has no digest")
        table.add_row(one.name, f"{one.chunks} chunks", size(one.size), state)
    out.print(table)
    if bad := [one.name for one in verified if one.damage]:
        raise StoreError(str(path), f"damage in {', '.join(bad)}", "a store as it was written", REMEDY)


@app.command
def bench(*, twojmax: list[int] | None = None, json: Path | None = None) -> None:
    """Time descriptors and network on this machine.

    Parameters
    ----------
    twojmax
        Sizes of the bispectrum; repeat for several. Default: 6, 8, 10 and 12.
    """
    from maladist.bench import bench as run

    _check_files(json=json)
    run(twojmax=tuple(twojmax or (6, 8, 10, 12)), json=json)


@app.command(name="cluster")
def hold_cluster(description: str, /, *, workers: int | None = None, scheduler_file: Path | None = None) -> None:
    """Hold a cluster open, so that many runs share warm workers: `--cluster SCHEDULER_FILE` reaches it. Ctrl-C ends it.

    Parameters
    ----------
    description
        A YAML file, or local.
    workers
        Number of worker processes.
    scheduler_file
        File to write. Default: the description's name with .json.
    """
    from maladist.cluster import hold

    file = scheduler_file or Path(Path(description).name).with_suffix(".json")
    hold(description, file, workers=workers, say=say)


def _predict_frames(
    frames: list[Any], options: RunOptions, target: Target, client: Client, observer: Observer, json: Path | None
) -> None:
    """One store a frame in a folder, a line for each as it is finished."""
    folder = check_folder(target.path)
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i:06d}.zarr" for i in range(len(frames))]

    predictions = maladist.predict_many(
        frames,
        options.model,
        paths,
        client=client,
        resume=target.resume,
        overwrite=target.overwrite,
        observer=observer,
        **options.run(),
    )
    say(f"stores: {folder}")
    if json is not None:
        write_whole(json, _dumps({"frames": [p.to_dict() for p in predictions]}), "json")


app.command(cli_sample.app)
app.command(cli_data.convert)
app.command(cli_data.dft)
app.command(cli_data.check)
app.command(cli_data.align)
app.command(cli_data.export)
app.command(cli_train.train)
app.command(cli_evaluate.evaluate)
app.command(cli_tune.tune)
app.command(cli_report.report)
app.command(cli_report.doctor)
cli_help.complete(app)


def _show(prediction: Any, store: Path | None) -> None:
    say(str(prediction))
    if store is not None:
        say(f"store: {store}")


def _check_files(**paths: Path | None) -> None:
    """Refuse, before anything is computed, files of these options that could not be written in the end."""
    for name, path in paths.items():
        if path is not None:
            check_file(path, name)


def _write_json(prediction: Any, path: Path | None) -> None:
    if path is not None:
        write_whole(path, prediction.to_json() + "\n", "json")


def _dumps(values: Any) -> str:
    return json.dumps(values, indent=1, default=str) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 0, 2 with one line for bad input, or 128 and the number of a signal."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    tokens = [t for t in tokens if t != "--debug"]
    # Once a process: tests and notebooks call `main` many times.
    if not (log := logging.getLogger("maladist")).handlers:
        log.addHandler(Notes(err))
    if not debug:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", AccuracyWarning)  # what is less certain than it looks is said, as a note
        warnings.showwarning = lambda message, *_, **__: log.warning("%s", message)
    try:
        with stopped_by_signals():
            app(tokens, exit_on_error=False, print_error=False)
    except (InputError, BlockError, CycloptsError, OSError) as error:
        if debug:
            raise
        refused = refusal(error) if isinstance(error, OSError) else error
        # soft_wrap: one error is one line, whatever the width of the terminal, so that programs can read it.
        err.print(f"maladist: {refused}", style="red", highlight=False, markup=False, soft_wrap=True)
        for note in getattr(error, "__notes__", ()):
            err.print(f"  {note}", highlight=False, markup=False, soft_wrap=True)
        status = 2
    except KeyboardInterrupt as stopped:
        said, status = what_is_kept(stopped, tokens[0] if tokens else "")
        say(f"maladist: {said}", err)
    else:
        status = 0
    return status
