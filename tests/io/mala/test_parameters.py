"""MALA's parameters of data: energies and descriptors are read, or it is said what they lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maladist import BispectrumSpec, EnergyGrid
from maladist.errors import DataFileError
from maladist.io.mala.parameters import read_descriptor, read_energy_grid

PATH = Path("params.json")
TARGETS = {"target_type": "LDOS", "ldos_gridoffset_ev": -5, "ldos_gridspacing_ev": 2.5, "ldos_gridsize": 11}


def test_energies_of_one_grid_and_of_parts_that_join() -> None:
    assert read_energy_grid(PATH, {"targets": TARGETS}) == EnergyGrid(-5.0, 2.5, 11)
    parts = {"ldos_gridoffset_ev": [-5, 0], "ldos_gridspacing_ev": [2.5, 2.5], "ldos_gridsize": [2, 9]}
    assert read_energy_grid(PATH, {"targets": {**TARGETS, **parts}}) == EnergyGrid(-5.0, 2.5, 11)
    apart = {**TARGETS, **parts, "ldos_gridoffset_ev": [-50, 0]}
    assert read_energy_grid(PATH, {"targets": apart}) == EnergyGrid.of_parts([(-50, 2.5, 2), (0, 2.5, 9)])
    with pytest.raises(DataFileError, match=r"a part from -5 to -2\.5 eV and .* wanted .*apart"):  # they adjoin
        read_energy_grid(PATH, {"targets": {**TARGETS, **parts, "ldos_gridspacing_ev": [2.5, 1.0]}})


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({**TARGETS, "ldos_gridsize": 0, "ldos_gridspacing_ev": 0}, "spacing 0.0, 0 levels"),  # what MALA begins with
        ({**TARGETS, "target_type": "DOS"}, "a model of the DOS"),
        ({**TARGETS, "ldos_gridsize": "many"}, "cannot be read"),
        ({}, "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_energies_that_parameters_do_not_tell(targets: Any, said: str) -> None:
    with pytest.raises(DataFileError, match=rf"params\.json: .*{said}.*--energies"):
        read_energy_grid(PATH, {"targets": targets})


def test_descriptors_with_weights_of_elements_in_alphabetical_order() -> None:
    section = {"descriptor_type": "Bispectrum", "bispectrum_twojmax": 4, "bispectrum_cutoff": 3.0}
    section |= {"bispectrum_switchflag": 1, "bispectrum_element_weights": [1.0, 0.5]}
    found = read_descriptor(PATH, {"descriptors": section}, ["Al", "Be"], None)
    assert found == BispectrumSpec(twojmax=4, cutoff=3.0, weights={"Al": 1.0, "Be": 0.5})


@pytest.mark.parametrize("section", [{"descriptor_type": "ACE"}, {"descriptor_type": "Bispectrum"}, {}, 5])
def test_descriptors_that_parameters_do_not_tell(section: Any) -> None:
    with pytest.raises(DataFileError, match=r"params\.json"):
        read_descriptor(PATH, {"descriptors": section}, ["Be"], np.eye(3))
