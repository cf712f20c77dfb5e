"""The command `maladist tune`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table

import maladist
from maladist.cli.console import TerminalObserver
from maladist.cli.options import LOCAL, ClusterFlags
from maladist.cli.streams import out, say

if TYPE_CHECKING:
    from maladist.tuning.result import Tuned


def tune(
    config: Path,
    /,
    *,
    output: Path | None = None,
    resume: bool = False,
    where: ClusterFlags = LOCAL,
) -> None:
    """Search for the best values of some keys of a training's configuration; the cluster's workers run the trials.

    Parameters
    ----------
    config
        YAML file: train, search, objective, method, trials; see maladist.TuneConfig.
    output
        Folder for best.yaml, trials.csv and the study. Default: the file's name without its ending.
    resume
        Go on where an earlier run was interrupted, or with more trials.
    """
    from maladist.io.yaml import read_yaml

    read_yaml(config)  # before what takes seconds to import: a name or a line may be mistyped
    from maladist.training.data import check_known, find_data
    from maladist.tuning.config import TRAINED
    from maladist.tuning.study import check_output
    from maladist.tuning.tune import BEST

    checked = maladist.TuneConfig.read(config)
    folder = Path(config.stem) if output is None else output
    check_output(checked, folder, resume)  # refused before a cluster starts
    first = checked.first()
    data = find_data(first)
    if checked.objective in TRAINED:
        check_known(checked.objective, "objective", first, data.validation, data.elements)
    with TerminalObserver() as observer:
        found = maladist.tune(checked, folder, client=where.client, resume=resume, observer=observer)
    out.print(_table(found, checked.objective))
    for key, levels in found.effects.items():
        shown = ", ".join(f"{level}: {mean:.5g}" for level, mean in levels.items())
        say(f"mean by {key}: {shown}")
    say(f"{folder / BEST}: maladist train takes it")


_ERRORS: Final = {
    "band_energy_meV_per_atom": "|ΔE_b|",
    "band_energy_from_data_meV_per_atom": "from data",
    "total_energy_meV_per_atom": "|ΔA|",
    "total_energy_from_data_meV_per_atom": "from data",
}
"""Columns of mean errors, meV/atom: against the energies that the DFT printed, and against the data's own LDOS."""


def _table(tuned: Tuned, objective: str, most: int = 10) -> Table:
    """The best trials."""
    shown = tuned.trials[:most]
    table = Table(title=f"{len(shown)} best of {len(tuned.trials)} trials", title_justify="left")
    errors = {name: label for name, label in _ERRORS.items() if any(name in t.errors for t in shown)}
    for column in ("trial", objective, *tuned.best.values, *errors.values(), "s"):
        table.add_column(column, justify="right")
    for t in shown:
        value = t.state if t.value is None or t.state != "complete" else f"{t.value:.5g}"
        cells = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in t.values.values()]
        cells += [f"{t.errors[name]:.2f}" if name in t.errors else "–" for name in errors]
        table.add_row(str(t.number), value, *cells, f"{t.seconds:.1f}")
    return table
