"""A model written as MALA's zip gives the same LDOS, read back here and loaded by MALA; what MALA lacks is refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms

from maladist import BispectrumSpec, Element, EnergyGrid, GaussianSpec, Grid, LDOSModel, PowerSpectrumSpec
from maladist.errors import ModelError
from maladist.io.mala.model import import_mala
from maladist.io.mala.model_zip import model_zip
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Moments, Scaler
from maladist.testing import be_atoms, tiny_model
from tests.io.mala.writing import points

ATOMS = be_atoms()
GRID = Grid(ATOMS.cell.array.tolist(), (12, 10, 18))
FEATURES = 5  # of twojmax 2


def model_of(sizes: list[int] | None = None, activations: Any = ("Tanh",), **parts: Any) -> LDOSModel:
    torch.manual_seed(3)
    model = tiny_model(twojmax=2, levels=7)
    network = FeedForward(sizes or [FEATURES, 6, 7], activations).eval()
    return replace(model, **{"network": network, "restrict": "none"} | parts)


def written(model: LDOSModel, folder: Path) -> Path:
    path = folder / "Be.zip"
    path.write_bytes(model_zip(model, ATOMS, GRID, "Be"))
    return path


@pytest.fixture
def again(tmp_path: Path) -> Callable[[LDOSModel], LDOSModel]:
    return lambda model: import_mala(written(model, tmp_path))


@pytest.mark.parametrize("wise", [False, True])
@pytest.mark.parametrize("kind", ["none", "standard"])
def test_what_mala_has_comes_back_to_the_bit(kind: Any, wise: bool, again: Callable[[LDOSModel], LDOSModel]) -> None:
    inputs = Scaler.fit(Moments.of(points(50)), kind, feature_wise=wise)
    outputs = Scaler.fit(Moments.of(points(50, 7, seed=1)), kind, feature_wise=wise)
    for restrict in ("none", "zero_out_negative", "absolute_values"):
        model = model_of(input_scaler=inputs, output_scaler=outputs, restrict=restrict)
        assert torch.equal(again(model).ldos(points(20)), model.ldos(points(20)))


@pytest.mark.parametrize("wise", [False, True])
def test_minmax_comes_back_to_rounding(wise: bool, again: Callable[[LDOSModel], LDOSModel]) -> None:
    """MALA keeps the largest value, and not the difference."""
    model = model_of(input_scaler=Scaler.fit(Moments.of(points(50)), "minmax", feature_wise=wise))
    torch.testing.assert_close(again(model).ldos(points(20)), model.ldos(points(20)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["standard", "minmax", "whiten"])
def test_a_whitening_and_features_that_never_vary_go_into_the_first_layer(
    kind: Any, again: Callable[[LDOSModel], LDOSModel]
) -> None:
    seen = points(50) @ torch.randn(FEATURES, FEATURES, generator=torch.Generator().manual_seed(1))
    seen[:, 1] = 3.0
    model = model_of(input_scaler=Scaler.fit(Moments.of(seen, cross=True), kind, feature_wise=True))
    x = points(20)  # of which feature 1 does vary
    torch.testing.assert_close(again(model).ldos(x), model.ldos(x), rtol=2e-6, atol=2e-6)
    assert again(model).input_scaler.scale.min() > 0  # MALA divides by it


@pytest.mark.parametrize(
    "activations", [[], ["PReLU", None, "SiLU"], [None, "Softmax"], ["Identity", "ReLU"], ["GELU"] * 3]
)
def test_every_place_of_an_activation(activations: Any, again: Callable[[LDOSModel], LDOSModel]) -> None:
    model = model_of([FEATURES, 6, 4, 7], activations)
    assert torch.equal(again(model).ldos(points(20)), model.ldos(points(20)))


def test_all_else_that_the_zip_tells_comes_back(again: Callable[[LDOSModel], LDOSModel]) -> None:
    model = model_of(assume_isolated="2D")
    back = again(model)
    for what in ("descriptor", "restrict", "temperature", "assume_isolated"):
        assert getattr(back, what) == getattr(model, what), what
    assert np.array_equal(back.energy_grid.values, model.energy_grid.values)
    assert back.density_cutoff == pytest.approx(model.density_cutoff)
    assert back.spacing == pytest.approx(GRID.spacing)
    assert back.elements["Be"].valence == 2.0 and back.provenance["pseudopotentials"] == {"Be": "Be.made-up"}


def test_descriptors_come_back(again: Callable[[LDOSModel], LDOSModel]) -> None:
    gaussian = GaussianSpec(cutoff=4.0, sigma=0.3)
    model = model_of([1, 6, 7], descriptor=gaussian, input_scaler=Scaler())
    assert again(model).descriptor == gaussian
    sharp = BispectrumSpec(twojmax=2, cutoff=4.1, switch=False, weights={"Be": 1.0})
    assert again(model_of(descriptor=sharp)).descriptor == sharp


def test_element_weights_go_in_the_order_of_the_symbols(tmp_path: Path) -> None:
    atoms = Atoms(["O", "Be"], ATOMS.positions, cell=ATOMS.cell, pbc=True)
    weighted = BispectrumSpec(twojmax=2, cutoff=3.5, weights={"O": -0.5, "Be": 1.0})
    elements = {"Be": Element("Be", 2.0), "O": Element("O", 6.0)}
    path = tmp_path / "BeO.zip"
    path.write_bytes(model_zip(model_of(descriptor=weighted, elements=elements), atoms, GRID, "BeO"))
    back = import_mala(path)
    assert back.descriptor == weighted and back.electrons_per_atom == 4.0
    gaussian = model_of([1, 6, 7], descriptor=GaussianSpec(cutoff=4.0, sigma=0.3), input_scaler=Scaler())
    with pytest.raises(ModelError, match="Be, O"):
        model_zip(gaussian, atoms, GRID, "BeO")


def test_equal_models_give_equal_bytes_and_scalers_are_no_pickles(tmp_path: Path) -> None:
    path = written(model_of(), tmp_path)
    assert path.read_bytes() == model_zip(model_of(), ATOMS, GRID, "Be")
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == [
            f"Be.{one}" for one in ("info.json", "iscaler.json", "network.pth", "oscaler.json", "params.json")
        ]
        assert json.loads(archive.read("Be.info.json"))["ibrav"] == 0


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        ({"network": FeedForward([FEATURES, 6, 6, 7], residual=True)}, "residual"),
        ({"energy_grid": EnergyGrid.of_parts([(-30.0, 0.5, 3), (-5.0, 1.0, 4)])}, "-30"),
        (
            {"output_scaler": Scaler.fit(Moments.of(points(50, 7), cross=True), "whiten", feature_wise=True)},
            "output scaler",
        ),
        ({"descriptor": BispectrumSpec(twojmax=2, cutoff=3.5, rmin0=0.1)}, "rmin0 0.1"),
        ({"descriptor": BispectrumSpec(twojmax=2, cutoff=3.5, rfac0=0.9)}, "rfac0 0.9"),
        (
            {"descriptor": BispectrumSpec(twojmax=2, cutoff=3.5, weights={"Be": 1.0}, resolve="elements")},
            "resolve 'elements'",
        ),
        ({"descriptor": BispectrumSpec(twojmax=2, cutoff=3.5, weights={"Be": 0.5})}, "0.5"),
    ],
)
def test_what_mala_does_not_have_is_refused_by_name(parts: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelError, match=match):
        model_zip(model_of(**parts), ATOMS, GRID, "Be")


def test_other_descriptors_are_refused_by_name() -> None:
    quadratic = BispectrumSpec(twojmax=2, cutoff=3.5, quadratic=True)
    for spec, match in ((quadratic, "quadratic True"), (PowerSpectrumSpec(cutoff=3.5), "power_spectrum")):
        model = model_of([spec.n_features, 6, 7], descriptor=spec, input_scaler=Scaler())
        with pytest.raises(ModelError, match=match):
            model_zip(model, ATOMS, GRID, "Be")
