"""Makes the package's be_slab.zarr.zip with Quantum ESPRESSO, in half a minute: the surface of notebook 10.

Run it in the repository as `python tests/data/make_slab.py`. Four layers of Be(0001) with 10 Å of vacuum, coarse:
density, and the LDOS of the levels about the Fermi level alone, rounded to 10 bits of mantissa, so that it is small.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import xarray as xr
from ase.build import hcp0001
from make_small import rounded

import maladist
from maladist import examples, metadata
from maladist.datasets.dft.espresso import Espresso
from maladist.io.datasets import read_reference
from maladist.io.shipped import DATA

FILE = DATA / "examples" / "be_slab.zarr.zip"
ENERGIES = {"origin": -12.0, "spacing": 0.2, "levels": 80}
WINDOW = 1.5
"""Levels that are kept, on either side of the Fermi level, eV."""


def main() -> None:
    """Run the DFT, cut out what is kept, and pack it."""
    atoms = hcp0001("Be", (1, 1, 4), a=2.2866, c=3.5833, vacuum=5.0, periodic=True)
    setup = Espresso(
        temperature=1000.0,
        pseudopotentials=str(examples.pseudopotentials()),
        ecutwfc=20.0,
        kpoints=(9, 9, 1),
        energies=ENERGIES,
        broadening=0.4,
        pulay=False,
    )
    with tempfile.TemporaryDirectory() as folder, maladist.cluster("local", workers=1) as client:
        store = Path(folder) / "be.zarr"
        maladist.dft([atoms], setup, store, names=["slab"], client=client)
        told = read_reference(store / "snapshots" / "slab")
        assert told is not None
        mu = float(told["fermi_energy_eV"])
        full = xr.open_zarr(store / "snapshots" / "slab", consolidated=False).load()
        kept = full.sel(energy=slice(mu - WINDOW, mu + WINDOW))
        energies = maladist.EnergyGrid(
            float(kept.energy[0]), ENERGIES["spacing"], kept.sizes["energy"], "gaussian", setup.broadening
        )
        grid = metadata.grid_of(full)
        attributes = {**metadata.grid_attributes(grid), **metadata.energy_attributes(energies)}
        packed = xr.Dataset(
            {
                "ldos": kept.ldos.copy(data=rounded(kept.ldos.values)).assign_attrs(attributes),
                "density": full.density.assign_attrs(metadata.grid_attributes(grid)),
                "position": full.position,
                "number": full.number,
            },
            attrs={**full.attrs, **attributes, "fermi_energy_eV": mu},
        )
        for variable in packed.variables.values():
            variable.encoding.clear()
        packed.to_zarr(Path(folder) / "be_slab.zarr", consolidated=False)
        with zipfile.ZipFile(FILE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
            for path in sorted(p for p in (Path(folder) / "be_slab.zarr").rglob("*") if p.is_file()):
                name = zipfile.ZipInfo(str(path.relative_to(folder)))
                target.writestr(name, path.read_bytes(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
