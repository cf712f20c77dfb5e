"""The result that a verb works on, made where it is not there; what would be of no effect is refused by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms

import maladist
from maladist import LDOSModel, Prediction
from maladist.errors import InputError, StoreError
from maladist.prediction.source import result_of
from tests.prediction.common import make_store, make_system

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction:UserWarning")
GRID = (6, 6, 9)


@pytest.fixture(scope="module")
def result(atoms: Atoms, model: LDOSModel, tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """A result in its store."""
    return maladist.predict(atoms, model, grid=GRID, store=tmp_path_factory.mktemp("source") / "be.zarr")


def test_a_result_is_taken_as_it_is_and_one_of_atoms_is_made(
    atoms: Atoms, model: LDOSModel, result: Prediction
) -> None:
    for source in (result, result.dataset, result.store):
        assert not isinstance(source, maladist.io.memory.Memory)
        with result_of(source) as found:
            assert float(found["fermi_energy_eV"]) == result.fermi_energy
    with result_of(atoms, model, grid=GRID) as made:
        assert float(made["fermi_energy_eV"]) == result.fermi_energy


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"grid": GRID}, "grid: given for a result"),
        ({"model": "be-1000K"}, "model: one"),
        ({"broadening_correction": "off"}, "broadening_correction: given for a result"),
    ],
)
def test_what_a_result_does_not_take_is_refused(options: dict[str, Any], why: str, result: Prediction) -> None:
    with pytest.raises(InputError, match=why), result_of(result, **options):
        pass


def test_what_atoms_and_an_ldos_lack_is_said(atoms: Atoms, model: LDOSModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="model: none"), result_of(atoms):
        pass
    with pytest.raises(InputError, match="xc: given for atoms"), result_of(atoms, model, xc="pbe"):
        pass
    with pytest.raises(InputError, match="temperature"), result_of(atoms, replace(model, temperature=None)):
        pass
    with pytest.raises(TypeError, match="temprature"), result_of(atoms, model, temprature=3.0):  # type: ignore[call-arg]
        pass
    make_store(tmp_path / "neither.zarr", make_system(atoms, None, core=False))
    with pytest.raises(StoreError), result_of(tmp_path / "neither.zarr"):
        pass
