"""A made-up LDOS, the files a DFT code would write of it, and the repository's own snapshot as a source."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from maladist import Grid
from maladist.datasets.convert.source import Source
from maladist.io.fields import cube, xsf
from maladist.io.qe.run import DFTRun
from maladist.units import LDOS_QE

GRID = Grid([[2.3, 0, 0], [-1.1, 2.0, 0], [0.1, 0, 3.6]], (6, 5, 7))


@pytest.fixture
def crystal() -> Atoms:
    return Atoms("Be2", [[0.1, 0.2, 0.3], [1.0, 0.9, 2.0]], cell=GRID.cell_array, pbc=True)


@pytest.fixture
def ldos() -> np.ndarray:
    return np.random.default_rng(1).random((*GRID.shape, 4)).astype(np.float32)


def write_text(folder: Path, crystal: Atoms, ldos: np.ndarray, kind: str, zipped: bool = False) -> list[Path]:
    """One file a level as a DFT code would write it, in its units."""
    module, paths = {"cube": cube, "xsf": xsf}[kind], []
    for i in range(ldos.shape[-1]):
        path = folder / f"tmp.pp{i + 1:03d}.{kind}{'.gz' if zipped else ''}"
        with gzip.open(path, "wt") if zipped else path.open("w") as stream:
            title = cube.level_title(-1.0 + 0.5 * i, 0.5)
            module.write_header(stream, crystal, GRID, title)
            module.write_slab(stream, ldos[..., i] / LDOS_QE)
            if kind == "xsf":
                extra = np.pad(ldos[:, :, :1, i] / LDOS_QE, ((0, 1), (0, 1), (0, 0)), mode="wrap")
                xsf.write_numbers(stream, extra.transpose(2, 1, 0))
            module.write_end(stream)
        paths.append(path)
    return paths


def run_of(crystal: Atoms) -> DFTRun:
    return DFTRun(Path("made-up"), crystal, GRID.shape)


def own_source(own_data: Path, folder: Path, **options: object) -> Source:
    """The repository's own Be2 snapshot as a MALA user would have it."""
    case = own_data / "qe/be2_nc_nlcc_1000K"
    facts = json.loads((case / "reference.json").read_text())
    planes = np.load(case / "ldos.npz")["byte_planes"]
    values = np.moveaxis(np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view("<f4")[..., 0], 0, -1)
    np.save(folder / "ldos.npy", values)
    level = facts["ldos"]
    terms = {k: facts[k] for k in ("fermi_energy_eV", "band_energy_eV", "entropy_contribution_eV")}
    run = DFTRun(
        case,
        ase.io.read(case / "atoms.extxyz"),
        tuple(facts["grid"]),
        facts["temperature_K"],
        facts["n_electrons"],
        "pbe",
        terms=terms,
    )
    given = {
        "density": case / "density.npy",
        "energies": (level["energy_origin_eV"], level["energy_spacing_eV"]),
        "kernel": "gaussian",
        "width": level["broadening_delta_eV"],
    }
    return Source(run, [folder / "ldos.npy"], **{**given, **options})
