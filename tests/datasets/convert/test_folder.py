"""A folder of MALA's in one conversion: all snapshots with their energies, or one line and nothing written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from distributed import Client

from maladist import BispectrumSpec, Grid
from maladist.datasets.convert.folder import convert_folder
from maladist.datasets.convert.source import Source, prepare
from maladist.errors import DataFileError, InputError, PhysicsError
from maladist.io.mala.data import write_info
from maladist.io.opening import open_dataset
from maladist.testing import Listener

GRID = Grid([[2.3, 0, 0], [-1.1, 2.0, 0], [0.1, 0, 3.6]], (6, 5, 7))
SPEC = BispectrumSpec(twojmax=2, cutoff=3.0)


def made(folder: Path, *names: str, **targets: Any) -> Path:
    """A folder as MALA leaves it, with 4 levels from -1 eV by 0.5 eV."""
    folder.mkdir()
    atoms = Atoms("Be2", [[0.1, 0.2, 0.3], [1.0, 0.9, 2.0]], cell=GRID.cell_array, pbc=True)
    random = np.random.default_rng(1)
    places = GRID.points().reshape(*GRID.shape, 3)
    for name in names:
        np.save(folder / f"{name}.out.npy", random.random((*GRID.shape, 4)).astype(np.float32))
        features = random.random((*GRID.shape, SPEC.n_features))
        np.save(folder / f"{name}.in.npy", np.concatenate([places, features], axis=-1).astype(np.float32))
        write_info(folder / f"{name}.info.json", atoms, GRID, {"temperature_K": 300.0}, {"band_energy_eV": 1.0})
    targets = {"ldos_gridoffset_ev": -1, "ldos_gridspacing_ev": 0.5, "ldos_gridsize": 4} | targets
    descriptors = {"descriptor_type": "Bispectrum", "bispectrum_twojmax": 2, "bispectrum_cutoff": 3.0}
    content = {"targets": targets, "descriptors": {**descriptors, "bispectrum_switchflag": 1}}
    (folder / "be.params.json").write_text(json.dumps(content))
    return folder


def test_all_snapshots_with_energies_and_descriptors(tmp_path: Path, client: Client) -> None:
    folder = made(tmp_path / "mala", "s0", "s1")
    groups = convert_folder(Source(folder, ()), tmp_path / "d.zarr", client=client)
    assert [g.name for g in groups] == ["s0", "s1"]
    for group in groups:
        data = open_dataset(group)
        assert data.energy.values.tolist() == [-1.0, -0.5, 0.0, 0.5]
        assert np.array_equal(data.ldos.values, np.load(folder / f"{group.name}.out.npy"))
        assert np.array_equal(data.descriptors.values, np.load(folder / f"{group.name}.in.npy")[..., 3:])
        assert data.attrs["descriptor_spec"] == SPEC.to_dict()
        assert data.attrs["temperature_K"] == 300.0


def test_a_second_call_makes_only_what_is_missing(tmp_path: Path, client: Client) -> None:
    folder, heard = made(tmp_path / "mala", "s0"), Listener()
    (first,) = convert_folder(Source(folder, ()), tmp_path / "d.zarr", client=client)
    before = (first / "zarr.json").stat().st_mtime_ns
    for file in folder.glob("s0*"):
        (folder / file.name.replace("s0", "s1")).write_bytes(file.read_bytes())
    groups = convert_folder(Source(folder, ()), tmp_path / "d.zarr", client=client, observer=heard)
    assert open_dataset(groups[1]).sizes["energy"] == 4
    assert (first / "zarr.json").stat().st_mtime_ns == before
    assert any("1 of 2 snapshots" in note for note in heard.notes)


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path, client: Client) -> None:
    folder, output = made(tmp_path / "mala", "s0", "s1", ldos_gridsize=5), tmp_path / "d.zarr"
    with pytest.raises(DataFileError, match=r"s0\.out\.npy: 4 levels; wanted 5, by be\.params\.json"):
        convert_folder(Source(folder, ()), output, client=client)
    (folder / "be.params.json").unlink()
    with pytest.raises(DataFileError, match=r"no params\.json.*--energies"):
        convert_folder(Source(folder, ()), output, client=client)
    with pytest.raises(InputError, match="the folder alone"):
        convert_folder(Source(folder, [folder / "s0.out.npy"]), output, client=client)
    made(tmp_path / "one", "s0"), made(tmp_path / "two", "s0", ldos_gridspacing_ev=0.25)
    (tmp_path / "one" / "later.params.json").write_bytes((tmp_path / "two" / "be.params.json").read_bytes())
    with pytest.raises(DataFileError, match=r"other energies of the LDOS in be\.params\.json than in later"):
        convert_folder(Source(tmp_path / "one", ()), output, client=client)
    assert not output.exists()


def test_parameters_tell_of_slabs_what_the_info_does_not(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = made(tmp_path / "tilted", "s0", assume_two_dimensional=True), tmp_path / "d.zarr"
    with pytest.raises(PhysicsError, match="c perpendicular to a and b"):
        convert_folder(Source(folder, ()), output, client=client)
    flat = Grid([[2.3, 0, 0], [-1.1, 2.0, 0], [0, 0, 13.0]], (6, 5, 7))
    monkeypatch.setattr("tests.datasets.convert.test_folder.GRID", flat)
    folder = made(tmp_path / "flat", "s0", assume_two_dimensional=True)
    (group,) = convert_folder(Source(folder, ()), output, client=client)
    assert open_dataset(group).attrs["assume_isolated"] == "2D"
    alone = Source(folder / "s0.info.json", [folder / "s0.out.npy"], energies=(-1.0, 0.5))
    assert prepare(alone).run.assume_isolated is None
    assert prepare(replace(alone, assume_isolated="2D")).run.assume_isolated == "2D"


def test_descriptors_that_nothing_tells_are_left_out_with_a_note(tmp_path: Path, client: Client) -> None:
    folder, heard = made(tmp_path / "mala", "s0"), Listener()
    (folder / "be.params.json").unlink()
    source = Source(folder, (), energies=(-1.0, 0.5))
    (group,) = convert_folder(source, tmp_path / "d.zarr", client=client, observer=heard)
    assert "descriptors" not in open_dataset(group)
    assert any("s0.in.npy is left out" in note for note in heard.notes)
