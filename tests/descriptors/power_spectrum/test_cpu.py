"""The compiled power spectrum: the same bits for any block, thread and width; its numbers: test_torch_kernel.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from maladist.descriptors import PowerSpectrumSpec, evaluate
from maladist.descriptors.power_spectrum import cpu as power_spectrum_cpu
from maladist.neighbors import LocalAtoms
from tests.descriptors.power_spectrum.reference import SINGLE, SMALL
from tests.descriptors.systems import SKEWED, assert_compiled_once, cell_with_grid, random_system, relative_error

Array = npt.NDArray[np.float64]

F64, F32 = torch.float64, torch.float32


@pytest.mark.parametrize("dtype", [F32, F64])
def test_the_same_bits_for_one_block_and_for_many_and_any_number_of_threads(dtype: torch.dtype) -> None:
    cells, grid = cell_with_grid(SMALL.cutoff)

    def values(points: Array, seen: LocalAtoms, threads: int = 1) -> torch.Tensor:
        return evaluate(points, seen, SMALL, backend="cpu", dtype=dtype, threads=threads)

    seen = cells.near_block(grid, grid.whole)
    whole = values(grid.points(), seen)
    for block in grid.blocks((4, 7, 3)):
        part = values(grid.points(block), cells.near_block(grid, block))
        assert torch.equal(part.reshape(*block.shape, -1), whole.reshape(9, 10, 11, -1)[block.slices])
    some = np.random.default_rng(1).permutation(grid.n_points)[:37]
    assert torch.equal(values(grid.points()[some], seen), whole[some])
    for threads in (2, 50):
        assert torch.equal(values(grid.points(), seen, threads), whole)


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_every_width_of_vectors_gives_the_same(lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on processors with other registers; operations are the same in every lane, so the bits are too."""
    points, atoms = random_system(SKEWED, 3, 3.5)
    spec = PowerSpectrumSpec(3.5, (2, 1))
    expected = evaluate(points, atoms, spec, backend="cpu", dtype=F64)
    monkeypatch.setattr(power_spectrum_cpu, "lanes_of", lambda _: lanes)
    assert torch.equal(evaluate(points, atoms, spec, backend="cpu", dtype=F64), expected)


def test_far_from_the_origin_nothing_is_lost() -> None:
    """Differences are taken in float64: at 10⁴ Å those are still good to 1e-12 Å."""
    points, atoms = random_system(SKEWED, 3, 3.5)
    far = np.array([1e4, -2e4, 3e4])
    moved = evaluate(points + far, LocalAtoms(atoms.positions + far, atoms.numbers), SMALL, backend="cpu", dtype=F32)
    assert relative_error(moved, evaluate(points, atoms, SMALL, backend="cpu", dtype=F64)) < SINGLE


START = """
import time, numpy as np
from maladist.descriptors import PowerSpectrumSpec
from maladist.descriptors.power_spectrum.cpu import code_version, encode, lanes_of, power_spectrum_cpu, tile_kernel
began, spec = time.process_time(), PowerSpectrumSpec(radial=(2, 1))
for name in ("f4", "f8"):
    power_spectrum_cpu(np.zeros((1, 3)), np.ones((1, 3)), spec, np.dtype(name), 1)
stats = [tile_kernel(encode(spec.radial), lanes_of(np.dtype(name)), code_version()).stats for name in ("f4", "f8")]
print(sum(sum(s.cache_misses.values()) for s in stats), time.process_time() - began)
"""


@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    assert_compiled_once(START, tmp_path)
