"""Every error that bad input can raise, in one place.

An error says which argument was bad, what came, what was wanted and what to do next, and reads as one line.
"""

from __future__ import annotations


class InputError(ValueError):
    """Bad input, caught at the boundary where it enters.

    Parameters
    ----------
    argument
        Name of the argument or file.
    came
        Description of what came.
    wanted
        Description of what was wanted.
    remedy
        Advice on what to do next; may be empty.
    """

    def __init__(self, argument: str, came: str, wanted: str, remedy: str = "") -> None:
        # All parts as arguments: an exception that comes from a worker is made again from them.
        super().__init__(argument, came, wanted, remedy)
        self.argument, self.came, self.wanted, self.remedy = argument, came, wanted, remedy

    def __str__(self) -> str:
        line = f"{self.argument}: {self.came}; wanted {self.wanted}"
        return f"{line}. {self.remedy}" if self.remedy else f"{line}."


class AtomsError(InputError):
    """Atoms that cannot be predicted: no cell, not periodic, unknown element, NaN, coincident."""


class GridError(InputError):
    """A grid, block or region that does not fit."""


class ModelError(InputError):
    """A model file that is truncated, of another kind, or does not fit its own parts."""


class PseudopotentialError(InputError):
    """A UPF file that cannot be read, is missing, or names an element twice."""


class DataFileError(InputError):
    """A file of DFT data that is truncated, of another kind, in other units, or does not belong with the others."""


class PhysicsError(InputError):
    """Physics that this program does not have (PAW, spin, Hubbard U, see `maladist.io.refused`), or forces A lacks."""


class DFTError(InputError):
    """A DFT calculation that failed, did not converge or does not cover what is wanted of it."""


class SnapshotsError(DFTError):
    """Snapshots whose DFT calculation failed, after all others have been done."""


class StoreError(InputError):
    """A data set or result store that breaks the data contract or belongs to another run."""


class OutputError(InputError):
    """A file or folder that cannot be written: its place is absent, full, read-only, or holds something else."""


class EnergyWindowError(InputError):
    """An energy grid whose window does not bracket the Fermi level."""


class DomainError(InputError):
    """A cell outside of what a model has been trained on, where only such cells were asked for."""


class WorkerTooSmallError(InputError):
    """A plan whose task does not fit the memory of a worker."""


class ClusterError(InputError):
    """A cluster description that cannot be read or reached."""


class ClusterLostError(ClusterError):
    """A cluster that went away during the run, or whose workers did or never came."""


class DependencyError(InputError):
    """An optional program or package that is not installed."""


class BlockError(RuntimeError):
    """A block's task failed on a worker; names the block and keeps the cause."""

    def __init__(self, block: str, cause: str, kept: str = "") -> None:
        super().__init__(block, cause, kept)
        self.block, self.cause, self.kept = block, cause, kept

    def __str__(self) -> str:
        line = f"block {self.block} failed: {self.cause}"
        return f"{line}. {self.kept}" if self.kept else line


class RankError(BlockError):
    """A rank of a training by several processes failed or died; names it and keeps the cause."""

    def __init__(self, rank: int, world: int, worker: str, cause: str, kept: str = "") -> None:
        super().__init__(f"rank {rank}", cause, kept)
        # The parts that this class is made from, not those of its base: pickle makes it again from them.
        self.args = (rank, world, worker, cause, kept)
        self.rank, self.world, self.worker = rank, world, worker

    def __str__(self) -> str:
        line = f"rank {self.rank} of {self.world} on {self.worker} failed: {self.cause}"
        return f"{line}. {self.kept}" if self.kept else line


class AccuracyWarning(UserWarning):
    """A result that stands but is less certain than it looks; says by how much where that is known."""
