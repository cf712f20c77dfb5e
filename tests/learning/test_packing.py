"""Bytes of metadata and tensors: equal content, equal bytes; and no damage passes for a model."""

from __future__ import annotations

import pytest
import torch

from maladist.errors import ModelError
from maladist.learning.packing import pack, unpack

TENSORS = {"b": torch.arange(6).reshape(2, 3).float(), "a": torch.tensor([1.5], dtype=torch.float64)}
METADATA = {"x": [1, {"y": "ε"}], "n": None}


def test_what_was_packed_comes_back() -> None:
    metadata, tensors = unpack(pack(METADATA, TENSORS))
    assert metadata == {**METADATA, "schema_version": 1}
    assert set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype


def test_equal_content_has_equal_bytes_in_whatever_order_it_came() -> None:
    again = pack(dict(reversed(METADATA.items())), dict(reversed(TENSORS.items())))
    assert again == pack(METADATA, TENSORS)
    whole = torch.arange(12).reshape(2, 6).float()
    assert pack({}, {"a": whole[:, ::2]}) == pack({}, {"a": whole[:, ::2].clone()})  # views that share memory too


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_metadata_that_json_cannot_hold_are_refused(value: object) -> None:
    with pytest.raises(ModelError, match="metadata that JSON cannot hold"):
        pack({"a": value}, {})


def test_no_byte_can_change_without_being_found() -> None:
    content = pack(METADATA, TENSORS)
    for at in range(0, len(content), 3):
        damaged = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(ModelError):
            unpack(damaged)


@pytest.mark.parametrize("length", [0, 7, 9, 40, -1, -9])
def test_what_was_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ModelError):
        unpack(pack(METADATA, TENSORS)[:length])
