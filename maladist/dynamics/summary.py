"""What an MD was like: drift and fluctuations of what is conserved, means of the rest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from maladist.arrays import Array
from maladist.dynamics.folder import TRAJECTORY, read_table
from maladist.dynamics.step import Step
from maladist.errors import StoreError
from maladist.io.trajectory import last_frame

_TELLING: Final = 100.0  # fs, of which a straight line can be told from a few vibrations


@dataclass(frozen=True, kw_only=True)
class MDSummary:
    """Figures of an MD, from its table; None for what it does not have.

    Attributes
    ----------
    n_atoms, n_frames, steps, time_fs
        Size and length.
    total_free_energy_eV
        Mean of A.
    ion_temperature_K, ion_temperature_std_K
        Mean and standard deviation of the ions' temperature.
    fermi_energy_eV, fermi_energy_std_eV
        Those of μ.
    conserved_std_meV_per_atom
        Standard deviation of the conserved energy, about its mean.
    conserved_drift_meV_per_atom_per_ps
        Slope of the straight line through it.
    largest_novelty
        Largest novelty of all steps.
    """

    n_atoms: int
    n_frames: int
    steps: int
    time_fs: float
    total_free_energy_eV: float
    ion_temperature_K: float
    ion_temperature_std_K: float
    fermi_energy_eV: float | None
    fermi_energy_std_eV: float | None
    conserved_std_meV_per_atom: float | None
    conserved_drift_meV_per_atom_per_ps: float | None
    largest_novelty: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Figures by name, for ``--json``."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.n_atoms} atoms, {self.steps} steps, {self.time_fs:g} fs, {self.n_frames} frames",
            f"A {self.total_free_energy_eV:.5f} eV on the average",
            f"ions {self.ion_temperature_K:.0f} ± {self.ion_temperature_std_K:.0f} K",
        ]
        if self.fermi_energy_eV is not None:
            lines.append(f"μ = {self.fermi_energy_eV:.4f} ± {self.fermi_energy_std_eV:.4f} eV")
        if self.conserved_std_meV_per_atom is not None:
            drift = f"drift {self.conserved_drift_meV_per_atom_per_ps:+.4f} meV/atom/ps"
            told = drift if self.time_fs >= _TELLING else f"too short for a drift (less than {_TELLING:g} fs)"
            lines.append(f"conserved energy: std {self.conserved_std_meV_per_atom:.4f} meV/atom, {told}")
        if self.largest_novelty is not None:
            lines.append(f"largest novelty {self.largest_novelty:.3g}")
        return "\n".join(lines)


def summarise(output: str | Path) -> MDSummary:
    """Figures of the MD in a folder, whether or not it has come to its end.

    Raises
    ------
    StoreError
        The folder holds no MD, or one without a frame.
    """
    path = Path(output)
    n_frames, last = last_frame(path / TRAJECTORY)
    steps = read_table(path)
    times = _column(steps, "time_fs")
    if last is None or times is None:
        raise StoreError("output", f"{path} without a frame of an MD", "the folder of an MD")
    conserved, mu = _column(steps, "conserved_energy_eV"), _column(steps, "fermi_energy_eV")
    ions, novelty = _column(steps, "ion_temperature_K"), _column(steps, "largest_novelty")
    energies = _column(steps, "total_free_energy_eV")
    assert ions is not None and energies is not None  # every MD has both
    return MDSummary(
        n_atoms=len(last),
        n_frames=n_frames,
        steps=steps[-1].step,
        time_fs=float(times[-1]),
        total_free_energy_eV=float(energies.mean()),
        ion_temperature_K=float(ions.mean()),
        ion_temperature_std_K=float(ions.std()),
        fermi_energy_eV=None if mu is None else float(mu.mean()),
        fermi_energy_std_eV=None if mu is None else float(mu.std()),
        conserved_std_meV_per_atom=None if conserved is None else float(1e3 * conserved.std() / len(last)),
        conserved_drift_meV_per_atom_per_ps=None if conserved is None else _slope(times, conserved) * 1e6 / len(last),
        largest_novelty=None if novelty is None else float(novelty.max()),
    )


def _column(steps: list[Step], name: str) -> Array | None:
    """Values of a column; None where a step has none."""
    values = [getattr(step, name) for step in steps]
    return None if not values or None in values else np.array(values, dtype=np.float64)


def _slope(x: Array, y: Array) -> float:
    """Slope of the least squares line; 0 of a single point."""
    apart = x - x.mean()
    square = float(np.sum(apart**2))
    return float(np.sum(apart * (y - y.mean()))) / square if square else 0.0
