"""The accessor: the numbers of `predict` and `observe`, no block more than is looked at, and errors at the boundary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import matplotlib
import numpy as np
import pytest
import xarray as xr
from distributed import Client
from matplotlib.figure import Figure

import maladist
from maladist.errors import InputError, StoreError
from maladist.io.fields import cube
from maladist.prediction import lazy
from maladist.report.figures import in_plane
from maladist.testing import RECUT, RECUT_ENERGY, be_atoms, tiny_model

matplotlib.use("agg")
pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")

GRID, CHUNKS = (14, 14, 20), (5, 4, 7)  # 3 × 4 × 3 blocks


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A cluster within this process: what is tested here is not the cluster."""
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        yield client


@pytest.fixture(scope="module")
def result(client: Client, tmp_path_factory: pytest.TempPathFactory) -> maladist.Prediction:
    """A prediction in float64 with its LDOS kept."""
    store = tmp_path_factory.mktemp("accessor") / "be.zarr"
    options: dict[str, Any] = {"client": client, "store": store, "keep": ("ldos",), "precision": "float64"}
    return maladist.predict(be_atoms(), tiny_model(), grid=GRID, chunks=CHUNKS, **options)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of the blocks that were computed."""
    found: list[int] = []
    real: Callable[..., Any] = lazy._ldos_block

    def counting(grid: Any, block: Any, *rest: Any) -> Any:
        found.append(block.index)
        return real(grid, block, *rest)

    monkeypatch.setattr(lazy, "_ldos_block", counting)
    return found


@pytest.fixture
def field(computed: list[int]) -> Iterator[xr.DataArray]:
    """The same LDOS, lazily, and counting."""
    with dask.config.set(scheduler="sync"):
        yield maladist.ldos(be_atoms(), tiny_model(), grid=GRID, chunks=CHUNKS, precision="float64")


def off(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max())


def test_a_lazy_ldos_has_the_numbers_of_predict(field: xr.DataArray, result: maladist.Prediction) -> None:
    of = field.maladist
    assert off(of.dos(), result.dos) <= RECUT
    assert abs(of.fermi_energy() - result.fermi_energy) <= RECUT_ENERGY
    assert off(of.density(), result.density) <= RECUT


def test_a_stored_ldos_has_those_of_observe_at_any_temperature(result: maladist.Prediction, client: Client) -> None:
    kept = maladist.Prediction.open(result.store).dataset
    hot = maladist.observe(result.store, temperature=9000.0, client=client)
    only = kept.drop_vars("dos")  # so that D(ε) is made of the LDOS
    of = only.maladist
    assert abs(of.fermi_energy(temperature=9000.0) - hot.fermi_energy) <= RECUT_ENERGY
    assert off(of.density(temperature=9000.0), hot.density) <= RECUT
    assert off(of.dos(), hot.dos) <= RECUT
    assert kept.maladist.fermi_energy() == pytest.approx(result.fermi_energy, abs=RECUT_ENERGY)
    xr.testing.assert_equal(kept.maladist.density(), result.density)


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


def test_a_picture_of_a_plane_computes_only_its_blocks(
    field: xr.DataArray, result: maladist.Prediction, computed: list[int]
) -> None:
    density = field.maladist.density(result.fermi_energy)
    axes = density.maladist.plot.slice("c", 3 / 20, ax=Figure().subplots())
    assert len(computed) == 12
    drawn = axes.collections[0].get_array()
    exact = in_plane(result.density.isel(z=3).values, *result.grid.cell_array[:2])[2]
    np.testing.assert_allclose(np.ma.filled(drawn, np.nan).reshape(exact.shape), exact, rtol=1e-9)
    assert axes.get_aspect() == 1.0 and "0.15 c" in axes.get_title()
    computed.clear()
    levels = field.sel(energy=1.0, method="nearest")
    assert levels.isel(y=0).maladist.plot.slice(ax=Figure().subplots()).get_xlabel() == "Å"
    assert len(computed) == 9


def test_a_region_has_its_part_of_the_dos(field: xr.DataArray, result: maladist.Prediction) -> None:
    parts = [field.isel(x=s).maladist.dos() for s in (slice(0, 6), slice(6, None))]
    assert parts[0].attrs["units"] == "1/eV"
    assert off(parts[0] + parts[1], result.dos) <= RECUT


@pytest.mark.parametrize("at", [None, 1.0])
def test_a_cube_file_gives_the_field_back(at: float | None, result: maladist.Prediction, tmp_path: Path) -> None:
    of, factor = result.dataset.maladist, maladist.accessor.BOHR**3
    field, array = of.field("density"), result.density
    if at is not None:
        array = result.dataset["ldos"].sel(energy=at, method="nearest")
        field, factor = (
            array.assign_attrs({**result.dataset.attrs, **array.attrs}).maladist,
            1 / maladist.accessor.LDOS_QE,
        )
    path = field.to_cube(tmp_path / "n.cube", result.atoms)
    header = cube.read_header(path)
    assert header.shape == result.grid.shape
    np.testing.assert_allclose(header.atoms.positions, result.atoms.positions, atol=1e-8)
    values = np.concatenate([slab for _, slab in cube.read_slabs(path, 3)])
    assert off(values, np.asarray(array, np.float64) * factor) < 1e-8  # digits of the file
    if at is not None:
        assert header.energy == pytest.approx(float(array["energy"]))


def test_an_isosurface_shows_itself(result: maladist.Prediction, tmp_path: Path) -> None:
    surface = result.density.maladist.plot.isosurface(atoms=result.atoms)
    assert "<iframe srcdoc=" in surface._repr_html_()
    assert '"name": "n"' in surface.save(tmp_path / "n.html").read_text()
    assert result.dataset.maladist.plot.isosurface().data == surface.data


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


def test_several_temperatures_ask_for_one(client: Client) -> None:
    two = maladist.predict(be_atoms(), tiny_model(), temperature=[900.0, 5000.0], grid=(9, 9, 12), client=client)
    with pytest.raises(StoreError, match=r"sel\(temperature"):
        two.dataset.maladist.density()
    hot = two.dataset.sel(temperature=5000.0).maladist
    assert hot.fermi_energy() == pytest.approx(two.at(5000.0).fermi_energy, abs=RECUT_ENERGY)
    two.close()
