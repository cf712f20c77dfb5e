"""No damaged file is a traceback, hangs, runs code, or is read with numbers that shifted; and the harness sees each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from maladist.errors import InputError
from tests.fuzz import harness
from tests.fuzz.formats import FORMATS
from tests.fuzz.harness import BAD, Format, Undamaged, View, attempt
from tests.fuzz.mutations import PICKLE, RAN, TEXT, Damage, delete_line, swap_lines

FEW, MANY = 8, 300


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also where a payload would leave its mark."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hold(form: Format, folder: Path, seeds: range) -> None:
    file = Undamaged.of(form, folder)
    assert harness.attempt(Undamaged(_untouched(form), *_rest(file)), 0).word == "same"
    bad = [
        f"python -m tests.fuzz '{form.name}:{seed}': {outcome.kind}: {outcome.word}, {outcome.said}"
        for seed in seeds
        if (outcome := attempt(file, seed)).word in BAD
    ]
    assert not bad, "\n".join(bad)


def _untouched(form: Format) -> Format:
    return Format(form.name, form.make, form.read, (lambda content, _: Damage("none", content, 0),))


def _rest(file: Undamaged) -> tuple[Path, bytes, Sequence[View], Sequence[Sequence[View]]]:
    return file.path, file.content, file.views, file.frames


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_few_damaged_files_of_each_format(form: Format, folder: Path) -> None:
    hold(form, folder, range(FEW))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_hundreds_of_damaged_files_of_each_format(form: Format, folder: Path) -> None:
    hold(form, folder, range(FEW, MANY))


def _numbers(path: Path) -> list[View]:
    return [{"values": np.loadtxt(path)}]


def _toy(read: Callable[[Path], Sequence[View]], damage: Damage) -> Format:
    def make(folder: Path) -> Path:
        np.savetxt(folder / "toy.txt", np.arange(100.0))
        return folder / "toy.txt"

    return Format("toy", make, read, (lambda *_: damage,))


def _text(values: np.ndarray) -> bytes:
    return "".join(f"{x}\n" for x in values).encode()


def _shift() -> np.ndarray:
    return np.concatenate([np.arange(50.0), np.arange(49.0, 99.0)])


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (_text(np.arange(100.0)), "same"),
        (_text(np.where(np.arange(100) == 7, -1, np.arange(100.0))), "local"),
        (_text(_shift()), "accepted"),
        (_text(np.arange(99.0)), "accepted"),
        (_text(np.where(np.arange(100) == 7, np.nan, np.arange(100.0))), "accepted"),
        (b"x", "traceback"),
    ],
)
def test_what_a_reader_without_checks_does_is_told(content: bytes, word: str, folder: Path) -> None:
    assert attempt(Undamaged.of(_toy(_numbers, Damage("", content, 1)), folder), 0).word == word


def test_refusals_hanging_and_code_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "SECONDS", 0.3)

    def refuse(path: Path) -> Sequence[View]:
        raise InputError("file", "damage", "none")

    def say_much(path: Path) -> Sequence[View]:
        raise InputError("file", "a\nlong\nstory", "a line")

    def hang(path: Path) -> Sequence[View]:
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                continue

    def run(path: Path) -> Sequence[View]:
        os.system("true")
        return _numbers(path)

    def leave_a_mark(path: Path) -> Sequence[View]:
        Path(RAN).touch()
        raise InputError("file", "damage", "none")

    whole = Damage("", _text(np.arange(100.0)), 0)
    for read, word in (
        (refuse, "refused"),
        (say_much, "traceback"),
        (hang, "hung"),
        (run, "ran code"),
        (leave_a_mark, "ran code"),
    ):
        file = Undamaged(
            _toy(read, whole), folder / "toy.txt", whole.content, _numbers(_toy(read, whole).make(folder)), ()
        )
        assert attempt(file, 0).word == word


def test_a_seed_is_always_the_same_damage_and_seeds_differ(folder: Path) -> None:
    form = next(f for f in FORMATS if f.name == "a.cube")
    content = form.make(folder).read_bytes()
    every = [harness.damaged(form, content, seed).content for seed in range(50)]
    assert every == [harness.damaged(form, content, seed).content for seed in range(50)]
    assert len(set(every)) > 45


def test_the_payload_does_run_where_it_is_unpickled(folder: Path) -> None:
    import pickle

    pickle.loads(PICKLE)
    assert Path(RAN).exists()


def test_damage_by_lines_touches_only_its_lines() -> None:
    content, random = b"1 2\n3 4\n5 6\n7 8\n", np.random.default_rng(0)
    for kind in (swap_lines, delete_line):
        damage = kind(content, random)
        assert len(set(damage.content.split()) ^ set(content.split())) <= damage.touched
    assert len({kind.__name__ for kind in TEXT}) == len(TEXT) - 2  # a number is replaced three times as often
