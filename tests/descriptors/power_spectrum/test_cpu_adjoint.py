"""The compiled adjoint of the power spectrum against autograd, at the edges; finite differences: ../test_adjoint.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from maladist.descriptors import Adjoint, PowerSpectrumSpec, adjoint
from maladist.descriptors.power_spectrum import cpu_adjoint
from maladist.neighbors import LocalAtoms
from tests.descriptors.power_spectrum.reference import SMALL
from tests.descriptors.systems import SKEWED, adjoint_error, assert_compiled_once, cluster, cotangent, random_system

Array = npt.NDArray[np.float64]

F64, F32 = torch.float64, torch.float32

EXACT, SINGLE = 1e-12, 1e-5
"""Of the largest number; 2e-15 and 1e-6 are typical."""


def found(
    points: Any,
    atoms: LocalAtoms,
    spec: PowerSpectrumSpec,
    backend: str = "cpu",
    dtype: torch.dtype = F64,
    threads: int = 1,
) -> Adjoint:
    return adjoint(points, atoms, spec, cotangent(points, spec), backend=backend, dtype=dtype, threads=threads)


@pytest.mark.parametrize("radial", [(12, 6, 5, 4, 3), (1,), (1, 1), (2, 3, 1, 2)])
def test_it_is_autograds(radial: tuple[int, ...]) -> None:
    points, atoms = random_system(SKEWED, 4, 4.0, n_points=37)
    spec = PowerSpectrumSpec(4.0, radial)
    expected = found(points, atoms, spec, "torch")
    assert adjoint_error(found(points, atoms, spec), expected) < EXACT
    assert adjoint_error(found(points, atoms, spec, dtype=F32), expected) < SINGLE


def test_elements_have_cotangents_of_their_own() -> None:
    points, atoms = random_system(SKEWED, 5, 3.5, ("Be", "Al"))
    spec = PowerSpectrumSpec(3.5, (4, 2, 2), elements=("Be", "Al"))
    assert adjoint_error(found(points, atoms, spec), found(points, atoms, spec, "torch")) < EXACT


@pytest.mark.parametrize(("dtype", "tolerance"), [(F32, SINGLE), (F64, 1e-6)])
def test_an_atom_on_a_point_or_near_it_is_autograds(dtype: torch.dtype, tolerance: float) -> None:
    """On the point itself autograd sees it at 1e-8 Å."""
    others = [[1.2, 0.3, -0.4], [-1.0, 1.1, 0.2]]
    for on in ([0.0, 0, 0], [0, 0, 1e-9], [1e-6, 2e-6, 0], [1e-3, 0, 2e-3]):
        atoms = cluster([on, *others])
        at_once = found(np.zeros((1, 3)), atoms, SMALL, dtype=dtype)
        assert adjoint_error(at_once, found(np.zeros((1, 3)), atoms, SMALL, "torch")) < tolerance


def test_a_point_without_neighbours_pulls_at_no_atom() -> None:
    alone = found([[50.0, 0, 0]], cluster([[0, 0, 0], [50.0, 0, 3.51]]), SMALL)
    assert not alone.gradient.any() and not alone.virial.any()


@pytest.mark.parametrize("threads", [2, 50])
def test_the_same_bits_for_any_number_of_threads_whatever_is_far_away(threads: int) -> None:
    points, atoms = random_system(SKEWED, 3, 3.5, n_points=1200)  # some portions
    expected = found(points, atoms, SMALL, dtype=F32)
    far = points.min(axis=0) - 3.6 - np.random.default_rng(3).uniform(0, 30, (50, 3))
    more = LocalAtoms(np.concatenate([far, atoms.positions]), np.full(50 + len(atoms), 4, np.int16))
    again = found(points, more, SMALL, dtype=F32, threads=threads)
    np.testing.assert_array_equal(again.gradient[50:], expected.gradient)
    np.testing.assert_array_equal(again.virial, expected.virial)
    assert not again.gradient[:50].any()


@pytest.mark.parametrize("lanes", [pytest.param(2, marks=pytest.mark.slow), 16])
def test_every_width_of_vectors_gives_the_same(lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on processors with other registers: the order of the sums is another."""
    points, atoms = random_system(SKEWED, 3, 3.5)
    spec = PowerSpectrumSpec(3.5, (2, 1))
    expected = found(points, atoms, spec)
    monkeypatch.setattr(cpu_adjoint, "lanes_of", lambda _: lanes)
    assert adjoint_error(found(points, atoms, spec), expected) < 1e-13


START = """
import time, numpy as np
from maladist.descriptors import PowerSpectrumSpec
from maladist.descriptors.power_spectrum.cpu_adjoint import (
    adjoint_version, encode, lanes_of, power_spectrum_adjoint, tile_adjoint
)
began, spec = time.process_time(), PowerSpectrumSpec(radial=(2, 1))
for name in ("f4", "f8"):
    power_spectrum_adjoint(np.zeros((1, 3)), np.ones((1, 3)), spec, np.ones((1, 3), name), 1)
stats = [tile_adjoint(encode(spec.radial), lanes_of(np.dtype(name)), adjoint_version()).stats for name in ("f4", "f8")]
print(sum(sum(s.cache_misses.values()) for s in stats), time.process_time() - began)
"""


@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    assert_compiled_once(START, tmp_path)
