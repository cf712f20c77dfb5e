"""`.maladist` on xarray's DataArray and Dataset: what an LDOS or a density is good for, lazily.

field = maladist.ldos(atoms, model)                     # nothing is computed
field.isel(z=0).maladist.density(mu, 1000.0)            # n(r) in a plane, from the blocks that it touches
result.dataset.maladist.plot.slice("c")                 # with the atoms that lie near it
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

import ase
import numpy as np
import torch
import xarray as xr

from maladist import schema
from maladist.elements import Element
from maladist.errors import StoreError
from maladist.grid import EnergyGrid, Grid
from maladist.io.fields import cube
from maladist.io.netcdf import write_netcdf
from maladist.io.targets import whole
from maladist.physics.fermi import fermi_level, fermi_weights, use_correction
from maladist.physics.planar import macroscopic_average, vacuum_level
from maladist.physics.surface import Side, Surface, axis_index
from maladist.prediction.electrostatic import potential
from maladist.prediction.stm import stm
from maladist.units import BOHR, LDOS_QE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from maladist.prediction.options import ObserveOptions
    from maladist.report.isosurface import Isosurface

_SPACE: Final = ("x", "y", "z")
_IN_CUBES: Final = {"1/Å^3": BOHR**3, "1/(eV Å^3)": 1 / LDOS_QE}  # to what programs expect in a cube file
_SLAB: Final = 2**22  # points that are written at a time


class FieldAccessor:
    """What an LDOS (x, y, z, energy) or a field (x, y, z) is good for, whole or a part of it."""

    def __init__(self, array: xr.DataArray, atoms: ase.Atoms | None = None) -> None:
        self._array, self._atoms = array, atoms

    @property
    def grid(self) -> Grid:
        """The grid of the whole cell, also where the array is a part of it.

        Raises
        ------
        StoreError
            An array that does not name its grid.
        """
        attrs = self._array.attrs
        # A part of a field no longer tells the cell by its sizes: the attributes do, where xarray has kept them.
        if np.size(attrs.get("cell", ())) != 9 or np.size(attrs.get("grid", ())) != 3:
            raise StoreError(
                "array",
                f"no attributes cell and grid on {self._array.name or 'an array'!r} {self._array.dims}",
                "an array of maladist, or of a data set that follows its contract",
                "Arithmetic drops attributes: xr.set_options(keep_attrs=True) keeps them.",
            )
        return Grid(np.reshape(attrs["cell"], (3, 3)).tolist(), tuple(int(n) for n in attrs["grid"]))  # type: ignore[arg-type]

    @property
    def energy_grid(self) -> EnergyGrid:
        """Energies of the LDOS with their broadening; refuses a part of them."""
        array = self._ldos()
        levels = array.attrs.get("energy_levels", array.sizes["energy"])
        # The Fermi weights are of all levels: of a part of them the integrals would be wrong without a word.
        if levels != array.sizes["energy"]:
            came = f"{array.sizes['energy']} energies of {levels}"
            raise StoreError("ldos", came, "all of them", "Choose energies after integrating, not before.")
        return schema.energy_grid_of(array)

    def dos(self) -> xr.DataArray:
        """D(ε), (energy), 1/eV: the sum over the points that are there, each with its share of the volume; lazy.

        Of a region of the cell it is the region's part of D(ε).
        """
        array, volume = self._ldos(), self.grid.voxel_volume
        total = array.sum([d for d in _SPACE if d in array.dims], dtype=np.float64, keep_attrs=True) * volume
        return total.rename("dos").assign_attrs({**array.attrs, "units": "1/eV"})

    def fermi_energy(self, n_electrons: float | None = None, temperature: float | None = None) -> float:
        """μ, eV; computes the whole LDOS.

        Parameters
        ----------
        n_electrons
            Number of electrons in the cell; the data's own where it is not given.
        temperature
            Temperature of the electrons, K; the data's own where it is not given.

        Raises
        ------
        StoreError
            It is a part of the cell or of the energies, or lacks the number of electrons or the temperature.
        EnergyWindowError
            The energies do not hold μ.
        """
        sizes = tuple(self._ldos().sizes.get(d, 1) for d in _SPACE)
        if sizes != self.grid.shape:
            came = f"{'×'.join(map(str, sizes))} points, a part of its grid"
            raise StoreError("ldos", came, "×".join(map(str, self.grid.shape)), "μ is of the whole cell: give mu.")
        energies, t = self.energy_grid, self._temperature(temperature)
        return self._level(self.dos(), energies, n_electrons, t)

    def density(
        self, mu: float | None = None, temperature: float | None = None, *, correction: bool | None = None
    ) -> xr.DataArray:
        """n(r) = ∫ f d(ε, r) dε, 1/Å³, at the points that are there; lazy.

        Parameters
        ----------
        mu
            Fermi level, eV; where it is not given, that of `fermi_energy`, which needs the whole cell.
        temperature
            Temperature of the electrons, K; the data's own where it is not given.
        correction
            Whether to correct for the broadening; as the data were treated, or 'auto' of `predict`, where it is not
            given.
        """
        array, t, energies = self._ldos(), self._temperature(temperature), self.energy_grid
        mu = self.fermi_energy(temperature=t) if mu is None else mu
        correct = self._correction(energies) if correction is None else correction
        weights = xr.DataArray(fermi_weights(energies, mu, t, correction=correct).number.numpy(), dims="energy")
        density = xr.dot(array, weights, dim="energy").rename("density")
        return density.assign_attrs({**array.attrs, "units": "1/Å^3", "fermi_energy_eV": mu, "temperature_K": t})

    def thermodynamics(self, atoms: ase.Atoms | None = None, **options: Unpack[ObserveOptions]) -> xr.Dataset:
        """`maladist.thermodynamics` of an LDOS: S(T), C_v(T), A(T), ... at ``temperature=[...]``, K; see there."""
        from maladist.prediction.thermodynamics import thermodynamics

        return thermodynamics(self._ldos(), atoms=self._atoms if atoms is None else atoms, **options)

    def stm(
        self,
        bias: float,
        *,
        height: float | None = None,
        current: float | None = None,
        axis: int | str = "c",
        side: Side = "top",
        mu: float | None = None,
        atoms: ase.Atoms | None = None,
    ) -> xr.DataArray:
        """STM image of a slab's LDOS, whose ``plot.slice()`` draws it; parameters and errors of `maladist.stm`."""
        atoms = self._atoms if atoms is None else atoms
        return stm(self._ldos(), atoms, bias=bias, height=height, current=current, axis=axis, side=side, mu=mu)

    def planar_average(self, axis: int | str = "c") -> xr.DataArray:
        """Mean over the planes of the other two lattice vectors, along the one that is named; lazy."""
        array, k = self._field(), axis_index(axis)
        across = [d for i, d in enumerate(_SPACE) if i != k]
        return array.mean(across, dtype=np.float64, keep_attrs=True)

    def macroscopic_average(self, axis: int | str = "c", *, period: float) -> xr.DataArray:
        """Mean of the planar average over a period of the crystal (Å) about each plane; computes the field.

        Baldereschi, Baroni and Resta, Phys. Rev. Lett. 61, 734 (1988).
        """
        planar, cell, k = self.planar_average(axis), self.grid.cell_array, axis_index(axis)
        area = float(np.linalg.norm(np.cross(*np.delete(cell, k, axis=0))))
        values = macroscopic_average(np.asarray(planar.values), self.grid.volume / area, period)
        return planar.copy(data=values).assign_attrs(period_A=period)

    def to_cube(self, path: str | Path, atoms: ase.Atoms | None = None) -> Path:
        """Write a density, or an LDOS at one energy, as a cube file, slab by slab.

        Parameters
        ----------
        path
            File to write, replaced if it exists.
        atoms
            Atoms, where the array comes without them, as a DataArray does.
        """
        atoms = self._atoms if atoms is None else atoms
        array, grid, path = self._field(), self.grid, Path(path)
        units = array.attrs.get("units")
        # A field in other units would be read as if it were in those of a cube.
        if units not in _IN_CUBES:
            raise StoreError("array", f"units {units!r}", f"one of {', '.join(_IN_CUBES)}")
        if atoms is None:
            raise StoreError("atoms", "none, and a DataArray has none", "atoms", "Give atoms=..., or use the Dataset.")
        title = "density, 1/bohr^3"
        if units != "1/Å^3":
            if "energy" not in array.coords:
                came, wanted = f"a field in {units} without its energy", "an LDOS at one energy, or a density in 1/Å^3"
                remedy = "A sum over energies lacks dε and f: take .maladist.density(), or give its units as attribute."
                raise StoreError("array", came, wanted, remedy)
            width = float(array.attrs.get("broadening_width_eV", 0.0))
            title = cube.level_title(float(array["energy"]), width)
        step = max(1, _SLAB // (grid.shape[1] * grid.shape[2]))
        with whole([path]) as (beside,), beside.open("w") as stream:
            cube.write_header(stream, atoms, grid, title)
            for first in range(0, grid.shape[0], step):
                # Computed slab by slab: a lazy field is never whole in memory.
                slab = np.asarray(array[first : first + step], dtype=np.float64)
                cube.write_slab(stream, slab * _IN_CUBES[units])
        return path

    @property
    def plot(self) -> FieldPlot:
        """Pictures."""
        return FieldPlot(self)

    def _ldos(self) -> xr.DataArray:
        if "energy" not in self._array.dims or "energy" not in self._array.coords:
            raise StoreError("ldos", f"an array over {self._array.dims}", "an LDOS, with its energies as coordinate")
        return self._array

    def _field(self) -> xr.DataArray:
        """The array as a whole field (x, y, z)."""
        if set(self._array.dims) != set(_SPACE):
            raise StoreError(
                "array", f"an array over {self._array.dims}", "a field over x, y and z", _hint(self._array)
            )
        array = self._array.transpose(*_SPACE)
        if array.shape != self.grid.shape:
            raise StoreError("array", f"{array.shape} points, a part of its grid", f"{self.grid.shape}")
        return array

    def _level(self, dos: xr.DataArray, energies: EnergyGrid, n_electrons: float | None, t: float) -> float:
        n = self._array.attrs.get("n_electrons") if n_electrons is None else n_electrons
        if n is None:
            raise StoreError("n_electrons", "none, and the data name none", "the number of electrons in the cell")
        d = torch.as_tensor(np.asarray(dos.values, dtype=np.float64))
        return float(fermi_level(d, energies, float(n), t, correction=self._correction(energies)))

    def _correction(self, energies: EnergyGrid) -> bool:
        # As the result was made, so that densities made from it fit its energies.
        done = self._array.attrs.get("broadening_correction")
        return use_correction("auto", energies)[0] if done is None else bool(done)

    def _temperature(self, temperature: float | None) -> float:
        coordinate = self._array.coords.get("temperature")
        if temperature is None and coordinate is not None and coordinate.ndim == 0:  # one chosen of several
            temperature = float(coordinate)
        if temperature is None:
            temperature = self._array.attrs.get("temperature_K")
        if temperature is None or np.ndim(temperature) > 0:
            came = "none, and the data name none" if temperature is None else f"several, {temperature}"
            raise StoreError("temperature", came, "a temperature in K", "Give temperature=...")
        return float(temperature)


class FieldPlot:
    """Pictures of a field in its true geometry."""

    def __init__(self, field: FieldAccessor) -> None:
        self._of = field

    def slice(
        self,
        axis: int | str = "c",
        height: float | None = None,
        *,
        atoms: ase.Atoms | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw a lattice plane with matplotlib; of a lazy field only the blocks that it touches are computed.

        Parameters
        ----------
        axis
            Lattice vector that the plane does not hold: 'a', 'b', 'c' or 0, 1, 2. An array over two of x, y, z is
            drawn as it is.
        height
            Fractional height along ``axis``. Default: through the atom nearest to the middle, or the middle.
        atoms
            Atoms, drawn where they lie within 0.4 Å; a Dataset's own are.
        ax
            Axes to draw on; new ones where they are not given.
        """
        # matplotlib only where something is drawn.
        from maladist.report.figures import Plane, draw_plane, plane_across, plane_through

        atoms = self._of._atoms if atoms is None else atoms
        array, grid = self._of._array, self._of.grid
        if set(array.dims) < set(_SPACE) and array.ndim == 2:
            gone = next(i for i, d in enumerate(_SPACE) if d not in array.dims)
            # A plane that has been chosen already: which height it has is not known any more, nor which atoms lie near.
            flat = array.transpose(*(d for d in _SPACE if d in array.dims))
            if flat.shape != tuple(n for i, n in enumerate(grid.shape) if i != gone):
                raise StoreError("array", f"{flat.shape} points, a part of a plane", "a whole plane of the grid")
            plane, atoms = Plane(np.asarray(flat.values, dtype=np.float64), grid, gone, None), None
        else:
            k = axis_index(axis)
            middle = 0.5 if atoms is None else plane_through(grid, atoms.positions, k)
            plane = plane_across(self._of._field(), grid, k, middle if height is None else height)
        if ax is None:
            from matplotlib import pyplot

            ax = pyplot.subplots(layout="constrained")[1]
        mesh = draw_plane(ax, plane, atoms, name=_symbol(array))
        ax.figure.colorbar(mesh, ax=ax, label=str(array.attrs.get("units", "")), shrink=0.85)
        return ax

    def isosurface(self, level: float | None = None, *, atoms: ase.Atoms | None = None) -> Isosurface:
        """The surface where the field has the value ``level``: a notebook shows it, ``save(path)`` writes a page."""
        from maladist.report.isosurface import Isosurface

        array = self._of._field()
        name = {"density": "n", "ldos": "d"}.get(str(array.name), str(array.name or "field"))
        units = str(array.attrs.get("units", "")).replace("^3", "³")
        atoms = self._of._atoms if atoms is None else atoms
        return Isosurface.of(array, self._of.grid, atoms, level, name=name, units=units)


class DatasetAccessor:
    """What a data set that follows the contract is good for: a result, a snapshot of DFT data; one temperature."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    @property
    def atoms(self) -> ase.Atoms:
        """The atoms."""
        schema.validate(self._dataset, ("cell", "position", "number"))
        return schema.atoms_of(self._dataset)

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

    def stm(
        self,
        bias: float,
        *,
        height: float | None = None,
        current: float | None = None,
        axis: int | str = "c",
        side: Side = "top",
        mu: float | None = None,
    ) -> xr.DataArray:
        """STM image of a slab's LDOS; parameters and errors of `maladist.stm`."""
        return stm(self._dataset, bias=bias, height=height, current=current, axis=axis, side=side, mu=mu)

    def diffraction(self, **options: float) -> xr.Dataset:
        """`maladist.diffraction` of the density: X-ray structure factors and powder pattern; see there."""
        from maladist.prediction.diffraction import diffraction

        return diffraction(self._dataset, **options)

    def difference(self, reference: str | Path | None = None, **options: Any) -> xr.Dataset:
        """`maladist.difference` of a data set that was opened from its store; see there."""
        from maladist.prediction.difference import difference

        if (store := self._dataset.encoding.get("source")) is None:
            raise StoreError("dataset", "one of no store", "one that was opened from its store")
        return difference(store, reference, **options)

    def structure(self, **options: float) -> xr.Dataset:
        """`maladist.structure` of the atoms: g(r) and S(q); see there."""
        from maladist.sampling.structure import structure

        return structure(self.atoms, **options)

    def potential(self, pseudopotentials: str | Path | Mapping[str, Element]) -> xr.Dataset:
        """V_H + V_loc of the density; parameters and errors of `maladist.potential`."""
        return potential(self._dataset, pseudopotentials=pseudopotentials)

    def work_function(self, axis: int | str = "c", side: Side = "top", *, mu: float | None = None) -> float:
        """Work function of a slab, eV: the potential in the middle of the vacuum less the Fermi level.

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
        return vacuum_level(np.asarray(planar.values), surface) - mu

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


def _symbol(array: xr.DataArray) -> str:
    if array.name == "density":
        return "$n(r)$"
    if array.name == "ldos" and "energy" in array.coords:
        return f"$d(\\varepsilon, r)$, $\\varepsilon$ = {float(array['energy']):.3f} eV,"
    return str(array.name or "field")


def _hint(array: xr.DataArray) -> str:
    if "energy" in array.dims:
        return "Choose one with .sel(energy=..., method='nearest'), or integrate with .maladist.density()."
    return ""
