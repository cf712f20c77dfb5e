"""A data set held against the DFT that it came from, and the likely reason where it does not hold (see `traps`)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from distributed import Client

from maladist import metadata
from maladist.arrays import Array
from maladist.choices import CorrectionMode
from maladist.cluster import client_or_local
from maladist.datasets.other_physics import signs_of_other_physics
from maladist.datasets.sizes import note_of_sizes
from maladist.datasets.traps import likely_reasons
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.errors import (
    AccuracyWarning,
    ClusterError,
    DependencyError,
    EnergyWindowError,
    InputError,
    PhysicsError,
)
from maladist.io import datasets
from maladist.io.opening import open_dataset
from maladist.io.qe.upf import elements_of
from maladist.parallel.progress import Finished, Observer, Silent
from maladist.physics.broadening import wide_note
from maladist.physics.fermi import number_weights, use_correction
from maladist.prediction.observe import observe
from maladist.prediction.result import Prediction
from maladist.units import BOLTZMANN


@dataclass(frozen=True)
class Tolerances:
    """What is still good.

    Attributes
    ----------
    energy
        Tolerance of A, of the band energy and of −TS, meV/atom.
    density
        Tolerance of mean |Δn| / mean n.
    electrons
        Relative tolerance of N at the DFT's Fermi level.
    """

    energy: float = 1.0
    density: float = 0.005
    electrons: float = 0.01


@dataclass(frozen=True)
class Figures:
    """Figures of one snapshot, with the broadening correction either on or off.

    Attributes
    ----------
    electrons
        N from the LDOS at the DFT's Fermi level; None where the DFT's is not known.
    fermi_shift
        Self-consistent Fermi level minus the DFT's, meV.
    density
        Mean |Δn| / mean n of the density from the LDOS; None where there is no DFT density.
    terms
        Differences from the DFT, meV/atom, by the names of the data contract without ``_eV``; those that need a density
        with the DFT's, where it is there.
    terms_of_ldos
        The same with the density from the LDOS; empty where there is no DFT density.
    """

    electrons: float | None
    fermi_shift: float | None
    density: float | None
    terms: dict[str, float]
    terms_of_ldos: dict[str, float]


@dataclass(frozen=True)
class Checked(Finished):
    """A snapshot's figures by correction, 'off' and, where the kernel is known, 'on'; and what is wrong with it.

    One that cannot be checked has no figures, and ``failures`` tell why.
    ``remarks`` tell what does not fail the data, but those who do without the density of the DFT; ``broad``, that the
    broadening is much wider than k_BT.
    """

    name: str
    n_electrons: float | None
    energies: EnergyGrid | None
    figures: Mapping[str, Figures]
    failures: tuple[str, ...]
    reasons: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    broad: str = ""

    @property
    def good(self) -> bool:
        """Whether every tolerance is met."""
        return not self.failures


def check(
    data: str | Path,
    *,
    pseudopotentials: str | Path | Mapping[str, Element] | None = None,
    tolerances: Tolerances | None = None,
    client: Client | None = None,
    observer: Observer | None = None,
) -> list[Checked]:
    """Hold every snapshot of a data set, or one snapshot, against its reference.

    Parameters
    ----------
    data
        Data set or group of a snapshot.
    pseudopotentials
        Folder of UPF files, or elements by symbol; without them A and the terms that need the core charge are not
        compared.
    tolerances
        Tolerances of what is still good.
    client
        Client whose workers compute; a local cluster where None.
    observer
        Observer that is told of the snapshots; nobody where None.

    Raises
    ------
    InputError
        There is no data set, or it breaks the data contract.

    Examples
    --------
    >>> with maladist.cluster("local", workers=1) as client:
    ...     checked = maladist.check("be.zarr", pseudopotentials="upf", client=client)
    >>> [one.good for one in checked]
    [True, True, True, True, True]
    """
    groups = datasets.snapshot_groups(Path(data))
    elements = None if pseudopotentials is None else elements_of(pseudopotentials)
    observer, checked = observer or Silent(), list[Checked]()
    with client_or_local(client) as connected:
        observer.begin(connected, f"{len(groups)} snapshots")
        observer.stage("snapshots", len(groups))
        for group in groups:
            checked.append(_check_or_say_why(group, elements, tolerances or Tolerances(), connected))
            observer.advance(checked[-1])
        if broad := next((one.broad for one in checked if one.broad), ""):
            observer.note(broad)
        if apart := note_of_sizes(_densities_of_states(groups, checked)):
            observer.note(apart)
    return checked


def _densities_of_states(groups: Sequence[Path], checked: Sequence[Checked]) -> Iterator[tuple[int, Array]]:
    """Number of atoms and D(ε) of the snapshots that could be checked, on the energies of the first of them."""
    known = [(group, one.energies) for group, one in zip(groups, checked, strict=True) if one.energies is not None]
    for group, energies in known:
        dataset = open_dataset(group)
        if energies == known[0][1] and "dos" in dataset:
            yield dataset.sizes["atom"], dataset["dos"].values


def _check_or_say_why(
    group: Path, elements: Mapping[str, Element] | None, tolerances: Tolerances, client: Client
) -> Checked:
    """A snapshot that cannot be checked is a failure of its own: the others are checked all the same."""
    try:
        return _check(group, elements, tolerances, client)
    except (ClusterError, DependencyError):
        raise
    except InputError as error:
        return Checked(group.name, None, None, {}, (f"cannot be checked: {error}",), ())


def _check(group: Path, elements: Mapping[str, Element] | None, tolerances: Tolerances, client: Client) -> Checked:
    dataset, reference = open_dataset(group), datasets.read_reference(group)
    energies, terms = metadata.energy_grid_of(dataset), datasets.reference_terms(reference)
    # Both where the kernel is known: the table shows what the correction is worth.
    modes = ["off"] if energies.variance is None else ["off", "on"]
    figures, lost, named = {}, "", False
    for mode in modes:
        try:
            figures[mode] = _figures(group, dataset, terms, elements, mode == "on", client)
        except (EnergyWindowError, PhysicsError) as error:
            lost, named = str(error), isinstance(error, PhysicsError)
    # What `predict` would do with these data is what they are judged by.
    trusted = "on" if "on" in figures and use_correction("auto", energies)[0] else "off"
    # NaN where nothing tells: comparisons with it are then no failures.
    n_electrons = float(dataset.attrs.get("n_electrons", np.nan))
    failures = (lost,) if lost else _failures(figures[trusted], n_electrons, tolerances)
    reasons = likely_reasons(dataset, reference, terms, energies) if failures else ()
    if failures and not lost:
        reasons += signs_of_other_physics(figures[trusted].terms, terms, dataset.attrs)
    of_density = () if lost else _of_the_density(figures[trusted], tolerances, energies, dataset)
    if failures and "density" not in dataset:
        reasons, of_density = (*reasons, *of_density), ()
    if failures and not reasons and not named:
        reasons = ("none of the known traps: compare the k-points and cutoffs of the two calculations",)
    broad = wide_note(energies, float(dataset.attrs["temperature_K"]))
    return Checked(group.name, n_electrons, energies, figures, failures, reasons, of_density, broad)


def _figures(
    group: Path,
    dataset: xr.Dataset,
    terms: Mapping[str, float],
    elements: Mapping[str, Element] | None,
    correction: bool,
    client: Client,
) -> Figures:
    mode: CorrectionMode = "on" if correction else "off"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccuracyWarning)
        found = observe(group, pseudopotentials=elements, broadening_correction=mode, client=client)
        # Once more with the density from the LDOS: the difference of the two is what the broadening does to n(r).
        own = observe(
            group, pseudopotentials=elements, broadening_correction=mode, double_counting="ldos", client=client
        )
    mu, electrons, shift = terms.get("fermi_energy_eV"), None, None
    if mu is not None:
        weights = number_weights(
            metadata.energy_grid_of(dataset), mu, float(dataset.attrs["temperature_K"]), correction=correction
        )
        electrons = float(weights @ torch.as_tensor(found.dos.values.copy()))
        shift = 1e3 * (found.fermi_energy - mu)
    density = None
    if "density" in dataset:
        dft, ours = dataset["density"].values, own.density.values
        density = float(np.abs(ours - dft).mean() / dft.mean())
    of_ldos = _differences(own, terms) if density is not None else {}
    return Figures(electrons, shift, density, _differences(found, terms), of_ldos)


def _differences(found: Prediction, terms: Mapping[str, float]) -> dict[str, float]:
    """Energies less those of the DFT, meV/atom."""
    return {
        name.removesuffix("_eV"): 1e3 * (value - terms[name]) / found.dataset.sizes["atom"]
        for name, value in found.energies
        if value is not None and name in terms
    }


def _of_the_density(
    figures: Figures, tolerances: Tolerances, energies: EnergyGrid, dataset: xr.Dataset
) -> tuple[str, ...]:
    """Whether A is off for no other reason than the density from the LDOS."""
    of_ldos = (figures.terms_of_ldos or figures.terms).get("total_free_energy", 0.0)
    others = [figures.terms.get(name, 0.0) for name in ("band_energy", "entropy_contribution")]
    if figures.terms_of_ldos:
        others.append(figures.terms.get("total_free_energy", 0.0))
    if abs(of_ldos) <= tolerances.energy or max(map(abs, others)) > tolerances.energy:
        return ()
    broad = energies.width / (BOLTZMANN * float(dataset.attrs["temperature_K"]))
    return (
        f"A off by {of_ldos:+.2f} meV/atom with the density from the broadened LDOS (δ is {broad:.1f} k_BT); use the"
        " density of the DFT",
    )


def _failures(figures: Figures, n_electrons: float, tolerances: Tolerances) -> tuple[str, ...]:
    failures = []
    for name in ("total_free_energy", "band_energy", "entropy_contribution"):
        if abs(energy := figures.terms.get(name, 0.0)) > tolerances.energy:
            failures.append(f"{name.replace('_', ' ')} off by {energy:+.3f} meV/atom (tolerance {tolerances.energy:g})")
    if figures.density is not None and figures.density > tolerances.density:
        failures.append(f"density off by {figures.density:.2%} (tolerance {tolerances.density:.2%})")
    if figures.electrons is not None and abs(figures.electrons / n_electrons - 1) > tolerances.electrons:
        failures.append(
            f"{figures.electrons:.4f} electrons at the DFT's Fermi level, not {n_electrons:g}"
            f" (tolerance {tolerances.electrons:.1%})"
        )
    return tuple(failures)
