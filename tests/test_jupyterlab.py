"""A notebook in JupyterLab, seen by a browser: the isosurface turns under the mouse, the dashboard's link opens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import matplotlib.image
import nbformat
import numpy as np
import pytest

from tests.browser import BROWSER, Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.jupyterlab,
    pytest.mark.skipif(find_spec("jupyterlab") is None, reason="jupyterlab is not installed"),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]

CELLS = (
    "import maladist\nfrom maladist.testing import be_atoms, tiny_model\n"
    "running = maladist.cluster('local', workers=1)\nclient = running.__enter__()\nclient",
    "result = maladist.predict(be_atoms(), tiny_model(), client=client)\nresult.density.maladist.plot.isosurface()",
)
QUIET = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
NOTEBOOK = "[...jupyterapp.shell.widgets('main')].find(w => w.title.label === 'be.ipynb')"
FRAME = "document.querySelector('iframe[title=isosurface]')"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """Address of a JupyterLab on loopback, with a token and a notebook, that knows no settings of the user's."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "be.ipynb")
    (tmp_path / "overrides.json").write_text(json.dumps(QUIET))
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("RUNTIME", "CONFIG", "DATA")}
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": 0,
        "ServerApp.root_dir": tmp_path,
        "ServerApp.allow_root": True,
        "LabApp.app_settings_dir": tmp_path,
        "LabApp.expose_app_in_browser": True,  # so that a test says what to run, and finds no buttons
    }
    arguments = ["--no-browser", *(f"--{name}={value}" for name, value in options.items())]
    with (tmp_path / "lab.log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *arguments]
        environment = {**os.environ, **own, "IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_NO_CONFIG": ""}
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=tmp_path)
    try:
        until = time.monotonic() + 120
        while not (told := [p for p in (tmp_path / "RUNTIME").glob("jpserver-*.json") if "}" in p.read_text()]):
            assert time.monotonic() < until and server.poll() is None, (tmp_path / "lab.log").read_text()
            time.sleep(0.1)
        running = json.loads(told[0].read_text())
        yield f"{running['url']}lab/tree/be.ipynb?token={running['token']}"
    finally:
        server.terminate()  # which ends the kernel too
        server.wait(timeout=20)


def test_the_isosurface_turns_and_the_dashboard_opens(lab: str, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        browser.open(lab)
        browser.wait(f"window.jupyterapp && {NOTEBOOK}?.sessionContext?.session?.kernel?.status === 'idle'")
        browser.run(f"jupyterapp.shell.activateById({NOTEBOOK}.id)")
        browser.run("void jupyterapp.commands.execute('notebook:run-all-cells')")
        browser.wait(f"{FRAME}?.contentDocument?.documentElement.dataset.ready")
        assert browser.run(f"{FRAME}.contentDocument.documentElement.dataset.view") == "webgl2"
        browser.run(f"{FRAME}.scrollIntoView({{block: 'center'}})")
        time.sleep(0.5)
        place = browser.run(f"{FRAME}.getBoundingClientRect().toJSON()")
        frame = {name: place[name] for name in ("x", "y", "width", "height")}
        before = browser.picture(tmp_path / "before.png", **frame)
        x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
        browser.drag((x, y), (x + 120, y + 40))
        time.sleep(0.5)
        after = browser.picture(tmp_path / "after.png", **frame)
        browser.picture(tmp_path / "lab.png")
        first, second = (matplotlib.image.imread(picture)[..., :3] for picture in (before, after))
        assert (np.abs(first - second).max(axis=-1) > 0.2).mean() > 0.005

        link = browser.run("document.querySelector('.jp-OutputArea a[href$=\"/status\"]').href")
        browser.open(link)
        browser.wait("document.title === 'Dask: Status'")
        browser.open(link.replace("status", "blocks"))
        browser.wait("window.Bokeh?.documents.length")
        labels = browser.run("[...Bokeh.documents[0]._all_models.values()].find(m => m.data?.label)?.data.label")
        browser.picture(tmp_path / "blocks.png")
        assert any(label.startswith("compute-block") for label in labels)
