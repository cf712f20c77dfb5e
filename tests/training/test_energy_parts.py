"""An energy axis in parts, of made-up semicore states below the valence's, from converted files to a prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from maladist import evaluate, load_model, metadata, predict, train
from maladist.datasets.check import check
from maladist.datasets.convert.convert import convert
from maladist.datasets.convert.source import Source
from maladist.errors import DataFileError, GridError, InputError, StoreError
from maladist.io import datasets
from maladist.io.opening import open_dataset
from maladist.io.qe.run import DFTRun
from maladist.learning.about import model_rows
from maladist.testing import Listener
from maladist.training.train import MODEL
from tests.training.common import config_of

DEPTH, WIDTH = -40.0, 0.4  # eV, of the semicore states, and δ
PARTS = [(-42.5, 0.25, 21), (-6.0, 0.3, 66)]


def with_semicore(group: Path, folder: Path) -> Source:
    """A snapshot with two electrons an atom more, at one energy and spread over the cell as the density is."""
    data, terms = open_dataset(group), datasets.reference_terms(datasets.read_reference(group))
    n, more = np.asarray(data["density"].values), 2 * data.sizes["atom"]
    at = PARTS[0][0] + PARTS[0][1] * np.arange(PARTS[0][2])
    level = np.exp(-(((at - DEPTH) / WIDTH) ** 2)) / (np.sqrt(np.pi) * WIDTH)
    ldos = np.concatenate([(n * more / data.attrs["n_electrons"])[..., None] * level, data["ldos"].values], axis=-1)
    path, density = folder / f"{group.name}.npy", folder / f"{group.name}.n.npy"
    np.save(path, ldos.astype(np.float32))
    np.save(density, n * (1 + more / data.attrs["n_electrons"]))
    kept = {k: terms[k] for k in ("fermi_energy_eV", "entropy_contribution_eV")}
    electrons = data.attrs["n_electrons"] + more
    run = DFTRun(
        Path("made-up"),
        metadata.atoms_of(data),
        n.shape,
        data.attrs["temperature_K"],
        electrons,
        "pbe",
        terms={**kept, "band_energy_eV": terms["band_energy_eV"] + DEPTH * more},
    )
    return Source(run, [path], density=density, parts=PARTS, kernel="gaussian", width=WIDTH)


@pytest.fixture(scope="module")
def semicore(small_data_set: Path, tmp_path_factory: pytest.TempPathFactory, client: Client) -> Path:
    folder = tmp_path_factory.mktemp("semicore")
    for name in ("train-0", "train-1", "valid-0"):
        source = with_semicore(small_data_set / "snapshots" / name, folder)
        convert(source, folder / "d.zarr", name=name, client=client)
    return folder / "d.zarr"


def test_a_store_keeps_its_parts_and_holds_against_the_reference(semicore: Path, client: Client) -> None:
    data = open_dataset(semicore / "snapshots/train-0")
    assert data.attrs["energy_parts"] == [21, 66] and data.attrs["energy_levels"] == 87
    energies = metadata.energy_grid_of(data)
    assert energies.gaps == [(pytest.approx(-37.5), pytest.approx(-6.0))]
    np.testing.assert_allclose(data["ldos"].maladist.dos(), data["dos"], rtol=1e-6)
    # Part by part: xarray's own integral would run across the gap.
    whole = float(data["dos"].maladist.integrate())
    assert whole == pytest.approx(0.25 * float(data["dos"][:21].sum()) + 0.3 * float(data["dos"][21:].sum()), rel=1e-9)
    assert float(data["dos"].maladist.integrate(high=-20.0)) == pytest.approx(4.0, rel=1e-4)
    with pytest.raises(StoreError, match="2 energies of 87"):
        data["dos"].isel(energy=[20, 21]).maladist.integrate()
    assert data["ldos"].maladist.fermi_energy() == pytest.approx(7.952, abs=0.05)
    (one,) = check(semicore / "snapshots/train-0", client=client)
    figures = one.figures["on"]
    # The valence's own data hold to a meV; the made-up level adds its electrons and its energy exactly.
    assert one.good and abs(figures.terms["band_energy"]) < 1.0
    assert figures.electrons == pytest.approx(8.0, abs=5e-3)


def test_parts_that_are_not_those_of_the_files_are_refused(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    source = with_semicore(small_data_set / "snapshots/train-0", tmp_path)
    with pytest.raises(DataFileError, match=r"87 levels; wanted 20 \+ 66 levels, by --part"):
        convert(replace(source, parts=[(-42.5, 0.25, 20), PARTS[1]]), tmp_path / "d.zarr", name="a", client=client)
    with pytest.raises(InputError, match="given beside parts"):
        convert(replace(source, energies=(-6.0, 0.3)), tmp_path / "d.zarr", name="a", client=client)
    with pytest.raises(GridError, match=r"parts in order, 0\.55 eV or more apart, or overlapping"):
        convert(replace(source, parts=[(-11.1, 0.25, 21), PARTS[1]]), tmp_path / "d.zarr", name="a", client=client)


def test_parts_that_overlap_give_what_one_axis_gives(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    """Of equal spacing the samples of both parts are the same ones, and their shares sum to one."""
    group = small_data_set / "snapshots/valid-0"
    data, terms = open_dataset(group), datasets.reference_terms(datasets.read_reference(group))
    energies = metadata.energy_grid_of(data)
    (at, step, n), more = energies.windows[0], {"kernel": energies.kernel, "width": energies.width}
    np.save(tmp_path / "n.npy", data["density"].values)
    about = data.attrs["temperature_K"], data.attrs["n_electrons"], "pbe"
    run = DFTRun(Path("made-up"), metadata.atoms_of(data), data["density"].shape, *about, terms=terms)
    found = []
    for levels, parts in (
        ([*range(n)], []),
        ([*range(40), *range(30, n)], [(at, step, 40), (at + 30 * step, step, n - 30)]),
    ):
        np.save(tmp_path / "d.npy", data["ldos"].values[..., levels])
        told = {"parts": parts} if parts else {"energies": (at, step)}
        source = Source(run, [tmp_path / "d.npy"], density=tmp_path / "n.npy", **told, **more)
        store = tmp_path / f"{len(levels)}.zarr"
        convert(source, store, name="a", client=client)
        (checked,) = check(store, client=client)
        ldos = open_dataset(store / "snapshots/a")["ldos"].maladist
        level, below = ldos.fermi_energy(), float(ldos.dos().maladist.integrate(high=3.0))
        found.append([*checked.figures["on"].terms.values(), level, below, *ldos.density().values.ravel()])
    assert metadata.energy_grid_of(open_dataset(store / "snapshots/a")).gaps == []
    np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_a_model_learns_and_predicts_all_parts(semicore: Path, tmp_path: Path, client: Client) -> None:
    """The network is small: that electrons and energies of both parts are there is what is held, by a few per cent."""
    config = config_of(semicore, epochs=30, data={"pseudopotentials": None}, inputs={"kind": "whiten"})
    trained = train(config, tmp_path / "out", client=client)
    model = load_model(tmp_path / "out" / MODEL)
    assert model.content_hash == trained.content_hash and model.energy_grid == trained.energy_grid
    assert [part.levels for part in model.energy_grid.parts] == [21, 66]
    assert "21 levels from -42.5 eV by 0.25 eV and 66 levels" in dict(model_rows(model, ""))["energies"]
    data = open_dataset(semicore / "snapshots/valid-0")
    cell, grid, told = metadata.atoms_of(data), metadata.grid_of(data).shape, Listener()
    found = predict(cell, model, client=client, grid=grid, store=tmp_path / "p.zarr", observer=told)
    assert not any("gap" in note for note in told.notes)
    stored = open_dataset(tmp_path / "p.zarr")
    assert metadata.energy_grid_of(stored) == model.energy_grid
    dos = found.dos.values
    assert 0.25 * dos[:21].sum() == pytest.approx(4.0, rel=0.05)
    reference = datasets.reference_terms(datasets.read_reference(semicore / "snapshots/valid-0"))
    assert dict(found.energies)["band_energy_eV"] == pytest.approx(reference["band_energy_eV"], rel=0.05)
    # Two cells teach little: the valence alone, trained alike, is off by 0.35 eV.
    assert found.fermi_energy == pytest.approx(reference["fermi_energy_eV"], abs=0.8)
    (one,) = evaluate(model, semicore / "snapshots/valid-0", client=client)
    assert one.dos_relative < 0.2 and one.electrons is not None and abs(one.electrons) < 0.2
