"""`.maladist` on a Dataset: a result, or a snapshot of DFT data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import ase
import numpy as np
import xarray as xr

from maladist import metadata, schema
from maladist.accessor.array import FieldAccessor
from maladist.accessor.plot import FieldPlot
from maladist.elements import Element
from maladist.errors import StoreError
from maladist.io.netcdf import write_netcdf
from maladist.io.opening import open_dataset
from maladist.physics.planar import vacuum_level
from maladist.physics.surface import Side, Surface
from maladist.prediction.electrostatic import potential
from maladist.prediction.stm import stm

if TYPE_CHECKING:
    from maladist.prediction.options import ImageOptions, ObserveOptions


class DatasetAccessor:
    """What a data set that follows the contract is good for: a result, a snapshot of DFT data; one temperature."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    @property
    def atoms(self) -> ase.Atoms:
        """The atoms."""
        schema.validate(self._dataset, ("cell", "position", "number"))
        return metadata.atoms_of(self._dataset)

    def field(self, name: str) -> FieldAccessor:
        """A variable with what the data set knows of it: its grid and the atoms."""
        schema.validate(self._dataset, (name,))
        array = self._dataset[name]
        if "temperature" in array.dims:
            raise StoreError(name, "several temperatures", "one", "Choose with .sel(temperature=...).")
        known = "position" in self._dataset and "number" in self._dataset and "cell" in self._dataset.attrs
        return FieldAccessor(array.assign_attrs({**self._dataset.attrs, **array.attrs}), self.atoms if known else None)

    def dos(self) -> xr.DataArray:
        """D(ε), 1/eV: the data set's own, or that of its LDOS."""
        return self.field("dos")._array if "dos" in self._dataset else self.field("ldos").dos()

    def fermi_energy(self, n_electrons: float | None = None, temperature: float | None = None) -> float:
        """μ from D(ε), eV; parameters as on a DataArray."""
        of = self.field("dos" if "dos" in self._dataset else "ldos")
        if of._array.name == "ldos":
            return of.fermi_energy(n_electrons, temperature)
        return of._level(of._array, of.energy_grid, n_electrons, of._temperature(temperature))

    def density(self, mu: float | None = None, temperature: float | None = None) -> xr.DataArray:
        """n(r), 1/Å³: from the LDOS, at any μ and temperature; the data set's own where neither is given."""
        if mu is None and temperature is None and "density" in self._dataset:
            return self.field("density")._array
        # D(ε) is stored: μ from it costs nothing, from the LDOS a pass over all of it.
        if mu is None and "dos" in self._dataset:
            mu = self.fermi_energy(temperature=temperature)
        return self.field("ldos").density(mu, temperature)

    def thermodynamics(self, **options: Unpack[ObserveOptions]) -> xr.Dataset:
        """`maladist.thermodynamics` of a result, or of a snapshot's LDOS, at ``temperature=[...]``, K; see there."""
        from maladist.prediction.thermodynamics import thermodynamics

        return thermodynamics(self._dataset, **options)

    def stm(self, bias: float, **options: Unpack[ImageOptions]) -> xr.DataArray:
        """`maladist.stm` of a slab's LDOS, at a ``height`` or ``current``; see there."""
        return stm(self._dataset, bias=bias, **options)

    def diffraction(self, **options: float) -> xr.Dataset:
        """`maladist.diffraction` of the density: X-ray structure factors and powder pattern; see there."""
        from maladist.prediction.diffraction import diffraction

        return diffraction(self._dataset, **options)

    def difference(self, reference: str | Path | None = None, **options: Any) -> xr.Dataset:
        """`maladist.difference` of a data set as it was opened from its store; see there."""
        from maladist.prediction.difference import difference

        return difference(self._store("Of arrays: a - b."), reference, **options)

    def charges(self, **options: Any) -> xr.Dataset:
        """`maladist.charges` of a data set as it was opened from its store: Bader's or Voronoi's; see there."""
        from maladist.prediction.charges import charges

        return charges(self._store(), **options)

    def _store(self, remedy: str = "") -> str:
        """The store that the data set was opened from."""
        if (store := self._dataset.encoding.get("source")) is None:
            raise StoreError("dataset", "one of no store", "one that was opened from its store", remedy)
        # xarray keeps the name of the store through arithmetic, and it is the store that is read.
        schema.validate(self._dataset, ("density",))
        if not self._dataset["density"].variable.equals(open_dataset(store, chunks={})["density"].variable):
            raise StoreError("dataset", "another density than its store's", "one as it was opened", remedy)
        return str(store)

    def structure(self, **options: float) -> xr.Dataset:
        """`maladist.structure` of the atoms: g(r) and S(q); see there."""
        from maladist.sampling.structure import structure

        return structure(self.atoms, **options)

    def potential(self, pseudopotentials: str | Path | Mapping[str, Element], *, xc: bool = False) -> xr.Dataset:
        """V_H + V_loc of the density, or with V_xc; parameters and errors of `maladist.potential`."""
        return potential(self._dataset, pseudopotentials=pseudopotentials, xc=xc)

    def work_function(self, axis: int | str = "c", side: Side = "top", *, mu: float | None = None) -> float:
        """Work function of a slab, eV: the potential in the middle of the vacuum less the Fermi level.

        Where the Coulomb interaction is cut off along c (``assume_isolated``), in the middle of the part of the vacuum
        that sees the whole slab; sides that differ then have work functions of their own.

        Parameters
        ----------
        axis, side
            The surface, as in `maladist.stm`.
        mu
            Fermi level, eV; the data set's own where it is not given.

        Raises
        ------
        InputError
            There is no Fermi level, no vacuum, or the potential is not flat in it.
        """
        if mu is None and "fermi_energy_eV" not in self._dataset:
            raise StoreError("mu", "none, and the data hold none", "the Fermi level, eV", "Give it.")
        mu = float(self._dataset["fermi_energy_eV"]) if mu is None else mu
        surface = Surface.of(self.atoms, axis, side)
        planar = self.field("potential").planar_average(axis)
        return vacuum_level(np.asarray(planar.values), surface, self._dataset.attrs.get("assume_isolated")) - mu

    def to_netcdf(self, path: str | Path) -> Path:
        """Write everything to a new netCDF file; nested attributes, which it has not, become JSON text."""
        return write_netcdf(self._dataset, path)

    def to_cube(self, path: str | Path, name: str = "density") -> Path:
        """Write a variable (x, y, z) as a cube file."""
        return self.field(name).to_cube(path)

    @property
    def plot(self) -> FieldPlot:
        """Pictures of the density."""
        return FieldPlot(self.field("density"))
