"""The folder of a run that moves atoms: arguments, trajectory, table; where a run that was ended goes on.

A step's row of the table is written before its frame: every frame has its rows, and rows beyond the last frame belong
to steps that are computed again.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

import ase
from ase.calculators.singlepoint import SinglePointCalculator

from maladist.dynamics.step import COLUMNS, Step
from maladist.errors import BlockError, InputError, OutputError, StoreError
from maladist.io import ownership
from maladist.io.targets import check_folder, explained, write_whole
from maladist.io.trajectory import append_frame, keep_whole_frames, last_frame, on_the_disk

ARGUMENTS: Final = "run.json"
TRAJECTORY: Final = "trajectory.traj"
TABLE: Final = "steps.csv"

_RESULTS: Final = ("energy", "free_energy", "forces", "stress")

_HASHED: Final = ("atoms", "model")
"""Arguments that are told by a hash, which tells a reader nothing."""


@dataclass
class RunFolder:
    """A folder that a run writes into.

    Attributes
    ----------
    path
        The folder.
    frames
        Number of whole frames.
    last
        Last of them when the run began, as it was read; None in a new folder.
    claim
        What shows that the run is the folder's only writer.
    """

    path: Path
    frames: int
    last: ase.Atoms | None
    claim: ownership.Claim

    @property
    def last_step(self) -> Step | None:
        """The step of the last frame."""
        return None if self.last is None else Step.of_row(self.last.info)

    def add(self, step: Step, atoms: ase.Atoms, state: Mapping[str, object] | None = None) -> None:
        """Write a step's row and, if it is kept, its frame; both are on the disk when this returns.

        Parameters
        ----------
        state
            What an integrator needs to go on from here beside positions, momenta and cell.
        """
        # Two runs would mix their frames: whoever took the folder over is the only writer from then on.
        self.claim.check()
        with explained(self.path, remedy="The frames that it has are kept: the same command goes on."):
            with (self.path / TABLE).open("a", encoding="utf-8", newline="") as table:
                csv.DictWriter(table, COLUMNS, lineterminator="\n").writerow(step.row())
            if step.kept:
                on_the_disk(self.path / TABLE)
                append_frame(self.path / TRAJECTORY, still(atoms, {**step.row(), **(state or {})}))
                self.frames += 1


def still(atoms: ase.Atoms, info: Mapping[str, object]) -> ase.Atoms:
    """Atoms as a file keeps them: with their results, and no calculator that would compute."""
    frame = atoms.copy()
    frame.info = dict(info)
    results = atoms.calc.results
    frame.calc = SinglePointCalculator(frame, **{name: results[name] for name in _RESULTS if name in results})
    return frame


@contextmanager
def run_folder(output: str | Path, arguments: Mapping[str, object]) -> Iterator[RunFolder]:
    """The folder of a run, made, or gone on with where it holds frames of a run with the same arguments.

    Parameters
    ----------
    output
        The folder.
    arguments
        What the run computes with, by name; values that JSON has.

    Raises
    ------
    StoreError
        It holds a run with other arguments, or another run is writing into it.
    OutputError
        It holds something else, or cannot be written; the frames that it has are kept.
    """
    path = check_folder(Path(output).resolve())
    ours = path.is_dir() and any(path.glob(f"{ownership.OWNER}*"))  # a run that died before it wrote more
    if path.is_dir() and any(path.iterdir()) and not (ours or (path / ARGUMENTS).is_file()):
        raise OutputError("output", f"{path} holds something else", "a new folder, or one of an earlier run")
    with explained(path):
        path.mkdir(exist_ok=True)
    with ownership.take(path) as claim:
        # Only what is done to the folder: an error of the system that a calculator meets is another matter.
        with explained(path):
            if last_frame(path / TRAJECTORY)[0]:
                _check_same(path, arguments)
            else:
                write_whole(path / ARGUMENTS, json.dumps(arguments, indent=1) + "\n")
            folder = RunFolder(path, *keep_whole_frames(path / TRAJECTORY), claim)
            _begin_table(folder)
        try:
            yield folder
        except (InputError, BlockError) as error:
            if folder.frames:
                error.add_note(f"frames kept: {folder.frames}, in {path / TRAJECTORY}")
            raise


def _check_same(path: Path, arguments: Mapping[str, object]) -> None:
    try:
        before = json.loads((path / ARGUMENTS).read_text(encoding="utf-8"))
        same = json.loads(json.dumps(arguments))
        differ = sorted(n for n in {*before, *same} if before.get(n) != same.get(n))
        # Another ensemble has other arguments: those that only one of them has follow from it.
        names = [n for n in differ if n in before and n in same] or differ
    except (ValueError, TypeError) as error:
        raise StoreError("output", f"{path / ARGUMENTS} cannot be read ({error})", "what a run wrote there") from error
    if names:
        others = ", ".join(n if n in _HASHED else f"{n} ({before.get(n)}, not {same.get(n)})" for n in names)
        raise StoreError("output", f"{path} holds a run with other {others}", "the same, to go on", "Or a new folder.")


def _begin_table(folder: RunFolder) -> None:
    """A new table, or that of the run before without the rows after its last frame."""
    text, last = StringIO(newline=""), folder.last_step
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    if last is not None:
        writer.writerows(step.row() for step in read_table(folder.path) if step.step <= last.step)
    write_whole(folder.path / TABLE, text.getvalue())


def read_table(path: Path) -> list[Step]:
    """All steps that the table of a folder has, whether or not their frames are kept.

    Raises
    ------
    StoreError
        A line is none of a table of steps, but for the last one, which a run may still be writing.
    """
    try:
        lines = (path / TABLE).read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError as error:
        raise StoreError("output", f"{path} has no {TABLE}", "the folder of an MD or a relaxation") from error
    # A line that was cut off in a number would be another number.
    rows = list(csv.DictReader(line for line in lines if line.endswith("\n")))
    try:
        return [_step(row) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError("output", f"{path / TABLE} is damaged ({error})", "what a run wrote there") from error


def _step(row: Mapping[str, str]) -> Step:
    values = {name: float(text) if (text := row[name]) else None for name in COLUMNS}
    return Step.of_row(values | {"step": int(row["step"])})
