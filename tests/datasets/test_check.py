"""Every trap of DFT data leaves a pattern that `check` names; good data pass."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from distributed import Client

from maladist.cli.app import main
from maladist.datasets.check import Tolerances, check
from maladist.datasets.convert.convert import convert
from maladist.datasets.convert.source import Source
from maladist.io import stores
from maladist.parallel.progress import Silent
from maladist.testing import sic_elements
from tests.datasets.convert.conftest import own_source


@pytest.fixture(scope="module")
def good(own_data: Path, tmp_path_factory: pytest.TempPathFactory, client: Client) -> Path:
    folder = tmp_path_factory.mktemp("check")
    return convert(own_source(own_data, folder), folder / "d.zarr", name="be2", client=client)


def test_own_be2_is_within_a_third_of_a_mev(good: Path, own_data: Path, client: Client) -> None:
    limits = Tolerances(energy=0.3, density=1e-3)
    (found,) = check(good, pseudopotentials=own_data / "pseudopotentials", tolerances=limits, client=client)
    assert found.good and found.reasons == ()
    assert set(found.figures) == {"on", "off"}
    assert found.figures["on"].density < 0.1 * found.figures["off"].density
    assert found.figures["on"].electrons == pytest.approx(4.0, abs=1e-3)


def test_sizes_whose_densities_of_states_disagree_are_told_of(
    good: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(Silent, "note", lambda _, text: told.append(text))
    monkeypatch.setattr("maladist.datasets.sizes.APART", -1.0)  # cells of one size differ by 0 from themselves
    check(good, client=client)
    assert any("k-points" in text for text in told)


def test_a_truncated_window_is_named(own_data: Path, tmp_path: Path, client: Client) -> None:
    source = own_source(own_data, tmp_path)
    values = np.load(tmp_path / "ldos.npy")
    np.save(tmp_path / "ldos.npy", values[..., :105])  # ends at 6.5 eV, the Fermi level is at 7.3
    group = convert(source, tmp_path / "d.zarr", name="short", client=client)
    (found,) = check(group, client=client)
    assert not found.good
    assert any("the window truncates: it ends at 6.50 eV" in reason for reason in found.reasons)


def test_a_wrong_width_is_noticed(own_data: Path, tmp_path: Path, client: Client) -> None:
    """Samples broadened by 0.1 eV that are said to have 0.4: the correction makes them worse."""
    source = own_source(own_data, tmp_path, width=0.4)
    group = convert(source, tmp_path / "d.zarr", name="wide", client=client)
    (found,) = check(group, client=client)
    assert not found.good


def test_a_snapshot_that_cannot_be_checked_is_named_and_the_others_are_checked(
    good: Path, tmp_path: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "d.zarr"
    shutil.copytree(good.parent.parent, data)
    shutil.copytree(data / "snapshots" / "be2", data / "snapshots" / "a-cold-one")
    group = zarr.open_group(str(data / "snapshots" / "a-cold-one"), mode="r+")
    del group.attrs["temperature_K"]
    stores.seal(data / "snapshots" / "a-cold-one")  # as a store that never had one
    with pytest.raises(SystemExit) as caught:
        main(["check", str(data), "--cluster", client.scheduler.address, "--json", str(tmp_path / "c.json")])
    assert caught.value.code == 1
    said = capsys.readouterr().out
    assert "a-cold-one" in said and "cannot be checked: temperature: none" in said
    assert "1 of 2 snapshots within the tolerances" in said
    by_name = {one["name"]: one for one in json.loads((tmp_path / "c.json").read_text())}
    assert by_name["be2"]["figures"] and not by_name["a-cold-one"]["figures"]


def test_the_error_of_the_ldos_own_density_is_seen_by_itself(temperatures: Path, client: Client) -> None:
    """A gapped crystal at δ = 7.7 k_BT: with the density of the DFT A is right, with the LDOS's off by 20 meV/atom."""
    (found,) = check(temperatures / "snapshots" / "sic-300K", pseudopotentials=sic_elements(), client=client)
    assert found.good and found.reasons == ()
    figures = found.figures["on"]
    assert abs(figures.terms["total_free_energy"]) < 1.0 < 15 < abs(figures.terms_of_ldos["total_free_energy"])
    (remark,) = found.remarks
    assert "density from the broadened LDOS" in remark and "use the density of the DFT" in remark
    assert found.broad.startswith("δ of 0.2 eV is 8 k_BT at 300 K")


def test_without_a_density_of_the_dft_the_reason_is_named(temperatures: Path, tmp_path: Path, client: Client) -> None:
    group = tmp_path / "sic"
    shutil.copytree(temperatures / "snapshots" / "sic-300K", group)
    shutil.rmtree(group / "density")
    (found,) = check(group, pseudopotentials=sic_elements(), client=client)
    assert not found.good and found.remarks == ()
    assert any("use the density of the DFT" in reason for reason in found.reasons)


def test_the_reference_data_of_a_coarse_run_are_refused_with_their_reasons(
    tmp_path: Path, shared_data: Path, client: Client
) -> None:
    folder = shared_data / "be2"
    source = Source(folder / "Be_snapshot0.out", sorted((folder / "cubes").iterdir()))
    convert(source, tmp_path / "d.zarr", name="s", client=client)
    (found,) = check(tmp_path / "d.zarr", client=client)
    text = "; ".join(found.reasons)
    assert not found.good
    assert "the window truncates" in text and "too few bands" in text and "loosely converged" in text


def test_the_small_data_set_is_within_half_a_mev(small_data_set: Path, own_data: Path, client: Client) -> None:
    """Five snapshots of two sizes from nested meshes of k-points, LDOS rounded to ten bits."""
    limits = Tolerances(energy=1.0, density=1e-3)
    found = check(small_data_set, pseudopotentials=own_data / "pseudopotentials", tolerances=limits, client=client)
    assert [one.name for one in found] == ["test-4-atoms", "train-0", "train-1", "train-2", "valid-0"]
    assert all(one.good for one in found)
    assert max(abs(one.figures["on"].terms["total_free_energy"]) for one in found) < 0.5
