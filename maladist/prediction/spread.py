"""How far an ensemble's members are apart: n(r), D(ε) and the energies of each, and their standard deviations.

Every member is predicted through the same engine, self-consistently: each has its own D(ε), its own μ and its own n(r).
The standard deviations over members (with k − 1) stand beside the result of the mean LDOS in its store, under the same
names with ``_std``. n(r) is combined block by block on the workers, so memory is that of a prediction; time is that of
k + 1 of them, and the members' stores, without an LDOS, are on disk until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from maladist import schema
from maladist.arrays import AnyArray
from maladist.errors import InputError
from maladist.io import stores
from maladist.io.opening import open_dataset
from maladist.io.stores import ArrayTemplate
from maladist.learning.uncertainty import Uncertainty
from maladist.parallel import waves
from maladist.parallel.here import Runner
from maladist.prediction.setup import Setup
from maladist.prediction.sigma import sigma_values
from maladist.prediction.values import Values


def member_setups(ready: Setup) -> list[Setup]:
    """The same input for each member.

    Raises
    ------
    InputError
        The model is of one network.
    """
    members = ready.model.members()
    # k − 1 of one member is nothing to divide by.
    if len(members) < 2:
        raise InputError("spread", "a model of one network", "an ensemble", "Train one with members: 4.")
    # Where the model has been trained is the mean's: it is not looked at once more for each.
    return [
        replace(
            ready, model=replace(m, domain=None), keep=(), force_terms=False, model_hash=m.content_hash, strict=False
        )
        for m in members
    ]


def write_spread(client: Runner, path: stores.Where, members: Sequence[Path], known: Uncertainty | None = None) -> None:
    """Write the standard deviations over the members' finished stores, and σ, into a store that has all else.

    Parameters
    ----------
    path
        Store of the ensemble's mean.
    members
        Stores of the members, two or more, on the same grid and at the same temperatures.
    known
        Calibration of the mean's σ, which is written anew, from the spread too; None where there is none.
    """
    density = stores.open_array(path, "density", "r")
    dims = ("temperature", "x", "y", "z")[-density.ndim :]
    stores.add_arrays(path, {"density_std": ArrayTemplate(density.shape, density.chunks, dims, "float64", "1/Å^3")})
    starts = list(product(*(range(0, n, m) for n, m in zip(density.shape, density.chunks, strict=True))))
    sources = [str(m) for m in members]
    jobs = (
        waves.NamedJob(
            f"spread{i}", path, sources, tuple(slice(a, a + m) for a, m in zip(at, density.chunks, strict=True))
        )
        for i, at in enumerate(starts)
    )
    variances = waves.in_order(client, spread_block, jobs, run_key="spread")
    datasets = [open_dataset(m) for m in members]
    values: Values = {}
    names = [n for n in ("dos", "forces", "stress", *schema.SCALARS) if n != "n_electrons" and n in datasets[0]]
    for name in names:
        first = datasets[0][name]
        std = np.std([d[name].values for d in datasets], axis=0, ddof=1)
        values[f"{name}_std"] = (tuple(map(str, first.dims)), std, str(first.attrs["units"]))
    if known is not None:
        n_atoms, growth = datasets[0].sizes["atom"], stores.attributes(path)["outside"]["growth"]
        of_density = np.sqrt(_sum_by_temperature(density.shape, starts, variances) / np.prod(density.shape[-3:]))
        spread = {"density_sigma": of_density} | {
            name: _size_of(values[f"{one.of}_std"][1], one.extensive)
            for name, one in schema.SIGMAS.items()
            if f"{one.of}_std" in values
        }
        there = {"density": 0.0, **{name: datasets[0][name].values for name in names}}
        values |= sigma_values(known, growth, n_atoms, there, spread)
    stores.write_values(path, values)
    stores.set_attributes(path, {"members": len(members)})


def _size_of(std: AnyArray, scalar: bool) -> AnyArray:
    """The standard deviation of a scalar as it is, of forces the root mean square over atoms and components."""
    return std if scalar else np.sqrt(np.mean(std**2, axis=(-2, -1)))


def _sum_by_temperature(shape: Sequence[int], starts: Sequence[tuple[int, ...]], sums: Sequence[AnyArray]) -> AnyArray:
    """Sum over the chunks of an array, (temperatures,) or a scalar where it has no such dim."""
    total = np.zeros(shape[:-3])
    for at, one in zip(starts, sums, strict=True):
        total[tuple(slice(a, a + n) for a, n in zip(at[:-3], one.shape, strict=True))] += one
    return total


def spread_block(path: stores.Where, members: Sequence[str], region: tuple[slice, ...]) -> AnyArray:
    """Standard deviation of n(r) over the members in one chunk; the sum of its squares for each temperature there."""
    # One chunk of each member at a time, whatever the cell.
    every = np.stack([stores.read_region(m, "density", region) for m in members])
    std = every.std(axis=0, ddof=1)
    stores.write_region(path, "density_std", region, std)
    return np.sum(std**2, axis=(-3, -2, -1))
