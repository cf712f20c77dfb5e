"""Models of MALA are read for every scaling and activation that they know, as they meant them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maladist.descriptors import BispectrumSpec, GaussianSpec
from maladist.elements import Element
from maladist.errors import ModelError
from maladist.io.mala.model import import_mala
from maladist.io.model_file import load_model, save_model
from maladist.io.qe.upf import read_pseudopotentials
from maladist.learning.network import ACTIVATIONS
from maladist.units import RYDBERG
from tests.io.mala.writing import (
    FEATURES,
    LEVELS,
    TWOJMAX,
    DataScaler,
    dumped,
    information,
    mala_layers,
    parameters,
    points,
    run,
    scaled,
    scaler_of,
)

KINDS = ["None", "standard", "normal", "minmax", "feature-wise-standard", "feature-wise-normal", "feature-wise-minmax"]


@pytest.mark.parametrize("output", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_scaling_of_input_and_output(kind: str, output: str, write: Callable[..., Path]) -> None:
    x, seen, targets = points(20), points(50, seed=1), points(50, LEVELS, seed=2) / 10
    layers = mala_layers([FEATURES, 6, LEVELS], ["ReLU", None])
    old, new = "scale_normal", "scale_minmax"
    model = import_mala(
        write(
            layers=layers,
            iscaler_pkl=dumped(scaler_of(kind, seen, new if "minmax" in kind else old)),
            oscaler_pkl=dumped(scaler_of(output, targets, new if "minmax" in output else old)),
        )
    )
    expected = scaled(output, run(layers, scaled(kind, x, seen)), targets, back=True)
    # float32 through two layers: a few ulp of the values before they cancel, which are of order 1 to 10.
    torch.testing.assert_close(model.ldos(x), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("kind", ["None", "standard", "feature-wise-minmax"])
def test_scalers_as_json(kind: str, write: Callable[..., Path]) -> None:
    seen, x = points(50, seed=1), points(20)
    state = vars(scaler_of(kind, seen, "scale_minmax"))
    text = json.dumps({k: v.tolist() if torch.is_tensor(v) else v for k, v in state.items()}).encode()
    layers = mala_layers([FEATURES, 6, LEVELS], ["ReLU", None])
    model = import_mala(write(layers=layers, iscaler_pkl=None, iscaler_json=text))
    torch.testing.assert_close(model.ldos(x), run(layers, scaled(kind, x, seen)), rtol=2e-6, atol=2e-6)


def test_a_zip_that_mala_1_4_has_opened_holds_each_scaler_twice(write: Callable[..., Path]) -> None:
    """MALA 1.4 writes a JSON beside the pickle of a scaler that it reads; the JSON is taken."""
    seen, x = points(50, seed=1), points(20)
    state = vars(scaler_of("standard", seen, "scale_minmax"))
    text = json.dumps({k: v.tolist() if torch.is_tensor(v) else v for k, v in state.items()}).encode()
    layers = mala_layers([FEATURES, 6, LEVELS], ["ReLU", None])
    model = import_mala(write(layers=layers, iscaler_json=text))
    torch.testing.assert_close(model.ldos(x), run(layers, scaled("standard", x, seen)), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name: str, write: Callable[..., Path]) -> None:
    layers = mala_layers([FEATURES, 6, 6, LEVELS], [name, name, None])
    network = {"layer_sizes": [FEATURES, 6, 6, LEVELS], "layer_activations": [name, name]}
    model = import_mala(write(parameters(network=network), layers))
    torch.testing.assert_close(model.ldos(points(20)), run(layers, points(20)), rtol=1e-6, atol=1e-6)


FLAG = "layer_activations_include_output_layer"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"layer_activations": ["Tanh"], FLAG: True}, ["Tanh", None, None]),
        ({"layer_activations": ["Tanh", "ReLU"], FLAG: False}, ["Tanh", "ReLU", None]),
        ({"layer_activations": [None, "ReLU", "SiLU"], FLAG: True}, [None, "ReLU", "SiLU"]),
        ({"layer_activations": ["Tanh", "ReLU", "SiLU"], FLAG: False}, ["Tanh", "ReLU", None]),
        ({"layer_activations": ["Tanh", "ReLU", "SiLU", "GELU"], FLAG: True}, ["Tanh", "ReLU", "SiLU"]),
        ({"layer_activations": "Tanh", FLAG: False}, ["Tanh", "Tanh", None]),
        ({"layer_activations": "Tanh", FLAG: True}, ["Tanh", "Tanh", "Tanh"]),
        # Before the flag a list of one stood for all layers; then the linear layers are numbered 0, 2, 4, ...
        ({"layer_activations": ["Tanh"]}, ["Tanh", "Tanh", "Tanh"]),
        # ... and 0, 2, 3 where it does not.
        ({"layer_activations": ["Tanh"]}, ["Tanh", None, None]),
    ],
)
def test_lists_of_activations_mean_what_mala_meant(
    given: dict[str, Any], meant: list[str | None], write: Callable[..., Path]
) -> None:
    sizes = [FEATURES, 6, 6, LEVELS]
    layers = mala_layers(sizes, meant)
    model = import_mala(write(parameters(network={"layer_sizes": sizes} | given), layers))
    assert list(model.network.activation_names) == meant
    torch.testing.assert_close(model.ldos(points(20)), run(layers, points(20)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("value", "act"),
    [("zero_out_negative", lambda d: d.clamp(min=0)), ("absolute_values", torch.abs), (None, lambda d: d)],
)
def test_restriction_of_targets(
    value: str | None, act: Callable[..., torch.Tensor], write: Callable[..., Path]
) -> None:
    layers = mala_layers([FEATURES, 6, LEVELS], ["ReLU", None])
    plain = run(layers, points(50))
    assert (plain < 0).any()
    model = import_mala(write(parameters(targets={"restrict_targets": value}), layers))
    torch.testing.assert_close(model.ldos(points(50)), act(plain), rtol=1e-6, atol=1e-6)


def test_everything_else_that_the_zip_tells(write: Callable[..., Path]) -> None:
    model = import_mala(write())
    assert model.descriptor == BispectrumSpec(twojmax=TWOJMAX, cutoff=3.5, switch=True)
    np.testing.assert_allclose(model.energy_grid.values, [-5, -2.5, 0])
    assert (model.energy_grid.kernel, model.temperature, model.xc) == ("unknown", 298.0, None)
    assert model.spacing == pytest.approx((0.2, 0.3, 0.5))
    assert model.density_cutoff == pytest.approx(160 * RYDBERG)
    assert model.electrons_per_atom == model.elements["Be"].valence == 2.0
    assert not model.elements["Be"].has_pseudopotential
    assert model.provenance["source"] == "MALA"
    assert model.provenance["pseudopotentials"] == {"Be": "Be.UPF"}


def test_descriptors_of_other_versions_and_kinds(write: Callable[..., Path]) -> None:
    old = {"descriptor_type": "SNAP", "twojmax": TWOJMAX, "rcutfac": 4.0}
    model = import_mala(write(parameters() | {"descriptors": old}))
    assert model.descriptor == BispectrumSpec(twojmax=TWOJMAX, cutoff=4.0, switch=False)
    layers = mala_layers([1, 6, LEVELS], ["ReLU", None])
    density = {"descriptor_type": "AtomicDensity", "atomic_density_cutoff": 4.0, "atomic_density_sigma": 0.3}
    params = parameters(network={"layer_sizes": [1, 6, LEVELS]}, descriptors=density)
    model = import_mala(write(params, layers))
    assert isinstance(model.descriptor, GaussianSpec)
    assert (model.descriptor.cutoff, model.descriptor.sigma) == (4.0, 0.3)
    params = parameters(network={"layer_sizes": [1, 6, LEVELS]}, descriptors=density | {"atomic_density_sigma": None})
    sigma = import_mala(write(params, layers)).descriptor.sigma  # type: ignore[attr-defined]
    assert sigma == pytest.approx(0.2 * 0.4 / 0.08099, rel=1e-6)


def test_element_weights_go_to_symbols_in_alphabetical_order_and_up_to_1(write: Callable[..., Path]) -> None:
    params = parameters(descriptors={"bispectrum_element_weights": [0.25, 0.5]})
    model = import_mala(write(params, info=information([8, 8, 4], 14.0, pseudopotentials={})))
    assert model.descriptor.weights == {"Be": 0.5, "O": 1.0}  # type: ignore[attr-defined]
    assert [model.elements[s].valence for s in ("Be", "O")] == [None, None]
    with pytest.raises(ModelError, match="2 element weights"):
        import_mala(write(params))


def test_an_energy_grid_in_parts_is_one_where_they_join_and_keeps_their_gaps(write: Callable[..., Path]) -> None:
    names = ("ldos_gridoffset_ev", "ldos_gridspacing_ev", "ldos_gridsize")
    joined = dict(zip(names, ([-1.0, 0.0], [0.5, 0.5], [2, 1]), strict=True))
    model = import_mala(write(parameters(targets=joined)))
    np.testing.assert_allclose(model.energy_grid.values, [-1.0, -0.5, 0.0])
    assert not model.energy_grid.further
    with pytest.raises(ModelError, match="2 levels or more in each"):
        import_mala(write(parameters(targets=joined | {"ldos_gridoffset_ev": [-1.0, 7.0]})))


def test_pseudopotentials_are_taken_over_and_must_have_the_electrons_of_the_training_data(
    write: Callable[..., Path],
) -> None:
    be, o = Element("Be", 2.0, "Be.UPF", xc="pbe"), Element("O", 6.0, "O.UPF", xc="pbe")
    model = import_mala(write(), {"Be": be, "O": o})
    assert (set(model.elements), model.elements["Be"], model.xc) == ({"Be"}, be, "pbe")
    with pytest.raises(ModelError, match="4 valence electrons for Be"):
        import_mala(write(), {"Be": Element("Be", 4.0, "Be_sv.UPF")})
    mixed = information([8, 4], 8.0)
    assert import_mala(write(info=mixed), {"Be": be, "O": o}).elements["O"] is o
    with pytest.raises(ModelError, match="10 valence electrons for the 8"):
        import_mala(write(info=mixed), {"Be": Element("Be", 4.0, "Be_sv.UPF"), "O": o})


def test_without_info_the_elements_are_those_of_the_pseudopotentials_or_not_known(write: Callable[..., Path]) -> None:
    model = import_mala(write(info_json=None))
    assert not model.elements
    assert (model.temperature, model.spacing, model.density_cutoff, model.electrons_per_atom) == (None,) * 4
    assert set(import_mala(write(info_json=None), {"Be": Element("Be", 2.0, "Be.UPF")}).elements) == {"Be"}


def test_an_imported_model_survives_saving_bit_for_bit(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write()
    model = load_model(path)  # the zip taken directly
    again = load_model(save_model(model, tmp_path / "x.maladist"))
    assert torch.equal(again.ldos(points(100)), model.ldos(points(100)))


@pytest.mark.parametrize(
    ("params", "match"),
    [
        *[(parameters(network={"nn_type": kind}), kind) for kind in ("transformer", "lstm", "gru")],
        (parameters(network={"layer_activations": ["Conv2d"]}), "Conv2d"),
        (parameters(network={"layer_activations": ["ReLU", "PReLU"], FLAG: True}), "weights named"),
        (parameters(network={"layer_sizes": [FEATURES, 7, LEVELS]}), "size mismatch"),
        (parameters(network={"layer_sizes": "many"}), "layers"),
        (parameters(network={"layer_sizes": None}), "cannot be read"),
        (parameters(descriptors={"bispectrum_twojmax": 4}), "features of the descriptor"),
        (parameters(descriptors={"descriptor_type": "ACE"}), "ACE"),
        (parameters(targets={"target_type": "DOS"}), "DOS"),
        (parameters(targets={"ldos_gridsize": 9}), "levels of the energy grid"),
        (parameters(targets={"ldos_gridspacing_ev": 0}), "positive spacing"),
        ({}, "network"),
    ],
)
def test_what_makes_no_model_is_refused_in_one_line(
    params: dict[str, Any], match: str, write: Callable[..., Path]
) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        import_mala(write(params))
    assert "\n" not in str(caught.value)


def test_a_scaler_that_was_never_fitted_or_has_gone_wrong_is_refused(write: Callable[..., Path]) -> None:
    content = dumped(scaler_of("standard", points(1).fill_(torch.nan)))
    with pytest.raises(ModelError, match="not finite"):
        import_mala(write(iscaler_pkl=content))
    scaler = DataScaler()
    scaler.__dict__.update(scale_standard=True, scale_minmax=False, feature_wise=False, cantransform=False)
    content = dumped(scaler)
    with pytest.raises(ModelError, match="never fitted"):
        import_mala(write(iscaler_pkl=content))


@pytest.mark.parametrize("name", ["snapshot0", "snapshot1"])
def test_the_be2_model_predicts_what_mala_predicts(shared_data: Path, name: str) -> None:
    folder = shared_data / "be2"
    figures = json.loads((folder / "reference.json").read_text())[name]["predicted_by_Be_model"]
    model = import_mala(folder / "Be_model.zip")
    stored = np.load(folder / f"Be_{name}.in.npy")[..., 3:].reshape(-1, 91)
    target = np.load(folder / f"Be_{name}.out.npy").reshape(-1, 11)
    for dtype in (torch.float32, torch.float64):
        ldos = model.to(dtype=dtype).ldos(torch.from_numpy(stored)).double().numpy()
        # MALA's own figures are of float32, at 3 significant digits more than asked for here.
        assert ldos.sum() == pytest.approx(figures["ldos_sum"], rel=1e-6)
        assert np.abs(ldos - target).mean() == pytest.approx(figures["ldos_mean_abs_error"], rel=1e-6)
        assert np.sqrt(((ldos - target) ** 2).mean()) == pytest.approx(figures["ldos_rms_error"], rel=1e-6)
        voxel = np.prod(model.spacing) * np.sqrt(3) / 2  # a hexagonal cell
        np.testing.assert_allclose(ldos.sum(0) * voxel, figures["dos_per_eV"], rtol=1e-6)


def test_the_be2_model_with_its_pseudopotential_is_complete(shared_data: Path) -> None:
    folder = shared_data / "be2"
    model = import_mala(folder / "Be_model.zip", read_pseudopotentials(folder))
    be = model.elements["Be"]
    assert (model.xc, be.valence, be.has_pseudopotential) == ("pbe", 2.0, True)
    assert be.core_density is not None
    assert model.density_cutoff == pytest.approx(160 * RYDBERG)
    assert model.spacing == pytest.approx((2.2598 / 18, 2.2598 / 18, 3.5699 / 27), rel=1e-4)
    assert model.descriptor == BispectrumSpec(twojmax=10, cutoff=4.67637)
