"""A model of the density alone: what it has is that of a density channel, what it has not is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel, save_model
from maladist.cli.app import main
from maladist.energy_grid import NO_ENERGIES
from maladist.errors import InputError, ModelError
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Scaler
from maladist.physics.energies import density_terms
from maladist.prediction.setup import setup

GRID = (10, 12, 14)

pytestmark = pytest.mark.filterwarnings("ignore:the density channel holds")


@pytest.fixture(scope="module")
def alone(model: LDOSModel) -> LDOSModel:
    """A network of one output, whose density is near that of two electrons an atom."""
    network = FeedForward([model.descriptor.n_features, 8, 1], ["Tanh"])
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    scaler = Scaler("standard", False, torch.full((1,), 0.25).double(), torch.full((1,), 0.05).double())
    parts = {"output_scaler": Scaler(), "density_scaler": scaler, "energy_grid": NO_ENERGIES, "restrict": "none"}
    return replace(model, network=network.eval(), **parts)


def test_density_and_its_terms_are_predicted_and_the_others_are_refused_by_name(
    atoms: Atoms, alone: LDOSModel, client: Client, tmp_path: Path
) -> None:
    found = maladist.predict(
        atoms, alone, grid=GRID, client=client, precision="float64", store=tmp_path / "n.zarr", chunks=(4, 12, 5)
    )
    assert float(found.density.sum()) * atoms.get_volume() / np.prod(GRID) == pytest.approx(4.0, rel=1e-12)
    energies = found.energies
    hartree, xc, potential = density_terms(torch.as_tensor(found.density.values), setup(atoms, alone, grid=GRID).system)
    assert energies.hartree == pytest.approx(hartree, abs=1e-10) and energies.xc == pytest.approx(xc, abs=1e-10)
    assert energies.xc_potential == pytest.approx(potential, abs=1e-10) and energies.ewald is not None
    assert energies.band is energies.entropy is energies.total is None
    assert "2000 K: the density alone" in str(found) and "the density alone" in found._repr_html_()
    assert found.dataset.attrs["double_counting"] == "channel"
    for name in ("dos", "fermi_energy"):
        with pytest.raises(InputError, match=f"{name}.*: a prediction of the density alone"):
            getattr(found, name)


def test_what_needs_an_ldos_is_refused_before_anything_runs(
    atoms: Atoms, alone: LDOSModel, small_data_set: Path
) -> None:
    with pytest.raises(ModelError, match="the density alone, which has no density at 300 K"):
        setup(atoms, alone, grid=GRID, temperature=[2000.0, 300.0])
    with pytest.raises(ModelError, match="which has no LDOS to keep"):
        setup(atoms, alone, grid=GRID, keep="ldos")
    with pytest.raises(ModelError, match="which has no forces or stress"):
        setup(atoms, alone, grid=GRID, forces=True)
    with pytest.raises(ModelError, match="which has no LDOS"):
        maladist.ldos(atoms, alone, grid=GRID)
    with pytest.raises(ModelError, match="which has no energies to evaluate"):
        maladist.evaluate(alone, small_data_set)
    with pytest.raises(ModelError, match="which has no LDOS"):
        alone.ldos(torch.zeros(1, alone.descriptor.n_features))
    with pytest.raises(ModelError, match="neither energies of an LDOS nor a density channel"):
        replace(alone, density_scaler=None)


def test_the_file_the_commands_and_the_report_take_it(
    atoms: Atoms, alone: LDOSModel, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, there = tmp_path / "n.maladist", ["--cluster", client.scheduler.address]
    save_model(alone, path)
    assert maladist.load_model(path).content_hash == alone.content_hash
    atoms.write(tmp_path / "a.extxyz")
    assert main(["info", str(path)]) == 0
    assert "Density model of Be" in str(alone) and "the density alone" in capsys.readouterr().out
    assert main(["plan", str(tmp_path / "a.extxyz"), "--model", str(path), *there]) == 0
    command = ["predict", str(tmp_path / "a.extxyz"), "--model", str(path), "--output", str(tmp_path / "n.zarr")]
    command += ["--json", str(tmp_path / "n.json"), "--report", str(tmp_path / "n.html"), *there]
    assert main(command) == 0
    values = json.loads((tmp_path / "n.json").read_text())
    assert values["total_free_energy_eV"] is None and values["hartree_eV"] > 0
    assert main(["info", str(tmp_path / "n.zarr"), "--verify", *there]) == 0
    capsys.readouterr()
    assert main([*command[:2], *command[2:6], "--overwrite", "--temperature", "300", *there]) == 2
    assert "the density alone, which has no density at 300 K" in capsys.readouterr().err
