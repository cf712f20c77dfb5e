"""The result of a run: an xarray Dataset over its store, and the energies."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

import ase
import numpy as np
import xarray as xr

from maladist import metadata, schema
from maladist.arrays import Array
from maladist.errors import InputError
from maladist.grid import Grid
from maladist.io.memory import Memory
from maladist.io.netcdf import write_netcdf
from maladist.io.opening import open_dataset
from maladist.io.urls import URL, place
from maladist.physics.energies import TERMS, Energies
from maladist.physics.forces import FORCE_TERMS

_temporary: dict[Path, tempfile.TemporaryDirectory[str]] = {}


def temporary_store() -> Path:
    """Path of a new store that is removed when the process ends.

    Not when its Prediction goes: arrays that were taken from it are lazy, and would read nothing but NaN.
    """
    folder = tempfile.TemporaryDirectory(prefix="maladist-")
    path = Path(folder.name).resolve() / "prediction.zarr"
    # Held here, since the folder is removed when nobody holds it.
    _temporary[path] = folder
    return path


def is_temporary(path: Path) -> bool:
    """Whether a store is one that is removed when the process ends, or before."""
    return path in _temporary


def discard(path: Path) -> None:
    """Remove a temporary store; do nothing to others."""
    folder = _temporary.pop(path, None)
    if folder is not None:
        folder.cleanup()


@dataclass(frozen=True)
class Prediction:
    """Electronic structure of a cell.

    Attributes
    ----------
    dataset
        Variables ``density`` (x, y, z) 1/Å³, ``dos`` (energy) 1/eV, ``position``, ``number`` and the scalar energies
        of the data contract, eV; with a leading dim ``temperature`` where there are several. Lazy: the density stays on
        disk until it is asked for. A model of the density alone gives no ``dos`` and no Fermi level. With
        ``spread``, standard deviations of an ensemble's members, ``density_std`` ...
    store
        Zarr store behind it, or its URL; or one in memory, of a step of the ASE calculator.
    """

    dataset: xr.Dataset
    store: Path | URL | Memory

    @classmethod
    def open(cls, store: str | Path | URL | Memory) -> Prediction:
        """Open a finished store.

        Raises
        ------
        StoreError
            There is no such store, it is unfinished, or it lacks a density and energies.
        """
        # Opened lazily: a density of gigabytes is read only where it is asked for.
        dataset = open_dataset(store)
        of_ldos = ("dos", "fermi_energy_eV") if "energy" in dataset or "dos" in dataset else ()
        schema.validate(dataset, ("density", *of_ldos, "position", "number"), str(store))
        return cls(dataset, store if isinstance(store, Memory) else place(store))

    def close(self) -> None:
        """Remove the store if it is a temporary one; what was lazy is then gone. Others stay."""
        self.dataset.close()
        if isinstance(self.store, Path):
            discard(self.store)

    @property
    def temperatures(self) -> tuple[float, ...]:
        """Temperatures of the run, K."""
        if "temperature" in self.dataset.dims:
            return tuple(map(float, self.dataset["temperature"].values))
        return (float(self.dataset.attrs["temperature_K"]),)

    def at(self, temperature: float) -> Prediction:
        """The result at one of several temperatures (K)."""
        if "temperature" not in self.dataset.dims:
            if temperature != self.temperatures[0]:
                raise InputError(
                    "temperature", f"{temperature} K", f"{self.temperatures[0]} K, the only one of this run"
                )
            return self
        if temperature not in self.temperatures:
            raise InputError("temperature", f"{temperature} K", f"one of {self.temperatures}")
        # Without the coordinate: the result at one temperature then looks like that of a run at one.
        one = self.dataset.sel(temperature=temperature).drop_vars("temperature")
        return Prediction(one.assign_attrs(temperature_K=float(temperature)), self.store)

    def _have(self, name: str) -> None:
        if name not in self.dataset:
            raise InputError(name, "a prediction of the density alone", "one of a model with an LDOS")

    def _one(self, name: str) -> float:
        self._check_one(name)
        return float(self.dataset[name])

    def _check_one(self, name: str) -> None:
        if "temperature" in self.dataset.dims:
            raise InputError(
                name, "a run at several temperatures", "one temperature", "Choose with prediction.at(temperature)."
            )

    @property
    def atoms(self) -> ase.Atoms:
        """The atoms."""
        return metadata.atoms_of(self.dataset)

    @property
    def grid(self) -> Grid:
        """The grid of the density."""
        return metadata.grid_of(self.dataset)

    @property
    def density(self) -> xr.DataArray:
        """n(r), 1/Å³, with the attributes that name its grid."""
        return self.dataset["density"].assign_attrs(metadata.grid_attributes(self.grid))

    @property
    def dos(self) -> xr.DataArray:
        """D(ε), 1/eV.

        Raises
        ------
        InputError
            The prediction is of the density alone.
        """
        self._have("dos")
        return self.dataset["dos"]

    @property
    def fermi_energy(self) -> float:
        """μ, eV.

        Raises
        ------
        InputError
            There are several temperatures, or the prediction is of the density alone.
        """
        self._have("fermi_energy_eV")
        return self._one("fermi_energy_eV")

    @property
    def energies(self) -> Energies:
        """Terms of the total free energy, eV; None for a term that was not known, or not in use, when it was made."""
        terms = {t.name: self._one(t.name) for t in TERMS if t.name in self.dataset}
        # NaN stands for None in a store, whose scalars are floats.
        return Energies.from_dict({n: None if np.isnan(v) else v for n, v in terms.items()}, self.dataset.sizes["atom"])

    @property
    def sigmas(self) -> dict[str, float]:
        """Errors to be expected, as standard deviations, from a model whose σ has been calibrated; else empty.

        ``total_free_energy_sigma_eV``, ``band_energy_sigma_eV``, ``forces_sigma_eV_per_A`` and
        ``density_sigma_per_A3``: of the cell, of a component of a force, of the density at a point.
        """
        units = {"forces_sigma": "_eV_per_A", "density_sigma": "_per_A3"}
        return {f"{n}{units.get(n, '')}": self._one(n) for n in schema.SIGMAS if n in self.dataset}

    @property
    def forces(self) -> Array | None:
        """Forces on the atoms, (n_atoms, 3) eV/Å; None where they were not asked for."""
        return self._array("forces")

    @property
    def stress(self) -> Array | None:
        """Stress with the sign of ASE, xx, yy, zz, yz, xz, xy, eV/Å³; None where it was not asked for."""
        return self._array("stress")

    @property
    def forces_by_term(self) -> dict[str, Array]:
        """Terms of the forces, each (n_atoms, 3) eV/Å, which add up to them; empty where ``keep`` did not name them.

        'descriptors' is what A feels of the LDOS and of the density that the model gives, Hartree and XC among it;
        'core' and 'ewald' are at fixed density; 'volume' and 'double_counting' act under a strain only.
        """
        return self._by_term("forces")

    @property
    def stress_by_term(self) -> dict[str, Array]:
        """Terms of the stress, each (6,) eV/Å³ as `stress`; see `forces_by_term`."""
        return self._by_term("stress")

    def _by_term(self, name: str) -> dict[str, Array]:
        there = {term: self._array(f"{name}_{term}") for term in FORCE_TERMS}
        return {term: value for term, value in there.items() if value is not None}

    def _array(self, name: str) -> Array | None:
        if name not in self.dataset:
            return None
        self._check_one(name)
        return np.asarray(self.dataset[name].values)

    def to_dict(self) -> dict[str, object]:
        """What ``--json`` writes: energies, grid, and what the run took."""
        attrs = self.dataset.attrs
        common = {
            "n_atoms": self.dataset.sizes["atom"],
            "grid": list(self.grid.shape),
            **{
                k: attrs[k]
                for k in (
                    "blocks",
                    "workers",
                    "broadening_correction",
                    "double_counting",
                    "outside",
                    "notes",
                    "reference_temperature_K",
                    "peak_memory_bytes",
                    "seconds",
                )
                if k in attrs
            },
        }
        results = [{**self.at(t)._scalars(), **self.at(t)._slopes(), "temperature_K": t} for t in self.temperatures]
        return {**results[0], **common} if len(results) == 1 else {"results": results, **common}

    def _scalars(self) -> dict[str, float | None]:
        names = (*schema.SCALARS, *(f"{n}_std" for n in schema.SCALARS))  # the latter of an ensemble
        values = {n: float(self.dataset[n]) for n in names if n in self.dataset}
        return {n: None if np.isnan(v) else v for n, v in values.items()} | self.sigmas

    def _slopes(self) -> dict[str, object]:
        """Forces and stress where they are, their standard deviations of an ensemble, and their terms where kept."""
        units = {"forces": "eV_per_A", "stress": "eV_per_A3"}
        names = ((f"{n}{std}", f"{n}_{unit}{std}") for n, unit in units.items() for std in ("", "_std"))
        found: dict[str, object] = {name: self.dataset[n].values.tolist() for n, name in names if n in self.dataset}
        for n, unit in units.items():
            if terms := self._by_term(n):
                found[f"{n}_by_term_{unit}"] = {term: value.tolist() for term, value in terms.items()}
        return found

    def to_json(self) -> str:
        """`to_dict` as JSON; a term that is not known is null."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def to_netcdf(self, path: str | Path) -> None:
        """Write everything to a netCDF file, which has no nested attributes: those become JSON text.

        Raises
        ------
        OutputError
            The file exists, or its folder does not or cannot be written.
        DependencyError
            netCDF4 is not installed.
        """
        write_netcdf(self.dataset, path)

    def __repr__(self) -> str:
        return f"Prediction in {self.store}\n{self}"

    def _repr_html_(self) -> str:
        tables = [f"<p>{self.at(t).level()}</p>{self.at(t).energies._repr_html_()}" for t in self.temperatures]
        head = f"Prediction of {escape(self.atoms.get_chemical_formula())} in {escape(str(self.store))}"
        return f"<div><strong>{head}</strong>{''.join(tables)}{self.dataset._repr_html_()}</div>"

    def __str__(self) -> str:
        head = f"{self.dataset.sizes['atom']} atoms, grid {'×'.join(map(str, self.grid.shape))}"
        return "\n".join([head, *(self.at(t)._told() for t in self.temperatures)])

    def _told(self) -> str:
        """Level, energies and, where they were asked for, the size of the forces, at one temperature."""
        sigmas = self.sigmas
        lines = [self.level(), self.energies.table(sigmas)]
        if (forces := self.forces) is not None:
            largest, net = np.linalg.norm(forces, axis=1).max(), np.linalg.norm(forces.sum(axis=0))
            error = f", each component ± {sigmas[name]:.2g}" if (name := "forces_sigma_eV_per_A") in sigmas else ""
            lines.append(f"largest force {largest:.4f} eV/Å{error}, net force {net:.1e} eV/Å")
        if (name := "density_sigma_per_A3") in sigmas:
            lines.append(f"density ± {sigmas[name]:.2g} 1/Å³ at a point; ± is one standard deviation, calibrated")
        return "\n".join(lines)

    def level(self) -> str:
        """Temperature and Fermi level in a line."""
        mu = f"μ = {self.fermi_energy:.4f} eV" if "fermi_energy_eV" in self.dataset else "the density alone"
        return f"{self.temperatures[0]:g} K: {mu}"
