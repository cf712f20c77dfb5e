"""One door: what it takes, what it refuses, and that batches cannot be seen from outside."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maladist.descriptors import BispectrumSpec, GaussianSpec, Spec, evaluate
from maladist.errors import AtomsError, GridError, InputError
from maladist.neighbors import LocalAtoms
from tests.descriptors.systems import cluster, random_system
from tests.fake_cuda import fake_cuda

SPECS = [BispectrumSpec(twojmax=4, cutoff=3.0), GaussianSpec(cutoff=3.0, sigma=0.5)]
ATOMS = cluster([[1.0, 0, 0], [0, 1.2, 0]])


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_result_has_the_dtype_that_was_asked_for(spec: Spec, dtype: torch.dtype) -> None:
    assert evaluate([[0.0, 0, 0]], ATOMS, spec, dtype=dtype, threads=1).dtype == dtype


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_arrays_lists_and_tensors_of_points_give_the_same(spec: Spec) -> None:
    points = np.random.default_rng(0).normal(size=(4, 3))
    first, *others = (
        evaluate(p, ATOMS, spec, dtype=torch.float64, threads=1)
        for p in (points, torch.tensor(points), points.tolist())
    )
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_no_points_give_no_rows(spec: Spec) -> None:
    assert evaluate(np.empty((0, 3)), ATOMS, spec, backend="torch").shape == (0, spec.n_features)


@pytest.mark.parametrize(
    ("points", "named"),
    [
        (np.zeros(3), "shape"),
        (np.zeros((2, 4)), "shape"),
        ([[0.0, float("nan"), 0.0]], "NaN"),
        ([[0.0, 0.0, float("inf")]], "infinite"),
        (np.zeros((1, 3), dtype=complex), "complex"),
    ],
)
def test_points_that_are_none_are_refused(points: object, named: str) -> None:
    with pytest.raises(GridError, match=f"points.*{named}"):
        evaluate(points, ATOMS, SPECS[0])  # type: ignore[arg-type]


def test_positions_that_are_not_finite_are_refused() -> None:
    with pytest.raises(AtomsError, match=r"positions.*NaN"):
        evaluate([[0.0, 0, 0]], cluster([[0.0, 0, float("nan")]]), SPECS[0])


def test_a_tensor_of_positions_must_be_of_as_many_atoms() -> None:
    with pytest.raises(AtomsError, match=r"positions.*\(2, 3\)"):
        evaluate([[0.0, 0, 0]], ATOMS, SPECS[0], positions=torch.zeros(3, 3))


@pytest.mark.parametrize("backend", ["gpu", "numba", ""])
def test_an_unknown_backend_is_refused_with_those_that_there_are(backend: str) -> None:
    with pytest.raises(InputError, match=r"backend.*one of .*lammps, torch"):
        evaluate([[0.0, 0, 0]], ATOMS, SPECS[0], backend=backend)


def test_a_backend_that_the_family_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="'lammps' for gaussian"):
        evaluate([[0.0, 0, 0]], ATOMS, SPECS[1], backend="lammps")


def test_a_gradient_is_refused_where_the_backend_has_none_and_auto_avoids_it() -> None:
    positions = torch.tensor(ATOMS.positions, requires_grad=True)
    with pytest.raises(InputError, match="gradient"):
        evaluate([[0.0, 0, 0]], ATOMS, SPECS[0], backend="lammps", positions=positions)
    assert evaluate([[0.0, 0, 0]], ATOMS, SPECS[0], positions=positions).requires_grad


def test_half_precision_is_refused() -> None:
    with pytest.raises(InputError, match="float16"):
        evaluate([[0.0, 0, 0]], ATOMS, SPECS[0], dtype=torch.float16)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_positions_far_from_the_origin_lose_no_digits_in_float32(spec: Spec) -> None:
    """An atom a kilometre of ångströms away from the origin: float32 alone would round its position to 1e-4 Å."""
    points, atoms = random_system(np.eye(3) * 5, 8, 3.0)
    far = LocalAtoms(atoms.positions + 1024.0, atoms.numbers, atoms.indices)
    near = evaluate(points, atoms, spec, threads=1)
    error = (evaluate(points + 1024.0, far, spec, threads=1) - near).abs().amax(0) / near.abs().amax(0)
    assert error.max() < 5e-6  # rounding of float32 sums of ~20 neighbours


SPECS_ON_GPU = [
    BispectrumSpec(twojmax=5, rmin0=0.3),
    BispectrumSpec(twojmax=4, quadratic=True, switch=False, weights={"Be": 1.0, "Al": 0.5}),
    BispectrumSpec(twojmax=4, weights={"Be": 1.0, "Al": 0.5}, resolve="elements"),
    GaussianSpec(cutoff=3.0, sigma=0.5, elements=("Be", "Al")),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("spec", SPECS_ON_GPU, ids=str)
def test_no_line_mixes_devices_on_a_gpu(spec: Spec, dtype: torch.dtype) -> None:
    points, atoms = random_system(np.eye(3) * 6, 10, spec.cutoff, ("Be", "Al"), n_points=300)
    with fake_cuda() as cuda:
        values = evaluate(points, atoms, spec, device=cuda, dtype=dtype)
        assert values.shape == (300, spec.n_features)
        assert values.device == cuda
        assert values.dtype == dtype


def test_the_fake_gpu_does_notice_a_mixed_line() -> None:
    with fake_cuda() as cuda, pytest.raises(RuntimeError, match="two devices"):
        torch.zeros(3, 3, device=cuda)[0] + torch.ones(3)


@pytest.mark.parametrize(
    "index",
    [0, (0, 1), slice(1, 2), (..., 0), (None, 0), (slice(None), None), (..., None, 2), ([0, 1], [1, 2]), (0, ..., 1)],
    ids=str,
)
def test_the_fake_gpu_indexes_as_torch_does(index: object) -> None:
    from tests.fake_cuda import _getitem

    x = torch.arange(24.0).reshape(2, 3, 4)
    assert torch.equal(_getitem(x, index), x[index])  # type: ignore[index]
