"""The snapshots of a training: found by patterns, held against one another, with what the DFT says of each."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr

from maladist import metadata, schema
from maladist.arrays import Array
from maladist.descriptors import Spec, spec_from_dict
from maladist.energy_grid import NO_ENERGIES, EnergyGrid
from maladist.errors import EnergyWindowError, InputError, StoreError
from maladist.io import datasets, stores
from maladist.io.opening import open_dataset
from maladist.learning.loss import Sensitivity
from maladist.physics.energy_zero import resampling, zero_of_energy
from maladist.physics.fermi import fermi_states
from maladist.physics.system import System


@dataclass(frozen=True)
class Snapshot:
    """A snapshot's metadata; its fields stay on disk.

    Attributes
    ----------
    path
        Path of its group.
    system
        The cell and what the DFT did with it, as far as the data tell; without pseudopotentials.
    energies
        Energy grid that the LDOS is learnt on, the same for all snapshots of a training.
    zero
        Zero of energy of the cell, eV: what energies here lack of those on disk, see `maladist.physics.energy_zero`.
        ``terms`` and ``dos`` are without it too.
    resampling
        (levels on disk, levels) matrix from the LDOS on disk to that on ``energies``; None where they are the same.
    chunks
        Numbers of points of a chunk of the LDOS on disk, along each axis.
    stored
        Descriptor whose values are stored with it, if any.
    terms
        Scalars of the DFT by name (``band_energy_eV`` ...).
    dos
        D(ε), 1/eV; None where it is not stored.
    has_density
        Whether the DFT's n(r) is stored.
    has_forces
        Whether its reference holds the DFT's forces.
    potential
        File of the potential of the double counting on its grid, where a training's loss needs it; else empty.
    """

    path: str
    system: System
    energies: EnergyGrid
    zero: float
    resampling: npt.NDArray[np.float32] | None
    chunks: tuple[int, int, int]
    stored: Spec | None
    terms: Mapping[str, float]
    dos: Array | None
    has_density: bool
    has_forces: bool
    potential: str = ""

    @property
    def name(self) -> str:
        """Name in its data set."""
        return Path(self.path).name

    @property
    def temperature(self) -> float | None:
        """Temperature of the electrons, K; None where it is not known."""
        return self.system.temperatures[0] if self.system.temperatures else None

    def sensitivity(self, *, correction: bool) -> Sensitivity | None:
        """What N and E_b feel of the LDOS, at the DFT's μ, or at that of its D(ε); None where neither is known."""
        if self.temperature is None:
            return None
        # The DFT's own first; that of the D(ε) differs by what the broadening does.
        mu = self.terms.get("fermi_energy_eV")
        if mu is None:
            if self.dos is None or self.system.n_electrons is None:
                return None
            corrected = replace(self.system, correction=correction)
            mu = fermi_states(torch.as_tensor(self.dos), self.energies, corrected)[0].fermi_energy
        return Sensitivity(self.system.grid.volume / self.system.n_atoms, float(mu), self.temperature)

    def integrals(self, *, correction: bool) -> dict[str, float]:
        """Energies that D(ε) of the data gives, eV: E_b and −TS by the names of the data contract, as MALA takes them.

        Empty where the data hold no D(ε), temperature or number of electrons, or their window lacks the Fermi level.
        """
        system = replace(self.system, correction=correction)
        if self.dos is None or system.n_electrons is None or not system.temperatures:
            return {}
        dos = torch.as_tensor(self.dos)
        try:
            state = fermi_states(dos, self.energies, system)[0]
        except EnergyWindowError:
            return {}
        band, entropy = state.band_energy(dos, system.n_electrons), state.entropy_contribution(dos)
        return {"band_energy_eV": band, "entropy_contribution_eV": entropy}

    def data_error(self, *, correction: bool) -> dict[str, float]:
        """Energies that the data's own LDOS gives less the DFT's, eV/atom; empty where the data do not tell.

        By the names of the data contract without their unit. A at the DFT's density differs by what E_b and −TS do.
        """
        given, terms = self.integrals(correction=correction), self.terms
        found = {k.removesuffix("_eV"): (v - terms[k]) / self.system.n_atoms for k, v in given.items() if k in terms}
        if found and len(found) == len(given):
            found["total_free_energy"] = sum(found.values())
        return found

    def of_the_density(self) -> Snapshot:
        """The snapshot without its LDOS, for a model of the density alone."""
        return replace(self, energies=NO_ENERGIES, resampling=None, dos=None)

    def on_local_energies(self, energy_zero: Mapping[str, float], energies: EnergyGrid) -> Snapshot:
        """The snapshot with the cell's zero of energy taken out.

        Parameters
        ----------
        energy_zero
            c by element, eV Å³.
        energies
            Energy grid that it is to be learnt on.
        """
        zero = self.zero_of(energy_zero)
        on_disk = self.energies.shifted(-zero)
        matrix = resampling(on_disk, energies).numpy()
        n_electrons = self.system.n_electrons
        # How each term moves with the energies' zero; those of the density and the ions do not.
        felt = {"fermi_energy_eV": 1.0, "band_energy_eV": n_electrons, "total_free_energy_eV": n_electrons}
        moved = {k: v - zero * n if (n := felt.get(k, 0.0)) is not None else math.nan for k, v in self.terms.items()}
        terms = {k: v for k, v in moved.items() if math.isfinite(v)}
        dos = None if self.dos is None else self.dos @ matrix
        return replace(self, energies=energies, zero=zero, resampling=matrix.astype(np.float32), terms=terms, dos=dos)

    def zero_of(self, energy_zero: Mapping[str, float]) -> float:
        """Zero of energy of the cell, eV."""
        return zero_of_energy(energy_zero, self.system.symbols, self.system.grid.volume)

    @classmethod
    def read(cls, group: Path) -> Snapshot:
        """Read a snapshot's metadata.

        Raises
        ------
        StoreError
            The group is unfinished or breaks the data contract.
        """
        dataset = open_dataset(group)
        schema.validate(dataset, ("ldos", "energy", "position", "number", "cell"), str(group))
        spec, reference = dataset.attrs.get("descriptor_spec"), datasets.read_reference(group)
        return cls(
            path=str(group),
            system=metadata.read_system(dataset, {}, source=str(group)),
            energies=metadata.energy_grid_of(dataset),
            zero=0.0,
            resampling=None,
            chunks=_chunks(dataset),
            stored=spec_from_dict(spec) if spec is not None and "descriptors" in dataset else None,
            terms=datasets.reference_terms(reference),
            dos=np.asarray(dataset["dos"].values, dtype=float) if "dos" in dataset else None,
            has_density="density" in dataset,
            has_forces=reference is not None and "forces" in reference,
        )


def _chunks(dataset: xr.Dataset) -> tuple[int, int, int]:
    field = dataset["ldos"]
    if field.dims != ("x", "y", "z", "energy"):
        raise StoreError("ldos", f"dims {field.dims}", "('x', 'y', 'z', 'energy')")
    # A snapshot in memory has no chunks: it is one.
    x, y, z, _ = field.encoding.get("chunks") or field.shape
    return (int(x), int(y), int(z))


def find_snapshots(patterns: Sequence[str], key: str) -> list[Snapshot]:
    """Snapshots of data sets, of groups, or of patterns of either, by path, each once.

    Parameters
    ----------
    key
        Key of the configuration that the patterns come from, for errors.

    Raises
    ------
    InputError
        A pattern matches nothing, or snapshots cannot be learnt from together.
    """
    # A dict keeps each group once and their order, whichever patterns overlap.
    groups: dict[Path, None] = {}
    for pattern in patterns:
        # Sorted: a file system lists in any order, and the seed of a training must find the same first snapshot.
        matches = sorted(glob.glob(pattern))  # noqa: PTH207  (absolute patterns too)
        # A snapshot that is being written by another run is not learnt from, and not an error.
        complete = [Path(m).resolve() for m in matches if not _unfinished(Path(m))]
        if not complete:
            came = f"{pattern}, which {'matches nothing finished' if matches else 'matches nothing'}"
            raise InputError(key, came, "data sets or finished snapshots")
        for path in complete:
            groups |= dict.fromkeys(datasets.snapshot_groups(path))
    snapshots = [Snapshot.read(group) for group in sorted(groups)]
    check_alike(snapshots, key)
    return snapshots


def _unfinished(path: Path) -> bool:
    """Whether a path is a snapshot that is being made; a data set answers for its own."""
    return path.parent.name == datasets.SNAPSHOTS and not stores.is_complete(path)


def check_alike(snapshots: Sequence[Snapshot], key: str) -> None:
    """Refuse snapshots whose LDOS have different energies, or that the DFT is known to have treated differently.

    What a snapshot does not tell, as one that was converted without its pseudopotentials, speaks against no other.
    """
    questions: dict[str, Callable[[Snapshot], object]] = {
        "an energy grid": lambda s: s.energies,
        "a functional": lambda s: s.system.xc,
        "a density cutoff": lambda s: s.system.density_cutoff,
        "assume_isolated": lambda s: s.system.assume_isolated or "none",
    }
    for what, answer in questions.items():
        known = [(s.name, told) for s in snapshots if (told := answer(s)) is not None]
        # What the first tells is what the others are held against.
        for name, told in known[1:]:
            if told != known[0][1]:
                raise InputError(key, f"{name} with {what} {told}", f"{known[0][1]}, as {known[0][0]} has")
