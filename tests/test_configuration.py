"""Configurations: the key that is wrong is named, and nothing is taken for something else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError, model_validator

from maladist.configuration import FilePath, Options, Section, no_old_truths
from maladist.errors import ClusterError, InputError


class Inner(Section):
    size: Annotated[int, Field(ge=1)] = 1
    path: FilePath = "a"


class Outer(Section):
    inner: Inner = Inner()
    scale: float | Inner = 1.0
    flag: bool = False
    options: Options = Field(default={})

    @model_validator(mode="after")
    def _fits(self) -> Outer:
        if self.flag and self.inner.size > 5:
            raise InputError("inner.size", f"{self.inner.size}", "5 or less", "Or take flag away.")
        return self


@pytest.mark.parametrize(
    ("values", "key", "said"),
    [
        ({"innner": {}}, "innner", "is not a key; wanted one of inner, scale"),
        ({"inner": {"sise": 3}}, "inner.sise", "is not a key; wanted one of size, path"),
        ({"inner": {"size": 0}}, "inner.size", "greater than or equal to 1"),
        ({"inner": {"size": True}}, "inner.size", "wanted a number"),
        ({"scale": True}, "scale", "wanted a number"),
        ({"scale": float("nan")}, "scale", "finite"),
        ({"scale": {"size": 0}}, "scale.size", "greater than or equal to 1"),
        ({"flag": True, "inner": {"size": 7}}, "inner.size", r"7; wanted 5 or less\. Or take flag away"),
        ({"options": {"a": {"b": ["yes"]}}}, "options", "true or false, not the text 'yes'"),
        ([1], "config", "a list; wanted a mapping"),
    ],
)
def test_a_wrong_key_is_named_with_what_was_wanted(values: Any, key: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Outer.of(values)
    assert key in caught.value.argument and "\n" not in str(caught.value)


def test_of_several_wrong_keys_the_others_are_counted() -> None:
    with pytest.raises(InputError, match="2 more keys are wrong"):
        Outer.of({"inner": {"size": 0}, "flagg": True, "scalee": 2})


def test_a_key_that_nobody_knows_is_named_before_the_one_it_was_meant_for() -> None:
    class Needing(Section):
        size: int

    with pytest.raises(InputError, match=r"sise: is not a key; wanted one of size\. 1 more key is wrong"):
        Needing.of({"sise": 3})


def test_the_class_of_the_error_is_the_sections() -> None:
    class Mine(Section):
        error = ClusterError
        size: int

    with pytest.raises(ClusterError, match=r"c\.yaml: size: is missing; wanted a value"):
        Mine.of({}, "c.yaml")


def test_a_path_is_from_the_folder_of_the_file_and_an_absolute_one_stays(tmp_path: Path) -> None:
    assert Inner.of({"path": "b"}, "c.yaml", tmp_path).path == str(tmp_path / "b")
    assert Inner.of({"path": "/b"}, "c.yaml", tmp_path).path == "/b"
    assert Inner.of({"path": "b"}).path == "b"


def test_nothing_changes_later() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Outer().flag = True  # type: ignore[misc]


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off"])
def test_words_that_were_truth_values_are_refused_at_any_depth(word: str) -> None:
    with pytest.raises(ValueError, match="true or false"):
        no_old_truths({"a": [{"b": word}]})
    assert no_old_truths({"a": ["yesterday", True, None]}) == {"a": ["yesterday", True, None]}
