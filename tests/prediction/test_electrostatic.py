"""The potential of a density in a store: slabs as one task, the data set's own files, and pp.x."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import maladist
from maladist import metadata
from maladist.arrays import Array
from maladist.datasets.dft.programs import run_program
from maladist.datasets.dft.scratch import Scratch
from maladist.errors import InputError, PhysicsError, PseudopotentialError, StoreError
from maladist.grid import Grid
from maladist.io.fields import cube
from maladist.io.opening import open_dataset
from maladist.io.qe.upf import read_pseudopotentials
from maladist.physics.electrostatic import electrostatic_potential
from maladist.prediction import electrostatic
from maladist.prediction.electrostatic import potential
from maladist.units import RYDBERG
from tests.prediction.common import be_slab


@pytest.fixture
def snapshot(small_data_set: Path) -> Path:
    return small_data_set / "snapshots" / "train-0"


@pytest.mark.parametrize("xc", [False, True])
def test_slabs_give_what_one_task_gives(
    xc: bool, snapshot: Path, own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = own_data / "pseudopotentials"
    found = potential(snapshot, pseudopotentials=files, xc=xc)
    dataset = open_dataset(snapshot)
    system = metadata.read_system(dataset, read_pseudopotentials(files))
    assert system.functional == "pbe" and system.has_core
    system = system if xc else replace(system, xc=None)
    exact = electrostatic_potential(torch.from_numpy(dataset["density"].values), system)
    np.testing.assert_allclose(found["potential"], exact, rtol=0, atol=1e-10)
    assert found["potential"].attrs["units"] == "eV" and set(found.attrs["pseudopotentials"]) == {"Be"}
    monkeypatch.setattr(electrostatic, "one_task_bytes", lambda *_: 2**63)
    plane = system.grid.n_points // max(system.grid.shape)
    monkeypatch.setattr(
        "maladist.parallel.workers.Workers.room", lambda *_: 8 * 24 * 5 * plane
    )  # five planes at a time
    by_slabs = potential(snapshot, pseudopotentials=files, xc=xc, store=tmp_path / "v.zarr")
    assert by_slabs["potential"].encoding["chunks"][0] < system.grid.shape[0]
    np.testing.assert_allclose(by_slabs["potential"], exact, rtol=0, atol=1e-10)
    assert not (tmp_path / "v.zarr" / "work").exists()


def test_what_does_not_belong_or_is_not_known_is_refused(snapshot: Path, own_data: Path) -> None:
    elements, dataset = read_pseudopotentials(own_data / "pseudopotentials"), open_dataset(snapshot)
    old = {"Be": replace(elements["Be"], local_radii=None, local_potential=None)}
    refused: list[tuple[type[InputError], str, dict[str, Any]]] = [
        (PseudopotentialError, "no local potential", {"pseudopotentials": old}),
        (PseudopotentialError, "for Be", {"pseudopotentials": {}}),
        (
            PseudopotentialError,
            "another file for Be",
            {"pseudopotentials": {"Be": replace(elements["Be"], sha256="0")}},
        ),
        (StoreError, "no atoms", {"density": dataset["density"].assign_attrs(dataset.attrs)}),
        (StoreError, "no 'density'", {"density": dataset.drop_vars("density")}),
        (
            StoreError,
            r"sel\(temperature",
            {"density": dataset.assign(density=dataset["density"].expand_dims("temperature"))},
        ),
    ]
    for kind, why, how in refused:
        with pytest.raises(kind, match=why):
            potential(**{"density": snapshot, "pseudopotentials": elements, **how})
    with pytest.raises(PhysicsError, match="density: 5 electrons where the valences add up to"):
        potential(dataset.assign_attrs(n_electrons=5.0), pseudopotentials=elements)
    without = dataset.assign_attrs({**dataset.attrs, "xc": None})
    with pytest.raises(InputError, match="no functional that is known"):
        potential(without, pseudopotentials=elements, xc=True)
    with pytest.raises(InputError, match="Fermi level"):
        dataset.maladist.work_function()


@pytest.mark.slow
@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pp.x") is None, reason="no pp.x on this machine")
def test_potential_and_work_function_are_those_of_pp_x(own_data: Path) -> None:
    """plot_num 11, V_bare + V_H, within what a cube file's five decimals tell: 5e-5 Ry of −5; and 1, with V_xc too."""
    atoms, code = be_slab(own_data)

    def of_pp(number: int, scratch: Scratch) -> Array:
        text = f"&INPUTPP prefix = 'm', outdir = './out', plot_num = {number} /\n"
        text += "&PLOT iflag = 3, output_format = 6, fileout = 'v.cube' /\n"
        (scratch.folder / "pp.in").write_text(text)
        run_program(scratch, "pp.x", "pp")
        return np.concatenate([slab for _, slab in cube.read_slabs(scratch.folder / "v.cube", 3)]) * RYDBERG

    with Scratch("slab", None, 1) as scratch:
        done = code.calculate(atoms, scratch)
        exact, total = of_pp(11, scratch), of_pp(1, scratch)
    grid = Grid(atoms.cell.array.tolist(), exact.shape)
    attrs = {**metadata.grid_attributes(grid), "density_cutoff_eV": done.run.density_cutoff}
    density = xr.DataArray(done.density, dims=("x", "y", "z"), attrs=attrs)
    found = maladist.potential(density, atoms, pseudopotentials=own_data / "pseudopotentials")
    np.testing.assert_allclose(found["potential"], exact, rtol=0, atol=1e-3)
    whole = maladist.potential(
        density.assign_attrs(xc="pbe"), atoms, pseudopotentials=own_data / "pseudopotentials", xc=True
    )
    assert done.density.min() < 1e-5  # a vacuum, where n_core's ripples make n + n_core negative
    np.testing.assert_allclose(whole["potential"], total, rtol=0, atol=1e-3)
    mu = done.run.fermi_energy
    assert mu is not None
    planar = exact.mean((0, 1))
    for side in ("top", "bottom"):
        work_function = found.maladist.work_function("c", side, mu=mu)
        assert work_function == pytest.approx(planar[:3].mean() - mu, abs=0.005)  # the vacuum's middle is at z = 0
        assert 4.5 < work_function < 5.0
