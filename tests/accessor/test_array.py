"""`.maladist` of a DataArray: the numbers of `predict`, no block more than is looked at, errors at the boundary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import maladist
from maladist.errors import InputError
from maladist.io.fields import cube
from maladist.testing import RECUT, RECUT_ENERGY
from maladist.units import BOHR, LDOS_QE
from tests.accessor.common import off

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


def test_a_lazy_ldos_has_the_numbers_of_predict(field: xr.DataArray, result: maladist.Prediction) -> None:
    of = field.maladist
    assert off(of.dos(), result.dos) <= RECUT
    assert abs(of.fermi_energy() - result.fermi_energy) <= RECUT_ENERGY
    assert off(of.density(), result.density) <= RECUT


def test_fermi_energy_moves_with_the_electrons(field: xr.DataArray) -> None:
    of = field.maladist
    assert of.fermi_energy(3.0) < of.fermi_energy() == of.fermi_energy(4.0) < of.fermi_energy(5.0)


@pytest.mark.parametrize(
    ("selection", "blocks"),
    [({"z": 0}, 12), ({"x": 3, "y": 2, "z": 5}, 1), ({"x": slice(0, 5)}, 12), ({"z": slice(6, 8)}, 24), ({}, 36)],
)
def test_density_computes_only_the_blocks_that_it_touches(
    selection: dict[str, Any], blocks: int, field: xr.DataArray, result: maladist.Prediction, computed: list[int]
) -> None:
    part = field.isel(selection).maladist.density(result.fermi_energy, 2000.0)
    late = field.maladist.density(result.fermi_energy, 2000.0).isel(selection)
    assert computed == []
    assert off(part, result.density.isel(selection)) <= RECUT
    assert len(computed) == len(set(computed)) == blocks
    computed.clear()
    late.compute()
    assert len(computed) == blocks


def test_a_region_has_its_part_of_the_dos(field: xr.DataArray, result: maladist.Prediction) -> None:
    parts = [field.isel(x=s).maladist.dos() for s in (slice(0, 6), slice(6, None))]
    assert parts[0].attrs["units"] == "1/eV"
    assert off(parts[0] + parts[1], result.dos) <= RECUT


def test_an_integral_over_energies_is_that_of_the_samples_and_lazy(field: xr.DataArray, computed: list[int]) -> None:
    point = field.isel(x=3, y=2, z=5)
    total = point.maladist.integrate()
    assert computed == [] and total.attrs["units"] == "1/Å^3" and total.name == "integral"
    energies = field.maladist.energy_grid
    assert float(total) == pytest.approx(energies.spacing * float(point.sum("energy")), rel=1e-12)
    low, high = energies.values[[4, 11]]
    trapezoids = point[4:12].integrate("energy")  # with no gap between, and ends on levels
    assert float(point.maladist.integrate(low=low, high=high)) == pytest.approx(float(trapezoids), rel=1e-12)
    with pytest.raises(InputError, match="low below high"):
        point.maladist.integrate(low=1.0, high=1.0)


@pytest.mark.parametrize("at", [None, 1.0])
def test_a_cube_file_gives_the_field_back(at: float | None, result: maladist.Prediction, tmp_path: Path) -> None:
    of, factor = result.dataset.maladist, BOHR**3
    field, array = of.field("density"), result.density
    if at is not None:
        array = result.dataset["ldos"].sel(energy=at, method="nearest")
        field, factor = (
            array.assign_attrs({**result.dataset.attrs, **array.attrs}).maladist,
            1 / LDOS_QE,
        )
    path = field.to_cube(tmp_path / "n.cube", result.atoms)
    header = cube.read_header(path)
    assert header.shape == result.grid.shape
    np.testing.assert_allclose(header.atoms.positions, result.atoms.positions, atol=1e-8)
    values = np.concatenate([slab for _, slab in cube.read_slabs(path, 3)])
    assert off(values, np.asarray(array, np.float64) * factor) < 1e-8  # digits of the file
    if at is not None:
        assert header.energy == pytest.approx(float(array["energy"]))


def test_what_is_no_field_of_a_cell_is_refused(field: xr.DataArray, result: maladist.Prediction) -> None:
    plain = xr.DataArray(np.zeros((3, 3, 3)), dims=("x", "y", "z"), name="u")
    refused: list[tuple[str, Callable[[], Any]]] = [
        ("no attributes cell and grid", lambda: plain.maladist.plot.slice()),
        ("an LDOS, with its energies", lambda: plain.maladist.dos()),
        ("keep_attrs=True", lambda: field.copy().drop_attrs().maladist.dos()),
        ("a part of its grid", lambda: field.isel(x=slice(0, 4)).maladist.fermi_energy()),
        ("give mu", lambda: field.isel(z=0).maladist.density()),
        ("5 energies of 41", lambda: field.isel(energy=slice(0, 5)).maladist.density(0.0)),
        ("method='nearest'", lambda: field.maladist.plot.slice()),
        ("'a', 'b', 'c'", lambda: result.density.maladist.plot.slice("d")),
        ("no 'ldos'", lambda: result.dataset.drop_vars("ldos").maladist.density(temperature=5000.0)),
        ("lacks dε and f", lambda: field.sum("energy", keep_attrs=True).maladist.to_cube("never.cube", result.atoms)),
        ("Give atoms", lambda: result.density.maladist.to_cube("never.cube")),
        ("a part of a plane", lambda: result.density.isel(z=0, x=slice(3)).maladist.plot.slice()),
    ]
    for why, bad in refused:
        with pytest.raises(InputError, match=why):
            bad()
