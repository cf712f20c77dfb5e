"""What a user has on the disk, the command as a function, and functions that stand in for those which compute."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import ase.io
import pytest
from ase import Atoms

import maladist
from maladist.cli.app import main
from maladist.testing import tiny_model


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


class Call(NamedTuple):
    """How a function was called."""

    positional: tuple[Any, ...]
    named: dict[str, Any]


Command = Callable[..., Said]
StandIn = Callable[[str, object], list[Call]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command `maladist` as a function of its words."""

    def run(*words: object) -> Said:
        capsys.readouterr()  # what a command before it has printed
        try:
            status = main([str(word) for word in words])
        except SystemExit as left:  # status 1: the command did its work, and what it found is not good
            status = int(left.code or 0)
        return Said(status, *capsys.readouterr())

    return run


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command may ask for a cluster."""

    def started(*_: object) -> None:
        raise AssertionError("a cluster was asked for")

    # By its module, which is hidden behind the function of the same name.
    monkeypatch.setattr(import_module("maladist.cluster.start"), "cluster", started)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Puts a function that only listens in place of one that computes; its client is what `Later` holds."""

    def put(name: str, result: object) -> list[Call]:
        calls: list[Call] = []

        def listen(*positional: Any, **named: Any) -> object:
            calls.append(Call(positional, named))
            return result

        module, _, function = name.rpartition(".")
        # By its module, since some of the packages are hidden behind functions of the same name.
        monkeypatch.setattr(import_module(module), function, listen)
        return calls

    return put


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with atoms and a model, as a user has them."""
    folder = tmp_path_factory.mktemp("cli")
    atoms = Atoms("Be2", scaled_positions=[[0.33, 0.7, 0.24], [0.66, 0.31, 0.77]], cell=[2.3, 2.2, 3.6], pbc=True)
    moved = atoms.copy()
    moved.positions[0, 0] += 0.1
    ase.io.write(folder / "be.extxyz", [moved, atoms])
    maladist.save_model(tiny_model(), folder / "model.maladist")
    return folder
