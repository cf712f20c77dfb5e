"""YAML as it is written: no number changes, what older files say stays, and no file hangs or breaks the reader."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml.error import YAMLError

import maladist
from maladist.errors import ClusterError, InputError
from maladist.io.yaml import DEEPEST, parse_yaml, read_yaml, yaml_text

ROOT = Path(__file__).parents[2]

AS_WRITTEN = [
    "12:00:00", "04:00", "1:30", "012345", "08", "-012", "00", "1_000", "1_0.5", "0x10", "0o17", "0b1", "+5", "-0",
    "yes", "no", "on", "off", "y", "N", "No", "NO", "2026-01-02", "2026-01-02 03:04:05", "1.2.3", "1e", "e5", ".", "--",
    "64GB", "=", "<<", "123456789012345678901234567890", "nan", "inf", "1-12:00:00", "tRue",
]  # fmt: skip
VALUES: list[tuple[str, Any]] = [
    ("0", 0), ("7", 7), ("-7", -7), ("4000", 4000), ("1.0e-4", 1e-4), ("1e-4", 1e-4), ("1E5", 1e5), ("0.5", 0.5),
    (".5", 0.5), ("5.", 5.0), ("-1.5", -1.5), ("+1.5", 1.5), ("2.0e+3", 2000.0), (".inf", math.inf),
    ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("'12'", "12"), ('"true"', "true"),
]  # fmt: skip


@pytest.mark.parametrize("text", AS_WRITTEN)
def test_what_another_schema_would_change_is_text(text: str) -> None:
    values = parse_yaml(f"a: {text}\n")
    assert values == {"a": text}
    assert type(values["a"]) is str


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_numbers_truth_values_and_null_are_themselves(text: str, value: Any) -> None:
    found = parse_yaml(f"a: {text}\n")["a"]
    assert found == value and type(found) is type(value)
    assert math.isnan(parse_yaml("a: .nan")["a"])


def test_a_yaml_directive_does_not_bring_the_old_meanings_back() -> None:
    assert parse_yaml("%YAML 1.1\n---\na: 12:00:00\nb: yes\nc: 1e5\n") == {"a": "12:00:00", "b": "yes", "c": 1e5}


def test_keys_are_texts_and_whole_numbers() -> None:
    assert parse_yaml("{8: [4, 4, 6], No: 70.0}") == {8: [4, 4, 6], "No": 70.0}
    for key in ("~", "1.5", "true", "[1, 2]"):
        with pytest.raises(ValueError, match="a key is"):
            parse_yaml(f"? {key}\n: 1\n")
    with pytest.raises(YAMLError, match="unhashable key"):
        parse_yaml("? {a: 1}\n: 1\n")


@pytest.mark.parametrize(
    "file",
    [p for p in sorted([*ROOT.glob("deploy/*/*.yaml"), *ROOT.glob("maladist/data/*/*.yaml")]) if p.stem != "client"],
    ids=lambda p: p.name,
)
def test_the_files_of_the_project_read_as_a_reader_of_yaml_1_1_reads_them(file: Path) -> None:
    assert read_yaml(file) == yaml.safe_load(file.read_text())


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD = {
    "flow-20000-deep": ("[" * 20_000 + "]" * 20_000, "depth"),
    "blocks-20000-deep": ("- " * 20_000 + "x", "depth"),
    "keys-20000-deep": ("".join(" " * i + "a:\n" for i in range(1000)), "depth"),
    "alias-bomb": (BOMB, "more than 100000 values"),
    "holds-itself": ("a: &a [*a, *a]", "more than 100000 values"),
    "mapping-that-holds-itself": ("a: &a {b: *a}", "deeper ones than"),
    "not-yaml": ("a: [", "line 1, column 5"),
    "tab": ("a:\n\t- b", "line 2, column 1: found character"),
    "twice": ("a: 1\nb: 2\na: 3\n", "duplicate key"),
    "two-documents": ("a: 1\n---\nb: 2\n", "another document"),
    "object": ("a: !!python/object/apply:os.system [true]", "constructor"),
    "bytes": ("a: !!binary aGVsbG8=", "a bytes"),
    "set": ("a: !!set {b, c}", "a value is"),
    "unknown-alias": ("a: *b", "undefined alias"),
    "control": ("a: \x01", "special characters"),
    "number-of-another-tag": ("a: !!int many", "invalid literal"),
    "list": ("- a\n- b\n", "holds a list"),
    "text": ("only words", "holds a text"),
    "number": ("3", "holds a number"),
    "empty": ("", "holds nothing"),
    "large": ("a: " + "x" * 2**20, "larger than 1048576 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line_with_its_path_and_soon(name: str, tmp_path: Path) -> None:
    text, words = BAD[name]
    path = tmp_path / "c.yaml"
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    line = str(caught.value)
    assert "\n" not in line and str(path) in line and words in line and len(line) < 600
    assert time.monotonic() - began < 30  # seconds; an alias bomb that is expanded takes hours


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "latin").write_bytes("a: é".encode("latin-1"))
    for name, words in {
        "pipe": "not a regular file",
        ".": "it is a directory",
        "loop": "symbolic links",
        "gone": "No such file",
        "latin": "utf-8",
    }.items():
        with pytest.raises(ClusterError, match=words):
            read_yaml(tmp_path / name, "cluster", ClusterError)


def test_a_byte_order_mark_and_repeated_anchors_are_lawful(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes("\ufeffa: &x [1]\nb: &x [2]\nc: *x\n".encode())
    assert read_yaml(tmp_path / "c.yaml") == {"a": [1], "b": [2], "c": [2]}


def test_what_is_written_is_read_back_as_it_was() -> None:
    texts = {t: t for t in [*AS_WRITTEN, *(t for t, _ in VALUES), "a\nb", " a", "#", "é: x"]}
    values = {"texts": texts, "n": [1, 1e-5, 1e22, 0.1, True, None], "deep": {"x": [{"y": []}], "z": {}}}
    assert parse_yaml(yaml_text(values)) == values
    assert list(parse_yaml(yaml_text({"b": 1, "a": 2}))) == ["b", "a"]


def test_depth_that_people_write_is_read() -> None:
    depth = DEEPEST - 1
    value: Any = parse_yaml("a: " + "[" * depth + "]" * depth)["a"]
    for _ in range(depth - 1):
        (value,) = value
    assert value == []


def test_reading_is_quick_enough_for_a_thousand_paths() -> None:
    text = yaml_text({"data": {"train": [f"/data/be.zarr/snapshots/train-{i:06d}" for i in range(1000)]}})
    began = time.monotonic()
    assert len(maladist.TrainConfig.of(parse_yaml(text)).data.train) == 1000
    assert time.monotonic() - began < 20
