"""The record of finished blocks, read with distrust, and what an error says of it.

A chunk is renamed into place and the record of a block is written last, so a process that dies leaves a block whole or
absent. A machine that dies can leave less: chunks that were renamed and never reached the disk. So a run that is
resumed reads once what the record says is there; a block that cannot be read, or has holes, is computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from distributed.client import ClosedClientError
from distributed.comm import CommClosedError

from maladist.arrays import Array
from maladist.errors import BlockError, ClusterError, ClusterLostError, DomainError, InputError, OutputError, StoreError
from maladist.grid import Block, Blocks
from maladist.io import stores
from maladist.io.targets import refusal
from maladist.parallel.here import InProcess, Runner
from maladist.parallel.waves import NamedJob, scheduler_gone

Record = dict[str, Any]
"""What a store was computed with, by name."""

BASIS: Final = "work/basis"
"""Array of the store: span of the Fermi weights over the window of μ, (levels, modes)."""

MODES: Final = "work/modes"
"""Array of the store: projections of every point's LDOS on the basis, (x, y, z, modes)."""

REFERENCE: Final = "work/reference_density"
"""n₀ of the double counting, where no temperature's density is n₀."""

POTENTIAL: Final = "work/potential"
"""u(r) of the double counting, eV, which the second pass needs, (x, y, z)."""

DERIVATIVES: Final = "work/derivatives"
"""Array of the store: a row for each block that the second pass has done."""

TALLY: Final = "work/tally"
"""Array of the store: a row for each block that is done, which is written last."""

_ROWS: Final = 1024  # rows of the record that are read at a time
_GROUP: Final = 32  # blocks that one task verifies


def check_record(path: Path, fingerprint: Mapping[str, Any], unfinished: bool = False) -> Record:
    """What a store was computed with, if that is what a run computes with.

    Parameters
    ----------
    path
        Path of the store.
    fingerprint
        What the run computes with, by name.
    unfinished
        Whether it must be unfinished.

    Raises
    ------
    StoreError
        It is not a store of a run, is finished, or was computed with something else.
    """
    try:
        attributes = stores.attributes(path)
    except StoreError as error:
        remedy = "Give --overwrite to begin anew."
        raise StoreError("resume", f"{path}: {error.came}", "a store that a run left unfinished", remedy) from error
    record = attributes.get("work")
    left = ("a store that a run left unfinished", "Read it with maladist info.")
    if record is None or (unfinished and "complete" not in attributes):
        raise StoreError("resume", f"{path} is not a run's store", *left)
    for name, value in fingerprint.items():
        if record.get(name) != value:
            # Hashes tell a reader nothing.
            was = f" ({record.get(name)})" if name not in ("model", "atoms") else ""
            raise StoreError(
                "resume",
                f"{path} was made with another {name}{was}",
                f"the same {name}",
                "Start a new store, or give --overwrite.",
            )
    # Last: a finished store of another temperature is not the one that was asked for.
    if unfinished and attributes["complete"] is not False:
        raise StoreError("resume", f"{path} is finished", *left)
    return dict(record)


def read_basis(path: stores.Where) -> Array | None:
    """The span of the Fermi weights, (levels, modes); None where the run died before it was written, or while."""
    try:
        basis = stores.read_region(path, BASIS)
        stores.open_array(path, TALLY, "r")
    except StoreError:
        return None
    # A basis that was cut off in the middle has holes: the projections that it made are then worthless too.
    orthonormal = np.allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-6)
    return basis if orthonormal else None


def recorded(path: stores.Where, record: str, n_blocks: int) -> npt.NDArray[np.bool_]:
    """Which blocks have a whole row in a record, which is an array of the store."""

    def whole(first: int, last: int) -> npt.NDArray[np.bool_]:
        try:
            return np.isfinite(stores.read_region(path, record, (slice(first, last),))).all(axis=1).astype(bool)
        except StoreError:  # a row that is cut off: look at each for itself
            if last - first == 1:
                return np.array([False])
            # By halves, so that one damaged chunk does not cost a look at each of a hundred thousand rows.
            middle = (first + last) // 2
            return np.concatenate([whole(first, middle), whole(middle, last)])

    parts = [whole(i, min(i + _ROWS, n_blocks)) for i in range(0, n_blocks, _ROWS)]
    return np.concatenate(parts)


def verify_jobs(
    path: stores.Where, blocks: Blocks, done: npt.NDArray[np.bool_], fields: Sequence[str]
) -> Iterator[NamedJob]:
    """Tasks of `find_damaged` for all blocks that the record calls done."""
    indices = np.flatnonzero(done)
    for group in np.array_split(indices, -(-len(indices) // _GROUP)) if len(indices) else []:
        yield NamedJob(f"verify{group[0]}", str(path), [blocks[int(i)] for i in group], tuple(fields))


def find_damaged(store: str, blocks: Sequence[Block], fields: Sequence[str]) -> list[int]:
    """Indices of the blocks whose fields cannot be read or have holes; runs on a worker."""
    return [block.index for block in blocks if not all(_whole(store, name, block) for name in fields)]


def _whole(store: str, name: str, block: Block) -> bool:
    try:
        return bool(np.isfinite(stores.read_region(store, name, block.slices)).all())
    except StoreError:
        return False


def kept(path: Path) -> str:
    """What an error says of the blocks that are finished, in both passes; empty where there are none."""
    first = _finished(path, TALLY)
    if first is None:  # no store yet
        return ""
    second = _finished(path, DERIVATIVES)
    forces = "" if second is None else f", and forces of {second[0]},"
    return f"{first[0]} of {first[1]} blocks{forces} are kept in {path}: resume=True (--resume) continues from them."


def _finished(path: Path, record: str) -> tuple[int, int] | None:
    """How many blocks a record holds, and of how many; None where there is no such record."""
    try:
        n_blocks = int(stores.open_array(path, record, "r").shape[0])
        return int(recorded(path, record, n_blocks).sum()), n_blocks
    except StoreError:
        return None


@contextmanager
def naming_what_is_kept(path: Path, client: Runner, temporary: bool) -> Iterator[None]:
    """Let errors of a run say what is kept and how to go on; a temporary store keeps nothing."""

    def what() -> str:
        return "" if temporary else kept(path)

    try:
        yield
    # Made anew: the message of an exception cannot be added to, and its cause must stay.
    except BlockError as error:
        raise BlockError(error.block, error.cause, what()) from error.__cause__
    except ClusterError as error:
        same = type(error)  # lost or never there: the command's status tells them apart
        raise same(error.argument, error.came, error.wanted, error.remedy or what()) from error.__cause__
    except DomainError as error:
        how = f"{error.remedy} {what()}".strip()
        raise DomainError(error.argument, error.came, error.wanted, how) from None
    except OutputError as error:
        raise OutputError(error.argument, error.came, error.wanted, error.remedy or what()) from error.__cause__
    except InputError:
        raise
    # What Dask raises in the middle of a call when its scheduler has gone, whatever the call was.
    except (CommClosedError, ClosedClientError, TimeoutError) as error:
        if isinstance(client, InProcess) and isinstance(error, OSError):  # a file system can time out as well
            raise refusal(error, path, "store", what()) from error
        gone = scheduler_gone(client)
        raise ClusterLostError(gone.argument, gone.came, gone.wanted, what()) from error
    except OSError as error:
        raise refusal(error, path, "store", what()) from error
