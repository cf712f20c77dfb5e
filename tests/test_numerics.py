"""How descriptors and network are computed: what is accepted, and what 'auto' means where."""

from __future__ import annotations

import pytest
import torch

from maladist.errors import InputError
from maladist.numerics import Numerics


def test_a_precision_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"precision: 'float16'.*float32, float64"):
        Numerics(precision="float16")  # type: ignore[arg-type]


@pytest.mark.parametrize(("gpu", "device"), [(True, "cuda"), (False, "cpu")])
def test_each_machine_decides_what_auto_means(gpu: bool, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert Numerics().here() == Numerics(device=device)
    assert Numerics(device="cpu").here().device == "cpu"


@pytest.mark.parametrize(("precision", "dtype", "size"), [("float32", torch.float32, 4), ("float64", torch.float64, 8)])
def test_a_precision_is_one_type_of_numbers(precision: str, dtype: torch.dtype, size: int) -> None:
    numerics = Numerics(precision=precision)  # type: ignore[arg-type]
    assert (numerics.dtype, numerics.itemsize) == (dtype, size)


@pytest.mark.parametrize("device", ["gpu", "", "CPU"])
def test_a_device_of_another_name_is_refused_before_a_block_meets_it(device: str) -> None:
    with pytest.raises(InputError, match=rf"^device: '{device}'; wanted auto, cpu or cuda"):
        Numerics(device=device)
    assert Numerics(device="cuda:1").device == "cuda:1"  # there or not, the workers know
