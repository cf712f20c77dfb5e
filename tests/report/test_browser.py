"""The report in a real browser: it opens fast, asks for nothing, and shows an isosurface and all its sections."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

import maladist
from maladist.report.html import report
from maladist.testing import be_atoms, tiny_model
from tests.browser import BROWSER, QUIET, SOFTWARE

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
    pytest.mark.filterwarnings("ignore:broadening correction"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report of 128 atoms on a grid like that of the demo."""
    folder = tmp_path_factory.mktemp("browser")
    with maladist.cluster("local", workers=1) as client:
        options = {"client": client, "store": folder / "be128.zarr"}
        result = maladist.predict(be_atoms((4, 4, 4)), tiny_model(twojmax=2), grid=(72, 72, 108), **options)
    return report(result, folder / "be128.html")


def browse(page: Path, *options: str) -> str:
    """Open a page without a screen; what the browser prints."""
    assert BROWSER is not None
    profile = f"--user-data-dir={page.parent / 'profile'}"
    arguments = [BROWSER, "--headless", *SOFTWARE, *QUIET, profile, *options, page.as_uri()]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True).stdout


def test_opens_in_under_two_seconds_with_its_isosurface(page: Path) -> None:
    """`data-ready` is the browser's own clock from the request of the page to the painted surface.

    The best of three: the machine may be doing something else.
    """
    ready = []
    for _ in range(3):
        head = re.search(r"<html[^>]*>", browse(page, "--dump-dom"))
        assert head is not None
        said = dict(re.findall(r'data-(\w+)="([^"]*)"', head[0]))
        assert said["view"] == "webgl2"
        assert 1000 < int(said["triangles"]) < 100_000
        ready.append(int(said["ready"]))
        if ready[-1] < 2000:
            return
    raise AssertionError(f"ready after {ready} ms")


def asked_for(page: Path) -> list[str]:
    """Addresses that a page made the browser ask the network for; what the browser asks for itself has no origin."""
    log = page.parent / "net.json"
    browse(page, f"--log-net-log={log}", "--virtual-time-budget=3000", "--dump-dom")
    every = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    return [p["url"] for p in every if "url" in p and p.get("initiator", "not an origin") != "not an origin"]


def test_asks_for_nothing_but_itself(page: Path) -> None:
    assert asked_for(page) == []
    curious = page.with_name("curious.html")
    curious.write_text('<img src="http://127.0.0.1:9/picture.png">')
    assert asked_for(curious) == ["http://127.0.0.1:9/picture.png"], "and this test would see it"


def test_every_section_is_drawn(page: Path) -> None:
    """A screenshot: each colour that a section must show is there, and the surface fills a part of its canvas."""
    shot = page.parent / "shot.png"
    browse(page, f"--screenshot={shot}", "--window-size=1200,2600", "--virtual-time-budget=3000")
    picture = (255 * matplotlib.image.imread(shot)[..., :3]).astype(int)
    assert picture.shape == (2600, 1200, 3)

    def share(colour: tuple[int, int, int], off: int) -> float:
        return float((np.abs(picture - colour).max(axis=-1) <= off).mean())

    assert share((0x9E, 0xCA, 0xE1), 4) > 0.001, "the occupied part of D(ε)"
    assert share((0x4A, 0x7B, 0xA6), 4) > 0.001, "the bars of the stages"
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    viridis = (green > 60) & (blue > 90) & (red < 70) & (np.abs(green - blue) < 60)
    assert viridis.mean() > 0.02, "the slices"
    amber = (red > 110) & (red - blue > 50) & (green > blue) & (green < red)
    assert amber.mean() > 0.001, "the inside of the isosurface, and cividis"


@pytest.mark.slow
def test_is_dark_where_the_reader_likes_it_dark_and_all_is_still_seen(page: Path) -> None:
    """Viewer and pictures too: nowhere is a white sheet, and texts are light."""
    shot = page.parent / "dark.png"
    options = ("--blink-settings=preferredColorScheme=0", "--window-size=1200,2600", "--virtual-time-budget=3000")
    browse(page, f"--screenshot={shot}", *options)
    lightness = matplotlib.image.imread(shot)[..., :3].min(axis=-1)
    assert (lightness > 0.97).mean() < 0.001, "white paper"
    assert (lightness < 0.15).mean() > 0.6, "dark paper"
    assert ((lightness > 0.6) & (lightness < 0.97)).mean() > 0.005, "light ink"


@pytest.mark.slow
def test_the_cell_fills_its_view(page: Path) -> None:
    """The atoms' yellow-green, of a cell that is as high as wide, spans most of the height that the viewer takes."""
    shot = page.parent / "view.png"
    script = 'view.style = "position: fixed; inset: 0; background: white"; dispatchEvent(new Event("resize"));'
    alone = page.with_name("alone.html")
    alone.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
    browse(alone, f"--screenshot={shot}", "--window-size=1200,460", "--virtual-time-budget=3000")
    red, green, blue = np.moveaxis(matplotlib.image.imread(shot)[..., :3], -1, 0)
    rows = np.flatnonzero(((green > red) & (green - blue > 0.4)).any(axis=1))
    assert rows[-1] - rows[0] > 0.8 * 460


@pytest.mark.slow
def test_a_printed_report_leaves_no_page_half_empty(page: Path) -> None:
    """Sections go on overleaf, so that three pages of A4 hold what would be four."""
    printed = page.parent / "printed.pdf"
    browse(page, f"--print-to-pdf={printed}", "--no-pdf-header-footer", "--virtual-time-budget=3000")
    assert len(re.findall(rb"/Type /Page\b(?!s)", printed.read_bytes())) <= 3


@pytest.mark.slow
def test_the_isosurface_turns_and_its_level_moves(page: Path) -> None:
    """A hand on the arrow keys, then on the slider."""
    keys = 'for (let i = 0; i < 5; i++) view.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));'
    slide = 'const s = document.getElementById("level"); s.value = 0.9; s.dispatchEvent(new Event("input"));'
    pictures, triangles = [], []
    for i, script in enumerate(("", keys, slide)):
        held = page.with_name(f"held{i}.html")
        held.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
        shot = page.with_name(f"held{i}.png")
        browse(held, f"--screenshot={shot}", "--window-size=1200,1800", "--virtual-time-budget=3000")
        pictures.append(matplotlib.image.imread(shot)[..., :3])
        found = re.search(r'data-triangles="(\d+)"', browse(held, "--dump-dom"))
        assert found is not None
        triangles.append(int(found[1]))
    assert (np.abs(pictures[1] - pictures[0]).max(axis=-1) > 0.2).mean() > 0.005
    assert triangles[1] == triangles[0] != triangles[2] > 0
