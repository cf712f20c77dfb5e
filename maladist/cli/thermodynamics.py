"""The command `maladist thermodynamics`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from cyclopts import Parameter
from rich.table import Table

import maladist
from maladist.cli.options import LOCAL, SOURCE, ClusterFlags, ModelHelp, SourceFlags
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import err, out, say
from maladist.errors import InputError
from maladist.units import BOLTZMANN

if TYPE_CHECKING:
    from maladist.prediction.options import SourceOptions


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Range:
    """Temperatures.

    Parameters
    ----------
    range
        Lowest and highest temperature of the electrons, K, of --count at equal distances.
    count
        Number of temperatures in --range.
    """

    temperature: Annotated[list[float] | None, Parameter(help="Of the electrons, K; repeat for several.")] = None
    range: tuple[float, float] | None = None
    count: int | None = None

    def temperatures(self) -> list[float]:
        """All of them, K."""
        if self.count is not None and (self.range is None or self.count < 2):
            raise InputError("count", f"{self.count}", "at least 2, with --range")
        if self.range is None:
            return self.temperature or []
        return [*(self.temperature or []), *np.linspace(*self.range, self.count or 50).tolist()]


def thermodynamics(
    source: str,
    /,
    *,
    at: Range = Range(),
    model: Annotated[Path | None, ModelHelp] = None,
    physics: SourceFlags = SOURCE,
    where: ClusterFlags = LOCAL,
    json: Json = None,
    plot: Path | None = None,
) -> None:
    """Entropy, heat capacity, free energy and Fermi level of the electrons at many temperatures, from one D(ε).

    Parameters
    ----------
    source
        Zarr store of a result, or with an LDOS; with --model a file of atoms that ASE reads.
    plot
        Draw the energies, S and C_v, and μ into this picture.
    """
    check_files(json=json, plot=plot)
    options: SourceOptions = {**physics.keywords(), "temperature": at.temperatures()}
    found = maladist.thermodynamics(physics.source(source, model), model, client=where.client, **options)
    for note in found.attrs["notes"]:
        say(f"note: {note}", err)
    n = found.attrs["n_atoms"]
    table = Table(title=f"{n} atoms, per atom", title_justify="left", box=None)
    for column in ("T, K", "μ, eV", "E_b, eV", "−TS, eV", "A, eV", "S, k_B", "C_v, k_B"):
        table.add_column(column, justify="right", no_wrap=True)
    columns: dict[str, Any] = {str(name): found[name].values for name in found.data_vars}
    for i, t in enumerate(found["temperature"].values):
        row = {name: float(values[i]) for name, values in columns.items()}
        energies = (row[f"{name}_eV"] / n for name in ("band_energy", "entropy_contribution", "total_free_energy"))
        entropies = (row[f"{name}_eV_per_K"] / (n * BOLTZMANN) for name in ("entropy", "heat_capacity"))
        table.add_row(
            f"{t:g}",
            f"{row['fermi_energy_eV']:.4f}",
            *("–" if np.isnan(x) else f"{x:.6f}" for x in (*energies, *entropies)),
        )
    out.print(table)
    whole = {"n_atoms": n, "notes": found.attrs["notes"], "temperature_K": found["temperature"].values.tolist()}
    write_json(json, {**whole, **{name: values.tolist() for name, values in columns.items()}})
    if plot is not None:
        from maladist.report.thermodynamics import write_plot

        write_plot(found, plot)
