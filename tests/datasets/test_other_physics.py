"""Each kind of other physics leaves a trace in the terms; good data leave none."""

from __future__ import annotations

import pytest

from maladist.datasets.other_physics import signs_of_other_physics

GOOD = {
    "band_energy": 0.3,
    "entropy_contribution": -0.1,
    "hartree": 0.1,
    "xc": 0.2,
    "xc_potential": 0.25,
    "ewald": 0.0,
    "total_free_energy": 0.05,
}
TERMS = {"entropy_contribution_eV": -0.01}
ATTRIBUTES = {"xc": "pbe", "pseudopotentials": {"Be": {"file": "Be.pbe-n-rrkjus_psl.1.0.0.UPF"}}}


def test_good_data_leave_no_trace() -> None:
    assert signs_of_other_physics(GOOD, TERMS, ATTRIBUTES) == ()
    assert signs_of_other_physics({}, {}, {}) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ewald": -11000.0, "total_free_energy": -11000.0}, "assume_isolated"),
        ({"xc": 300.0, "xc_potential": 400.0, "total_free_energy": -100.0}, "another functional than pbe"),
        ({"total_free_energy": 3700.0}, "Hubbard correction"),
        ({"total_free_energy": -130.0}, "dispersion correction"),
        ({"total_free_energy": 57000.0}, "PAW's one-center terms"),
        ({"entropy_contribution": -25.0, "total_free_energy": -25.0}, "another smearing than Fermi-Dirac's"),
    ],
)
def test_a_trace_is_named_and_no_other(change: dict[str, float], words: str) -> None:
    (reason,) = signs_of_other_physics(GOOD | change, TERMS, ATTRIBUTES)
    assert words in reason


def test_a_positive_entropy_term_is_said() -> None:
    """Methfessel and Paxton's may be; −TS never is."""
    change = {"entropy_contribution": -25.0, "total_free_energy": -25.0}
    (reason,) = signs_of_other_physics(GOOD | change, {"entropy_contribution_eV": 0.02}, ATTRIBUTES)
    assert "and is positive" in reason


def test_a_total_without_the_potential_s_term_is_compared_where_the_density_is_the_same() -> None:
    without = {k: v for k, v in GOOD.items() if k != "xc_potential"} | {"total_free_energy": -130.0}
    assert any("beyond its terms" in r for r in signs_of_other_physics(without, TERMS, ATTRIBUTES))
    assert signs_of_other_physics(without | {"xc": 5.0}, TERMS, ATTRIBUTES) == ()


def test_the_name_of_a_paw_file_is_a_reason() -> None:
    files = {"pseudopotentials": {"Be": {"file": "Be.pbe-n-kjpaw_psl.1.0.0.UPF"}}}
    (reason,) = signs_of_other_physics(GOOD, TERMS, files)
    assert reason.startswith("the DFT has PAW")
