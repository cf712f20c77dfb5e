"""What `observe` refuses, and what it must leave alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel, metadata
from maladist.errors import EnergyWindowError, InputError, StoreError
from maladist.testing import sic_elements

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction:UserWarning")


@pytest.mark.parametrize("how", ["path", "dataset"])
def test_the_result_does_not_replace_the_ldos_that_it_is_computed_from(
    how: str, atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path
) -> None:
    store = tmp_path / "kept.zarr"
    kept = maladist.predict(atoms, model, grid=(6, 6, 9), client=client, store=store, keep=("ldos",))
    ldos = store if how == "path" else xr.open_zarr(store, chunks={}, consolidated=False)
    with pytest.raises(StoreError, match="holds the LDOS that is read"):
        maladist.observe(ldos, client=client, store=store, overwrite=True)
    assert maladist.observe(store, client=client).fermi_energy == pytest.approx(kept.fermi_energy, abs=1e-6)


# -- the density of the double counting ------------------------------------------------------------------------------


def test_the_double_counting_is_at_the_density_of_the_data_at_every_temperature(
    temperatures: Path, client: Client
) -> None:
    """One pass, one run at either temperature: the same A; n(T) is the DFT's and what the LDOS adds to it."""
    group, elements = temperatures / "snapshots" / "sic-300K", sic_elements()
    data = xr.open_zarr(group, consolidated=False).load()
    both = maladist.observe(group, temperature=[300.0, 5000.0], pseudopotentials=elements, client=client)
    assert both.dataset.attrs["double_counting"] == "dft" and both.dataset.attrs["reference_temperature_K"] == 300.0
    cold, hot = both.at(300.0), both.at(5000.0)
    np.testing.assert_array_equal(cold.density, data["density"])
    assert cold.energies.hartree == hot.energies.hartree and cold.energies.xc == hot.energies.xc
    alone = maladist.observe(group, temperature=5000.0, pseudopotentials=elements, client=client)
    assert alone.energies.total == pytest.approx(hot.energies.total, abs=1e-9)
    np.testing.assert_allclose(alone.density, hot.density, atol=1e-12)
    assert float(hot.density.sum()) == pytest.approx(float(cold.density.sum()), rel=1e-6)
    dft = xr.open_zarr(temperatures / "snapshots" / "sic-5000K", consolidated=False).load()
    errors = [float(abs(n - dft["density"]).sum()) for n in (hot.density, cold.density)]
    assert errors[0] < 0.85 * errors[1]  # as the levels of 300 K have it, without the field that the electrons answer


def test_the_density_of_the_ldos_is_used_where_it_is_asked_for(temperatures: Path, client: Client) -> None:
    group, elements = temperatures / "snapshots" / "sic-5000K", sic_elements()
    dft = maladist.observe(group, pseudopotentials=elements, client=client)
    own = maladist.observe(group, pseudopotentials=elements, double_counting="ldos", client=client)
    assert own.dataset.attrs["double_counting"] == "ldos"
    assert own.energies.band == dft.energies.band and own.energies.hartree != dft.energies.hartree
    assert 0 < float(abs(own.density - dft.density).mean() / dft.density.mean()) < 1e-4
    with pytest.raises(InputError, match="hold no density"):
        maladist.observe(
            xr.open_zarr(group, consolidated=False).drop_vars("density"), double_counting="dft", client=client
        )


def test_a_part_of_the_energies_is_refused(temperatures: Path, client: Client) -> None:
    """Cut off below, μ would move up until all electrons fit: a result like any other."""
    data = xr.open_zarr(temperatures / "snapshots" / "sic-300K", consolidated=False)
    with pytest.raises(InputError, match=r"energies of \d+; wanted all of them"):
        maladist.observe(data.isel(energy=slice(10, None)))
    # Of an array that does not tell how many there were, what is lost below is said.
    bare = data["ldos"].isel(energy=slice(30, None)).drop_attrs().load()
    known = {n: data.attrs[n] for n in ("cell", "n_electrons", "temperature_K")}
    found = maladist.observe(bare.assign_attrs(known), metadata.atoms_of(data), client=client)
    assert any("does not vanish at the lowest energy" in note for note in found.dataset.attrs["notes"])
    whole = maladist.observe(data, client=client)
    assert not any("lowest energy" in note for note in whole.dataset.attrs["notes"])


def test_a_temperature_beyond_the_levels_is_refused_and_leaves_nothing(
    temperatures: Path, client: Client, tmp_path: Path
) -> None:
    group = temperatures / "snapshots" / "sic-300K"
    with pytest.raises(EnergyWindowError, match="50000 K"):
        maladist.observe(group, temperature=50_000.0, client=client, store=tmp_path / "hot.zarr")
    assert not (tmp_path / "hot.zarr").exists()


def test_an_ldos_that_was_kept_is_observed_with_the_convention_of_its_run(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path
) -> None:
    """A store of 1000 K of a model of 2000 K: n₀ is made of the LDOS at 2000 K again."""
    made = maladist.predict(
        atoms, model, temperature=1000.0, grid=(9, 9, 12), client=client, store=tmp_path / "k.zarr", keep=("ldos",)
    )
    assert made.dataset.attrs["reference_temperature_K"] == 2000.0
    seen = maladist.observe(made.store, pseudopotentials=model.elements, client=client)
    assert seen.energies.hartree == pytest.approx(made.energies.hartree, abs=1e-5)  # the LDOS is kept in float32
    assert seen.energies.total == pytest.approx(made.energies.total, abs=1e-4)
