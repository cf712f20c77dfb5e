"""Pages from templates: no word that they are given becomes markup or script."""

from __future__ import annotations

import json
import re

import pytest
from jinja2 import UndefinedError

from maladist.report.pages import _indices, html_page, json_for_script

BAD = "</script><script>alert(1)</script>"


def test_a_text_is_escaped_wherever_it_stands() -> None:
    page = html_page("isosurface.html", BAD, {"volume": BAD}, viewer=False)
    assert BAD not in page and page.count("&lt;/script&gt;&lt;script&gt;alert(1)") == 2


def test_an_index_is_an_index_and_what_stands_around_it_is_escaped() -> None:
    assert str(_indices("E_xc & v_H")) == "E<sub>xc</sub> &amp; v<sub>H</sub>"


def test_json_in_a_script_element_cannot_end_it_and_stays_what_it_was() -> None:
    values = {"name": f"<!--{BAD}"}
    page = html_page("isosurface.html", "a", {"volume": json_for_script(json.dumps(values))}, viewer=False)
    found = re.search(r'id="volume">(.*)</script>', page)
    assert found is not None and "<" not in found[1] and json.loads(found[1]) == values


def test_what_a_template_wants_and_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="volume"):
        html_page("isosurface.html", "a", {}, viewer=False)
