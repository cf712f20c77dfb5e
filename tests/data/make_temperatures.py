"""Makes tests/data/temperatures.zarr.zip with Quantum ESPRESSO: a gapped and a metallic crystal at two temperatures.

Run it in the repository as `python tests/data/make_temperatures.py`; two minutes. The pseudopotentials of SiC
(norm-conserving, LDA, without core charges) are those of Debian's package quantum-espresso-data.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import ase
import numpy as np
import zarr
from ase.build import bulk
from make_small import HERE, pack

import maladist
from maladist.datasets.dft.espresso import Espresso

DEBIAN = Path("/usr/share/espresso/pseudo")


def rattled(atoms: ase.Atoms, displacement: float) -> ase.Atoms:
    """The crystal with every coordinate moved at random."""
    moved = atoms.copy()
    moved.positions += np.random.default_rng(3).normal(0, displacement, moved.positions.shape)
    return moved


def main() -> None:
    """Run the snapshots, round their LDOS and pack the store."""
    sic = rattled(bulk("SiC", "zincblende", a=4.36), 0.08)
    be8 = rattled(bulk("Be", "hcp", a=2.2866, c=3.5833) * (2, 2, 1), 0.1)
    with tempfile.TemporaryDirectory() as folder, maladist.cluster("local", 1) as client:
        pseudopotentials, store = Path(folder) / "pp", Path(folder) / "temperatures.zarr"
        pseudopotentials.mkdir()
        for name in ("Si.pz-vbc.UPF", "C.UPF"):
            shutil.copy(DEBIAN / name, pseudopotentials)
        of_sic = Espresso(
            temperature=300.0,
            pseudopotentials=str(pseudopotentials),
            ecutwfc=16.0,
            kpoints=[3, 3, 3],
            energies={"origin": -8.0, "spacing": 0.2, "levels": 136},
            broadening=0.2,
            bands=6.0,
            convergence=1e-10,
        )
        of_be = Espresso(
            temperature=1000.0,
            pseudopotentials=str(HERE / "pseudopotentials"),
            ecutwfc=20.0,
            kpoints=[3, 3, 4],
            energies={"origin": -6.0, "spacing": 0.2, "levels": 126},
            broadening=0.2,
            bands=4.0,
            convergence=1e-10,
        )
        runs = [
            ("sic-300K", sic, of_sic),
            ("sic-5000K", sic, of_sic.model_copy(update={"temperature": 5000.0})),
            ("be8-1000K", be8, of_be),
            ("be8-10000K", be8, of_be.model_copy(update={"temperature": 10000.0})),
        ]
        for name, atoms, setup in runs:
            (outcome,) = maladist.dft([atoms], setup, store, names=[name], client=client)
            print(f"{outcome.name}: {outcome.reason or 'done'} ({outcome.seconds:.1f} s)", flush=True)
            assert not outcome.reason
        # Of the last one only the energy is wanted: tests/physics/test_thermodynamics.py has it.
        hot = zarr.open_group(str(store / "snapshots" / "be8-10000K" / "reference"), mode="r")
        print(f"A of be8-10000K: {float(np.asarray(hot['total_free_energy_eV'])):.6f} eV")
        shutil.rmtree(store / "snapshots" / "be8-10000K")
        pack(store, [name for name, _, _ in runs[:-1]], HERE / "temperatures.zarr.zip")


if __name__ == "__main__":
    main()
