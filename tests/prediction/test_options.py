"""Keywords that are none are refused, wherever ``**options`` would let them pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import maladist
from maladist.calculator import Maladist
from maladist.errors import GridError
from maladist.prediction.options import Chunks
from maladist.prediction.setup import setup
from maladist.testing import be_atoms, tiny_model


@pytest.mark.parametrize(
    "call",
    [
        lambda **o: maladist.predict(be_atoms(), tiny_model(), **o),
        lambda **o: maladist.plan(be_atoms(), tiny_model(), **o),
        lambda **o: maladist.predict_many([be_atoms()], tiny_model(), ["never.zarr"], **o),
        lambda **o: maladist.ldos(be_atoms(), tiny_model(), **o),
        lambda **o: Maladist(tiny_model(), **o),
    ],
    ids=["predict", "plan", "predict_many", "ldos", "calculator"],
)
def test_a_misspelt_keyword_is_refused_before_anything_is_computed(call: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'temprature'"):
        call(temprature=300.0)


@pytest.mark.parametrize("chunks", [(0, 4, 4), (2, 2), "many", (1, 2, 3, 4)])
def test_chunks_that_are_none_are_refused_without_a_cluster(chunks: Chunks) -> None:
    with pytest.raises(GridError, match="chunks"):
        setup(be_atoms(), tiny_model(), chunks=chunks)
