"""Which cells of a pool a model knows least, and not the same one many times: what is worth a DFT.

Each cell is looked at in points drawn at random, which costs a hundredth of a prediction:

    g = ⟨ν⁴/(1 + ν²)⟩                 ν the novelty: what a calibrated σ grows with (`maladist.learning.uncertainty`)
    s² = ⟨Σ_l Var_m y_ml⟩ / L         y_ml the L scaled outputs of an ensemble's member m: its members' disagreement
    score = (rank of g + rank of s) / 2n,  or rank of g / n where the model is one network

Disagreement of a committee is the criterion of Seung, Opper and Sompolinsky (Query by committee, COLT 1992). Ranks
within the pool, and not values, since g grows with the fourth power of ν and s with the first: a product would follow
g alone. Of the highest scores, `MANY` times as many as are wanted but not more than half of the pool, those are taken
that lie farthest apart: the one of the highest score, then again and again the one whose mean scaled descriptors are
farthest from all that were taken (Gonzalez, Theor. Comput. Sci. 38, 293 (1985)). Otherwise all would be frames of the
same strange moment.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Unpack

import ase
import numpy as np
import torch
from distributed import Client
from scipy.stats import rankdata

from maladist.arrays import Array
from maladist.atoms import AtomsLike, ase_atoms, check_atoms
from maladist.descriptors.dispatch import batches
from maladist.errors import InputError
from maladist.io.model_file import load_model
from maladist.learning.domain import Outside
from maladist.learning.ensemble import EnsembleNetwork
from maladist.learning.model import LDOSModel
from maladist.neighbors import CellList, LocalAtoms
from maladist.numerics import Numerics
from maladist.parallel import waves
from maladist.parallel.progress import Observer, Silent, advance
from maladist.parallel.task import in_batches
from maladist.prediction.block import ModelBlob, worker_model
from maladist.prediction.novelty import UNKNOWN
from maladist.prediction.options import NumericsOptions
from maladist.prediction.pilot import pilot_groups
from maladist.prediction.place import are_few, client_or_here
from maladist.prediction.setup import known_elements

MANY: Final = 4
"""How many times the wanted number of cells are candidates, by their scores."""


@dataclass(frozen=True)
class Ranked:
    """A cell that was chosen.

    Attributes
    ----------
    frame
        Number of the cell in the pool, from 0.
    score
        Mean of its ranks by g and by s over the number of cells: 1 for the one that the model knows least.
    growth
        g, mean of ν⁴/(1 + ν²) over its points.
    largest_novelty
        Largest ν of these points.
    spread
        s; None where the model is one network.
    """

    frame: int
    score: float
    growth: float
    largest_novelty: float
    spread: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Values by name, for ``--json``."""
        return asdict(self)


class Look(NamedTuple):
    """What is seen of a cell: its points' novelty, s² (0 of one network), mean scaled descriptors (n_features,)."""

    outside: Outside
    variance: float
    mean: Array


def rank(
    model: LDOSModel | str | Path,
    frames: Sequence[AtomsLike],
    count: int,
    *,
    points: int = 1000,
    seed: int = 0,
    client: Client | None = None,
    observer: Observer | None = None,
    **numerics: Unpack[NumericsOptions],
) -> list[Ranked]:
    """Choose cells of a pool for DFT: those that the model knows least, and that differ from one another.

    Parameters
    ----------
    model
        A model that knows its training, or a path of a model file.
    frames
        The pool: frames of one or more trajectories, say. Cells and numbers of atoms may differ.
    count
        Number of cells to choose.
    points
        Points of each cell that are looked at.
    seed
        Seed of these points.
    client
        Client whose workers look at the cells; where None this process at a small pool, a local cluster at others.
    observer
        Observer that is told of the cells; nobody where None.
    numerics
        Backend, device and precision as in `predict`.

    Returns
    -------
    list of Ranked
        The chosen cells, in the order in which they were chosen: any beginning of the list is a choice too.

    Raises
    ------
    InputError
        A cell that the model cannot describe, fewer cells than wanted, or a model that does not know its training.

    Examples
    --------
    >>> frames = [be, bulk("Be", "fcc", a=3.1), be.repeat((1, 1, 2))]
    >>> [chosen.frame for chosen in maladist.rank("be-1000K-2", frames, count=1)]  # what the model knows least
    [1]
    """
    model = model if isinstance(model, LDOSModel) else load_model(model)
    cells = _checked(model, frames, count, points)
    data, key = model.to_bytes(), f"rank-{time.time_ns():x}"
    how = Numerics(**numerics)
    with client_or_here(client, are_few(len(frames) * points, how.backend)) as connected:
        observer = observer or Silent()
        observer.begin(connected, f"{len(frames)} cells")
        observer.stage("cells", len(frames))
        blob = waves.share(connected, ModelBlob(data, hashlib.sha256(data).hexdigest()), run_key=key)
        # One after the other as they are needed: a pool may be longer than the memory for all its neighbours.
        jobs = (
            waves.NamedJob(f"frame {i}", _points(atoms, model, points, seed), blob, how)
            for i, atoms in enumerate(cells)
        )
        looks = waves.in_order(connected, look_at_cell, jobs, run_key=key, finished=partial(advance, observer))
    return choose(looks, count, committee=isinstance(model.network, EnsembleNetwork))


def _checked(model: LDOSModel, frames: Sequence[AtomsLike], count: int, points: int) -> list[ase.Atoms]:
    if model.domain is None:
        raise InputError("model", UNKNOWN, "a model that maladist trained")
    if not 1 <= count <= len(frames):
        raise InputError("count", str(count), f"1 to {len(frames)}, the number of cells")
    if points < 1:
        raise InputError("points", str(points), "one point or more")
    known, cells = known_elements(model), []
    for i, atoms in enumerate(frames):
        try:
            cells.append(ase_atoms(atoms))
            check_atoms(cells[-1], known)
        except InputError as error:
            error.add_note(f"frame {i} of {len(frames)}")
            raise
    return cells


def _points(atoms: ase.Atoms, model: LDOSModel, points: int, seed: int) -> list[tuple[Array, LocalAtoms]]:
    """Random points of a cell, in groups, each with the atoms that it sees."""
    # The same fractions in each cell, so that frames that are alike look alike.
    where = np.random.default_rng(seed).random((points, 3)) @ atoms.cell.array
    numbers = atoms.numbers.astype(np.int16)
    return pilot_groups(where, CellList(atoms.cell.array, atoms.positions, numbers, model.descriptor.cutoff))


@in_batches()
def look_at_cell(groups: Sequence[tuple[Array, LocalAtoms]], blob: ModelBlob, numerics: Numerics) -> Look:
    """Look at a cell, in groups of points with the atoms that they see; on a worker."""
    here = numerics.here()
    model = worker_model(blob, here)
    novelty, variance, scaled = list[torch.Tensor](), list[torch.Tensor](), list[torch.Tensor]()
    for points, atoms in groups:
        for _, features in batches(points, atoms, model.descriptor, here):
            x = model.input_scaler.transform(features.to(model.device, model.dtype))
            novelty.append(model.novelty(features))
            scaled.append(x)
            if isinstance(model.network, EnsembleNetwork):
                with torch.inference_mode():
                    members = torch.stack([network(x) for network in model.network.networks])
                variance.append(members.var(0, correction=1).mean(1))
    spread = float(torch.cat(variance).double().mean()) if variance else 0.0
    return Look(Outside.of(torch.cat(novelty)), spread, torch.cat(scaled).double().mean(0).cpu().numpy())


def choose(looks: Sequence[Look], count: int, *, committee: bool) -> list[Ranked]:
    """Choose cells by what was seen of them.

    Parameters
    ----------
    looks
        What was seen of each cell of the pool.
    count
        Number of cells to choose.
    committee
        Whether their spread counts.
    """
    growth = np.array([look.outside.mean_growth for look in looks])
    spread = np.sqrt([look.variance for look in looks])
    ranks = [rankdata(values) for values in ([growth, spread] if committee else [growth])]
    scores = np.mean(ranks, axis=0) / len(looks)
    # Stable, so that of equal scores the earlier cell comes first on every machine.
    candidates = np.argsort(-scores, kind="stable")[: max(count, min(MANY * count, len(looks) // 2))]
    means = np.stack([looks[i].mean for i in candidates])
    return [
        Ranked(
            int(i),
            float(scores[i]),
            float(growth[i]),
            looks[i].outside.farthest,
            float(spread[i]) if committee else None,
        )
        for i in candidates[farthest_points(means, count)]
    ]


def farthest_points(rows: Array, count: int) -> list[int]:
    """The first row, then each time the one that is farthest from all that were taken (Gonzalez, 1985)."""
    taken, distances = [0], np.linalg.norm(rows - rows[0], axis=1)
    while len(taken) < count:
        # Rows that are the same as one that was taken come last, each once.
        distances[taken] = -1.0
        taken.append(int(np.argmax(distances)))
        distances = np.minimum(distances, np.linalg.norm(rows - rows[taken[-1]], axis=1))
    return taken
