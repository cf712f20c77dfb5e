"""HTML pages from the templates beside this file, each one file that asks nothing of a network.

A store is somebody else's file: none of its words may become a page's markup or script. The templates escape all that
they are given, but what is Markup: our own style and script, and pictures, whose texts matplotlib escapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


def html_page(template: str, title: str, content: Mapping[str, object], *, viewer: bool) -> str:
    """Fill a template that extends ``page.html``.

    Parameters
    ----------
    template
        Name of the template's file.
    title
        Title of the browser's window.
    content
        Values that the template shows. Texts are escaped.
    viewer
        Whether the page has an isosurface, and so needs ``viewer.js``.
    """
    script = _own("viewer.js") if viewer else ""
    shared = {"style": _own("report.css"), "script": script, "title": title}
    return _templates().get_template(template).render(**shared, **content)


def json_for_script(text: str) -> Markup:
    """JSON as it may stand in a script element: "<" only occurs in its strings, where it has another spelling."""
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704  (no markup is left in it)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("maladist.report"),
        autoescape=True,
        # A misspelt name in a template is an error, not an empty place in a page.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["indices"] = _indices
    return made


def _indices(label: str) -> Markup:
    """Text with what follows a "_" as an index."""
    return Markup(re.sub(r"_(\w+)", r"<sub>\1</sub>", str(escape(label))))  # noqa: S704  (escaped)


def _own(name: str) -> Markup:
    """Text of our own file beside this one, which may be markup or script."""
    text = files("maladist.report").joinpath(name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704  (no word of a store is in it)
