"""Files of --json: refused before anything is computed, and JSON that every reader takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maladist.cli.output import check_files, write_json
from maladist.errors import OutputError


def test_a_file_that_could_not_be_written_is_refused_by_the_options_name(tmp_path: Path) -> None:
    check_files(json=None, report=tmp_path / "a.html")
    with pytest.raises(OutputError, match="report"):
        check_files(json=tmp_path / "a.json", report=tmp_path / "nowhere" / "a.html")
    assert not list(tmp_path.iterdir())


def test_what_is_not_finite_is_null_however_deep(tmp_path: Path) -> None:
    write_json(None, {})
    write_json(tmp_path / "a.json", {"a": [1.5, (float("nan"), float("inf"))], "b": tmp_path})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1.5, [None, None]], "b": str(tmp_path)}
