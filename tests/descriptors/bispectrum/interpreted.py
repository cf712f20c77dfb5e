"""Stages of the compiled kernels run at once on numpy's arrays: each against its formula, and nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import eval_jacobi

from maladist.arrays import AnyArray
from maladist.descriptors.bispectrum.su2_moments import moment_places
from maladist.descriptors.compiled.vector_code import Code, Vector

LANES = 2
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "fadd": np.add,
    "fsub": np.subtract,
    "fmul": np.multiply,
    "fdiv": np.divide,
    "fneg": np.negative,
    "fmuladd": lambda a, b, c: a * b + c,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "minnum": np.minimum,
    "maxnum": np.maximum,
}


class Interpreted(Code):
    """Does what `Code` would emit. Buffers are arrays (vectors, LANES); complex ones differentiate by complex steps."""

    def __init__(self) -> None:
        self.lanes, self.itemsize = LANES, 8

    def constant(self, x: float) -> Vector:
        return Vector(self, np.full(LANES, float(x)))

    def emit(self, operation: str, *operands: Vector | float) -> Vector:
        return Vector(self, _OPERATIONS[operation](*self._values(operands)))

    call = emit

    def at(self, base: Any, stride: int, offset: Any = 0) -> Any:
        return base * stride + offset

    def load(self, buffer: Any, index: Any) -> Vector:
        return Vector(self, buffer.reshape(-1, LANES)[index].copy())

    def store(self, x: Vector, buffer: Any, index: Any) -> None:
        buffer.reshape(-1, LANES)[index] = x.value

    def splat(self, buffer: Any, index: Any) -> Vector:
        return Vector(self, np.full(LANES, buffer.reshape(-1)[index]))

    def loop(
        self, count: int, state: Sequence[Vector], body: Callable[[Any, list[Vector]], Sequence[Vector]]
    ) -> list[Vector]:
        for i in range(count):
            state = body(i, list(state))
        return list(state)


def run(stage: Any, twojmax: int, *buffers: AnyArray, first: int = 0) -> None:
    """Run a stage on its buffers, which are three where it wants less too."""
    padded = (*buffers, None, None)[:3]
    stage.trace(Interpreted(), twojmax, *padded, first)


def elements(twojmax: int, quaternions: AnyArray) -> dict[tuple[int, int, int], AnyArray]:
    """E_npq on unit quaternions (..., 4), by the formula of su2_moments.py."""
    a, b = quaternions[..., 0] + 1j * quaternions[..., 3], quaternions[..., 1] + 1j * quaternions[..., 2]
    t = abs(a) ** 2 - abs(b) ** 2
    return {
        (n, p, q): a**p * (b**q if q >= 0 else b.conj() ** -q) * eval_jacobi((n - p - abs(q)) // 2, abs(q), p, t)
        for n, p, q in {key[:3] for key in moment_places(twojmax)}
    }


def moments_of(twojmax: int, weights: AnyArray, quaternions: AnyArray) -> AnyArray:
    """M_npq of neighbours (neighbours, LANES) and (neighbours, LANES, 4) as their buffer has them."""
    sums = {key: (weights * e).sum(axis=0) for key, e in elements(twojmax, quaternions).items()}
    parts = [(sums[n, p, q].real, sums[n, p, q].imag)[part] for n, p, q, part in moment_places(twojmax)]
    return np.array(parts)


def neighbours(n: int, seed: int) -> tuple[AnyArray, AnyArray]:
    """Weights and unit quaternions of neighbours of each lane."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, LANES, 4))
    return rng.uniform(0.5, 1.5, (n, LANES)), x / np.linalg.norm(x, axis=-1, keepdims=True)
