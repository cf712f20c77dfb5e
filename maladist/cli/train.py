"""The command `maladist train`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from maladist.cli.console import TerminalObserver
    from maladist.training.metrics import EpochReport
    from maladist.training.validation import Validated

out, err = Console(), Console(stderr=True)


def train(
    config: Path,
    /,
    *,
    output: Path | None = None,
    ranks: int = 1,
    resume: bool = False,
    cluster: str = "local",
    workers: int | None = None,
) -> None:
    """Train a model as a YAML file says.

    Parameters
    ----------
    config
        YAML file; see maladist.TrainConfig for its keys.
    output
        Folder for model.maladist, metrics.csv and the checkpoint. Default: the file's name without its ending.
    ranks
        Workers that train one network together, data-parallel. 1: it is trained here.
    resume
        Go on where an earlier run was interrupted.
    cluster
        Whose workers describe the points, and train where there are ranks.
    """
    import maladist
    from maladist.cli.console import TerminalObserver
    from maladist.training.train import open_output

    checked = maladist.TrainConfig.read(config)
    folder = open_output(Path(config.stem) if output is None else output, resume)  # refused before a cluster starts
    with maladist.cluster(cluster, workers) as client, TerminalObserver(err) as observer:
        observer.begin(client, f"{checked.members} network{'s' * (checked.members > 1)} of {checked.epochs} epochs")
        told = partial(_tell, observer, [""])
        model = maladist.train(checked, folder, client=client, ranks=ranks, resume=resume, told=told)
    out.print(f"{folder / 'model.maladist'}: {model}", highlight=False, soft_wrap=True)


def _tell(observer: TerminalObserver, member: list[str], report: EpochReport | str) -> None:
    """A line for an epoch; on a terminal a bar, and lines for those with a validation."""
    if isinstance(report, str):
        member[0] = f" of {report}" if report.startswith("member") else member[0]
        err.print(f"note: {report}", highlight=False, soft_wrap=True)
        return
    observer.count(f"epochs{member[0]}", report.epochs, report.epoch)
    if err.is_terminal and report.validation is None:
        return
    line = f"epoch {report.epoch} of {report.epochs}: loss {report.loss:.4g}, {report.seconds:.2f} s"
    found = report.validation
    err.print(line if found is None else f"{line}; {_errors(found)}", highlight=False, soft_wrap=True)
    if found is not None and report.epoch == report.epochs:
        out.print(_table(found))


def _errors(found: Validated) -> str:
    """The mean errors in a line."""
    parts = [f"validation loss {found.loss:.4g}"]
    for name, label in (("band_energy", "|ΔE_b|"), ("total_energy", "|ΔA|")):
        if (value := found.mean(name)) is not None:
            parts.append(f"{label} {value:.1f} meV/atom")
    if (value := found.mean("density")) is not None:
        parts.append(f"|Δn|/n {value:.2%}")
    return ", ".join(parts)


def _table(found: Validated) -> Table:
    table = Table(title="validation, model − DFT", title_justify="left")
    for column in ("snapshot", "E_b, meV/atom", "A, meV/atom", "|Δn|/n"):
        table.add_column(column, justify="left" if column == "snapshot" else "right")
    for one in found.snapshots:
        energies = ["–" if v is None else f"{v:+.1f}" for v in (one.band_energy, one.total_energy)]
        table.add_row(one.name, *energies, "–" if one.density is None else f"{one.density:.2%}")
    return table
