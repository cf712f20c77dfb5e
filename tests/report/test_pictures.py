"""Pictures of a report: drawn where the store holds what they show, the same bytes for the same store, one scale."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from maladist import Prediction, metadata
from maladist.energy_grid import EnergyGrid
from maladist.physics.system import System
from maladist.prediction.novelty import NOVELTY
from maladist.prediction.setup import grid_of
from maladist.report import pictures
from maladist.report.pictures import (
    draw_density,
    draw_difference,
    draw_dos,
    draw_forces,
    draw_novelty,
    draw_stages,
    draw_timeline,
)
from maladist.testing import be_atoms

ENERGIES = EnergyGrid(-5.0, 0.5, 21)
FARTHEST = (0.2, 0.5, 0.75)  # shares of the lattice vectors


@pytest.fixture(scope="module")
def whole() -> Prediction:
    """A made-up result of two atoms that holds all that is drawn."""
    atoms = be_atoms()
    system = System(
        grid_of(atoms, (6, 7, 9)), atoms.positions, atoms.numbers.astype(np.int16), {}, temperatures=(2000.0,)
    )
    rng, xyz = np.random.default_rng(0), ("x", "y", "z")
    variables: dict[str, Any] = {
        "density": (xyz, rng.random((6, 7, 9))),
        NOVELTY: (xyz, rng.random((6, 7, 9))),
        "dos": ("energy", np.linspace(0.0, 2.0, 21)),
        "energy": ("energy", ENERGIES.values),
        "fermi_energy_eV": ((), 1.25),
        "position": (("atom", "xyz"), system.positions),
        "number": ("atom", system.numbers),
    }
    attributes: dict[str, Any] = {**metadata.system_attributes(system), **metadata.energy_attributes(ENERGIES)}
    largest = (np.array(FARTHEST) @ atoms.cell.array).tolist()
    attributes["outside"] = {"largest_at_A": largest}
    return Prediction(xr.Dataset(variables, attrs=attributes), Path("a.zarr"))


def without(whole: Prediction, *names: str) -> Prediction:
    attrs = {k: v for k, v in whole.dataset.attrs.items() if k not in names}
    variables = [name for name in names if name in whole.dataset]
    return Prediction(whole.dataset.drop_vars(variables).drop_attrs(deep=False).assign_attrs(attrs), whole.store)


def test_a_store_that_lacks_something_has_no_picture_of_it(whole: Prediction) -> None:
    assert draw_dos(without(whole, "dos")) is draw_dos(without(whole, "fermi_energy_eV")) is None
    assert draw_density(without(whole, "density")) == draw_forces(whole) == []
    assert draw_novelty(without(whole, NOVELTY)) == draw_novelty(without(whole, "outside")) == []


def test_every_picture_is_one_svg_that_says_what_it_shows(whole: Prediction) -> None:
    planes = [f"in the plane across {axis}" for axis in "cba"]
    pictures = [draw_dos(whole), *draw_density(whole), *draw_novelty(whole), draw_stages({"descriptors": 2.0})]
    labels = [
        "Density of states",
        *(f"n(r) {plane}" for plane in planes),
        "Scale of colour, 1/Å^3",
        *(f"novelty {plane}" for plane in planes),
        "Scale of colour, novelty",
        "Worker seconds",
    ]
    for picture, label in zip(pictures, labels, strict=True):
        assert picture is not None and picture.label.startswith(label)
        assert picture.svg.startswith("<svg") and picture.svg.rstrip().endswith(
            "</svg>"
        )  # no prolog: it goes in a page


def test_the_same_store_gives_the_same_bytes(whole: Prediction) -> None:
    """Neither a date nor a random name is in a page, so that two reports can be compared."""
    for one, two in ((draw_dos(whole), draw_dos(whole)), *zip(draw_density(whole), draw_density(whole), strict=True)):
        assert one is not None and two is not None and one.svg == two.svg and "<dc:date>" not in one.svg


def test_names_of_a_store_do_not_become_markup() -> None:
    assert "<script" not in draw_stages({"<script>alert(1)</script>": 1.0}).svg


def test_all_three_planes_have_one_scale_of_colour_and_meet_in_the_farthest_point(
    whole: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Colours of different planes are compared, and each shows where the model knows least."""
    drawn: list[tuple[Any, tuple[float, float]]] = []
    real = pictures.draw_plane

    def listen(ax: Any, plane: Any, atoms: Any, limits: tuple[float, float], name: str, **how: Any) -> Any:
        drawn.append((plane, limits))
        return real(ax, plane, atoms, limits, name, **how)

    monkeypatch.setattr(pictures, "draw_plane", listen)
    draw_novelty(whole)
    assert [plane.axis for plane, _ in drawn] == [2, 1, 0]
    assert [plane.height for plane, _ in drawn] == pytest.approx(FARTHEST[::-1])
    (limits,) = {limits for _, limits in drawn}
    assert limits == (min(p.values.min() for p, _ in drawn), max(p.values.max() for p, _ in drawn))


def test_a_difference_has_a_scale_that_is_symmetric_about_zero(whole: Prediction) -> None:
    found = whole.dataset.rename(density="density_difference") - 0.2
    found = found.assign(position=whole.dataset.position, number=whole.dataset.number)
    labels = [picture.label for picture in draw_difference(found.assign_attrs(whole.dataset.attrs))]
    assert labels == [*(f"Δn(r) in the plane across {axis}" for axis in "cba"), "Scale of colour, 1/Å^3"]


def test_planes_are_pictures_of_their_own_at_one_scale_of_length(whole: Prediction) -> None:
    """So that they stand one below the other where a screen is narrow, and can still be compared."""
    *planes, _ = draw_density(whole)
    assert len(planes) == 3 and all(p.svg.count('id="axes_') == 1 for p in planes)

    def area(svg: str) -> tuple[float, float]:
        """Points that the axes take, from the first path of theirs: the patch."""
        path = svg.split('<g id="patch_2">')[1].split('d="')[1].split('"')[0]
        x, y = np.array(path.replace("M", "").replace("L", "").replace("z", "").split(), dtype=float).reshape(-1, 2).T
        return float(np.ptp(x)), float(np.ptp(y))

    cell = whole.grid.cell_array
    (ab, _), (ac, high), (bc, also) = (area(str(p.svg)) for p in planes)
    assert high == pytest.approx(also, rel=0.02)
    a, b = (float(np.linalg.norm(cell[i])) for i in range(2))
    assert ac / bc == pytest.approx((a + abs(cell[2] @ cell[0]) / a) / (b + abs(cell[2] @ cell[1]) / b), rel=0.02)
    assert ab / ac == pytest.approx((a + abs(cell[1] @ cell[0]) / a) / (a + abs(cell[2] @ cell[0]) / a), rel=0.02)


def test_a_timeline_grows_with_its_workers_up_to_a_page() -> None:
    def height(workers: int) -> float:
        tasks = {"worker": np.arange(workers), "start": np.zeros(workers), "stop": np.ones(workers)}
        svg = str(draw_timeline(xr.Dataset({n: ("task", v) for n, v in tasks.items()})).svg)
        return float(svg.split('height="')[1].split("pt")[0])

    assert height(1) == height(2) < height(8) < height(100) == height(400)


def test_texts_of_a_picture_are_text() -> None:
    """A browser finds, selects and copies them."""
    assert ">worker seconds</text>" in draw_stages({"network": 1.0}).svg


def test_lines_and_frames_take_the_colours_of_the_page(whole: Prediction) -> None:
    """On dark paper they would not be seen; only colours that stand for values are a picture's own."""
    drawn = draw_dos(whole)
    assert drawn is not None
    for svg in (drawn.svg, *(p.svg for p in draw_density(whole))):
        assert "var(--ink, #000000)" in svg and not re.search(r"(stroke|fill): #(000000|08306b)", svg)
