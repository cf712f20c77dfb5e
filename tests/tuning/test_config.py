"""What a search is told: wrong keys named, axes by their values, designs without repetition."""

from __future__ import annotations

from typing import Any

import pytest

from maladist import TuneConfig
from maladist.errors import InputError
from maladist.tuning.config import Axis

LR = {"optimiser.lr": {"low": 1e-5, "high": 1e-2, "log": True}}


TRAIN = {"data": {"train": "a.zarr", "validation": "b.zarr"}}
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"search": LR}, "train", "missing"),
    ({"train": TRAIN}, "search", "missing"),
    ({"train": TRAIN, "search": LR, "trails": 3}, "trails", "objective"),
    ({"train": {**TRAIN, "epochs": 0}, "search": LR}, "train: epochs", "greater than or equal to 1"),
    ({"train": TRAIN, "search": {"optimiser.lrr": {"choices": [1, 2]}}}, "search: optimiser.lrr", "name, lr"),
    ({"train": TRAIN, "search": {"epochs": {"low": 0, "high": 3}}}, "search: epochs", "greater than or equal to 1"),
    ({"train": TRAIN, "search": {"optimiser.lr": {"low": 1, "high": 1}}}, "search.optimiser.lr", "low below high"),
    ({"train": TRAIN, "search": {"optimiser.lr": {"low": 0, "high": 1, "log": True}}}, "search.optimiser.lr", "log"),
    ({"train": TRAIN, "search": {"optimiser.lr": {"low": 1e-4}}}, "search.optimiser.lr", "either choices, or low"),
    ({"train": TRAIN, "search": {"seed": {"choices": [1, 2], "log": True}}}, "search.seed", "choices alone"),
    ({"train": TRAIN, "search": {"optimiser": {"lrr": [1, 2]}}}, "search: optimiser.lrr", "name, lr"),
    ({"train": TRAIN, "search": {"network.hidden": [100, 200]}}, "search: network.hidden", "a valid list"),
    ({"train": TRAIN, "search": {"network.hidden": [[100]]}}, "search.network.hidden", "at least 2 items"),
    ({"train": TRAIN, "search": {"epochs": {}}}, "search.epochs", "either choices, or low"),
    ({"train": TRAIN, "search": {"epochs": 3}}, "search.epochs", "a valid dictionary"),
    ({"train": TRAIN, "search": LR, "objective": "dos"}, "objective", "band_energy"),
    ({"train": TRAIN, "search": LR, "objective": "naswot"}, "search.optimiser.lr", "keys of network"),
    (
        {"train": TRAIN, "search": {"network.hidden": [[1], [2]]}, "objective": "naswot", "repeats": 2},
        "repeats",
        "trains",
    ),
    ({"train": {"data": {"train": "a"}}, "search": LR}, "train.data.validation", "for the objective loss"),
    ({"train": {**TRAIN, "members": 3}, "search": LR}, "train.members", "Tune one network"),
]


@pytest.mark.parametrize(("values", "key", "said"), BAD, ids=[f"{key}-{said[:9]}" for _, key, said in BAD])
def test_a_wrong_key_is_named_in_one_line(values: dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        TuneConfig.of(values, "t.yaml")
    line = str(caught.value)
    assert "\n" not in line
    assert key in caught.value.argument
    assert said in line


def test_axes_may_be_lists_and_stand_in_the_sections_of_a_training() -> None:
    long = {"network.hidden": {"choices": [[100], [200, 200]]}, "optimiser.lr": {"low": 1e-4, "high": 1e-2}}
    short = {"network": {"hidden": [[100], [200, 200]]}, "optimiser.lr": long["optimiser.lr"]}
    plain = {"network.hidden": [[100], [200, 200]], "optimiser": {"lr": long["optimiser.lr"]}}
    made = [TuneConfig.of({"train": TRAIN, "search": axes}) for axes in (long, short, plain)]
    assert made[0] == made[1] == made[2]
    assert made[0].first().network.hidden == [100]


def test_values_of_axes_reach_both_ends() -> None:
    axes = {
        "optimiser.lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "epochs": {"low": 1, "high": 9, "step": 3},
        "seed": {"low": 0, "high": 10},
    }
    config = TuneConfig.of({"train": TRAIN, "search": axes, "method": "oat"})
    assert config.search["optimiser.lr"].values() == pytest.approx([1e-4, 1e-3, 1e-2])
    assert config.search["epochs"].values() == [1, 4, 7]
    assert config.search["seed"].values() == [0, 5, 10]
    runs = config.design()
    assert len(runs) == 9
    assert {(r["epochs"], r["seed"]) for r in runs} == {(e, s) for e in (1, 4, 7) for s in (0, 5, 10)}


def config_of(axes: dict[str, Any], **more: Any) -> TuneConfig:
    return TuneConfig.of({"train": TRAIN, "search": axes, **more})


def test_values_of_a_trial_leave_the_searchs_own_configuration_alone() -> None:
    config = config_of({**LR, "network.hidden": [[4], [8]]})
    before = config.to_dict()
    made = config.at({"network.hidden": [7, 7], "optimiser.lr": 1e-3}, "trial 0")
    assert (made.network.hidden, made.optimiser.lr) == ([7, 7], 1e-3)
    assert config.to_dict() == before


def test_a_step_reaches_the_upper_end_in_spite_of_rounding() -> None:
    assert Axis.of({"low": 0.1, "high": 0.3, "step": 0.1}).values() == pytest.approx([0.1, 0.2, 0.3])
    assert Axis.of({"low": 1, "high": 8, "step": 3}).values() == [1, 4, 7]
    assert Axis.of({"low": 1, "high": 100, "log": True}).values() == [1, 10, 100]
    assert Axis.of({"low": 1, "high": 2, "levels": 5}).values() == [1, 2]  # whole numbers come once


@pytest.mark.parametrize("method", ["grid", "oat"])
def test_no_combination_of_a_design_is_run_twice(method: str) -> None:
    axes = {"epochs": {"choices": [1, 2, 3]}, "seed": {"choices": [0, 1]}}
    design = config_of(axes, method=method).design()
    assert all(run not in design[:i] for i, run in enumerate(design))
    assert {(r["epochs"], r["seed"]) for r in design} == {(e, s) for e in (1, 2, 3) for s in (0, 1)}


def test_a_grid_that_nobody_could_wait_for_is_refused() -> None:
    axes = {f"optimiser.options.o{i}": {"low": 0.0, "high": 1.0, "levels": 101} for i in range(2)}
    with pytest.raises(InputError, match=r"search.*options that torch"):
        config_of(axes, method="grid")
    many = {"seed": {"low": 0, "high": 200, "step": 1}, "epochs": {"low": 1, "high": 60, "step": 1}}
    with pytest.raises(InputError, match=r"a grid of more than 10000 combinations; wanted fewer\. Or method: optuna"):
        config_of(many, method="grid")
    assert config_of(many).runs == 20


@pytest.mark.parametrize(
    ("objective", "key", "direction"),
    [
        ("loss", "optimiser.lr", "minimize"),
        ("naswot", "network.hidden", "maximize"),
        ("acsd", "descriptor.cutoff", "minimize"),
    ],
)
def test_the_direction_is_that_of_the_objective(objective: str, key: str, direction: str) -> None:
    values: Any = [[4], [8]] if key == "network.hidden" else [0.1, 3.0]
    train = {**TRAIN, "descriptor": {"family": "bispectrum", "twojmax": 2, "cutoff": 3.5}}
    config = TuneConfig.of({"train": train, "search": {key: values}, "objective": objective})
    assert config.direction == direction
