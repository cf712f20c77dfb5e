"""Pictures of a model's errors: what is drawn is what was found, of every snapshot, and nothing that some lack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from maladist.errors import OutputError
from maladist.evaluation.baselines import Baselines
from maladist.evaluation.statistics import BAND, TOTAL, Evaluated
from maladist.report.evaluation import (
    density_error_axes,
    error_axes,
    force_axes,
    parity_axes,
    spread_axes,
    write_plots,
)
from tests.evaluation.common import evaluated

PNG = b"\x89PNG"


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


@pytest.fixture
def three() -> list[Evaluated]:
    """Two of eight atoms and one of sixteen, off by 2, −4 and 6 meV/atom."""
    forces = {"forces": [[0.3, 0.0, 0.0], [-0.3, 0.0, 0.0]], "reference_forces": [[0.2, 0.0, 0.0], [-0.2, 0.0, 0.0]]}
    return [evaluated("a", 8, 2.0, **forces), evaluated("b", 8, -4.0, 9.0), evaluated("c", 16, 6.0, 7.0)]


def labels(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def points(ax: Axes, label: str) -> tuple[list[float], list[float]]:
    """What stands in a picture under a label."""
    (line,) = (line for line in ax.lines if line.get_label() == label)
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def test_energies_of_every_snapshot_are_at_their_places_and_sizes_are_told_apart(
    ax: Axes, three: list[Evaluated]
) -> None:
    parity_axes(ax, three, TOTAL)
    x, y = points(ax, "8 atoms")
    assert x == [one.reference[TOTAL] for one in three[:2]] and y == [one.predicted[TOTAL] for one in three[:2]]
    assert labels(ax) == ["8 atoms", "16 atoms"] and "mean |Δ| = 4.0 meV/atom" in ax.get_title()
    assert ax.get_xlim() == ax.get_ylim()
    eight, sixteen = (next(line for line in ax.lines if line.get_label() == f"{n} atoms") for n in (8, 16))
    assert eight.get_marker() != sixteen.get_marker()  # in print, and without colour vision
    parity_axes(Figure().subplots(), three[:1], BAND)  # one snapshot has no range of its own


def test_errors_stand_at_their_snapshots_with_the_baselines_that_say_something(
    ax: Axes, three: list[Evaluated]
) -> None:
    named = ("A: mean of training", "A: linear", "E_b: mean of training", "E_b: linear")
    base = Baselines(dict.fromkeys(named, (1.0, 2.0, 3.0)), {}, 5)
    error_axes(ax, three, TOTAL, base)
    assert labels(ax) == ["baseline, mean of training", "baseline, linear", "8 atoms", "16 atoms"]
    eight, sixteen = (container.lines[0].get_ydata().tolist() for container in ax.containers)
    assert eight == pytest.approx([2.0, -4.0]) and sixteen == pytest.approx([6.0])
    band = Figure().subplots()
    error_axes(band, three, BAND, base)
    assert labels(band)[0] == "baseline, linear"  # the mean of E_b is off by so much that nothing else is seen


def test_spreads_are_bars_and_a_snapshot_without_a_density_has_a_gap(ax: Axes, three: list[Evaluated]) -> None:
    with_spread = [replace(one, spread={TOTAL: 1.5}) for one in three[:2]]
    error_axes(ax, with_spread, TOTAL)
    assert ax.containers[0].has_yerr
    density = Figure().subplots()
    density_error_axes(density, [three[0], replace(three[1], density_relative=None)])
    (line,) = density.lines
    np.testing.assert_array_equal(line.get_ydata(), [100 * (three[0].density_relative or 0), np.nan])
    assert [t.get_text() for t in density.get_xticklabels()] == ["a", "b"]
    density_error_axes(Figure().subplots(), [replace(three[0], density_relative=None)])  # none at all has a range


def test_every_component_of_the_forces_is_drawn_of_those_that_were_compared(ax: Axes, three: list[Evaluated]) -> None:
    force_axes(ax, three)
    x, y = points(ax, "8 atoms: RMSE/RMS 50.0%")
    assert x == [0.2, 0, 0, -0.2, 0, 0] and y == [0.3, 0, 0, -0.3, 0, 0]
    assert labels(ax) == ["8 atoms: RMSE/RMS 50.0%"]
    assert max(ax.get_xlim()) > 0.3


def test_errors_are_drawn_over_the_spread_without_their_sign(ax: Axes) -> None:
    some = [evaluated(f"{i}", 8, e, spread={TOTAL: s}) for i, (e, s) in enumerate([(2.0, 1.0), (-6.0, 3.0), (1, 2)])]
    spread_axes(ax, some, TOTAL)
    x, y = points(ax, "8 atoms")
    assert x == [1.0, 3.0, 2.0] and y == pytest.approx([2.0, 6.0, 1.0])
    assert "|error| = σ" in labels(ax) and "Spearman 0.50" in ax.get_title()


def test_pictures_are_those_that_every_snapshot_has_something_for(tmp_path: Path, three: list[Evaluated]) -> None:
    assert [p.name for p in write_plots(three[1:], tmp_path / "p")] == ["parity.png", "errors.png"]
    with_spread = [evaluated(f"{i}", 8, float(i), spread={TOTAL: 1.0 + i}) for i in range(4)]
    names = [p.name for p in write_plots([*with_spread], tmp_path / "p", spread=True)]
    assert names == ["parity.png", "errors.png", "spread.png"]
    pictures = write_plots(three, tmp_path / "p")
    assert [p.name for p in pictures] == ["parity.png", "errors.png", "forces.png"]
    assert all(p.read_bytes().startswith(PNG) for p in pictures)
    assert not [p for p in (tmp_path / "p").iterdir() if p.suffix != ".png"]


def test_panels_are_two_abreast_and_fit_a_pages_column(tmp_path: Path) -> None:
    of_all = {TOTAL: 1.0, BAND: 1.0, "density": 0.01}
    some = [evaluated(f"{i}", 8, float(i), spread=of_all) for i in range(3)]
    write_plots(some, tmp_path / "p", spread=True)
    height, width, _ = imread(tmp_path / "p" / "spread.png").shape
    assert width < 1200 and height > 0.8 * width


def test_an_energy_that_some_snapshot_lacks_has_no_picture(
    tmp_path: Path, three: list[Evaluated], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture of some of them would pass for all."""
    drawn: list[str] = []
    monkeypatch.setattr("maladist.report.evaluation.parity_axes", lambda ax, all_, name: drawn.append(name))
    band = {BAND: three[0].predicted[BAND]}
    write_plots([replace(three[0], predicted=band), *three[1:]], tmp_path / "p")
    assert drawn == [BAND]


def test_a_folder_that_cannot_be_is_refused_by_the_options_name(tmp_path: Path, three: list[Evaluated]) -> None:
    with pytest.raises(OutputError, match=r"^plots: .*nowhere"):
        write_plots(three, tmp_path / "nowhere" / "p")
