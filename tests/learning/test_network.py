"""The network computes what its configuration says, and is rebuilt from it exactly."""

from __future__ import annotations

import pytest
import torch

from maladist.errors import ModelError
from maladist.learning.network import ACTIVATIONS, FeedForward

X = torch.randn(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def made(*args: object, **kwargs: object) -> FeedForward:
    torch.manual_seed(0)
    return FeedForward(*args, **kwargs).double().eval()  # type: ignore[arg-type]


def layer(network: FeedForward, i: int, x: torch.Tensor) -> torch.Tensor:
    return x @ network.linear[i].weight.T + network.linear[i].bias


def test_layers_are_affine_maps_with_their_own_activations() -> None:
    network = made((3, 5, 4, 2), ["Tanh", "ReLU", "Sigmoid"])
    expected = torch.sigmoid(layer(network, 2, layer(network, 1, torch.tanh(layer(network, 0, X))).clamp(min=0)))
    torch.testing.assert_close(network(X), expected)


def test_a_list_shorter_than_the_layers_leaves_the_rest_linear() -> None:
    network = made((3, 5, 4, 2), ["Tanh"])
    torch.testing.assert_close(network(X), layer(network, 2, layer(network, 1, torch.tanh(layer(network, 0, X)))))


def test_none_in_the_list_is_a_linear_layer() -> None:
    network = made((3, 5, 4, 2), [None, "Tanh"])
    torch.testing.assert_close(network(X), layer(network, 2, torch.tanh(layer(network, 1, layer(network, 0, X)))))


def test_one_name_stands_after_every_layer_but_the_last() -> None:
    network = made((3, 5, 4, 2), "Tanh")
    hidden = torch.tanh(layer(network, 1, torch.tanh(layer(network, 0, X))))
    torch.testing.assert_close(network(X), layer(network, 2, hidden))


def test_residual_adds_the_input_of_layers_as_wide_as_their_output() -> None:
    network = made((3, 5, 5, 2), "Tanh", residual=True)
    first = torch.tanh(layer(network, 0, X))
    torch.testing.assert_close(network(X), layer(network, 2, first + torch.tanh(layer(network, 1, first))))


def test_dropout_acts_while_training_and_never_on_the_output() -> None:
    network = made((3, 50, 2), "ReLU", dropout=0.5)
    still = network(X)
    torch.testing.assert_close(network(X), still, rtol=0, atol=0)
    network.train()
    assert not torch.equal(network(X), still)
    straight = made((3, 200), [None], dropout=0.5).train()
    assert (straight(X) != 0).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_torchs_own_and_keeps_the_features(name: str) -> None:
    network = made((3, 4, 2), [name])
    cls = getattr(torch.nn, name)
    direct = cls(dim=-1) if name in ("Softmax", "Softmin", "LogSoftmax") else cls()
    expected = layer(network, 1, direct.double().eval()(layer(network, 0, X)))
    torch.testing.assert_close(network(X), expected)


@pytest.mark.parametrize("options", [{}, {"residual": True, "dropout": 0.25}])
def test_configuration_and_weights_rebuild_the_network_bit_for_bit(options: dict[str, object]) -> None:
    network = made((3, 5, 5, 2), ["PReLU", "SiLU"], **options)
    again = FeedForward.from_config(network.config(), network.state_dict())
    assert again.config() == network.config()
    assert torch.equal(again.eval()(X), network(X))


def test_rebuilding_leaves_the_random_numbers_alone() -> None:
    network = made((3, 5, 2))
    before = torch.get_rng_state()
    FeedForward.from_config(network.config(), network.state_dict())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_configuration_that_lies_about_its_sizes_is_refused_before_memory_is_taken() -> None:
    network = made((3, 5, 2))
    config = network.config() | {"layer_sizes": [3, 10**9, 10**9]}
    with pytest.raises(ModelError, match="size mismatch") as caught:
        FeedForward.from_config(config, network.state_dict())
    assert "\n" not in str(caught.value)


def test_weights_missing_or_not_finite_are_refused() -> None:
    network = made((3, 5, 2))
    weights = network.state_dict()
    with pytest.raises(ModelError, match=r"linear\.1\.bias"):
        FeedForward.from_config(network.config(), {k: v for k, v in weights.items() if k != "linear.1.bias"})
    with pytest.raises(ModelError, match="not finite"):
        FeedForward.from_config(network.config(), weights | {"linear.1.bias": torch.tensor([0.0, torch.nan])})
    with pytest.raises(ModelError, match="several types"):
        FeedForward.from_config(network.config(), weights | {"linear.1.bias": torch.zeros(2)})


@pytest.mark.parametrize(
    ("args", "options", "match"),
    [
        (((3,),), {}, "layer_sizes"),
        (((3, 0, 2),), {}, "layer_sizes"),
        (((3, 2.5, 2),), {}, "layer_sizes"),
        (((3, 4, 2), ["ReLU"] * 3), {}, "3 for 2 layers"),
        (((3, 4, 2), ["Conv2d"]), {}, "Conv2d"),
        (((3, 4, 2), ["__init__"]), {}, "activation"),
        (((3, 4, 2),), {"dropout": 1.0}, "dropout"),
    ],
)
def test_bad_options_are_refused(args: tuple[object, ...], options: dict[str, object], match: str) -> None:
    with pytest.raises(ModelError, match=match):
        FeedForward(*args, **options)  # type: ignore[arg-type]
