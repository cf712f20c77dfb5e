"""Options that several commands share, and those derived from them: cyclopts finds the types in this file only.

What takes long to import (torch, Dask, xarray) is imported where a command computes, after its words have been read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from cyclopts import Parameter

from maladist.choices import CorrectionMode, DoubleCountingChoice, Functional, Precision
from maladist.io.shipped import shipped_models

if TYPE_CHECKING:
    import ase

    from maladist.cluster import Later
    from maladist.prediction.options import NumericsOptions, Options, SourceOptions

Backend = Literal["auto", "cpu", "torch", "lammps"]
Temperature = Annotated[
    list[float] | None, Parameter(help="Of the electrons, K; repeat for several. Default: the model's own.")
]
ModelHelp = Parameter(
    help=f"Model file, a zip that MALA wrote, or one that comes with maladist: {', '.join(shipped_models())}."
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NumericsFlags:
    """How descriptors and network are computed.

    Parameters
    ----------
    backend
        Kernel of the descriptors.
    device
        auto (decided by each worker), cpu, cuda.
    precision
        Floating point of descriptors and network; energies are always float64.
    """

    backend: Backend = "auto"
    device: str = "auto"
    precision: Precision = "float32"

    def numerics(self) -> NumericsOptions:
        """Keywords of `maladist.evaluate` and all that predicts."""
        return {"backend": self.backend, "device": self.device, "precision": self.precision}


NUMERICS = NumericsFlags()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ClusterFlags:
    """Where it is computed.

    Parameters
    ----------
    cluster
        local, a YAML file, a scheduler's address or its scheduler file. Default: local; small cells need none where
        the command says so.
    workers
        Number of worker processes.
    """

    cluster: Annotated[str | None, Parameter(env_var="MALADIST_CLUSTER")] = None
    workers: int | None = None

    @property
    def client(self) -> Later | None:
        """The cluster that was asked for, begun by what computes; None where none was, and what computes may choose."""
        if self.cluster is None and self.workers is None:
            return None
        from maladist.cluster import Later

        return Later("local" if self.cluster is None else self.cluster, self.workers)

    def reporting(self, file: Path) -> Later:
        """The same with a performance report, for which a cluster is needed."""
        from maladist.cluster import Later

        return (self.client or Later("local"))._replace(report=file)


LOCAL = ClusterFlags()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BlockFlags(NumericsFlags, ClusterFlags):
    """How and where the blocks are computed.

    Parameters
    ----------
    chunks
        Points of a block. Default: what fits the workers.
    """

    chunks: tuple[int, int, int] | None = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EvaluateFlags(BlockFlags):
    """How the snapshots are predicted, and what beside the energies is compared.

    Parameters
    ----------
    spread
        Of an ensemble: predict with every member too, and say what their spread tells of the error.
    forces
        Compare forces and stress too, where the data hold the DFT's; it takes a few times as long.
    """

    spread: bool = False
    forces: Annotated[bool, Parameter(negative="--no-forces")] = True


EVALUATE = EvaluateFlags()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ModelFlags(BlockFlags):
    """A model, and what is computed with it.

    Parameters
    ----------
    grid
        Points along the lattice vectors. Default: the spacing that the model was trained on.
    pseudopotentials
        Folder of UPF files: valence and core charge where the model does not tell them.
    density_cutoff
        Sphere of the core charge, of the gradient and of XC, eV (ecutrho). Default: the model's.
    broadening_correction
        Correct the energies for the broadening of the LDOS.
    strict
        Refuse a cell outside of the model's training: before the blocks where its volume, distances, temperature or a
        sample of its points tell, else after them; the store is then left unfinished, an MD is stopped.
    """

    model: Annotated[Path, ModelHelp, Parameter(env_var="MALADIST_MODEL")]
    temperature: Temperature = None
    grid: tuple[int, int, int] | None = None
    pseudopotentials: Path | None = None
    density_cutoff: float | None = None
    broadening_correction: CorrectionMode = "auto"
    strict: bool = False

    def options(self) -> Options:
        """Keywords of all that predicts with a model."""
        return {
            "backend": self.backend,
            "device": self.device,
            "precision": self.precision,
            "temperature": self.temperature or None,
            "grid": self.grid,
            "chunks": self.chunks or "auto",
            "pseudopotentials": self.pseudopotentials,
            "density_cutoff": self.density_cutoff,
            "broadening_correction": self.broadening_correction,
            "strict": self.strict,
        }


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunOptions(ModelFlags):
    """What `predict` and `plan` have in common.

    Parameters
    ----------
    keep
        What else to keep in the store: the fields ldos and descriptors; force_terms: forces and stress by term, in
        --json too. Several with a comma.
    forces
        Forces on the atoms, by a second pass over the blocks.
    stress
        Stress of the cell, by the same pass.
    """

    keep: str = ""
    forces: bool = False
    stress: bool = False

    def run(self) -> Options:
        """Keywords of `predict` and `plan`."""
        keep = tuple(k for k in self.keep.split(",") if k)
        return self.options() | {"forces": self.forces, "stress": self.stress, "keep": keep}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SourceFlags:
    """What atoms with a model, or an LDOS, do not tell, or is to be other than they say; a result takes none of these.

    Parameters
    ----------
    backend, device, precision
        Of descriptors and network, as in `predict`.
    grid, chunks
        Points along the lattice vectors, and of a block.
    strict
        Refuse a cell outside of the model's training.
    pseudopotentials
        Folder of UPF files: valence and core charge.
    density_cutoff
        Sphere of the core charge, of the gradient and of XC, eV (ecutrho).
    broadening_correction
        Correct the energies for the broadening of the LDOS. Default: auto.
    xc
        Functional behind an LDOS.
    double_counting
        Density in -E_H + E_xc - ∫ v_xc n of an LDOS, as in `observe`.
    """

    backend: Backend | None = None
    device: str | None = None
    precision: Precision | None = None
    grid: tuple[int, int, int] | None = None
    chunks: tuple[int, int, int] | None = None
    strict: bool | None = None
    pseudopotentials: Path | None = None
    density_cutoff: float | None = None
    broadening_correction: CorrectionMode | None = None
    xc: Functional | None = None
    double_counting: DoubleCountingChoice | None = None

    def keywords(self) -> SourceOptions:
        """Keywords that were given: the function refuses those that its source does not take."""
        return cast("SourceOptions", {name: value for name, value in vars(self).items() if value is not None})

    @staticmethod
    def source(name: str, model: Path | None) -> str | ase.Atoms:
        """The store, or the atoms where there is a model."""
        if model is None:
            return name
        from maladist.io.structures import read_atoms

        return read_atoms(name)


SOURCE = SourceFlags()
