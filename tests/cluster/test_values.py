"""Values of a cluster's description: what could be meant in two ways is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from maladist.cluster.values import Limit, Size, Text, number_of_bytes


def read(kind: Any, value: object) -> object:
    return TypeAdapter(kind).validate_python(value)


def test_texts_are_as_they_were_written() -> None:
    assert read(Text, "04:00:00") == "04:00:00" and read(Text, 7) == "7"
    for value in (1e5, 123.10, True):  # not as they were written: 1e5, 123.10, yes
        with pytest.raises(ValidationError, match="a text, in quotes"):
            read(Text, value)


def test_a_size_names_its_unit() -> None:
    assert read(Size, "64GB") == "64GB"
    with pytest.raises(ValidationError, match=r"4000MB, or 4000GB\?"):
        read(Size, 4000)
    with pytest.raises(ValidationError, match="64GB or 4000MB"):
        read(Size, "many")


def test_a_limit_is_dasks_own_or_a_size() -> None:
    for value in ("auto", 0, 0.5, 1.0, "2GB", 2 * 10**9):
        assert read(Limit, value) == value
    for value in (4000, "4000"):  # megabytes, or bytes?
        with pytest.raises(ValidationError, match="4000MB"):
            read(Limit, value)


def test_bytes_are_counted_from_any_unit() -> None:
    assert number_of_bytes("2GB") == 2 * 10**9 == number_of_bytes(2 * 10**9)
    with pytest.raises(ValueError, match="bytes, or a size with its unit"):
        number_of_bytes(True)
