"""Kernels that a cluster of the user's own compiles as its workers start, and no block has to."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
from distributed import Client

import maladist
from maladist.errors import InputError, ModelError
from maladist.prediction import kernels
from maladist.testing import tiny_model


def told(function: Callable[..., object], asked: list[str]) -> Callable[..., object]:
    """The function, whose calls are written down."""

    def call(*positional: object, **named: object) -> object:
        asked.append(function.__name__)
        return function(*positional, **named)

    return call


def test_workers_compile_as_they_start_and_those_that_come_later_too(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[bool] = []
    monkeypatch.setattr(kernels, "compile_kernels", lambda *given: ran.append(given[-1]))
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        client.register_plugin(maladist.KernelPlugin(tiny_model(), forces=True))
        assert ran == [True]
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=60)
        assert ran == [True, True]


@pytest.mark.parametrize("name", ["be-1000K-2", "al-933K"])
def test_the_kernels_are_those_that_the_blocks_and_the_forces_take(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for kind in ("evaluate", "adjoint"):
        monkeypatch.setattr(kernels, kind, told(getattr(kernels, kind), asked))
    plugin = pickle.loads(pickle.dumps(maladist.KernelPlugin(name, forces=True)))
    kernels.compile_kernels(plugin.spec, plugin.number, plugin.numerics, plugin.forces)
    assert asked == ["evaluate", "adjoint"]
    assert len(pickle.dumps(plugin)) < 10_000  # no model travels
    assert plugin.name != maladist.KernelPlugin(tiny_model()).name


def test_a_plugin_of_no_model_is_refused_here_and_not_on_the_workers() -> None:
    with pytest.raises(ModelError, match="none-such"):
        maladist.KernelPlugin("none-such")
    with pytest.raises(InputError, match="precision"):
        maladist.KernelPlugin(tiny_model(), precision="float16")  # type: ignore[arg-type]
