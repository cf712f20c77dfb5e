"""Radial distribution and mean square displacement of 64 beryllium atoms in MD, beside the phonons of DFT.

    maladist md be64.extxyz --model be-1000K-2 --output be64-1000 --steps 500 --timestep 2 --ensemble nvt \\
        --ion-temperature 1000
    python notebooks/moving_atoms.py be64-300 300 be64-1000 1000 --output be64_vibrations.png

be64.extxyz: maladist.examples.beryllium() repeated 4 × 4 × 2. DFT: the force constants of 16 atoms, from the forces of
one displacement (maladist.examples.dft_cells()), at the wave vectors that fit into the 64 atoms; their displacements
are drawn as classical ones, for so are those of MD.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase
import ase.io
import numpy as np
import phonopy
import xarray as xr
from matplotlib.figure import Figure
from phonopy.harmonic.dynmat_to_fc import DynmatToForceConstants
from phonopy.structure.atoms import PhonopyAtoms

import maladist
from maladist import examples
from maladist.arrays import Array

REPEATED = (4, 4, 2)
SETTLING = 300.0  # fs that are left out: three times the thermostat's 1/friction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="a folder of maladist md and its temperature in K, and so on")
    parser.add_argument("--output", default="be64_vibrations.png")
    given = parser.parse_args()
    phonons = of_dft()
    figure = Figure(figsize=(12, 4), layout="constrained")
    pairs, squares = figure.subplots(1, 2)
    for i, (folder, kelvin) in enumerate(zip(given.runs[::2], map(float, given.runs[1::2]), strict=True)):
        frames = [f for f in ase.io.read(Path(folder) / "trajectory.traj", ":") if f.info["time_fs"] >= SETTLING]
        times = np.array([f.info["time_fs"] for f in frames])
        ions = np.mean([f.info["ion_temperature_K"] for f in frames])
        u = displacements(frames)
        drawn = phonons.get_random_displacements_at_temperature(kelvin, 400, random_seed=1)
        expected = float((drawn**2).sum(-1).mean())
        # Blocks of a third each: the error of a mean over so few swings of the slowest waves.
        thirds = [float((part**2).sum(-1).mean()) for part in np.array_split(u, 3)]
        print(f"{kelvin:.0f} K: {len(frames)} frames, ions {ions:.0f} K")
        print(f"  <u²> {np.mean(thirds):.4f} ± {np.std(thirds) / np.sqrt(2):.4f} Å², by DFT's phonons {expected:.4f}")
        g, g_dft = maladist.structure(frames), maladist.structure(harmonic_frames(phonons, drawn))
        model, dft = (one.radial_distribution[0] for one in (g, g_dft))
        off = float(np.abs(model - dft).mean() / dft.mean())
        print(f"  g(r): |Δg| {off:.1%} of its mean; first peak {peak(model)}, DFT's phonons {peak(dft)}")
        colour = f"C{i}"
        pairs.plot(g.r, model + 4 * i, colour, label=f"{kelvin:.0f} K, MD")
        pairs.plot(g.r, dft + 4 * i, "k--", lw=1, label="phonons of DFT" if i == 0 else None)
        lag, moved = mean_square(u, times)
        squares.plot(lag, moved, colour, label=f"{kelvin:.0f} K, MD")
        squares.axhline(2 * expected, color=colour, ls="--", lw=1, label="2⟨u²⟩ of DFT's phonons" if i == 0 else None)
    pairs.set(xlabel="r (Å)", ylabel="g(r), the upper one raised by 4", xlim=(1.5, 6))
    squares.set(xlabel="τ (fs)", ylabel="⟨|u(t + τ) − u(t)|²⟩ (Å²)", xlim=(0, None), ylim=(0, None))
    for ax in (pairs, squares):
        ax.legend(frameon=False)
    figure.savefig(given.output, dpi=120)


def of_dft() -> phonopy.Phonopy:
    """Phonons of DFT's 16 atoms, at the wave vectors of the 64."""
    cells, crystal = examples.dft_cells(), examples.beryllium()
    unit = PhonopyAtoms(
        crystal.get_chemical_symbols(), cell=crystal.cell, scaled_positions=crystal.get_scaled_positions()
    )
    small, large = (
        phonopy.Phonopy(unit, np.diag(n), primitive_matrix=np.eye(3), log_level=0) for n in ((2, 2, 2), REPEATED)
    )
    small.generate_displacements(distance=0.05)
    small.forces = [cells["displaced"].get_forces() - cells["crystal"].get_forces()]
    small.produce_force_constants()
    small.symmetrize_force_constants()
    back = DynmatToForceConstants(large.primitive, large.supercell)
    back.dynamical_matrices = [matrix(small, q) for q in back.commensurate_points]
    back.run()
    large.force_constants = back.force_constants
    large.init_random_displacements(dist_func="classical")
    return large


def matrix(phonons: phonopy.Phonopy, q: Array) -> Array:
    """Dynamical matrix at a wave vector."""
    phonons.dynamical_matrix.run(q)
    return np.array(phonons.dynamical_matrix.dynamical_matrix)


def displacements(frames: list[ase.Atoms]) -> Array:
    """Displacements from the mean places, without that of all atoms together, (frames, atoms, 3) in Å."""
    places = np.array([f.positions for f in frames])  # not wrapped: ASE's integrators let the atoms go on
    places -= places.mean(axis=1, keepdims=True)
    return np.asarray(places - places.mean(axis=0))


def harmonic_frames(phonons: phonopy.Phonopy, drawn: Array) -> list[ase.Atoms]:
    """Atoms at drawn displacements."""
    cell = phonons.supercell
    return [ase.Atoms(cell.symbols, cell.positions + u, cell=cell.cell, pbc=True) for u in drawn]


def mean_square(u: Array, times: Array) -> tuple[Array, Array]:
    """Mean square displacement after a time, over all beginnings, up to half of the run."""
    lags = np.arange(len(u) // 2)
    moved = [float(((u[k:] - u[: len(u) - k]) ** 2).sum(-1).mean()) for k in lags]
    return lags * (times[1] - times[0]), np.array(moved)


def peak(g: xr.DataArray) -> str:
    """Height and place of the largest value."""
    r, values = g.r.values, g.values
    return f"{values.max():.2f} at {r[values.argmax()]:.2f} Å"


if __name__ == "__main__":
    main()
