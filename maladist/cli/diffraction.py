"""The command `maladist diffraction`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

import maladist
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import err, out, say
from maladist.physics.diffraction import COPPER

_WEAK = 0.1  # percent of the strongest line, below which a line is not printed


def diffraction(
    store: Path,
    /,
    *,
    wavelength: float = COPPER,
    angle: float = 90.0,
    json: Json = None,
    plot: Path | None = None,
) -> None:
    """X-ray structure factors and powder pattern of the valence electrons' n(r).

    Parameters
    ----------
    store
        Result at one temperature, or a snapshot of a data set, with its density.
    wavelength
        Wavelength, Å. Default: K α1 of copper.
    angle
        Largest 2θ, degrees.
    plot
        Draw the pattern into this picture.
    """
    check_files(json=json, plot=plot)
    found = maladist.diffraction(store, wavelength=wavelength, angle=angle)
    for note in found.attrs["notes"]:
        say(f"note: {note}", err)
    table = Table(box=None)
    for column in ("2θ, degrees", "h k l", "waves", "intensity"):
        table.add_column(column, justify="right", no_wrap=True)
    names = ("two_theta", "line_miller", "multiplicity", "intensity")
    columns = {name: found[name].values.tolist() for name in names}
    for two_theta, hkl, waves, intensity in zip(*columns.values(), strict=True):
        if intensity >= _WEAK:
            table.add_row(f"{two_theta:.3f}", " ".join(map(str, hkl)), str(waves), f"{intensity:.2f}")
    out.print(table)
    factor = found["structure_factor"].values
    waves = {"miller": found["miller"].values.tolist(), "real": factor.real.tolist(), "imaginary": factor.imag.tolist()}
    write_json(json, {"wavelength_A": wavelength, "notes": found.attrs["notes"], **columns, "structure_factors": waves})
    if plot is not None:
        from maladist.report.diffraction import write_plot

        write_plot(found, plot)
