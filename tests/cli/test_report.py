"""`report` on the command line: where the page goes, and what is no result is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

from tests.cli.conftest import Command, StandIn


@pytest.mark.parametrize(
    ("words", "output", "other"),
    [((), None, None), (("-o", "c.html"), Path("c.html"), None), (("b.zarr",), None, Path("b.zarr"))],
)
def test_the_page_goes_where_it_is_said_and_its_path_is_printed(
    words: tuple[str, ...], output: Path | None, other: Path | None, stand_in: StandIn, command: Command
) -> None:
    calls = stand_in("maladist.report.html.report", Path("a.html"))
    assert command("report", "a.zarr", *words) == (0, "report: a.html\n", "")
    assert calls == [((Path("a.zarr"), output), {"other": other})]


def test_what_is_no_result_is_one_line_and_leaves_no_page(tmp_path: Path, command: Command) -> None:
    xr.Dataset({"a": ("i", [1, 2])}).to_zarr(tmp_path / "foreign.zarr", consolidated=False)
    for name, why in (("foreign.zarr", "neither density nor DOS"), ("nothing.zarr", "not exist")):
        status, _, err = command("report", tmp_path / name)
        assert status == 2 and why in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["foreign.zarr"]
