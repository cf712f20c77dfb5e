"""Files of --json: refused before anything is computed, and JSON that every reader takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maladist.cli.output import check_files, write_json
from maladist.cli.streams import say
from maladist.errors import OutputError
from tests.cli.conftest import Command


def test_a_file_that_could_not_be_written_is_refused_by_the_options_name(tmp_path: Path) -> None:
    check_files(json=None, report=tmp_path / "a.html")
    check_files(json=tmp_path / "a.json")
    with pytest.raises(OutputError, match="report"):
        check_files(json=tmp_path / "a.json", report=tmp_path / "nowhere" / "a.html")
    assert not list(tmp_path.iterdir())


def test_a_minus_is_standard_output_and_leaves_it_to_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    check_files(json=Path("-"))
    say("a table")
    write_json(Path("-"), {"a": 1.0})
    check_files(json=None)
    assert json.loads(capsys.readouterr().out) == {"a": 1.0}
    say("a table")
    assert capsys.readouterr().out == "a table\n"


def test_an_option_after_a_forgotten_file_is_not_taken_for_it(command: Command) -> None:
    status, _, err = command("plan", "be.xyz", "-m", "be-1000K", "--json", "--overwrite")
    assert status == 2 and "Wanted a file, or - for standard output." in err and err.count("\n") == 1


def test_what_is_not_finite_is_null_however_deep(tmp_path: Path) -> None:
    write_json(None, {})
    write_json(tmp_path / "a.json", {"a": [1.5, (float("nan"), float("inf"))], "b": tmp_path})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1.5, [None, None]], "b": str(tmp_path)}
