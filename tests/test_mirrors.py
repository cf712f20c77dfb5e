"""The house: where the tests of a module are to be found."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "maladist"

TYPES_ONLY = {"arrays.py", "choices.py"}
"""Modules without a line that runs: mypy is their test."""


def test_each_module_has_its_tests_in_a_file_of_its_name() -> None:
    modules = [p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py") if not p.name.startswith("__")]
    without = [str(m) for m in modules if not (TESTS / m.parent / f"test_{m.name}").exists()]
    assert set(without) == TYPES_ONLY
