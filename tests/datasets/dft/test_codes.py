"""The key ``code`` of a YAML file chooses the code; what it names is said where it is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from maladist.datasets.dft.codes import CODES, read_code
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.gpaw import GPAW
from maladist.errors import InputError
from maladist.io.yaml import yaml_text


@pytest.fixture
def values(setup: Espresso) -> dict[str, object]:
    names = ("temperature", "pseudopotentials", "ecutwfc", "broadening")
    return {name: getattr(setup, name) for name in names} | {"kpoints": [2, 2, 1], "energies": "auto"}


def written(folder: Path, values: dict[str, object]) -> Path:
    (folder / "dft.yaml").write_text(yaml_text(values))
    return folder / "dft.yaml"


def test_it_is_quantum_espresso_where_nothing_is_said(tmp_path: Path, values: dict[str, object]) -> None:
    assert type(read_code(written(tmp_path, values))) is Espresso
    assert type(read_code(written(tmp_path, {**values, "code": "espresso"}))) is Espresso
    assert type(read_code(written(tmp_path, {**values, "code": "gpaw"}))) is GPAW


def test_each_name_is_the_one_that_its_class_takes() -> None:
    for name, code in CODES.items():
        assert code.model_fields["code"].annotation.__args__ == (name,)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["abinit", 3, None, ["gpaw"]])
def test_another_code_is_refused_by_name(name: object, tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"dft\.yaml: code: .*; wanted espresso or gpaw"):
        read_code(written(tmp_path, {**values, "code": name}))


def test_what_only_quantum_espresso_does_says_so(tmp_path: Path, values: dict[str, object]) -> None:
    path = written(tmp_path, {**values, "code": "gpaw"})
    with pytest.raises(InputError, match="code: 'gpaw'; wanted 'espresso'"):
        Espresso.read(path)  # as oneshot does
    with pytest.raises(InputError, match="electrons"):
        read_code(written(tmp_path, {**values, "code": "gpaw", "electrons": {"mixing_beta": 0.3}}))
