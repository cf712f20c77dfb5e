"""What is wanted of an MD for configurations is refused by its name where it makes no sense."""

from __future__ import annotations

import pytest

from maladist.errors import InputError
from maladist.sampling.settings import Dynamics


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": -1}, "temperature"),
        ({"steps": 5}, "steps"),
        ({"timestep": 0}, "timestep"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_wrong_argument_is_named(change: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Dynamics(**{"temperature": 300, "steps": 20, **change})  # type: ignore[arg-type]
