"""Cells whose Coulomb interaction is cut off along c, as Quantum ESPRESSO and MALA tell them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch

from maladist.grid import Grid
from maladist.io.calculations import read_dft_run
from maladist.io.mala.data import read_info, write_info
from maladist.io.model_file import load_model
from maladist.physics.ewald import ewald_energy
from tests.io.conftest import FileOf


# pw.x prints eight decimals of Ry, and positions of ten digits of alat.
@pytest.mark.parametrize(("kind", "exact"), [("xml", 1e-6), ("out", 1e-4)])
def test_pw_tells_it_and_has_the_same_ewald_sum(kind: str, exact: float, qe_file: FileOf) -> None:
    run = read_dft_run(qe_file("2d", kind))
    assert run.assume_isolated == "2D"
    positions, charges = torch.from_numpy(run.atoms.positions), torch.full((2,), 2.0).double()
    ours = float(ewald_energy(positions, charges, run.atoms.cell.array, "2D"))
    assert ours == pytest.approx(run.terms["ewald_eV"], abs=exact)
    assert read_dft_run(qe_file("plain", kind)).assume_isolated is None


def test_mala_s_models_and_data_tell_it(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "be2/Be_model.zip") as old, zipfile.ZipFile(tmp_path / "m.zip", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("params.json"):
                parameters = json.loads(content)
                parameters["targets"]["assume_two_dimensional"] = True
                content = json.dumps(parameters).encode()
            new.writestr(name, content)
    assert load_model(tmp_path / "m.zip").assume_isolated == "2D"
    assert load_model(shared_data / "be2/Be_model.zip").assume_isolated is None
    facts = json.loads((shared_data / "be2/Be_snapshot0.info.json").read_text())
    (tmp_path / "s.info.json").write_text(json.dumps({**facts, "parameters": {"assume_two_dimensional": True}}))
    run = read_info(tmp_path / "s.info.json")
    assert run.assume_isolated == "2D"
    grid = Grid(run.atoms.cell.array.tolist(), (4, 4, 4))
    for told in ("2D", None):
        write_info(tmp_path / "again.info.json", run.atoms, grid, {"assume_isolated": told}, {})
        assert read_info(tmp_path / "again.info.json").assume_isolated == told
