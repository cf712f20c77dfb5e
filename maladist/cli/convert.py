"""The command `maladist convert`: parses, calls the function of the same name, prints."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from maladist.cli.console import TerminalObserver
from maladist.cli.options import LOCAL, ClusterFlags
from maladist.cli.streams import say
from maladist.errors import InputError

if TYPE_CHECKING:
    from maladist import BispectrumSpec
    from maladist.datasets.convert.source import Source


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SourceFlags:
    """The files of a snapshot, and what they do not tell.

    Parameters
    ----------
    ldos
        Files of the LDOS; repeat, or quote a pattern: '*ldos.cube.gz'. Cube, xsf, .npy or openPMD .h5.
    density
        File of the density.
    dos
        File of the DOS.
    descriptors
        'compute', or a .npy or .h5 file of them.
    energies
        ORIGIN SPACING of the LDOS, eV.
    part
        ORIGIN SPACING LEVELS of one part of the energies, eV, where they have gaps; repeat, the lowest first.
    kernel
        Broadening of the LDOS, where it is not to be recognised from the eigenvalues.
    width
        Its width, eV.
    ldos_units
        '1/(eV A3)', '1/(Ry bohr3)' or '1/(eV bohr3)'. Default: what the format usually has.
    density_units
        '1/A3' or '1/bohr3'.
    temperature
        K, where the calculation does not tell it.
    pseudopotentials
        Folder of UPF files.
    assume_isolated
        '2D' for a slab whose Coulomb interaction was cut off along c, where the calculation does not tell it.
    """

    ldos: list[str] | None = None
    density: Path | None = None
    dos: Path | None = None
    descriptors: str | None = None
    energies: tuple[float, float] | None = None
    part: list[tuple[float, float, int]] | None = None
    kernel: Literal["gaussian", "fermi-derivative", "none"] | None = None
    width: float | None = None
    ldos_units: str | None = None
    density_units: str | None = None
    temperature: float | None = None
    pseudopotentials: Path | None = None
    assume_isolated: Literal["2D"] | None = None

    def source(self, run: Path) -> Source:
        """The files as `maladist.convert` takes them."""
        from maladist.datasets.convert.source import Source

        # Patterns in quotes are ours to fill in: a thousand files would be too long for a shell.
        paths = [p for pattern in self.ldos or () for p in (sorted(glob.glob(pattern)) or [pattern])]  # noqa: PTH207
        return Source(
            run=run,
            ldos=paths,
            density=self.density,
            dos=self.dos,
            descriptors=None if self.descriptors == "compute" else self.descriptors,
            energies=self.energies,
            parts=self.part or (),
            kernel=self.kernel,
            width=self.width,
            ldos_units=self.ldos_units,
            density_units=self.density_units,
            temperature=self.temperature,
            pseudopotentials=self.pseudopotentials,
            assume_isolated=self.assume_isolated,
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BispectrumFlags:
    """Which descriptors are computed, or are in their file.

    Parameters
    ----------
    twojmax
        Size of the bispectrum.
    cutoff
        Radius of the surroundings, Å.
    """

    twojmax: int = 10
    cutoff: float = 4.67637

    def spec(self) -> BispectrumSpec:
        """The same as one object."""
        from maladist import BispectrumSpec

        return BispectrumSpec(twojmax=self.twojmax, cutoff=self.cutoff)


def convert(
    run: Path,
    /,
    *,
    files: SourceFlags = SourceFlags(),
    output: Path,
    name: str | None = None,
    bispectrum: BispectrumFlags = BispectrumFlags(),
    where: ClusterFlags = LOCAL,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Convert a DFT calculation's files to a snapshot of a data set, or a folder of MALA's to all of its snapshots.

    Parameters
    ----------
    run
        data-file-schema.xml, output of pw.x, MALA's .info.json, or atoms that ASE reads; or a folder with NAME.out.npy
        and NAME.info.json of MALA's snapshots and its params.json or the zip of its model, where all else is found.
    output
        Data set; made if it is not there.
    name
        Name of the snapshot; those of a folder have the names of their files.
    """
    from maladist.datasets.convert.convert import convert as convert_one
    from maladist.datasets.convert.folder import convert_folder

    if not run.exists():
        raise InputError("run", f"{run}, no such file or folder", "the files of a calculation")
    whole_folder = run.is_dir() and not (run / "data-file-schema.xml").is_file()
    if (name is None) != whole_folder:
        wanted = "none: snapshots of a folder have the names of their files" if whole_folder else "one for the snapshot"
        raise InputError("name", f"{name!r}", wanted)
    source = files.source(run)
    spec = bispectrum.spec() if files.descriptors else None
    with TerminalObserver() as observer:
        how: dict[str, Any] = {"spec": spec, "client": where.client, "overwrite": overwrite, "observer": observer}
        if name is None:
            say(f"snapshots: {', '.join(g.name for g in convert_folder(source, output, **how))}")
        else:
            say(f"snapshot: {convert_one(source, output, name=name, **how)}")
        # A density of another functional holds as many electrons: only the energies and n(r) tell it apart.
        upf = files.pseudopotentials or "UPF_FOLDER"
        observer.note(
            f"whether LDOS, density and calculation belong together: maladist check {output} --pseudopotentials {upf}"
        )
