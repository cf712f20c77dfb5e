"""Model files are whole or not there, and anything that is not one is refused in one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import save

from maladist.descriptors import BispectrumSpec
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.errors import ModelError, OutputError
from maladist.io.model_file import check_model_file, load_model, save_model, write_held_out
from maladist.learning import packing
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Scaler

SPEC = BispectrumSpec(twojmax=2, cutoff=3.0)


@pytest.fixture
def model() -> LDOSModel:
    torch.manual_seed(1)
    return LDOSModel(
        network=FeedForward((SPEC.n_features, 6, 3), ["Tanh"]),
        input_scaler=Scaler(),
        output_scaler=Scaler("standard", True, torch.zeros(3), torch.ones(3)),
        descriptor=SPEC,
        energy_grid=EnergyGrid(-1.0, 0.5, 3),
        elements={"Be": Element("Be", 2.0)},
    )


@pytest.fixture
def file(model: LDOSModel, tmp_path: Path) -> Path:
    return save_model(model, tmp_path / "be.model")


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 400
    return line


def test_a_saved_model_predicts_the_same_bits(model: LDOSModel, file: Path) -> None:
    x = torch.randn(1000, SPEC.n_features)
    again = load_model(file)
    assert torch.equal(again.ldos(x), model.ldos(x))
    assert again.content_hash == model.content_hash


def test_the_file_holds_no_pickle_and_only_the_file_is_left(file: Path, tmp_path: Path) -> None:
    assert [p.name for p in tmp_path.iterdir()] == ["be.model"]
    assert file.read_bytes()[8:9] == b"{"
    assert (file.stat().st_mode & 0o777) == 0o666 & ~_umask()


def _umask() -> int:
    umask = os.umask(0o022)
    os.umask(umask)
    return umask


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    model: LDOSModel, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()

    def full(descriptor: int) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        save_model(model.to(dtype=torch.float64), file)
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["be.model"]


def test_a_folder_that_is_not_there_is_named(model: LDOSModel, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        save_model(model, tmp_path / "nowhere" / "be.model")


def test_a_file_cut_off_anywhere_is_refused(file: Path) -> None:
    content = file.read_bytes()
    for length in [*range(0, 40), *range(40, len(content), 37), len(content) - 1]:
        file.write_bytes(content[:length])
        refusal(file)
    file.write_bytes(content + b"x")
    refusal(file)


def test_damage_at_any_byte_is_found(file: Path) -> None:
    content = file.read_bytes()
    for at in [*range(0, 16), *range(16, len(content), 11)]:
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x81]) + content[at + 1 :])
        refusal(file)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other"
    assert "No such file" in refusal(path)
    assert refusal(tmp_path)
    path.write_text("&control\n calculation='scf'\n/\n")
    assert "another kind" in refusal(path)
    path.write_bytes(b"")
    assert "another kind" in refusal(path)
    path.write_bytes(save({"weight": torch.zeros(3)}))
    assert "without maladist's metadata" in refusal(path)
    torch.save({"weight": torch.zeros(3)}, path)
    assert "params.json" in refusal(path)  # torch's files are zips, but not MALA's


def test_another_version_is_named(model: LDOSModel, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(packing, "SCHEMA_VERSION", 99)
        save_model(model, file)
    line = refusal(file)
    assert "schema version 99" in line and "wanted version 1" in line


@pytest.mark.parametrize(
    "change",
    [
        {"descriptor": {"family": "unheard of"}},
        {"energy_grid": {"origin": 0, "spacing": -1, "levels": 3, "kernel": "none", "width": 0}},
        {"network": {"layer_sizes": [10**9, 10**9, 3], "activations": ["Tanh"]}},
        {"network": {"layer_sizes": [5, 6, 3], "activations": ["system"]}},
        {"network": None},
        {"elements": {"Be": {"charge": 2}}},
        {"spacing_A": 0.1},
        {"input_scaler": {"kind": "robust", "feature_wise": False}},
    ],
)
def test_metadata_that_makes_no_model_is_refused(file: Path, change: dict[str, object]) -> None:
    metadata, tensors = packing.unpack(file.read_bytes())
    file.write_bytes(packing.pack(metadata | change, tensors))
    refusal(file)


def test_pseudopotentials_given_at_loading_are_taken_over(file: Path) -> None:
    model = load_model(file, {"Be": Element("Be", 2.0, "Be.upf")})
    assert model.elements["Be"].has_pseudopotential


def test_errors_are_written_into_a_file_that_stays_the_same_model(model: LDOSModel, file: Path, own_data: Path) -> None:
    before = load_model(file)
    errors = {"data": ["a"], "errors": {"8 atoms": {"cells": 1}}}
    assert check_model_file(file) == file and load_model(file).provenance == before.provenance
    write_held_out(file, errors)
    after = load_model(file)
    assert after.provenance["held_out"] == errors and after.content_hash == before.content_hash
    for path, words in ((own_data / "mala_small.zip", "import-mala"), ("be-1000K", "a model file")):
        with pytest.raises(ModelError, match=words):
            write_held_out(path, errors)
