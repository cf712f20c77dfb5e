"""The snapshots of a training and how they are to be described, found and checked before a worker is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from maladist.datasets.sizes import note_of_sizes
from maladist.datasets.snapshots import Snapshot, check_alike, find_snapshots
from maladist.descriptors import Spec, told_apart
from maladist.elements import Element
from maladist.errors import InputError
from maladist.io.qe.upf import read_pseudopotentials
from maladist.physics.broadening import wide_note
from maladist.physics.energy_zero import fit_energy_zero
from maladist.physics.fermi import use_correction
from maladist.physics.system import check_neutral, valences_of
from maladist.training.config import TrainConfig
from maladist.training.forces import with_forces
from maladist.training.potential import energetic
from maladist.training.samples import number_of_points


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a training learns from, as far as the headers of the data tell.

    Attributes
    ----------
    train, validation
        Snapshots to learn from and to validate on.
    spec
        Descriptor, with all that it needs to tell the data's elements apart.
    energy_zero
        c by element, eV Å³; empty where energies are learnt as they are.
    elements
        Elements with their pseudopotentials, by symbol.
    fields
        Arrays of a snapshot that are learnt: 'ldos', and 'density' where there is a density channel; or this alone.
    correction
        Whether energies are corrected for the broadening.
    notes
        Sentences that the user should read.
    """

    train: list[Snapshot]
    validation: list[Snapshot]
    spec: Spec
    energy_zero: Mapping[str, float]
    elements: Mapping[str, Element]
    fields: tuple[str, ...]
    correction: bool
    notes: tuple[str, ...]


def find_data(config: TrainConfig) -> TrainingData:
    """Find the snapshots of a training and hold them against its configuration.

    Raises
    ------
    InputError
        Data that are not there, cannot be learnt from together, or lack what the configuration asks for.
    """
    data, notes = config.data, list[str]()
    train = find_snapshots(data.train, "data.train")
    validation = find_snapshots(data.validation, "data.validation") if data.validation else []
    check_alike([*train, *validation], "data.validation")
    if both := {s.path for s in train} & {s.path for s in validation}:
        # A note and no error: to see whether a network can learn a few snapshots at all, this is what one does.
        notes.append(f"{len(both)} snapshots are in data.train and in data.validation: {', '.join(sorted(both))}")
    if config.density_channel == "only":
        train, validation = ([s.of_the_density() for s in part] for part in (train, validation))
    # Of the validation too: its descriptors must be those that the training has.
    symbols = sorted({symbol for s in (*train, *validation) for symbol in s.system.symbols})
    spec = _spec(config, train, symbols)
    broad = (wide_note(s.energies, s.temperature) for s in train)
    if said := next(filter(None, broad), ""):
        notes.append(said)
    if said := told_apart(spec, symbols):
        notes.append(said)
    if config.energy_zero and (isolated := train[0].system.assume_isolated):
        came = f"given, where {train[0].name} has assume_isolated = '{isolated}'"
        raise InputError("energy_zero", came, "none: the levels of a slab have no zero of the cell's")
    energy_zero = _energy_zero(config, train, symbols, notes)
    if energy_zero:
        train, validation = _on_local_energies(energy_zero, train, validation)
    # As they are learnt: cells of other volumes have other zeros of energy, which are no fault.
    if said := note_of_sizes((s.system.n_atoms, s.dos) for s in train if s.dos is not None):
        notes.append(said)
    for snapshot in train:
        if (n := number_of_points(data.points, snapshot.system.grid.n_points)) < config.batch.points:
            raise InputError("batch.points", f"{config.batch.points}", f"at most {n}, the points of {snapshot.name}")
    # Decided once, from the data: every weight of the loss and every energy of the validation follows it.
    correction, why = use_correction(config.loss.broadening_correction, train[0].energies)
    if not correction and config.density_channel != "only" and (config.loss.integrals or validation):
        notes.append(f"broadening correction off: {why}")
    elements = {} if data.pseudopotentials is None else read_pseudopotentials(data.pseudopotentials)
    for system in (s.system for s in (*train, *validation)):
        # The model would count electrons by the valences: those of semicore states would be missing.
        if system.n_electrons is not None and (valences := valences_of(system.symbols, elements)) is not None:
            check_neutral(system.n_electrons, valences, "data.pseudopotentials", 0.01)
    if config.early_stopping is not None:
        check_known(config.early_stopping.metric, "early_stopping.metric", config, validation, elements)
    # What would else be found missing on a cluster that was started for it, and after hours of other labels.
    if config.loss.mean_total:
        energetic([*train, *validation], elements, "loss.mean_total", correction=correction)
    if config.loss.forces:
        with_forces(train, elements, correction=correction)
    return TrainingData(
        train,
        validation,
        spec,
        energy_zero,
        elements,
        _fields(config, train, validation),
        correction,
        tuple(notes),
    )


def check_known(
    metric: str, key: str, config: TrainConfig, validation: Sequence[Snapshot], elements: Mapping[str, Element]
) -> None:
    """Refuse a metric that some validation snapshot has no value of: it would never get better.

    Parameters
    ----------
    metric
        'loss', or an error of an energy; see `maladist.training.sections.Metric`.
    key
        Key of the configuration that the metric comes from, for errors.
    config, validation, elements
        Configuration of the training, its validation snapshots and pseudopotentials.

    Raises
    ------
    InputError
        Naming the snapshot and what it lacks.
    """
    for snapshot in validation:
        if metric != "loss" and (lacks := _lacks(metric, snapshot, config.data.validation_points, elements)):
            remedy = "Or take another metric, as loss."
            raise InputError(key, f"{metric}, where {snapshot.name} has no {lacks}", f"{lacks} in all", remedy)


def _lacks(metric: str, snapshot: Snapshot, points: float, elements: Mapping[str, Element]) -> str:
    """What a snapshot lacks that an error of E_b or A needs; nothing where it has all."""
    system, total = replace(snapshot.system, elements=elements), metric.startswith("total_energy")
    from_data = metric.endswith("_from_data")
    # A and n(r) are of the whole cell; E_b can be taken from a part beside the DFT's own D(ε), see validation.py.
    every = number_of_points(points, system.grid.n_points) == system.grid.n_points
    needs = {
        "temperature": bool(system.temperatures),
        "number of electrons": system.n_electrons is not None,
        "energies of the DFT": f"{'total_free' if total else 'band'}_energy_eV" in snapshot.terms
        or (from_data and not total),
        "Fermi level by its own LDOS": not from_data or bool(snapshot.integrals(correction=False)),
        "band energy and entropy of the DFT": not (from_data and total)
        or "total_free_energy" in snapshot.data_error(correction=False),
        "DOS": every or snapshot.dos is not None,
        "validation of all its points (data.validation_points: 1.0)": every or not total,
        "density of the DFT": snapshot.has_density or not total,
        "functional": system.xc is not None or not total,
        "pseudopotentials (data.pseudopotentials)": not total
        or (system.charges is not None and system.functional is not None),
    }
    return next((what for what, there in needs.items() if not there), "")


def _spec(config: TrainConfig, train: Sequence[Snapshot], symbols: Sequence[str]) -> Spec:
    """The configuration's descriptor, or the one that is stored with the data."""
    if config.spec is None:
        first = train[0]
        if first.stored is None:
            wanted = "a descriptor's family and fields, as {family: bispectrum, twojmax: 10, cutoff: 4.67637}"
            raise InputError("descriptor", f"none, and none is stored with {first.name}", wanted)
        return first.stored
    try:
        return config.spec.for_elements(symbols)
    except InputError as error:
        raise InputError(f"descriptor.{error.argument}", error.came, error.wanted, error.remedy) from None


def _energy_zero(
    config: TrainConfig, train: Sequence[Snapshot], symbols: Sequence[str], notes: list[str]
) -> dict[str, float]:
    """Zeros c by element, eV Å³, as they are given, or fitted to the training's D(ε)."""
    if config.energy_zero != "fit":
        if config.energy_zero and (missing := sorted(set(symbols) - set(config.energy_zero))):
            raise InputError("energy_zero", f"none for {', '.join(missing)}", "one for every element of the data")
        return dict(config.energy_zero)
    if without := [s.name for s in train if s.dos is None]:
        raise InputError("energy_zero", f"fit, where {without[0]} has no DOS", "snapshots that hold their DOS")
    dos = np.array([s.dos for s in train])
    cells = [s.system.symbols for s in train]
    fitted = fit_energy_zero(dos, train[0].energies, cells, [s.system.grid.volume for s in train])
    told = ", ".join(f"{symbol} {c:.1f}" for symbol, c in fitted.items())
    notes.append(f"energy_zero fitted to {len(train)} snapshots: {told} eV Å³")
    return fitted


def _on_local_energies(
    energy_zero: Mapping[str, float], train: list[Snapshot], validation: list[Snapshot]
) -> tuple[list[Snapshot], list[Snapshot]]:
    """Snapshots without their cells' zeros of energy, on the window that fits the training's cells on average."""
    on_disk = train[0].energies
    # Of the training alone: the validation must not decide what is learnt.
    mean = float(np.mean([s.zero_of(energy_zero) for s in train]))
    local = on_disk.shifted(-mean)
    here, there = ([s.on_local_energies(energy_zero, local) for s in part] for part in (train, validation))
    return here, there


def _fields(config: TrainConfig, train: list[Snapshot], validation: list[Snapshot]) -> tuple[str, ...]:
    """What is learnt of each snapshot; refuses a density channel that some snapshot has no density for."""
    without = [s.name for s in (*train, *validation) if not s.has_density]
    if config.density_channel in ("on", "only") and without:
        came = (
            f"'{config.density_channel}', where {without[0]} and {len(without) - 1} more hold no density"
            if without[1:]
            else without[0]
        )
        raise InputError("density_channel", came, "snapshots that hold the DFT's density", "Or density_channel: 'off'.")
    if config.density_channel == "only":
        return ("density",)
    return ("ldos",) if config.density_channel == "off" or without else ("ldos", "density")
