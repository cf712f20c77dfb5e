"""The total free energy and its terms against Quantum ESPRESSO's, and against MALA's figures for the Be2 test data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.grid import Grid
from maladist.physics import ldos
from maladist.physics.energies import Energies, total_free_energy
from maladist.physics.fermi import fermi_level, fermi_weights, use_correction
from maladist.physics.system import System

MEV = 1e-3

CASES = [
    ("be2_nc_nlcc_1000K", False),
    ("be4_nc_nlcc_10000K", False),
    ("al4_nc_nlcc", False),
    ("be2_us_nlcc_300K", True),
]


def errors_per_atom(energies: Energies, reference: dict) -> dict[str, float]:
    """Each term minus Quantum ESPRESSO's, meV/atom."""
    printed = reference["qe_printed_eV"]
    wanted = {
        "band": reference["band_energy_eV"],
        "entropy": reference["entropy_contribution_eV"],
        "hartree": printed["hartree"],
        "xc": printed["xc"],
        "ewald": printed["ewald"],
        "total": printed["total"],
    }
    return {name: (getattr(energies, name) - value) / energies.n_atoms / MEV for name, value in wanted.items()}


def assert_within(errors: dict[str, float], bounds: dict[str, float]) -> None:
    outside = {name: errors[name] for name, bound in bounds.items() if not abs(errors[name]) <= bound}
    assert not outside, f"meV/atom: {outside}; bounds {bounds}"


@pytest.mark.parametrize(("name", "shared"), CASES)
def test_from_the_density_of_quantum_espresso(qe_case: Callable, name: str, shared: bool) -> None:
    case = qe_case(name, shared=shared)
    r = case.reference
    energies = total_free_energy(
        r["band_energy_eV"],
        r["entropy_contribution_eV"],
        case.density,
        case.system,
    )
    assert_within(errors_per_atom(energies, r), {"hartree": 0.01, "ewald": 0.01, "xc": 0.03, "total": 0.15})


@pytest.mark.parametrize(("name", "shared"), [("be2_nc_nlcc_1000K", False), ("be4_nc_nlcc_10000K", True)])
def test_from_the_ldos_alone_with_the_broadening_corrected(qe_case: Callable, name: str, shared: bool) -> None:
    case = qe_case(name, shared=shared)
    r, grid, temperature = case.reference, case.energy_grid, case.reference["temperature_K"]
    correction, _ = use_correction("auto", grid)
    assert correction
    dos = ldos.dos(case.ldos, case.grid.voxel_volume)
    mu = fermi_level(dos, grid, r["n_electrons"], temperature, correction=correction)
    w = fermi_weights(grid, mu, temperature, correction=correction)
    energies = total_free_energy(
        float(w.band @ dos),
        float(w.entropy @ dos),
        ldos.density(case.ldos, w.number),
        case.system,
    )
    bounds = {"hartree": 0.05, "xc": 0.05, "ewald": 0.01, "band": 0.15, "entropy": 0.15, "total": 0.15}
    assert_within(errors_per_atom(energies, r), bounds)


@pytest.mark.parametrize("snapshot", [0, 1])
def test_figures_of_mala_from_the_stored_ldos(shared_data: Path, snapshot: int) -> None:
    """The Be2 test data, correction off; reference.json there is what MALA 1.4.0 makes of them."""
    folder = shared_data / "be2"
    wanted = json.loads((folder / "reference.json").read_text())[f"snapshot{snapshot}"]["from_the_stored_ldos"]
    d = torch.from_numpy(np.load(folder / f"Be_snapshot{snapshot}.out.npy"))
    atoms = ase.io.read(folder / f"Be_snapshot{snapshot}.out", format="espresso-out")
    grid, energies = Grid(atoms.cell.array.tolist(), tuple(d.shape[:3])), EnergyGrid(-5.0, 2.5, 11)
    temperature = 299.98637294316444
    dos = ldos.dos(d, grid.voxel_volume)
    mu = fermi_level(dos, energies, 4.0, temperature, correction=False)
    w = fermi_weights(energies, mu, temperature, correction=False)
    n = ldos.density(d, w.number)
    np.testing.assert_allclose(dos, wanted["dos_per_eV"], atol=1e-7)  # MALA sums in float32
    assert mu == pytest.approx(wanted["fermi_energy_eV"], abs=1e-9)
    assert float(w.band @ dos) == pytest.approx(wanted["band_energy_eV"], abs=1e-8)
    assert float(w.entropy @ dos) == pytest.approx(wanted["entropy_contribution_eV"], abs=1e-8)
    assert float(w.number @ dos) == pytest.approx(wanted["n_electrons"], abs=1e-10)
    assert float(n.min()) == pytest.approx(wanted["density_min"], abs=1e-10)
    assert float(n.max()) == pytest.approx(wanted["density_max"], abs=1e-10)


GRID = Grid([[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]], (8, 8, 8))
DENSITY = torch.full(GRID.shape, 4 / 27, dtype=torch.float64)
POSITIONS = np.array([[0.0, 0, 0], [1.5, 1.5, 1.5]])


def of_made_up_cell(elements: dict[str, Element], functional: str | None = "pbe") -> Energies:
    system = System(GRID, POSITIONS, np.array([4, 4], np.int16), elements, functional, 500.0)  # type: ignore[arg-type]
    return total_free_energy(3.0, -0.1, DENSITY, system)


def test_without_a_pseudopotential_what_needs_it_is_none_and_the_rest_is_there() -> None:
    only_valence = of_made_up_cell({"Be": Element("Be", 2.0)})
    assert (only_valence.xc, only_valence.xc_potential, only_valence.total) == (None, None, None)
    assert only_valence.hartree == pytest.approx(0.0, abs=1e-12)
    assert only_valence.ewald is not None
    assert only_valence.ewald < 0
    nothing = of_made_up_cell({})
    assert (nothing.ewald, nothing.xc, nothing.total) == (None, None, None)
    assert nothing.hartree is not None


def test_without_a_functional_there_is_no_xc() -> None:
    energies = of_made_up_cell({"Be": Element("Be", 2.0, "Be.upf")}, None)
    assert energies.xc is None
    assert energies.ewald is not None


def test_without_nlcc_xc_sees_the_density_only() -> None:
    energies = of_made_up_cell({"Be": Element("Be", 2.0, "Be.upf")}, "pw92")
    assert energies.total is not None
    assert energies.xc is not None
    assert energies.xc_potential is not None
    assert energies.xc < energies.xc_potential * 0.7 < 0  # exchange alone has E = 3/4 ∫ v n


TERMS = Energies(2, band=10.0, entropy=-0.5, hartree=1.0, xc=-40.0, xc_potential=-50.0, ewald=-80.0)


def test_the_total_has_the_signs_of_the_formula() -> None:
    assert TERMS.total == pytest.approx(10.0 - 0.5 - 1.0 - 40.0 + 50.0 - 80.0)
    assert TERMS.per_atom().total == pytest.approx(TERMS.total / 2)


def test_terms_come_in_their_order_by_the_names_of_the_results_and_back() -> None:
    written = TERMS.to_dict()
    assert list(written) == [
        "band_energy_eV",
        "entropy_contribution_eV",
        "hartree_eV",
        "xc_eV",
        "xc_potential_eV",
        "ewald_eV",
        "total_free_energy_eV",
    ]
    assert Energies.from_dict(json.loads(json.dumps(written)) | {"fermi_energy_eV": 1.0}, 2) == TERMS


def test_the_table_shows_a_dash_where_a_term_is_unknown() -> None:
    table = str(Energies(2, band=10.0, entropy=-0.5, hartree=1.0)).splitlines()
    assert len({len(line) for line in table}) == 1
    assert "5.000000" in table[1]
    assert [line.split()[-1] for line in table if "xc" in line or "ewald" in line or "total" in line] == ["–"] * 4
