"""Small systems, named tolerances and faults to inject: what the project's own tests use, for those of others too.

`tiny_model` is a network with random weights, of no physical meaning, whose LDOS is positive and holds more electrons
in its window than Be has, so that `predict` runs from end to end in about a second. `FaultySpec` is the bispectrum with
an accident; a worker must know it: start workers with ``--preload maladist.testing`` (``preload="maladist.testing"`` of
a LocalCluster, or in the YAML of a cluster).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Unpack

import numpy as np
import torch
from ase import Atoms
from distributed import Client

from maladist.descriptors import BispectrumSpec
from maladist.descriptors.spec import Kernel, Request, Spec
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Scaler
from maladist.parallel.here import Runner
from maladist.parallel.progress import Finished, Silent
from maladist.prediction.options import Options
from maladist.prediction.predict import predict
from maladist.prediction.result import Prediction


class Listener(Silent):
    """An observer that keeps what it is told: stages as (name, total, done), finished tasks, and notes."""

    def __init__(self) -> None:
        self.work: list[str] = []
        self.stages: list[tuple[str, int, int]] = []
        self.tasks: list[Any] = []
        self.notes: list[str] = []

    def begin(self, client: Runner, work: str) -> None:
        """Keep what there is to do."""
        self.work.append(f"{work} on {len(client.nthreads())} workers")

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Keep a stage."""
        self.stages.append((name, total, done))

    def advance(self, task: Finished) -> None:
        """Keep a finished task."""
        self.tasks.append(task)

    def note(self, text: str) -> None:
        """Keep a note."""
        self.notes.append(text)


RECUT: Final = 1e-10
"""Largest difference of a field relative to its largest value, between two ways to cut the same float64 run."""

RECUT_ENERGY: Final = 1e-9
"""The same for an energy of a small cell, eV."""

SINGLE: Final = 1e-5
"""The same between float32 and float64: descriptors carry 1e-6, the random network amplifies it by less than ten."""

SINGLE_ENERGY: Final = 1e-4
"""The same for an energy, eV."""


def be_atoms(repeat: tuple[int, int, int] = (1, 1, 1)) -> Atoms:
    """Two Be atoms in a strained triclinic cell, one of them outside of it; or a supercell of that."""
    cell = [[2.3, 0.05, 0.0], [-1.1, 2.0, 0.1], [0.1, -0.2, 3.6]]
    one = Atoms("Be2", scaled_positions=[[0.33, 0.70, 0.24], [1.66, 0.31, 0.77]], cell=cell, pbc=True)
    return one if repeat == (1, 1, 1) else one * repeat


def be_element() -> Element:
    """Be with two valence electrons and a made-up core charge of two electrons, a Gaussian of width 0.25 Å."""
    r = np.linspace(0.0, 5.5, 551)
    core = 2.0 * (2 * np.pi * 0.25**2) ** -1.5 * np.exp(-(r**2) / (2 * 0.25**2))
    rab = np.full_like(r, r[1])
    return Element("Be", 2.0, "Be.made-up", core_radii=r, core_rab=rab, core_density=core, xc="pbe")


def sic_elements() -> dict[str, Element]:
    """Si and C of the LDA pseudopotentials that tests/data/temperatures.zarr.zip was made with: no core charges."""
    names = {"Si": "Si.pz-vbc.UPF", "C": "C.UPF"}
    return {symbol: Element(symbol, 4.0, name, xc="pz") for symbol, name in names.items()}


def tiny_model(
    seed: int = 0, twojmax: int = 4, levels: int = 41, width: int = 16, spec: Spec | None = None
) -> LDOSModel:
    """A model with random weights: positive LDOS, the Fermi level of Be inside of its window, fast.

    Parameters
    ----------
    seed
        Seed of the weights.
    twojmax
        Band limit of the bispectrum.
    levels
        Number of levels of the energy grid from −5 to 11.4 eV.
    width
        Width of the hidden layer.
    spec
        Descriptor in place of the bispectrum, with as many features; for instance a `FaultySpec`.

    Returns
    -------
    LDOSModel
        Model of Be, PBE, 2000 K; a grid spacing of 0.19 Å.
    """
    spec = BispectrumSpec(twojmax=twojmax, cutoff=3.5) if spec is None else spec
    generator = torch.Generator().manual_seed(seed)
    network = FeedForward([spec.n_features, width, levels], ["Tanh"])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3, generator=generator)
        # A bias that keeps the LDOS positive and the window full of electrons, whatever the other weights.
        list(network.parameters())[-1].add_(2.0)
    features = torch.full((spec.n_features,), 30.0, dtype=torch.float64)
    return LDOSModel(
        network=network.eval(),
        input_scaler=Scaler("standard", True, shift=features, scale=features * 2),
        output_scaler=Scaler("minmax", False, torch.zeros(1).double(), torch.full((1,), 0.05).double()),
        descriptor=spec,
        energy_grid=EnergyGrid(-5.0, 16.4 / levels, levels, "gaussian", 0.2),
        elements={"Be": be_element()},
        xc="pbe",
        temperature=2000.0,
        spacing=(0.19, 0.19, 0.19),
        density_cutoff=400.0,
        restrict="absolute_values",
    )


def with_density_channel(model: LDOSModel) -> LDOSModel:
    """The model with one output more, a density near that of two electrons an atom of Be."""
    network = model.network
    assert isinstance(network, FeedForward)
    generator = torch.Generator().manual_seed(5)
    weights = {name: w.clone() for name, w in network.state_dict().items()}
    last = max(int(name.split(".")[1]) for name in weights if name.startswith("linear."))
    row = 0.3 * torch.randn(1, weights[f"linear.{last}.weight"].shape[1], generator=generator)
    weights[f"linear.{last}.weight"] = torch.cat([weights[f"linear.{last}.weight"], row])
    weights[f"linear.{last}.bias"] = torch.cat([weights[f"linear.{last}.bias"], torch.zeros(1)])
    sizes = [*network.layer_sizes[:-1], network.layer_sizes[-1] + 1]
    more = FeedForward(sizes, network.activation_names)
    more.load_state_dict(weights)
    scaler = Scaler("standard", False, torch.full((1,), 0.25).double(), torch.full((1,), 0.05).double())
    return replace(model, network=more.eval(), density_scaler=scaler)


@dataclass(frozen=True)
class FaultySpec(Spec):
    """The bispectrum, with accidents on the way; its values are those of `BispectrumSpec`, to the bit.

    Attributes
    ----------
    cutoff, twojmax
        Cutoff and band limit of the bispectrum.
    seconds
        Time slept for every thousand points.
    at
        Point of the grid (Å) at which the accident happens: ``accident`` is one of 'raise' and 'eat'; 'eat' allocates
        ``gigabytes`` of memory, writes to them and holds them for a while.
    once
        File that marks that it has happened; empty for an accident that happens every time.
    backwards
        Whether it happens, and time is slept, only where a kernel is differentiated: in the pass of the forces.
    """

    family: ClassVar[str] = "faulty"

    cutoff: float = 3.5
    twojmax: int = 4
    seconds: float = 0.0
    at: tuple[float, ...] = ()
    accident: str = "raise"
    gigabytes: float = 0.0
    once: str = ""
    backwards: bool = False

    @property
    def _inner(self) -> BispectrumSpec:
        return BispectrumSpec(twojmax=self.twojmax, cutoff=self.cutoff)

    @property
    def n_features(self) -> int:
        """Number of components of the bispectrum."""
        return self._inner.n_features

    def kernels(self) -> Mapping[str, Kernel]:
        """Those of the bispectrum, each after the accident."""
        return {name: self._after(kernel) for name, kernel in self._inner.kernels().items()}

    def _after(self, kernel: Kernel) -> Kernel:
        def late(request: Request) -> torch.Tensor:
            if self.backwards and not request.wants_gradient:
                return kernel(request)
            time.sleep(self.seconds * len(request.points) / 1000)
            if len(self.at) == 3 and bool((np.abs(request.points - np.array(self.at)).max(axis=1) < 1e-6).any()):
                self._happen()
            return kernel(request)

        return late

    def _happen(self) -> None:
        if self.once:
            if Path(self.once).exists():
                return
            Path(self.once).touch()
        if self.accident == "raise":
            # None of our own errors: what a broken kernel raises is not foreseen either.
            raise ArithmeticError("made to fail here")
        # Not zeroed: the system gives memory only where it is written to.
        eaten = np.empty(int(self.gigabytes * 2**30), np.uint8)
        for part in np.array_split(eaten, 64):  # not at once: Dask's nanny looks every 0.1 s
            part[:] = 1
            time.sleep(0.05)
        time.sleep(2.0)


def assert_same(a: Prediction, b: Prediction, relative: float = RECUT, energy: float = RECUT_ENERGY) -> None:
    """Hold two predictions of one cell against each other: density, DOS, Fermi level and every term of the energy."""
    for name in ("density", "dos"):
        x, y = np.asarray(a.dataset[name]), np.asarray(b.dataset[name])
        off = np.abs(x - y).max() / np.abs(y).max()
        assert off <= relative, f"{name} differs by {off:.1e} of its largest value, not {relative:.0e}"
    assert abs(a.fermi_energy - b.fermi_energy) <= energy, "the Fermi level differs"
    for (name, e), (_, f) in zip(a.energies, b.energies, strict=True):
        assert (e is None) == (f is None), f"{name}: {e} and {f}"
        assert e is None or f is None or abs(e - f) <= energy, f"{name}: {e} and {f} eV"


def assert_identical(a: Prediction, b: Prediction) -> None:
    """Demand that every number of two predictions has the same bits."""
    for name in a.dataset.data_vars:
        np.testing.assert_array_equal(np.asarray(a.dataset[name]), np.asarray(b.dataset[name]), err_msg=str(name))


def assert_block_invariant(atoms: Atoms, model: LDOSModel, client: Client, **options: Unpack[Options]) -> Prediction:
    """Demand that a run in many blocks gives what one block gives, in float64; returns the run in many blocks.

    The options are those of `predict`; the many blocks are of 5×4×7 points where none of them says ``chunks``.
    """
    in_many: Options = {"chunks": (5, 4, 7), **options, "precision": "float64"}
    in_one: Options = {**in_many, "chunks": (10**6,) * 3}
    whole = predict(atoms, model, client=client, **in_one)
    many = predict(atoms, model, client=client, **in_many)
    assert whole.dataset.attrs["blocks"] == 1 < many.dataset.attrs["blocks"]
    assert_same(many, whole)
    return many


def with_accident(model: LDOSModel, **accident: Any) -> LDOSModel:
    """Copy of a bispectrum model that computes the same numbers after an accident: see `FaultySpec`."""
    spec = model.descriptor
    assert isinstance(spec, BispectrumSpec)
    return replace(model, descriptor=FaultySpec(cutoff=spec.cutoff, twojmax=spec.twojmax, **accident))
