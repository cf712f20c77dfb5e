"""The verb: what MALA has no place for is left out only when told, energies are those of the cell, MALA agrees."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.io import write

import maladist
from maladist import LDOSModel
from maladist.errors import AtomsError, InputError, ModelError, OutputError
from maladist.testing import be_atoms, tiny_model, with_density_channel

ATOMS = be_atoms()


def points(model: LDOSModel) -> torch.Tensor:
    return 30 + 20 * torch.randn(50, model.descriptor.n_features, generator=torch.Generator().manual_seed(2))


def test_a_plain_model_comes_back_the_same(tmp_path: Path) -> None:
    model = tiny_model()
    path = maladist.export_mala(model, ATOMS, tmp_path / "Be.v2.zip", grid=(12, 10, 18))
    back = maladist.load_model(path)
    torch.testing.assert_close(back.ldos(points(model)), model.ldos(points(model)), rtol=1e-6, atol=1e-7)
    with pytest.raises(OutputError, match="exists"):
        maladist.export_mala(model, ATOMS, path)
    assert maladist.export_mala(model, ATOMS, path, overwrite=True) == path


def test_a_member_of_an_ensemble_is_chosen_or_its_student_taken(tmp_path: Path) -> None:
    members = [tiny_model(seed) for seed in range(3)]
    model, path = LDOSModel.mean_of(members), tmp_path / "Be.zip"
    x = points(model)
    with pytest.raises(ModelError, match=r"ensemble of 3 networks.*--member 0"):
        maladist.export_mala(model, ATOMS, path)
    with pytest.raises(InputError, match="from 0 to 2"):
        maladist.export_mala(model, ATOMS, path, member=3)
    back = maladist.load_model(maladist.export_mala(model, ATOMS, path, member=1))
    torch.testing.assert_close(back.ldos(x), members[1].ldos(x), rtol=1e-6, atol=1e-7)
    student = model.stood_for_by(tiny_model(9).network)  # type: ignore[arg-type]
    back = maladist.load_model(maladist.export_mala(student, ATOMS, path, overwrite=True))
    torch.testing.assert_close(back.ldos(x), student.ldos(x), rtol=1e-6, atol=1e-7)


def test_a_density_channel_is_left_out_only_when_told(tmp_path: Path) -> None:
    model, path = with_density_channel(tiny_model()), tmp_path / "Be.zip"
    with pytest.raises(ModelError, match=r"density channel.*--without-density"):
        maladist.export_mala(model, ATOMS, path)
    back = maladist.load_model(maladist.export_mala(model, ATOMS, path, without_density=True))
    assert not back.has_density_channel
    torch.testing.assert_close(back.ldos(points(model)), model.ldos(points(model)), rtol=1e-6, atol=1e-7)


def test_energies_that_move_are_those_of_the_cell(tmp_path: Path) -> None:
    model = replace(tiny_model(), energy_zero={"Be": 70.0})
    back = maladist.load_model(maladist.export_mala(model, ATOMS, tmp_path / "Be.zip"))
    moved = model.energy_grid.values + 2 * 70.0 / ATOMS.get_volume()
    np.testing.assert_allclose(back.energy_grid.values, moved, rtol=0, atol=1e-9)


def test_cells_of_other_elements_and_other_endings_are_refused(tmp_path: Path) -> None:
    other = Atoms("BeO", ATOMS.positions, cell=ATOMS.cell, pbc=True)
    with pytest.raises(AtomsError, match="O"):
        maladist.export_mala(tiny_model(), other, tmp_path / "Be.zip")
    two = replace(tiny_model(), elements={})
    two = replace(two, descriptor=replace(two.descriptor, weights={"Be": 1.0, "O": 0.5}))  # type: ignore[type-var]
    with pytest.raises(AtomsError, match="none of O"):
        maladist.export_mala(two, ATOMS, tmp_path / "Be.zip")
    with pytest.raises(OutputError, match=r"ends in \.zip"):
        maladist.export_mala(tiny_model(), ATOMS, tmp_path / "Be.mala")


IN_MALA = """
import sys, warnings
warnings.simplefilter("ignore")
import ase.io, mala, numpy as np, torch
folder = sys.argv[1]
params, network, data, predictor = mala.Predictor.load_run("Be", path=folder)
x = torch.from_numpy(np.load(folder + "/x.npy")).float()
y = network.do_prediction(data.input_data_scaler.transform(x))
y = data.output_data_scaler.inverse_transform(y, as_numpy=True)
np.save(folder + "/ldos.npy", data.target_calculator.restrict_data(y))
params.use_lammps = False  # MALA's own bispectrum in Python: a few points a second
params.running.inference_data_grid = [3, 2, 3]
np.save(folder + "/of_atoms.npy", predictor.predict_for_atoms(ase.io.read(folder + "/be.extxyz")))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mala") is None, reason="MALA (materials-learning-algorithms) is not installed"
)
def test_mala_itself_loads_a_shipped_model_and_gives_its_ldos(tmp_path: Path) -> None:
    atoms = bulk("Be", "hcp", a=2.2866, c=3.5833)
    atoms.rattle(0.05, seed=1)
    maladist.export_mala("be-1000K", atoms, tmp_path / "Be.zip", member=0, without_density=True)
    model = maladist.load_model("be-1000K").members()[0]
    write(tmp_path / "be.extxyz", atoms)

    def described(grid: tuple[int, int, int]) -> torch.Tensor:
        found = maladist.describe(atoms, model.descriptor, grid, precision="float64")
        return torch.from_numpy(np.asarray(found).reshape(-1, model.descriptor.n_features))

    x = described((12, 12, 18))
    np.save(tmp_path / "x.npy", x.numpy())
    # A process of its own: MALA warns as it is imported.
    subprocess.run([sys.executable, "-c", IN_MALA, str(tmp_path)], check=True, capture_output=True)
    exact = model.to(dtype=torch.float64)
    # MALA's is of float32, and the whitening folded into the first layer: 7e-7 measured.
    for name, ours in (("ldos", exact.ldos(x).numpy()), ("of_atoms", exact.ldos(described((3, 2, 3))).numpy())):
        difference = np.abs(np.load(tmp_path / f"{name}.npy") - ours).max() / np.abs(ours).max()
        assert difference <= 1e-5, (name, difference)
