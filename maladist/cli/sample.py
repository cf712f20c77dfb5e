"""Commands that choose configurations to train on: parse, call the function of the same name, print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from maladist.cli.help import VERBS, example
from maladist.cli.streams import say
from maladist.sampling.settings import Dynamics

if TYPE_CHECKING:
    import ase

app = App(name="sample", help=VERBS["sample"].line)

Output = Annotated[Path, Parameter(help="File to make, in the format of its ending as ASE knows it: extxyz.")]
Repeat = Annotated[tuple[int, int, int], Parameter(help="Cells along the lattice vectors.")]


@app.command(help_epilogue=example("sample crystal"))
def crystal(
    atoms: str,
    /,
    *,
    count: int,
    output: Output,
    repeat: Repeat = (1, 1, 1),
    displacement: float = 0.1,
    strain: float = 0.02,
    vacancies: int = 0,
    seed: int = 0,
) -> None:
    """Displace a crystal's atoms at random, strain its cell, leave atoms out.

    Parameters
    ----------
    atoms
        File that ASE reads, or an element in its usual crystal: Be.
    displacement
        Standard deviation of each coordinate, Å.
    strain
        Largest strain along an axis; shears have half of it.
    vacancies
        Atoms left out of each configuration.
    """
    from maladist.io.structures import read_crystal
    from maladist.sampling.crystal import displaced

    drawn = displaced(
        read_crystal(atoms, repeat),
        count,
        displacement=displacement,
        strain=strain,
        vacancies=vacancies,
        seed=seed,
    )
    _write(drawn, output)


@app.command(help_epilogue=example("sample trajectory"))
def trajectory(
    frames: str,
    /,
    *,
    output: Output,
    count: int | None = None,
    cutoff: float = 6.0,
    ion_temperature: float | None = None,
    temperature_tolerance: float | None = None,
) -> None:
    """Take uncorrelated configurations of a trajectory's equilibrated part.

    Parameters
    ----------
    frames
        Trajectory that ASE reads; FILE@::10 for some of its frames.
    count
        Number of configurations. Default: all that are uncorrelated.
    cutoff
        Largest distance of the radial distribution functions that are compared, Å.
    ion_temperature
        Temperature of the ions, K, that configurations are held to. Default: the equilibrated part's mean.
    temperature_tolerance
        Share of it by which a configuration's own may differ, 0.05 for 5 %. Default: any temperature will do.
    """
    from maladist.io.structures import read_frames

    _choose(read_frames(frames), output, count, cutoff, ion_temperature, temperature_tolerance)


@app.command(help_epilogue=example("sample md"))
def md(
    atoms: str,
    /,
    *,
    calculator: str,
    dynamics: Annotated[Dynamics, Parameter(name="*")],
    output: Output,
    repeat: Repeat = (1, 1, 1),
    count: int | None = None,
    cutoff: float = 6.0,
) -> None:
    """Run Langevin dynamics and take uncorrelated configurations of it; the trajectory stays beside them.

    Parameters
    ----------
    atoms
        File that ASE reads, or an element in its usual crystal: Al.
    calculator
        emt, an EAM table (.eam.alloy, .eam.fs), or a file .lmp of LAMMPS' pair_style and pair_coeff.
    count
        Number of configurations. Default: all that are uncorrelated.
    cutoff
        Largest distance of the radial distribution functions that are compared, Å.
    """
    from maladist.io.structures import check_writable, read_crystal
    from maladist.sampling.calculators import calculator_of
    from maladist.sampling.dynamics import molecular_dynamics

    # Before the dynamics: hours of MD must not end at a name that cannot be written.
    check_writable(output)
    start, path = read_crystal(atoms, repeat), output.with_name(output.name + ".md.traj")
    with calculator_of(calculator, start) as potential:
        frames = molecular_dynamics(start, potential, dynamics, path)
    say(f"trajectory: {path}, {len(frames)} frames")
    _choose(frames, output, count, cutoff)


def _choose(
    frames: Sequence[ase.Atoms],
    output: Path,
    count: int | None,
    cutoff: float,
    ion_temperature: float | None = None,
    tolerance: float | None = None,
) -> None:
    from maladist.io.structures import check_writable
    from maladist.sampling.trajectory import uncorrelated

    check_writable(output)
    chosen = uncorrelated(
        frames, count, cutoff=cutoff, ion_temperature=ion_temperature, temperature_tolerance=tolerance
    )
    held = "" if chosen.ion_temperature is None else f", ions within {tolerance:.3g} of {chosen.ion_temperature:.5g} K"
    say(
        f"equilibrated from frame {chosen.start} of {len(frames)}, g = {chosen.inefficiency:.1f} frames,"
        f" cosine distance above {chosen.threshold:.2g}{held}"
    )
    _write([frames[i] for i in chosen.indices], output)


def _write(configurations: Sequence[ase.Atoms], output: Path) -> None:
    from maladist.io.structures import write_frames

    write_frames(configurations, output)
    say(f"{len(configurations)} configurations in {output}")
