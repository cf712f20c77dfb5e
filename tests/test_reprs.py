"""What objects say of themselves in a terminal and in a notebook: the numbers that matter, and safe HTML."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from distributed import Client

from maladist import Energies, EnergyGrid, Grid, plan, predict
from maladist.reprs import html_table
from maladist.testing import be_atoms, tiny_model

GRID = Grid([[2.0, 0, 0], [-1.0, 3**0.5, 0], [0, 0, 3.6]], (10, 10, 18))
ENERGIES = Energies(2, band=1.5, entropy=-0.25, hartree=2.0, xc=-6.0, xc_potential=None, ewald=-11.0)


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (GRID, ["10 × 10 × 18", "2.000 2.000 3.600", "90.00 90.00 120.00"]),
        (EnergyGrid(-5.0, 0.2, 91, "gaussian", 0.4), ["-5 to 13 eV", "91 levels", "gaussian broadening of 0.4 eV"]),
        (EnergyGrid(0.0, 0.5, 3), ["0 to 1 eV", "broadening unknown"]),
        (tiny_model(), ["Be", "bispectrum", "network 14-16-41", "2000 K"]),
        (ENERGIES, ["2 atoms", "band energy", "1.500000", "0.750000", "–"]),
    ],
)
def test_text_tells_what_matters(thing: Any, said: list[str]) -> None:
    text = repr(thing)
    assert all(s in text for s in said), text
    assert len(text.splitlines()) < 12


@pytest.mark.parametrize("thing", [GRID, EnergyGrid(0.0, 0.5, 3), tiny_model(), ENERGIES])
def test_html_is_a_table(thing: Any) -> None:
    rows = ElementTree.fromstring(thing._repr_html_()).findall(".//tbody/tr")
    assert len(rows) >= 3
    assert len({len(row) for row in rows}) == 1


def test_html_of_a_grid_and_of_energies_has_their_numbers() -> None:
    assert all(x in GRID._repr_html_() for x in ("1800 points", "12.471 Å³", "0.2000"))
    assert "<td" in ENERGIES._repr_html_() and "-11.000000" in ENERGIES._repr_html_()


def test_what_users_name_cannot_break_the_page() -> None:
    assert "<script>" not in html_table("<script>", [("<script>", "&")])


@pytest.mark.filterwarnings("ignore:broadening correction")
def test_a_plan_and_a_prediction_show_their_tables(tmp_path: Any) -> None:
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        planned = plan(be_atoms(), tiny_model(), client=client, grid=(9, 9, 12), calibrate=False)
        store = tmp_path / "a<b>.zarr"
        result = predict(be_atoms(), tiny_model(), client=client, grid=(9, 9, 12), store=store)
    assert "9 × 9 × 12 = 972 points" in repr(planned) and "972 points" in planned._repr_html_()
    assert "total free energy" in repr(result) and str(store) in repr(result)
    page = result._repr_html_()
    assert "total free energy" in page and "xarray.Dataset" in page and "a&lt;b&gt;.zarr" in page
