r"""The loss of the forces: slopes of the total free energy along random displacements, held against the DFT's forces.

Along a displacement v of all atoms A changes, to first order and with the number of electrons fixed, by

    v·∂A/∂R = Σ_r ΔV [ Σ_i ω_i ḋ(ε_i, r) + u(r) ṅ₀(r) ] + v·∂E_ii/∂R + ∫ s v·∂n_core/∂R,        s = v_xc + v_H + u

with ω = w_B + w_S − μ w_N at the DFT's Fermi level, u(r) of :mod:`maladist.physics.double_counting` at the DFT's
density, ḋ and ṅ₀ the slopes of the network's LDOS and of the density of the double counting (the density channel, or
w_N · ḋ where there is none). That is to be −v·F. Fields at the DFT's density make all but ḋ and ṅ₀ a constant of the
snapshot, which is found once; at the network's own density they would differ by its error, an error of second order.

ḋ = Σ_f ∂d/∂B_f Ḃ_f by one backward pass through the network, which is differentiated once more for its weights. Ḃ comes
from the descriptors at R ± hv. The sum over points needs a grid that holds what varies, not the density's own: one with
`COARSER` times fewer points a side gives the forces of be-1000K to 0.012 eV/Å, a tenth of their error, for a fifteenth
of the work.

With components of v of unit variance the square of the residual is, on average, the sum of the squares of the errors
of all 3N components; so the loss is their mean square whatever the cell's size, in eV²/Å².
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.signal
import torch
from distributed import Client
from torch import Tensor

from maladist.arrays import Array
from maladist.datasets.snapshots import Snapshot
from maladist.descriptors import Spec
from maladist.descriptors.dispatch import evaluate
from maladist.elements import Element
from maladist.errors import InputError
from maladist.grid import Grid
from maladist.io import datasets, stores
from maladist.io.samples import read_rows, write_rows
from maladist.learning.loss import Sensitivity
from maladist.learning.network import FeedForward
from maladist.learning.outputs import Outputs
from maladist.learning.scaling import Scaler
from maladist.neighbors import CellList
from maladist.parallel import waves
from maladist.physics.forces import explicit_terms
from maladist.physics.system import System
from maladist.training.potential import centred, energetic, file_stem

DIRECTIONS: Final = 8
"""Displacements of a snapshot whose slopes are learnt."""
COARSER: Final = 2.5
_STEP: Final = 3e-4  # Å, of the largest component; the bispectrum's switch is not smooth enough for longer ones


@dataclass(frozen=True)
class Slopes:
    """One snapshot's labels; their rows are in files.

    Attributes
    ----------
    stem
        Path of the files without their endings: 'features', descriptors (points, features); 'slopes', theirs
        (directions · points, features); 'potential', u(r) at the points less the constant that makes its first-order
        effect right, (points, 1), eV; 'targets', what the network's share of v·∂A/∂R should be, (directions, 1), eV.
    voxel_volume
        Ω over the number of points, Å³.
    components
        Number of components of the snapshot's forces.
    felt
        What N and E_b feel of the LDOS at the DFT's Fermi level.
    """

    stem: str
    voxel_volume: float
    components: int
    felt: Sensitivity

    def file(self, what: str) -> Path:
        """File of some rows, by their name."""
        return Path(f"{self.stem}.force-{what}.npy")

    def read(self, what: str, device: torch.device) -> Tensor:
        """Rows by their name, float32."""
        return torch.from_numpy(read_rows(self.file(what))).to(device)


def force_labels(
    snapshots: Sequence[Snapshot],
    spec: Spec,
    elements: Mapping[str, Element],
    folder: Path,
    client: Client,
    *,
    seed: int,
    correction: bool,
    channel: bool,
) -> list[Slopes]:
    """Slopes of A of snapshots, as the DFT's forces have them; made on the workers, once.

    Parameters
    ----------
    spec
        Specification of the descriptors.
    elements
        Pseudopotentials by symbol.
    folder
        Folder of the files; those that are there are taken as they are.
    seed
        Seed of the displacements.
    correction
        Whether the Fermi weights are corrected for the broadening.
    channel
        Whether the network has a density channel.

    Raises
    ------
    InputError
        A snapshot lacks its forces, density, functional, pseudopotentials or Fermi level.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels, jobs = [], []
    for i, (s, felt) in enumerate(with_forces(snapshots, elements, correction=correction)):
        stem = str(folder / file_stem(s, spec.to_dict(), seed, channel, correction))
        volume = s.system.grid.volume / coarser(s.system.grid).n_points
        labels.append(Slopes(stem, volume, 3 * s.system.n_atoms, felt))
        if not labels[-1].file("targets").exists():  # which is written last
            jobs.append(waves.NamedJob(f"{s.name} (snapshot {i})", s, labels[-1], spec, seed, correction, channel))
    waves.in_order(client, write_slopes, jobs, run_key="forces")
    return labels


def with_forces(
    snapshots: Sequence[Snapshot], elements: Mapping[str, Element], *, correction: bool
) -> list[tuple[Snapshot, Sensitivity]]:
    """Snapshots with their pseudopotentials, and what their energies feel of the LDOS, where all have forces.

    Raises
    ------
    InputError
        A snapshot lacks its forces, density, functional, pseudopotentials or Fermi level.
    """
    for s in snapshots:
        if not s.has_forces:
            remedy = "`maladist dft` keeps them; or leave loss.forces at 0."
            raise InputError("loss.forces", f"{s.name} without forces of the DFT", "forces in its reference", remedy)
    return energetic(snapshots, elements, "loss.forces", correction=correction)


def coarser(grid: Grid) -> Grid:
    """The grid that the sum over points is taken on."""
    nx, ny, nz = (max(1, round(n / COARSER)) for n in grid.shape)
    return Grid(grid.cell, (nx, ny, nz))


def write_slopes(snapshot: Snapshot, slopes: Slopes, spec: Spec, seed: int, correction: bool, channel: bool) -> str:
    """Make one snapshot's labels on a worker."""
    system, grid = snapshot.system, coarser(snapshot.system.grid)
    n = torch.as_tensor(stores.read_region(snapshot.path, "density").astype(float, copy=False))
    fixed = explicit_terms(n, system)
    explicit = sum(term.by_position for term in fixed.terms.values())
    # From the snapshot's name, so that other snapshots in the list do not change its displacements.
    displacements = np.random.default_rng([seed, zlib.crc32(snapshot.name.encode())]).normal(
        size=(DIRECTIONS, system.n_atoms, 3)
    )
    forces = datasets.read_forces(Path(snapshot.path))
    assert forces is not None
    targets = -(displacements * (forces + explicit)).sum(axis=(1, 2))
    features, along = described_along(displacements, system, grid, spec)
    potential = centred(fixed.u, n, snapshot, slopes.felt, correction=correction, channel=channel).numpy()
    for axis, size in enumerate(grid.shape):
        # By its Fourier series: u is periodic, and the coarser grid's points lie between those of the finer one.
        potential = scipy.signal.resample(potential, size, axis=axis)
    write_rows(slopes.file("features"), features)
    write_rows(slopes.file("slopes"), along.reshape(-1, spec.n_features))
    write_rows(slopes.file("potential"), potential.reshape(-1, 1).astype(np.float32))
    write_rows(slopes.file("targets"), targets.reshape(-1, 1).astype(np.float32))
    return snapshot.name


def described_along(
    displacements: Array, system: System, grid: Grid, spec: Spec
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Descriptors of a grid's points, (points, features), and their slopes, (directions, points, features)."""
    points = grid.points(next(iter(grid.blocks(grid.shape))))

    def described(positions: Array) -> Array:
        cells = CellList(grid.cell_array, positions, system.numbers, spec.cutoff)
        near = cells.around([0, 0, 0], [1, 1, 1])
        return np.asarray(evaluate(points, near, spec, dtype=torch.float64, threads=1).numpy())

    along = np.empty((len(displacements), len(points), spec.n_features), np.float32)
    for i, v in enumerate(displacements):
        h = _STEP / np.abs(v).max()
        # Central differences: the error is of third order in a step of some 1e-4 Å.
        along[i] = (described(system.positions + h * v) - described(system.positions - h * v)) / (2 * h)
    return described(system.positions).astype(np.float32), along


class ForceLoss:
    """Mean square error of the force components of a snapshot, estimated from its slopes.

    Parameters
    ----------
    labels
        Labels by number of the snapshot.
    weights
        Weights of the LDOS per snapshot, as `Sensitivity.weights` has them: (snapshots, levels, 3).
    inputs, outputs
        Scaling of descriptors, of LDOS and density.
    """

    def __init__(self, labels: Sequence[Slopes], weights: Tensor, inputs: Scaler, outputs: Outputs) -> None:
        self.labels, self.inputs, self.outputs = labels, inputs, outputs
        levels = weights.shape[1]
        linear = outputs.ldos.of_differences.inverse(torch.eye(levels).double())
        per_volume = torch.tensor([s.voxel_volume / s.felt.volume_per_atom for s in labels]).double()
        of_ldos = (linear @ weights * per_volume[:, None, None]).float()  # (snapshots, levels, 3)
        of_energy, of_electrons = of_ldos[..., 2], of_ldos[..., 0]
        if outputs.density is not None:
            voxels = torch.tensor([s.voxel_volume for s in labels])
            of_energy = torch.cat([of_energy, torch.zeros_like(voxels)[:, None]], dim=1)
            of_electrons = torch.zeros_like(of_energy)
            of_electrons[:, -1] = float(outputs.density.scale) * voxels
        self.felt = torch.stack([of_energy, of_electrons], dim=1)  # (snapshots, 2, outputs)

    def __call__(self, network: FeedForward, snapshot: int) -> Tensor:
        """Mean square error of a snapshot, a scalar with a graph, eV²/Å².

        Parameters
        ----------
        network
            Scaled descriptors to scaled LDOS and density.
        snapshot
            Number of the snapshot.
        """
        labels, device = self.labels[snapshot], next(network.parameters()).device
        features, along = labels.read("features", device), labels.read("slopes", device)
        potential, targets = labels.read("potential", device)[:, 0], labels.read("targets", device)[:, 0]
        # [1, u(r)] felt is the derivative of A by the outputs at r, (points, outputs).
        at = torch.stack([torch.ones_like(potential), potential], dim=1)
        felt = self.felt[snapshot].to(device)
        with torch.enable_grad():
            x = self.inputs.transform(features).requires_grad_()
            # The last layer is linear, and of its outputs two sums are felt: it needs no pass over the points.
            by_hidden = at @ (felt @ network.last(x.dtype).T)
            # With its graph: the loss is a function of this gradient, and is differentiated by the weights in turn.
            (gradient,) = torch.autograd.grad(network.hidden(x), x, by_hidden, create_graph=True)
        # Scaled are the gradient and not the slopes, which are many times as many; in float64, for whitened directions
        # differ by orders of magnitude.
        scaling = self.inputs.of_differences.transform(torch.eye(x.shape[1], dtype=torch.float64, device=device))
        by_features = (gradient.double() @ scaling.T).float()
        slopes = along.reshape(len(targets), -1) @ by_features.reshape(-1)
        return (slopes - targets).square().mean() / labels.components
