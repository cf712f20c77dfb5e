"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

Correction = Literal["auto", "on", "off"]
Backend = Literal["auto", "cpu", "torch", "lammps"]
Precision = Literal["float32", "float64"]
Temperature = Annotated[list[float] | None, Parameter(help="K; repeat for several. Default: the model's own.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What `predict` and `plan` have in common.

    Parameters
    ----------
    model
        Model file, or a zip that MALA wrote.
    grid
        Points along the lattice vectors. Default: the spacing that the model was trained on.
    cluster
        local, a YAML file, a scheduler's address or its scheduler file.
    workers
        Number of worker processes.
    descriptors
        Backend of the descriptors.
    pseudopotentials
        Folder of UPF files: valence and core charge where the model does not tell them.
    device
        auto (decided by each worker), cpu, cuda.
    density_cutoff
        Sphere of the core charge, of the gradient and of XC, eV (ecutrho). Default: the model's.
    broadening_correction
        Correct the energies for the broadening of the LDOS.
    chunks
        Points of a block. Default: what fits the workers.
    precision
        Of descriptors and network; energies are always float64.
    keep
        Fields to keep in the store: ldos, descriptors, or both with a comma.
    """

    model: Path
    temperature: Temperature = None
    grid: tuple[int, int, int] | None = None
    cluster: str = "local"
    workers: int | None = None
    descriptors: Backend = "auto"
    pseudopotentials: Path | None = None
    device: str = "auto"
    density_cutoff: float | None = None
    broadening_correction: Correction = "auto"
    chunks: tuple[int, int, int] | None = None
    precision: Precision = "float32"
    keep: str = ""

    def physics(self) -> dict[str, Any]:
        """Parameters of `setup`, by its names."""
        return {
            "temperature": self.temperature or None,
            "grid": self.grid,
            "descriptors": self.descriptors,
            "device": self.device,
            "precision": self.precision,
            "pseudopotentials": self.pseudopotentials,
            "density_cutoff": self.density_cutoff,
            "correction": self.broadening_correction,
            "keep": tuple(k for k in self.keep.split(",") if k),
        }

    def run(self) -> dict[str, Any]:
        """Parameters of `predict` and `plan`, by their names."""
        return {**self.physics(), "chunks": self.chunks or "auto"}
