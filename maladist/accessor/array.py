"""`.maladist` on a DataArray: an LDOS or a field, whole or a part of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

import ase
import numpy as np
import torch
import xarray as xr

from maladist import metadata
from maladist.accessor.plot import FieldPlot
from maladist.energy_grid import EnergyGrid
from maladist.errors import InputError, StoreError
from maladist.grid import Grid
from maladist.io.fields import cube
from maladist.io.targets import whole
from maladist.physics.fermi import fermi_level, fermi_weights, use_correction
from maladist.physics.planar import macroscopic_average
from maladist.physics.surface import axis_index
from maladist.prediction.stm import stm
from maladist.schema import SPACE
from maladist.units import BOHR, LDOS_QE

if TYPE_CHECKING:
    from maladist.prediction.options import ImageOptions, ObserveOptions

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
        return metadata.energy_grid_of(self._ldos())

    def dos(self) -> xr.DataArray:
        """D(ε), (energy), 1/eV: the sum over the points that are there, each with its share of the volume; lazy.

        Of a region of the cell it is the region's part of D(ε).
        """
        array, volume = self._ldos(), self.grid.voxel_volume
        total = array.sum([d for d in SPACE if d in array.dims], dtype=np.float64, keep_attrs=True) * volume
        return total.rename("dos").assign_attrs({**array.attrs, "units": "1/eV"})

    def integrate(self, *, low: float = -np.inf, high: float = np.inf) -> xr.DataArray:
        """∫ dε of an LDOS or a D(ε) between two energies, without f(ε): 1/Å³, or a number of states; lazy.

        The sum over its piecewise linear function, exact; gaps between parts of the energies add nothing. xarray's own
        ``.integrate("energy")`` is another thing: its trapezoids run across such gaps.

        Parameters
        ----------
        low, high
            Energies that it is taken between, eV; all there are where they are not given.

        Raises
        ------
        StoreError
            No energies, or a part of them.
        InputError
            ``high`` does not lie above ``low``.
        """
        array, energies = self._ldos(), self.energy_grid
        if not low < high:
            raise InputError("high", f"{high} eV, and low {low} eV", "energies with low below high")
        weights = xr.DataArray(energies.weights(low, high), dims="energy")
        total = xr.dot(array, weights, dim="energy").rename("integral")
        about = {k: v for k, v in array.attrs.items() if k not in ("units", "long_name")}
        units = {"1/(eV Å^3)": "1/Å^3", "1/eV": "1"}.get(array.attrs.get("units", ""))
        return total.drop_attrs().assign_attrs({**about, **({"units": units} if units else {})})

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
        sizes = tuple(self._ldos().sizes.get(d, 1) for d in SPACE)
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

    def stm(self, bias: float, *, atoms: ase.Atoms | None = None, **options: Unpack[ImageOptions]) -> xr.DataArray:
        """`maladist.stm` of a slab's LDOS, whose ``plot.slice()`` draws it, at a ``height`` or ``current``."""
        return stm(self._ldos(), self._atoms if atoms is None else atoms, bias=bias, **options)

    def planar_average(self, axis: int | str = "c") -> xr.DataArray:
        """Mean over the planes of the other two lattice vectors, along the one that is named; lazy."""
        array, k = self._field(), axis_index(axis)
        across = [d for i, d in enumerate(SPACE) if i != k]
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
        if set(self._array.dims) != set(SPACE):
            raise StoreError(
                "array", f"an array over {self._array.dims}", "a field over x, y and z", _hint(self._array)
            )
        array = self._array.transpose(*SPACE)
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


def _hint(array: xr.DataArray) -> str:
    if "energy" in array.dims:
        return "Choose one with .sel(energy=..., method='nearest'), or integrate with .maladist.density()."
    return ""
