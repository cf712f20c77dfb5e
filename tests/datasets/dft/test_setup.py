"""The settings of DFT calculations: refused by their key, and their files read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk

from maladist.datasets.dft import setup as module
from maladist.datasets.dft.setup import DFTSetup
from maladist.errors import InputError
from maladist.io.qe.upf import read_pseudopotentials
from maladist.io.yaml import yaml_text


@pytest.fixture
def values(own_data: Path) -> dict[str, Any]:
    return {
        "temperature": 1000,
        "pseudopotentials": str(own_data / "pseudopotentials"),
        "ecutwfc": 18,
        "kpoints": {2: [2, 2, 1], 4: [1, 2, 1]},
        "energies": {"origin": -6.0, "spacing": 0.5, "levels": 39},
        "broadening": 0.5,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temprature": 1}, "temprature: is not a key"),
        ({"temperature": -1}, "temperature: -1"),
        ({"temperature": "warm"}, "temperature: 'warm'"),
        ({"temperature": float("inf")}, "temperature: inf"),
        ({"energies": {"origin": 1}}, r"energies\.spacing: is missing"),
        ({"energies": [1, 2, 3]}, "energies"),
        ({"energies": {"origin": 1, "spacing": 0.1, "levels": 1}}, r"energies\.levels: 1"),
        ({"kpoints": [2, 2]}, r"kpoints: \[2, 2\]; wanted three numbers"),
        ({"kpoints": [2, 2, 0]}, r"kpoints\.2: 0"),
        ({"kpoints": {2: [2, 2, "many"]}}, r"kpoints\.2\.2: 'many'"),
        ({"bands": "all"}, "bands: 'all'; wanted 'auto' or a valid number"),
        ({"bands": 0}, "bands: 0"),
        ({"threads": True}, "threads: True; wanted a number"),
        ({"system": {"noinv": "yes"}}, "system: .*true or false"),
        ({"system": {"noinv": ".true."}}, r"system\.noinv: '\.true\.'"),
        ({"electrons": {"mixing_beta": "3d-1"}}, r"electrons\.mixing_beta: '3d-1'"),
        ({"pseudopotentials": "nowhere"}, "nowhere"),
    ],
)
def test_a_bad_setup_names_its_key(
    change: dict[str, Any], message: str, tmp_path: Path, values: dict[str, Any]
) -> None:
    path = tmp_path / "setup.yaml"
    path.write_text(yaml_text(values | change))
    with pytest.raises(InputError, match=message) as caught:
        DFTSetup.read(path)
    assert "\n" not in str(caught.value)


def test_the_pseudopotentials_are_read_once(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """They were read once an atom: half a second for 128 atoms."""
    reads: list[str] = []
    monkeypatch.setattr(module, "read_pseudopotentials", lambda p: reads.append(p) or read_pseudopotentials(p))
    setup = DFTSetup.of(values)
    assert setup.n_bands(bulk("Be", "hcp", a=2.29, c=3.58).repeat(4)) > 128
    assert len(reads) == 1


def test_a_folder_of_pseudopotentials_is_taken_from_the_files_folder(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "pp").symlink_to(values["pseudopotentials"])
    (tmp_path / "setup.yaml").write_text(yaml_text({**values, "pseudopotentials": "pp"}))
    setup = DFTSetup.read(tmp_path / "setup.yaml")
    assert setup.pseudopotentials == str(tmp_path / "pp")
    assert setup.mesh(4) == (1, 2, 1) and setup.bands == "auto" and "Be" in setup.elements
