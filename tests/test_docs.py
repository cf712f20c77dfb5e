"""The site: it builds without a warning, and what a user may call or write has a place in it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import FunctionType, ModuleType
from urllib.parse import unquote, urlsplit

import pytest

import maladist
from maladist import LearnConfig, TrainConfig, TuneConfig
from maladist.cli.help import VERBS
from maladist.datasets.dft.espresso import Espresso

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages that Sphinx reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        import pages

        folder = tmp_path_factory.mktemp("docs")
        pages.gather(folder)
    return folder


def test_every_public_name_has_a_place(source: Path) -> None:
    page = (source / "reference" / "python.rst").read_text()
    for name in maladist.__all__:
        if isinstance(getattr(maladist, name), ModuleType):
            assert f"maladist.{name}`" in page or f"<modules/maladist.{name}>" in page
        else:
            assert re.search(rf"^\.\. auto(function|class):: maladist\.{name}$", page, re.MULTILINE), name


def test_every_module_has_a_place(source: Path) -> None:
    pages = "".join(p.read_text() for p in (source / "reference" / "modules").glob("*.rst"))
    for path in (ROOT / "maladist").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not name.startswith(("maladist.cli", "maladist.__")) and name != "maladist":
            assert f".. automodule:: {name}\n" in pages, name


def test_every_verb_has_a_page_with_its_options_and_its_example(source: Path) -> None:
    for verb in VERBS:
        page = (source / "reference" / "cli" / f"{verb}.md").read_text()
        assert page.startswith(f"# maladist {verb}\n")
        assert f"$ maladist {verb}" in page
    predict = (source / "reference" / "cli" / "predict.md").read_text()
    # Letters and environment variables come from what all commands share.
    assert "`--output, -o PATH`" in predict and "MALADIST_MODEL" in predict
    sample = (source / "reference" / "cli" / "sample.md").read_text()
    assert "## maladist sample crystal" in sample and "`--output, -o PATH`" in sample


@pytest.mark.parametrize(
    ("name", "config"), [("train", TrainConfig), ("tune", TuneConfig), ("learn", LearnConfig), ("dft", Espresso)]
)
def test_every_key_of_a_yaml_file_has_a_row_that_says_what_it_is(source: Path, name: str, config: type) -> None:
    table = (source / "_made" / f"keys-{name}.md").read_text()
    for key in config.model_fields:
        row = re.search(rf"^\| `{key}` \| (.+)<br>\*(.+)\*; (.+) \|$", table, re.MULTILINE)
        assert row, key


def test_defaults_are_those_of_the_code(source: Path) -> None:
    table = (source / "_made" / "keys-train.md").read_text()
    assert re.search(r"^\| `epochs` \| .*<br>\*whole number ≥ 1\*; default `60` \|$", table, re.MULTILINE)
    # Not those of the section's class, but of the key.
    outputs = table.split("## `outputs`")[1].split("## ")[0]
    assert "default `minmax`" in outputs and "*true or false*; default `false`" in outputs


def test_a_link_leads_to_the_page_of_what_it_names(source: Path) -> None:
    clusters = (source / "guides" / "clusters" / "index.md").read_text()
    assert "[slurm](slurm.md)" in clusters
    second = (source / "models" / "be_1000K_2.md").read_text()
    assert "[be-1000K](be_1000K.md)" in second
    assert second.startswith("# be-1000K-2")  # without the lines for programs at its head


def test_the_commands_of_the_pages_are_taken(source: Path) -> None:
    """Whether they do what the page says, tests of the verbs hold; here, that verbs and options are there."""
    from maladist.cli.app import app

    said = 0
    for page in [*source.glob("*.md"), *source.glob("guides/**/*.md"), *source.glob("models/*.md")]:
        for command in re.findall(r"^\$ maladist (.*?)(?:\s#.*)?$", page.read_text(), re.MULTILINE):
            app.parse_args(shlex.split(command), exit_on_error=False, print_error=False)
            said += 1
    assert said > 20


def test_messages_that_are_explained_are_those_of_the_code() -> None:
    code = "".join(p.read_text() for p in (ROOT / "maladist").rglob("*.py"))
    said = re.findall(r"^### `(.+)`$", (DOCS / "help" / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(said) > 15
    assert not [text for text in said if text not in code]


class Links(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[n] for n in ("id", "name") if n in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif link := found.get("src") or (found.get("href") if tag == "link" else None):
            self.loads.append(link)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_site_builds_without_a_warning_works_offline_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    command = ["make", "-o", "setup", "docs", f"DOCS={tmp_path}", f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    html = tmp_path / "html"
    site = {path.resolve(): Links(path.read_text()) for path in html.rglob("*.html")}
    assert len(site) > 80
    for path, page in site.items():
        assert not [link for link in page.loads if urlsplit(link).netloc], path
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert to.exists(), f"{path.relative_to(html)}: {link}"
            if parts.fragment and to in site:
                assert unquote(parts.fragment) in site[to].anchors, f"{path.relative_to(html)}: {link}"
    names = Links((html / "reference" / "python.html").read_text()).anchors
    for name in maladist.__all__:
        assert f"maladist.{name}" in names or isinstance(getattr(maladist, name), ModuleType), name


def test_every_public_function_says_what_it_takes() -> None:
    """Numpydoc's sections are what the pages are made of."""
    public = {name: getattr(maladist, name) for name in maladist.__all__}
    functions = {name: found for name, found in public.items() if isinstance(found, FunctionType)}
    assert "predict" in functions
    for name, function in functions.items():
        text = function.__doc__ or ""
        assert "Parameters\n" in text, name
