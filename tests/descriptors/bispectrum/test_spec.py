"""Specification of the bispectrum: sizes in closed form, elements told apart, values out of range refused."""

from __future__ import annotations

import pytest

from maladist.descriptors import BispectrumSpec, spec_from_dict
from maladist.descriptors.bispectrum.spec import CPU_TWOJMAX
from maladist.errors import InputError


@pytest.mark.parametrize(("twojmax", "n"), [(0, 1), (2, 5), (4, 14), (6, 30), (8, 55), (10, 91), (12, 140)])
def test_the_number_of_components_is_that_of_lammps(twojmax: int, n: int) -> None:
    """For even twojmax = 2J: (J + 1)(J + 2)(2J + 3)/6."""
    j = twojmax // 2
    assert BispectrumSpec(twojmax=twojmax).n_features == n == (j + 1) * (j + 2) * (2 * j + 3) // 6
    assert BispectrumSpec(twojmax=twojmax, quadratic=True).n_features == n + n * (n + 1) // 2


WRONG: list[dict[str, object]] = [
    *({"twojmax": n} for n in (-1, 87, 2.5)),
    *({"rfac0": x} for x in (0.0, 1.1)),
    *({"cutoff": x} for x in (0.0, float("nan"), 101.0)),
    *({"rmin0": x} for x in (-0.1, 4.7)),
    *({"weights": w} for w in ({"Xx": 1.0}, {"Be": float("inf")})),
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_value_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        BispectrumSpec(**wrong)  # type: ignore[arg-type]


def test_several_elements_get_weights_from_minus_1_to_1_and_one_keeps_none() -> None:
    plain = BispectrumSpec(twojmax=2)
    assert plain.for_elements(["Be", "Be"]) == plain
    assert plain.for_elements(["Si", "C"]).weights == {"C": -1.0, "Si": 1.0}
    assert plain.for_elements(["O", "H", "C"]).weights == {"C": 0.5, "H": -0.5, "O": 1.0}
    assert plain.for_elements(["O", "H", "C", "Fe"]).weights == {"C": -0.5, "Fe": 1.0, "H": -1.0, "O": 0.5}
    own = BispectrumSpec(twojmax=2, weights={"Si": 1.0, "C": 0.3})
    assert own.for_elements(["C"]) == own
    with pytest.raises(InputError, match="Al"):
        own.for_elements(["Al", "Si"])


def test_elements_of_one_weight_are_told_to_be_alike() -> None:
    spec = BispectrumSpec(twojmax=2, weights={"Si": 2.0, "C": 2.0, "Al": 1.0})
    assert spec.indistinct(["Si", "C", "Al"]) == ("C", "Si")
    assert spec.indistinct(["Si", "Al"]) == ()
    assert BispectrumSpec(twojmax=2).indistinct(["Si", "C"]) == ("C", "Si")


def test_a_specification_comes_back_from_plain_values_and_compares_by_them() -> None:
    spec = BispectrumSpec(twojmax=4, weights={"Si": 2, "C": 1})
    assert spec_from_dict(spec.to_dict()) == spec
    assert spec == BispectrumSpec(twojmax=4, weights={"C": 1.0, "Si": 2.0})
    assert hash(spec) == hash(BispectrumSpec(twojmax=4, weights={"C": 1.0, "Si": 2.0}))


def test_the_compiled_kernel_is_offered_only_where_it_can_be_compiled() -> None:
    assert "cpu" in BispectrumSpec(twojmax=CPU_TWOJMAX).kernels()
    assert "cpu" not in BispectrumSpec(twojmax=CPU_TWOJMAX + 1).kernels()
