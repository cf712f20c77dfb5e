"""Commands that train: parse, call the function of the same name, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

import maladist
from maladist.cli.console import TerminalObserver
from maladist.cli.options import LOCAL, ClusterFlags
from maladist.cli.streams import out, say

if TYPE_CHECKING:
    from maladist.training.validation import Validated


def train(
    config: Path,
    /,
    *,
    output: Path | None = None,
    ranks: int = 1,
    resume: bool = False,
    where: ClusterFlags = LOCAL,
) -> None:
    """Train a model as a YAML file says; the cluster describes the points, and trains where there are ranks.

    Parameters
    ----------
    config
        YAML file; see maladist.TrainConfig for its keys.
    output
        Folder for model.maladist, metrics.csv and the checkpoint. Default: the file's name without its ending.
    ranks
        Number of workers that train one network together, data-parallel. 1: it is trained here.
    resume
        Go on where an earlier run was interrupted.
    """
    from maladist.io.yaml import read_yaml

    read_yaml(config)  # before what takes seconds to import: a name or a line may be mistyped
    from maladist.parallel.progress import Finished
    from maladist.training.data import find_data
    from maladist.training.metrics import EpochReport
    from maladist.training.train import open_output

    checked = maladist.TrainConfig.read(config)
    data = find_data(checked)  # refused before a cluster starts
    folder = open_output(Path(config.stem) if output is None else output, resume)

    class Epochs(TerminalObserver):
        """Shows the errors of each snapshot as well, after the last epoch."""

        def advance(self, task: Finished) -> None:
            super().advance(task)
            if isinstance(task, EpochReport) and task.epoch == task.epochs and task.validation is not None:
                out.print(_table(task.validation))

    with Epochs() as observer:
        model = maladist.train(
            checked, folder, client=where.client, ranks=ranks, resume=resume, observer=observer, data=data
        )
    say(f"{folder / 'model.maladist'}: {model}")


def distil(
    model: Path,
    /,
    *cells: str,
    output: Path,
    epochs: int = 12,
    points: int = 600,
    learning_rate: float = 1e-4,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Train one network to give what an ensemble gives, on cells without DFT: for a k-th of its cost.

    The members stay in the model for --spread. Hold it against DFT afterwards: maladist evaluate.

    Parameters
    ----------
    model
        Model file of an ensemble, or the name of one that comes with maladist.
    cells
        Files that ASE reads, all their frames: some hundred cells like those that the model is for (maladist sample).
    output
        Folder to make, for model.maladist and the checkpoint.
    epochs
        Number of times that every point is seen.
    points
        Points of each cell.
    learning_rate
        Largest learning rate.
    seed
        Seed of the points, and of the displacements along which slopes are learnt.
    resume
        Go on where an earlier run was interrupted.
    """
    from maladist.io.structures import read_frames

    frames = [frame for name in cells for frame in read_frames(name)]
    with TerminalObserver() as observer:
        found = maladist.distil(
            maladist.load_model(model),
            frames,
            output,
            epochs=epochs,
            points=points,
            learning_rate=learning_rate,
            seed=seed,
            resume=resume,
            observer=observer,
        )
    say(f"{output / 'model.maladist'}: {found}")


def _table(validated: Validated) -> Table:
    """Errors against the DFT, against what the data's own LDOS gives, and the difference of the two."""
    table = Table(title="validation, model − DFT; from data: model − the data's own LDOS", title_justify="left")
    table.add_column("snapshot")
    for column in ("E_b, meV/atom", "from data", "data − DFT", "A, meV/atom", "from data", "data − DFT", "|Δn|/n"):
        table.add_column(column, justify="right")
    for one in validated.snapshots:
        band = (one.band_energy, one.band_energy_from_data, one.band_energy_of_data)
        total = (one.total_energy, one.total_energy_from_data, one.total_energy_of_data)
        energies = ["–" if v is None else f"{v:+.1f}" for v in (*band, *total)]
        table.add_row(one.name, *energies, "–" if one.density is None else f"{one.density:.2%}")
    return table
