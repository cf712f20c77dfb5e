"""Data of a training: found and refused before a worker is asked for anything."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import zarr

from maladist import TrainConfig
from maladist.cli.app import main
from maladist.errors import InputError, PhysicsError
from maladist.io.yaml import yaml_text
from maladist.training.data import find_data
from maladist.training.sections import Metric
from tests.conftest import changeable

NOWHERE = "tcp://127.0.0.1:9"  # a cluster that does not answer


def config_of(store: Path, **more: Any) -> dict[str, Any]:
    descriptor = {"family": "bispectrum", "twojmax": 2, "cutoff": 3.5}
    return {"data": {"train": str(store / "snapshots/train-*")}, "descriptor": descriptor, "device": "cpu", **more}


@pytest.fixture
def two_elements(small_data_set: Path, tmp_path: Path) -> Path:
    """The small data set with an atom of aluminium in each of its cells."""
    store = tmp_path / "two.zarr"
    changeable(small_data_set, store)
    for group in (store / "snapshots").iterdir():
        if group.is_dir():
            zarr.open_array(group / "number", mode="r+")[0] = 13
    return store


def test_two_elements_get_different_weights_and_one_keeps_none(small_data_set: Path, two_elements: Path) -> None:
    assert find_data(TrainConfig.of(config_of(small_data_set))).spec.to_dict()["weights"] == {}
    found = find_data(TrainConfig.of(config_of(two_elements)))
    assert found.spec.to_dict()["weights"] == {"Al": 1.0, "Be": -1.0}
    assert not any("apart" in note for note in found.notes)


def test_pseudopotentials_of_another_number_of_electrons_than_the_data_s_are_refused(
    small_data_set: Path, own_data: Path, tmp_path: Path
) -> None:
    """As those of the valence alone, beside data with semicore states: the model would count too few electrons."""
    store = tmp_path / "more.zarr"
    changeable(small_data_set, store)
    for group in (store / "snapshots").glob("train-*"):
        zarr.open_group(group, mode="r+").attrs["n_electrons"] = 8.0
    config = config_of(store)
    config["data"]["pseudopotentials"] = str(own_data / "pseudopotentials")
    with pytest.raises(PhysicsError, match=r"data\.pseudopotentials: 8 electrons where the valences add up to 4"):
        find_data(TrainConfig.of(config))


def test_a_broadening_much_wider_than_the_thermal_energy_is_told_once(small_data_set: Path, temperatures: Path) -> None:
    data = {"train": [str(temperatures / "snapshots/sic-300K")]}
    notes = find_data(TrainConfig.of(config_of(temperatures) | {"data": data})).notes
    assert sum("k_BT" in note for note in notes) == 1
    assert not any("k_BT" in note for note in find_data(TrainConfig.of(config_of(small_data_set))).notes)


def test_sizes_whose_densities_of_states_disagree_are_told_of(
    small_data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig.of(config_of(small_data_set))
    assert not any("k-points" in note for note in find_data(config).notes)
    monkeypatch.setattr("maladist.datasets.sizes.APART", -1.0)  # cells of one size differ by 0 from themselves
    assert any("k-points" in note for note in find_data(config).notes)


def test_sizes_are_compared_without_their_cells_zeros_of_energy(
    small_data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Any] = []
    monkeypatch.setattr("maladist.training.data.note_of_sizes", lambda cells: compared.extend(cells) or "")
    plain, local = (find_data(TrainConfig.of(config_of(small_data_set, **z))) for z in ({}, {"energy_zero": {"Be": 9}}))
    assert not np.array_equal(plain.train[0].dos, local.train[0].dos)
    for (_, dos), snapshot in zip(compared, [*plain.train, *local.train], strict=True):
        assert np.array_equal(dos, snapshot.dos)


def test_weights_that_are_alike_are_told_of(two_elements: Path) -> None:
    descriptor = {"family": "bispectrum", "twojmax": 2, "cutoff": 3.5, "weights": {"Al": 2.0, "Be": 2.0}}
    found = find_data(TrainConfig.of(config_of(two_elements, descriptor=descriptor)))
    assert any("does not tell Al, Be apart" in note for note in found.notes)


PARTIAL: dict[str, tuple[dict[str, Any], str]] = {
    "weights": (
        {"descriptor": {"family": "bispectrum", "twojmax": 2, "cutoff": 3.5, "weights": {"Be": 1.0}}},
        "descriptor.weights: none for Al; wanted one for every element",
    ),
    "columns": (
        {"descriptor": {"family": "gaussian", "cutoff": 3.5, "sigma": 0.5, "elements": ["Be"]}},
        "descriptor.elements: none for Al; wanted one for every element",
    ),
    "energy_zero": ({"energy_zero": {"Be": 70.0}}, "energy_zero: none for Al; wanted one for every element"),
}


@pytest.mark.parametrize("key", PARTIAL)
def test_what_is_missing_for_the_second_element_is_named_before_a_cluster_starts(
    key: str, two_elements: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, words = PARTIAL[key]
    (tmp_path / "c.yaml").write_text(yaml_text(config_of(two_elements, **change)))
    assert main(["train", str(tmp_path / "c.yaml"), "--output", str(tmp_path / "out"), "--cluster", NOWHERE]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and "\n" not in said
    assert not (tmp_path / "out").exists()


def test_a_fitted_zero_of_energy_is_told_and_moves_the_data(small_data_set: Path) -> None:
    found = find_data(TrainConfig.of(config_of(small_data_set, energy_zero="fit")))
    # Of Be's cells in a larger set 58 ± 1.5; the three of these leave a few eV Å³.
    assert found.energy_zero["Be"] == pytest.approx(58.0, abs=10)
    assert any("energy_zero fitted to 3 snapshots: Be " in note for note in found.notes)
    given = find_data(TrainConfig.of(config_of(small_data_set, energy_zero=dict(found.energy_zero))))
    for a, b in zip(found.train, given.train, strict=True):
        np.testing.assert_array_equal(a.resampling, b.resampling)
        assert a.zero == b.zero != 0


def test_a_zero_of_energy_that_is_no_number_or_fit_is_refused(small_data_set: Path) -> None:
    for value in ("guess", {"Be": "large"}, 70.0):
        with pytest.raises(InputError, match="energy_zero"):
            TrainConfig.of(config_of(small_data_set, energy_zero=value))


def test_slabs_that_are_cut_off_have_no_zero_of_energy_and_are_not_learnt_with_crystals(
    small_data_set: Path, tmp_path: Path
) -> None:
    data = changeable(small_data_set, tmp_path / "d.zarr")
    for name in ("train-1", "train-2", "train-0"):
        zarr.open_group(data / "snapshots" / name, mode="r+").attrs["assume_isolated"] = "2D"
        if name == "train-1":
            with pytest.raises(InputError, match="assume_isolated 2D; wanted none, as train-0 has"):
                find_data(TrainConfig.of(config_of(data)))
    with pytest.raises(InputError, match=r"energy_zero: given, where train-0 has assume_isolated = '2D'"):
        find_data(TrainConfig.of(config_of(data, energy_zero={"Be": 70.0})))


# -- what is not told ------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(small_data_set: Path, tmp_path: Path) -> Path:
    """The small data set, to take things away from."""
    store = tmp_path / "bare.zarr"
    changeable(small_data_set, store)
    return store


def stopping(store: Path, metric: str, own_data: Path | None, **data: Any) -> TrainConfig:
    values = config_of(store, early_stopping={"metric": metric, "patience": 1})
    values["data"] |= {"validation": str(store / "snapshots/valid-0"), **data}
    if own_data is not None:
        values["data"]["pseudopotentials"] = str(own_data / "pseudopotentials")
    return TrainConfig.of(values)


def test_a_metric_that_the_data_tell_is_taken(bare: Path, own_data: Path) -> None:
    for metric in get_args(Metric):
        find_data(stopping(bare, metric, own_data))
    find_data(stopping(bare, "band_energy", None, validation_points=0.5))
    shutil.rmtree(bare / "snapshots" / "valid-0" / "reference")
    find_data(stopping(bare, "band_energy_from_data", None))  # the data's LDOS tells it, whatever the DFT printed


LACKS: dict[str, tuple[str, str]] = {
    "pseudopotentials": ("total_energy", "pseudopotentials"),
    "points": ("total_energy", "validation of all its points"),
    "density": ("total_energy", "density of the DFT"),
    "reference": ("band_energy", "energies of the DFT"),
    "temperature": ("band_energy", "temperature"),
    "dos": ("band_energy_from_data", "Fermi level by its own LDOS"),
    "terms": ("total_energy_from_data", "band energy and entropy of the DFT"),
}


@pytest.mark.parametrize("gone", LACKS)
def test_early_stopping_on_what_does_not_exist_is_refused_at_the_start(
    gone: str, bare: Path, own_data: Path, tmp_path: Path
) -> None:
    """It would end after `patience` epochs, as if nothing got better."""
    metric, words = LACKS[gone]
    group = bare / "snapshots" / "valid-0"
    if gone in ("density", "reference", "dos"):
        shutil.rmtree(group / gone)
    if gone == "terms":
        shutil.rmtree(group / "reference" / "entropy_contribution_eV")
    if gone == "temperature":
        del zarr.open_group(str(group), mode="r+").attrs["temperature_K"]
    points = {"validation_points": 0.5} if gone == "points" else {}
    config = stopping(bare, metric, None if gone == "pseudopotentials" else own_data, **points)
    with pytest.raises(InputError, match=rf"early_stopping\.metric: {metric}, where valid-0 has no {words}"):
        find_data(config)


@pytest.mark.parametrize(
    ("term", "gone", "words"),
    [
        ("mean_total", "train-1/density", "train-1 without a density"),
        ("mean_total", "valid-0/density", "valid-0 without a density"),
        ("mean_total", "", "train-0 without pseudopotentials"),
        ("forces", "train-1/density", "train-1 without a density"),
        ("forces", "train-1/reference/forces", "train-1 without forces of the DFT"),
        ("forces", "", "train-0 without pseudopotentials"),
    ],
)
def test_a_loss_that_the_data_cannot_give_is_refused_at_the_start(
    term: str, gone: str, words: str, bare: Path, own_data: Path
) -> None:
    """A cluster would be started, and potentials made of all snapshots, before it was found missing."""
    values = config_of(bare, loss={term: 1.0})
    values["data"]["validation"] = str(bare / "snapshots/valid-0")
    if gone:
        shutil.rmtree(bare / "snapshots" / gone)
        values["data"]["pseudopotentials"] = str(own_data / "pseudopotentials")
    with pytest.raises(InputError, match=rf"loss\.{term}: {words}"):
        find_data(TrainConfig.of(values))


def test_snapshots_of_which_some_tell_no_functional_are_learnt_from_together(bare: Path) -> None:
    """Those converted without their pseudopotentials tell neither functional nor cutoff; that contradicts nobody."""
    attrs = zarr.open_group(str(bare / "snapshots" / "train-0"), mode="r+").attrs
    known = {name: attrs[name] for name in ("xc", "density_cutoff_eV")}
    for name in known:
        del attrs[name]
    found = find_data(TrainConfig.of(config_of(bare)))
    assert [s.system.xc for s in found.train] == [None, known["xc"], known["xc"]]
    zarr.open_group(str(bare / "snapshots" / "train-2"), mode="r+").attrs["xc"] = "pz"
    with pytest.raises(InputError, match="train-2 with a functional pz; wanted pbe, as train-1 has"):
        find_data(TrainConfig.of(config_of(bare)))
