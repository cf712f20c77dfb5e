"""Two results on one page: B − A where it means something, and a refusal or a sentence where it does not."""

from __future__ import annotations

import re
from pathlib import Path

import ase
import numpy as np
import pytest

import maladist
from maladist import Prediction
from maladist.errors import InputError
from maladist.report.comparison import comparison_page
from maladist.report.html import report
from maladist.testing import be_atoms, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


def run(atoms: ase.Atoms, store: Path, grid: tuple[int, int, int] = (9, 9, 12)) -> Prediction:
    return maladist.predict(atoms, tiny_model(twojmax=2), grid=grid, store=store, forces=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def a(folder: Path) -> Prediction:
    return run(be_atoms(), folder / "a.zarr")


@pytest.fixture(scope="module")
def b(folder: Path) -> Prediction:
    """The same atoms, one moved by 0.1 Å."""
    atoms = be_atoms()
    atoms.positions[0] += [0.0, 0.06, 0.08]
    return run(atoms, folder / "b.zarr")


@pytest.fixture(scope="module")
def page(a: Prediction, b: Prediction) -> str:
    return comparison_page(a, b)


def bare(p: Prediction, **attributes: object) -> Prediction:
    """A result without what is drawn, of which something else is told."""
    return Prediction(p.dataset.drop_vars(["density", "dos"]).assign_attrs(attributes), p.store)


def shown(x: float, digits: int) -> str:
    return f"{round(x, digits) + 0.0:.{digits}f}".replace("-", "−")


def cells(page: str, label: str) -> list[str]:
    """The numbers of the line of a table that begins so."""
    row = next(r for r in re.findall(r"<tr[^>]*><td>(.*?)</tr>", page) if re.sub("<[^>]*>", "", r).startswith(label))
    return re.findall(r"<td>([^<]*)</td>", row)


def test_every_term_stands_beside_its_difference_an_atom_too(a: Prediction, b: Prediction, page: str) -> None:
    labels = ("Eb", "−TS", "EH", "Exc", "∫ vxc n", "Eii", "A, total")
    for label, (_, x), (_, y) in zip(labels, a.energies, b.energies, strict=True):
        assert x is not None and y is not None
        per_atom = [shown(x / 2, 6), shown(y / 2, 6), shown(500 * (y - x), 3)]
        assert cells(page, label) == [shown(x, 4), shown(y, 4), shown(y - x, 4), *per_atom]
    assert f"{shown(b.fermi_energy - a.fermi_energy, 4)} eV</b><span>Fermi level" in page


def test_shows_what_has_moved_atoms_forces_and_electrons(a: Prediction, b: Prediction, page: str) -> None:
    assert cells(page, "largest displacement") == ["", "", "0.1000"]
    assert a.forces is not None and b.forces is not None
    forces = [f"{np.sqrt(np.mean(f**2)):.4f}" for f in (a.forces, b.forces, b.forces - a.forces)]
    assert cells(page, "root mean square of a component") == forces
    moved = maladist.difference(b, a).attrs["moved_electrons"]
    assert f"{moved:.4f} electrons</b>" in page and moved > 0.001
    for label in ("Density of states and μ of A and of B", "Δn(r) in the plane across c"):
        assert f'aria-label="{label}"' in page


def test_a_result_less_itself_is_nothing(a: Prediction) -> None:
    page = comparison_page(a, a)
    assert cells(page, "A, total")[2] == "0.0000" and "0.0000 electrons</b>" in page
    assert '<tr class="differs">' not in page


def test_cells_of_other_sizes_are_compared_an_atom_and_without_a_density(a: Prediction, folder: Path) -> None:
    twice = run(be_atoms((1, 1, 2)), folder / "twice.zarr", (9, 9, 24))
    page = comparison_page(a, twice)
    assert "B − A, meV/atom" in page and "B − A, eV<" not in page
    # The same crystal: what an atom has is the same.
    assert float(cells(page, "A, total")[-1].replace("−", "-")) == pytest.approx(0, abs=0.05)
    assert "9×9×12 and 9×9×24 points, are not the same points of the same cell: no density is subtracted" in page
    assert "displacement" not in page and "eV/Å" not in page


def test_energies_of_other_zeros_are_shown_and_not_subtracted(a: Prediction, b: Prediction) -> None:
    files = [{"Be": {"file": "Be.UPF", "sha256": h}} for h in "12"]
    others = (
        (bare(a, xc="pbe"), bare(b, xc="pz"), "functionals are pbe and pz"),
        (bare(a, pseudopotentials=files[0]), bare(b, pseudopotentials=files[1]), "of Be are not the same"),
        (bare(a), bare(b, n_electrons=8.0), "2 and 4 electrons an atom"),
        (bare(a), bare(b, assume_isolated="2D"), "cut off otherwise (assume_isolated none and 2D)"),
    )
    for one, two, why in others:
        page = comparison_page(one, two)
        assert why in page and "B − A, meV/atom" not in page and len(cells(page, "A, total")) == 4
        assert "Fermi level μ, B − A" not in page and cells(page, "μ, Fermi level")[2] == ""


def test_what_cannot_be_compared_is_refused_by_name(a: Prediction, b: Prediction) -> None:
    aluminium = Prediction(b.dataset.assign(number=("atom", np.array([13, 13], dtype=np.int16))), b.store)
    with pytest.raises(InputError, match="Al2 beside Be2"):
        comparison_page(a, aluminium)
    several = []
    for p, t in ((bare(a), 1000.0), (bare(b), 3000.0)):
        levels = {"fermi_energy_eV": ("temperature", [1.0, 2.0]), "temperature": [t, t + 1]}
        several.append(Prediction(p.dataset.assign(levels), p.store))
    with pytest.raises(InputError, match="1000, 1001 K beside 3000, 3001 K"):
        comparison_page(*several)


def test_temperatures_that_differ_are_said(a: Prediction, b: Prediction) -> None:
    page = comparison_page(bare(a, temperature_K=1000.0), bare(b, temperature_K=2000.0))
    assert "The electrons of A are at 1000 K, those of B at 2000 K." in page


def test_what_one_of_them_does_not_hold_is_said(a: Prediction, b: Prediction) -> None:
    page = comparison_page(bare(a), b)
    assert "Not both stores hold a density." in page and "Not both stores hold a DOS" in page


def test_goes_beside_the_first_store_with_both_names(a: Prediction, b: Prediction, folder: Path) -> None:
    assert report(bare(a), other=bare(b)) == folder / "a-b.html"
    assert "A: a.zarr" in (folder / "a-b.html").read_text()


def test_no_word_of_a_store_becomes_markup(a: Prediction, b: Prediction) -> None:
    bad = "<img src=x onerror=alert(1)>"
    told = dict.fromkeys(("model_hash", "xc", "command", "model", "source", "host"), bad)
    page = comparison_page(bare(a), bare(b, **told, notes=[bad], pseudopotentials={bad: {"file": bad}}))
    assert bad not in page and page.count("&lt;img src=x") >= 9
