"""What a training tells of its epochs: to whoever listens, to metrics.csv, to TensorBoard and to Weights & Biases."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maladist.errors import DependencyError
from maladist.io.samples import write_table
from maladist.learning.loss import FORCES, TERMS
from maladist.parallel.progress import Finished
from maladist.training.validation import Validated

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


@dataclass(frozen=True)
class EpochReport(Finished):
    """One epoch.

    Attributes
    ----------
    epoch, epochs
        Number of the epoch, from 1, and how many there will be.
    seconds
        Time of its steps, without validation.
    terms
        Weighted terms of the loss, averaged over its batches, in the order of ``TERMS``, then ``FORCES``.
    learning_rate
        Learning rate at its end.
    validation
        Errors of the validation after it, where there was one.
    """

    epoch: int
    epochs: int
    seconds: float
    terms: tuple[float, ...]
    learning_rate: float
    validation: Validated | None = None

    @property
    def loss(self) -> float:
        """The training's loss, averaged over the epoch while the network was changing."""
        return sum(self.terms)

    def line(self, *, bar: bool) -> str:
        """Its loss and, after a validation, the errors; beside a bar only these."""
        said = f"epoch {self.epoch} of {self.epochs}: loss {self.loss:.4g}, {self.seconds:.2f} s"
        if self.validation is None:
            return "" if bar else said
        return f"{said}; {self.validation}"

    def to_dict(self) -> dict[str, object]:
        """A row of a table; terms that have no weight are left out."""
        terms = {f"loss_{name}": value for name, value in zip((*TERMS, FORCES), self.terms, strict=True) if value}
        row = {"epoch": self.epoch, "seconds": round(self.seconds, 4), "learning_rate": self.learning_rate}
        errors = {} if self.validation is None else self.validation.to_dict()
        return {**row, "loss": self.loss, **(terms if len(terms) > 1 else {}), **errors}


class Metrics:
    """The rows of all epochs, as a table, for TensorBoard and for Weights & Biases.

    Parameters
    ----------
    folder
        Folder for all of them.
    tensorboard
        Whether TensorBoard is told.
    wandb
        Project of Weights & Biases that is told; None where it is not.
    config
        What Weights & Biases shows as the run's configuration.

    Raises
    ------
    DependencyError
        TensorBoard or wandb is asked for and not installed, or wandb cannot begin a run.
    """

    def __init__(
        self, folder: Path, tensorboard: bool, wandb: str | None = None, config: Mapping[str, object] | None = None
    ) -> None:
        self.path, self.rows = folder / "metrics.csv", list[dict[str, object]]()
        self._board = _board(folder / "tensorboard") if tensorboard else None
        self._run = None if wandb is None else _wandb_run(folder, wandb, dict(config or {}))

    def add(self, report: EpochReport) -> None:
        """Take an epoch in."""
        row = report.to_dict()
        self.rows.append(row)
        if self._board is not None:
            for name, value in row.items():
                if name != "epoch":
                    self._board.add_scalar(name, value, report.epoch)
        if self._run is not None:
            self._run.log({name: value for name, value in row.items() if name != "epoch"}, step=report.epoch)

    def write(self) -> None:
        """Write the table of all epochs so far."""
        write_table(self.path, self.rows)
        # Written out now: whoever watches a training does not wait for its end.
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """The training is done: what waits to be sent is sent."""
        if self._run is not None:
            self._run.finish()


def _board(folder: Path) -> SummaryWriter:
    try:
        # Here and not above: TensorBoard is optional, and slow to import.
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        came = f"TensorBoard is not installed ({error})"
        raise DependencyError("tensorboard", came, "the package tensorboard", "pip install maladist[train]") from error
    return SummaryWriter(str(folder))


def _wandb_run(folder: Path, project: str, config: dict[str, object]) -> Any:
    try:
        import wandb
    except ImportError as error:
        came = f"wandb is not installed ({error})"
        raise DependencyError("wandb", came, "the package wandb", "pip install wandb") from error
    # A training that goes on in its folder goes on with the same run.
    known = folder / "wandb-id.txt"
    if not known.exists():
        known.write_text(uuid.uuid4().hex)
    try:
        return wandb.init(
            project=project,
            name=folder.name,
            id=known.read_text(),
            resume="allow",
            dir=str(folder),
            config=config,
            reinit="create_new",  # a process may train several networks, and have a run of its own beside
            settings=wandb.Settings(console="off"),
        )
    except wandb.Error as error:
        came, remedy = f"a run that cannot begin ({error!s:.200})", "WANDB_MODE=offline keeps it in the output folder."
        raise DependencyError("wandb", came, "an account that is logged in (wandb login)", remedy) from error
