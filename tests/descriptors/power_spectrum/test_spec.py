"""Specification of the power spectrum: elements, files, values out of range."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maladist.descriptors import PowerSpectrumSpec, evaluate, spec_from_dict
from maladist.errors import AtomsError, InputError
from maladist.neighbors import LocalAtoms
from tests.descriptors.power_spectrum.reference import EXACT, SMALL
from tests.descriptors.systems import SKEWED, cluster, random_system, relative_error

F64 = torch.float64

BACKENDS = ["torch", "cpu"]


def test_elements_follow_one_another_and_one_without_columns_is_refused() -> None:
    points, atoms = random_system(SKEWED, 5, 3.5, ("Be", "Al"))
    spec = PowerSpectrumSpec(3.5, (4, 2, 2), elements=("Be", "Al"))
    assert spec.n_features == 2 * SMALL.n_features
    for backend in BACKENDS:
        both = evaluate(points, atoms, spec, backend=backend, dtype=F64)
        for z, part in ((4, both[:, : SMALL.n_features]), (13, both[:, SMALL.n_features :])):
            alone = LocalAtoms(atoms.positions[atoms.numbers == z], atoms.numbers[atoms.numbers == z])
            assert relative_error(part, evaluate(points, alone, SMALL, backend=backend, dtype=F64)) < EXACT
        with pytest.raises(AtomsError, match="Li"):
            evaluate(points, cluster([[0, 0, 0]], ["Li"]), spec, backend=backend)


def test_elements_of_a_data_set() -> None:
    assert SMALL.for_elements(["Be"]) == SMALL
    assert SMALL.for_elements(["Si", "C"]).elements == ("C", "Si")
    assert SMALL.indistinct(["Si", "C"]) == ("C", "Si")
    assert SMALL.for_elements(["Si", "C"]).indistinct(["Si", "C"]) == ()
    with pytest.raises(InputError, match="Al"):
        PowerSpectrumSpec(elements=("Be", "C")).for_elements(["Al"])


def test_a_specification_comes_back_from_the_lists_of_a_file() -> None:
    values = {"family": "power_spectrum", "cutoff": 3.5, "radial": [4, 2, 2], "elements": ["Be"]}
    spec = spec_from_dict(values)
    assert spec == PowerSpectrumSpec(3.5, (4, 2, 2), ("Be",)) == spec_from_dict(spec.to_dict())
    assert hash(spec) == hash(spec_from_dict(spec.to_dict()))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"radial": r} for r in ([], [0], [4, 0], [32], [1] * 13, [2.0], [True], 4, "12")),
        {"cutoff": 0.0},
        {"elements": ["Xx"]},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PowerSpectrumSpec(**wrong)
