"""Vector code for numba from plain Python: a function is run once on `Vector`, and what it did is compiled.

Numba leaves it to LLVM to find vector instructions in scalar loops. Where that is not enough (tens of sums kept in
registers, loops unrolled over tables), a *stage* is written as a Python function on vectors whose lanes are points.
Tracing it emits LLVM instructions on <lanes × float>, which any processor can run: LLVM splits a vector that is wider
than a register. Nothing is reordered and every lane is treated alike, so a point's result does not depend on its lane
or on its neighbours in the vector.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from maladist.arrays import AnyArray

_INDEX = ir.IntType(64)


class Vector:
    """A value in every lane; arithmetic with vectors and numbers emits instructions."""

    def __init__(self, code: Code, value: ir.Value) -> None:
        self.code, self.value = code, value

    def __add__(self, other: Vector | float) -> Vector:
        return self.code.emit("fadd", self, other)

    def __sub__(self, other: Vector | float) -> Vector:
        return self.code.emit("fsub", self, other)

    def __rsub__(self, other: float) -> Vector:
        return self.code.emit("fsub", other, self)

    def __mul__(self, other: Vector | float) -> Vector:
        return self.code.emit("fmul", self, other)

    def __rtruediv__(self, other: float) -> Vector:
        return self.code.emit("fdiv", other, self)

    def __neg__(self) -> Vector:
        return self.code.emit("fneg", self)

    __radd__, __rmul__ = __add__, __mul__


class Code:
    """Where instructions go: a place in a function that numba compiles.

    Parameters
    ----------
    builder
        llvmlite's builder at that place.
    scalar
        Type of a lane: llvmlite's FloatType or DoubleType.
    lanes
        Lanes of a vector.
    """

    def __init__(self, builder: ir.IRBuilder, scalar: ir.Type, lanes: int) -> None:
        self.builder, self.scalar, self.lanes = builder, scalar, lanes
        self.type = ir.VectorType(scalar, lanes)
        self.itemsize = 4 if isinstance(scalar, ir.FloatType) else 8

    def constant(self, x: float) -> Vector:
        """The same number in every lane."""
        return Vector(self, ir.Constant(self.type, [ir.Constant(self.scalar, float(x))] * self.lanes))

    def emit(self, operation: str, *operands: Vector | float) -> Vector:
        """One instruction of llvmlite's builder."""
        return Vector(self, getattr(self.builder, operation)(*self._values(operands)))

    def call(self, function: str, *operands: Vector | float) -> Vector:
        """One of LLVM's vector functions: 'fmuladd', 'sqrt', 'floor', 'minnum', 'maxnum'."""
        name = f"llvm.{function}.v{self.lanes}f{8 * self.itemsize}"
        signature = ir.FunctionType(self.type, [self.type] * len(operands))
        declared = cgutils.get_or_insert_function(self.builder.module, signature, name)
        return Vector(self, self.builder.call(declared, self._values(operands)))

    def fma(self, a: Vector | float, b: Vector | float, c: Vector | float | None) -> Vector:
        """a·b + c, fused where the processor can; a·b where there is no c yet."""
        return self.emit("fmul", a, b) if c is None else self.call("fmuladd", a, b, c)

    def dot(self, x: Sequence[Vector | float], y: Sequence[Vector], before: Vector | None = None) -> Vector:
        """Σ_i x_i·y_i, added to what was before; one of the two is not empty."""
        for a, b in zip(x, y, strict=True):
            before = self.fma(a, b, before)
        assert before is not None
        return before

    def _values(self, operands: Sequence[Vector | float]) -> list[ir.Value]:
        return [(x if isinstance(x, Vector) else self.constant(x)).value for x in operands]

    def at(self, base: ir.Value, stride: int, offset: ir.Value | int = 0) -> ir.Value:
        """Index base·stride + offset, with a base known only at run time."""
        return self.builder.add(self.builder.mul(base, _INDEX(stride)), self._index(offset))

    def _index(self, i: ir.Value | int) -> ir.Value:
        return _INDEX(i) if isinstance(i, int) else i

    def load(self, buffer: ir.Value, index: ir.Value | int) -> Vector:
        """Vector number ``index`` of a buffer."""
        return Vector(self, self.builder.load(self._place(buffer, index), align=self.itemsize * self.lanes))

    def store(self, x: Vector, buffer: ir.Value, index: ir.Value | int) -> None:
        """Put a vector at ``index`` of a buffer."""
        self.builder.store(x.value, self._place(buffer, index), align=self.itemsize * self.lanes)

    def _place(self, buffer: ir.Value, index: ir.Value | int) -> ir.Value:
        vectors = self.builder.bitcast(buffer, self.type.as_pointer())
        return self.builder.gep(vectors, [self._index(index)])

    def splat(self, buffer: ir.Value, index: ir.Value | int) -> Vector:
        """Scalar number ``index`` of a buffer, in every lane."""
        place = self.builder.gep(buffer, [self._index(index)])
        undefined, first = ir.Constant(self.type, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        lane = self.builder.insert_element(undefined, self.builder.load(place), first)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [first] * self.lanes)
        return Vector(self, self.builder.shuffle_vector(lane, undefined, mask))

    def loop(
        self, count: int, state: Sequence[Vector], body: Callable[[ir.Value, list[Vector]], Sequence[Vector]]
    ) -> list[Vector]:
        """``for i in range(count): state = body(i, state)``, the state in registers; count ≥ 1."""
        builder, before = self.builder, self.builder.block
        head = builder.append_basic_block("loop")
        builder.branch(head)
        builder.position_at_end(head)
        i = builder.phi(_INDEX)
        i.add_incoming(_INDEX(0), before)
        variables = [builder.phi(self.type) for _ in state]
        for variable, initial in zip(variables, state, strict=True):
            variable.add_incoming(initial.value, before)
        result = body(i, [Vector(self, variable) for variable in variables])
        following = builder.add(i, _INDEX(1))
        i.add_incoming(following, builder.block)
        for variable, new in zip(variables, result, strict=True):
            variable.add_incoming(new.value, builder.block)
        end = builder.append_basic_block("end")
        builder.cbranch(builder.icmp_signed("<", following, _INDEX(count)), head, end)
        builder.position_at_end(end)
        return list(result)


Trace = Callable[[Code, int, ir.Value, ir.Value, ir.Value, ir.Value], None]
"""Takes where code goes, a compile-time integer, three buffers (source, target, constants) and a run-time index."""


def stage(trace: Trace) -> Any:
    """Make a traced function callable in numba: ``stage(order, lanes, source, target, constants, at)``.

    Parameters
    ----------
    trace
        Called as trace(code, order, source, target, constants, at) when numba compiles the caller. ``order`` and
        ``lanes`` must be compile-time integers (literals or closure variables), ``at`` any integer; the buffers are
        contiguous arrays of one floating type, aligned as `aligned_empty` aligns.
    """

    def typed(_typing: Any, order: Any, lanes: Any, source: Any, target: Any, constants: Any, at: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> ir.Value:
            arrays = zip(signature.args[2:5], values[2:5], strict=True)
            buffers = [context.make_array(kind)(context, builder, value).data for kind, value in arrays]
            index = context.cast(builder, values[5], signature.args[5], types.int64)
            code = Code(builder, context.get_value_type(source.dtype), lanes.literal_value)
            trace(code, order.literal_value, buffers[0], buffers[1], buffers[2], index)
            return context.get_dummy_value()

        return types.void(order, lanes, source, target, constants, at), generate

    callable_in_numba = intrinsic(prefer_literal=True)(typed)
    callable_in_numba.trace = trace
    return callable_in_numba


class _Counter(Code):
    """Counts the operations that a stage would emit, a fused one as two, those in a loop as often as it runs."""

    def __init__(self, itemsize: int) -> None:
        self.itemsize, self.count = itemsize, 0

    def emit(self, operation: str, *_: Vector | float) -> Vector:
        self.count += operation != "fneg"
        return Vector(self, None)

    def call(self, function: str, *_: Vector | float) -> Vector:
        self.count += 2 if function == "fmuladd" else 1
        return Vector(self, None)

    def at(self, *_: object) -> ir.Value:
        return None

    def constant(self, *_: object) -> Vector:
        return Vector(self, None)

    load = splat = constant  # type: ignore[assignment]

    def store(self, *_: object) -> None:
        pass

    def loop(
        self, count: int, state: Sequence[Vector], body: Callable[[ir.Value, list[Vector]], Sequence[Vector]]
    ) -> list[Vector]:
        before = self.count
        result = list(body(None, list(state)))
        self.count += (count - 1) * (self.count - before)
        return result


def count_operations(order: int, dtype: np.dtype[np.floating], *stages: Any) -> int:
    """Floating-point operations in each lane of one call of each of these stages."""
    counter = _Counter(np.dtype(dtype).itemsize)
    for one in stages:
        one.trace(counter, order, None, None, None, None)
    return counter.count


@cache
def register_file() -> tuple[int, int]:
    """Width in bytes and number of the vector registers of the processor that numba compiles for."""
    features = cpu_target.target_context.codegen().magic_tuple()[2]
    if "+avx512f" in features:
        return 64, 32
    if "+avx" in features:
        return 32, 16
    return 16, 32 if platform.machine() in ("arm64", "aarch64") else 16


def lanes_of(dtype: np.dtype[np.floating]) -> int:
    """Lanes of one vector register."""
    return register_file()[0] // dtype.itemsize


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[np.floating]) -> AnyArray:
    """An uninitialised array that starts on a cache line: unaligned wide loads would touch two lines each."""
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(n_bytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n_bytes].view(dtype).reshape(shape)
