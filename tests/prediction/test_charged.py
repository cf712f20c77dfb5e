"""Arrays of the atoms: which basin is whose, net charges, what a file holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import maladist
from maladist.errors import PseudopotentialError
from maladist.io import stores
from maladist.prediction.charged import charged_atoms
from maladist.testing import sic_elements


@pytest.fixture(scope="module")
def snapshot(small_data_set: Path) -> Path:
    """Four atoms of Be with their LDOS, by DFT."""
    return small_data_set / "snapshots" / "test-4-atoms"


def test_a_maximum_between_atoms_is_given_to_none_and_a_core_charge_gives_each_atom_its_own(
    snapshot: Path, own_data: Path
) -> None:
    """The pseudo-density of beryllium has holes where its atoms are."""
    bare = maladist.charges(snapshot)
    assert not bare["electrons"].any() and float(bare["maximum_distance"].min()) > 0.6
    assert float(bare["maximum_electrons"].sum()) == pytest.approx(8.0, abs=1e-3)
    first, second = bare.attrs["notes"]
    assert first.startswith("maxima of n that belong to no atom") and "(radius)" in first
    assert "4 of 4 atoms have no maximum of n" in second and "cores of Be" in second
    cored = maladist.charges(snapshot, pseudopotentials=own_data / "pseudopotentials")
    assert float(cored["electrons"].min()) > 1.0 and "atoms have no" not in "".join(cored.attrs["notes"])
    given = maladist.charges(snapshot, radius=3.0)  # for who wants it: each maximum to its nearest atom
    assert float(given["electrons"].sum()) == pytest.approx(8.0, abs=1e-3) and not given.sizes["maximum"]


def test_net_charges_are_valences_less_electrons(temperatures: Path) -> None:
    """Carbon is charged at silicon's cost; without pseudopotentials nothing tells the valences of two elements."""
    snapshot = temperatures / "snapshots" / "sic-300K"
    told = stores.attributes(snapshot)["pseudopotentials"]
    elements = {s: replace(e, sha256=told[s]["sha256"]) for s, e in sic_elements().items()}
    found = maladist.charges(snapshot, method="voronoi", pseudopotentials=elements)
    np.testing.assert_allclose(found["net_charge"], 4 - found["electrons"])
    assert float(found["net_charge"].sum()) == pytest.approx(0.0, abs=1e-4)
    assert float(found["net_charge"][0]) > 1  # of Si
    assert "net_charge" not in maladist.charges(snapshot, method="voronoi")
    with pytest.raises(PseudopotentialError, match="another file for C"):
        maladist.charges(snapshot, pseudopotentials=elements | {"C": replace(elements["C"], sha256="0" * 64)})
    with pytest.raises(PseudopotentialError, match="none for Si"):
        maladist.charges(snapshot, pseudopotentials={"C": elements["C"]})


def test_atoms_for_a_file_have_the_numbers_as_arrays(snapshot: Path) -> None:
    found = maladist.charges(snapshot)
    atoms = charged_atoms(found)
    np.testing.assert_array_equal(atoms.arrays["dos"], found["atom_dos"])
    np.testing.assert_array_equal(atoms.info["dos_energy_eV"], found["energy"])
    assert set(atoms.arrays) >= {"electrons", "volume", "net_charge"}
    assert atoms.info["electrons_of_no_atom"] == pytest.approx(8.0, abs=1e-3) and atoms.info["method"] == "bader"
