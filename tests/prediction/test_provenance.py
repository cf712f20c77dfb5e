"""Who made a result: what a store tells of it, and that nothing of it can be missing."""

from __future__ import annotations

import json
import platform
import sys

import pytest

from maladist.attributes import check_attributes
from maladist.prediction.provenance import PACKAGES, provenance, versions


def test_packages_that_are_not_there_are_left_out_and_python_never() -> None:
    known = versions(("numpy", "no-such-package"))
    assert set(known) == {"python", "numpy"} and known["python"] == platform.python_version()
    assert set(versions()) == {"python", *PACKAGES}


def test_a_command_can_be_given_to_a_shell_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["maladist", "predict", "a file.xyz", "$HOME"])
    told = provenance()
    assert told["command"] == "maladist predict 'a file.xyz' '$HOME'"
    assert json.loads(json.dumps(told)) == told
    check_attributes(told, "provenance")
    assert told["finished"].endswith(" UTC")
