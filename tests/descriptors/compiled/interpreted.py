"""Stages of the compiled kernels run at once on numpy's arrays: each against its formula, and nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from maladist.arrays import AnyArray
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


def run(stage: Any, order: int, *buffers: AnyArray, first: int = 0) -> None:
    """Run a stage on its buffers, which are three where it wants less too."""
    padded = (*buffers, None, None)[:3]
    stage.trace(Interpreted(), order, *padded, first)
