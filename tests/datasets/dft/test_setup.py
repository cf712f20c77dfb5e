"""What all codes' settings share: energies that cover what the integrals need, proposed once or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from maladist.datasets.dft.scratch import Scratch
from maladist.datasets.dft.setup import MARGIN, DFTSetup, check_covers, check_gaps
from maladist.errors import DFTError, InputError
from maladist.io.datasets import as_proposed
from maladist.units import BOLTZMANN

KEPT = {"origin": -6.0, "spacing": 0.4, "levels": 50, "broadening": 0.5, "temperature": 1000.0, "states": 5.0}


@pytest.fixture
def values(own_data: Path) -> dict[str, Any]:
    return {
        "temperature": 1000,
        "pseudopotentials": str(own_data / "pseudopotentials"),
        "energies": {"origin": -6.0, "spacing": 0.5, "levels": 39},
        "broadening": 0.5,
    }


def test_a_window_that_does_not_cover_is_refused(values: dict[str, Any]) -> None:
    setup = DFTSetup.of(values)
    check_covers(-2.9, 13.0, 7.0, setup)
    with pytest.raises(DFTError, match=r"bands up to 11\.00 eV"):
        check_covers(-2.9, 11.0, 7.0, setup)
    with pytest.raises(DFTError, match=r"a window of -6.00 to 13.00 eV"):
        check_covers(-2.9, 13.0, 10.0, setup)
    with pytest.raises(DFTError, match=r"wanted -6.50 to"):
        check_covers(-4.5, 13.0, 7.0, setup)


def test_proposed_energies_cover_what_is_needed_wherever_in_the_gap_the_fermi_level_is(values: dict[str, Any]) -> None:
    code = DFTSetup.of({**values, "energies": "auto"})
    eigenvalues = np.array([[-3.0, 1.0, 9.0], [-2.0, 2.0, 8.0]])
    for mu in (2.1, 7.9):
        settled = code.model_copy(update={"energies": code.window(eigenvalues, mu)})
        # Bands that a strain has moved by one eV, either way, and a Fermi level at the top of the gap.
        check_covers(-4.0, 99.0, 8.0, settled)
        check_covers(-2.0, 99.0, 9.0, settled)
        assert settled.energy_grid.spacing == pytest.approx(0.75 * 0.5)
        assert settled.energy_grid.levels < 70


def test_a_window_reaches_beyond_the_bands_and_the_tail_of_f_by_the_margin(values: dict[str, Any]) -> None:
    """4 δ below the lowest level, 12 k_BT and 5 δ above μ: what is left of a Gaussian and of f there is below 1e-5."""
    setup = DFTSetup.of({**values, "energies": "auto"})
    metal = setup.window(np.array([[-3.0, 5.0, 6.99, 7.0]]), 7.0)
    top = metal.origin + metal.spacing * (metal.levels - 1)
    assert metal.origin == pytest.approx(-3.0 - 4 * 0.5 - MARGIN, abs=0.1)
    needed = 7.0 + 12 * BOLTZMANN * 1000 + 5 * 0.5 + MARGIN
    assert needed <= top < needed + metal.spacing


def test_proposed_energies_are_taken_for_no_other_broadening_nor_hotter_electrons(values: dict[str, Any]) -> None:
    code = DFTSetup.of({**values, "energies": "auto"})
    settled = code.settled({"energies": KEPT})
    assert code.needs_survey and not settled.needs_survey and settled.energy_grid.levels == 50
    assert code.settled({}) is code  # nothing was proposed yet
    given = DFTSetup.of(values)
    assert given.settled({"energies": KEPT}) is given
    with pytest.raises(InputError, match=r"energies: auto, for δ 0\.5 eV at 1000 K; wanted .*δ 0\.3 eV, 1000 K"):
        code.settled({"energies": {**KEPT, "broadening": 0.3}})
    with pytest.raises(InputError, match=r"energies: auto, .* 500 K"):
        code.settled({"energies": {**KEPT, "temperature": 500.0}})


def test_energies_that_nobody_has_proposed_are_asked_for_by_name(values: dict[str, Any], tmp_path: Path) -> None:
    code = DFTSetup.of({**values, "energies": "auto"})
    with pytest.raises(InputError, match="energies: auto, and no calculation has proposed them"):
        _ = code.energy_grid
    with Scratch("a", str(tmp_path)) as scratch, pytest.raises(DFTError, match="This code proposes none"):
        code.survey(Atoms("Be"), scratch)


def test_the_folder_of_pseudopotentials_is_found_from_every_working_directory(
    values: dict[str, Any], own_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(own_data)
    code = DFTSetup.of({**values, "pseudopotentials": "pseudopotentials"})
    monkeypatch.chdir(tmp_path)
    assert "Be" in DFTSetup.of(code.to_dict()).elements


def test_energies_that_are_too_far_apart_are_refused_before_a_dft_runs(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"energies\.spacing: 0\.5 eV"):
        DFTSetup.of({**values, "broadening": 0.1})


def test_energies_may_be_several_windows_with_gaps_that_hold_no_state(values: dict[str, Any]) -> None:
    windows = [{"origin": -52.0, "spacing": 0.4, "levels": 20}, {"origin": -6.0, "spacing": 0.5, "levels": 39}]
    setup = DFTSetup.of({**values, "energies": windows})
    assert [part.levels for part in setup.energy_grid.parts] == [20, 39]
    check_covers(-49.0, 13.0, 7.0, setup)
    check_gaps(np.array([[-49.0, -46.5, -4.0, 9.0]]), 7.0, setup)
    for lost in (-46.0, -30.0, -4.1):  # within 4 δ of the gap's edges, or in it
        with pytest.raises(DFTError, match=rf"2 states in the gap from -44\.40 to -6\.00 eV, the lowest at {lost:.2f}"):
            check_gaps(np.array([[-49.0, lost, -3.0, 9.0], [-49.0, lost, -3.0, 9.0]]), 7.0, setup)
    assert DFTSetup.of(setup.to_dict()).energy_grid == setup.energy_grid
    # What a data set has is what others of it are given.
    kept = as_proposed(setup.energy_grid, setup.broadening, setup.temperature)
    assert DFTSetup.of({**values, "energies": "auto"}).settled({"energies": kept}).energy_grid == setup.energy_grid
    with pytest.raises(InputError, match=r"energies\.spacing: 0\.7 eV with a broadening"):
        DFTSetup.of({**values, "energies": [{**windows[0], "spacing": 0.7}, windows[1]]})
    with pytest.raises(InputError, match=r"config: energies: a part from -6 to 13 eV .*eV or more apart"):
        DFTSetup.of({**values, "energies": windows[::-1]})
    with pytest.raises(InputError, match="or a list of them"):
        DFTSetup.of({**values, "energies": [3]})
