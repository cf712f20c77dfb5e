"""Pulay's stress: from the slope at a fixed number of plane waves to that of energies at a fixed cutoff."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from ase import Atoms

from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.kpoints import Mesh
from maladist.datasets.dft.pulay import at_fixed_cutoff
from maladist.datasets.dft.scratch import Scratch
from maladist.errors import DataFileError, DFTError
from maladist.io.qe.run import DFTRun


def energy(volume: float, cutoff: float) -> float:
    """A made-up A(Ω, E_c), eV: an equation of state, and what plane waves beyond the cutoff would be worth."""
    return 0.002 * (volume - 60.0) ** 2 + 0.5 * volume**0.3 * np.exp(-cutoff / 80.0)


def test_the_slope_at_a_fixed_cutoff_follows_from_that_at_a_fixed_number() -> None:
    volume, cutoff, step, h = 64.0, 340.0, 0.04, 1e-4

    def strained(strain: float, fixed_number: bool) -> float:
        e_c = cutoff * (1 + strain) ** -2 if fixed_number else cutoff
        return energy(volume * (1 + strain) ** 3, e_c)

    def stress(fixed_number: bool) -> float:
        """A third of dA/dε over Ω, ε of all lengths."""
        return (strained(h, fixed_number) - strained(-h, fixed_number)) / (2 * h) / (3 * volume)

    raw = np.array([stress(True)] * 3 + [0.3, 0.2, 0.1])
    low, high = (energy(volume, cutoff * (1 + sign * step)) for sign in (-1, 1))
    corrected = at_fixed_cutoff(raw, low, high, step, volume)
    pulay = stress(True) - stress(False)
    assert pulay > 1e-3  # above: A gains less where the sphere of plane waves shrinks with the cell's growth
    # The difference of 4 % for a slope: (0.04·340/80)²/6 of Pulay's part.
    np.testing.assert_allclose(corrected[:3], stress(False), atol=0.006 * pulay)
    assert corrected[3:].tolist() == raw[3:].tolist()
    assert at_fixed_cutoff(raw, low, low, step, volume) == pytest.approx(raw)  # converged: none


@pytest.mark.parametrize(("mesh", "taken"), [((12, 7, 6), (6, 4, 3)), ((4, 3, 1), (4, 3, 1))], ids=["many", "few"])
def test_the_stress_at_a_fixed_cutoff_comes_from_two_calculations_on_every_other_point_of_many(
    mesh: Mesh, taken: Mesh, values: dict[str, Any], be2: Atoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, asked = Espresso.of({**values, "kpoints": list(mesh)}), list[tuple[object, ...]]()
    run = DFTRun(tmp_path, be2, stress=np.arange(6.0))

    def calculated(_: Espresso, atoms: Atoms, scratch: Scratch, bands: int, *how: object) -> DFTRun:
        asked.append((bands, *how))
        return DFTRun(tmp_path, atoms, terms={"total_free_energy_eV": -10.0 - 0.1 * len(asked)})

    with Scratch("a", str(tmp_path)) as scratch:
        monkeypatch.setattr(Espresso, "_calculation", calculated)
        found = code._at_fixed_cutoff(run, scratch, 7)
        assert asked == [(7, "cutoff0.96", taken, 0.96), (7, "cutoff1.04", taken, 1.04)]
        pulay = -0.1 / 0.08 * 2 / (3 * be2.get_volume())
        np.testing.assert_allclose(found.stress_fixed_cutoff, np.arange(6.0) + pulay * np.array([1, 1, 1, 0, 0, 0]))
        assert found.stress is not None and found.stress.tolist() == [0, 1, 2, 3, 4, 5]  # both are kept

        # The snapshot is good without it.
        for error in (DFTError("pw.x", "it ended", "a run"), DataFileError("a.xml", "cut off", "XML"), OSError("full")):
            monkeypatch.setattr(Espresso, "_calculation", Mock(side_effect=error))
            kept = code._at_fixed_cutoff(run, scratch, 7)
            assert kept.stress_fixed_cutoff is None and kept.stress is not None
            assert kept.notes == (f"no stress at a fixed cutoff: {error}",)
            with monkeypatch.context() as stopped, pytest.raises(type(error)):
                stopped.setattr("maladist.datasets.dft.espresso.is_wanted", lambda: False)
                code._at_fixed_cutoff(run, scratch, 7)
        bare = DFTRun(tmp_path, be2)
        assert code._at_fixed_cutoff(bare, scratch, 7) is bare


@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="no pw.x on this machine")
def test_the_stress_at_a_fixed_cutoff_is_the_slope_of_its_energies(
    tmp_path: Path, be2: Atoms, values: dict[str, Any]
) -> None:
    """A of cells strained by ±1 % against the mean of pw.x's own stress over them: they differ by Pulay's."""
    code, h, volume = Espresso.of({**values, "kpoints": [6, 6, 4]}), 0.01, be2.get_volume()
    with Scratch("a", str(tmp_path)) as scratch:
        bands = 5
        run, _ = code._scf(be2, scratch, bands)
        corrected = code._at_fixed_cutoff(run, scratch, bands).stress_fixed_cutoff
        strained = []
        for sign in (-1, 1):
            atoms = be2.copy()
            atoms.set_cell(be2.cell * (1 + sign * h), scale_atoms=True)
            strained.append(code._scf(atoms, scratch, bands)[0])
    smaller, larger = (one.terms["total_free_energy_eV"] for one in strained)
    slope = (larger - smaller) / (2 * h) / (3 * volume)
    pressures = [float(one.stress[:3].mean()) for one in (strained[0], run, strained[1]) if one.stress is not None]
    # Simpson's rule for ∫ σ Ω/(1 + ε) dε, which the energies would follow at a fixed number of plane waves.
    weights = [(1 - h) ** 2 / 6, 4 / 6, (1 + h) ** 2 / 6]
    pulay = float(np.dot(weights, pressures)) - slope
    assert corrected is not None and pulay > 0.02
    # 0.0336 here; plane waves that enter one by one leave some per cent.
    assert float((run.stress - corrected)[0]) == pytest.approx(pulay, rel=0.1)
