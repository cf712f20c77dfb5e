"""Commands that make and check data sets: parse, call the function of the same name, print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.table import Table

from maladist.cli.console import TerminalObserver
from maladist.cli.options import LOCAL, ClusterFlags
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import out, say
from maladist.errors import SnapshotsError
from maladist.io.targets import check_folder

if TYPE_CHECKING:
    from maladist.datasets.check import Checked


def dft(
    snapshots: str,
    /,
    *,
    setup: Path,
    output: Path,
    prefix: str = "s",
    where: ClusterFlags = LOCAL,
    scratch: Path | None = None,
) -> None:
    """Run snapshots through Quantum ESPRESSO or GPAW into a data set; a second call does what is missing.

    Parameters
    ----------
    snapshots
        File of atoms that ASE reads, FILE@0:100:10 for some of its frames.
    setup
        YAML file: temperature, pseudopotentials, ecutwfc, kpoints, energies, broadening; `code: gpaw` for GPAW.
    output
        Data set; made if it is not there.
    prefix
        Beginning of the snapshots' names, which go on with 0000, 0001, ...
    scratch
        Folder for the calculations' files on the workers.
    """
    from maladist.datasets.dft.codes import read_code
    from maladist.datasets.dft.dft import dft as run_dft
    from maladist.io.structures import read_frames

    frames, ready = read_frames(snapshots), read_code(setup)
    called = [f"{prefix}{i:04d}" for i in range(len(frames))]
    with TerminalObserver() as observer:
        outcomes = run_dft(frames, ready, output, names=called, client=where.client, scratch=scratch, observer=observer)
    failed = [o for o in outcomes if o.reason]
    there = len(frames) - len(failed)
    say(f"{output}: {there} of {len(frames)} snapshots, {len(outcomes) - len(failed)} of them new")
    if failed:
        names = ", ".join(o.name for o in failed)
        # An exit status that a script sees, after all that could be done has been.
        what, remedy = f"{len(failed)} failed ({names})", "The others are kept; run it again."
        raise SnapshotsError("snapshots", what, "all done", remedy)


def oneshot(
    store: Path,
    /,
    *,
    setup: Path,
    scratch: Path | None = None,
    plot: Path | None = None,
    json: Json = None,
) -> None:
    """Take one step of Quantum ESPRESSO at a predicted density: A of Harris and Foulkes, levels, D(ε).

    Parameters
    ----------
    store
        Result at one temperature, or a snapshot of a data set.
    setup
        YAML file of `maladist dft`: the settings of the data that the model was trained on.
    scratch
        Folder for pw.x' files.
    plot
        Draw D(ε) of the step and of the store into this picture.
    """
    from maladist.datasets.dft.espresso import Espresso
    from maladist.datasets.dft.oneshot import oneshot as run_oneshot

    check_files(json=json, plot=plot)
    found = run_oneshot(store, Espresso.read(setup), scratch=scratch)
    say(str(found))
    write_json(json, found.to_dict())
    if plot is not None:
        from maladist.report.oneshot import write_plot

        write_plot(found, plot)


def check(
    data: Path,
    /,
    *,
    pseudopotentials: Path | None = None,
    tolerance: float = 1.0,
    density_tolerance: float = 0.005,
    where: ClusterFlags = LOCAL,
    json: Json = None,
) -> None:
    """Hold a data set against the DFT it came from; exit status 1 where a tolerance is exceeded.

    Parameters
    ----------
    data
        Data set, or one snapshot of it.
    pseudopotentials
        Folder of UPF files; without them A is not compared.
    tolerance
        Tolerance of the total free energy, band energy and −TS, meV/atom.
    density_tolerance
        Tolerance of mean |Δn| / mean n.
    """
    from maladist.datasets.check import Tolerances
    from maladist.datasets.check import check as run_check

    check_files(json=json)
    limits = Tolerances(tolerance, density_tolerance)
    with TerminalObserver() as observer:
        checked = run_check(
            data, pseudopotentials=pseudopotentials, tolerances=limits, client=where.client, observer=observer
        )
    for one in checked:
        out.print(_table(one))
        for text in (*one.failures, *(f"likely: {r}" for r in one.reasons)):
            say(f"  {text}", style="red")
        for text in one.remarks:
            say(f"  {text}")
    bad = [one.name for one in checked if not one.good]
    good = len(checked) - len(bad)
    say(f"{good} of {len(checked)} snapshots within the tolerances")
    write_json(json, [asdict(one) for one in checked])
    if bad:
        raise SystemExit(1)


def _table(one: Checked) -> Table | str:
    e = one.energies
    # A snapshot that could not be checked has a reason, which stands below its name.
    if e is None:
        return one.name
    kernel = f"{e.kernel} {e.width:g} eV" if e.width else e.kernel
    levels = " and ".join(f"{n} levels by {step:g} eV" for _, step, n in e.windows)
    table = Table(title=f"{one.name}  ·  broadening {kernel}, {levels}", title_justify="left")
    table.add_column("LDOS − DFT")
    for mode in one.figures:
        table.add_column(f"correction {mode}", justify="right")
    rows = {
        "N at the DFT's Fermi level": lambda f: f"{f.electrons:.5f}" if f.electrons is not None else "–",
        "Fermi level, meV": lambda f: f"{f.fermi_shift:+.3f}" if f.fermi_shift is not None else "–",
        "density, mean |Δn|/n": lambda f: f"{f.density:.4%}" if f.density is not None else "–",
    }
    for label, show in rows.items():
        table.add_row(label, *(show(f) for f in one.figures.values()))
    figures = list(one.figures.values())
    for name in dict.fromkeys(n for f in figures for n in f.terms):
        of_density = name in _OF_THE_DENSITY and any(f.terms_of_ldos for f in figures)
        label = f"{name.replace('_', ' ')}, meV/atom"
        table.add_row(f"{label}, n of the DFT" if of_density else label, *(_cell(f.terms, name) for f in figures))
        if of_density:
            table.add_row(f"{label}, n of the LDOS", *(_cell(f.terms_of_ldos, name) for f in figures))
    return table


_OF_THE_DENSITY = ("hartree", "xc", "xc_potential", "total_free_energy")


def _cell(terms: Mapping[str, float], name: str) -> str:
    return f"{terms[name]:+.3f}" if name in terms else "–"


def align(
    *data: Path,
    output: Path,
    reference: Literal["edge", "fermi"] = "edge",
    threshold: float = 0.01,
    interpolate: Annotated[bool, Parameter(negative=())] = False,
    window: Annotated[tuple[float, float] | None, Parameter(help="LOW HIGH to keep, eV from the reference.")] = None,
    where: ClusterFlags = LOCAL,
) -> None:
    """Shift snapshots' energies to a common reference and cut them to a common window, into a new data set.

    Parameters
    ----------
    data
        Data sets, or snapshots of them.
    output
        New data set.
    reference
        edge: where D(ε) first exceeds the threshold; fermi: the DFT's Fermi level.
    threshold
        Share of the largest D(ε) at which the band begins.
    interpolate
        Move by parts of a level, with splines along the energy. Default: whole levels, the LDOS as it was.
    """
    from maladist.datasets.align import align as run_align

    with TerminalObserver() as observer:
        aligned = run_align(
            data,
            output,
            reference=reference,
            threshold=threshold,
            interpolate=interpolate,
            window=window,
            client=where.client,
            observer=observer,
        )
    for one in aligned:
        below, above = one.dropped
        text = f"{one.name}: {-one.shift:+.4f} eV, {reference} at {one.remainder:+.4f} eV"
        say(f"{text}, {below} levels cut below and {above} above")


def export(
    snapshot: Path,
    /,
    *,
    to: Literal["cube", "xsf", "npy", "h5", "qe", "qe-hdf5", "chgcar"],
    output: Path,
    where: ClusterFlags = LOCAL,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write a snapshot to cube or xsf files, to MALA's .npy or openPMD .h5, or its density for pw.x to begin with.

    Parameters
    ----------
    snapshot
        DATA.zarr/snapshots/NAME, or any store with an LDOS or a density.
    to
        cube and xsf in Quantum ESPRESSO's units, npy and h5 in MALA's; qe: charge-density.dat, for startingpot =
        'file' in ELECTRONS, qe-hdf5: charge-density.hdf5, where pw.x was built with HDF5; chgcar: VASP's, for programs
        that read it.
    output
        Folder; made if it is not there. For qe and qe-hdf5 it is OUTDIR/PREFIX.save of the input of pw.x.
    """
    from maladist.datasets.export import export as run_export

    # Before a cluster is asked for.
    check_folder(output, parents=True)
    with TerminalObserver() as observer:
        paths = run_export(snapshot, output, to=to, client=where.client, overwrite=overwrite, observer=observer)
    say(f"{len(paths)} files in {output}")
