"""Triton's kernels against torch's own operations: on a GPU where there is one, else by Triton's interpreter."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from maladist.descriptors import BispectrumSpec, adjoint, evaluate
from maladist.descriptors.bispectrum import torch_kernel
from tests.descriptors.systems import SKEWED, random_system, relative_error

pytestmark = pytest.mark.triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def _fused(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("no triton")
    monkeypatch.setattr(torch_kernel, "has_fused", lambda _: True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("twojmax", [0, 1, 2, 5, *(pytest.param(n, marks=pytest.mark.slow) for n in (8, 10))])
def test_descriptors_and_their_adjoint_are_those_of_torchs_operations(twojmax: int, dtype: torch.dtype) -> None:
    points, atoms = random_system(SKEWED, 3, 4.0, n_points=7)
    spec = BispectrumSpec(twojmax=twojmax, cutoff=4.0)
    c = np.random.default_rng(0).normal(size=(len(points), spec.n_features))
    got = evaluate(points, atoms, spec, backend="torch", device=DEVICE, dtype=dtype)
    pulled = adjoint(points, atoms, spec, c, backend="torch", device=DEVICE, dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_kernel, "has_fused", lambda _: False)
        expected = evaluate(points, atoms, spec, backend="torch", dtype=torch.float64)
        back = adjoint(points, atoms, spec, c, backend="torch", dtype=torch.float64)
    bound = 1e-5 if dtype is torch.float32 else 1e-12
    assert relative_error(got.cpu(), expected) < bound
    assert relative_error(torch.from_numpy(pulled.gradient), back.gradient) < bound
    assert relative_error(torch.from_numpy(pulled.virial), back.virial) < bound
