"""Snapshots of a training: what the DFT says of them, on the data's energies and on those without a cell's zero."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from maladist.datasets.snapshots import Snapshot, find_snapshots
from maladist.errors import InputError
from maladist.physics.fermi import fermi_level, fermi_weights

COEFFICIENTS = {"Be": 70.0}


@pytest.fixture
def snapshots(small_data_set: Path) -> list[Snapshot]:
    """All of the small data set."""
    return find_snapshots([str(small_data_set)], "data.train")


def test_local_energies_leave_errors_against_the_dft_as_they_are(snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        zero = snapshot.zero_of(COEFFICIENTS)
        window = replace(snapshot.energies, origin=snapshot.energies.origin - zero + 0.037)
        local = snapshot.on_local_energies(COEFFICIENTS, window)
        errors = []
        for one in (snapshot, local):
            assert one.dos is not None and one.system.n_electrons is not None and one.temperature is not None
            dos = torch.as_tensor(np.array(one.dos))
            mu = fermi_level(dos, one.energies, one.system.n_electrons, one.temperature, correction=False)
            band = float(fermi_weights(one.energies, mu, one.temperature, correction=False).band @ dos)
            errors.append((mu - one.terms["fermi_energy_eV"], band - one.terms["band_energy_eV"]))
        assert abs(local.terms["fermi_energy_eV"] - snapshot.terms["fermi_energy_eV"]) > 1.0
        np.testing.assert_allclose(errors[1], errors[0], atol=2e-3)  # eV: the hat functions sit elsewhere


def test_a_pattern_that_matches_nothing_names_the_key(small_data_set: Path) -> None:
    with pytest.raises(InputError, match=r"data\.train"):
        find_snapshots([str(small_data_set / "snapshots" / "nothing-*")], "data.train")
