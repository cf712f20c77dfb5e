"""Pieces of pw.x's output: numbers as Fortran prints them, and temperatures as well as four decimals tell them."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.io.qe.printed import last_real, last_structure, reals, temperature_printed


def test_numbers_that_touch_or_have_no_letter() -> None:
    np.testing.assert_array_equal(reals("-100.1234-99.2345  1.5D+02 1.25-101"), [-100.1234, -99.2345, 150.0, 1.25e-101])
    for text in ("1.0 nan", "********", "1.0 inf", "a"):
        with pytest.raises(ValueError):
            reals(text)


def test_the_last_match_counts() -> None:
    assert last_real("x = 1.0\nx = 2.0\n", r"x = (\S+)") == 2.0
    assert last_real("", r"x = (\S+)") is None


@pytest.mark.parametrize(
    ("printed", "kelvin"),
    [
        ("0.0063", 1000.0),  # printed of 0.006334; as it stands 994.69 K
        ("0.0019", 300.0),
        ("0.0127", 2000.0),
        ("0.0633", 10000.0),
        ("0.0200", 3157.75),  # a width that somebody has written as it is
        ("0.0126", 1989.38),
    ],
)
def test_temperatures_are_rounded_to_what_the_digits_allow(printed: str, kelvin: float) -> None:
    found, (note,) = temperature_printed(f"number of k points=   8  Fermi-Dirac smearing, width (Ry)=  {printed}\n")
    assert found == pytest.approx(kelvin, abs=0.01)
    assert "± 7.9 K" in note and "data-file-schema.xml" in note


def test_no_temperature_without_a_smearing() -> None:
    assert temperature_printed("number of k points= 8") == (None, ())
    assert temperature_printed("Fermi-Dirac smearing, width (Ry)=  0.0000") == (None, ())


HEAD = """     celldm(1)=   4.000000  celldm(2)=   0.000000  celldm(3)=   0.000000
     crystal axes: (cart. coord. in units of alat)
               a(1) = (   1.000000   0.000000   0.000000 )
               a(2) = (   0.000000   1.000000   0.000000 )
               a(3) = (   0.000000   0.000000   2.000000 )
   Cartesian axes

     site n.     atom                  positions (alat units)
         1           Be1 tau(   1) = (   0.0000000   0.5000000   0.2500000  )
         2           O_a tau(   2) = (   0.5000000  -0.5000000   1.0000000  )

"""
BOHR = 0.529177210903


@pytest.mark.parametrize(
    ("moved", "where"),
    [
        ("", [2 * BOHR, -2 * BOHR, 4 * BOHR]),
        ("ATOMIC_POSITIONS (angstrom)\nBe1 0 0 0\nO_a 0.1 0.2 0.3  0 1 0\n\n", [0.1, 0.2, 0.3]),
        ("ATOMIC_POSITIONS (bohr)\nBe1 0 0 0\nO_a 0.1 0.2 0.3\n\n", [0.1 * BOHR, 0.2 * BOHR, 0.3 * BOHR]),
        ("ATOMIC_POSITIONS (alat)\nBe1 0 0 0\nO_a 0.1 0.2 0.3\n\n", [0.4 * BOHR, 0.8 * BOHR, 1.2 * BOHR]),
        ("ATOMIC_POSITIONS (crystal)\nBe1 0 0 0\nO_a 0.1 0.2 0.3\n\n", [0.4 * BOHR, 0.8 * BOHR, 2.4 * BOHR]),
        (
            "CELL_PARAMETERS (alat=  4.00000000)\n1 0 0\n0 1 0\n0 0 3\n\n"
            "ATOMIC_POSITIONS (crystal)\nBe1 0 0 0\nO_a 0.1 0.2 0.3\n\n",
            [0.4 * BOHR, 0.8 * BOHR, 3.6 * BOHR],
        ),
        ("ATOMIC_POSITIONS (alat)\nBe1 9 9 9\nO_a 9 9 9\n\n" + HEAD, [2 * BOHR, -2 * BOHR, 4 * BOHR]),  # a new header
    ],
)
def test_the_structure_that_was_printed_last(moved: str, where: list[float]) -> None:
    atoms = last_structure(HEAD + moved)
    assert atoms.get_chemical_symbols() == ["Be", "O"] and all(atoms.pbc)
    np.testing.assert_allclose(atoms.positions[1], where, atol=1e-9)
    assert atoms.cell.lengths()[2] == pytest.approx((12 if "0 0 3" in moved else 8) * BOHR)


@pytest.mark.parametrize("text", ["", HEAD.replace("celldm(1)", "x"), HEAD.replace("a(3)", "b(3)")])
def test_no_structure_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no cell or no atoms"):
        last_structure(text)
