"""A model held against DFT on snapshots: predicted on each snapshot's own grid, compared block by block on the workers.

The predicted LDOS is kept in a temporary store on disk until its blocks are compared with the data's; neither is ever
whole in memory. Where the model has a zero of energy, the data's LDOS is taken to the model's energies in that cell,
and the levels that lie inside of the data's window are compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Unpack

import numpy as np
import torch
import xarray as xr
from distributed import Client

from maladist import metadata, schema
from maladist.arrays import Array
from maladist.cluster import client_or_local
from maladist.datasets.snapshots import Snapshot, find_snapshots
from maladist.energy_grid import EnergyGrid
from maladist.errors import AccuracyWarning, InputError, PhysicsError
from maladist.evaluation.comparison import Levels, compare
from maladist.evaluation.statistics import Evaluated
from maladist.io import datasets
from maladist.io.model_file import load_model
from maladist.io.qe.upf import read_pseudopotentials
from maladist.learning.model import LDOSModel
from maladist.parallel.progress import Observer, Silent
from maladist.physics.energies import ion_energy
from maladist.physics.energy_zero import resampling
from maladist.physics.fermi import number_weights
from maladist.prediction.options import Chunks, NumericsOptions, check_chunks
from maladist.prediction.predict import predict
from maladist.prediction.result import Prediction, discard, temporary_store
from maladist.prediction.setup import known_elements

_AT_ONCE: Final = 2  # snapshots under way: the workers have blocks while the client solves for a Fermi level


def evaluate(
    model: LDOSModel | str | Path,
    data: str | Path | Sequence[str | Path],
    *,
    client: Client | None = None,
    pseudopotentials: str | Path | None = None,
    chunks: Chunks = "auto",
    spread: bool = False,
    forces: bool = True,
    observer: Observer | None = None,
    **numerics: Unpack[NumericsOptions],
) -> list[Evaluated]:
    """Errors of a model on every snapshot of some data.

    Parameters
    ----------
    model
        A model, or a path of a model file or of a zip that MALA wrote.
    data
        A data set, a snapshot, a pattern of either (``be.zarr/snapshots/test-*``), or several.
    client
        Client whose workers compute; a local cluster where None.
    pseudopotentials
        Folder of UPF files, where the model does not tell valence and core charge: without them A is not compared.
    chunks
        Points of a block, as in `predict`.
    spread
        Also predict with every member of an ensemble; how far they are apart goes beside the errors.
    forces
        Whether forces and stress are compared too, where the data hold the DFT's.
    observer
        Observer that is told how many snapshots there are, and of each that is done; nobody where None.
    numerics
        Backend, device and precision as in `predict`.

    Returns
    -------
    list of Evaluated
        Errors of each snapshot, in the order of the snapshots' paths.

    Raises
    ------
    InputError
        No data match, or they lack a reference, or have other elements or energies than the model.

    Examples
    --------
    >>> with maladist.cluster("local", workers=1) as client:
    ...     model = maladist.train(maladist.TrainConfig.read("train.yaml"), "trained", client=client)
    ...     found = maladist.evaluate(model, "be.zarr/snapshots/valid-0", client=client)
    >>> found[0].n_atoms
    2
    """
    # Read once for all snapshots.
    model = model if isinstance(model, LDOSModel) else load_model(model)
    if pseudopotentials is not None:
        model = model.with_pseudopotentials(read_pseudopotentials(pseudopotentials))
    model.need_ldos("energies to evaluate; train tells the error of its density on data.validation")
    patterns = [str(data)] if isinstance(data, str | Path) else [str(d) for d in data]
    snapshots = find_snapshots(patterns, "data")
    for snapshot in snapshots:
        _check(snapshot, model)
    check_chunks(chunks)
    with client_or_local(client) as connected, ThreadPoolExecutor(_AT_ONCE) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore", AccuracyWarning)  # a poor model is what this is to find
        observer, errors = observer or Silent(), []
        observer.begin(connected, f"{len(snapshots)} snapshots")
        observer.stage("snapshots", len(snapshots))
        for one in pool.map(lambda s: _evaluate(s, model, connected, chunks, spread, forces, numerics), snapshots):
            errors.append(one)
            if one.forces_refused:
                observer.note(f"{one.name}: no forces and stress are compared: {one.forces_refused}")
            observer.advance(one)
        if n := sum(one.stress_against == "stress" for one in errors):
            observer.note(
                f"the stress of {n} of {len(errors)} snapshots is that at a fixed number of plane waves, the model's"
                " that at a fixed cutoff: they differ by Pulay's stress, which maladist dft takes off"
            )
        return errors


def _check(snapshot: Snapshot, model: LDOSModel) -> None:
    """Refuse, before anything is computed, a snapshot that the model cannot be held against."""
    name, known = snapshot.name, known_elements(model)
    if known is not None and (unknown := sorted(set(snapshot.system.symbols) - known)):
        raise InputError(
            "data", f"{name} with {', '.join(unknown)}", f"the model's elements: {', '.join(sorted(known))}"
        )
    # Refused by name before hours of predictions, not found missing after them.
    if "band_energy_eV" not in snapshot.terms:
        raise InputError("data", f"{name} without reference energies", "snapshots with a group 'reference' from DFT")
    if snapshot.temperature is None:
        raise InputError("data", f"{name} without a temperature", "snapshots with temperature_K")
    cut, other = (part.assume_isolated or "none" for part in (model, snapshot.system))
    if cut != other:
        raise InputError("data", f"{name} with assume_isolated = {other}", f"{cut}, as the model's training had")
    ours, theirs = model.energy_grid, snapshot.energies
    # With a zero of energy the model's levels move with the cell, so that only their spacing and width must agree.
    compared = slice(1, 2) if model.energy_zero else slice(0, 3)
    a, b = (np.array([window[compared] for window in e.windows]) for e in (ours, theirs))
    alike = a.shape == b.shape and np.allclose(a, b, atol=1e-9)
    if ours.kernel != theirs.kernel or not (alike and np.isclose(ours.width, theirs.width, atol=1e-9)):
        raise InputError("data", f"{name} with the energies {_told(theirs)}", f"the model's, {_told(ours)}")


def _told(energies: EnergyGrid) -> str:
    return f"{energies}, {energies.kernel} {energies.width:g} eV"


def _evaluate(
    snapshot: Snapshot,
    model: LDOSModel,
    client: Client,
    chunks: Chunks,
    spread: bool,
    forces: bool,
    numerics: NumericsOptions,
) -> Evaluated:
    reference = datasets.read_reference(Path(snapshot.path))
    # Of a slab with a cut-off there is no stress.
    wanted = {"forces", *(() if model.assume_isolated else ("stress",))} if forces else set[str]()
    held = wanted & (set() if reference is None else {str(n) for n in reference.data_vars})
    store = temporary_store()

    def predicted_with(held: set[str], *, resume: bool = False) -> Prediction:
        # The snapshot's own grid, cutoff and temperature: what is left between the two is the model's error alone.
        return predict(
            snapshot.system.atoms,
            model,
            temperature=snapshot.temperature,
            grid=snapshot.system.grid,
            density_cutoff=snapshot.system.density_cutoff,
            keep=("ldos",),
            client=client,
            store=store,
            resume=resume,
            observer=Silent(),
            chunks=chunks,
            spread=spread,
            forces="forces" in held,
            stress="stress" in held,
            **numerics,
        )

    try:
        refused = ""
        try:
            predicted = predicted_with(held)
        except PhysicsError as error:
            if not held:
                raise
            # A poor model, whose A is not stationary in μ: its energies can be compared all the same, from the blocks
            # that are computed.
            refused = str(error)
            predicted = predicted_with(set(), resume=True)
        placed = model.placed(snapshot.system.symbols, snapshot.system.grid.volume).energy_grid
        levels = _inside(placed, snapshot.energies) if model.energy_zero else slice(0, placed.levels)
        matrix = resampling(snapshot.energies, placed).numpy()[:, levels] if model.energy_zero else None
        dos, sums = compare(snapshot, predicted, matrix, levels, client)
        errors = replace(_errors(snapshot, model, predicted, dos, sums, levels), forces_refused=refused)
        return errors if reference is None else replace(errors, **_derivatives(predicted, reference))
    finally:
        # The store of the predicted LDOS is the largest thing here; it goes also where anything fails.
        discard(store)


def _inside(energies: EnergyGrid, window: EnergyGrid) -> Levels:
    """Levels that lie inside of another grid's window, part by part."""
    # The levels of one cell may lie on the edge of the other's window: rounding must not decide.
    pairs = [(a.values, b.values) for a, b in zip(energies.parts, window.parts, strict=True)]
    inside = np.concatenate([(e >= w[0] - 1e-9) & (e <= w[-1] + 1e-9) for e, w in pairs])
    if energies.further:
        return np.flatnonzero(inside)
    first = int(np.argmax(inside))
    return slice(first, first + int(inside.sum()))


def _errors(
    snapshot: Snapshot, model: LDOSModel, predicted: Prediction, dos: Array, sums: Array, levels: Levels
) -> Evaluated:
    grid, n = snapshot.system.grid, snapshot.system.n_atoms
    values = grid.n_points * len(dos)
    ours, mu = predicted.energies.to_dict(), snapshot.terms.get("fermi_energy_eV")
    ours_dos, electrons = predicted.dos.values[levels], _electrons(snapshot, predicted)
    ewald = snapshot.terms.get("ewald_eV")
    # It follows from the positions and the valences; the linear baseline needs it as a coordinate.
    if ewald is None:
        ewald = ion_energy(replace(snapshot.system, elements=model.elements))
    known = snapshot.has_density
    return Evaluated(
        name=snapshot.name,
        path=snapshot.path,
        n_atoms=n,
        volume=grid.volume / n,
        ewald=None if ewald is None else ewald / n,
        ldos_mae=float(sums[0] / values),
        ldos_rmse=float(np.sqrt(sums[1] / values)),
        dos_mae=float(np.abs(ours_dos - dos).mean() / n),
        dos_relative=float(np.abs(ours_dos - dos).sum() / np.abs(dos).sum()),
        density_mae=float(sums[2] / grid.n_points) if known else None,
        density_relative=float(sums[2] / sums[4]) if known else None,
        density_percentage=float(100 * sums[3] / grid.n_points) if known else None,
        density_of_ldos_relative=float(sums[5] / sums[4]) if known else None,
        electrons=None if electrons is None else electrons / n,
        fermi_level=None if mu is None else 1e3 * (predicted.fermi_energy - mu),
        predicted={k.removesuffix("_eV"): v / n for k, v in ours.items() if v is not None and k in snapshot.terms},
        reference={k.removesuffix("_eV"): snapshot.terms[k] / n for k in ours if k in snapshot.terms},
        data_error=snapshot.data_error(correction=bool(predicted.dataset.attrs["broadening_correction"])),
        spread=_spread(predicted, n),
        density_rmse=float(np.sqrt(sums[6] / grid.n_points)) if known else None,
        density_within=float(sums[7] / grid.n_points) if known and "density_sigma" in predicted.dataset else None,
        growth=predicted.dataset.attrs.get("outside", {}).get("growth"),
        sigma=_sigma(predicted, n),
    )


def _derivatives(predicted: Prediction, reference: xr.Dataset) -> dict[str, Any]:
    """Forces and stress of the model and of the DFT, where both are known."""
    found: dict[str, Any] = {}
    if predicted.forces is not None:
        found |= {"forces": predicted.forces.tolist(), "reference_forces": reference["forces"].values.tolist()}
    if predicted.stress is not None:
        # The model's is the slope of energies at a fixed cutoff.
        like = "stress_fixed_cutoff" if "stress_fixed_cutoff" in reference else "stress"
        found |= {"stress": predicted.stress.tolist(), "reference_stress": reference[like].values.tolist()}
        found["stress_against"] = like
    return found


def _electrons(snapshot: Snapshot, predicted: Prediction) -> float | None:
    """N from the model's D(ε) at the DFT's Fermi level less that of the cell; None where the DFT's is not known."""
    mu, t = snapshot.terms.get("fermi_energy_eV"), snapshot.temperature
    if mu is None or t is None:
        return None
    energies, attrs = metadata.energy_grid_of(predicted.dataset), predicted.dataset.attrs
    w = number_weights(energies, mu, t, correction=bool(attrs["broadening_correction"]))
    return float(w @ torch.as_tensor(predicted.dos.values.copy())) - float(attrs["n_electrons"])


def _spread(predicted: Prediction, n: int) -> dict[str, float]:
    """Standard deviations of members: energies in meV/atom, the Fermi level in meV, n(r) over its mean."""
    data, deviations = predicted.dataset, {}
    for name in data.data_vars:
        quantity = str(name).removesuffix("_eV_std")
        if quantity != name and np.isfinite(value := float(data[name])):
            deviations[quantity] = 1e3 * value / (1 if quantity == "fermi_energy" else n)
    if "density_std" in data:
        deviations["density"] = float(data["density_std"].mean() / data["density"].mean())
        deviations["density_rms"] = float(np.sqrt((data["density_std"] ** 2).mean()))
    if "forces_std" in data:
        deviations["forces"] = float(np.sqrt((data["forces_std"] ** 2).mean()))
    return deviations


def _sigma(predicted: Prediction, n: int) -> dict[str, float]:
    """σ of a calibrated model: energies in meV/atom, forces in eV/Å, density in 1/Å³."""
    data = predicted.dataset
    there = {name: one for name, one in schema.SIGMAS.items() if name in data}
    return {one.quantity: float(data[name]) * (1e3 / n if one.extensive else 1) for name, one in there.items()}
