"""Python traced to vector code: compiled by numba it computes what it says, in every lane by itself."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from maladist.arrays import AnyArray
from maladist.descriptors.compiled.vector_code import (
    Code,
    Vector,
    aligned_empty,
    count_operations,
    lanes_of,
    register_file,
    stage,
)
from tests.descriptors.compiled.interpreted import Interpreted

PRECISIONS = [np.dtype("f4"), np.dtype("f8")]


@stage
def everything(code: Code, order: int, source: Any, target: Any, constants: Any, at: Any) -> None:
    """One of each operation: into target ``at`` and the one behind it."""
    x, y, c = code.load(source, 0), code.load(source, 1), code.splat(constants, 1)
    first = 1.0 / (x * x + 0.5) - (2.0 - y) * c + -x
    second = code.call("maxnum", code.call("sqrt", y), 1.25) + code.call("floor", 3.0 * code.call("minnum", x, y))

    def body(i: Any, state: list[Vector]) -> list[Vector]:
        term = code.load(source, code.at(i, 2, 0))  # vectors 0, 2, 4
        return [code.fma(term, c, state[0]), state[1] * 0.5]

    sums = code.loop(order, [first, second], body)
    for i, value in enumerate(sums):
        code.store(value, target, code.at(at, 1, i))


def by_numpy(source: AnyArray, constants: AnyArray, order: int) -> AnyArray:
    x, y, c = source[0], source[1], constants[1]
    first = 1 / (x * x + 0.5) - (2 - y) * c - x
    second = np.maximum(np.sqrt(y), 1.25) + np.floor(3 * np.minimum(x, y))
    return np.stack([first + c * source[: 2 * order : 2].sum(axis=0), second * 0.5**order])


def compiled(lanes: int) -> Any:
    @numba.njit
    def call(source, target, constants, at):  # type: ignore[no-untyped-def]
        everything(3, lanes, source, target, constants, at)

    return call


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_what_is_compiled_computes_every_operation_and_lanes_do_not_mix(dtype: np.dtype[np.floating]) -> None:
    lanes, rng = lanes_of(dtype), np.random.default_rng(0)
    call, constants = compiled(lanes), np.array([9.0, 0.75], dtype)
    source, target = aligned_empty((6, lanes), dtype), aligned_empty((4, lanes), dtype)
    source[:], target[:] = rng.uniform(0.1, 3, source.shape), -7.0
    call(source, target, constants, 1)
    wanted = by_numpy(source.astype(float), constants.astype(float), 3)
    np.testing.assert_allclose(target[1:3], wanted, rtol=16 * np.finfo(dtype).eps)
    assert (target[[0, 3]] == -7.0).all()
    # A NaN in one lane stays there, and the others keep their bits.
    before = target.copy()
    source[:, 1] = np.nan
    call(source, target, constants, 1)
    others = np.arange(lanes) != 1
    np.testing.assert_array_equal(target[:, others], before[:, others])
    assert np.isnan(target[1, 1])


def test_what_tests_interpret_is_what_is_compiled() -> None:
    """Else the stages that are tested without being compiled would not be those that run."""
    source = np.random.default_rng(1).uniform(0.1, 3, (6, 2))
    target, constants = np.zeros((2, 2)), np.array([9.0, 0.75])
    everything.trace(Interpreted(), 3, source, target, constants, 0)
    np.testing.assert_allclose(target, by_numpy(source, constants, 3), rtol=1e-14)


def test_operations_are_counted_once_a_turn_of_a_loop_and_a_fused_one_as_two() -> None:
    # Outside: 1/(x·x + ½), (2 − y)·c, two to join them; two calls, 3·, a call, a call, one to join. Inside: 2 + 1.
    outside, inside = 3 + 2 + 2 + 2 + 3 + 1, 3
    assert count_operations(3, np.dtype("f8"), everything) == outside + 3 * inside
    assert count_operations(5, np.dtype("f4"), everything, everything) == 2 * (outside + 5 * inside)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_buffers_begin_on_a_cache_line_whatever_their_size(dtype: np.dtype[np.floating]) -> None:
    """Aligned loads of an address that is not end the process."""
    assert lanes_of(dtype) * dtype.itemsize == register_file()[0]
    for n in range(1, 40):
        buffer = aligned_empty((n, 3), dtype)
        assert buffer.shape == (n, 3) and buffer.dtype == dtype and buffer.ctypes.data % 64 == 0
