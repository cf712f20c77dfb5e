"""A training's configuration: what is wrong is refused in one line that names the key, whatever is right is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from maladist import BispectrumSpec, TrainConfig
from maladist.errors import InputError

DATA = {"train": "a.zarr"}

BAD: list[tuple[Any, str, str]] = [
    ({}, "data", "missing"),
    ({"data": {}}, "data.train", "missing"),
    ({"data": {"train": []}}, "data.train", "at least 1"),
    ({"data": DATA, "epoch": 3}, "epoch", "not a key"),
    ({"data": {**DATA, "pints": 3}}, "data.pints", "train, validation, points"),
    ({"data": {**DATA, "points": 1.5}}, "data.points", "a fraction up to 1"),
    ({"data": {**DATA, "points": 0}}, "data.points", "greater than 0"),
    ({"data": {**DATA, "buffer": "big"}}, "data.buffer", "integer"),
    ({"data": DATA, "descriptor": {"family": "soap"}}, "descriptor.family", "bispectrum"),
    ({"data": DATA, "descriptor": {"family": "bispectrum", "twojmaxx": 3}}, "descriptor", "twojmax"),
    ({"data": DATA, "descriptor": {"family": "bispectrum", "cutoff": -3}}, "descriptor.cutoff", "positive"),
    ({"data": DATA, "inputs": {"kind": "robust"}}, "inputs.kind", "whiten"),
    ({"data": DATA, "network": {"hidden": [10, 0]}}, "network.hidden.1", "greater than or equal to 1"),
    ({"data": DATA, "network": {"activation": "Relu"}}, "network.activation", "ReLU"),
    ({"data": DATA, "network": {"hidden": [5], "activation": ["ReLU"] * 3}}, "network", "at most 2 activations"),
    ({"data": DATA, "network": {"dropout": 1.0}}, "network.dropout", "less than 1"),
    ({"data": DATA, "loss": {"kind": "rmse"}}, "loss.kind", "mse"),
    ({"data": DATA, "loss": {"mean_band": -1}}, "loss.mean_band", "greater than or equal to 0"),
    ({"data": DATA, "loss": {"mean_band": float("nan")}}, "loss.mean_band", "finite"),
    ({"data": DATA, "loss": {"ldos": 0}}, "loss", "at least one weight"),
    ({"data": DATA, "optimiser": {"name": "Adamm"}}, "optimiser.name", "AdamW"),
    ({"data": DATA, "optimiser": {"name": "LBFGS"}}, "optimiser.name", "AdamW"),
    ({"data": DATA, "optimiser": {"options": {"foo": 1}}}, "optimiser", "torch.optim.AdamW takes"),
    ({"data": DATA, "optimiser": {"lr": 0}}, "optimiser.lr", "greater than 0"),
    ({"data": DATA, "schedule": {"name": "OneCycle"}}, "schedule.name", "OneCycleLR"),
    ({"data": DATA, "schedule": {"name": "StepLR"}}, "schedule", "step_size"),
    ({"data": DATA, "batch": {"points": 0}}, "batch.points", "greater than or equal to 1"),
    ({"data": DATA, "epochs": 0}, "epochs", "greater than or equal to 1"),
    ({"data": DATA, "seed": -1}, "seed", "greater than or equal to 0"),
    ({"data": DATA, "device": "gpu0"}, "device", "auto, cpu, cuda"),
    ({"data": DATA, "device": "cpu", "amp": "float16"}, "amp", "none or bfloat16"),
    ({"data": DATA, "average": 1.0}, "average", "less than 1"),
    ({"data": DATA, "members": 0}, "members", "greater than or equal to 1"),
    (
        {"data": DATA, "density_channel": "only", "loss": {"mean_band": 1}},
        "loss.mean_band",
        "nothing that needs an LDOS",
    ),
    ({"data": DATA, "density_channel": "only", "energy_zero": "fit"}, "energy_zero", "nothing that needs an LDOS"),
    ({"data": DATA, "early_stopping": {"metric": "loss"}}, "data.validation", "snapshots"),
    ({"data": DATA, "early_stopping": {"metric": "dos"}}, "early_stopping.metric", "band_energy"),
    ({"data": DATA, "schedule": {"name": "ReduceLROnPlateau"}}, "data.validation", "ReduceLROnPlateau"),
    ({"data": DATA, "restrict": "clip"}, "restrict", "zero_out_negative"),
    ([1, 2], "c.yaml", "a mapping"),
]


@pytest.mark.parametrize(("values", "key", "said"), BAD, ids=[f"{key}-{said[:12]}" for _, key, said in BAD])
def test_a_wrong_key_is_named_in_one_line(values: Any, key: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        TrainConfig.of(values, "c.yaml")
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("c.yaml: " if isinstance(values, dict) else "c.yaml")
    assert caught.value.argument.removeprefix("c.yaml: ") == key
    assert said in line


def test_several_wrong_keys_are_counted() -> None:
    with pytest.raises(InputError, match="1 more"):
        TrainConfig.of({"data": DATA, "epochs": 0, "seed": -1})


def test_a_file_that_is_not_yaml_or_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml cannot be read"):
        TrainConfig.read(tmp_path / "gone.yaml")
    (tmp_path / "bad.yaml").write_text("data: [")
    with pytest.raises(InputError, match=r"bad\.yaml cannot be read"):
        TrainConfig.read(tmp_path / "bad.yaml")


def test_plain_values_make_the_same_configuration_again() -> None:
    config = TrainConfig.of(
        {
            "data": {**DATA, "points": 0.1},
            "descriptor": {"family": "bispectrum", "twojmax": 4},
            "optimiser": {"name": "Adam", "lr": 1e-4, "options": {"betas": [0.9, 0.99]}},
            "schedule": None,
            "network": {"hidden": [7], "activation": ["ReLU", None]},
        }
    )
    assert TrainConfig.of(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config
    assert config.spec == BispectrumSpec(twojmax=4)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    text = {"data": {"train": ["d.zarr/snapshots/t-*", "/abs/e.zarr"], "pseudopotentials": "../pp", "samples": "s"}}
    (tmp_path / "sub" / "c.yaml").write_text(yaml.safe_dump(text))
    data = TrainConfig.read(tmp_path / "sub" / "c.yaml").data
    assert data.train == [str(tmp_path / "sub/d.zarr/snapshots/t-*"), "/abs/e.zarr"]
    assert Path(str(data.pseudopotentials)).resolve() == (tmp_path / "pp").resolve()
    assert data.samples == str(tmp_path / "sub" / "s")


def test_lists_in_yaml_serve_as_torchs_tuples() -> None:
    config = TrainConfig.of({"data": DATA, "optimiser": {"name": "AdamW", "options": {"betas": [0.5, 0.6]}}})
    import torch

    made = config.optimiser.make([torch.nn.Parameter(torch.zeros(1))])
    assert made.defaults["betas"] == (0.5, 0.6)
    assert made.defaults["lr"] == config.optimiser.lr


def test_a_configuration_cannot_be_changed() -> None:
    config = TrainConfig.of({"data": DATA})
    with pytest.raises(ValueError, match="frozen"):
        config.epochs = 3  # type: ignore[misc]


def test_importing_maladist_does_not_import_torchs_compiler() -> None:
    """It takes a second, of every command and of every worker that starts."""
    code = "import sys, maladist.cli; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
