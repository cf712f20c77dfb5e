"""Commands that make and check data sets: parse, call the function of the same name, print."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

out, err = Console(), Console(stderr=True)


def _say(text: str) -> None:
    err.print(f"note: {text}", highlight=False, soft_wrap=True)


def convert(
    run: Path,
    /,
    *,
    ldos: list[str],
    output: Path,
    name: str,
    density: Path | None = None,
    dos: Path | None = None,
    descriptors: Annotated[str | None, Parameter(help="'compute', or a .npy or .h5 file of them.")] = None,
    twojmax: int = 10,
    cutoff: float = 4.67637,
    energies: Annotated[tuple[float, float] | None, Parameter(help="ORIGIN SPACING of the LDOS, eV.")] = None,
    kernel: Literal["gaussian", "fermi-derivative", "none"] | None = None,
    width: float | None = None,
    ldos_units: str | None = None,
    density_units: str | None = None,
    temperature: float | None = None,
    pseudopotentials: Path | None = None,
    cluster: str = "local",
    workers: int | None = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Convert a DFT calculation's files to a snapshot of a data set.

    Parameters
    ----------
    run
        data-file-schema.xml, output of pw.x, MALA's .info.json, or atoms that ASE reads.
    ldos
        Files of the LDOS; repeat, or quote a pattern: '*ldos.cube.gz'. Cube, xsf, .npy or openPMD .h5.
    output
        Data set; made if it is not there.
    name
        Of the snapshot.
    density, dos
        Files of the density and of the DOS.
    kernel, width
        Broadening of the LDOS (eV), where it is not to be recognised from the eigenvalues.
    ldos_units
        '1/(eV A3)', '1/(Ry bohr3)' or '1/(eV bohr3)'. Default: what the format usually has.
    density_units
        '1/A3' or '1/bohr3'.
    """
    import maladist
    from maladist.engine.convert import convert as run_convert
    from maladist.engine.convert_source import Source

    paths = [p for pattern in ldos for p in (sorted(glob.glob(pattern)) or [pattern])]  # noqa: PTH207  (absolute too)
    compute = descriptors == "compute"
    source = Source(
        run=run,
        ldos=paths,
        density=density,
        dos=dos,
        descriptors=None if compute else descriptors,
        energies=energies,
        kernel=kernel,
        width=width,
        ldos_units=ldos_units,
        density_units=density_units,
        temperature=temperature,
        pseudopotentials=pseudopotentials,
    )
    spec = maladist.BispectrumSpec(twojmax=twojmax, cutoff=cutoff) if descriptors else None
    with maladist.cluster(cluster, workers) as client:
        group = run_convert(source, output, name=name, spec=spec, client=client, overwrite=overwrite, note=_say)
    out.print(f"snapshot: {group}", highlight=False, soft_wrap=True)
