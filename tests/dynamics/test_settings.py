"""What is wanted of an MD is checked where it enters; what may change from call to call is no part of its identity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maladist import MDSettings, RelaxSettings
from maladist.errors import InputError


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"steps": 0}, "steps"),
        ({"timestep": 0.0}, "timestep"),
        ({"ion_temperature": -3.0}, "ion_temperature"),
        ({"friction": float("inf")}, "friction"),
        ({"pressure": float("nan")}, "pressure"),
        ({"every": 0}, "every"),
        ({"stop_novelty": 0.0}, "stop_novelty"),
        ({"barostat_time": -1.0}, "barostat_time"),
        ({"seed": -1}, "seed"),
        ({"steps": 1.5}, "steps"),
        ({"steps": "2"}, "steps"),
        ({"ensemble": "NVE"}, "ensemble"),  # which was run as npt
        ({"velocities": "Given"}, "velocities"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: "):
        replace(MDSettings(steps=10), **change)


@pytest.mark.parametrize(
    ("ensemble", "change"),
    [
        ("nve", {"friction": 0.3}),
        ("nve", {"pressure": 5.0}),
        ("nvt", {"pressure": 5.0}),
        ("nvt", {"barostat_time": 9.0}),
    ],
)
def test_what_an_ensemble_has_no_use_for_is_refused(ensemble: Any, change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(change))}: .* in {ensemble}; wanted .*npt"):
        MDSettings(steps=10, ensemble=ensemble, **change)
    assert MDSettings(steps=10, ensemble="npt", **change)


def test_more_steps_and_another_stop_are_the_same_run() -> None:
    settings = MDSettings(steps=10)
    assert replace(settings, steps=20, stop_novelty=2.0).arguments() == settings.arguments()
    for change in ({"timestep": 2.0}, {"seed": 1}, {"every": 2}, {"ensemble": "nvt"}, {"ion_temperature": 200.0}):
        assert replace(settings, **change).arguments() != settings.arguments(), change  # type: ignore[arg-type]
    thermal = replace(settings, ensemble="nvt")
    assert replace(thermal, friction=1.0).arguments() != thermal.arguments()
    # Velocities that are given need no seed, unless a thermostat has one.
    given = replace(settings, velocities="given")
    assert replace(given, seed=3).arguments() == given.arguments()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"fmax": 0.0}, "fmax"),
        ({"steps": 0}, "steps"),
        ({"pressure": 1.0}, "pressure"),
        ({"optimizer": "lbfgs"}, "optimizer"),
        ({"cell": "hydro"}, "cell"),  # which was run as free
    ],
)
def test_a_relaxation_names_it_too(change: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: "):
        replace(RelaxSettings(), **change)


def test_a_relaxation_may_be_tightened_by_another_optimiser() -> None:
    settings = RelaxSettings()
    assert replace(settings, fmax=1e-4, steps=7, optimizer="fire").arguments() == settings.arguments()
    assert replace(settings, cell="free").arguments() != settings.arguments()
    assert replace(settings, cell="free", pressure=1.0).arguments() != replace(settings, cell="free").arguments()
