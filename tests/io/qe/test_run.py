"""What runs have in common, whatever they were read from."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase.build import bulk

from maladist.errors import DFTError, PhysicsError
from maladist.io.qe.run import DFTRun, symbol_of, temperature_of, without_dispersion


@pytest.mark.parametrize(("species", "symbol"), [("Be", "Be"), ("Be1", "Be"), ("BE_a", "Be"), ("o-2", "O"), ("H", "H")])
def test_symbols_of_species(species: str, symbol: str) -> None:
    assert symbol_of(species) == symbol


def test_only_fermi_dirac_has_a_temperature() -> None:
    assert temperature_of(0.08617333262, "Fermi-Dirac") == pytest.approx(1000.0)
    assert temperature_of(0.08617333262, "fd") == pytest.approx(1000.0)
    assert temperature_of(0.1, "gaussian") is None


def test_an_unconverged_run_says_what_to_do() -> None:
    with pytest.raises(DFTError, match=r"pw\.out: the self-consistency did not converge.*mixing_beta"):
        DFTRun(Path("pw.out"), bulk("Be"), converged=False).check_converged()


def test_dispersion() -> None:
    terms, (note,) = without_dispersion({"total_free_energy_eV": -10.0, "xc_eV": -1.0}, -0.5, "grimme-d3", Path("x"))
    assert terms == {"total_free_energy_eV": -9.5, "xc_eV": -1.0, "dispersion_eV": -0.5}
    assert "grimme-d3, -0.500000 eV" in note
    with pytest.raises(PhysicsError, match="without its energy"):
        without_dispersion({"total_free_energy_eV": -10.0}, 0.0, "d3", Path("x"))
