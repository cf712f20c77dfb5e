"""Commands that look at a slab: parse, call the function of the same name, write and print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import maladist
from maladist.cli.options import LOCAL, ClusterFlags, ModelHelp
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import say
from maladist.errors import InputError

Axis = Literal["a", "b", "c"]


def stm(
    source: str,
    /,
    *,
    bias: float,
    height: float | None = None,
    current: float | None = None,
    axis: Axis = "c",
    side: Literal["top", "bottom"] = "top",
    mu: float | None = None,
    model: Annotated[Path | None, ModelHelp] = None,
    grid: tuple[int, int, int] | None = None,
    atoms: str | None = None,
    where: ClusterFlags = LOCAL,
    output: Path | None = None,
    plot: Path | None = None,
    json: Json = None,
) -> None:
    """Image of the scanning tunnelling microscope of a slab, from its LDOS: Tersoff and Hamann.

    Parameters
    ----------
    source
        Zarr store, or a group in one, with an LDOS; with --model a file of atoms that ASE reads, whose LDOS is
        predicted where it is needed.
    bias
        Bias of the sample, V: empty states where positive, occupied ones where negative.
    height
        Constant height of the tip above the outermost atoms, Å.
    current
        Constant current: value of the LDOS' integral, 1/Å³.
    axis
        Lattice vector along the surface's normal.
    side
        Surface that the tip is over: top, at the larger coordinates along the axis, or bottom.
    mu
        Fermi level, eV. Default: the data's own, or that of the whole LDOS, which is then computed.
    grid
        With --model: points along the lattice vectors. Default: the spacing that the model was trained on.
    atoms
        File that ASE reads, where a store has no atoms.
    output
        netCDF file to make of the image.
    plot
        Draw the image into this picture.
    """
    from maladist import metadata
    from maladist.io.netcdf import write_netcdf
    from maladist.io.opening import open_dataset
    from maladist.io.structures import read_atoms

    check_files(json=json, plot=plot, output=output)
    if model is None and grid is not None:
        raise InputError("grid", "given without --model", "the grid of the store, which is taken as it is")
    if model is not None and atoms is not None:
        raise InputError("atoms", "given beside --model", f"the atoms of {source}")
    named = source if model is not None else atoms
    slab = None if named is None else read_atoms(named)
    ldos = source if slab is None or model is None else maladist.ldos(slab, model, grid=grid)
    image = maladist.stm(
        ldos,
        slab,
        bias=bias,
        height=height,
        current=current,
        axis=axis,
        side=side,
        mu=mu,
        client=where.client,
    )
    low, mean, high = float(image.min()), float(image.mean()), float(image.max())
    attrs = image.attrs
    at = f"{height:g} Å above the outermost atoms" if current is None else f"constant current of {current:g} 1/Å³"
    say(f"bias {bias:g} V from the Fermi level at {attrs['fermi_energy_eV']:.4f} eV, {at}")
    say(f"{attrs['long_name']}: {low:.6g} to {high:.6g}, mean {mean:.6g} {attrs['units']}")
    told = {name: attrs[name] for name in ("bias_V", "fermi_energy_eV", "axis", "side", "outermost_A", "units")}
    of = {"height_A": height} if current is None else {"current": current}
    write_json(json, {**told, **of, "min": low, "mean": mean, "max": high})
    if output is not None:
        write_netcdf(image.to_dataset(), output)
        say(f"image: {output}")
    if plot is not None:
        from maladist.report.stm import write_plot

        write_plot(image, plot, metadata.atoms_of(open_dataset(source)) if slab is None else slab)
        say(f"picture: {plot}")


def potential(
    source: Path,
    /,
    *,
    output: Path,
    pseudopotentials: Path | None = None,
    model: Annotated[Path | None, ModelHelp] = None,
    atoms: str | None = None,
    xc: bool = False,
    axis: Axis = "c",
    period: float | None = None,
    work_function: bool = False,
    mu: float | None = None,
    where: ClusterFlags = LOCAL,
    overwrite: bool = False,
    plot: Path | None = None,
    json: Json = None,
) -> None:
    """Electrostatic potential V_H + V_loc of a density, or with V_xc; its planar average, work functions.

    Parameters
    ----------
    source
        Zarr store, or a group in one, with a density at one temperature.
    output
        Zarr store to make, with the potential.
    pseudopotentials
        Folder of UPF files, or --model.
    model
        Model whose file holds the local potentials: one that was made since it keeps them.
    atoms
        File that ASE reads, where the store has no atoms.
    xc
        Add V_xc, of the functional of the density's data.
    axis
        Lattice vector along which planes are averaged: the surface's normal.
    period
        Macroscopic average too, over this length, Å.
    work_function
        Work functions of both sides of a slab.
    mu
        Fermi level, eV. Default: that of the store.
    overwrite
        Replace the output if it exists.
    plot
        Draw the planar average into this picture.
    """
    from maladist.io.structures import read_atoms

    check_files(json=json, plot=plot)
    if (pseudopotentials is None) == (model is None):
        came = "none" if model is None else "given beside --model"
        raise InputError("pseudopotentials", came, "--pseudopotentials FOLDER or --model FILE")
    elements = pseudopotentials if model is None else maladist.load_model(model).elements
    assert elements is not None
    slab = None if atoms is None else read_atoms(atoms)
    found = maladist.potential(
        source, slab, pseudopotentials=elements, xc=xc, client=where.client, store=output, overwrite=overwrite
    )
    of, field = found.maladist, found.maladist.field("potential")
    planar = field.planar_average(axis)
    told: dict[str, object] = {"axis": axis, "planar_average_eV": planar.values.tolist()}
    say(f"planar average along {axis}: {float(planar.min()):.4f} to {float(planar.max()):.4f} eV")
    if period is not None:
        macroscopic = field.macroscopic_average(axis, period=period)
        told |= {"period_A": period, "macroscopic_average_eV": macroscopic.values.tolist()}
        say(f"macroscopic: {float(macroscopic.min()):.4f} to {float(macroscopic.max()):.4f} eV")
    if work_function:
        for side in ("top", "bottom"):
            told[f"work_function_{side}_eV"] = value = of.work_function(axis, side, mu=mu)
            say(f"work function, {side}: {value:.4f} eV")
    write_json(json, told)
    say(f"store: {output}")
    if plot is not None:
        from maladist.report.potential import write_plot

        write_plot(found, plot, axis, period, mu)
        say(f"picture: {plot}")
