"""Specs check themselves, travel as JSON, and families are found without a list of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import maladist.descriptors
from maladist.descriptors import BispectrumSpec, GaussianSpec, Spec, evaluate, find_family, spec_from_dict
from maladist.errors import AtomsError, InputError
from tests.descriptors.systems import cluster, random_system

SPECS = [
    BispectrumSpec(),
    BispectrumSpec(twojmax=5, cutoff=3.5, rmin0=0.2, switch=False, weights={"Al": 0.5, "Be": 1.0}, quadratic=True),
    BispectrumSpec(twojmax=4, cutoff=3.5, weights={"Al": 0.5, "Be": 1.0}, resolve="elements"),
    GaussianSpec(cutoff=3.0, sigma=0.4),
    GaussianSpec(cutoff=3.0, sigma=0.4, elements=("Be", "Al")),
]

FAMILY = '''
"""A family made of the shared moments: the power spectrum of one radial function per l."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from maladist.descriptors.moments import map_batches, moments, pairs, spherical_harmonics
from maladist.descriptors.spec import Kernel, Request, Spec


@dataclass(frozen=True)
class PowerSpec(Spec):
    family: ClassVar[str] = "power"
    cutoff: float
    l_max: int = 3

    @property
    def n_features(self) -> int:
        return self.l_max + 1

    def kernels(self) -> dict[str, Kernel]:
        return {"torch": self._torch}

    def _torch(self, request: Request) -> torch.Tensor:
        def kernel(points, positions, weights):
            near = pairs(points, positions, weights, self.cutoff)
            fade = near.weights * (1 - (near.distances / self.cutoff) ** 2) ** 2
            radial = [(fade * near.distances**l)[None].to(request.dtype) for l in range(self.l_max + 1)]
            angular = spherical_harmonics(near, self.l_max, request.dtype)
            return torch.cat([m.square().sum(-1) for m in moments(radial, angular)], dim=1)

        return map_batches(request, np.ones(len(request.numbers)), self.cutoff, lambda n_atoms: 400 * n_atoms, kernel)
'''


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_spec_survives_json(spec: Spec) -> None:
    assert spec_from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_spec_can_be_a_key(spec: Spec) -> None:
    assert {spec: 1}[spec_from_dict(spec.to_dict())] == 1


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_n_features_is_what_the_kernels_give(spec: Spec) -> None:
    points, atoms = random_system(np.eye(3) * 5, 6, spec.cutoff, ("Be", "Al"), n_points=3)
    assert evaluate(points, atoms, spec, backend="torch").shape == (3, spec.n_features)


@pytest.fixture
def dropped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of the package that holds one new file."""
    (tmp_path / "power.py").write_text(FAMILY, encoding="utf-8")
    monkeypatch.setattr(maladist.descriptors, "__path__", [*maladist.descriptors.__path__, str(tmp_path)])
    monkeypatch.setattr(Spec, "_families", dict(Spec._families))
    yield
    sys.modules.pop("maladist.descriptors.power", None)


@pytest.mark.usefixtures("dropped_in")
def test_a_new_family_is_one_new_file() -> None:
    spec = spec_from_dict({"family": "power", "cutoff": 4.0, "l_max": 5})
    points, atoms = random_system(np.eye(3) * 5, 8, 4.0)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    values = evaluate(points, atoms, spec, dtype=torch.float64)
    turned = evaluate(points @ turn, cluster(atoms.positions @ turn), spec, dtype=torch.float64)
    assert values.shape == (len(points), 6)
    torch.testing.assert_close(values, turned, rtol=1e-10, atol=1e-10 * float(values.max()))


def test_the_dropped_in_family_is_gone_without_its_file() -> None:
    with pytest.raises(InputError, match=r"one of bispectrum, .*gaussian"):
        find_family("power")


def test_two_families_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="bispectrum"):
        type("Other", (Spec,), {"family": "bispectrum"})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"twojmax": -1}, "twojmax"),
        ({"twojmax": 4.5}, "twojmax"),
        ({"twojmax": 87}, "twojmax"),
        ({"cutoff": 0.0}, "cutoff"),
        ({"cutoff": float("nan")}, "cutoff"),
        ({"rmin0": 4.7}, "rmin0"),
        ({"rmin0": -0.1}, "rmin0"),
        ({"rfac0": 0.0}, "rfac0"),
        ({"weights": {"Xx": 1.0}}, "weights"),
        ({"weights": {"Be": float("inf")}}, "weights"),
        ({"bnorm": 1}, "bnorm"),
    ],
    ids=str,
)
def test_values_out_of_range_are_refused_by_name(values: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        spec_from_dict({"family": "bispectrum"} | values)


@pytest.mark.parametrize("values", [{"sigma": 0.0}, {"cutoff": -1.0}, {"elements": ["Be", "Be"]}, {"elements": ["Q"]}])
def test_gaussians_out_of_range_are_refused_by_name(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        spec_from_dict({"family": "gaussian", "cutoff": 3.0, "sigma": 0.5} | values)


@pytest.mark.parametrize(
    "spec", [BispectrumSpec(weights={"Be": 1.0}), GaussianSpec(cutoff=3.0, sigma=0.5, elements=("Be",))]
)
def test_an_element_that_the_descriptor_does_not_know_is_refused(spec: Spec) -> None:
    with pytest.raises(AtomsError, match="Al"):
        evaluate([[0.0, 0, 0]], cluster([[1.0, 0, 0], [0, 1.0, 0]], ["Be", "Al"]), spec, backend="torch")


def test_several_elements_get_weights_that_tell_them_apart_and_one_keeps_what_it_had() -> None:
    spec = BispectrumSpec(twojmax=4)
    assert spec.for_elements(["Be", "Be"]) == spec
    assert spec.for_elements(["Si", "C", "Si"]).weights == {"C": -1.0, "Si": 1.0}
    given = BispectrumSpec(twojmax=4, weights={"Si": 1.0, "C": -1.0})
    assert given.for_elements(["Si", "C"]) == given
    gaussian = GaussianSpec(cutoff=3.0, sigma=0.4)
    assert gaussian.for_elements(["Be"]) == gaussian
    assert gaussian.for_elements(["Si", "C"]).elements == ("C", "Si")


def test_elements_that_look_alike_are_named() -> None:
    assert BispectrumSpec().indistinct(["Be"]) == ()
    assert BispectrumSpec().indistinct(["Si", "C"]) == ("C", "Si")
    assert BispectrumSpec(weights={"H": 1.0, "C": 2.0, "O": 2.0}).indistinct(["H", "C", "O"]) == ("C", "O")
    assert BispectrumSpec().for_elements(["Si", "C"]).indistinct(["Si", "C"]) == ()
    assert GaussianSpec(cutoff=3.0, sigma=0.4).indistinct(["Si", "C"]) == ("C", "Si")
    assert GaussianSpec(cutoff=3.0, sigma=0.4, elements=("Si", "C")).indistinct(["Si", "C"]) == ()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (BispectrumSpec(weights={"Si": 14.0}), "weights: none for C"),
        (GaussianSpec(cutoff=3.0, sigma=0.4, elements=("Si",)), "elements: none for C"),
    ],
)
def test_elements_that_are_left_out_where_others_are_named_are_refused(spec: Spec, words: str) -> None:
    with pytest.raises(InputError, match=words):
        spec.for_elements(["Si", "C"])
