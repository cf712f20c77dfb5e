"""X-ray structure factors and the powder pattern of a density in a store, read slab by slab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from maladist import metadata, schema
from maladist.arrays import Array
from maladist.errors import StoreError
from maladist.io.opening import open_dataset
from maladist.physics.diffraction import COPPER, longest_wave, powder, structure_factors_of
from maladist.prediction.result import Prediction

_SLAB: Final = 2**22  # points that are read at a time


def diffraction(
    source: Prediction | xr.Dataset | str | Path, *, wavelength: float = COPPER, angle: float = 90.0
) -> xr.Dataset:
    """Compute X-ray structure factors F(G) and the lines of a powder from n(r).

    n(r) is that of the valence electrons of the pseudopotentials: the core electrons, which scatter too, are not in it,
    and near the atoms it is smoother than the true one. Extinctions, angles and multiplicities are those of all
    electrons, intensities are not.

    Parameters
    ----------
    source
        A result at one temperature, a snapshot with its density, or the store of either.
    wavelength
        Wavelength of the X-rays, Å. Default: K α1 of copper.
    angle
        Largest 2θ, degrees.

    Returns
    -------
    Dataset
        Of the waves with |G| ≤ 4π sin(θ)/λ, G ≠ 0, by length: ``structure_factor`` (wave) complex128, electrons in the
        cell; ``miller`` (wave, index) int64; ``wave_number`` (wave), |G| in 1/Å. Of the lines of a powder, whose waves
        have equal length: ``two_theta`` (line), degrees; ``intensity`` (line), 100 for the strongest, |F|² summed with
        the factor of Lorentz and polarisation; ``multiplicity`` (line); ``line_miller`` (line, index), one of its
        waves. Formulas: `maladist.physics.diffraction`.

    Raises
    ------
    StoreError
        There is no density, or one at several temperatures.
    InputError
        A wavelength or an angle that is none.
    GridError
        The grid does not hold waves as short.

    Examples
    --------
    >>> pattern = maladist.diffraction("result.zarr")  # CuKα
    >>> [round(float(angle), 1) for angle in pattern.two_theta[:3]]  # degrees
    [..., ..., ...]
    """
    largest = longest_wave(wavelength, angle)
    dataset = source.dataset if isinstance(source, Prediction) else source
    dataset = dataset if isinstance(dataset, xr.Dataset) else open_dataset(dataset)
    schema.validate(dataset, ("density", "number", "cell"), "source")
    if "temperature" in dataset["density"].dims:
        raise StoreError("source", "a density at several temperatures", "one", "Choose with .sel(temperature=...).")
    grid = metadata.grid_of(dataset, "source")
    found = structure_factors_of(_slabs(dataset["density"].transpose("x", "y", "z")), grid, largest)
    lines = powder(found, wavelength)
    strongest = lines.intensity.max(initial=0.0) or 1.0
    variables = {
        "structure_factor": (("wave",), found.factor, {"units": "1", "long_name": "F(G), electrons in the cell"}),
        "miller": (("wave", "index"), found.hkl, {"units": "1", "long_name": "Miller indices"}),
        "wave_number": (("wave",), found.length, {"units": "1/Å", "long_name": "|G|"}),
        "two_theta": (("line",), lines.two_theta, {"units": "degree", "long_name": "angle of a powder's line"}),
        "intensity": (("line",), 100 * lines.intensity / strongest, {"units": "1", "long_name": "relative intensity"}),
        "multiplicity": (("line",), lines.multiplicity, {"units": "1", "long_name": "waves of a line"}),
        "line_miller": (("line", "index"), lines.hkl, {"units": "1", "long_name": "Miller indices of one wave"}),
    }
    return xr.Dataset(
        variables,
        attrs={"wavelength_A": wavelength, "notes": [_valence_note(dataset)], **metadata.grid_attributes(grid)},
    )


def _slabs(density: xr.DataArray) -> Iterator[tuple[int, Array]]:
    thick = max(1, _SLAB // (density.sizes["y"] * density.sizes["z"]))
    for first in range(0, density.sizes["x"], thick):
        # Read here and let go: the density is never whole in memory.
        yield first, np.asarray(density[first : first + thick].values, dtype=np.float64)


def _valence_note(dataset: xr.Dataset) -> str:
    """How many electrons scatter, of all that are there."""
    there, held = int(dataset["number"].astype(int).sum()), dataset.attrs.get("n_electrons")
    of = "the valence electrons" if held is None else f"{float(held):g} of the {there} electrons"
    return f"n(r) holds {of}: those of the cores scatter too and are left out; intensities are of the valence alone"
