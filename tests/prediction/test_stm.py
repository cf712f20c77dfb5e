"""STM images: a closed form along every lattice vector, only the blocks that are needed, and pp.x."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from distributed import Client

from maladist import metadata
from maladist.datasets.dft.programs import run_program
from maladist.datasets.dft.scratch import Scratch
from maladist.energy_grid import EnergyGrid
from maladist.errors import AccuracyWarning, EnergyWindowError, InputError, StoreError
from maladist.grid import Grid
from maladist.io.fields import cube
from maladist.io.qe.wavefunctions import ldos_of_states
from maladist.physics.stm import depth_of
from maladist.physics.surface import Surface
from maladist.prediction.stm import stm
from maladist.units import BOHR, RYDBERG
from tests.prediction.common import be_slab

DECAY = 2.2  # 2κ, 1/Å
ENERGIES = EnergyGrid(-1.0, 0.1, 31)
OUTERMOST = {"top": 3.0, "bottom": 1.0}


@pytest.fixture(autouse=True)
def _here() -> Iterator[None]:
    """What is given no client is computed here, also while the client of other tests is alive."""
    with dask.config.set(scheduler="sync"):
        yield


def decaying(axis: int, side: str = "top", chunks: tuple[int, ...] = (5, 6, 7, 31)) -> xr.DataArray:
    """d(ε, r) = (2 + ε)(1 + cos(2πu)/3) e^(−2κh), h the height above the outermost atom of that side; lazy."""
    shape = np.roll((60, 12, 10), axis)
    cell = np.diag(np.roll((12.0, 2.5, 3.0), axis))
    along, across = (np.arange(n) / n for n in (60, 12))
    out = 1.0 if side == "top" else -1.0
    height = ((out * (along * 12 - OUTERMOST[side]) + 6) % 12) - 6
    field = np.einsum(
        "z,u,v,e->zuve", np.exp(-DECAY * height), 1 + np.cos(2 * np.pi * across) / 3, np.ones(10), 2 + ENERGIES.values
    )
    values = np.moveaxis(field, (0, 1, 2), tuple((i + axis) % 3 for i in range(3)))
    grid = Grid(cell.tolist(), tuple(int(n) for n in shape))
    attrs = {**metadata.grid_attributes(grid), **metadata.energy_attributes(ENERGIES)}
    return xr.DataArray(
        da.from_array(values, chunks), {"energy": ENERGIES.values}, ("x", "y", "z", "energy"), "ldos", attrs
    )


def slab(axis: int) -> Atoms:
    """Two layers, at 1 and 3 Å."""
    positions = np.roll([[1.0, 0.2, 0.3], [3.0, 1.0, 1.0]], axis, axis=1)
    return Atoms("Be2", positions=positions, cell=np.roll((12.0, 2.5, 3.0), axis), pbc=True)


def exact(bias: float, height: float) -> Any:
    """∫ (2 + ε) dε from 0.15 eV to 0.15 + bias, times the rest, over the points across."""
    low, high = sorted((0.15, 0.15 + bias))
    window = 2 * (high - low) + (high**2 - low**2) / 2
    return window * (1 + np.cos(2 * np.pi * np.arange(12) / 12) / 3) * np.exp(-DECAY * height)


def test_an_ldos_that_is_nothing_but_error_out_there_is_told() -> None:
    field = decaying(2).compute()
    field[3, 4, 25:35] = -1e-9  # about 3 Å above the outermost atoms
    with pytest.warns(AccuracyWarning, match=r"not positive at 1 of 120 points of the plane"):
        stm(field.chunk(), slab(2), bias=0.5, height=3.0, mu=0.15)


@pytest.mark.parametrize(("axis", "side"), [(0, "top"), (1, "bottom"), (2, "top")])
def test_both_images_are_those_of_the_closed_form(axis: int, side: Any) -> None:
    field, atoms = decaying(axis, side), slab(axis)
    across = "xyz"[(axis + 1) % 3]
    for bias in (0.7, -0.9):
        image = stm(field, atoms, bias=bias, height=2.7, axis="abc"[axis], side=side, mu=0.15)
        assert set(image.dims) == {"x", "y", "z"} - {"xyz"[axis]} and image.attrs["units"] == "1/Å^3"
        np.testing.assert_allclose(image.transpose(across, ...).values, np.tile(exact(bias, 2.7)[:, None], (1, 10)))
    current = 1e-3
    image = stm(field, atoms, bias=-0.9, current=current, axis=axis, side=side, mu=0.15)
    heights = np.log(exact(-0.9, 0.0) / current) / DECAY
    np.testing.assert_allclose(image.transpose(across, ...).values, np.tile(heights[:, None], (1, 10)), rtol=1e-9)
    assert image.attrs["units"] == "Å" and image.attrs["outermost_A"] == pytest.approx(OUTERMOST[side])


@pytest.mark.parametrize(("how", "planes"), [({"height": 2.7}, {28, 29}), ({"current": 1e-3}, set(range(10, 41)))])
def test_only_blocks_of_the_planes_that_are_needed_are_computed(how: dict[str, float], planes: set[int]) -> None:
    field, seen = decaying(2), set()

    def looked(block: Any, block_info: Any) -> Any:
        seen.update(range(*block_info[0]["array-location"][2]))
        return block

    counted = field.copy(data=field.data.map_blocks(looked, dtype=float, meta=np.empty((0,) * 4)))
    stm(counted, slab(2), bias=0.5, mu=0.15, **how)  # type: ignore[arg-type]
    assert planes <= seen <= set(range(min(planes) - 7, max(planes) + 7))


def test_the_fermi_level_is_the_datas_own_or_that_of_their_dos(client: Client) -> None:
    field, atoms = decaying(2), slab(2)
    half = float(field.maladist.dos().sum()) * ENERGIES.spacing / 2
    told = field.assign_attrs(n_electrons=half, temperature_K=300.0, broadening_correction=False)
    mu = told.maladist.fermi_energy()
    assert 0 < mu < 1.5
    image = stm(told, atoms, bias=0.5, height=2.0, client=client)
    assert image.attrs["fermi_energy_eV"] == pytest.approx(mu, abs=1e-9)
    np.testing.assert_allclose(image, stm(field, atoms, bias=0.5, height=2.0, mu=mu))
    dataset = field.to_dataset().assign_attrs(field.attrs).assign(fermi_energy_eV=0.15)
    assert stm(dataset, atoms, bias=0.5, height=2.0).attrs["fermi_energy_eV"] == 0.15
    with pytest.raises(StoreError, match="Fermi level"):
        stm(field, atoms, bias=0.5, height=2.0)
    with pytest.raises(StoreError, match=r"2 temperatures.*sel\(temperature"):
        stm(dataset.assign(fermi_energy_eV=("temperature", [0.1, 0.2])), atoms, bias=0.5, height=2.0)


def test_the_accessors_give_the_same_image() -> None:
    field, atoms = decaying(2), slab(2)
    image = stm(field, atoms, bias=0.5, current=1e-3, mu=0.15)
    of_array = field.maladist.stm(0.5, current=1e-3, mu=0.15, atoms=atoms)
    dataset = field.to_dataset().assign_attrs(field.attrs)
    dataset["position"] = ("atom", "xyz"), atoms.positions
    dataset["number"] = "atom", atoms.numbers.astype(np.int16)
    xr.testing.assert_identical(of_array, image)
    xr.testing.assert_identical(dataset.maladist.stm(0.5, current=1e-3, mu=0.15), image)
    assert image.maladist.plot.slice().get_aspect() == 1.0


def test_what_cannot_be_imaged_is_refused() -> None:
    field, atoms = decaying(2), slab(2)
    other = atoms.copy()
    other.set_cell([2.5, 3.0, 13.0])
    refused: list[tuple[str, dict[str, Any]]] = [
        ("neither height nor current", {}),
        ("both height and current", {"height": 1.0, "current": 1.0}),
        (r"5\.5 Å; wanted 0 to 5\.00 Å", {"height": 5.5}),
        ("a positive value", {"current": 0.0}),
        (r"which not every column has; wanted more than 2\.\d+e-05 and at most", {"current": 1e-9}),
        ("not that of the LDOS", {"height": 1.0, "atoms": other}),
        ("1.99|vacuum", {"height": 1.0, "axis": "a"}),
    ]
    for why, how in refused:
        with pytest.raises(InputError, match=why):
            stm(field, **{"atoms": atoms, "bias": 0.5, "mu": 0.15, **how})
    with pytest.raises(EnergyWindowError, match="window"):
        stm(field, atoms, bias=5.0, height=1.0, mu=0.15)
    with pytest.raises(StoreError, match="Give the atoms"):
        stm(field, bias=0.5, height=1.0, mu=0.15)
    broad = field.assign_attrs(broadening_kernel="gaussian", broadening_width_eV=0.5)
    with pytest.warns(AccuracyWarning, match=r"broadened by 0\.35 eV, the bias is 0\.2 V"):
        stm(broad, atoms, bias=0.2, height=1.0, mu=0.15)


@pytest.mark.slow
@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pp.x") is None, reason="no pp.x on this machine")
def test_images_are_those_of_pp_x(own_data: Path) -> None:
    """Its window is made sharp: else it counts states beyond an end with a part that is no broadened LDOS.

    A degauss δ gives a state that is x δ outside of the window the weight 1/(2 + 2 cosh x), one inside the weight 1.
    """
    atoms, code = be_slab(own_data)
    with Scratch("slab", None, 1) as scratch:
        run, save = code.calculate(atoms, scratch).run, scratch.folder / "out" / "m.save"
        xml = save / "data-file-schema.xml"
        xml.write_text(re.sub(r'smearing degauss="[^"]*"', 'smearing degauss="1e-9"', xml.read_text()))
        mu, of_pp = run.fermi_energy, {}
        assert mu is not None
        # Of single states, the nearest of which is 0.05 eV from an end of the windows: not broadened across it.
        narrow = EnergyGrid(mu - 1.5, 0.0125, 241, "gaussian", 0.015)
        values = ldos_of_states(save, run, narrow)
        for bias in (1.0, -1.0):
            plot = "&PLOT iflag = 3, output_format = 6, fileout = 'stm.cube' /\n"
            text = f"&INPUTPP prefix = 'm', outdir = './out', plot_num = 5, sample_bias = {bias / RYDBERG:.12f}d0 /\n"
            (scratch.folder / "pp.in").write_text(text + plot)
            run_program(scratch, "pp.x", "pp")
            slabs = [slab for _, slab in cube.read_slabs(scratch.folder / "stm.cube", 3)]
            of_pp[bias] = np.concatenate(slabs) / BOHR**3
    grid = Grid(atoms.cell.array.tolist(), values.shape[:3])
    attrs = {**metadata.grid_attributes(grid), **metadata.energy_attributes(narrow)}
    field = xr.DataArray(values, {"energy": narrow.values}, ("x", "y", "z", "energy"), "ldos", attrs)
    for bias, exact in of_pp.items():
        # Five decimals of the cube file, float32 of the LDOS.
        plane = 68
        height = plane / 80 * atoms.cell[2, 2] - atoms.positions[:, 2].max()
        image = stm(field, atoms, bias=bias, height=height, mu=mu)
        np.testing.assert_allclose(image, exact[..., plane], rtol=1e-4)
        current = float(exact[..., plane].mean())
        image = stm(field, atoms, bias=bias, current=current, mu=mu)
        planes, first = Surface.of(atoms).planes(grid)
        np.testing.assert_allclose(image, first - depth_of(current, exact[..., planes])[0] * grid.spacing[2], atol=1e-4)
