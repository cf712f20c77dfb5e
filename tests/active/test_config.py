"""What active learning is told: paths from the file's folder, mistakes by their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maladist import LearnConfig
from maladist.datasets.dft.espresso import Espresso
from maladist.errors import InputError
from maladist.io.shipped import shipped_models
from maladist.io.structures import read_atoms
from maladist.io.yaml import yaml_text

GOOD: dict[str, Any] = {
    "model": "be-1000K",
    "atoms": ["be.extxyz@0"],
    "md": {"temperatures": [300], "steps": 20},
    "count": 2,
    "train": {"data": {"train": "be.zarr"}},
    "held_out": "test.zarr",
}


def test_paths_are_taken_from_the_file_and_that_of_the_training(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "train.yaml").write_text(yaml_text(GOOD["train"]))
    (tmp_path / "learn.yaml").write_text(yaml_text({**GOOD, "train": "sub/train.yaml"}))
    config = LearnConfig.read(tmp_path / "learn.yaml")
    assert config.model == "be-1000K" and config.atoms == [str(tmp_path / "be.extxyz@0")]
    assert config.train.data.train == [str(tmp_path / "sub" / "be.zarr")]
    assert config.held_out == [str(tmp_path / "test.zarr")]
    assert config.training(["/new"]).data.train == [str(tmp_path / "sub" / "be.zarr"), "/new"]
    assert LearnConfig.of(config.to_dict()) == config
    (tmp_path / "be-1000K").touch()
    assert LearnConfig.read(tmp_path / "learn.yaml").model == str(tmp_path / "be-1000K")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"count": 0}, r"config: count: 0"),
        ({"bounds": {"volume": 1}}, r"config: bounds.*volume.*total_free_energy_meV_per_atom"),
        ({"md": {"temperatures": [], "steps": 20}}, r"config: md\.temperatures"),
        ({"md": {"temperatures": [300], "steps": 20, "equilibration": 30}}, r"md\.equilibration: 30 of 20 steps"),
        ({"train": {"data": {"train": "be.zarr"}, "epoch": 3}}, r"config: train: epoch: is not a key"),
        ({"modle": "x"}, r"modle: is not a key"),
    ],
)
def test_mistakes_are_named_by_their_keys(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        LearnConfig.of({**GOOD, **more})


def test_the_recipe_of_the_shipped_model_can_be_run_as_it_stands() -> None:
    """But for the data, which `make model-data` makes: each cell is there, and its DFT's settings know its size."""
    folder = shipped_models()["be-1000K"].folder
    config = LearnConfig.read(folder / "learn.yaml")
    cells = [read_atoms(name) for name in config.atoms]
    assert sorted({len(cell) for cell in cells}) == [8, 15, 16, 31, 32]
    code = Espresso.read(str(config.dft))
    proposed, _ = code.propose(cells, [])
    for cell in cells:
        code.settled(proposed).check(cell)
